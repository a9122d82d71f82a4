/* Processes added to containers. */
#include "engine/exec.h"

#include "api/route.h"
#include "api/stdcopy.h"
#include "types/exec.h"

HANDLER(post_exec_create)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf b = REQ_DOC;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(exec_create(c, body, n, &b, e));
    return req_reply(rq, 201, &b);
}

static int start_opts(struct req *rq, struct exec_start_opts *o, struct err *e)
{
    struct exec_start doc;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, true, &body, &n, e));
    if (json_parse(&exec_start_json, &doc, body, n, rq->arena, e) < 0)
        return err_wrap(e, "invalid JSON");
    *o = (struct exec_start_opts){.detach = doc.detach, .tty = doc.tty};
    if (doc.console_size.n == 0)
        return 0;
    if (!doc.tty)
        return err_set(e, ERR_INVALID, "console size is only supported when tty is enabled");
    if (doc.console_size.n == 2) { /* height, width */
        o->height = (uint32_t)MAX(0, MIN(doc.console_size.v[0], UINT16_MAX));
        o->width = (uint32_t)MAX(0, MIN(doc.console_size.v[1], UINT16_MAX));
    }
    return 0;
}

/* The bytes of the process instead of an answer. Its failure is told in the stream. */
static int run_hijacked(struct req *rq, struct exec *x, const struct exec_start_opts *o,
                        struct err *e)
{
    const struct http_hijack how = {
        .proto = "tcp",
        .upgraded_type = o->tty || rq->version < 42 ? "application/vnd.docker.raw-stream"
                                                    : "application/vnd.docker.multiplexed-stream",
        .bare_type = "application/vnd.docker.raw-stream",
    };
    struct stream *client;
    TRY(http_req_hijack(rq->http, &how, &client, e));
    if (exec_run(x, o, client, e) < 0 && e->kind != ERR_CANCELLED) {
        struct sink sink = stdcopy_stream_sink(client);
        stdcopy_error(&sink, o->tty ? STDCOPY_RAW : STDCOPY_OUT, "%s\r\n", e->msg);
    }
    return 0;
}

HANDLER(post_exec_start)
{
    auto_exec struct exec *x = NULL;
    struct exec_start_opts o;
    TRY(start_opts(rq, &o, e));
    TRY(exec_find(rq->engine, rq->vars[0], &x, e));
    TRY(exec_start_check(x, &o, e));
    if (!o.detach)
        return run_hijacked(rq, x, &o, e);
    TRY(exec_run_detached(x, &o, e));
    return req_status(rq, 200);
}

HANDLER(post_exec_resize)
{
    auto_exec struct exec *x = NULL;
    uint32_t width, height;
    TRY(req_size(rq, &width, &height, e));
    TRY(exec_find(rq->engine, rq->vars[0], &x, e));
    TRY(exec_resize(x, width, height, e));
    return req_status(rq, 200);
}

HANDLER(get_exec)
{
    auto_exec struct exec *x = NULL;
    auto_buf struct buf b = REQ_DOC;
    TRY(exec_find(rq->engine, rq->vars[0], &x, e));
    TRY(exec_inspect(x, &b, e));
    return req_reply(rq, 200, &b);
}
