/*
 * Byte streams over sockets and descriptor pairs.
 *
 * One idea: each kind gives only calls that never wait; waiting, deadlines and bytes given back are
 * done here, once for all kinds.
 */
#include "rpc/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"

#define AHEAD_MAX (1u << 20)

void stream_init(struct stream *s, const struct stream_ops *ops, int rfd, int wfd)
{
    *s = (struct stream){.ops = ops,
                         .rfd = rfd,
                         .wfd = wfd,
                         .want_r = POLLIN,
                         .want_w = POLLOUT,
                         .ahead = BUF_MAX(AHEAD_MAX)};
}

/* The err of a failed read or write: a peer that went away is no fault of ours. */
static int io_error(struct err *e, const char *what)
{
    if (errno == ECONNRESET || errno == EPIPE || errno == ENOTCONN || errno == ETIMEDOUT) {
        e->sys = errno;
        return err_set(e, ERR_UNAVAILABLE, "%s: %s", what, strerrordesc_np(errno));
    }
    return err_sys(e, "%s", what);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static ssize_t socket_try_read(struct stream *s, void *p, size_t n, struct err *e)
{
    ssize_t got = recv(s->rfd, p, n, MSG_DONTWAIT);
    if (got < 0)
        return would_block() ? STREAM_AGAIN : io_error(e, "read from connection");
    return got;
}

static ssize_t socket_try_write(struct stream *s, const void *p, size_t n, struct err *e)
{
    ssize_t put = send(s->wfd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0)
        return would_block() ? STREAM_AGAIN : io_error(e, "write to connection");
    return put;
}

static int socket_try_shut(struct stream *s, struct err *e)
{
    if (shutdown(s->wfd, SHUT_WR) < 0 && errno != ENOTCONN)
        return io_error(e, "shut connection");
    return 0;
}

static size_t nothing_pending(const struct stream *s)
{
    (void)s;
    return 0;
}

static void socket_close(struct stream *s)
{
    fd_close(s->rfd);
}

static const struct stream_ops socket_ops = {
    .try_read = socket_try_read,
    .try_write = socket_try_write,
    .try_shut = socket_try_shut,
    .pending = nothing_pending,
    .close = socket_close,
};

struct stream *stream_of_socket(int fd)
{
    struct stream *s = mem_alloc(sizeof(*s));
    stream_init(s, &socket_ops, fd, fd);
    return s;
}

static bool ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, 0) > 0;
}

static ssize_t fds_try_read(struct stream *s, void *p, size_t n, struct err *e)
{
    if (s->rfd < 0)
        return 0;
    if (!ready(s->rfd, POLLIN))
        return STREAM_AGAIN;
    ssize_t got = read(s->rfd, p, n);
    if (got < 0)
        return would_block() ? STREAM_AGAIN : io_error(e, "read");
    return got;
}

static ssize_t fds_try_write(struct stream *s, const void *p, size_t n, struct err *e)
{
    if (s->wfd < 0)
        return err_set(e, ERR_UNAVAILABLE, "write: the stream is closed");
    if (!ready(s->wfd, POLLOUT))
        return STREAM_AGAIN;
    ssize_t put = write(s->wfd, p, n);
    if (put < 0)
        return would_block() ? STREAM_AGAIN : io_error(e, "write");
    return put;
}

static int fds_try_shut(struct stream *s, struct err *e)
{
    (void)e;
    fd_close(take_fd(&s->wfd));
    return 0;
}

static void fds_close(struct stream *s)
{
    fd_close(s->rfd);
    fd_close(s->wfd);
}

static const struct stream_ops fds_ops = {
    .try_read = fds_try_read,
    .try_write = fds_try_write,
    .try_shut = fds_try_shut,
    .pending = nothing_pending,
    .close = fds_close,
};

struct stream *stream_of_fds(int rfd, int wfd)
{
    struct stream *s = mem_alloc(sizeof(*s));
    stream_init(s, &fds_ops, rfd, wfd);
    return s;
}

