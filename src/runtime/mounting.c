/*
 * One entry of mounts[]: source made detached, target opened below the root, the two put together.
 * See rootfs.h. Source: runtime-spec config.md "Mounts", config-linux.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/mounting.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

static bool is_type(const struct oci_mount *m, const char *type)
{
    return m->type != NULL && strcmp(m->type, type) == 0;
}

/* ---- the place ---------------------------------------------------------------------------- */

static int open_target(struct rootfs *r, const char *dest, bool dir, bool *out_made, struct err *e)
{
    struct err first = {0};
    auto_fd int fd = path_open_in(r->fd, dest, O_PATH, &first);
    *out_made = fd < 0;
    if (fd < 0)
        fd = dir ? path_mkdirs_in(r->fd, dest, 0755, e) : path_make_file_in(r->fd, dest, 0644, e);
    if (fd < 0)
        return -1;
    struct stat target, root;
    if (fstat(fd, &target) < 0 || fstat(r->fd, &root) < 0)
        return err_sys(e, "stat %s", dest);
    if (target.st_dev == root.st_dev && target.st_ino == root.st_ino)
        return err_set(e, ERR_INVALID, "mountpoint \"%s\" is on the top of rootfs", dest);
    if (S_ISDIR(target.st_mode) != dir) {
        errno = ENOTDIR;
        return err_sys(e, "mountpoint %s", dest);
    }
    return take_fd(&fd);
}

int rootfs_target(struct rootfs *r, const char *dest, bool dir, struct err *e)
{
    bool made;
    return open_target(r, dest, dir, &made, e);
}

/* proc and sysfs go only onto real directories, no link on the way: else an image could move them.
 */
static int open_strict(struct rootfs *r, const char *dest, const char *type, struct err *e)
{
    const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
    int fd = path_openat2(r->fd, dest, O_PATH | O_DIRECTORY, 0, resolve);
    if (fd == -ENOENT) {
        auto_fd int made = path_mkdirs_in(r->fd, dest, 0755, e);
        if (made < 0)
            return -1;
        fd = path_openat2(r->fd, dest, O_PATH | O_DIRECTORY, 0, resolve);
    }
    if (fd == -ELOOP || fd == -ENOTDIR)
        return err_set(e, ERR_INVALID, "filesystem \"%s\" must be mounted on ordinary directory",
                       type);
    return fd < 0 ? err_neg(e, fd, "open %s", dest) : fd;
}

/* Where an open target lies inside the root. The text comes from the kernel, so links are gone. */
static int path_in_root(struct rootfs *r, int fd, char *out, size_t size, struct err *e)
{
    char link[64], real[4096], root[4096];
    (void)snprintf(link, sizeof(link), "self/fd/%d", fd);
    ssize_t n = readlinkat(r->proc_fd, link, real, sizeof(real) - 1);
    (void)snprintf(link, sizeof(link), "self/fd/%d", r->fd);
    ssize_t m = readlinkat(r->proc_fd, link, root, sizeof(root) - 1);
    if (n < 0 || m < 0)
        return err_sys(e, "find the path of a mount point");
    real[n] = root[m] = '\0';
    size_t skip = m == 1 ? 0 : (size_t)m;
    if (strncmp(real, root, skip) != 0 || (real[skip] != '/' && real[skip] != '\0'))
        return err_set(e, ERR_INVALID, "mountpoint %s is outside of rootfs", real);
    (void)snprintf(out, size, "%s", real + skip);
    return 0;
}

