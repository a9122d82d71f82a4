/*
 * The bus: see bus.h. Sending to a call only queues, so publishing to all under one lock is what
 * keeps the order. A subscriber whose queue is full is told so and dropped: it will list what there
 * is and subscribe anew.
 */
#include "containerd/bus.h"

#include <pthread.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "proto/event.pb-c.h"
#include "proto/image_event.pb-c.h"
#include "store/filter.h"

#define FIELD_MAX 256

struct subscriber {
    struct list link;
    struct bus *bus;
    struct grpc_call *call; /* referenced */
    struct filters *filters;
    bool dropped; /* guarded by the bus's lock: the publisher that set it frees the subscriber */
};

struct bus {
    pthread_mutex_t lock;
    struct list subscribers; /* guarded by lock */
};

struct bus *bus_new(void)
{
    struct bus *b = mem_alloc(sizeof(*b));
    (void)pthread_mutex_init(&b->lock, NULL);
    list_init(&b->subscribers);
    return b;
}

static void subscriber_free(struct subscriber *s)
{
    filters_free(s->filters);
    grpc_call_unref(s->call);
    free(s);
}

void bus_free(struct bus *b)
{
    if (b == NULL)
        return;
    list_each(l, &b->subscribers)
        subscriber_free(CONTAINER_OF(l, struct subscriber, link));
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
}

/* What filters look at. */
struct subject {
    const char *ns, *topic;
    const Pb__Any *any;
    struct arena *arena;
};

/* The types whose fields filters may name, "event.container_id" above all. */
static const ProtobufCMessageDescriptor *const event_types[] = {
    &event__container_create__descriptor, &event__container_update__descriptor,
    &event__container_delete__descriptor, &event__task_create__descriptor,
    &event__task_start__descriptor,       &event__task_exit__descriptor,
    &event__task_delete__descriptor,      &event__task_oom__descriptor,
    &event__task_exec_added__descriptor,  &event__task_exec_started__descriptor,
    &event__task_paused__descriptor,      &event__task_resumed__descriptor,
    &event__image_create__descriptor,     &event__image_update__descriptor,
    &event__image_delete__descriptor,
};

static const char *event_field(const struct subject *s, const char *name)
{
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(event_types); i++) {
        ProtobufCMessage *m;
        if (!pb_any_is(s->any, event_types[i]) ||
            pb_any_unpack(s->any, event_types[i], s->arena, &m, &e) < 0)
            continue;
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(event_types[i], name);
        if (f == NULL || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED)
            return NULL;
        char *text;
        memcpy(&text, (const char *)m + f->offset, sizeof(text));
        return text;
    }
    return NULL;
}

static const char *subject_field(const void *obj, const char *const *path, size_t n)
{
    const struct subject *s = obj;
    if (n == 1 && strcmp(path[0], "namespace") == 0)
        return s->ns;
    if (n == 1 && strcmp(path[0], "topic") == 0)
        return s->topic;
    if (n == 2 && strcmp(path[0], "event") == 0)
        return event_field(s, path[1]);
    return NULL;
}

static bool topic_ok(const char *topic)
{
    if (topic[0] != '/' || topic[1] == '\0' || strlen(topic) > FIELD_MAX)
        return false;
    for (const char *p = topic + 1; *p != '\0'; p++) {
        bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
        if (!word && (*p != '/' || p[-1] == '/' || p[1] == '\0'))
            return false;
    }
    return true;
}

/* End a subscription whose queue is full. Finishing waits for the callback of a cancellation, so
 * nobody else has s then. */
static void drop(struct subscriber *s)
{
    struct err why = {0};
    err_set(&why, ERR_EXHAUSTED, "events were not read in time: resource exhausted");
    log_warn("a subscriber does not read its events and is dropped", NULL);
    grpc_call_finish(s->call, &why);
    subscriber_free(s);
}

void bus_end(struct bus *b)
{
    struct err why = {0};
    struct list ended;
    list_init(&ended);
    (void)pthread_mutex_lock(&b->lock);
    list_each(l, &b->subscribers) {
        CONTAINER_OF(l, struct subscriber, link)->dropped = true;
        list_remove(l);
        list_append(&ended, l);
    }
    (void)pthread_mutex_unlock(&b->lock);
    err_set(&why, ERR_UNAVAILABLE, "the daemon stops: unavailable");
    list_each(l, &ended) {
        struct subscriber *s = CONTAINER_OF(l, struct subscriber, link);
        grpc_call_finish(s->call, &why);
        subscriber_free(s);
    }
}

