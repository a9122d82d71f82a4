/*
 * One entry of mounts[]: source made detached, target opened below the root, the two put together.
 * See rootfs.h. Source: runtime-spec config.md "Mounts", config-linux.md.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/rootfs.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/path.h"

static bool is_type(const struct oci_mount *m, const char *type)
{
    return m->type != NULL && strcmp(m->type, type) == 0;
}

/* ---- the place ---------------------------------------------------------------------------- */

static int make_file(struct rootfs *r, const char *dest, struct err *e)
{
    auto_free char *parent = mem_strdup(dest);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        *slash = '\0';
        auto_fd int dir = path_mkdirs_in(r->fd, parent, 0755, e);
        if (dir < 0)
            return -1;
    }
    return path_create_in(r->fd, dest, O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, 0644, e);
}

int rootfs_target(struct rootfs *r, const char *dest, bool dir, struct err *e)
{
    struct err first = {0};
    auto_fd int fd = path_open_in(r->fd, dest, O_PATH, &first);
    if (fd < 0)
        fd = dir ? path_mkdirs_in(r->fd, dest, 0755, e) : make_file(r, dest, e);
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

/* proc and sysfs go only onto real directories, no link on the way: else an image could move them.
 */
static int strict_target(struct rootfs *r, const char *dest, const char *type, struct err *e)
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
static int check_proc(struct rootfs *r, const struct oci_mount *m, int target, int source,
                      struct err *e)
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
    TRY(path_in_root(r, target, path, sizeof(path), e));
    if (strcmp(path, "/proc") == 0) {
        struct statfs fs;
        struct stat st;
        if (is_type(m, "proc"))
            return 0;
        if (source >= 0 && fstatfs(source, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
            fstat(source, &st) == 0 && st.st_ino == 1)
            return 0;
        return err_set(e, ERR_INVALID, "\"%s\" cannot be mounted because it is not of type proc",
                       m->destination);
    }
    if (strncmp(path, "/proc/", 6) != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (source >= 0 && strcmp(path, allowed[i]) == 0)
            return 0;
    return err_set(e, ERR_INVALID, "\"%s\" cannot be mounted because it is inside /proc",
                   m->destination);
}

/* ---- the kinds ---------------------------------------------------------------------------- */

/* Propagation words and rro-like attributes, on the mount now in place. */
static int finish(int mnt, const struct mount_options *o, struct err *e)
{
    for (size_t i = 0; i < o->n_propagation; i++) {
        int rc = mount_change(mnt, 0, 0, o->propagation[i] & ~(unsigned long)MS_REC,
                              (o->propagation[i] & MS_REC) != 0);
        if (rc < 0)
            return err_neg(e, rc, "change propagation");
    }
    if ((o->rec_set | o->rec_clear) != 0) {
        int rc = mount_change(mnt, o->rec_set, o->rec_clear, 0, true);
        if (rc < 0)
            return err_neg(e, rc, "set recursive mount attributes");
    }
    return 0;
}

static int mount_bind(struct rootfs *r, const struct oci_mount *m, struct mount_options *o,
                      struct err *e)
{
    struct stat st;
    if (*o->data != '\0')
        return err_set(e, ERR_INVALID,
                       "bind mounts cannot have any filesystem-specific options applied");
    if (o->idmap || m->uid_mappings.n > 0 || m->gid_mappings.n > 0)
        return err_set(e, ERR_UNIMPLEMENTED, "id-mapped mounts are not supported by hull-runc");
    if (m->source == NULL)
        return err_set(e, ERR_INVALID, "bind mount without a source");
    const char *source =
        m->source[0] == '/' ? m->source : arena_printf(r->a, "%s/%s", r->bundle, m->source);
    auto_fd int mnt = rootfs_clone(r, source, o->recursive);
    if (mnt < 0)
        return err_neg(e, mnt, "bind %s", source);
    if (fstat(mnt, &st) < 0)
        return err_sys(e, "stat %s", source);
    auto_fd int target = rootfs_target(r, m->destination, S_ISDIR(st.st_mode), e);
    if (target < 0)
        return -1;
    TRY(check_proc(r, m, target, mnt, e));
    int rc = (o->set | o->clear) != 0 ? mount_change(mnt, o->set, o->clear, 0, false) : 0;
    if (rc == -EPERM && o->clear != 0)
        return err_set(e, ERR_INVALID, "cannot clear locked flags");
    if (rc == 0)
        rc = mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "mount %s", source);
    return finish(mnt, o, e);
}

/* Copy what the image has at the target into the new tmpfs. */
static int copy_up(int from, int to, unsigned depth, struct err *e);

static int mount_tmpfs(struct rootfs *r, const struct oci_mount *m, struct mount_options *o,
                       struct err *e)
{
    struct stat st;
    auto_fd int target = rootfs_target(r, m->destination, true, e);
    if (target < 0)
        return -1;
    TRY(check_proc(r, m, target, -1, e));
    if (fstat(target, &st) < 0)
        return err_sys(e, "stat %s", m->destination);
    const char *data = o->data;
    if (strstr(data, "mode=") == NULL) /* /tmp keeps its 1777 */
        data = arena_printf(r->a, "mode=0%o%s%s", (unsigned)st.st_mode & 07777,
                            *data != '\0' ? "," : "", data);
    auto_fd int mnt = mount_new("tmpfs", m->source != NULL ? m->source : "tmpfs", data, o->super,
                                o->set & ~(uint64_t)MOUNT_ATTR_RDONLY, e);
    if (mnt < 0)
        return -1;
    if (o->tmpcopyup)
        TRY(copy_up(target, mnt, 0, e));
    int rc = mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "attach");
    if (o->readonly)
        vec_push_in(r->a, &r->late_readonly, m->destination);
    return finish(mnt, o, e);
}