/* /proc takes only a procfs, and below it only the files that tools replace (CVE-2019-16884). */
static int check_proc(const struct mounting *g, int target, int source, struct err *e)
{
    static const char *const allowed[] = {"/proc/cpuinfo",
                                          "/proc/diskstats",
                                          "/proc/meminfo",
                                          "/proc/stat",
                                          "/proc/swaps",
                                          "/proc/uptime",
                                          "/proc/loadavg",
                                          "/proc/slabinfo",
                                          "/proc/sys/kernel/ns_last_pid",
                                          "/proc/sys/crypto/fips_enabled"};
    char path[4096];
    TRY(path_in_root(g->r, target, path, sizeof(path), e));
    if (strcmp(path, "/proc") == 0) {
        struct statfs fs;
        struct stat st;
        if (is_type(g->m, "proc"))
            return 0;
        if (source >= 0 && fstatfs(source, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
            fstat(source, &st) == 0 && st.st_ino == 1)
            return 0;
        return err_set(e, ERR_INVALID, "\"%s\" cannot be mounted because it is not of type proc",
                       g->m->destination);
    }
    if (strncmp(path, "/proc/", 6) != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (source >= 0 && strcmp(path, allowed[i]) == 0)
            return 0;
    return err_set(e, ERR_INVALID, "\"%s\" cannot be mounted because it is inside /proc",
                   g->m->destination);
}

int mounting_target(struct mounting *g, bool dir, int source, bool *out_made, struct err *e)
{
    bool made;
    auto_fd int fd = open_target(g->r, g->dest, dir, &made, e);
    if (fd < 0)
        return -1;
    TRY(check_proc(g, fd, source, e));
    if (out_made != NULL)
        *out_made = made;
    return take_fd(&fd);
}

static int strict_target(struct mounting *g, struct err *e)
{
    auto_fd int fd = open_strict(g->r, g->dest, g->m->type, e);
    if (fd < 0)
        return -1;
    TRY(check_proc(g, fd, -1, e));
    return take_fd(&fd);
}

/* ---- the kinds ---------------------------------------------------------------------------- */

/* Propagation words and rro-like attributes, on the mount now in place. */
static int finish(const struct mount_options *o, int mnt, struct err *e)
{
    int rc;
    for (size_t i = 0; i < o->n_propagation; i++) {
        rc = mount_change(mnt, 0, 0, o->propagation[i] & ~(unsigned long)MS_REC,
                          (o->propagation[i] & MS_REC) != 0);
        if (rc < 0)
            return err_neg(e, rc, "change propagation");
    }
    if ((o->rec_set | o->rec_clear) != 0) {
        rc = mount_change(mnt, o->rec_set, o->rec_clear, 0, true);
        if (rc < 0)
            return err_neg(e, rc, "set recursive mount attributes");
    }
    return 0;
}

int mounting_attach(struct mounting *g, int mnt, int target, struct err *e)
{
    int rc = mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "attach") : finish(&g->o, mnt, e);
}

/* Read-only comes last where we still have to write. */
static uint64_t without_readonly(struct mounting *g)
{
    if (g->o.readonly)
        vec_push_in(g->r->a, &g->r->late_readonly, g->dest);
    return g->o.set & ~(uint64_t)MOUNT_ATTR_RDONLY;
}

/* With a mount label: the option that gives it to all files of the new file system. */
static const char *labelled(const struct mounting *g, const char *data)
{
    const char *label = g->r->spec->linux_->mount_label;
    if (label == NULL || *label == '\0')
        return data;
    return arena_printf(g->r->a, "%s%scontext=\"%s\"", data, *data != '\0' ? "," : "", label);
}

/* A file system without the option gets the label on its root alone, where labels are in use. */
static int label_root(const struct mounting *g, int mnt, struct err *e)
{
    const char *label = g->r->spec->linux_->mount_label;
    char path[64];
    if (label == NULL || *label == '\0' || !g->r->selinux)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", mnt); /* the host's procfs as yet */
    if (setxattr(path, "security.selinux", label, strlen(label) + 1, 0) < 0)
        return err_sys(e, "label %s", g->dest);
    return 0;
}

static int mount_tmpfs(struct mounting *g, struct err *e)
{
    struct stat st;
    bool made;
    auto_fd int target = mounting_target(g, true, -1, &made, e);
    if (target < 0)
        return -1;
    if (fstat(target, &st) < 0)
        return err_sys(e, "stat %s", g->dest);
    const char *data = g->o.data;
    if (!made && strstr(data, "mode=") == NULL) /* /tmp keeps its 1777 */
        data = arena_printf(g->r->a, "mode=0%o%s%s", (unsigned)st.st_mode & 07777,
                            *data != '\0' ? "," : "", data);
    auto_fd int mnt = mount_new("tmpfs", g->m->source != NULL ? g->m->source : "tmpfs",
                                labelled(g, data), g->o.super, without_readonly(g), e);
    if (mnt < 0)
        return -1;
    if (g->o.tmpcopyup)
        TRY(mounting_copy_up(target, mnt, e));
    return mounting_attach(g, mnt, target, e);
}

static int mount_other(struct mounting *g, struct err *e)
{
    bool strict = is_type(g->m, "proc") || is_type(g->m, "sysfs");
    auto_fd int target = strict ? strict_target(g, e) : mounting_target(g, true, -1, NULL, e);
    if (target < 0)
        return -1;
    const char *data = g->o.data;
    if (!strict && !is_type(g->m, "mqueue")) /* they take no context= */
        data = labelled(g, data);
    uint64_t attr = strcmp(g->dest, "/dev") == 0 ? without_readonly(g) : g->o.set;
    auto_fd int mnt = mount_new(g->m->type, g->m->source, data, g->o.super, attr, e);
    if (mnt < 0)
        return -1;
    TRY(mounting_attach(g, mnt, target, e));
    return is_type(g->m, "mqueue") ? label_root(g, mnt, e) : 0;
}

/* Change what an earlier entry, or the image's own mount, has put there. */
static int remount(struct mounting *g, struct err *e)
{
    auto_fd int target = path_open_in(g->r->fd, g->dest, O_PATH, e);
    if (target < 0)
        return -1;
    return mount_reconfigure(target, g->m->type != NULL ? g->m->type : "", &g->o, e);
}

/* ---- cgroup ------------------------------------------------------------------------------- */

/* The container's directory, or, when it has none of its own, ours. */
static const char *own_cgroup(struct rootfs *r, const struct cgroup_hier *h, const char *path)
{
    return path != NULL ? path : arena_printf(r->a, "%s%s", h->mount, h->own);
}

static int cgroup_v1_one(struct rootfs *r, int dir, const struct cgroup_hier *h, uint64_t attr,
                         bool own_ns, struct err *e)
{
    if (mkdirat(dir, h->base, 0755) < 0 && errno != EEXIST)
        return err_sys(e, "mkdir %s", h->base);
    auto_fd int target = openat(dir, h->base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return err_sys(e, "open %s", h->base);
    auto_fd int mnt = -1;
    if (own_ns) {
        mnt = mount_new("cgroup", h->base, h->controllers, 0, attr, e);
        if (mnt < 0)
            return -1;
    } else {
        struct str first = str_of(h->controllers);
        auto_free char *name = str_dup(str_cut(&first, ','));
        const char *path = own_cgroup(r, h, cgroup_path(r->cgroup, name));
        mnt = rootfs_clone(r, path, false);
        int rc = mnt < 0 ? mnt : mount_change(mnt, attr, 0, 0, false);
        if (rc < 0)
            return err_neg(e, rc, "bind %s", path);
    }
    int rc = mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "attach %s", h->base);
    for (struct str rest = str_of(h->controllers); rest.n > 0;) {
        auto_free char *name = str_dup(str_cut(&rest, ','));
        bool other = strchr(h->controllers, ',') != NULL && strcmp(name, h->base) != 0;
        if (other && symlinkat(h->base, dir, name) < 0 && errno != EEXIST)
            return err_sys(e, "link %s", name);
    }
    return 0;
}

static int mount_cgroup_v1(struct mounting *g, struct err *e)
{
    struct rootfs *r = g->r;
    bool own_ns = spec_ns(r->spec, "cgroup") != NULL;
    auto_fd int target = mounting_target(g, true, -1, NULL, e);
    if (target < 0)
        return -1;
    uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    auto_fd int mnt = mount_new("tmpfs", "tmpfs", "mode=755", 0, attr, e);
    if (mnt < 0)
        return -1;
    int rc = mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "attach");
    if (g->o.readonly)
        attr |= MOUNT_ATTR_RDONLY;
    vec_each(h, &r->host->hiers)
        if (*h->controllers != '\0')
            TRY(cgroup_v1_one(r, mnt, h, attr, own_ns, e));
    if (g->o.readonly && (rc = mount_change(mnt, MOUNT_ATTR_RDONLY, 0, 0, false)) < 0)
        return err_neg(e, rc, "make read-only");
    return finish(&g->o, mnt, e);
}

