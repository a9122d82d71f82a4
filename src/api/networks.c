/* Networks and volumes. */
#include "engine/networks.h"

#include "api/route.h"

HANDLER(get_networks)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_network_list(rq->engine, req_query(rq, "filters"), rq->version, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_network)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_network_inspect(rq->engine, rq->vars[0], rq->version, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_network_create)
{
    auto_buf struct buf b = REQ_DOC;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(engine_network_create(rq->engine, body, n, &b, e));
    return req_reply(rq, 201, &b);
}

HANDLER(delete_network)
{
    TRY(engine_network_remove(rq->engine, rq->vars[0], e));
    return req_status(rq, 204);
}

HANDLER(post_network_connect)
{
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(engine_network_connect(rq->engine, rq->vars[0], body, n, e));
    return req_status(rq, 200);
}

HANDLER(post_network_disconnect)
{
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(engine_network_disconnect(rq->engine, rq->vars[0], body, n, e));
    return req_status(rq, 200);
}

HANDLER(post_networks_prune)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_network_prune(rq->engine, req_query(rq, "filters"), &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_volumes)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_volume_list(rq->engine, req_query(rq, "filters"), &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_volume)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_volume_inspect(rq->engine, rq->vars[0], &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_volume_create)
{
    auto_buf struct buf b = REQ_DOC;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(engine_volume_create(rq->engine, body, n, &b, e));
    return req_reply(rq, 201, &b);
}

HANDLER(delete_volume)
{
    TRY(engine_volume_remove(rq->engine, rq->vars[0], req_flag(rq, "force"), e));
    return req_status(rq, 204);
}

HANDLER(post_volumes_prune)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(engine_volume_prune(rq->engine, req_query(rq, "filters"), rq->version, &b, e));
    return req_reply(rq, 200, &b);
}
