/* The files of one rotated log: see jsonlog_files.h. */
#include "stdio/jsonlog_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sys/fd.h"

#define TRIES 1000 /* looks at files that are being renamed */
#define GAP_MAX 2  /* a rotation that was killed leaves at most one number free */
#define BLOCK ((int64_t)64 << 10)

static char *name_of(const char *path, int64_t i)
{
    return i == 0 ? mem_strdup(path) : mem_printf("%s.%lld", path, (long long)i);
}

/* 1: the file numbered i is the one of st; 0: it is another or absent. */
static bool is_at(const char *path, int64_t i, const struct stat *st)
{
    auto_free char *name = name_of(path, i);
    struct stat now;
    return stat(name, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

/* The descriptor of file i, -1 with errno ENOENT when absent. */
static int open_at(const char *path, int64_t i)
{
    auto_free char *name = name_of(path, i);
    return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

struct numbered {
    int fd;
    int64_t number;
};
typedef VEC(struct numbered) numbered_vec;

static int open_all(const char *path, numbered_vec *out, struct err *e)
{
    int gap = 0;
    for (int64_t i = 0; gap < GAP_MAX; i++) {
        int fd = open_at(path, i);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
            return err_sys(e, "open log file %s", path);
        gap = fd < 0 ? gap + 1 : 0;
        if (fd >= 0)
            vec_push(out, ((struct numbered){fd, i}));
    }
    return 0;
}

static void close_all(numbered_vec *v)
{
    vec_each(f, v)
        fd_close(f->fd);
    v->n = 0;
}

static bool all_in_place(const char *path, numbered_vec *v)
{
    struct stat st;
    vec_each(f, v)
        if (fstat(f->fd, &st) < 0 || !is_at(path, f->number, &st))
            return false;
    return true;
}

int jsonlog_files_open(const char *path, struct jsonlog_files *out, struct err *e)
{
    numbered_vec v = {0};
    int r = 0;
    bool settled = false;
    for (int i = 0; i < TRIES && r == 0 && !settled; i++) {
        close_all(&v);
        r = open_all(path, &v, e);
        settled = r == 0 && all_in_place(path, &v);
    }
    if (r == 0 && !settled)
        r = err_set(e, ERR_INTERNAL, "log file %s is rotated faster than it can be read", path);
    if (r < 0)
        close_all(&v);
    for (size_t i = v.n; i > 0; i--)
        vec_push(&out->fds, v.v[i - 1].fd);
    vec_done(&v);
    return r;
}

void jsonlog_files_close(struct jsonlog_files *f)
{
    vec_each(fd, &f->fds)
        fd_close(*fd);
    vec_done(&f->fds);
}

/* The number that the file of st has now, or -1 when it is gone; out_oldest is the highest there
 * is. */
static int64_t find_number(const char *path, const struct stat *st, int64_t *out_oldest)
{
    int gap = 0;
    *out_oldest = -1;
    for (int64_t i = 0; gap < GAP_MAX; i++) {
        auto_free char *name = name_of(path, i);
        struct stat now;
        gap = stat(name, &now) < 0 ? gap + 1 : 0;
        if (gap > 0)
            continue;
        *out_oldest = i;
        if (now.st_dev == st->st_dev && now.st_ino == st->st_ino)
            return i;
    }
    return -1;
}

/* As jsonlog_files_next, or -2: the files were renamed meanwhile, look again. */
static int next_once(const char *path, const struct stat *st, int *out_fd, struct err *e)
{
    int64_t oldest, number = find_number(path, st, &oldest), next;
    struct stat got;
    if (number == 0 || (number < 0 && oldest < 0))
        return 0;
    next = number > 0 ? number - 1 : oldest;
    int fd = open_at(path, next);
    while (fd < 0 && errno == ENOENT && next > 0) /* a rotation under way, or one that was killed */
        fd = open_at(path, --next);
    if (fd < 0 && errno != ENOENT)
        return err_sys(e, "open log file %s", path);
    auto_fd int owned = fd;
    if (number > 0 && !is_at(path, number, st))
        return -2;
    if (fd < 0)
        return 0;
    if (fstat(fd, &got) < 0 || !is_at(path, next, &got))
        return -2;
    *out_fd = take_fd(&owned);
    return 1;
}

int jsonlog_files_next(const char *path, int fd, int *out_fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "stat log file %s", path);
    for (int i = 0; i < TRIES; i++) {
        int r = next_once(path, &st, out_fd, e);
        if (r != -2)
            return r;
    }
    return err_set(e, ERR_INTERNAL, "log file %s is rotated faster than it can be read", path);
}

/*
 * Go back over the newlines of one file. *left is how many records are still wanted; found when
 * their begin is in this file.
 */
static int tail_of_file(int fd, int64_t *left, bool *found, int64_t *out_off, struct err *e)
{
    auto_free char *block = mem_alloc((size_t)BLOCK);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "stat log file");
    int64_t end = st.st_size, seen = 0;
    while (end > 0) {
        int64_t from = (end - 1) / BLOCK * BLOCK;
        ssize_t n = pread(fd, block, (size_t)(end - from), from);
        if (n < 0)
            return err_sys(e, "read log file");
        for (const char *nl; (nl = memrchr(block, '\n', (size_t)n)) != NULL; n = nl - block) {
            if (seen++ < *left)
                continue;
            *out_off = from + (nl - block) + 1;
            *found = true;
            return 0;
        }
        end = from;
    }
    *left -= seen;
    *out_off = 0;
    *found = *left == 0;
    return 0;
}

int jsonlog_files_tail(const struct jsonlog_files *f, int64_t n, size_t *out_index,
                       int64_t *out_off, struct err *e)
{
    bool found = false;
    *out_index = 0;
    *out_off = 0;
    for (size_t i = f->fds.n; i > 0 && !found; i--) {
        *out_index = i - 1;
        TRY(tail_of_file(f->fds.v[i - 1], &n, &found, out_off, e));
    }
    return 0;
}
