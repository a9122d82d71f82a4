/** The mounts that containerd sends for a container's root file system, put onto BUNDLE/rootfs. */
#ifndef HULL_SHIM_BUNDLE_MOUNTS_H
#define HULL_SHIM_BUNDLE_MOUNTS_H

#include "base/err.h"
#include "proto/types.pb-c.h"

/**
 * Mount all in order. On failure none stays. No mounts is fine. The options uidmap and gidmap
 * ("INSIDE:OUTSIDE:COUNT,...") show an overlay's lower layers, or the source of a bind, with the
 * ids of such a user namespace, as containerd 2 means them.
 */
int bundle_mount(const char *bundle, Types__Mount *const *mounts, size_t n, struct err *e);

/** Unmount all that lies on BUNDLE/rootfs. Nothing there is fine. */
int bundle_unmount(const char *bundle, struct err *e);

#endif
