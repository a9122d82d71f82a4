/* Ping, version, info, events and disk usage. */
#include "api/route.h"
#include "engine/events.h"

HANDLER(get_ping)
{
    (void)e;
    bool head = strcmp(rq->http->method, "HEAD") == 0;
    http_req_header(rq->http, "Cache-Control", "no-cache, no-store, must-revalidate");
    http_req_header(rq->http, "Pragma", "no-cache");
    http_req_header(rq->http, "Builder-Version", "1");
    http_req_header(rq->http, "Swarm", "inactive");
    /* the client may be gone */
    (void)http_req_reply(rq->http, 200, "text/plain; charset=utf-8", "OK", head ? 0 : 2);
    return 0;
}

HANDLER(get_version)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_version(rq->engine, rq->version, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_info)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_info(rq->engine, rq->version, &b, e));
    return req_reply(rq, 200, &b);
}

static void begin_events(void *arg)
{
    struct req *rq = arg;
    struct err e;
    (void)req_begin(rq, "application/json",
                    &e); /* a client that has gone is seen at the next event */
}

HANDLER(get_events)
{
    struct events_opts o = {
        .since = req_query(rq, "since"),
        .until = req_query(rq, "until"),
        .filters = req_query(rq, "filters"),
        .api = rq->version,
    };
    TRY(events_check(&o, e));
    struct sink sink = req_sink_now(rq, "application/json");
    return events_stream(rq->engine, &o, &sink, req_cancel_fd(rq), begin_events, rq, e);
}

/* Without a builder there is no cache, so all of it is gone already: `system prune` asks here too.
 */
HANDLER(post_build_prune)
{
    (void)e;
    auto_buf struct buf b = REQ_DOC;
    buf_adds(&b, "{\"CachesDeleted\":null,\"SpaceReclaimed\":0}");
    return req_reply(rq, 200, &b);
}

HANDLER(get_df)
{
    static const char *const known[] = {"container", "image", "volume", "build-cache"};
    auto_buf struct buf b = REQ_DOC;
    struct strv types = rq->version >= 42 ? req_query_all(rq, "type") : (struct strv){0};
    vec_each(t, &types) {
        bool ok = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok = ok || strcmp(*t, known[i]) == 0;
        if (!ok)
            return err_set(e, ERR_INVALID, "unknown object type: %.200s", *t);
    }
    TRY(engine_df(rq->engine, rq->version, &types, req_flag(rq, "verbose"), &b, e));
    return req_reply(rq, 200, &b);
}