int bus_publish(struct bus *b, const char *ns, const char *topic, int64_t when_ns,
                const Pb__Any *any, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Pb__Any none = PB__ANY__INIT;
    Types__Envelope env = TYPES__ENVELOPE__INIT;
    struct subject subject = {ns, topic, any != NULL ? any : &none, a};
    if (!topic_ok(topic))
        return err_set(e, ERR_INVALID, "envelope topic \"%s\" is not valid: invalid argument",
                       topic);
    env.timestamp = pb_time_new(when_ns, a);
    env.namespace_ = pb_str(ns);
    env.topic = pb_str(topic);
    env.event = (Pb__Any *)(uintptr_t)subject.any;
    struct list dropped;
    list_init(&dropped);
    (void)pthread_mutex_lock(&b->lock);
    list_each(l, &b->subscribers) {
        struct subscriber *s = CONTAINER_OF(l, struct subscriber, link);
        struct err sent = {0};
        if (!filters_match(s->filters, subject_field, &subject) ||
            grpc_call_send(s->call, &env.base, &sent) == 0 || sent.kind == ERR_CANCELLED)
            continue; /* a cancelled one is taken off the list by its own callback */
        s->dropped = true;
        list_remove(l);
        list_append(&dropped, l);
    }
    (void)pthread_mutex_unlock(&b->lock);
    list_each(l, &dropped)
        drop(CONTAINER_OF(l, struct subscriber, link));
    return 0;
}

static void subscriber_gone(void *arg)
{
    struct subscriber *s = arg;
    (void)pthread_mutex_lock(&s->bus->lock);
    bool ours = !s->dropped;
    if (ours)
        list_remove(&s->link);
    (void)pthread_mutex_unlock(&s->bus->lock);
    if (ours)
        subscriber_free(s);
}

int bus_subscribe(struct bus *b, struct grpc_call *c, const struct strv *filters, struct err *e)
{
    struct filters *f = NULL;
    TRY(filters_parse(filters, &f, e));
    struct subscriber *s = mem_alloc(sizeof(*s));
    *s = (struct subscriber){.bus = b, .call = grpc_call_ref(c), .filters = f};
    (void)pthread_mutex_lock(&b->lock);
    list_append(&b->subscribers, &s->link);
    (void)pthread_mutex_unlock(&b->lock);
    grpc_call_on_cancel(c, subscriber_gone, s);
    return GRPC_LATER;
}

/* ---- events of the store ---- */

typedef Pb__Any *event_fn(const struct store_event *ev, struct arena *a);

static Pb__Any *container_create_event(const struct store_event *ev, struct arena *a)
{
    Event__ContainerCreate m = EVENT__CONTAINER_CREATE__INIT;
    Event__ContainerCreate__Runtime runtime = EVENT__CONTAINER_CREATE__RUNTIME__INIT;
    m.id = pb_str(ev->name);
    m.image = pb_str(ev->image);
    runtime.name = pb_str(ev->runtime);
    m.runtime = &runtime;
    return pb_any_new(&m.base, a);
}

static Pb__Any *container_update_event(const struct store_event *ev, struct arena *a)
{
    Event__ContainerUpdate m = EVENT__CONTAINER_UPDATE__INIT;
    m.id = pb_str(ev->name);
    m.image = pb_str(ev->image);
    m.snapshot_key = pb_str(ev->snapshot_key);
    if (ev->labels != NULL)
        map_to_pb(ev->labels, &event__container_update__labels_entry__descriptor, &m.n_labels,
                  &m.labels, a);
    return pb_any_new(&m.base, a);
}

/* Events that are a name, or a name and labels. */
#define NAMED(fn, type, TYPE, field)                                  \
    static Pb__Any *fn(const struct store_event *ev, struct arena *a) \
    {                                                                 \
        type m = TYPE;                                                \
        m.field = pb_str(ev->name);                                   \
        return pb_any_new(&m.base, a);                                \
    }
