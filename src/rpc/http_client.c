/*
 * The client's connection and the sending of requests.
 *
 * Sending and receiving are one poll: a server that answers while the body still goes out (progress
 * of a load, an early refusal) is read at once, so neither side ever waits for the other in a
 * circle.
 */
#include "rpc/http_client.h"

#include <errno.h>
#include <poll.h>

#include "base/mem.h"
#include "base/time.h"
#include "rpc/http_exchange.h"

#define PART_MAX (32u << 10)
#define CHUNK_OVERHEAD 16
#define DOC_MAX (64u << 20)
#define DIAL_MS 30000

struct http_client {
    char *path;        /* unix socket */
    char *host, *port; /* TCP; host alone for dial functions */
    struct stream_wrap *tls;
    http_dial_fn *dial;
    void *dial_arg;
    struct stream *kept; /* an idle connection; NULL: none */
};

struct http_client *http_client_new_unix(const char *path)
{
    struct http_client *c = mem_alloc(sizeof(*c));
    c->path = mem_strdup(path);
    c->host = mem_strdup("api.moby.localhost"); /* what docker's client says */
    return c;
}

struct http_client *http_client_new_tcp(const char *host, const char *port, struct stream_wrap *tls)
{
    struct http_client *c = mem_alloc(sizeof(*c));
    c->host = mem_strdup(host);
    c->port = mem_strdup(port);
    c->tls = tls;
    return c;
}

struct http_client *http_client_new_dial(const char *host, http_dial_fn *dial, void *arg)
{
    struct http_client *c = mem_alloc(sizeof(*c));
    c->host = mem_strdup(host);
    c->dial = dial;
    c->dial_arg = arg;
    return c;
}

void http_client_free(struct http_client *c)
{
    if (c == NULL)
        return;
    stream_close(c->kept);
    stream_wrap_free(c->tls);
    free(c->path);
    free(c->host);
    free(c->port);
    free(c);
}

void http_client_keep(struct http_client *c, struct stream *s, bool reuse)
{
    if (s == NULL)
        return;
    if (!reuse || c->kept != NULL) {
        stream_close(s);
        return;
    }
    stream_set_deadline(s, 0);
    c->kept = s;
}

static int dial(struct http_client *c, struct stream **out, struct err *e)
{
    if (c->dial != NULL)
        return c->dial(c->dial_arg, out, e);
    if (c->path != NULL)
        return stream_dial_unix(c->path, out, e);
    if (c->tls == NULL)
        return stream_dial_tcp(c->host, c->port, 0, out, e);
    int fd = stream_dial_tcp_fd(c->host, c->port, 0, e);
    if (fd < 0)
        return -1;
    return c->tls->client(c->tls, fd, c->host, time_mono_ns() + DIAL_MS * NS_PER_MS, out, e);
}

/* The idle connection, unless the server has closed it meanwhile. */
static struct stream *take_kept(struct http_client *c)
{
    struct stream *s = TAKE_PTR(c->kept);
    if (s == NULL)
        return NULL;
    short events;
    struct pollfd p = {.fd = stream_read_fd(s, &events), .events = POLLIN};
    if (stream_pending(s) == 0 && poll(&p, 1, 0) == 0)
        return s;
    stream_close(s);
    return NULL;
}

/* ---- the request on its way ---- */

static void add_header(struct buf *w, const char *name, const char *value)
{
    buf_printf(w, "%s: ", name);
    for (; *value != '\0'; value++)
        if ((unsigned char)*value >= 0x20 && *value != 0x7f)
            buf_addc(w, *value);
    buf_adds(w, "\r\n");
}

static void write_head(const struct http_client *c, const struct http_call *call, struct upload *up)
{
    struct buf *w = &up->wire;
    bool has_agent = false;

    buf_printf(w, "%s %s HTTP/1.1\r\n", call->method, call->target);
    if (c->port == NULL)
        add_header(w, "Host", c->host);
    else
        buf_printf(w, strchr(c->host, ':') != NULL ? "Host: [%s]:%s\r\n" : "Host: %s:%s\r\n",
                   c->host, c->port);
    for (size_t i = 0; i < call->n_headers; i++) {
        add_header(w, call->headers[i].name, call->headers[i].value);
        has_agent = has_agent || strcasecmp(call->headers[i].name, "User-Agent") == 0;
    }
    if (!has_agent)
        add_header(w, "User-Agent", "hull/" HULL_VERSION);
    if (call->upgrade != NULL)
        buf_printf(w, "Connection: Upgrade\r\nUpgrade: %s\r\n", call->upgrade);
    const char *type = call->type != NULL  ? call->type
                       : call->doc != NULL ? "application/json"
                                           : NULL;
    if (type != NULL)
        add_header(w, "Content-Type", type);
    bool bodyless = strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
    if (up->source != UPLOAD_BYTES)
        buf_adds(w, "Transfer-Encoding: chunked\r\n");
    else if (up->n > 0 || !bodyless)
        buf_printf(w, "Content-Length: %zu\r\n", up->n);
    buf_adds(w, "\r\n");
}

