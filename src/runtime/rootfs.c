/*
 * The root file system as a whole: see rootfs.h. The order is that of the specification's
 * lifecycle; single mounts are in mounting.c, /dev and hidden paths in nodes.c.
 */
#include "runtime/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/path.h"

void rootfs_done(struct rootfs *r)
{
    fd_close(r->fd);
    fd_close(r->proc_fd);
    r->fd = r->proc_fd = -1;
}

static unsigned long propagation_flag(const char *name)
{
    static const struct {
        const char *name;
        unsigned long flag;
    } table[] = {
        {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
        {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
        {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
        {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (name != NULL && strcmp(table[i].name, name) == 0)
            return table[i].flag;
    return 0;
}

/* pivot_root refuses a root whose parent mount is shared: make that one private (or slave). */
static int unshare_parent(const char *path, unsigned long how, struct err *e)
{
    auto_free char *at = mem_strdup(path);
    for (;;) {
        if (mount("", at, "", how, "") == 0)
            return 0;
        if (errno != EINVAL || strcmp(at, "/") == 0)
            return err_sys(e, "make the mount of %s private", path);
        char *slash = strrchr(at, '/'); /* not a mount point: try the directory above */
        slash[slash == at ? 1 : 0] = '\0';
    }
}

int rootfs_open(struct rootfs *r, struct err *e)
{
    struct statfs fs;
    struct stat st;
    r->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->proc_fd < 0)
        return err_sys(e, "open /proc");
    if (fstatfs(r->proc_fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC ||
        fstat(r->proc_fd, &st) < 0 || st.st_ino != 1)
        return err_set(e, ERR_INTERNAL, "/proc is not a proc file system");
    const char *label = r->spec->linux_->mount_label;
    r->selinux = label != NULL && *label != '\0' && spec_selinux_on();
    return 0;
}

static int change_propagation(struct rootfs *r, struct err *e)
{
    unsigned long how = propagation_flag(r->spec->linux_->rootfs_propagation);
    if (spec_ns(r->spec, "mount") == NULL) /* the host's: none of our business */
        return 0;
    if (mount("", "/", "", how != 0 ? how : MS_SLAVE | MS_REC, "") < 0)
        return err_sys(e, "change the propagation of /");
    /* "slave" and such reach "/" only: the mount that holds the rootfs may still be shared with the
     * host, and whatever we mount below it would appear there */
    if (how != 0 && how != (MS_SLAVE | MS_REC) && how != (MS_PRIVATE | MS_REC))
        return unshare_parent(r->path, (how & MS_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE, e);
    return 0;
}

static int bind_root(struct rootfs *r, struct err *e)
{
    TRY(change_propagation(r, e));
    auto_fd int target = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return err_sys(e, "open rootfs %s", r->path);
    int fd = rootfs_clone(r, r->path, true);
    if (fd < 0)
        return err_neg(e, fd, "bind rootfs %s", r->path);
    r->fd = fd;
    int rc = mount_attach(fd, target);
    return rc < 0 ? err_neg(e, rc, "bind rootfs %s", r->path) : 0;
}

bool rootfs_is_idmapped(const struct oci_mount *m)
{
    return strv_has(&m->options, "idmap") || strv_has(&m->options, "ridmap") ||
           m->uid_mappings.n > 0 || m->gid_mappings.n > 0;
}

int rootfs_clone_by(struct rootfs *r, const struct rootfs_clone_order *order)
{
    if (order->idmap)
        return r->clone_outside(r->clone_arg, order);
    int fd = mount_clone(AT_FDCWD, order->path, order->recursive);
    if (fd == -EACCES || fd == -EPERM)
        fd = r->clone_outside(r->clone_arg, order);
    return fd;
}

int rootfs_clone(struct rootfs *r, const char *path, bool recursive)
{
    return rootfs_clone_by(r, &(struct rootfs_clone_order){.path = path, .recursive = recursive});
}

static bool binds_dev(const struct oci_spec *s)
{
    vec_each(m, &s->mounts) {
        if (m->destination == NULL || strcmp(m->destination, "/dev") != 0)
            continue;
        if (strv_has(&m->options, "bind") || strv_has(&m->options, "rbind"))
            return true;
    }
    return false;
}

int rootfs_prepare(struct rootfs *r, struct err *e)
{
    TRY(bind_root(r, e));
    vec_each(m, &r->spec->mounts)
        TRY(rootfs_mount(r, m, e));
    if (!binds_dev(r->spec))
        TRY(rootfs_devices(r, e));
    return 0;
}

int rootfs_chroot(struct rootfs *r, struct err *e)
{
    if (r->fd < 0)
        r->fd = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0 || fchdir(r->fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return err_sys(e, "chroot to %s", r->path);
    return 0;
}

static int pivot(struct rootfs *r, struct err *e)
{
    auto_fd int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || fchdir(r->fd) < 0)
        return err_sys(e, "chdir to rootfs %s", r->path);
    /* the old root lands on top of the new one, at the same place, and is then taken off */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return err_sys(e, "pivot_root .");
    /* "." is still the new one; what we unmount in the old one must not end on the host as well */
    if (fchdir(old) < 0)
        return err_sys(e, "chdir to the old root");
    if (mount("", ".", "", MS_SLAVE | MS_REC, "") < 0)
        return err_sys(e, "make the old root a slave");
    if (umount2(".", MNT_DETACH) < 0)
        return err_sys(e, "unmount the old root");
    return 0;
}

/* A path of mountinfo as it is: blanks and such stand there as three octal digits. */
static char *unescape(struct str word)
{
    char *out = mem_alloc(word.n + 1), *to = out;
    for (size_t i = 0; i < word.n; i++) {
        bool code = word.p[i] == '\\' && word.n - i > 3;
        *to++ = code ? (char)((word.p[i + 1] - '0') * 64 + (word.p[i + 2] - '0') * 8 +
                              (word.p[i + 3] - '0'))
                     : word.p[i];
        i += code ? 3 : 0;
    }
    *to = '\0';
    return out;
}

/* One line of mountinfo that is a whole procfs or sysfs outside of our root: where, else NULL. */
static char *full_mount(struct str line, const char *root)
{
    const char *dash = memmem(line.p, line.n, " - ", 3);
    if (dash == NULL)
        return NULL;
    struct str type = {dash + 3, line.n - (size_t)(dash + 3 - line.p)};
    type = str_cut(&type, ' ');
    for (int i = 0; i < 3; i++)
        str_cut(&line, ' ');
    struct str top = str_cut(&line, ' '), point = str_cut(&line, ' ');
    size_t n = strlen(root);
    bool inside =
        point.n >= n && memcmp(point.p, root, n) == 0 && (point.n == n || point.p[n] == '/');
    if (inside || !str_eq(top, "/") || !(str_eq(type, "proc") || str_eq(type, "sysfs")))
        return NULL;
    return unescape(point);
}

/* Without pivot_root the old mounts stay below: leave no procfs or sysfs there that the kernel
 * would count as "fully visible", for then a user namespace inside could mount a fresh one. */
static int hide_full_mounts(const struct rootfs *r, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(16 << 20);
    TRY(file_read(AT_FDCWD, "/proc/self/mountinfo", &text, e));
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        /* the last first: those on top hide others at the same place */
        struct str line = str_cut_last(&rest, '\n');
        auto_free char *at = full_mount(line, r->path);
        if (at == NULL)
            continue;
        if (mount("", at, "", MS_SLAVE | MS_REC, "") == 0 && umount2(at, MNT_DETACH) == 0)
            continue;
        if (errno == ENOENT) /* below another mount: out of reach */
            continue;
        if (errno != EINVAL && errno != EPERM)
            return err_sys(e, "unmount %s of the host", at);
        if (mount("tmpfs", at, "tmpfs", 0, "") < 0) /* locked: cover it */
            return err_sys(e, "cover %s of the host", at);
    }
    return 0;
}

static int move_root(struct rootfs *r, struct err *e)
{
    TRY(hide_full_mounts(r, e));
    if (fchdir(r->fd) < 0)
        return err_sys(e, "chdir to rootfs %s", r->path);
    if (mount(".", "/", "", MS_MOVE, "") < 0)
        return err_sys(e, "move rootfs to /");
    if (chroot(".") < 0)
        return err_sys(e, "chroot");
    return 0;
}

int rootfs_enter(struct rootfs *r, bool no_pivot, struct err *e)
{
    unsigned long how = propagation_flag(r->spec->linux_->rootfs_propagation);
    if (no_pivot && (how & MS_PRIVATE) != 0)
        return err_set(e, ERR_INVALID,
                       "rootfsPropagation of [r]private is not safe without pivot_root");
    TRY((no_pivot ? move_root : pivot)(r, e));
    if (chdir("/") < 0)
        return err_sys(e, "chdir to /");
    if ((how & (MS_SHARED | MS_UNBINDABLE)) != 0 && mount("", "/", "", how, "") < 0)
        return err_sys(e, "change the propagation of the root");
    return 0;
}

int rootfs_readonly(struct rootfs *r, struct err *e)
{
    for (size_t i = 0; i < r->late_readonly.n; i++) {
        auto_fd int fd = path_open_in(r->fd, r->late_readonly.v[i], O_PATH, e);
        if (fd < 0)
            return -1;
        int rc = mount_change(fd, MOUNT_ATTR_RDONLY, 0, 0, false);
        if (rc < 0)
            return err_neg(e, rc, "make %s read-only", r->late_readonly.v[i]);
    }
    if (!r->spec->root->readonly)
        return 0;
    auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = root < 0 ? -errno : mount_change(root, MOUNT_ATTR_RDONLY, 0, 0, false);
    return rc < 0 ? err_neg(e, rc, "make the root read-only") : 0;
}
