/**
 * Intel RDT: shares of the last-level cache and of memory bandwidth, as groups of the resctrl file
 * system. Source: kernel arch/x86/resctrl; runtime-spec config-linux.md, "IntelRdt".
 */
#ifndef HULL_RUNTIME_RDT_H
#define HULL_RUNTIME_RDT_H

#include <sys/types.h>

#include "base/err.h"
#include "types/oci_runtime.h"

/* A container's groups: directories, NULL when there is none. */
struct rdt {
    const char *group;
    const char *monitor;
    bool made; /* the group is ours alone: it goes with the container */
};

/** Where resctrl is mounted; NULL: this machine has no RDT. In the arena. */
const char *rdt_root(struct arena *a);

/** May the machine whose resctrl is at root (or NULL) do this? INVALID in runc's words. */
int rdt_check(const struct oci_intel_rdt *r, const char *root, struct err *e);

/** Put a process into its groups, which are made when missing, and write the schemata. On failure
 * what was made is removed again. */
int rdt_enter(const struct oci_intel_rdt *r, const char *root, const char *id, pid_t pid,
              struct arena *a, struct rdt *out, struct err *e);

/** Write new schemata; either may be NULL. */
int rdt_set(const char *group, const char *l3_cache, const char *mem_bw, struct err *e);

/** Remove what belongs to the container alone. */
void rdt_leave(const struct rdt *r);

#endif
