/**
 * linux.resources as a plan: a list of writes into cgroup files, made without touching anything,
 * then carried out in order. Conversions of v1 values for v2 are those of runc 1.3.2 and later.
 */
#ifndef HULL_RUNTIME_LIMITS_H
#define HULL_RUNTIME_LIMITS_H

#include "sys/cgroup.h"
#include "types/oci_runtime.h"

enum {
    LIMIT_OPTIONAL = 1,  /* a file that is not there is fine */
    LIMIT_READ_BACK = 2, /* v1 cpu.shares: the kernel clamps silently, which is an error */
    LIMIT_TOGETHER = 4,  /* with its neighbours of the same controller, whatever order the kernel
                            takes: memory and memsw, period, burst and quota bound each other */
};

struct limit {
    const char *controller; /* "memory"; "" on v2: the unified directory */
    const char *file, *value;
    unsigned flags;
};

struct limits {
    VEC(struct limit) writes;
    /* v2, checkBeforeUpdate: refuse when already more is used; 0: no check */
    int64_t check_memory, check_swap;
};

/** The writes for r on a host of this mode. INVALID in runc's words. All in the arena. */
int limits_plan(const struct oci_resources *r, enum cgroup_mode mode, struct arena *a,
                struct limits *out, struct err *e);

/** Refuse, as checkBeforeUpdate asks, what is below the present usage. */
int limits_check(const struct limits *l, const struct cgroup *cg, struct err *e);

/** Carry it out, limits_check included. */
int limits_apply(const struct limits *l, const struct cgroup *cg, struct err *e);

/** cpu.shares (2 ... 262144) as cpu.weight (1 ... 10000). */
uint64_t limits_cpu_weight(uint64_t shares);

/** blkio.weight (10 ... 1000) as io.weight (1 ... 10000). */
uint64_t limits_io_weight(uint64_t weight);

#endif
