/**
 * On which CPUs a process may run: it does not inherit what its caller was bound to, only what its
 * cgroup allows, unless execCPUAffinity says otherwise.
 */
#ifndef HULL_RUNTIME_AFFINITY_H
#define HULL_RUNTIME_AFFINITY_H

#include "base/arena.h"
#include "base/err.h"

#define AFFINITY_CPUS 8192 /* the most that Linux can be built for */

struct affinity {
    bool set; /* false: whatever the cgroup allows */
    unsigned long mask[AFFINITY_CPUS / (8 * sizeof(unsigned long))];
};

/** Read a list as in cpuset.cpus: "0-3,7"; NULL or "" is not set. INVALID. */
int affinity_parse(const char *list, struct affinity *out, struct err *e);

/** Bind the calling process. INVALID when none of the CPUs is online and allowed. */
int affinity_apply(const struct affinity *a, struct err *e);

/** As hexadecimal number, "0x5" for CPUs 0 and 2; lives in the arena. */
const char *affinity_text(const struct affinity *a, struct arena *arena);

#endif
