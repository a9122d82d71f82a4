/* Events: published by clients and shims, heard by subscribers. */
#include "base/time.h"
#include "containerd/bus.h"
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/events.pb-c.h"

static struct bus *bus_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->bus;
}

static int publish(struct grpc_call *c, const void *req, struct err *e)
{
    const Events__PublishRequest *q = req;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(bus_publish(bus_of(c), sc.ns, q->topic, time_now_ns(), q->event, e));
    return grpc_call_reply_empty(c, e);
}

static int forward(struct grpc_call *c, const void *req, struct err *e)
{
    const Events__ForwardRequest *q = req;
    const Types__Envelope *env = q->envelope;
    if (env == NULL || *env->namespace_ == '\0')
        return err_set(e, ERR_INVALID, "envelope namespace is required: invalid argument");
    TRY(bus_publish(bus_of(c), env->namespace_, env->topic, pb_time_ns(env->timestamp), env->event,
                    e));
    return grpc_call_reply_empty(c, e);
}

static int subscribe(struct grpc_call *c, const void *req, struct err *e)
{
    const Events__SubscribeRequest *q = req;
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    return bus_subscribe(bus_of(c), c, &filters, e);
}

#define EVENTS "containerd.services.events.v1.Events"

static const struct grpc_method methods[] = {
    {EVENTS, "Publish", &events__publish_request__descriptor, &pb__empty__descriptor, GRPC_UNARY, 0,
     publish},
    {EVENTS, "Forward", &events__forward_request__descriptor, &pb__empty__descriptor, GRPC_UNARY, 0,
     forward},
    {EVENTS, "Subscribe", &events__subscribe_request__descriptor, &types__envelope__descriptor,
     GRPC_SERVER_STREAM, 0, subscribe},
};

void service_events_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
