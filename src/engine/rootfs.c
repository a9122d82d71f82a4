/* Layers of an overlay, opened one by one. */
#include "engine/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

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

/* ro, rbind and bind are flags, the rest is data for the file system. */
static unsigned long split_options(const Types__Mount *m, struct buf *data)
{
    unsigned long flags = 0;

    for (size_t i = 0; i < m->n_options; i++) {
        const char *o = m->options[i];

        if (strcmp(o, "ro") == 0)
            flags |= MS_RDONLY;
        else if (strcmp(o, "rbind") == 0)
            flags |= MS_BIND | MS_REC;
        else if (strcmp(o, "bind") == 0)
            flags |= MS_BIND;
        else if (strcmp(o, "rw") != 0) {
            if (data->n > 0)
                buf_addc(data, ',');
            buf_adds(data, o);
        }
    }
    return flags;
}

int rootfs_mount(const struct ctd_mounts *m, const char *dir, struct err *e)
{
    for (size_t i = 0; i < m->n; i++) {
        auto_buf struct buf data = BUF_MAX(64 << 10);
        unsigned long flags = split_options(m->v[i], &data);

        if (mount(m->v[i]->source, dir, m->v[i]->type, flags, buf_cstr(&data)) < 0) {
            (void)err_sys(e, "mount the container's file system");
            rootfs_unmount(dir);
            return -1;
        }
    }
    return 0;
}

int rootfs_mount_readonly(const struct ctd_mounts *m, const char *dir, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strv dirs = layers_of(m, a);
    auto_buf struct buf data = BUF_MAX(64 << 10);

    if (dirs.n == 1) {
        if (mount(dirs.v[0], dir, NULL, MS_BIND, NULL) < 0)
            return err_sys(e, "mount the container's file system");
        return mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0
                   ? err_sys(e, "mount the container's file system read-only")
                   : 0;
    }
    buf_adds(&data, "lowerdir=");
    vec_each(l, &dirs)
        buf_printf(&data, "%s%s", l == dirs.v ? "" : ":", *l);
    if (mount("overlay", dir, "overlay", MS_RDONLY, buf_cstr(&data)) < 0)
        return err_sys(e, "mount the container's file system");
    return 0;
}

void rootfs_unmount(const char *dir)
{
    while (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
}

int shm_mount(const char *dir, int64_t size, struct err *e)
{
    char data[64];

    TRY(path_mkdirs(dir, 0700, e));
    rootfs_unmount(dir);
    snprintf(data, sizeof(data), "mode=1777,size=%lld", (long long)size);
    if (mount("shm", dir, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, data) < 0)
        return err_sys(e, "mount %s", dir);
    return 0;
}
