/**
 * A container as a unit of systemd: a scope (or a slice) whose cgroup is the container's. systemd
 * makes the cgroup and knows the limits; the runtime then writes the same limits into its files.
 */
#ifndef HULL_RUNTIME_UNIT_H
#define HULL_RUNTIME_UNIT_H

#include "runtime/devices.h"
#include "runtime/unit_job.h"
#include "sys/cgroup.h"
#include "types/oci_runtime.h"

struct unit {
    const char *name;  /* "runc-ID.scope"; NULL: no unit */
    const char *slice; /* "system.slice" */
    const char *path;  /* of its cgroup below the hierarchies' roots */
    const char
        *manager; /* where its manager's sockets are: "/run", an ordinary user's "/run/user/1000" */
};

/**
 * The unit that linux.cgroupsPath ("slice:prefix:name", "" for the defaults) names. INVALID in
 * runc's words; UNIMPLEMENTED where systemd does not run. Touches nothing; all in the arena.
 */
int unit_plan(const char *cgroups_path, const char *id, struct arena *a, struct unit *out,
              struct err *e);

/**
 * linux.resources as properties. A quota that systemd would round is rounded in r as well, so that
 * the files say the same. INVALID.
 */
struct unit_properties {
    VEC(struct unit_property) all;
};
int unit_resources(struct oci_resources *r, enum cgroup_mode mode, struct arena *a,
                   struct unit_properties *out, struct err *e);

/** The device rules as properties. */
void unit_devices(const struct device_policy *p, struct arena *a, struct unit_properties *out);

/** The annotations "org.systemd.property.NAME" (values as GVariant text). INVALID. */
int unit_annotations(const struct strmap *annotations, struct arena *a, struct unit_properties *out,
                     struct err *e);

/** Make the unit with a process in it. Blocks until systemd is done. */
int unit_start(const struct unit *u, const char *id, pid_t pid, enum cgroup_mode mode,
               const struct unit_properties *more, struct arena *a, struct err *e);

/** Change properties. */
int unit_set(const struct unit *u, const struct unit_properties *p, struct err *e);

/** Stop it; one that is gone is fine. */
int unit_stop(const struct unit *u, struct err *e);

#endif
