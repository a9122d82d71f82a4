/** linux.resources over time: what an update leaves of them. */
#ifndef HULL_RUNTIME_RESOURCES_H
#define HULL_RUNTIME_RESOURCES_H

#include "types/oci_runtime.h"

/**
 * was (or NULL) with change applied: absent members stay, but for those that belong to one update
 * only (cpuset lists, burst, idle, pids, unified). Of quota and period one alone keeps the other.
 * Devices, huge pages, network and rdma are not updated. In the arena, borrowing from both.
 */
struct oci_resources *resources_merge(const struct oci_resources *was,
                                      const struct oci_resources *change, struct arena *a);

#endif