static int mount_cgroup_v2(struct mounting *g, struct err *e)
{
    struct rootfs *r = g->r;
    struct err refused = {0};
    auto_fd int target = mounting_target(g, true, -1, NULL, e);
    if (target < 0)
        return -1;
    auto_fd int mnt = -1;
    if (spec_ns(r->spec, "cgroup") != NULL)
        mnt = mount_new("cgroup2", "cgroup", g->o.data, 0, g->o.set, &refused);
    if (mnt <
        0) { /* no namespace of its own, or not allowed in this user namespace: show its part */
        const char *path = own_cgroup(r, &r->host->hiers.v[0], cgroup_path(r->cgroup, ""));
        mnt = rootfs_clone(r, path, true);
        int rc = mnt < 0 ? mnt : mount_change(mnt, g->o.set, 0, 0, true);
        if (rc < 0)
            return err_neg(e, rc, "bind %s", path);
    }
    return mounting_attach(g, mnt, target, e);
}

const char *rootfs_strip(const char *path, const char *dest)
{
    size_t n = strlen(path);
    if (n <= 1 || strncmp(dest, path, n) != 0 || (dest[n] != '/' && dest[n] != '\0'))
        return dest;
    return dest[n] == '/' ? dest + n : "/";
}

static int mount_entry(struct mounting *g, struct err *e)
{
    TRY(mount_options_parse(&g->m->options, g->r->a, &g->o, e));
    if (g->o.tmpcopyup && !is_type(g->m, "tmpfs"))
        return err_set(e, ERR_INVALID, "tmpcopyup is only supported for tmpfs");
    if (g->o.remount)
        return remount(g, e);
    if (g->o.bind)
        return mounting_bind(g, e);
    if (g->m->type == NULL)
        return err_set(e, ERR_INVALID, "mount without a type");
    if (is_type(g->m, "tmpfs"))
        return mount_tmpfs(g, e);
    if (is_type(g->m, "cgroup"))
        return (g->r->host->mode == CGROUP_V2 ? mount_cgroup_v2 : mount_cgroup_v1)(g, e);
    return mount_other(g, e);
}

int rootfs_mount(struct rootfs *r, const struct oci_mount *m, struct err *e)
{
    if (m->destination == NULL || *m->destination == '\0')
        return err_set(e, ERR_INVALID, "mount without a destination");
    struct mounting g = {.r = r, .m = m, .dest = rootfs_strip(r->path, m->destination)};
    if (mount_entry(&g, e) < 0)
        return err_wrap(e, "error mounting \"%s\" to rootfs at \"%s\"",
                        m->source != NULL ? m->source : (m->type != NULL ? m->type : ""),
                        m->destination);
    return 0;
}
