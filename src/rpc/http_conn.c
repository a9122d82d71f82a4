/*
 * One connection: read a head, call the handler, bring the answer to its end, again.
 *
 * While no request is there the thread holds no buffer at all, so an idle connection costs its
 * stack and little else.
 */
#include "rpc/http_conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"

#define TCP_IDLE_MS 300000
#define HEAD_MS 30000
#define LINGER_MS 1000

static int64_t after_ms(int64_t ms)
{
    return ms > 0 ? time_mono_ns() + ms * NS_PER_MS : 0;
}

static int64_t head_deadline(const struct http_conn *c)
{
    int ms = http_server_options(c->server)->head_timeout_ms;
    return after_ms(ms > 0 ? ms : HEAD_MS);
}

int http_conn_send(struct http_conn *c, const void *p, size_t n)
{
    struct err e;
    if (c->failed)
        return -1;
    stream_set_deadline(c->s, after_ms(http_server_options(c->server)->write_timeout_ms));
    if (stream_write(c->s, p, n, &e) < 0)
        c->failed = true;
    stream_set_deadline(c->s, 0);
    return c->failed ? -1 : 0;
}

/* Close so that an answer still on its way survives: a socket closed with unread bytes sends a
 * reset, which destroys what the client has not read yet. */
static void linger(struct http_conn *c)
{
    struct err e;
    char junk[2048];
    size_t left = HTTP_DRAIN_MAX;

    if (stream_shut(c->s, &e) < 0)
        return;
    (void)shutdown(c->fd, SHUT_WR);
    stream_set_deadline(c->s, after_ms(LINGER_MS));
    while (left > 0) {
        ssize_t got = stream_read(c->s, junk, sizeof(junk), &e);
        if (got <= 0)
            return;
        left -= MIN(left, (size_t)got);
    }
}

/* A head that cannot be understood: answer and give up the connection. */
static void refuse_head(struct http_conn *c, const struct err *why)
{
    int status = why->kind == ERR_TOO_LARGE       ? 431
                 : why->kind == ERR_UNIMPLEMENTED ? 501
                 : why->kind == ERR_TIMEOUT       ? 408
                                                  : 400;
    struct buf body = BUF_MAX(16u << 10), wire = BUF_MAX(32u << 10);
    if (why->kind != ERR_UNAVAILABLE && why->kind != ERR_INTERNAL) {
        buf_adds(&body, "{\"message\":");
        json_write_str(why->msg, strlen(why->msg), &body);
        buf_adds(&body, "}\n");
        buf_printf(&wire,
                   "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n%s",
                   status, http_reason(status), body.n, buf_cstr(&body));
        if (http_conn_send(c, wire.p, wire.n) == 0)
            linger(c);
    }
    buf_done(&body);
    buf_done(&wire);
}

/* Wait for the first byte of the next request, holding nothing. */
static bool wait_for_request(struct http_conn *c)
{
    struct err e;
    int idle = http_server_options(c->server)->idle_timeout_ms;
    stream_set_deadline(c->s, after_ms(idle > 0 ? idle : c->local ? 0 : TCP_IDLE_MS));
    return stream_wait_read(c->s, &e) == 0;
}

/* 1: head holds a whole head; 0: the connection is over. */
static int read_head(struct http_conn *c, struct buf *head)
{
    struct err e;
    size_t seen = 0;

    stream_set_deadline(c->s, head_deadline(c));
    for (;;) {
        ssize_t n = http_head_try(c->s, head, &seen, &e);
        if (n > 0) {
            stream_set_deadline(c->s, 0);
            return 1;
        }
        if (n == STREAM_AGAIN && stream_wait_read(c->s, &e) == 0)
            continue;
        if (n != 0)
            refuse_head(c, &e);
        return 0;
    }
}

