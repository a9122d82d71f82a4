/* What only a registry knows: accounts, its images, a search. */
#include "engine/registry.h"

#include "api/route.h"

HANDLER(get_images_search)
{
    auto_buf struct buf b = REQ_DOC;
    struct search_opts o = {
        .term = req_query(rq, "term"),
        .filters = req_query(rq, "filters"),
        .auth = http_req_head(rq->http, "X-Registry-Auth"),
        .cancel_fd = req_cancel_fd(rq),
    };
    TRY(req_int(rq, "limit", 0, &o.limit, e));
    TRY(engine_search(rq->engine, &o, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_distribution)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_distribution(rq->engine, rq->vars[0], http_req_head(rq->http, "X-Registry-Auth"),
                            req_cancel_fd(rq), &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_auth)
{
    auto_buf struct buf b = REQ_DOC;
    struct auth_config c;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(json_parse(&auth_config_json, &c, body, n, rq->arena, e));
    TRY(engine_login(rq->engine, &c, req_cancel_fd(rq), &b, e));
    return req_reply(rq, 200, &b);
}
