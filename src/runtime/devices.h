/**
 * Which devices a container may use: the rules of linux.resources.devices plus the runtime's own,
 * reduced to a default and its exceptions, then written as v1 lists or as a v2 eBPF program.
 */
#ifndef HULL_RUNTIME_DEVICES_H
#define HULL_RUNTIME_DEVICES_H

#include "sys/cgroup.h"
#include "types/oci_runtime.h"

enum { DEVICE_READ = 1, DEVICE_WRITE = 2, DEVICE_MKNOD = 4 };

struct device_rule {
    char type;            /* 'b' or 'c' */
    int64_t major, minor; /* -1: any */
    unsigned access;
};

/* Everything is allowed (or not), but for the rules. */
struct device_policy {
    bool allow;
    VEC(struct device_rule) rules;
};

/** Apply the rules in order, the runtime's defaults last. INVALID "partial match of wildcard rule".
 */
int devices_policy(const struct oci_spec *s, struct arena *a, struct device_policy *out,
                   struct err *e);

/** Enforce it on a cgroup that exists. */
int devices_apply(const struct device_policy *p, const struct cgroup *cg, struct err *e);

/* A node that every container gets unless its config names the path itself. */
struct device_default {
    const char *path;
    int major, minor;
};
#define DEVICE_DEFAULTS 6
extern const struct device_default device_defaults[DEVICE_DEFAULTS];

#endif