ssize_t stream_try_read(struct stream *s, void *p, size_t n, struct err *e)
{
    if (s->ahead.n == 0) {
        ssize_t got = s->ops->try_read(s, p, n, e);
        if (got == 0 && atomic_load(&s->aborted))
            return err_set(e, ERR_UNAVAILABLE, "the connection was aborted");
        return got;
    }
    n = MIN(n, s->ahead.n);
    memcpy(p, s->ahead.p, n);
    buf_consume(&s->ahead, n);
    if (s->ahead.n == 0)
        buf_done(&s->ahead);
    return (ssize_t)n;
}

ssize_t stream_try_write(struct stream *s, const void *p, size_t n, struct err *e)
{
    return n == 0 ? 0 : s->ops->try_write(s, p, n, e);
}

/* Poll one descriptor up to the deadline. */
static int wait_fd(const struct stream *s, int fd, short events, struct err *e)
{
    for (;;) {
        int ms = -1;
        if (s->deadline_ns != 0) {
            int64_t left = s->deadline_ns - time_mono_ns();
            if (left <= 0)
                return err_set(e, ERR_TIMEOUT, "timed out waiting for the connection");
            ms = (int)MIN(left / NS_PER_MS + 1, 1 << 30);
        }
        struct pollfd p = {.fd = fd, .events = events};
        int r = poll(&p, 1, ms);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return err_sys(e, "poll");
    }
}

int stream_wait_read(struct stream *s, struct err *e)
{
    return stream_pending(s) > 0 ? 0 : wait_fd(s, s->rfd, s->want_r, e);
}

int stream_wait_write(struct stream *s, struct err *e)
{
    return wait_fd(s, s->wfd, s->want_w, e);
}

ssize_t stream_read(struct stream *s, void *p, size_t n, struct err *e)
{
    for (;;) {
        ssize_t got = stream_try_read(s, p, n, e);
        if (got != STREAM_AGAIN)
            return got;
        TRY(stream_wait_read(s, e));
    }
}

int stream_read_all(struct stream *s, void *p, size_t n, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = stream_read(s, (char *)p + done, n - done, e);
        if (got < 0)
            return -1;
        if (got == 0)
            return err_set(e, ERR_UNAVAILABLE, "the connection ended early");
        done += (size_t)got;
    }
    return 0;
}

int stream_write(struct stream *s, const void *p, size_t n, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = stream_try_write(s, (const char *)p + done, n - done, e);
        if (put == STREAM_AGAIN)
            TRY(stream_wait_write(s, e));
        else if (put < 0)
            return -1;
        else
            done += (size_t)put;
    }
    return 0;
}

int stream_shut(struct stream *s, struct err *e)
{
    for (;;) {
        int r = s->ops->try_shut(s, e);
        if (r != STREAM_AGAIN)
            return r;
        TRY(stream_wait_write(s, e));
    }
}

size_t stream_pending(const struct stream *s)
{
    return s->ahead.n > 0 ? s->ahead.n : s->ops->pending(s);
}

int stream_read_fd(const struct stream *s, short *out_events)
{
    *out_events = s->want_r;
    return s->rfd;
}

int stream_write_fd(const struct stream *s, short *out_events)
{
    *out_events = s->want_w;
    return s->wfd;
}

void stream_unread(struct stream *s, const void *p, size_t n)
{
    if (n == 0)
        return;
    struct buf joined = BUF_MAX(AHEAD_MAX);
    buf_add(&joined, p, n);
    if (s->ahead.n > 0)
        buf_add(&joined, s->ahead.p, s->ahead.n);
    buf_done(&s->ahead);
    s->ahead = joined;
}

void stream_set_deadline(struct stream *s, int64_t mono_ns)
{
    s->deadline_ns = mono_ns;
}

void stream_abort(struct stream *s)
{
    atomic_store(&s->aborted, true);
    (void)shutdown(s->rfd, SHUT_RDWR); /* a descriptor that is no socket stays as it is */
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    s->ops->close(s);
    buf_done(&s->ahead);
    free(s);
}