static int mount_other(struct rootfs *r, const struct oci_mount *m, struct mount_options *o,
                       struct err *e)
{
    bool strict = is_type(m, "proc") || is_type(m, "sysfs");
    auto_fd int target = strict ? strict_target(r, m->destination, m->type, e)
                                : rootfs_target(r, m->destination, true, e);
    if (target < 0)
        return -1;
    TRY(check_proc(r, m, target, -1, e));
    uint64_t attr = o->set;
    bool late = o->readonly && strcmp(m->destination, "/dev") == 0;
    if (late) {
        attr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
        vec_push_in(r->a, &r->late_readonly, m->destination);
    }
    auto_fd int mnt = mount_new(m->type, m->source, o->data, o->super, attr, e);
    if (mnt < 0)
        return -1;
    int rc = mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "attach") : finish(mnt, o, e);
}

/* ---- cgroup ------------------------------------------------------------------------------- */

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
        const char *path = cgroup_path(r->cgroup, name);
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

static int mount_cgroup_v1(struct rootfs *r, const struct oci_mount *m, struct mount_options *o,
                           struct err *e)
{
    bool own_ns = spec_ns(r->spec, "cgroup") != NULL;
    auto_fd int target = rootfs_target(r, m->destination, true, e);
    if (target < 0)
        return -1;
    TRY(check_proc(r, m, target, -1, e));
    uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    auto_fd int mnt = mount_new("tmpfs", "tmpfs", "mode=755", 0, attr, e);
    if (mnt < 0)
        return -1;
    int rc = mount_attach(mnt, target);
    if (rc < 0)
        return err_neg(e, rc, "attach");
    if (o->readonly)
        attr |= MOUNT_ATTR_RDONLY;
    vec_each(h, &r->host->hiers)
        if (*h->controllers != '\0')
            TRY(cgroup_v1_one(r, mnt, h, attr, own_ns, e));
    if (o->readonly && (rc = mount_change(mnt, MOUNT_ATTR_RDONLY, 0, 0, false)) < 0)
        return err_neg(e, rc, "make read-only");
    return finish(mnt, o, e);
}

static int mount_cgroup_v2(struct rootfs *r, const struct oci_mount *m, struct mount_options *o,
                           struct err *e)
{
    struct err refused = {0};
    auto_fd int target = rootfs_target(r, m->destination, true, e);
    if (target < 0)
        return -1;
    TRY(check_proc(r, m, target, -1, e));
    auto_fd int mnt = -1;
    if (spec_ns(r->spec, "cgroup") != NULL)
        mnt = mount_new("cgroup2", "cgroup", o->data, 0, o->set, &refused);
    if (mnt <
        0) { /* no namespace of its own, or not allowed in this user namespace: show its part */
        const char *path = cgroup_path(r->cgroup, "");
        mnt = rootfs_clone(r, path, true);
        int rc = mnt < 0 ? mnt : mount_change(mnt, o->set, 0, 0, true);
        if (rc < 0)
            return err_neg(e, rc, "bind %s", path);
    }
    int rc = mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "attach") : finish(mnt, o, e);
}

