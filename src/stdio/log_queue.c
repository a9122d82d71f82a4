/*
 * The queue of log_queue.h. A record's JSON has no newline inside, so that records need no frame. A
 * pipe takes the beginning of one when it is nearly full: its rest goes first as soon as there is
 * room, and until then all others are dropped.
 */
#include "stdio/log_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "stdio/log_file.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define PIPE_MAX (1 << 20) /* what the kernel gives without a right to more */

struct log_queue {
    struct loop *loop;
    struct proc writer;
    int fd;               /* -1: closed */
    struct buf out;       /* whole records, not yet passed on */
    struct buf rest;      /* of a record that has begun */
    struct source *room;  /* while rest waits */
    struct source *death; /* the writer's, once there is nothing more for it */
    bool ending, ended, dropped;
    void (*fn)(void *arg);
    void *arg;
};

/* ---- the writer ---- */

static int start_writer(struct log_queue *q, const struct log_uri *u, int pipe, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(LOG_URI_MAX);
    const struct log_uri files = {.program = "/" LOG_PROGRAM,
                                  .driver = u->driver,
                                  .path = u->path,
                                  .max_size = u->max_size,
                                  .max_file = u->max_file,
                                  .compress = u->compress};
    log_uri_write(&files, &text);
    const char *const argv[] = {LOG_PROGRAM, LOG_QUEUE_SERVE, buf_cstr(&text), NULL};
    const struct spawn_fd fds[] = {{0, pipe}, {2, STDERR_FILENO}};
    /* without a name in the URI it is we who are hull-logger */
    const struct spawn_opts o = {.path = u->program != NULL ? u->program : "/proc/self/exe",
                                 .argv = argv,
                                 .fds = fds,
                                 .n_fds = ARRAY_LEN(fds),
                                 .dir = "/",
                                 .new_session = true};
    return spawn(&o, &q->writer, e);
}

static void set_size(int pipe, int64_t bytes)
{
    if (fcntl(pipe, F_SETPIPE_SZ, (int)MIN(bytes, INT32_MAX)) < 0 &&
        fcntl(pipe, F_SETPIPE_SZ, PIPE_MAX) < 0)
        log_warn("the buffer of a container's log is smaller than asked for", NULL);
}

int log_queue_open(struct loop *loop, const struct log_uri *u, struct log_queue **out,
                   struct err *e)
{
    auto_fd int theirs = -1, ours = -1;
    int r = fd_pipe(&theirs, &ours, 0);
    if (r == 0)
        r = fd_set_nonblock(ours, true);
    if (r < 0)
        return err_neg(e, r, "pipe");
    set_size(ours, u->max_buffer_size);
    struct log_queue *q = mem_alloc(sizeof(*q));
    *q = (struct log_queue){.loop = loop,
                            .writer = PROC_NONE,
                            .fd = -1,
                            .out = BUF_MAX(LOG_BATCH + LOG_RECORD_MAX),
                            .rest = BUF_MAX(LOG_RECORD_MAX)};
    if (start_writer(q, u, theirs, e) < 0) {
        log_queue_free(q);
        return err_wrap(e, "start the writer of a log");
    }
    q->fd = take_fd(&ours);
    *out = q;
    return 0;
}

/* ---- passing on ---- */

static void on_writer_end(struct source *s, int fd, uint32_t events, void *arg)
{
    struct log_queue *q = arg;
    struct err e;
    (void)s, (void)fd, (void)events;
    loop_del(q->death);
    q->death = NULL;
    (void)proc_wait(&q->writer, 0, -1, NULL, &e); /* a reaper may have been faster */
    q->ended = true;
    q->fn(q->arg);
}

static void close_pipe(struct log_queue *q)
{
    struct err e;
    fd_close(take_fd(&q->fd));
    q->death = loop_add_fd(q->loop, q->writer.pidfd, EPOLLIN, on_writer_end, q, &e);
    if (q->death == NULL)
        log_error("the end of a container's log", "error", e.msg, NULL);
}

/* How many bytes the pipe takes now; -errno when the writer is gone. */
static ssize_t pass(const struct log_queue *q, const char *p, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t w = write(q->fd, p + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EAGAIN)
            break;
        if (w < 0)
            return -errno;
        done += (size_t)w;
    }
    return (ssize_t)done;
}

/* True when no record is half passed on. */
static bool pass_rest(struct log_queue *q)
{
    ssize_t n = pass(q, q->rest.p, q->rest.n);
    buf_consume(&q->rest, n < 0 ? q->rest.n : (size_t)n);
    return q->rest.n == 0;
}

