/**
 * The mounts of a container that come from outside: criu dumps only their places, and a restore
 * says what lies there now. Also the places themselves, which a restore needs before it begins.
 */
#ifndef HULL_RUNTIME_CRIU_MOUNTS_H
#define HULL_RUNTIME_CRIU_MOUNTS_H

#include "runtime/criu_rpc.h"
#include "sys/cgroup.h"
#include "types/oci_runtime.h"

struct criu_mounts {
    const struct oci_spec *spec;
    const char *rootfs, *bundle; /* absolute */
    const struct cgroup_host *host;
    const struct cgroup *cgroup;
    struct arena *a;
};

/** Binds, cgroups, devices: each is its own name in the images. Masked files that the container of
 * the process init has are all "/dev/null". */
int criu_mounts_dump(const struct criu_mounts *m, pid_t init, struct criu_pairs *out,
                     struct err *e);

/** The same names, and what is to be mounted there on this host. */
int criu_mounts_restore(const struct criu_mounts *m, struct criu_pairs *out, struct err *e);

/**
 * Show the root file system at the directory `at`, with every place that is mounted on made as
 * create makes it. For a mount namespace of our own: the mount at `at` stays.
 */
int criu_mounts_prepare(const struct criu_mounts *m, const char *at, struct err *e);

#endif
