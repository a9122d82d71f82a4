/* Reading answers: bodies, documents, errors in Docker's form, and taking the connection over. */
#include "base/mem.h"
#include "rpc/http_client.h"
#include "rpc/http_exchange.h"

#define DOC_MAX (256u << 20)
#define ERROR_MAX (64u << 10)

#define HTTP_MESSAGE(T, F) F(T, str, message, "message", 0)
JSON_TYPE(http_message, HTTP_MESSAGE)
JSON_DESC(http_message, HTTP_MESSAGE)

static struct exchange *exchange_of(struct http_resp *r)
{
    return CONTAINER_OF(r, struct exchange, pub);
}

const char *http_resp_head(struct http_resp *r, const char *name)
{
    struct str v = http_head_get(r->head, name);
    return v.p == NULL ? "" : arena_strndup(exchange_of(r)->arena, v.p, v.n);
}

ssize_t http_resp_read_or(struct http_resp *r, void *p, size_t n, int wake_fd, struct err *e)
{
    struct exchange *x = exchange_of(r);
    if (x->s == NULL)
        return err_set(e, ERR_INTERNAL, "the connection was taken over");
    for (;;) {
        ssize_t got = http_body_try(&x->body, x->s, p, n, e);
        if (got != STREAM_AGAIN)
            return got;
        TRY(exchange_send(x, e));
        TRY(exchange_wait(x, wake_fd, e));
    }
}

ssize_t http_resp_read(struct http_resp *r, void *p, size_t n, struct err *e)
{
    return http_resp_read_or(r, p, n, -1, e);
}

int http_resp_read_all(struct http_resp *r, struct buf *out, struct err *e)
{
    for (;;) {
        char part[4096];
        ssize_t n = http_resp_read(r, part, sizeof(part), e);
        if (n <= 0)
            return (int)n;
        if (buf_add(out, part, (size_t)n) < 0)
            return err_set(e, ERR_TOO_LARGE, "the answer is larger than %zu bytes", out->max);
    }
}

int http_resp_check(struct http_resp *r, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(ERROR_MAX);
    struct http_message m = {0};

    if (r->status < 400)
        return 0;
    /* a body that is cut or too long still tells something */
    (void)http_resp_read_all(r, &text, e);
    err_clear(e);
    auto_arena struct arena *a = arena_new();
    if (json_parse(&http_message_json, &m, buf_cstr(&text), text.n, a, e) == 0 &&
        m.message != NULL && m.message[0] != '\0')
        return err_set(e, err_kind_of_http(r->status), "%s", m.message);
    while (text.n > 0 && strchr("\r\n ", text.p[text.n - 1]) != NULL)
        text.p[--text.n] = '\0';
    return err_set(e, err_kind_of_http(r->status), "%s",
                   text.n > 0 ? buf_cstr(&text) : http_reason(r->status));
}

int http_resp_json(struct http_resp *r, const struct json_desc *desc, void *doc,
                   struct arena *arena, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(DOC_MAX);
    TRY(http_resp_read_all(r, &text, e));
    return json_parse(desc, doc, buf_cstr(&text), text.n, arena, e);
}

int http_resp_json_list(struct http_resp *r, const struct json_desc *desc, void **out_v,
                        size_t *out_n, struct arena *arena, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(DOC_MAX);
    TRY(http_resp_read_all(r, &text, e));
    return json_parse_list(desc, out_v, out_n, buf_cstr(&text), text.n, arena, e);
}

int http_resp_hijack(struct http_resp *r, struct stream **out, struct err *e)
{
    struct exchange *x = exchange_of(r);
    bool bare = r->status == 200 && x->head.framing == HTTP_BODY_CLOSE;
    if (x->s == NULL || (r->status != 101 && !bare))
        return err_set(e, ERR_UNAVAILABLE, "the server did not hand over the connection (%d %s)",
                       r->status, http_reason(r->status));
    while (!exchange_is_sent(x) && !x->up.broken) {
        TRY(exchange_send(x, e));
        if (!exchange_is_sent(x) && !x->up.broken)
            TRY(stream_wait_write(x->s, e));
    }
    *out = TAKE_PTR(x->s);
    return 0;
}

void http_resp_free(struct http_resp *r)
{
    if (r == NULL)
        return;
    struct exchange *x = exchange_of(r);
    bool reuse = x->body.ended && x->head.keep_alive && exchange_is_sent(x) && !x->up.broken &&
                 x->head.status != 101;
    http_client_keep(r->client, TAKE_PTR(x->s), reuse);
    buf_done(&x->up.wire);
    buf_done(&x->text);
    arena_free(x->arena);
    free(x->doc);
    free(x);
}
