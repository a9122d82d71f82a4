/* Containers: list, create, inspect, and the calls that change their state. */
#include "engine/container.h"

#include <limits.h>

#include "api/route.h"
#include "engine/inspect.h"

HANDLER(get_containers)
{
    auto_buf struct buf b = REQ_DOC;
    struct list_opts o = {
        .all = req_flag(rq, "all"),
        .size = req_flag(rq, "size"),
        .filters = req_query(rq, "filters"),
        .api = rq->version,
    };
    TRY(req_int(rq, "limit", 0, &o.limit, e));
    TRY(container_list(rq->engine, &o, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_container_create)
{
    auto_buf struct buf b = REQ_DOC;
    struct create_opts o = {
        .name = req_query(rq, "name"),
        .platform = rq->version >= 41 ? req_query(rq, "platform") : NULL,
        .api = rq->version,
        .cancel_fd = req_cancel_fd(rq),
    };
    TRY(req_json_body(rq, false, &o.body, &o.body_len, e));
    TRY(container_create(rq->engine, &o, &b, e));
    return req_reply(rq, 201, &b);
}

HANDLER(get_container)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf b = REQ_DOC;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_inspect(c, rq->version, req_flag(rq, "size"), &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(get_container_top)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf b = REQ_DOC;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_top(c, req_query(rq, "ps_args"), &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_container_start)
{
    auto_container struct container *c = NULL;
    /* Old clients sent a configuration here; an empty document is still let pass. */
    if (rq->http->head->framing == HTTP_BODY_CHUNKED || rq->http->head->length > 7)
        return err_set(e, ERR_INVALID,
                       "starting container with non-empty request body was deprecated since API "
                       "v1.22 and removed in v1.24");
    if (req_query(rq, "checkpoint") != NULL && req_query(rq, "checkpoint")[0] != '\0')
        return err_set(e, ERR_UNIMPLEMENTED, "checkpoints are not supported");
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_start(c, e));
    return req_status(rq, 204);
}

/* What stop and restart have in common. */
static int stop_params(struct req *rq, struct container **c, const char **signal, int *timeout_s,
                       struct err *e)
{
    TRY(req_int(rq, "t", INT_MIN, timeout_s, e));
    *signal = rq->version >= 42 ? req_query(rq, "signal") : NULL;
    return container_find(rq->engine, rq->vars[0], c, e);
}

HANDLER(post_container_stop)
{
    auto_container struct container *c = NULL;
    const char *signal;
    int timeout_s;
    TRY(stop_params(rq, &c, &signal, &timeout_s, e));
    TRY(container_stop(c, signal, timeout_s, e));
    return req_status(rq, 204);
}

HANDLER(post_container_restart)
{
    auto_container struct container *c = NULL;
    const char *signal;
    int timeout_s;
    TRY(stop_params(rq, &c, &signal, &timeout_s, e));
    TRY(container_restart(c, signal, timeout_s, e));
    return req_status(rq, 204);
}

HANDLER(post_container_kill)
{
    auto_container struct container *c = NULL;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_kill(c, req_query(rq, "signal"), e));
    return req_status(rq, 204);
}

HANDLER(post_container_pause)
{
    auto_container struct container *c = NULL;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_pause(c, e));
    return req_status(rq, 204);
}

HANDLER(post_container_unpause)
{
    auto_container struct container *c = NULL;
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_unpause(c, e));
    return req_status(rq, 204);
}

HANDLER(post_container_rename)
{
    auto_container struct container *c = NULL;
    const char *name = req_query(rq, "name");
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_rename(c, name == NULL ? "" : name, e));
    return req_status(rq, 204);
}

HANDLER(post_container_update)
{
    auto_container struct container *c = NULL;
    auto_buf struct buf b = REQ_DOC;
    const char *body;
    size_t n;
    TRY(req_json_body(rq, false, &body, &n, e));
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_update(c, body, n, &b, e));
    return req_reply(rq, 200, &b);
}

HANDLER(post_container_resize)
{
    auto_container struct container *c = NULL;
    uint32_t width, height;
    TRY(req_size(rq, &width, &height, e));
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_resize(c, width, height, e));
    return req_status(rq, 200);
}

HANDLER(delete_container)
{
    auto_container struct container *c = NULL;
    if (req_flag(rq, "link"))
        return err_set(e, ERR_UNIMPLEMENTED, "removing links is not supported");
    TRY(container_find(rq->engine, rq->vars[0], &c, e));
    TRY(container_remove(c, req_flag(rq, "force"), req_flag(rq, "v"), e));
    return req_status(rq, 204);
}

HANDLER(post_containers_prune)
{
    auto_buf struct buf b = REQ_DOC;
    TRY(container_prune(rq->engine, req_query(rq, "filters"), req_cancel_fd(rq), &b, e));
    return req_reply(rq, 200, &b);
}
