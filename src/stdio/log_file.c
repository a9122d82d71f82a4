/* The writer of log_file.h. */
#include "stdio/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "stdio/jsonlog_files.h"
#include "stdio/jsonlog_gzip.h"
#include "sys/fd.h"

#define KEEP ((size_t)1 << 10)     /* of memory between writes */
#define TORN_LOOK ((off_t)1 << 20) /* how far back a whole record is looked for */

struct log_file {
    char *path;
    int fd; /* -1 after a failed rotation */
    int64_t size, max_size, max_file;
    struct log_gzip *gzip; /* NULL: rotated files stay as they are */
    bool wants_gzip;
    struct buf out; /* whole records, not yet written */
};

/* Cut off what follows the last whole record. */
static int mend_end(int fd, int64_t *size, struct err *e)
{
    char chunk[4096];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, "stat log file");
    off_t end = st.st_size, low = MAX((off_t)0, end - TORN_LOOK);
    while (end > low) {
        off_t from = MAX(low, end - (off_t)sizeof(chunk));
        ssize_t n = pread(fd, chunk, (size_t)(end - from), from);
        if (n <= 0)
            return err_sys(e, "read log file");
        const char *nl = memrchr(chunk, '\n', (size_t)n);
        end = nl != NULL ? from + (nl - chunk) + 1 : from;
        if (nl != NULL)
            break;
    }
    if (end < st.st_size && ftruncate(fd, end) < 0)
        return err_sys(e, "truncate log file");
    *size = end;
    return 0;
}

static int open_file(struct log_file *f, struct err *e)
{
    auto_fd int fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return err_sys(e, "open log file %s", f->path);
    TRY(mend_end(fd, &f->size, e));
    f->fd = take_fd(&fd);
    return 0;
}

static int remove_oldest(const struct log_file *f, bool gz, struct err *e)
{
    auto_free char *name = jsonlog_file_name(f->path, f->max_file - 1, gz);
    if (unlink(name) < 0 && errno != ENOENT)
        return err_sys(e, "remove log file %s", name);
    return 0;
}

/* The file that has number i, in this form, gets the next one. */
static int renumber(const struct log_file *f, int64_t i, bool gz, struct err *e)
{
    auto_free char *from = jsonlog_file_name(f->path, i, gz);
    auto_free char *to = jsonlog_file_name(f->path, i + 1, gz);
    if (rename(from, to) < 0 && errno != ENOENT)
        return err_sys(e, "rotate log file %s", from);
    return 0;
}

/* name.1 becomes name.2 and so on, the oldest goes. Never have two files the same number: readers
 * find their place by it. One that has a file open can read it to its end. */
static int rotate(struct log_file *f, struct err *e)
{
    fd_close(f->fd);
    f->fd = -1;
    TRY(remove_oldest(f, false, e));
    if (f->gzip != NULL)
        TRY(remove_oldest(f, true, e));
    for (int64_t i = f->max_file - 2; i >= 0; i--) {
        TRY(renumber(f, i, false, e));
        if (f->gzip != NULL && i > 0)
            TRY(renumber(f, i, true, e));
    }
    f->wants_gzip = f->gzip != NULL;
    return open_file(f, e);
}

bool log_file_wants_compress(const struct log_file *f)
{
    return f->wants_gzip;
}

int log_file_compress(struct log_file *f, struct err *e)
{
    int more = f->wants_gzip ? log_gzip_step(f->gzip, e) : 0;
    f->wants_gzip = more > 0;
    return more < 0 ? -1 : 0;
}

int log_file_flush(struct log_file *f, struct err *e)
{
    size_t done = 0;
    int saved = 0;
    while (f->fd >= 0 && done < f->out.n) {
        ssize_t n = write(f->fd, f->out.p + done, f->out.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            saved = errno;
            break;
        }
        done += (size_t)n;
    }
    if (saved != 0) { /* keep the whole records that fitted */
        const char *nl = done == 0 ? NULL : memrchr(f->out.p, '\n', done);
        done = nl == NULL ? 0 : (size_t)(nl - f->out.p) + 1;
        if (ftruncate(f->fd, f->size + (int64_t)done) < 0) {
            fd_close(f->fd); /* opening it again mends it */
            f->fd = -1;
        }
    }
    f->size += (int64_t)done;
    buf_reset(&f->out);
    if (f->out.cap > KEEP)
        buf_done(&f->out);
    if (saved != 0)
        return err_neg(e, -saved, "write log file %s", f->path);
    return 0;
}

int log_file_reopen(struct log_file *f, struct err *e)
{
    return f->fd < 0 ? open_file(f, e) : 0;
}

int log_file_begin(struct log_file *f, struct buf **out, struct err *e)
{
    int r = 0;
    *out = &f->out;
    if (f->max_size >= 0 && f->size + (int64_t)f->out.n >= f->max_size && f->size + f->out.n > 0) {
        r = log_file_flush(f, e);
        if (r == 0)
            r = rotate(f, e);
    } else if (f->out.n >= LOG_BATCH) {
        r = log_file_flush(f, e);
    }
    return r;
}

int log_file_open(const struct log_file_opts *o, struct log_file **out, struct err *e)
{
    struct log_file *f = mem_alloc(sizeof(*f));
    f->path = mem_strdup(o->path);
    f->max_size = o->max_size;
    f->max_file = o->max_file;
    f->gzip = o->compress ? log_gzip_new(o->path, o->max_file) : NULL;
    f->wants_gzip = o->compress; /* of an earlier run */
    f->fd = -1;
    f->out.max = LOG_BATCH + LOG_RECORD_MAX;
    if (open_file(f, e) < 0) {
        log_file_close(f);
        return -1;
    }
    *out = f;
    return 0;
}

void log_file_close(struct log_file *f)
{
    if (f == NULL)
        return;
    fd_close(f->fd);
    log_gzip_free(f->gzip);
    buf_done(&f->out);
    free(f->path);
    free(f);
}
