/**
 * A container's file system seen from hulld: single files by looking through the layers (nothing is
 * mounted), or the whole tree mounted for the time of a copy. Paths are always resolved inside.
 */
#ifndef HULL_ENGINE_ROOTFS_H
#define HULL_ENGINE_ROOTFS_H

#include "base/buf.h"
#include "client/snapshots.h"

/**
 * Read one small file of a snapshot that is not being changed: the topmost layer that has it wins.
 * A link that leads to another layer is not followed there. Absent: out stays empty. TOO_LARGE past
 * out->max.
 */
int rootfs_read(const struct ctd_mounts *m, const char *path, struct buf *out, struct err *e);

/* Where to mount. */
struct rootfs_at {
    const char *dir;     /* exists; DIR.lower is used for a moment */
    const char *sandbox; /* the program hull-sandbox, for containers with a user namespace */
};

/** Mount a snapshot: files have the ids that the container's processes have here. */
int rootfs_mount(const struct ctd_mounts *m, const struct rootfs_at *at, struct err *e);

/**
 * Mount what a snapshot holds now, read-only: its writable layer becomes the topmost of the
 * lower ones. Also for a snapshot that a running container uses; what that changes meanwhile may be
 * seen or not.
 */
int rootfs_mount_readonly(const struct ctd_mounts *m, const struct rootfs_at *at, struct err *e);

/** Take away what is mounted on dir and below it, lazily. Nothing there is fine. */
void rootfs_unmount(const char *dir);

/** A tmpfs of size bytes on dir for a shareable /dev/shm, owned by a container's root; made when it
 * is not there yet. */
int shm_mount(const char *dir, int64_t size, uid_t uid, gid_t gid, struct err *e);

#endif
