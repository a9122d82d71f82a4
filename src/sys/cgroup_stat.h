/**
 * Numbers in a cgroup's files. What is not there is zero: which files exist depends on kernel and
 * configuration.
 */
#ifndef HULL_SYS_CGROUP_STAT_H
#define HULL_SYS_CGROUP_STAT_H

#include "base/buf.h"
#include "base/str.h"
#include "sys/cgroup.h"

#define CGROUP_TICK_NS 10000000ULL /* of cpuacct.stat: USER_HZ is 100 on every Linux */

/* A line "name N" of a file goes into the uint64_t at off of a struct. */
struct cgroup_key {
    const char *name;
    size_t off;
};

/** A file of such lines. False when it cannot be read (dir may be NULL). */
bool cgroup_keys(const char *dir, const char *file, const struct cgroup_key *keys, size_t n,
                 void *out);

/** A file of one number; "max" is UINT64_MAX, nothing is 0. dir may be NULL. */
uint64_t cgroup_number(const char *dir, const char *file);

/** True when the file exists; dir may be NULL. */
bool cgroup_has(const char *dir, const char *file);

/** A whole file; false when it cannot be read (dir may be NULL). */
bool cgroup_text(const char *dir, const char *file, struct buf *out);

/* One line of v1's blkio files: "8:0 Read 4096", "8:0 4096". */
struct cgroup_blkio {
    uint64_t major, minor, value;
    struct str op; /* "" when the line has none */
};

/** False for other lines ("Total 4096"). */
bool cgroup_blkio_parse(struct str line, struct cgroup_blkio *out);

#endif
