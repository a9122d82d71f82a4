/* The files of one rotated log: see jsonlog_files.h. */
#include "stdio/jsonlog_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "stdio/jsonlog_gzip.h"
#include "sys/fd.h"

#define TRIES 1000 /* looks at files that are being renamed */
#define GAP_MAX 2  /* a rotation that was killed leaves at most one number free */
#define BLOCK ((int64_t)64 << 10)

char *jsonlog_file_name(const char *path, int64_t number, bool gz)
{
    return number == 0 ? mem_strdup(path)
                       : mem_printf("%s.%lld%s", path, (long long)number, gz ? ".gz" : "");
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

void jsonlog_file_close(struct jsonlog_file *f)
{
    fd_close(take_fd(&f->fd));
    fd_close(take_fd(&f->gz));
}

/* The descriptor of file i in one of its forms, -1 with errno ENOENT when absent. */
static int open_form(const char *path, int64_t i, bool gz)
{
    auto_free char *name = jsonlog_file_name(path, i, gz);
    return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* File i as it is, or compressed. False with errno ENOENT when absent; the plain one goes only when
 * the other is there, so a third look decides. */
static bool open_at(const char *path, int64_t i, struct jsonlog_file *out)
{
    *out = JSONLOG_FILE_NONE;
    out->fd = open_form(path, i, false);
    if (out->fd < 0 && errno == ENOENT && i > 0)
        out->gz = open_form(path, i, true);
    if (out->fd < 0 && out->gz < 0 && errno == ENOENT)
        out->fd = open_form(path, i, false);
    return out->fd >= 0 || out->gz >= 0;
}

/* How a file is known: st of the one that was opened. */
struct identity {
    struct stat st;
    bool gz;
};

static int identify(const struct jsonlog_file *f, struct identity *out, struct err *e)
{
    out->gz = f->gz >= 0;
    return fstat(out->gz ? f->gz : f->fd, &out->st) < 0 ? err_sys(e, "stat log file") : 0;
}

/* How the file numbered i stands to another: -1 absent, 0 not that one, 1 that one. A plain file
 * that is open may have been compressed since; its inode is not given to others meanwhile. */
static int is_at(const char *path, int64_t i, const struct identity *id)
{
    auto_free char *plain = jsonlog_file_name(path, i, false);
    auto_free char *gz = jsonlog_file_name(path, i, true);
    struct stat now;
    bool has_plain = stat(plain, &now) == 0;
    if (has_plain && !id->gz && is_same(&now, &id->st))
        return 1;
    if (i == 0 || stat(gz, &now) < 0)
        return has_plain ? 0 : -1;
    if (id->gz)
        return is_same(&now, &id->st);
    auto_fd int fd = open(gz, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0 && log_gzip_is_of(fd, &id->st);
}

struct numbered {
    struct jsonlog_file file;
    int64_t number;
};
typedef VEC(struct numbered) numbered_vec;

static int open_all(const char *path, numbered_vec *out, struct err *e)
{
    int gap = 0;
    for (int64_t i = 0; gap < GAP_MAX; i++) {
        struct numbered n = {.number = i};
        bool there = open_at(path, i, &n.file);
        if (!there && errno != ENOENT && errno != ENOTDIR)
            return err_sys(e, "open log file %s", path);
        gap = there ? 0 : gap + 1;
        if (there)
            vec_push(out, n);
    }
    return 0;
}

static void close_all(numbered_vec *v)
{
    vec_each(f, v)
        jsonlog_file_close(&f->file);
    v->n = 0;
}

static bool all_in_place(const char *path, numbered_vec *v)
{
    struct err ignored = {0};
    struct identity id;
    vec_each(f, v)
        if (identify(&f->file, &id, &ignored) < 0 || is_at(path, f->number, &id) != 1)
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
        vec_push(&out->v, v.v[i - 1].file);
    vec_done(&v);
    return r;
}

void jsonlog_files_close(struct jsonlog_files *f)
{
    vec_each(file, &f->v)
        jsonlog_file_close(file);
    vec_done(&f->v);
}

int jsonlog_file_fd(const char *path, struct jsonlog_file *f, struct err *e)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir =
        slash == NULL ? mem_strdup(".") : mem_strndup(path, MAX((size_t)(slash - path), (size_t)1));
    if (f->fd >= 0)
        return f->fd;
    auto_fd int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, "room for an uncompressed log in %s", dir);
    TRY(log_gzip_inflate(f->gz, fd, e));
    f->fd = take_fd(&fd);
    return f->fd;
}

/* The number that the file has now, or -1 when it is gone; out_oldest is the highest there is. */
static int64_t find_number(const char *path, const struct identity *id, int64_t *out_oldest)
{
    int gap = 0;
    *out_oldest = -1;
    for (int64_t i = 0; gap < GAP_MAX; i++) {
        int there = is_at(path, i, id);
        gap = there < 0 ? gap + 1 : 0;
        if (there < 0)
            continue;
        *out_oldest = i;
        if (there == 1)
            return i;
    }
    return -1;
}

/* As jsonlog_files_next, or -2: the files were renamed meanwhile, look again. */
static int next_once(const char *path, const struct identity *id, struct jsonlog_file *out,
                     struct err *e)
{
    int64_t oldest, number = find_number(path, id, &oldest), next;
    struct jsonlog_file got;
    struct identity got_id;
    if (number == 0 || (number < 0 && oldest < 0))
        return 0;
    next = number > 0 ? number - 1 : oldest;
    bool there = open_at(path, next, &got);
    while (!there && errno == ENOENT && next > 0) /* a rotation under way, or one that was killed */
        there = open_at(path, --next, &got);
    if (!there && errno != ENOENT)
        return err_sys(e, "open log file %s", path);
    int r = there;
    if (number > 0 && is_at(path, number, id) != 1)
        r = -2;
    else if (there && (identify(&got, &got_id, e) < 0 || is_at(path, next, &got_id) != 1))
        r = -2;
    if (r == 1)
        *out = got;
    else
        jsonlog_file_close(&got);
    return r;
}

int jsonlog_files_next(const char *path, const struct jsonlog_file *f, struct jsonlog_file *out,
                       struct err *e)
{
    struct identity id;
    TRY(identify(f, &id, e));
    for (int i = 0; i < TRIES; i++) {
        int r = next_once(path, &id, out, e);
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

int jsonlog_files_tail(const char *path, struct jsonlog_files *f, int64_t n, size_t *out_index,
                       int64_t *out_off, struct err *e)
{
    bool found = false;
    *out_index = 0;
    *out_off = 0;
    for (size_t i = f->v.n; i > 0 && !found; i--) {
        int fd = jsonlog_file_fd(path, &f->v.v[i - 1], e);
        TRY(fd);
        *out_index = i - 1;
        TRY(tail_of_file(fd, &n, &found, out_off, e));
    }
    return 0;
}