static int upload_init(struct exchange *x, const struct http_call *call, struct err *e)
{
    struct upload *up = &x->up;
    *up = (struct upload){.p = call->body,
                          .n = call->n_body,
                          .fd = call->stream_fd ? call->body_fd : -1,
                          .fn = call->body_fn,
                          .arg = call->body_arg,
                          .wire = BUF_MAX(HTTP_HEAD_MAX + PART_MAX + CHUNK_OVERHEAD)};
    up->source = call->stream_fd ? UPLOAD_FD : call->body_fn != NULL ? UPLOAD_FN : UPLOAD_BYTES;
    if (call->doc != NULL) {
        struct buf b = BUF_MAX(DOC_MAX);
        json_write(call->doc_desc, call->doc, &b);
        bool over = b.over;
        up->n = b.n;
        free(x->doc);
        up->p = x->doc = buf_take(&b);
        if (over)
            return err_set(e, ERR_TOO_LARGE, "the request is larger than %u bytes", DOC_MAX);
    }
    write_head(x->pub.client, call, up);
    if (up->source == UPLOAD_BYTES && up->n <= PART_MAX && !up->wire.over) {
        buf_add(&up->wire, up->p, up->n); /* head and body in one write */
        up->off = up->n;
        up->ended = true;
    }
    if (up->wire.over)
        return err_set(e, ERR_TOO_LARGE, "the request's head is larger than %u bytes",
                       HTTP_HEAD_MAX);
    return 0;
}

