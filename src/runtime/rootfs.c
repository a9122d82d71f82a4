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

static int open_proc(struct rootfs *r, struct err *e)
{
    struct statfs fs;
    struct stat st;
    r->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->proc_fd < 0)
        return err_sys(e, "open /proc");
    if (fstatfs(r->proc_fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC ||
        fstat(r->proc_fd, &st) < 0 || st.st_ino != 1)
        return err_set(e, ERR_INTERNAL, "/proc is not a proc file system");
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

int rootfs_clone(struct rootfs *r, const char *path, bool recursive)
{
    int fd = mount_clone(AT_FDCWD, path, recursive);
    if ((fd == -EACCES || fd == -EPERM) && r->clone_outside != NULL)
        fd = r->clone_outside(r->clone_arg, path, recursive);
    return fd;
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
    TRY(open_proc(r, e));
    TRY(bind_root(r, e));
    vec_each(m, &r->spec->mounts)
        TRY(rootfs_mount(r, m, e));
    if (!binds_dev(r->spec))
        TRY(rootfs_devices(r, e));
    return 0;
}

int rootfs_chroot(struct rootfs *r, struct err *e)
{
    if (r->proc_fd < 0)
        TRY(open_proc(r, e));
    if (r->fd < 0)
        r->fd = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0 || fchdir(r->fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return err_sys(e, "chroot to %s", r->path);
    return 0;
}

static int pivot(struct rootfs *r, struct err *e)
{
    if (fchdir(r->fd) < 0)
        return err_sys(e, "chdir to rootfs %s", r->path);
    /* the old root lands on top of the new one, at the same place, and is then taken off */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return err_sys(e, "pivot_root .");
    if (mount("", ".", "", MS_SLAVE | MS_REC, "") < 0)
        return err_sys(e, "make the old root a slave");
    if (umount2(".", MNT_DETACH) < 0)
        return err_sys(e, "unmount the old root");
    return 0;
}

/* Without pivot_root the old mounts stay below: cover nothing, but leave no procfs or sysfs there
 * that the kernel would count as "fully visible". */
static int move_root(struct rootfs *r, struct err *e)
{
    static const char *const full[] = {"/proc", "/sys"};
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        if (mount("", full[i], "", MS_SLAVE | MS_REC, "") < 0 ||
            umount2(full[i], MNT_DETACH) == 0 || errno == EINVAL || errno == EPERM)
            continue;
        return err_sys(e, "unmount %s of the host", full[i]);
    }
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
