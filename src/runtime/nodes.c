/*
 * What lies in /dev, and what is hidden: device nodes, links, masked and read-only paths. See
 * rootfs.h. All by descriptors below the root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/devices.h"
#include "runtime/rootfs.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/path.h"

/* ---- device nodes ------------------------------------------------------------------------- */

struct node {
    const char *path;
    mode_t type, mode;
    dev_t dev;
    uid_t uid;
    gid_t gid;
};

/* A node that we may not make (user namespace): show the host's. */
static int bind_node(struct rootfs *r, const struct node *n, struct err *e)
{
    auto_fd int mnt = rootfs_clone(r, n->path, false);
    if (mnt < 0)
        return err_neg(e, mnt, "bind %s", n->path);
    auto_fd int target = rootfs_target(r, n->path, false, e);
    if (target < 0)
        return -1;
    int rc = mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "bind %s", n->path) : 0;
}

static int make_node(struct rootfs *r, const struct node *n, struct err *e)
{
    const char *slash = strrchr(n->path, '/');
    if (slash == NULL || slash[1] == '\0')
        return err_set(e, ERR_INVALID, "invalid device path %s", n->path);
    if (spec_ns(r->spec, "user") != NULL)
        return bind_node(r, n, e);
    auto_free char *parent = mem_strndup(n->path, (size_t)(slash - n->path));
    auto_fd int dir = path_mkdirs_in(r->fd, parent, 0755, e);
    if (dir < 0)
        return -1;
    if (mknodat(dir, slash + 1, n->type | n->mode, n->dev) < 0) {
        if (errno == EEXIST)
            return 0;
        return errno == EPERM ? bind_node(r, n, e) : err_sys(e, "mknod %s", n->path);
    }
    if ((n->uid != 0 || n->gid != 0) &&
        fchownat(dir, slash + 1, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "chown %s", n->path);
    return 0;
}

static int make_spec_node(struct rootfs *r, const struct oci_device *d, struct err *e)
{
    char type = d->type != NULL ? *d->type : '\0';
    if (d->path == NULL || strchr("cubp", type) == NULL || type == '\0')
        return err_set(e, ERR_INVALID, "invalid device type \"%s\"",
                       d->type != NULL ? d->type : "");
    if (strcmp(d->path, "/dev/ptmx") == 0)
        return 0;
    struct node n = {
        .path = d->path,
        .type = type == 'b'   ? S_IFBLK
                : type == 'p' ? S_IFIFO
                              : S_IFCHR,
        .mode = d->file_mode != NULL ? (mode_t)(*d->file_mode & 07777) : 0666,
        .dev = type == 'p' ? 0 : makedev((unsigned)d->major, (unsigned)d->minor),
        .uid = d->uid != NULL ? (uid_t)*d->uid : 0,
        .gid = d->gid != NULL ? (gid_t)*d->gid : 0,
    };
    return make_node(r, &n, e);
}

static int make_links(struct rootfs *r, struct err *e)
{
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"/proc/kcore", "core"}};
    auto_fd int dev = path_mkdirs_in(r->fd, "/dev", 0755, e);
    if (dev < 0)
        return -1;
    bool kcore = faccessat(r->proc_fd, "kcore", F_OK, 0) == 0;
    for (size_t i = 0; i < ARRAY_LEN(links) - (kcore ? 0 : 1); i++)
        if (symlinkat(links[i][0], dev, links[i][1]) < 0 && errno != EEXIST)
            return err_sys(e, "link /dev/%s", links[i][1]);
    if (unlinkat(dev, "ptmx", 0) < 0 && errno != ENOENT)
        return err_sys(e, "remove /dev/ptmx");
    if (symlinkat("pts/ptmx", dev, "ptmx") < 0)
        return err_sys(e, "link /dev/ptmx");
    return 0;
}