#define LABELLED(fn, type, TYPE, entry)                               \
    static Pb__Any *fn(const struct store_event *ev, struct arena *a) \
    {                                                                 \
        type m = TYPE;                                                \
        m.name = pb_str(ev->name);                                    \
        if (ev->labels != NULL)                                       \
            map_to_pb(ev->labels, &entry, &m.n_labels, &m.labels, a); \
        return pb_any_new(&m.base, a);                                \
    }

NAMED(container_delete_event, Event__ContainerDelete, EVENT__CONTAINER_DELETE__INIT, id)
NAMED(namespace_delete_event, Event__NamespaceDelete, EVENT__NAMESPACE_DELETE__INIT, name)
NAMED(image_delete_event, Event__ImageDelete, EVENT__IMAGE_DELETE__INIT, name)
NAMED(content_delete_event, Event__ContentDelete, EVENT__CONTENT_DELETE__INIT, digest)
LABELLED(namespace_create_event, Event__NamespaceCreate, EVENT__NAMESPACE_CREATE__INIT,
         event__namespace_create__labels_entry__descriptor)
LABELLED(namespace_update_event, Event__NamespaceUpdate, EVENT__NAMESPACE_UPDATE__INIT,
         event__namespace_update__labels_entry__descriptor)
LABELLED(image_create_event, Event__ImageCreate, EVENT__IMAGE_CREATE__INIT,
         event__image_create__labels_entry__descriptor)
LABELLED(image_update_event, Event__ImageUpdate, EVENT__IMAGE_UPDATE__INIT,
         event__image_update__labels_entry__descriptor)

static Pb__Any *content_create_event(const struct store_event *ev, struct arena *a)
{
    Event__ContentCreate m = EVENT__CONTENT_CREATE__INIT;
    m.digest = pb_str(ev->name);
    m.size = ev->size;
    return pb_any_new(&m.base, a);
}

static Pb__Any *snapshot_prepare_event(const struct store_event *ev, struct arena *a)
{
    Event__SnapshotPrepare m = EVENT__SNAPSHOT_PREPARE__INIT;
    m.key = pb_str(ev->name);
    m.parent = pb_str(ev->parent);
    m.snapshotter = pb_str(ev->snapshotter);
    return pb_any_new(&m.base, a);
}

static Pb__Any *snapshot_commit_event(const struct store_event *ev, struct arena *a)
{
    Event__SnapshotCommit m = EVENT__SNAPSHOT_COMMIT__INIT;
    m.key = pb_str(ev->name);
    m.name = pb_str(ev->committed);
    m.snapshotter = pb_str(ev->snapshotter);
    return pb_any_new(&m.base, a);
}

static Pb__Any *snapshot_remove_event(const struct store_event *ev, struct arena *a)
{
    Event__SnapshotRemove m = EVENT__SNAPSHOT_REMOVE__INIT;
    m.key = pb_str(ev->name);
    m.snapshotter = pb_str(ev->snapshotter);
    return pb_any_new(&m.base, a);
}

static const struct {
    const char *topic;
    event_fn *make;
} store_topics[] = {
    {"/containers/create", container_create_event}, {"/containers/update", container_update_event},
    {"/containers/delete", container_delete_event}, {"/namespaces/create", namespace_create_event},
    {"/namespaces/update", namespace_update_event}, {"/namespaces/delete", namespace_delete_event},
    {"/images/create", image_create_event},         {"/images/update", image_update_event},
    {"/images/delete", image_delete_event},         {"/content/create", content_create_event},
    {"/content/delete", content_delete_event},      {"/snapshot/prepare", snapshot_prepare_event},
    {"/snapshot/commit", snapshot_commit_event},    {"/snapshot/remove", snapshot_remove_event},
};

void bus_store_event(void *arg, const struct store_event *ev)
{
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(store_topics); i++) {
        if (strcmp(store_topics[i].topic, ev->topic) != 0)
            continue;
        Pb__Any *any = store_topics[i].make(ev, a);
        if (bus_publish(arg, ev->ns, ev->topic, time_now_ns(), any, &e) < 0)
            log_warn("an event was not published", "topic", ev->topic, "error", e.msg, NULL);
        return;
    }
}