/* The path of a target in origin form ("/x?y") or absolute form ("http://host/x"). */
static int parse_target(struct http_req *rq, struct err *e)
{
    struct str t = rq->head->target, query;

    if (str_starts(t, "http://") || str_starts(t, "https://")) {
        size_t scheme = str_starts(t, "https://") ? 8 : 7;
        t = (struct str){t.p + scheme, t.n - scheme};
        ptrdiff_t slash = str_index(t, '/');
        t = slash < 0 ? STR("/") : (struct str){t.p + slash, t.n - (size_t)slash};
    }
    query = t;
    t = str_cut(&query, '?');
    if (!str_starts(t, "/") && !str_eq(t, "*"))
        return err_set(e, ERR_INVALID, "malformed request target");
    TRY(http_path_decode(t, rq->arena, &rq->path, e));
    return http_params_parse(query, rq->arena, &rq->query, e);
}

static int parse_request(struct http_conn *c, struct http_req *rq, const struct buf *head,
                         struct err *e)
{
    char *text = arena_strndup(rq->arena, head->p, head->n);
    rq->head = ARENA_NEW(rq->arena, struct http_head);
    TRY(http_head_parse_request(text, head->n, rq->head, e));
    rq->method = arena_strndup(rq->arena, rq->head->method.p, rq->head->method.n);
    TRY(parse_target(rq, e));
    c->body = http_body_of(rq->head);
    c->continue_due = rq->head->expect_continue;
    c->keep = rq->head->keep_alive;
    c->head_only = strcmp(rq->method, "HEAD") == 0;
    return 0;
}

static void forget_request(struct http_conn *c)
{
    arena_free(c->rq->arena);
    fd_close(take_fd(&c->gone_fd));
    buf_done(&c->headers);
    buf_done(&c->wire);
    c->rq = NULL;
    c->started = c->streaming = c->flushed = c->chunked = c->counted = c->chunk_open = false;
}

/* True when another request may follow. */
static bool serve_one(struct http_conn *c)
{
    const struct http_server_opts *o = http_server_options(c->server);
    struct buf head = BUF_MAX(HTTP_HEAD_MAX + (4u << 10));
    struct err e;

    if (!wait_for_request(c) || read_head(c, &head) == 0) {
        buf_done(&head);
        return false;
    }
    struct http_req *rq = &(struct http_req){.arena = arena_new(), .conn = c};
    c->rq = rq;
    bool ok = parse_request(c, rq, &head, &e) == 0;
    buf_done(&head);
    if (!ok) {
        refuse_head(c, &e);
    } else if (!http_server_set_state(c->server, c, CONN_BUSY)) {
        err_set(&e, ERR_UNAVAILABLE, "the daemon is stopping");
        c->keep = false;
        (void)http_req_error(rq, &e); /* the client may have gone: nothing to add */
        ok = false;
    } else {
        o->handler(rq, o->arg);
        http_reply_finish(c);
        ok = c->keep && !c->failed && !c->hijacked && http_req_drain(c);
        if (!ok && !c->failed && !c->hijacked)
            linger(c);
    }
    forget_request(c);
    return ok && http_server_set_state(c->server, c, CONN_IDLE);
}

static bool open_stream(struct http_conn *c)
{
    struct err e;
    struct stream *s = NULL;
    if (c->wrap == NULL)
        return http_server_set_stream(c->server, c, stream_of_socket(c->fd));
    int64_t deadline = head_deadline(c);
    /* the wrapper owns what it is given, and the list needs c->fd until the end */
    int fd = fd_dup(c->fd);
    if (fd >= 0 && c->wrap->server(c->wrap, fd, deadline, &s, &e) == 0)
        return http_server_set_stream(c->server, c, s);
    /* in TLS 1.3 a client has sent its request before it is refused: let the alert arrive */
    fd = fd_dup(c->fd);
    if (fd >= 0 && http_server_set_stream(c->server, c, stream_of_socket(fd)))
        linger(c);
    return false;
}

void *http_conn_main(void *arg)
{
    struct http_conn *c = arg;

    c->gone_fd = -1;
    if (open_stream(c))
        while (serve_one(c))
            ;
    http_server_leave(c->server, c);
    if (c->wrap != NULL)
        fd_close(c->fd);
    stream_close(c->s);
    free(c);
    return NULL;
}
