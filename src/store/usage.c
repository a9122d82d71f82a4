/* Walking a tree by descriptors: names in it are somebody else's and are never joined to paths. */
#include "store/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/map.h"
#include "sys/fd.h"

struct walk {
    int64_t bytes, inodes;
    dev_t dev;
    struct map seen; /* inodes with several links */
};

static bool counted(struct walk *w, const struct stat *st)
{
    char key[24];
    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return false;
    (void)snprintf(key, sizeof(key), "%llx", (unsigned long long)st->st_ino);
    return map_put(&w->seen, key, w) != NULL;
}

static int walk_dir(struct walk *w, int fd, int depth, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read directory");
    }
    int r = 0;
    for (struct dirent *de; r == 0 && (de = readdir(d)) != NULL;) {
        struct stat st;
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
            continue; /* gone meanwhile */
        if (st.st_dev != w->dev || counted(w, &st))
            continue;
        w->bytes += st.st_blocks * 512;
        w->inodes++;
        if (!S_ISDIR(st.st_mode))
            continue;
        int sub = openat(dirfd(d), de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0 && errno != ENOENT)
            r = err_sys(e, "open directory");
        else if (sub >= 0 && depth > 1000)
            r = err_set(e, ERR_INVALID, "directories are nested too deeply"), fd_close(sub);
        else if (sub >= 0)
            r = walk_dir(w, sub, depth + 1, e);
    }
    closedir(d);
    return r;
}

int usage_of_tree(int dir_fd, int64_t *out_bytes, int64_t *out_inodes, struct err *e)
{
    struct walk w = {0};
    struct stat st;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fd_close(fd);
        return err_sys(e, "open directory");
    }
    w.dev = st.st_dev;
    w.bytes = st.st_blocks * 512;
    w.inodes = 1;
    int r = walk_dir(&w, fd, 0, e);
    map_done(&w.seen);
    if (r == 0) {
        *out_bytes = w.bytes;
        *out_inodes = w.inodes;
    }
    return r;
}
