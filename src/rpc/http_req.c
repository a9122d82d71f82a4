/* Reading a request: parameters, the body with back-pressure, who the client is, whether it still
 * is. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/time.h"
#include "rpc/http_conn.h"
#include "sys/fd.h"

#define DRAIN_MS 2000

const char *http_req_head(struct http_req *rq, const char *name)
{
    struct str v = http_head_get(rq->head, name);
    return v.p == NULL ? NULL : arena_strndup(rq->arena, v.p, v.n);
}

const char *http_req_query(const struct http_req *rq, const char *key)
{
    return http_params_get(&rq->query, key);
}

bool http_req_has_body(const struct http_req *rq)
{
    const struct http_head *h = rq->head;
    return h->framing == HTTP_BODY_CHUNKED || (h->framing == HTTP_BODY_LENGTH && h->length > 0);
}

ssize_t http_req_read(struct http_req *rq, void *p, size_t n, struct err *e)
{
    struct http_conn *c = rq->conn;

    if (c->continue_due) {
        c->continue_due = false;
        static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (!c->started && http_conn_send(c, line, sizeof(line) - 1) < 0)
            return err_set(e, ERR_UNAVAILABLE, "the client is gone");
    }
    for (;;) {
        ssize_t got = http_body_try(&c->body, c->s, p, n, e);
        if (got == STREAM_AGAIN) {
            TRY(stream_wait_read(c->s, e));
            continue;
        }
        if (got < 0)
            c->keep = false; /* where the next request begins is not known */
        return got;
    }
}

int http_req_read_all(struct http_req *rq, size_t max, const char **out, size_t *out_n,
                      struct err *e)
{
    struct http_conn *c = rq->conn;
    struct buf b = BUF_MAX(max);
    int r = 0;

    if (c->body.framing == HTTP_BODY_LENGTH && c->body.left > max)
        return err_set(e, ERR_TOO_LARGE, "request body is larger than %zu bytes", max);
    while (!c->body.ended) {
        char part[4096];
        ssize_t got = http_req_read(rq, part, sizeof(part), e);
        if (got < 0)
            r = -1;
        else if (buf_add(&b, part, (size_t)got) < 0)
            r = err_set(e, ERR_TOO_LARGE, "request body is larger than %zu bytes", max);
        if (r < 0)
            break;
    }
    if (r == 0) {
        *out = arena_strndup(rq->arena, buf_cstr(&b), b.n);
        *out_n = b.n;
    }
    buf_done(&b);
    return r;
}

bool http_req_drain(struct http_conn *c)
{
    char junk[4096];
    struct err e;
    size_t left = HTTP_DRAIN_MAX;

    if (c->body.ended)
        return true;
    /* a client that still waits for 100 may send the body or the next request: who knows which */
    if (c->continue_due || (c->body.framing == HTTP_BODY_LENGTH && c->body.left > left))
        return false;
    stream_set_deadline(c->s, time_mono_ns() + DRAIN_MS * NS_PER_MS);
    while (!c->body.ended && left > 0) {
        ssize_t got = http_body_try(&c->body, c->s, junk, sizeof(junk), &e);
        if (got == STREAM_AGAIN)
            got = stream_wait_read(c->s, &e);
        if (got < 0)
            break;
        left -= MIN(left, (size_t)got);
    }
    stream_set_deadline(c->s, 0);
    return c->body.ended;
}

bool http_req_peer(const struct http_req *rq, struct ucred *out)
{
    socklen_t len = sizeof(*out);
    return rq->conn->local && getsockopt(rq->conn->fd, SOL_SOCKET, SO_PEERCRED, out, &len) == 0;
}

bool http_req_is_local(const struct http_req *rq)
{
    return rq->conn->local;
}

bool http_req_is_tls(const struct http_req *rq)
{
    return rq->conn->wrap != NULL;
}

/* An epoll instance that watches the socket for nothing but its end is itself readable exactly
 * then: bytes that wait to be read do not wake it. */
int http_req_gone_fd(struct http_req *rq)
{
    struct http_conn *c = rq->conn;
    if (c->gone_fd >= 0)
        return c->gone_fd;
    auto_fd int fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event hangup = {.events = EPOLLRDHUP}, stop = {.events = EPOLLIN};
    if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, c->fd, &hangup) < 0 ||
        epoll_ctl(fd, EPOLL_CTL_ADD, http_server_stop_fd(c->server), &stop) < 0)
        return -1;
    c->gone_fd = take_fd(&fd);
    return c->gone_fd;
}

int http_req_wait(struct http_req *rq, int fd, int timeout_ms, struct err *e)
{
    int64_t end = timeout_ms < 0 ? 0 : time_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        int ms = -1;
        if (timeout_ms >= 0)
            ms = (int)MAX(0, (end - time_mono_ns() + NS_PER_MS - 1) / NS_PER_MS);
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = rq->conn->fd, .events = POLLRDHUP},
                             {.fd = http_server_stop_fd(rq->conn->server), .events = POLLIN}};
        int r = poll(p, 3, ms);
        if (r < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (r > 0 && (p[1].revents != 0 || p[2].revents != 0))
            return err_set(e, ERR_CANCELLED,
                           p[1].revents != 0 ? "the client is gone" : "the daemon is stopping");
        if (r > 0)
            return 1;
        if (r == 0)
            return 0;
    }
}
