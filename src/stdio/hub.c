/*
 * The hub: see hub.h. What is read goes first to the log, then to the clients, from the one buffer
 * on the stack.
 */
#include "stdio/hub.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "stdio/client.h"
#include "stdio/jsonlog.h"
#include "sys/fd.h"

#define CHUNK ((size_t)32 << 10)
#define FINISH_MAX                                                                \
    ((size_t)1 << 20) /* bytes of each output that are still read when time is up \
                       */

struct output {
    struct hub *hub;
    int fd; /* -1: ended */
    struct source *src;
    enum stdio_stream stream;
};

struct hub {
    struct loop *loop;
    struct jsonlog *log;     /* NULL: driver none */
    struct log_queue *queue; /* before its files; NULL: output waits for them */
    bool log_failed;         /* said once, until it works again */
    struct clients *clients; /* NULL: no attach socket */
    struct output out[2];
    size_t n_out;
    bool full; /* clients are behind */
    bool outputs_ended;
    bool told_end;            /* on_end was called, or time was up */
    int input;                /* -1: none */
    struct source *input_src; /* while input waits */
    struct buf input_waiting;
    void (*on_end)(void *arg);
    void *arg;
    struct source *compress_timer; /* rotated files wait */
    struct source *end_timer;      /* calls on_end from the loop itself, where it may free us */
};

/* ---- output */

static void on_end_timer(struct source *s, void *arg)
{
    struct hub *h = arg;
    (void)s;
    h->end_timer = NULL;
    if (h->on_end != NULL)
        h->on_end(h->arg);
}

static void maybe_end(struct hub *h)
{
    struct err e = {0};
    if (!h->outputs_ended || h->told_end || (h->clients != NULL && clients_waiting(h->clients)) ||
        (h->queue != NULL && !log_queue_ended(h->queue)))
        return;
    h->told_end = true;
    h->end_timer = loop_add_timer(h->loop, 0, on_end_timer, h, &e);
    if (h->end_timer == NULL)
        log_error("the end of a container's output", "error", e.msg, NULL);
}

static void on_written(void *arg)
{
    maybe_end(arg);
}

static void log_result(struct hub *h, int r, const struct err *e)
{
    if (r < 0 && !h->log_failed)
        log_warn("container output is not logged", "error", e->msg, NULL);
    h->log_failed = r < 0;
}

static void compress_soon(struct hub *h);

/* A slice, then the loop looks at everything else. */
static void on_compress(struct source *s, void *arg)
{
    struct hub *h = arg;
    struct err e = {0};
    (void)s;
    h->compress_timer = NULL;
    if (jsonlog_compress(h->log, &e) < 0)
        log_warn("a container's rotated log is not compressed", "error", e.msg, NULL);
    compress_soon(h);
}

static void compress_soon(struct hub *h)
{
    struct err e = {0};
    if (h->log == NULL || h->compress_timer != NULL || !jsonlog_wants_compress(h->log))
        return;
    h->compress_timer = loop_add_timer(h->loop, 0, on_compress, h, &e);
    if (h->compress_timer == NULL)
        log_warn("a container's rotated log is not compressed", "error", e.msg, NULL);
}

static void deliver(struct hub *h, enum stdio_stream stream, const char *p, size_t n)
{
    struct err e = {0};
    if (h->log != NULL)
        log_result(h, jsonlog_write(h->log, stream, p, n, time_now_ns(), &e), &e);
    if (h->clients != NULL)
        clients_send(h->clients, stream, p, n);
    compress_soon(h);
}

static void output_end(struct output *o)
{
    struct hub *h = o->hub;
    struct err e = {0};
    loop_del(o->src);
    fd_close(o->fd);
    o->src = NULL;
    o->fd = -1;
    if (h->log != NULL)
        log_result(h, jsonlog_end(h->log, o->stream, &e), &e);
    for (size_t i = 0; i < h->n_out; i++)
        if (h->out[i].fd >= 0)
            return;
    h->outputs_ended = true;
    if (h->queue != NULL)
        log_queue_end(h->queue, on_written, h);
    if (h->clients != NULL)
        clients_end(h->clients);
    hub_close_input(h);
}

static void on_output(struct source *s, int fd, uint32_t events, void *arg)
{
    struct output *o = arg;
    char chunk[CHUNK];
    (void)s;
    (void)events;
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        deliver(o->hub, o->stream, chunk, (size_t)n);
        return;
    }
    output_end(o); /* a terminal whose last user is gone says EIO */
    maybe_end(o->hub);
}

int hub_add_output(struct hub *h, int fd, enum stdio_stream stream, struct err *e)
{
    if (h->n_out == ARRAY_LEN(h->out)) {
        fd_close(fd);
        return err_set(e, ERR_INTERNAL, "more than two outputs");
    }
    struct output *o = &h->out[h->n_out];
    *o = (struct output){.hub = h, .fd = fd, .stream = stream};
    o->src = loop_add_fd(h->loop, fd, h->full ? 0 : EPOLLIN, on_output, o, e);
    if (o->src == NULL) {
        fd_close(fd);
        o->fd = -1;
        return -1;
    }
    h->n_out++;
    return 0;
}