/* ---- tmpcopyup ---------------------------------------------------------------------------- */

static int copy_file(int from, int to, const char *name, const struct stat *st, struct err *e)
{
    auto_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    auto_fd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return err_sys(e, "copy %s", name);
    for (;;) {
        char chunk[65536];
        ssize_t n = read(in, chunk, sizeof(chunk));
        if (n < 0)
            return err_sys(e, "copy %s", name);
        if (n == 0)
            break;
        int rc = fd_write_all(out, chunk, (size_t)n);
        if (rc < 0)
            return err_neg(e, rc, "copy %s", name);
    }
    if (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0)
        return err_sys(e, "copy %s", name);
    return 0;
}

static int copy_entry(int from, int to, const char *name, unsigned depth, struct err *e)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "copy %s", name);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, name, &st, e);
    if (S_ISLNK(st.st_mode)) {
        char text[4096];
        ssize_t n = readlinkat(from, name, text, sizeof(text) - 1);
        if (n < 0)
            return err_sys(e, "copy %s", name);
        text[n] = '\0';
        if (symlinkat(text, to, name) < 0 ||
            fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(e, "copy %s", name);
        return 0;
    }
    if (!S_ISDIR(st.st_mode)) /* sockets and devices of an image mean nothing in a tmpfs */
        return 0;
    if (mkdirat(to, name, 0700) < 0)
        return err_sys(e, "copy %s", name);
    auto_fd int sub_from = openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_fd int sub_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub_from < 0 || sub_to < 0)
        return err_sys(e, "copy %s", name);
    TRY(copy_up(sub_from, sub_to, depth + 1, e));
    if (fchown(sub_to, st.st_uid, st.st_gid) < 0 || fchmod(sub_to, st.st_mode & 07777) < 0)
        return err_sys(e, "copy %s", name);
    return 0;
}

static int copy_up(int from, int to, unsigned depth, struct err *e)
{
    if (depth > 64)
        return err_set(e, ERR_TOO_LARGE, "tmpcopyup: directories nested too deep");
    int list = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = list < 0 ? NULL : fdopendir(list);
    if (d == NULL) {
        fd_close(list);
        return err_sys(e, "tmpcopyup");
    }
    int rc = 0;
    for (struct dirent *ent;
         rc == 0 && (ent = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
            rc = copy_entry(from, to, ent->d_name, depth, e);
    closedir(d);
    return rc;
}

int rootfs_mount(struct rootfs *r, const struct oci_mount *m, struct err *e)
{
    struct mount_options o;
    int rc;
    if (m->destination == NULL || *m->destination == '\0')
        return err_set(e, ERR_INVALID, "mount without a destination");
    TRY(mount_options_parse(&m->options, r->a, &o, e));
    if (o.tmpcopyup && !is_type(m, "tmpfs"))
        return err_set(e, ERR_INVALID, "tmpcopyup is only supported for tmpfs");
    if (!o.bind && (o.idmap || m->uid_mappings.n > 0))
        return err_set(e, ERR_INVALID, "id-mapped mounts are only supported for bind-mounts");
    if (o.bind)
        rc = mount_bind(r, m, &o, e);
    else if (m->type == NULL)
        rc = err_set(e, ERR_INVALID, "mount without a type");
    else if (is_type(m, "tmpfs"))
        rc = mount_tmpfs(r, m, &o, e);
    else if (is_type(m, "cgroup"))
        rc = (r->host->mode == CGROUP_V2 ? mount_cgroup_v2 : mount_cgroup_v1)(r, m, &o, e);
    else
        rc = mount_other(r, m, &o, e);
    if (rc < 0)
        return err_wrap(e, "error mounting \"%s\" to rootfs at \"%s\"",
                        m->source != NULL ? m->source : (m->type != NULL ? m->type : ""),
                        m->destination);
    return 0;
}
