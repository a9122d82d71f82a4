/*
 * What flows from a running container to a client: logs, statistics, the end of it, and its own
 * input and output.
 */
#include "api/route.h"
#include "api/stdcopy.h"
#include "engine/attach.h"
#include "engine/logs.h"
#include "engine/stats.h"

#define RAW_STREAM "application/vnd.docker.raw-stream"

/* Which type a framed or raw stream is announced with: before 1.42 always raw. */
static const char *stream_type(const struct req *rq, bool multiplexed)
{
    return multiplexed && rq->version >= 42 ? "application/vnd.docker.multiplexed-stream"
                                            : RAW_STREAM;
}

HANDLER(get_container_logs)
{
    auto_container struct container *c = NULL;
    bool multiplexed;
    struct logs_opts o = {
        .out = req_flag(rq, "stdout"),
        .err = req_flag(rq, "stderr"),
        .follow = req_flag(rq, "follow"),
        .timestamps = req_flag(rq, "timestamps"),
        .details = req_flag(rq, "details"),
        .since = req_query(rq, "since"),
        .until = req_query(rq, "until"),
        .tail = req_query(rq, "tail"),
    };
    if (!o.out && !o.err)
        return err_set(e, ERR_INVALID, "must specify at least one of 'stdout' or 'stderr'");
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_logs_check(c, &o, &multiplexed, e));
    const char *type = stream_type(rq, multiplexed);
    TRY(req_begin(rq, type, e));
    struct sink sink = o.follow ? req_sink_now(rq, type) : req_sink(rq, type);
    if (container_logs(c, &o, &sink, req_cancel_fd(rq), e) < 0 && e->kind != ERR_CANCELLED)
        stdcopy_error(&sink, multiplexed ? STDCOPY_ERR : STDCOPY_RAW, "Error grabbing logs: %s\n",
                      e->msg);
    return 0;
}

HANDLER(get_container_stats)
{
    auto_container struct container *c = NULL;
    bool stream = req_flag_or(rq, "stream", true);
    bool one_shot = rq->version >= 41 && req_flag(rq, "one-shot");
    if (stream && one_shot)
        return err_set(e, ERR_INVALID, "cannot have stream=true and one-shot=true");
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    if (stream)
        TRY(req_begin(rq, "application/json", e));
    struct sink sink = req_sink_now(rq, "application/json");
    return container_stats(c, stream, one_shot, rq->version, &sink, req_cancel_fd(rq), e);
}

static void add_wait_result(struct buf *b, int status, const char *error)
{
    buf_printf(b, "{\"StatusCode\":%d", status);
    if (error != NULL && error[0] != '\0') {
        buf_adds(b, ",\"Error\":{\"Message\":");
        json_write_str(error, strlen(error), b);
        buf_addc(b, '}');
    }
    buf_adds(b, "}\n");
}

/* The head goes out at once, so that a client knows that no exit is missed from here on. */
static int wait_and_tell(struct req *rq, struct container_wait *w, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(16u << 10);
    const char *error = NULL;
    int status;

    if (rq->version >= 30)
        TRY(req_begin(rq, "application/json", e));
    TRY(container_wait_end(w, req_cancel_fd(rq), &status, &error, e));
    add_wait_result(&b, status, error);
    struct sink sink = req_sink_now(rq, "application/json");
    return sink.write(sink.arg, b.p, b.n, e);
}

HANDLER(post_container_wait)
{
    auto_container struct container *c = NULL;
    struct container_wait *w = NULL;
    enum wait_condition cond;

    TRY(wait_condition_parse(rq->version >= 30 ? req_query(rq, "condition") : NULL, &cond, e));
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_wait_begin(c, cond, &w, e));
    int r = wait_and_tell(rq, w, e);
    container_wait_free(w);
    return r;
}

/* Both steps of attaching; fails before the connection is taken over only with *out_taken false. */
static int attach(struct req *rq, const struct attach_opts *o, bool *out_taken, struct err *e)
{
    auto_container struct container *c = NULL;
    struct attachment *a = NULL;
    struct stream *client;
    bool multiplexed;

    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(attachment_new(c, o, &a, &multiplexed, e));
    const struct http_hijack how = {
        .proto = "tcp", .upgraded_type = stream_type(rq, multiplexed), .bare_type = RAW_STREAM};
    http_req_clear_headers(rq->http);
    *out_taken = true;
    int r = http_req_hijack(rq->http, &how, &client, e);
    if (r == 0 && attachment_run(a, client, e) < 0 && e->kind != ERR_CANCELLED) {
        struct sink sink = stdcopy_stream_sink(client);
        stdcopy_error(&sink, multiplexed ? STDCOPY_OUT : STDCOPY_RAW, "Error attaching: %s\n",
                      e->msg);
    }
    attachment_free(a);
    return 0;
}

HANDLER(post_container_attach)
{
    struct attach_opts o = {
        .in = req_flag(rq, "stdin"),
        .out = req_flag(rq, "stdout"),
        .err = req_flag(rq, "stderr"),
        .logs = req_flag(rq, "logs"),
        .stream = req_flag(rq, "stream"),
        .detach_keys = req_query(rq, "detachKeys"),
    };
    bool taken = false;
    if (attach(rq, &o, &taken, e) < 0 && !taken) {
        http_req_clear_headers(rq->http);
        /* the client may be gone */
        (void)http_req_reply_bare(rq->http, err_http_status(e->kind), RAW_STREAM, e->msg);
    }
    return 0;
}
