/**
 * linux.memoryPolicy: on which NUMA nodes the process's memory comes to lie (set_mempolicy(2)).
 * Source: runtime-spec config-linux.md "Memory policy".
 */
#ifndef HULL_RUNTIME_MEMPOLICY_H
#define HULL_RUNTIME_MEMPOLICY_H

#include "base/err.h"
#include "types/oci_runtime.h"

#define MEMPOLICY_NODES_MAX 1024

struct mempolicy {
    int mode; /* MPOL_*, with the MPOL_F_* flags */
    unsigned long nodes[MEMPOLICY_NODES_MAX / (8 * sizeof(unsigned long))];
};

/** Read the document. INVALID, in runc's words: "invalid memory policy mode "x"" ... */
int mempolicy_parse(const struct oci_memory_policy *p, struct mempolicy *out, struct err *e);

/** Put it in force for this process and what it starts. */
int mempolicy_apply(const struct mempolicy *p, struct err *e);

/** The words that documents may use, sorted; at most max. How many there are. */
size_t mempolicy_modes(const char **out, size_t max);
size_t mempolicy_flags(const char **out, size_t max);

#endif
