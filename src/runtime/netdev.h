/**
 * linux.netDevices: network devices of the host that move into the container.
 */
#ifndef HULL_RUNTIME_NETDEV_H
#define HULL_RUNTIME_NETDEV_H

#include "base/err.h"
#include "types/oci_runtime.h"

/** The names, and that there is a namespace to move them to. INVALID in runc's words. */
int netdev_check(const struct oci_spec *s, struct err *e);

/**
 * Move all of them into a network namespace (an open descriptor), under their new names, with their
 * permanent global addresses, and up. Enters that namespace for a moment: single-threaded callers.
 * Source: runtime-spec config-linux.md "Network Devices".
 */
int netdev_move(const struct oci_spec *s, int netns, struct err *e);

#endif
