/* Layers of an overlay, opened one by one. */
#include "engine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/overlay.h"
#include "sys/path.h"
#include "sys/userns.h"

/* The value of an overlay option, or an empty view. */
static struct str option(const Types__Mount *m, const char *key)
{
    for (size_t i = 0; i < m->n_options; i++)
        if (str_starts(str_of(m->options[i]), key))
            return str_of(m->options[i] + strlen(key));
    return (struct str){0};
}

/* The directories of the snapshot, topmost first. */
static struct strv layers_of(const struct ctd_mounts *m, struct arena *a)
{
    struct strv dirs = {0};
    struct str upper, lower;

    if (m->n == 0)
        return dirs;
    if (strcmp(m->v[0]->type, "overlay") != 0) {
        vec_push_in(a, &dirs, m->v[0]->source);
        return dirs;
    }
    upper = option(m->v[0], "upperdir=");
    if (upper.n > 0)
        vec_push_in(a, &dirs, arena_strndup(a, upper.p, upper.n));
    lower = option(m->v[0], "lowerdir=");
    while (lower.n > 0) {
        struct str dir = str_cut(&lower, ':');

        vec_push_in(a, &dirs, arena_strndup(a, dir.p, dir.n));
    }
    return dirs;
}

/* True when the layer says that path (or a folder above it) is deleted. */
static bool is_whiteout(int root, const char *path, struct arena *a)
{
    for (const char *end = path; *end != '\0';) {
        struct stat st;

        end = strchrnul(end + 1, '/');
        if (fstatat(root, arena_strndup(a, path, (size_t)(end - path)), &st, AT_SYMLINK_NOFOLLOW) <
            0)
            return false;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
            return true;
    }
    return false;
}

static int read_regular(int fd, struct buf *out, const char *path, struct err *e)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return err_sys(e, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return 0;
    r = fd_read_to_end(fd, out);
    if (r == -EFBIG)
        return err_set(e, ERR_TOO_LARGE, "%s in the container is too long", path);
    return r < 0 ? err_neg(e, r, "read %s", path) : 0;
}

int rootfs_read(const struct ctd_mounts *m, const char *path, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strv dirs = layers_of(m, a);

    while (*path == '/')
        path++;
    vec_each(dir, &dirs) {
        auto_fd int root = open(*dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        auto_fd int fd = -1;
        struct err why = {0};

        if (root < 0)
            return err_sys(e, "open %s", *dir);
        fd = path_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &why);
        if (fd >= 0)
            return read_regular(fd, out, path, e);
        if (is_whiteout(root, path, a))
            return 0;
    }
    return 0;
}

/* ---- mounting ---- */

/* Where the layers of one mount are seen. */
struct seen {
    char *place; /* mounted with their ids mapped, for the time of the mount; NULL: as they are */
    struct buf lower; /* the value of lowerdir= */
};

static void seen_done(struct seen *s)
{
    if (s->place != NULL) {
        (void)umount2(s->place, MNT_DETACH | UMOUNT_NOFOLLOW);
        (void)rmdir(s->place); /* the next start sweeps what stays */
    }
    free(s->place);
    buf_done(&s->lower);
}

static int show_mapped(const char *folder, const char *place, const struct userns_rq *rq,
                       struct err *e)
{
    auto_userns struct userns u = USERNS_NONE;

    TRY(userns_make(rq, &u, e));
    TRY(path_mkdirs(place, 0700, e));
    return overlay_show_mapped(folder, place, u.user_fd, true, e);
}

