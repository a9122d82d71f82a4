/**
 * Notices of the kernel's out-of-memory killer for one cgroup: an eventfd on v1, inotify on v2's
 * memory.events. Both also wake for other reasons, so the caller polls fd and asks what happened.
 */
#ifndef HULL_SYS_CGROUP_OOM_H
#define HULL_SYS_CGROUP_OOM_H

#include "sys/cgroup.h"

struct cgroup_oom {
    int fd; /* poll for POLLIN; -1: none */
    bool v2;
    char *dir, *file; /* file has the line "oom_kill N" */
    uint64_t kills;
};

#define CGROUP_OOM_NONE \
    {                   \
        .fd = -1        \
    }

enum {
    CGROUP_OOM_HAPPENED = 1,
    CGROUP_OOM_END = 2, /* the cgroup is gone, or (v2) its last process */
};

/** Watch from now on. NOT_FOUND without the memory controller. */
int cgroup_oom_open(const struct cgroup *cg, struct cgroup_oom *out, struct err *e);

/** After fd became readable: what it was, bits of the above; 0 is nothing of interest. */
unsigned cgroup_oom_read(struct cgroup_oom *o);

/** True when a kill is known (v2) that has not been told yet, whether fd is readable or not: the
 * kernel tells only some milliseconds later. */
bool cgroup_oom_check(struct cgroup_oom *o);

/** NULL-safe on CGROUP_OOM_NONE. */
void cgroup_oom_close(struct cgroup_oom *o);

#endif
