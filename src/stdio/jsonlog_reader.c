/*
 * The reader of jsonlog.h. It holds its place as a file and the offset of the first record it has
 * not given out; bytes behind the last \n are always read anew, for their writer may have died and
 * a new one may have cut them off.
 */
#include "stdio/jsonlog_reader.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "stdio/jsonlog_files.h"
#include "sys/fd.h"

#define READ_SIZE ((size_t)64 << 10)

struct jsonlog_reader {
    struct jsonlog_reader_opts o;
    char *path;
    struct jsonlog_files files;
    size_t index;  /* the file being read */
    int64_t off;   /* in it: of in.p[0] */
    struct buf in; /* bytes of the file from off on */
    size_t at;     /* bytes of in that were given out */
    bool skipping; /* inside a record that is too long */
    bool ended, over;
    int notify; /* -1: does not follow */
    char *scratch;
    size_t scratch_n;
};

static int watch(struct jsonlog_reader *r, struct err *e)
{
    const char *slash = strrchr(r->path, '/');
    auto_free char *dir = slash == NULL
                              ? mem_strdup(".")
                              : mem_strndup(r->path, MAX((size_t)(slash - r->path), (size_t)1));
    r->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (r->notify < 0 ||
        inotify_add_watch(r->notify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
        return err_sys(e, "watch log folder %s", dir);
    return 0;
}

int jsonlog_reader_open(const struct jsonlog_reader_opts *o, struct jsonlog_reader **out,
                        struct err *e)
{
    struct jsonlog_reader *r = mem_alloc(sizeof(*r));
    r->o = *o;
    r->path = mem_strdup(o->path);
    r->notify = -1;
    r->in.max = JSONLOG_RECORD_MAX + READ_SIZE;
    /* the watch comes first: what is written from now on is either read or noticed */
    if ((o->follow && watch(r, e) < 0) || jsonlog_files_open(r->path, &r->files, e) < 0 ||
        (o->tail >= 0 &&
         jsonlog_files_tail(r->path, &r->files, o->tail, &r->index, &r->off, e) < 0)) {
        jsonlog_reader_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

void jsonlog_reader_close(struct jsonlog_reader *r)
{
    if (r == NULL)
        return;
    jsonlog_files_close(&r->files);
    fd_close(r->notify);
    buf_done(&r->in);
    free(r->scratch);
    free(r->path);
    free(r);
}

/* Begin another file: the next one of the set, or *next in place of the last one. */
static void begin_file(struct jsonlog_reader *r, const struct jsonlog_file *next)
{
    jsonlog_file_close(&r->files.v.v[r->index]);
    if (next != NULL)
        r->files.v.v[r->index] = *next;
    else
        r->index++;
    r->off = 0;
    r->at = 0;
    r->skipping = false;
    buf_reset(&r->in);
}

/* 1: a line; 0: the file has no further one at the moment. */
static int next_line(struct jsonlog_reader *r, struct str *out, struct err *e)
{
    int fd = jsonlog_file_fd(r->path, &r->files.v.v[r->index], e);
    size_t looked = 0;
    TRY(fd);
    for (;;) {
        const char *start = r->in.n > r->at ? r->in.p + r->at : NULL;
        const char *nl =
            start == NULL ? NULL : memchr(start + looked, '\n', r->in.n - r->at - looked);
        if (nl != NULL) {
            *out = (struct str){start, (size_t)(nl - start)};
            r->at += out->n + 1;
            looked = 0;
            if (!r->skipping)
                return 1;
            r->skipping = false;
            continue;
        }
        looked = r->in.n - r->at;
        r->off += (int64_t)r->at;
        buf_consume(&r->in, r->at);
        r->at = 0;
        if (r->in.n >= JSONLOG_RECORD_MAX) {
            r->off += (int64_t)r->in.n;
            buf_reset(&r->in);
            looked = 0;
            r->skipping = true;
        }
        char *room = buf_reserve(&r->in, READ_SIZE);
        ssize_t n = pread(fd, room, READ_SIZE, r->off + (int64_t)r->in.n);
        if (n < 0)
            return err_sys(e, "read log file %s", r->path);
        if (n == 0) {
            buf_reset(&r->in);
            return 0;
        }
        buf_commit(&r->in, (size_t)n);
    }
}

/* Was the file made shorter under us (dockerd does that when it keeps one file)? Then begin anew.
 */
static bool was_truncated(struct jsonlog_reader *r)
{
    struct stat st;
    if (fstat(r->files.v.v[r->index].fd, &st) < 0 || st.st_size >= r->off)
        return false;
    r->off = 0;
    r->skipping = false;
    return true;
}

/* Wait for a change. 1: look again; 0: until_ns is over. */
static int wait_change(struct jsonlog_reader *r, struct err *e)
{
    char events[4096];
    struct pollfd p[] = {
        {.fd = r->o.cancel_fd, .events = POLLIN | POLLRDHUP},
        {.fd = r->o.ended_fd, .events = POLLIN},
        {.fd = r->notify, .events = POLLIN},
    };
    int timeout_ms = -1;
    if (r->o.until_ns != 0) {
        int64_t left = (r->o.until_ns - time_now_ns()) / NS_PER_MS + 1;
        if (left <= 0)
            return 0;
        timeout_ms = (int)MIN(left, 60000);
    }
    if (poll(p, ARRAY_LEN(p), timeout_ms) < 0 && errno != EINTR)
        return err_sys(e, "wait for log file %s", r->path);
    if (p[0].revents != 0)
        return err_set(e, ERR_CANCELLED, "reading the log was cancelled");
    if (p[1].revents != 0)
        r->ended = true;
    while (read(r->notify, events, sizeof(events)) > 0)
        ;
    return 1;
}

/* The file has no further line: 1 go on reading (there or in another file), 0 the end. */
static int advance(struct jsonlog_reader *r, bool *again, struct err *e)
{
    struct jsonlog_file next = JSONLOG_FILE_NONE;
    int got;
    if (r->index + 1 < r->files.v.n) {
        begin_file(r, NULL);
        return 1;
    }
    if (!r->o.follow)
        return 0;
    if (r->files.v.n == 0) {
        TRY(jsonlog_files_open(r->path, &r->files, e));
        if (r->files.v.n > 0)
            return 1;
    } else if (was_truncated(r)) {
        return 1;
    } else {
        got = jsonlog_files_next(r->path, &r->files.v.v[r->index], &next, e);
        TRY(got);
        if (got == 1 &&
            !*again) { /* all was written before the renaming: now it can be read to its end */
            jsonlog_file_close(&next);
            *again = true;
            return 1;
        }
        if (got == 1) {
            begin_file(r, &next);
            *again = false;
            return 1;
        }
    }
    *again = false;
    return r->ended ? 0 : wait_change(r, e);
}

int jsonlog_next(struct jsonlog_reader *r, struct jsonlog_record *out, struct err *e)
{
    bool again = false;
    while (!r->over) {
        struct str line;
        int got = r->files.v.n == 0 ? 0 : next_line(r, &line, e);
        TRY(got);
        if (got == 0) {
            got = advance(r, &again, e);
            TRY(got);
            if (got == 0)
                break;
            continue;
        }
        if (line.n > r->scratch_n) {
            r->scratch = mem_resize(r->scratch, line.n, 1);
            r->scratch_n = line.n;
        }
        if (!jsonlog_parse(line, r->scratch, out) || out->time_ns < r->o.since_ns)
            continue;
        if (r->o.until_ns != 0 && out->time_ns > r->o.until_ns)
            break;
        return 1;
    }
    r->over = true;
    return 0;
}
