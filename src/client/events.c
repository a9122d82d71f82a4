/* The stream of task events. */
#include "client/events.h"

#include "base/mem.h"
#include "proto/event.pb-c.h"
#include "proto/events.pb-c.h"

struct ctd_events {
    struct grpc_stream *stream;
};

int ctd_events_open(struct ctd *c, struct ctd_events **out, struct err *e)
{
    Events__SubscribeRequest req = EVENTS__SUBSCRIBE_REQUEST__INIT;
    struct grpc_stream *s = NULL;
    char *filter = mem_printf("namespace==%s,topic~=|^/tasks/|", ctd_namespace(c));
    int r;

    req.filters = &filter;
    req.n_filters = 1;
    r = ctd_stream(c, "/containerd.services.events.v1.Events/Subscribe", NULL, &s, e);
    if (r == 0)
        r = grpc_stream_send(s, &req.base, e);
    free(filter);
    if (r < 0) {
        grpc_stream_free(s);
        return -1;
    }
    grpc_stream_close_send(s);
    *out = mem_alloc(sizeof(**out));
    (*out)->stream = s;
    return 0;
}

/* The members that each kind of event has. */
static int read_exit(const Pb__Any *any, struct arena *a, struct ctd_event *out, struct err *e)
{
    Event__TaskExit *m;

    TRY(pb_any_unpack(any, &event__task_exit__descriptor, a, &m, e));
    out->kind = CTD_TASK_EXIT;
    out->container_id = m->container_id;
    out->process_id = m->id;
    out->pid = m->pid;
    out->exit_status = m->exit_status;
    out->exited_ns = pb_time_ns(m->exited_at);
    return 0;
}

static int read_oom(const Pb__Any *any, struct arena *a, struct ctd_event *out, struct err *e)
{
    Event__TaskOOM *m;

    TRY(pb_any_unpack(any, &event__task_oom__descriptor, a, &m, e));
    out->kind = CTD_TASK_OOM;
    out->container_id = m->container_id;
    return 0;
}

static int read_paused(const Pb__Any *any, struct arena *a, struct ctd_event *out, struct err *e)
{
    Event__TaskPaused *m;

    TRY(pb_any_unpack(any, &event__task_paused__descriptor, a, &m, e));
    out->kind = CTD_TASK_PAUSED;
    out->container_id = m->container_id;
    return 0;
}

static int read_resumed(const Pb__Any *any, struct arena *a, struct ctd_event *out, struct err *e)
{
    Event__TaskResumed *m;

    TRY(pb_any_unpack(any, &event__task_resumed__descriptor, a, &m, e));
    out->kind = CTD_TASK_RESUMED;
    out->container_id = m->container_id;
    return 0;
}

static const struct {
    const char *topic;
    int (*read)(const Pb__Any *any, struct arena *a, struct ctd_event *out, struct err *e);
} topics[] = {
    {"/tasks/exit", read_exit},
    {"/tasks/oom", read_oom},
    {"/tasks/paused", read_paused},
    {"/tasks/resumed", read_resumed},
};

int ctd_events_next(struct ctd_events *s, struct arena *a, struct ctd_event *out, struct err *e)
{
    Types__Envelope *m;
    int r = grpc_stream_recv(s->stream, &types__envelope__descriptor, a, &m, e);

    if (r == 0)
        return err_set(e, ERR_UNAVAILABLE, "containerd ended the stream of events");
    TRY(r);
    *out = (struct ctd_event){
        .kind = CTD_OTHER, .topic = m->topic, .time_ns = pb_time_ns(m->timestamp)};
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (strcmp(m->topic, topics[i].topic) == 0)
            TRY(topics[i].read(m->event, a, out, e));
    return 1;
}

int ctd_events_fd(const struct ctd_events *s)
{
    return grpc_stream_fd(s->stream);
}

void ctd_events_cancel(struct ctd_events *s)
{
    grpc_stream_cancel(s->stream);
}

void ctd_events_free(struct ctd_events *s)
{
    if (s == NULL)
        return;
    grpc_stream_free(s->stream);
    free(s);
}
