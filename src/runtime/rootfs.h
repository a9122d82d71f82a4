/**
 * The container's file system, built by its first process inside its own mount namespace. Every
 * path that comes from config.json or the image is resolved below the root's descriptor (openat2),
 * and mounts are put onto descriptors, so a path that changes meanwhile cannot lead outside.
 */
#ifndef HULL_RUNTIME_ROOTFS_H
#define HULL_RUNTIME_ROOTFS_H

#include "base/err.h"
#include "runtime/runtime.h"
#include "sys/cgroup.h"

/* A mount tree to clone, and what to do to the copy. */
struct rootfs_clone_order {
    const char *path; /* on the host */
    bool recursive;
    bool idmap, idmap_recursive; /* with the id mapping of... */
    size_t mount;                /* ...this entry of mounts[] */
};

struct rootfs {
    const struct oci_spec *spec;
    const char *path, *bundle; /* absolute */
    const struct cgroup_host *host;
    const struct cgroup *cgroup;
    struct arena *a;
    /* asks the parent, which has the host's rights: a descriptor or -errno */
    int (*clone_outside)(void *arg, const struct rootfs_clone_order *order);
    void *clone_arg;
    bool selinux; /* the host has it */
    /* set by rootfs_prepare (fd) and rootfs_open */
    int fd;      /* the root, O_PATH */
    int proc_fd; /* the host's procfs, verified: nothing in the container can redirect it */
    VEC(const char *) late_readonly; /* destinations that become read-only at the end */
};

void rootfs_done(struct rootfs *r);

/** What must be had before any namespace is entered: the host's procfs. */
int rootfs_open(struct rootfs *r, struct err *e);

/** Propagation, the root itself, all mounts, /dev. Still in the old root. Leaves the propagation of
 * the host's mount namespace alone. */
int rootfs_prepare(struct rootfs *r, struct err *e);

/** Make it "/": pivot_root, or MS_MOVE and chroot. r->fd is then "/". */
int rootfs_enter(struct rootfs *r, bool no_pivot, struct err *e);

/** chroot only, for a container in the host's mount namespace. What rootfs_prepare mounted stays
 * there when the container has gone, as with runc. */
int rootfs_chroot(struct rootfs *r, struct err *e);

/** What must come last: read-only mounts and root. */
int rootfs_readonly(struct rootfs *r, struct err *e);

/** readonlyPaths and maskedPaths; after rootfs_enter. */
int rootfs_hide(struct rootfs *r, struct err *e);

/* ---- parts of rootfs_prepare ------------------------------------------------------------------
 */

/** One entry of mounts[]. */
int rootfs_mount(struct rootfs *r, const struct oci_mount *m, struct err *e);

/** Device nodes, /dev/fd and friends, /dev/ptmx. */
int rootfs_devices(struct rootfs *r, struct err *e);

/** Open (making it when missing) the file or directory to mount on. */
int rootfs_target(struct rootfs *r, const char *dest, bool dir, struct err *e);

/** A destination may be given as the host names it, below the rootfs at path: callers that know it
 * do. As the container names it. */
const char *rootfs_strip(const char *path, const char *dest);

/** Clone a mount tree, through the parent when we are not allowed to, or when ids are mapped. A
 * descriptor or -errno. */
int rootfs_clone_by(struct rootfs *r, const struct rootfs_clone_order *order);
int rootfs_clone(struct rootfs *r, const char *path, bool recursive);

/** Whether an entry of mounts[] asks for mapped ids. */
bool rootfs_is_idmapped(const struct oci_mount *m);

#endif