static void on_full(void *arg, bool full)
{
    struct hub *h = arg;
    struct err e = {0};
    h->full = full;
    for (size_t i = 0; i < h->n_out; i++)
        if (h->out[i].fd >= 0 && loop_set_events(h->out[i].src, full ? 0 : EPOLLIN, &e) < 0)
            log_error("reading a container's output", "error", e.msg, NULL);
    if (!full)
        maybe_end(h);
}

/* ---- input */

void hub_close_input(struct hub *h)
{
    loop_del(h->input_src);
    h->input_src = NULL;
    buf_done(&h->input_waiting);
    fd_close(h->input);
    h->input = -1;
}

/* Write what waits; true when all is written or the input is gone. */
static bool input_flush(struct hub *h)
{
    while (h->input >= 0 && h->input_waiting.n > 0) {
        ssize_t n = write(h->input, h->input_waiting.p, h->input_waiting.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0)
            hub_close_input(h); /* nobody reads it any more */
        else
            buf_consume(&h->input_waiting, (size_t)n);
    }
    buf_done(&h->input_waiting);
    return true;
}

static void on_input_room(struct source *s, int fd, uint32_t events, void *arg)
{
    struct hub *h = arg;
    (void)s;
    (void)fd;
    (void)events;
    if (!input_flush(h))
        return;
    loop_del(h->input_src);
    h->input_src = NULL;
    clients_resume_input(h->clients);
}

static bool on_input(void *arg, const char *p, size_t n)
{
    struct hub *h = arg;
    struct err e = {0};
    if (h->input < 0)
        return true; /* the container has closed it: as a broken pipe, without a word */
    buf_add(&h->input_waiting, p, n);
    if (input_flush(h))
        return true;
    h->input_src = loop_add_fd(h->loop, h->input, EPOLLOUT, on_input_room, h, &e);
    if (h->input_src != NULL)
        return false;
    log_error("writing a container's input", "error", e.msg, NULL);
    hub_close_input(h);
    return true;
}

static void on_close_input(void *arg)
{
    hub_close_input(arg);
}

void hub_set_input(struct hub *h, int fd)
{
    hub_close_input(h);
    h->input = fd;
}

/* ---- the whole */

static int open_log(struct hub *h, const struct log_uri *u, struct err *e)
{
    struct jsonlog_opts o = {.file = {.path = u->path,
                                      .max_size = u->max_size,
                                      .max_file = u->max_file,
                                      .compress = u->compress},
                             .attrs = u->attrs};
    if (u->max_buffer_size > 0) {
        struct log_file *file = NULL;
        TRY(log_file_open(&o.file, &file, e)); /* what is wrong with it is to be said now */
        log_file_close(file);
        TRY(log_queue_open(h->loop, u, &h->queue, e));
        o.queue = h->queue;
    }
    return jsonlog_open(&o, &h->log, e);
}

int hub_new(struct loop *loop, const struct log_uri *u, bool terminal, struct hub **out,
            struct err *e)
{
    if (!log_uri_in_process(u))
        return err_set(e, ERR_UNIMPLEMENTED, "log driver \"%s\" is not supported", u->driver);
    struct hub *h = mem_alloc(sizeof(*h));
    h->loop = loop;
    h->input = -1;
    h->input_waiting.max = ATTACH_FRAME_MAX;
    struct clients_opts o = {
        .have = ATTACH_STDOUT | (terminal ? ATTACH_TTY : ATTACH_STDERR) |
                (u->open_stdin ? ATTACH_STDIN : 0),
        .input = on_input,
        .close_input = on_close_input,
        .full = on_full,
        .arg = h,
    };
    bool logs = strcmp(u->driver, "none") != 0;
    if ((logs && open_log(h, u, e) < 0) ||
        (u->attach != NULL && clients_listen(loop, u->attach, &o, &h->clients, e) < 0)) {
        hub_free(h);
        return -1;
    }
    compress_soon(h);
    *out = h;
    return 0;
}

void hub_on_end(struct hub *h, void (*fn)(void *arg), void *arg)
{
    h->on_end = fn;
    h->arg = arg;
}

void hub_finish(struct hub *h)
{
    char chunk[CHUNK];
    ssize_t n;
    h->told_end = true;
    for (size_t i = 0; i < h->n_out; i++) {
        struct output *o = &h->out[i];
        for (size_t got = 0; o->fd >= 0 && got < FINISH_MAX; got += (size_t)n) {
            n = read(o->fd, chunk, sizeof(chunk));
            if (n <= 0)
                break;
            deliver(h, o->stream, chunk, (size_t)n);
        }
        if (o->fd >= 0)
            output_end(o);
    }
    if (h->clients != NULL && !h->outputs_ended)
        clients_end(h->clients);
    clients_free(h->clients);
    h->clients = NULL;
    hub_close_input(h);
    loop_del(h->end_timer);
    loop_del(h->compress_timer);
    h->end_timer = h->compress_timer = NULL;
}

void hub_free(struct hub *h)
{
    if (h == NULL)
        return;
    hub_finish(h);
    jsonlog_close(h->log);
    log_queue_free(h->queue);
    free(h);
}