int rootfs_devices(struct rootfs *r, struct err *e)
{
    mode_t was = umask(0);
    int rc = 0;
    for (size_t i = 0; i < r->spec->linux_->devices.n && rc == 0; i++)
        rc = make_spec_node(r, &r->spec->linux_->devices.v[i], e);
    for (size_t i = 0; i < DEVICE_DEFAULTS && rc == 0; i++) {
        const struct device_default *d = &device_defaults[i];
        struct node n = {.path = d->path,
                         .type = S_IFCHR,
                         .mode = 0666,
                         .dev = makedev((unsigned)d->major, (unsigned)d->minor)};
        bool named = false;
        vec_each(s, &r->spec->linux_->devices)
            named |= strcmp(s->path, d->path) == 0;
        if (!named)
            rc = make_node(r, &n, e);
    }
    umask(was);
    TRY(rc);
    return make_links(r, e);
}

/* ---- hidden paths ------------------------------------------------------------------------- */

/* -1: there is none (fine), else a descriptor */
static int open_existing(const char *path)
{
    /* after pivot_root "/" is the container's root: plain resolution cannot leave it, but magic
     * links could */
    return path_openat2(AT_FDCWD, path, O_PATH, 0, RESOLVE_NO_MAGICLINKS);
}

static bool is_missing(int r)
{
    return r == -ENOENT || r == -ENOTDIR || r == -ELOOP;
}

static int make_readonly(const char *path, struct err *e)
{
    auto_fd int fd = open_existing(path);
    if (is_missing(fd))
        return 0;
    auto_fd int mnt = fd < 0 ? fd : mount_clone(fd, "", true);
    int rc = mnt < 0 ? mnt : mount_change(mnt, MOUNT_ATTR_RDONLY, 0, 0, false);
    if (rc == 0)
        rc = mount_attach(mnt, fd);
    return rc < 0 ? err_neg(e, rc, "make %s read-only", path) : 0;
}

/* The container's /dev/null, proven to be it (CVE-2025-31133). */
static int open_null(struct err *e)
{
    struct stat st;
    auto_fd int fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open /dev/null");
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        return err_set(e, ERR_INVALID, "/dev/null of the container is not the null device");
    return take_fd(&fd);
}

/* All masked directories share one empty, read-only tmpfs: the first use makes it. */
static int mask_dir(int target, int *empty, struct err *e)
{
    auto_fd int mnt = -1;
    if (*empty < 0) {
        mnt = mount_new("tmpfs", "tmpfs", "nr_blocks=1,nr_inodes=1", 0, MOUNT_ATTR_RDONLY, e);
        if (mnt < 0)
            return -1;
    } else {
        mnt = mount_clone(*empty, "", false);
    }
    int rc = mnt < 0 ? mnt : mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "mount");
    if (*empty < 0)
        *empty = take_fd(&mnt);
    return 0;
}

/* A list may name a path twice, also by two names. */
static bool is_masked(const struct stat *st, int empty)
{
    struct stat cover;
    if (S_ISDIR(st->st_mode))
        return empty >= 0 && fstat(empty, &cover) == 0 && cover.st_dev == st->st_dev;
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int mask(const char *path, int *empty, int *null, struct err *e)
{
    struct stat st;
    auto_fd int target = open_existing(path);
    if (is_missing(target))
        return 0;
    if (target < 0 || fstat(target, &st) < 0)
        return err_neg(e, target < 0 ? target : -errno, "mask %s", path);
    if (is_masked(&st, *empty))
        return 0;
    if (S_ISDIR(st.st_mode))
        return mask_dir(target, empty, e) < 0 ? err_wrap(e, "mask %s", path) : 0;
    if (*null < 0 && (*null = open_null(e)) < 0)
        return err_wrap(e, "mask %s", path);
    auto_fd int mnt = mount_clone(*null, "", false);
    int rc = mnt < 0 ? mnt : mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "mask %s", path) : 0;
}

int rootfs_hide(struct rootfs *r, struct err *e)
{
    const struct oci_linux *l = r->spec->linux_;
    auto_fd int empty = -1, null = -1;
    for (size_t i = 0; i < l->readonly_paths.n; i++)
        TRY(make_readonly(l->readonly_paths.v[i], e));
    for (size_t i = 0; i < l->masked_paths.n; i++)
        TRY(mask(l->masked_paths.v[i], &empty, &null, e));
    return 0;
}
