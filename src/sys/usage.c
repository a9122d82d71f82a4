/* How much a tree occupies: an iterative walk by descriptors, so that neither depth nor links lead
 * it astray. */
#include "sys/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/map.h"
#include "sys/fd.h"

#define DEPTH_MAX 4096

struct walk {
    const struct usage_skip *skip;
    dev_t dev;
    struct map links; /* "inode" of files with several names that were counted */
    int64_t bytes, inodes;
};

static void count(struct walk *w, const struct stat *st)
{
    char key[32];

    if (st->st_nlink > 1 && !S_ISDIR(st->st_mode)) {
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)st->st_ino);
        if (map_has(&w->links, key))
            return;
        (void)map_put(&w->links, key, w);
    }
    w->bytes += (int64_t)st->st_blocks * 512;
    w->inodes++;
}

static bool is_skipped(const struct walk *w, const struct stat *st)
{
    if (w->skip != NULL && S_ISDIR(st->st_mode))
        vec_each(ino, &w->skip->inodes)
            if (*ino == st->st_ino)
                return true;
    return false;
}

/* One step: the next entry of d. 1: a directory to go into is in *out_fd; 0: go on; -1: d is at its
 * end. */
static int step(struct walk *w, DIR *d, int *out_fd)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    const struct dirent *ent = readdir(d);
    struct stat st;

    if (ent == NULL)
        return -1;
    if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
        return 0;
    if (fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0 ||
        st.st_dev != w->dev || is_skipped(w, &st))
        return 0; /* gone meanwhile, or another file system */
    count(w, &st);
    if (!S_ISDIR(st.st_mode))
        return 0;
    *out_fd = openat(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *out_fd >= 0 ? 1 : 0;
}

int usage_of_tree(int dir_fd, const struct usage_skip *skip, int64_t *out_bytes,
                  int64_t *out_inodes, struct err *e)
{
    VEC(DIR *) stack = {0};
    struct walk w = {.skip = skip};
    struct stat st;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)err_sys(e, "read directory");
        fd_close(fd);
        return -1;
    }
    w.dev = st.st_dev;
    count(&w, &st);
    do {
        if (fd >= 0) {
            DIR *d = stack.n < DEPTH_MAX ? fdopendir(fd) : NULL;
            if (d == NULL) {
                fd_close(fd);
                r = err_set(e, ERR_INTERNAL, "directory tree is too deep, or out of descriptors");
                break;
            }
            /* NOLINTNEXTLINE(bugprone-sizeof-expression): it holds pointers */
            vec_push(&stack, d);
            fd = -1;
        }
        if (step(&w, stack.v[stack.n - 1], &fd) < 0)
            closedir(stack.v[--stack.n]);
    } while (stack.n > 0);
    while (stack.n > 0)
        closedir(stack.v[--stack.n]);
    vec_done(&stack);
    map_done(&w.links);
    if (r < 0)
        return -1;
    *out_bytes = w.bytes;
    if (out_inodes != NULL)
        *out_inodes = w.inodes;
    return 0;
}
