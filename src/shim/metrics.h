/** A container's cgroup: where it is, and its numbers as containerd's metrics messages. */
#ifndef HULL_SHIM_METRICS_H
#define HULL_SHIM_METRICS_H

#include "rpc/pb.h"
#include "sys/cgroup.h"

/** The cgroup of a process, all in the arena. Directories that are not mounted are left out. */
int cgroup_of(pid_t pid, struct arena *a, struct cgroup *out, struct err *e);

/** io.containerd.cgroups.v1.Metrics, or v2 on a host with nothing else, in the arena. What a
 * controller does not tell is absent. */
int metrics_read(const struct cgroup *cg, struct arena *a, Pb__Any **out, struct err *e);

#endif
