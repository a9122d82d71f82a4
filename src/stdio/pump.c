/* Copying between descriptors on a loop: see pump.h. What did not fit is kept until it does. */
#include "stdio/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sys/fd.h"

#define FINISH_MAX ((size_t)1 << 20) /* bytes that are still copied when time is up */

struct pump {
    struct loop *loop;
    int src, dst;            /* -1 once closed */
    struct source *in, *out; /* out exists while something waits */
    struct buf waiting;
    bool src_ended;
    pump_end_fn *fn;
    void *arg;
};

static void close_both(struct pump *p)
{
    loop_del(p->in);
    loop_del(p->out);
    p->in = p->out = NULL;
    fd_close(p->src);
    fd_close(p->dst);
    p->src = p->dst = -1;
    buf_done(&p->waiting);
}

static void end(struct pump *p)
{
    pump_end_fn *fn = p->fn;
    close_both(p);
    if (fn != NULL)
        fn(p->arg);
}

/* Bytes that dst took: fewer than n when it is full, -1 when it is gone. */
static ssize_t write_some(int dst, const char *s, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t w = write(dst, s + done, n - done);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno != EAGAIN)
            return -1;
        if (w <= 0)
            break;
        done += (size_t)w;
    }
    return (ssize_t)done;
}

static void on_writable(struct source *s, int fd, uint32_t events, void *arg)
{
    struct pump *p = arg;
    struct err e = {0};
    (void)s;
    (void)events;
    ssize_t w = write_some(fd, p->waiting.p, p->waiting.n);
    if (w >= 0)
        buf_consume(&p->waiting, (size_t)w);
    if (w >= 0 && p->waiting.n > 0)
        return;
    buf_done(&p->waiting);
    loop_del(p->out);
    p->out = NULL;
    if (w < 0 || p->src_ended || loop_set_events(p->in, EPOLLIN, &e) < 0)
        end(p);
}

/* Keep what did not fit, and stop reading until it does. */
static int wait_writable(struct pump *p, const char *s, size_t n, struct err *e)
{
    buf_add(&p->waiting, s, n);
    if (p->out == NULL) {
        p->out = loop_add_fd(p->loop, p->dst, EPOLLOUT, on_writable, p, e);
        if (p->out == NULL)
            return -1;
    }
    return loop_set_events(p->in, 0, e);
}

static void on_readable(struct source *s, int fd, uint32_t events, void *arg)
{
    struct pump *p = arg;
    struct err e = {0};
    char chunk[PUMP_CHUNK];
    (void)s;
    (void)events;
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* a terminal whose last user is gone says EIO */
        end(p);
        return;
    }
    ssize_t w = write_some(p->dst, chunk, (size_t)n);
    if (w < 0 || (w < n && wait_writable(p, chunk + w, (size_t)(n - w), &e) < 0))
        end(p);
}

int pump_new(struct loop *loop, int src, int dst, pump_end_fn *fn, void *arg, struct pump **out,
             struct err *e)
{
    struct pump *p = mem_alloc(sizeof(*p));
    *p = (struct pump){.loop = loop, .src = src, .dst = dst, .fn = fn, .arg = arg};
    p->waiting.max = PUMP_CHUNK + FINISH_MAX;
    p->in = loop_add_fd(loop, src, EPOLLIN, on_readable, p, e);
    if (p->in == NULL) {
        pump_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void pump_finish(struct pump *p)
{
    char chunk[PUMP_CHUNK];
    size_t copied = 0;
    ssize_t n;
    if (p->src < 0)
        return;
    (void)fcntl(p->dst, F_SETPIPE_SZ, (int)FINISH_MAX); /* other destinations do not need it */
    ssize_t w = write_some(p->dst, p->waiting.p, p->waiting.n);
    bool full = w < (ssize_t)p->waiting.n;
    while (!full && copied < FINISH_MAX && (n = read(p->src, chunk, sizeof(chunk))) > 0) {
        copied += (size_t)n;
        full = write_some(p->dst, chunk, (size_t)n) < n;
    }
    close_both(p);
}

bool pump_ended(const struct pump *p)
{
    return p->src < 0;
}

void pump_free(struct pump *p)
{
    if (p == NULL)
        return;
    close_both(p);
    free(p);
}
