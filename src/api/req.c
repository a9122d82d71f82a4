/* Parameters, bodies and answers, as Docker's daemon reads and writes them. */
#include "api/req.h"

#include <limits.h>

#define BODY_MAX (4u << 20)

const char *req_query(const struct req *rq, const char *key)
{
    return http_req_query(rq->http, key);
}

struct strv req_query_all(const struct req *rq, const char *key)
{
    struct strv all = {0};
    const struct http_params *ps = &rq->http->query;
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->v[i].key, key) == 0)
            vec_push_in(rq->arena, &all, arena_strdup(rq->arena, ps->v[i].val));
    return all;
}

bool req_flag_or(const struct req *rq, const char *key, bool absent)
{
    static const char *const no[] = {"", "0", "no", "false", "none"};
    const char *v = req_query(rq, key);
    if (v == NULL)
        return absent;
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (str_ieq(str_trim(str_of(v)), no[i]))
            return false;
    return true;
}

bool req_flag(const struct req *rq, const char *key)
{
    return req_flag_or(rq, key, false);
}

static int bad_number(const char *v, struct err *e)
{
    return err_set(e, ERR_INVALID, "strconv.Atoi: parsing \"%.200s\": invalid syntax", v);
}

int req_int(const struct req *rq, const char *key, int missing, int *out, struct err *e)
{
    const char *v = req_query(rq, key);
    int64_t n = missing;
    if (v != NULL && v[0] != '\0' && !str_to_i64(str_of(v), INT_MIN + 1, INT_MAX, &n))
        return bad_number(v, e);
    *out = (int)n;
    return 0;
}

static int size_param(const struct req *rq, const char *key, uint32_t *out, struct err *e)
{
    const char *v = req_query(rq, key);
    uint64_t n;
    if (v == NULL || !str_to_u64(str_of(v), 0, UINT32_MAX, &n))
        return bad_number(v == NULL ? "" : v, e);
    *out = (uint32_t)n;
    return 0;
}

int req_size(const struct req *rq, uint32_t *out_width, uint32_t *out_height, struct err *e)
{
    TRY(size_param(rq, "h", out_height, e));
    return size_param(rq, "w", out_width, e);
}

static int check_json_type(struct req *rq, struct err *e)
{
    const char *type = http_req_head(rq->http, "Content-Type");
    struct str rest = str_of(type), media = str_trim(str_cut(&rest, ';'));
    if (str_ieq(media, "application/json"))
        return 0;
    return err_set(e, ERR_INVALID,
                   "unsupported Content-Type header (%.200s): must be 'application/json'",
                   type == NULL ? "" : type);
}

int req_json_body(struct req *rq, bool optional, const char **out, size_t *out_n, struct err *e)
{
    if (!http_req_has_body(rq->http)) {
        if (!optional)
            return err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
        *out = "{}";
        *out_n = 2;
        return 0;
    }
    TRY(check_json_type(rq, e));
    TRY(http_req_read_all(rq->http, BODY_MAX, out, out_n, e));
    if (*out_n > 0)
        return 0;
    if (!optional)
        return err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
    *out = "{}";
    *out_n = 2;
    return 0;
}

int req_cancel_fd(struct req *rq)
{
    return http_req_gone_fd(rq->http);
}

ssize_t req_body_read(void *arg, void *p, size_t cap, struct err *e)
{
    struct req *rq = arg;
    return http_req_read(rq->http, p, cap, e);
}

int req_status(struct req *rq, int status)
{
    (void)http_req_status(rq->http, status); /* a client that has gone needs no answer */
    return 0;
}

int req_reply(struct req *rq, int status, struct buf *b)
{
    struct err e;
    json_unescape_html(b);
    buf_addc(b, '\n');
    if (b->over) {
        err_set(&e, ERR_INTERNAL, "the answer is larger than %zu bytes", b->max);
        (void)http_req_error(rq->http, &e); /* as below */
        return 0;
    }
    (void)http_req_reply(rq->http, status, "application/json", b->p,
                         b->n); /* the client may be gone */
    return 0;
}

static int gone(struct err *e)
{
    return err_set(e, ERR_CANCELLED, "the client is gone");
}

int req_begin(struct req *rq, const char *type, struct err *e)
{
    rq->streaming = true;
    if (http_req_begin(rq->http, 200, type) < 0 || http_req_flush(rq->http) < 0)
        return gone(e);
    return 0;
}

static int sink_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct req *rq = arg;
    if (!rq->streaming) {
        rq->streaming = true;
        if (http_req_begin(rq->http, 200, rq->stream_type) < 0)
            return gone(e);
    }
    return http_req_write(rq->http, p, n) < 0 ? gone(e) : 0;
}

static int sink_write_now(void *arg, const void *p, size_t n, struct err *e)
{
    struct req *rq = arg;
    TRY(sink_write(rq, p, n, e));
    return http_req_flush(rq->http) < 0 ? gone(e) : 0;
}

struct sink req_sink(struct req *rq, const char *type)
{
    rq->stream_type = type;
    return (struct sink){.write = sink_write, .arg = rq};
}

struct sink req_sink_now(struct req *rq, const char *type)
{
    rq->stream_type = type;
    return (struct sink){.write = sink_write_now, .arg = rq};
}