static void on_room(struct source *s, int fd, uint32_t events, void *arg)
{
    struct log_queue *q = arg;
    (void)s, (void)fd, (void)events;
    if (!pass_rest(q))
        return;
    loop_del(q->room);
    q->room = NULL;
    if (q->ending)
        close_pipe(q);
}

/* The pipe has taken the first n bytes of what is there: the record that is torn there waits, those
 * behind it are dropped. */
static void drop_from(struct log_queue *q, size_t n)
{
    struct err e;
    if (!q->dropped)
        log_warn("a container's log is slower than its output: records are dropped", NULL);
    q->dropped = true;
    if (n == 0 || q->out.p[n - 1] == '\n')
        return;
    const char *end = memchr(q->out.p + n, '\n', q->out.n - n);
    buf_add(&q->rest, q->out.p + n, (size_t)(end + 1 - (q->out.p + n)));
    q->room = loop_add_fd(q->loop, q->fd, EPOLLOUT, on_room, q, &e);
    if (q->room == NULL)
        log_error("waiting for a container's log", "error", e.msg, NULL);
}

int log_queue_flush(struct log_queue *q, struct err *e)
{
    ssize_t n = 0;
    if (q->fd < 0)
        n = -EPIPE;
    else if (q->room == NULL)
        n = pass(q, q->out.p, q->out.n);
    if (n >= 0 && (size_t)n < q->out.n)
        drop_from(q, (size_t)n);
    buf_done(&q->out);
    return n < 0 ? err_set(e, ERR_UNAVAILABLE, "the writer of the log has ended") : 0;
}

int log_queue_begin(struct log_queue *q, struct buf **out, struct err *e)
{
    *out = &q->out;
    return q->out.n >= LOG_BATCH ? log_queue_flush(q, e) : 0;
}

void log_queue_end(struct log_queue *q, void (*fn)(void *arg), void *arg)
{
    q->fn = fn;
    q->arg = arg;
    q->ending = true;
    if (q->room == NULL)
        close_pipe(q);
}

bool log_queue_ended(const struct log_queue *q)
{
    return q->ended;
}

void log_queue_free(struct log_queue *q)
{
    if (q == NULL)
        return;
    loop_del(q->room);
    loop_del(q->death);
    if (q->rest.n > 0) { /* room for what was begun */
        (void)fcntl(q->fd, F_SETPIPE_SZ,
                    fcntl(q->fd, F_GETPIPE_SZ) + (int)LOG_RECORD_MAX); /* else it is torn */
        (void)pass_rest(q);
    }
    fd_close(q->fd);
    proc_done(&q->writer);
    buf_done(&q->out);
    buf_done(&q->rest);
    free(q);
}

/* ---- the writer's side ---- */

struct writer {
    struct log_file *file;
    struct buf part; /* of a record */
    bool failed;     /* said once, until it works again */
};

static void say(struct writer *w, int r, const struct err *e)
{
    if (r < 0 && !w->failed)
        log_warn("container output is not logged", "error", e->msg, NULL);
    w->failed = r < 0;
}

static int add_records(struct writer *w, const char *p, size_t n, struct err *e)
{
    int r = log_file_reopen(w->file, e);
    while (n > 0) {
        const char *nl = memchr(p, '\n', n);
        size_t take = nl != NULL ? (size_t)(nl - p) + 1 : n;
        struct buf *to;
        (void)buf_add(&w->part, p, take); /* as long as a record can be */
        p += take;
        n -= take;
        if (nl == NULL)
            break;
        if (log_file_begin(w->file, &to, e) < 0)
            r = -1;
        (void)buf_add(to, w->part.p, w->part.n);
        buf_reset(&w->part);
    }
    return log_file_flush(w->file, e) < 0 ? -1 : r;
}

/* Compress while nothing else is to do. */
static void wait_for_input(struct writer *w, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct err e;
    while (poll(&p, 1, log_file_wants_compress(w->file) ? 0 : -1) == 0)
        if (log_file_compress(w->file, &e) < 0)
            log_warn("a container's rotated log is not compressed", "error", e.msg, NULL);
}

int log_queue_serve(int fd, const struct log_uri *u, struct err *e)
{
    const struct log_file_opts o = {u->path, u->max_size, u->max_file, u->compress};
    struct writer w = {.part = BUF_MAX(LOG_RECORD_MAX)};
    char chunk[LOG_BATCH];
    ssize_t n;
    TRY(log_file_open(&o, &w.file, e));
    for (;;) {
        wait_for_input(&w, fd);
        n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        struct err why = {0};
        say(&w, add_records(&w, chunk, (size_t)n, &why), &why);
    }
    log_file_close(w.file);
    buf_done(&w.part);
    return n < 0 ? err_sys(e, "read records") : 0;
}
