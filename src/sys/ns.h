/**
 * Namespaces: names as the OCI specification has them, flags as the kernel has them; clone3.
 * Only single-threaded programs may use this.
 */
#ifndef HULL_SYS_NS_H
#define HULL_SYS_NS_H

#include <sys/types.h>

#include "base/defs.h"

struct ns_kind {
    const char *oci;  /* "network" */
    const char *proc; /* "net": the name below /proc/PID/ns */
    unsigned flag;    /* CLONE_NEWNET */
};

/* In the order in which they are joined; user stands last. */
#define NS_KINDS 8
extern const struct ns_kind ns_kinds[NS_KINDS];

/** By OCI name; NULL when unknown. */
const struct ns_kind *ns_find(const char *oci);

/**
 * clone3 without shared memory: returns twice as fork does (0 in the child), or -errno.
 *
 * flags      CLONE_NEW*, CLONE_PARENT.
 * cgroup_fd  the child is born in this cgroup v2 directory; -1: in ours.
 * out_pidfd  may be NULL.
 */
pid_t ns_clone(uint64_t flags, int cgroup_fd, int *out_pidfd);

#endif