static bool readable_now(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

/* The next part of the body into the empty wire. 0 also when the source has nothing yet. */
static int fill_wire(struct upload *up, struct err *e)
{
    struct buf *w = &up->wire;
    buf_reset(w);
    up->sent = 0;
    if (up->source == UPLOAD_BYTES) {
        size_t take = MIN(up->n - up->off, PART_MAX);
        buf_add(w, up->p + up->off, take);
        up->off += take;
        up->ended = up->off == up->n;
        return 0;
    }
    if (up->source == UPLOAD_FD && !readable_now(up->fd))
        return 0;
    auto_free char *part = mem_alloc(PART_MAX);
    ssize_t n =
        up->source == UPLOAD_FD ? read(up->fd, part, PART_MAX) : up->fn(up->arg, part, PART_MAX, e);
    if (n < 0 && up->source == UPLOAD_FD)
        return errno == EINTR || errno == EAGAIN ? 0 : err_sys(e, "read the request's body");
    if (n < 0)
        return -1;
    buf_printf(w, "%zx\r\n", (size_t)n);
    buf_add(w, part, (size_t)n);
    buf_adds(w, "\r\n");
    up->ended = n == 0;
    return 0;
}

bool exchange_is_sent(const struct exchange *x)
{
    return x->up.ended && x->up.sent == x->up.wire.n;
}

int exchange_send(struct exchange *x, struct err *e)
{
    struct upload *up = &x->up;
    struct err ignored;

    while (!up->broken && !exchange_is_sent(x)) {
        if (up->sent == up->wire.n) {
            TRY(fill_wire(up, e));
            if (up->wire.n == 0 && !up->ended)
                return 0;
        }
        /* one write a turn: what the server says meanwhile is read in between */
        ssize_t put =
            stream_try_write(x->s, up->wire.p + up->sent, up->wire.n - up->sent, &ignored);
        if (put == STREAM_AGAIN)
            return 0;
        up->broken = put < 0; /* it may have answered before it closed: that tells more */
        up->sent += put > 0 ? (size_t)put : 0;
        if (stream_pending(x->s) > 0 || readable_now(x->s->rfd))
            return 0;
    }
    return 0;
}

int exchange_wait(struct exchange *x, int wake_fd, struct err *e)
{
    const struct upload *up = &x->up;
    struct pollfd p[3] = {{.fd = -1}, {.fd = -1}, {.fd = wake_fd, .events = POLLIN}};
    int ms = -1;

    if (stream_pending(x->s) > 0)
        return 0;
    if (x->s->deadline_ns != 0) {
        int64_t left = x->s->deadline_ns - time_mono_ns();
        if (left <= 0)
            return err_set(e, ERR_TIMEOUT, "timed out waiting for the answer");
        ms = (int)MIN(left / NS_PER_MS + 1, 1 << 30);
    }
    p[0].fd = stream_read_fd(x->s, &p[0].events);
    if (!up->broken && up->sent < up->wire.n)
        p[1].fd = stream_write_fd(x->s, &p[1].events);
    else if (!up->broken && !up->ended && up->source == UPLOAD_FD)
        p[1] = (struct pollfd){.fd = up->fd, .events = POLLIN};
    if (poll(p, ARRAY_LEN(p), ms) < 0 && errno != EINTR)
        return err_sys(e, "poll");
    if (p[2].revents != 0 && p[0].revents == 0)
        return err_set(e, ERR_CANCELLED, "interrupted");
    return 0;
}

/* ---- the answer's head ---- */

static int read_answer(struct exchange *x, const char *method, struct err *e)
{
    size_t seen = 0;

    for (;;) {
        ssize_t n = http_head_try(x->s, &x->text, &seen, e);
        if (n == 0)
            return err_set(e, ERR_UNAVAILABLE,
                           "the server closed the connection without an answer");
        if (n == STREAM_AGAIN) {
            TRY(exchange_send(x, e));
            TRY(exchange_wait(x, -1, e));
            continue;
        }
        if (n < 0)
            return -1;
        TRY(http_head_parse_response(x->text.p, (size_t)n, method, &x->head, e));
        if (x->head.status >= 200 || x->head.status == 101)
            return 0;
        buf_reset(&x->text); /* 100, 102, 103: the real one follows */
        seen = 0;
    }
}

/* One attempt on x->s. */
static int attempt(struct exchange *x, const struct http_call *call, struct err *e)
{
    TRY(upload_init(x, call, e));
    if (call->timeout_ms > 0)
        stream_set_deadline(x->s, time_mono_ns() + call->timeout_ms * NS_PER_MS);
    TRY(exchange_send(x, e));
    TRY(read_answer(x, call->method, e));
    stream_set_deadline(x->s, 0);
    x->body = http_body_of(&x->head);
    x->pub.status = x->head.status;
    return 0;
}

int http_client_call(struct http_client *c, const struct http_call *call, struct http_resp **out,
                     struct err *e)
{
    struct exchange *x = mem_alloc(sizeof(*x));
    x->pub = (struct http_resp){.head = &x->head, .client = c};
    x->arena = arena_new();
    x->text = (struct buf)BUF_MAX(HTTP_HEAD_MAX + (4u << 10));
    x->s = take_kept(c);
    bool kept = x->s != NULL;
    int r = kept ? 0 : dial(c, &x->s, e);
    if (r == 0)
        r = attempt(x, call, e);
    bool resendable = !call->stream_fd && call->body_fn == NULL;
    if (r < 0 && kept && resendable && e->kind == ERR_UNAVAILABLE && x->text.n == 0) {
        stream_close(TAKE_PTR(x->s));
        buf_done(&x->up.wire);
        r = dial(c, &x->s, e);
        if (r == 0)
            r = attempt(x, call, e);
    }
    if (r < 0) {
        http_client_keep(c, TAKE_PTR(x->s), false);
        http_resp_free(&x->pub);
        return -1;
    }
    *out = &x->pub;
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): two documents, each with what it is */
int http_client_json(struct http_client *c, const char *method, const char *target,
                     const struct json_desc *in_desc, const void *in,
                     const struct json_desc *out_desc, void *out, struct arena *arena,
                     struct err *e)
{
    struct http_call call = {.method = method, .target = target, .doc_desc = in_desc, .doc = in};
    auto_http_resp struct http_resp *r = NULL;

    TRY(http_client_call(c, &call, &r, e));
    TRY(http_resp_check(r, e));
    if (out_desc != NULL)
        return http_resp_json(r, out_desc, out, arena, e);
    struct buf rest = BUF_MAX(DOC_MAX);
    int done = http_resp_read_all(r, &rest, e);
    buf_done(&rest);
    return done;
}