/* The lower layers of an overlay; a container's with a user namespace as that one sees them. */
static int see_layers(const Types__Mount *m, const struct rootfs_at *at, struct seen *out,
                      struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct str lower = option(m, "lowerdir="), folder = overlay_folder(lower);
    struct str uid = option(m, "uidmap="), gid = option(m, "gidmap=");

    if (lower.n == 0)
        return 0;
    if (uid.n == 0 || gid.n == 0) {
        buf_add(&out->lower, lower.p, lower.n);
        return 0;
    }
    const struct userns_rq rq = {.helper = at->sandbox, .maps = {uid.p, gid.p}};
    out->place = mem_printf("%s.lower", at->dir);
    TRY(show_mapped(arena_strndup(a, folder.p, folder.n), out->place, &rq, e));
    overlay_rebase(lower, folder, arena_printf(a, "%s/", out->place), &out->lower);
    return 0;
}

static bool is_about_layers(const char *option)
{
    static const char *const words[] = {"lowerdir=", "uidmap=", "gidmap="};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncmp(option, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* ro, rbind and bind are flags, the rest is data for the file system. */
static unsigned long split_options(const Types__Mount *m, const struct buf *lower, struct buf *data)
{
    unsigned long flags = 0;

    if (lower->n > 0)
        buf_printf(data, "lowerdir=%s", lower->p);
    for (size_t i = 0; i < m->n_options; i++) {
        const char *o = m->options[i];

        if (strcmp(o, "ro") == 0)
            flags |= MS_RDONLY;
        else if (strcmp(o, "rbind") == 0)
            flags |= MS_BIND | MS_REC;
        else if (strcmp(o, "bind") == 0)
            flags |= MS_BIND;
        else if (strcmp(o, "rw") != 0 && !is_about_layers(o))
            buf_printf(data, "%s%s", data->n > 0 ? "," : "", o);
    }
    return flags;
}

static int mount_one(const Types__Mount *m, const struct rootfs_at *at, struct err *e)
{
    CLEANUP(seen_done) struct seen s = {.lower = BUF_MAX(64 << 10)};
    auto_buf struct buf data = BUF_MAX(64 << 10);

    TRY(see_layers(m, at, &s, e));
    unsigned long flags = split_options(m, &s.lower, &data);
    if (mount(m->source, at->dir, m->type, flags, buf_cstr(&data)) < 0)
        return err_sys(e, "mount the container's file system");
    return 0;
}

int rootfs_mount(const struct ctd_mounts *m, const struct rootfs_at *at, struct err *e)
{
    for (size_t i = 0; i < m->n; i++)
        if (mount_one(m->v[i], at, e) < 0) {
            rootfs_unmount(at->dir);
            return -1;
        }
    return 0;
}

static int bind_readonly(const char *source, const char *dir, struct err *e)
{
    if (mount(source, dir, NULL, MS_BIND, NULL) < 0)
        return err_sys(e, "mount the container's file system");
    return mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0
               ? err_sys(e, "mount the container's file system read-only")
               : 0;
}

int rootfs_mount_readonly(const struct ctd_mounts *m, const struct rootfs_at *at, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    CLEANUP(seen_done) struct seen s = {.lower = BUF_MAX(64 << 10)};
    struct strv dirs = layers_of(m, a);
    struct str upper;

    if (dirs.n == 1)
        return bind_readonly(dirs.v[0], at->dir, e);
    upper = option(m->v[0], "upperdir=");
    TRY(see_layers(m->v[0], at, &s, e));
    const char *data = arena_printf(a, "lowerdir=%.*s%s%s", STR_ARG(upper), upper.n > 0 ? ":" : "",
                                    buf_cstr(&s.lower));
    if (mount("overlay", at->dir, "overlay", MS_RDONLY, data) < 0)
        return err_sys(e, "mount the container's file system");
    return 0;
}

void rootfs_unmount(const char *dir)
{
    while (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
}

int shm_mount(const char *dir, int64_t size, uid_t uid, gid_t gid, struct err *e)
{
    char data[128];

    TRY(path_mkdirs(dir, 0700, e));
    rootfs_unmount(dir);
    snprintf(data, sizeof(data), "mode=1777,size=%lld,uid=%u,gid=%u", (long long)size, uid, gid);
    if (mount("shm", dir, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, data) < 0)
        return err_sys(e, "mount %s", dir);
    return 0;
}
