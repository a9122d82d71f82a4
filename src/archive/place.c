/* One file at one place: see place.h. The order of owner, mode, attributes and time matters: each
 * of the first three resets something of the ones behind it. */
#include "archive/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

int place_clear(const struct place *p, bool dir_comes, struct err *e)
{
    struct stat st;
    if (fstatat(p->dir_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat %s", p->name);
    if (S_ISDIR(st.st_mode) && dir_comes)
        return 1;
    if (S_ISDIR(st.st_mode))
        return path_remove_tree(p->dir_fd, p->name, e);
    return unlinkat(p->dir_fd, p->name, 0) < 0 ? err_sys(e, "remove %s", p->name) : 0;
}

struct timespec place_mtime(struct archive_entry *ent)
{
    struct timespec ts = {0, 0};
    if (archive_entry_mtime_is_set(ent)) {
        ts.tv_sec = archive_entry_mtime(ent);
        ts.tv_nsec = archive_entry_mtime_nsec(ent);
    }
    return ts;
}

/* Small files without anything odd go through the filler. */
static bool fillable(const struct placer *pl, struct archive_entry *ent)
{
    return pl->filler != NULL && archive_entry_size(ent) <= FILLING_MAX &&
           archive_entry_sparse_count(ent) == 0 && archive_entry_xattr_count(ent) == 0;
}

static int fill_later(struct placer *pl, const struct place *p, struct archive_entry *ent,
                      const struct owner *owner, int *fd, struct err *e)
{
    size_t n = (size_t)archive_entry_size(ent);
    auto_free char *data = mem_alloc(n + 1);
    TRY(tar_in_data(&pl->in, data, n, e));
    filler_put(pl->filler, &(struct filling){.fd = take_fd(fd),
                                             .path = mem_strdup(p->path),
                                             .data = TAKE_PTR(data),
                                             .n = n,
                                             .uid = (uid_t)owner->uid,
                                             .gid = (gid_t)owner->gid,
                                             .mode = archive_entry_perm(ent) & 07777,
                                             .mtime = place_mtime(ent)});
    return 1;
}

/* 1: the filler does the rest. */
static int make_file(struct placer *pl, const struct place *p, struct archive_entry *ent,
                     const struct owner *owner, struct err *e)
{
    int64_t size = archive_entry_size_is_set(ent) ? archive_entry_size(ent) : 0;
    if (size < 0 || size > pl->max_bytes)
        return err_set(e, ERR_TOO_LARGE, "\"%.500s\" is too large: %lld bytes", p->name,
                       (long long)size);
    auto_fd int fd =
        openat(p->dir_fd, p->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, "create %s", p->name);
    if (fillable(pl, ent))
        return fill_later(pl, p, ent, owner, &fd, e);
    TRY(tar_in_data_to(&pl->in, fd, size, e));
    if (ftruncate(fd, size) < 0) /* a hole at the end */
        return err_sys(e, "write %s", p->name);
    return 0;
}

static int make_node(const struct place *p, struct archive_entry *ent, struct err *e)
{
    mode_t type = archive_entry_filetype(ent);
    dev_t dev =
        makedev((unsigned)archive_entry_rdevmajor(ent), (unsigned)archive_entry_rdevminor(ent));
    if (mknodat(p->dir_fd, p->name, type | 0600, type == AE_IFIFO ? 0 : dev) < 0)
        return err_sys(e, "make node %s", p->name);
    return 0;
}

/* 1: the filler gives it owner, mode and time. */
static int make_it(struct placer *pl, const struct place *p, struct archive_entry *ent,
                   const struct owner *owner, struct err *e)
{
    const char *target;
    switch (archive_entry_filetype(ent)) {
    case AE_IFREG:
        return make_file(pl, p, ent, owner, e);
    case AE_IFDIR:
        if (mkdirat(p->dir_fd, p->name, 0700) < 0 && errno != EEXIST)
            return err_sys(e, "make directory %s", p->name);
        return 0;
    case AE_IFLNK:
        target = archive_entry_symlink(ent);
        if (target == NULL || target[0] == 0 || strlen(target) > 4095)
            return err_set(e, ERR_INVALID,
                           "invalid tar: symbolic link \"%.500s\" has no usable target", p->name);
        return symlinkat(target, p->dir_fd, p->name) < 0 ? err_sys(e, "make link %s", p->name) : 0;
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        return make_node(p, ent, e);
    default:
        return err_set(e, ERR_INVALID, "invalid tar: unhandled type of \"%.500s\"", p->name);
    }
}

static bool attribute_wanted(const char *name)
{
    struct str s = str_of(name);
    return !str_starts(s, "trusted.") && !str_starts(s, "user.overlay.") &&
           (!str_starts(s, "security.") || str_eq(s, "security.capability"));
}

static int set_attributes(const struct place *p, struct archive_entry *ent, struct err *e)
{
    const char *name;
    const void *value;
    size_t n;
    if (archive_entry_xattr_reset(ent) == 0)
        return 0;
    /* there is no setxattrat before 6.13 */
    if (fchdir(p->dir_fd) < 0)
        return err_sys(e, "enter directory");
    while (archive_entry_xattr_next(ent, &name, &value, &n) == ARCHIVE_OK) {
        if (name == NULL || !attribute_wanted(name))
            continue;
        if (lsetxattr(p->name, name, value, n, 0) < 0 && errno != ENOTSUP && errno != EPERM)
            return err_sys(e, "set %.100s of %s", name, p->name);
    }
    return 0;
}

int place_entry(struct placer *pl, const struct place *p, struct archive_entry *ent, struct err *e)
{
    mode_t type = archive_entry_filetype(ent);
    const struct owner in_archive = {true, archive_entry_uid(ent), archive_entry_gid(ent)};
    const struct owner *owner = pl->owner.given ? &pl->owner : &in_archive;
    int64_t uid = owner->uid, gid = owner->gid;
    if (uid < 0 || uid > UINT32_MAX - 1 || gid < 0 || gid > UINT32_MAX - 1)
        return err_set(e, ERR_INVALID, "invalid tar: owner of \"%.500s\" is out of range", p->name);
    int later = make_it(pl, p, ent, owner, e);
    if (later != 0)
        return later < 0 ? -1 : 0;
    if (fchownat(p->dir_fd, p->name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "set owner of %s", p->name);
    if (type != AE_IFLNK && fchmodat(p->dir_fd, p->name, archive_entry_perm(ent) & 07777, 0) < 0)
        return err_sys(e, "set mode of %s", p->name);
    TRY(set_attributes(p, ent, e));
    const struct timespec ts[2] = {place_mtime(ent), place_mtime(ent)};
    if (type != AE_IFDIR && utimensat(p->dir_fd, p->name, ts, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "set time of %s", p->name);
    return 0;
}
