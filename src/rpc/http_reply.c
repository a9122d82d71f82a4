/*
 * Answering a request.
 *
 * An answer is collected in one buffer: the head, then chunks; each flush is one write. A chunk's
 * size has four digits reserved in front of its bytes, so nothing is copied to frame it. RFC 9112
 * sections 6 and 7; hijacking as Docker's clients expect it.
 */
#include <time.h>

#include "rpc/http_conn.h"

#define CHUNK_SLOT 6 /* "8000\r\n" */
#define DOC_MAX (256u << 20)

void http_req_header(struct http_req *rq, const char *name, const char *value)
{
    struct buf *b = &rq->conn->headers;
    buf_printf(b, "%s: ", name);
    for (; *value != '\0'; value++)
        if ((unsigned char)*value >= 0x20 && *value != 0x7f)
            buf_addc(b, *value);
    buf_adds(b, "\r\n");
}

void http_req_clear_headers(struct http_req *rq)
{
    buf_reset(&rq->conn->headers);
}

bool http_req_started(const struct http_req *rq)
{
    return rq->conn->started;
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void add_date(struct buf *b)
{
    char text[40];
    struct tm tm;
    time_t now = time(NULL);
    if (gmtime_r(&now, &tm) != NULL &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
        buf_printf(b, "Date: %s\r\n", text);
}

/* Status line and headers up to those of the framing. */
static void begin_head(struct http_conn *c, int status, const char *type)
{
    struct buf *w = &c->wire;
    c->started = true;
    if (c->continue_due)
        c->keep = false;
    buf_printf(w, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    if (c->headers.n > 0)
        buf_add(w, c->headers.p, c->headers.n);
    if (type != NULL)
        buf_printf(w, "Content-Type: %s\r\n", type);
    add_date(w);
}

static void end_head(struct http_conn *c)
{
    buf_adds(&c->wire, c->keep ? "\r\n" : "Connection: close\r\n\r\n");
}

int http_req_reply(struct http_req *rq, int status, const char *type, const void *p, size_t n)
{
    struct http_conn *c = rq->conn;
    if (c->started)
        return -1;
    begin_head(c, status, type);
    if (!has_no_body(status))
        buf_printf(&c->wire, "Content-Length: %zu\r\n", n);
    end_head(c);
    bool body = n > 0 && !c->head_only && !has_no_body(status);
    if (!body || n > HTTP_OUT_MAX) {
        TRY(http_conn_send(c, c->wire.p, c->wire.n));
        return body ? http_conn_send(c, p, n) : 0;
    }
    buf_add(&c->wire, p, n);
    return http_conn_send(c, c->wire.p, c->wire.n);
}

int http_req_status(struct http_req *rq, int status)
{
    return http_req_reply(rq, status, NULL, NULL, 0);
}

static int reply_json(struct http_req *rq, int status, struct buf *b)
{
    struct err e;
    json_unescape_html(b);
    buf_addc(b, '\n');
    int r = b->over ? err_set(&e, ERR_INTERNAL, "the answer is larger than %u bytes", DOC_MAX)
                    : http_req_reply(rq, status, "application/json", b->p, b->n);
    if (b->over)
        r = http_req_error(rq, &e);
    buf_done(b);
    return r;
}

int http_req_json(struct http_req *rq, int status, const struct json_desc *desc, const void *doc)
{
    struct buf b = BUF_MAX(DOC_MAX);
    json_write(desc, doc, &b);
    return reply_json(rq, status, &b);
}

int http_req_json_list(struct http_req *rq, int status, const struct json_desc *desc,
                       const void *docs, size_t n)
{
    struct buf b = BUF_MAX(DOC_MAX);
    json_write_list(desc, docs, n, &b);
    return reply_json(rq, status, &b);
}

int http_req_error(struct http_req *rq, const struct err *err)
{
    struct http_conn *c = rq->conn;
    int status = err_http_status(err->kind);

    if (c->streaming && !c->flushed && !c->failed) { /* nothing was sent yet: begin anew */
        buf_reset(&c->wire);
        c->started = c->streaming = c->chunked = c->counted = c->chunk_open = false;
    }
    if (c->started) {
        http_req_fail(rq);
        return -1;
    }
    if (has_no_body(status))
        return http_req_status(rq, status);
    struct buf b = BUF_MAX(16u << 10);
    buf_adds(&b, "{\"message\":");
    json_write_str(err->msg, strlen(err->msg), &b);
    buf_adds(&b, "}");
    return reply_json(rq, status, &b);
}

static int begin(struct http_conn *c, int status, const char *type)
{
    if (c->started)
        return -1;
    begin_head(c, status, type);
    c->streaming = true;
    return 0;
}

int http_req_begin(struct http_req *rq, int status, const char *type)
{
    struct http_conn *c = rq->conn;
    TRY(begin(c, status, type));
    c->chunked = rq->head->minor == 1;
    if (c->chunked)
        buf_adds(&c->wire, "Transfer-Encoding: chunked\r\n");
    else
        c->keep = false;
    end_head(c);
    return 0;
}

int http_req_begin_length(struct http_req *rq, int status, const char *type, uint64_t length)
{
    struct http_conn *c = rq->conn;
    TRY(begin(c, status, type));
    buf_printf(&c->wire, "Content-Length: %llu\r\n", (unsigned long long)length);
    c->counted = true;
    c->left = c->head_only ? 0 : length;
    end_head(c);
    return 0;
}

static void open_chunk(struct http_conn *c)
{
    if (c->chunked)
        buf_adds(&c->wire, "0000\r\n");
    c->chunk_at = c->wire.n;
    c->chunk_open = true;
}

static void close_chunk(struct http_conn *c)
{
    if (!c->chunk_open)
        return;
    c->chunk_open = false;
    if (!c->chunked)
        return;
    char size[CHUNK_SLOT];
    snprintf(size, sizeof(size), "%04zx", c->wire.n - c->chunk_at);
    memcpy(c->wire.p + c->chunk_at - CHUNK_SLOT, size, 4);
    buf_adds(&c->wire, "\r\n");
}

int http_req_flush(struct http_req *rq)
{
    struct http_conn *c = rq->conn;
    if (!c->streaming || c->failed)
        return -1;
    close_chunk(c);
    if (c->wire.n == 0)
        return 0;
    c->flushed = true;
    int r = http_conn_send(c, c->wire.p, c->wire.n);
    buf_reset(&c->wire);
    return r;
}

int http_req_write(struct http_req *rq, const void *p, size_t n)
{
    struct http_conn *c = rq->conn;
    if (!c->streaming || c->failed)
        return -1;
    if (c->head_only)
        return 0;
    if (c->counted && n > c->left) {
        http_req_fail(rq); /* more than announced would be read as the next answer */
        return -1;
    }
    c->left -= c->counted ? n : 0;
    for (size_t done = 0; done < n;) {
        if (!c->chunk_open)
            open_chunk(c);
        size_t take = MIN(n - done, HTTP_OUT_MAX - (c->wire.n - c->chunk_at));
        buf_add(&c->wire, (const char *)p + done, take);
        done += take;
        if (c->wire.n - c->chunk_at == HTTP_OUT_MAX)
            TRY(http_req_flush(rq));
    }
    return 0;
}

void http_req_fail(struct http_req *rq)
{
    rq->conn->failed = true;
}

void http_reply_finish(struct http_conn *c)
{
    struct err e;
    if (!c->started) {
        err_set(&e, ERR_INTERNAL, "the request was not answered");
        (void)http_req_error(c->rq, &e); /* the client may have gone */
        return;
    }
    if (!c->streaming || c->failed)
        return;
    close_chunk(c);
    if (c->chunked && !c->head_only)
        buf_adds(&c->wire, "0\r\n\r\n");
    if (c->wire.n > 0)
        (void)http_conn_send(c, c->wire.p, c->wire.n); /* remembered in c->failed */
    if (c->counted && c->left > 0)
        c->failed = true;
}

int http_req_hijack(struct http_req *rq, const struct http_hijack *h, struct stream **out,
                    struct err *e)
{
    struct http_conn *c = rq->conn;
    struct buf *w = &c->wire;
    bool upgrade = http_head_get(rq->head, "Upgrade").n > 0;
    const char *type = upgrade ? h->upgraded_type : h->bare_type;

    if (c->started)
        return err_set(e, ERR_INTERNAL, "the answer has begun already");
    c->started = c->hijacked = true;
    if (!http_server_set_state(c->server, c, CONN_HIJACKED))
        return err_set(e, ERR_UNAVAILABLE, "the daemon is stopping");
    buf_adds(w, upgrade ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n");
    if (type != NULL)
        buf_printf(w, "Content-Type: %s\r\n", type);
    if (upgrade)
        buf_printf(w, "Connection: Upgrade\r\nUpgrade: %s\r\n", h->proto);
    if (c->headers.n > 0)
        buf_add(w, c->headers.p, c->headers.n);
    buf_adds(w, "\r\n");
    if (http_conn_send(c, w->p, w->n) < 0)
        return err_set(e, ERR_UNAVAILABLE, "the client is gone");
    buf_done(w);
    *out = c->s;
    return 0;
}

int http_req_reply_bare(struct http_req *rq, int status, const char *type, const char *text)
{
    struct http_conn *c = rq->conn;
    if (c->started)
        return -1;
    c->started = true;
    c->keep = false;
    buf_printf(&c->wire, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n\r\n%s\r\n", status,
               http_reason(status), type, text);
    return http_conn_send(c, c->wire.p, c->wire.n);
}
