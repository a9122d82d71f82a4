/*
 * Streams by name. A stream lies in the map from its first message until a transfer claims it or
 * the client leaves; while it lies there its call is alive, since both ends of the call take it out
 * under the lock first.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/ref.h"
#include "containerd/convert.h"
#include "containerd/transfer.h"
#include "proto/streaming.pb-c.h"
#include "sys/fd.h"

#define QUEUED_MAX ((size_t)4 << 20)
#define ID_MAX 256

struct streams {
    pthread_mutex_t lock;
    struct map by_key; /* "NS/ID": struct stream; guarded by lock */
};

struct message {
    struct list link;
    char *type;
    void *data;
    size_t n;
};

struct stream {
    atomic_int refs; /* of the call, of who claimed it */
    struct streams *all;
    char *key;
    int fd; /* eventfd */
    struct grpc_call *call;
    /* guarded by the lock of all */
    struct list queue; /* struct message */
    size_t queued;     /* bytes */
    bool claimed, ended, cancelled;
};

struct streams *streams_new(void)
{
    struct streams *s = mem_alloc(sizeof(*s));
    (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

void streams_free(struct streams *s)
{
    if (s == NULL)
        return;
    map_done(&s->by_key);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

static void message_free(struct message *m)
{
    free(m->type);
    free(m->data);
    free(m);
}

static void stream_unref(struct stream *st)
{
    if (!ref_drop(&st->refs))
        return;
    list_each(l, &st->queue)
        message_free(CONTAINER_OF(l, struct message, link));
    fd_close(st->fd);
    free(st->key);
    free(st);
}

static void wake(struct stream *st)
{
    uint64_t one = 1;
    (void)!write(st->fd, &one, sizeof(one));
}

/* With the lock held: nobody will claim it any more. */
static void unlist(struct stream *st)
{
    if (map_get(&st->all->by_key, st->key) == st)
        (void)map_del(&st->all->by_key, st->key);
}

static void on_cancel(void *arg)
{
    struct stream *st = arg;
    (void)pthread_mutex_lock(&st->all->lock);
    st->ended = st->cancelled = true;
    unlist(st);
    (void)pthread_mutex_unlock(&st->all->lock);
    wake(st);
}

static void on_call_free(void *data)
{
    stream_unref(data);
}

/* ---- the service ---- */

static int begin(struct grpc_call *c, const Pb__Any *any, struct err *e)
{
    struct streams *all = ((struct ctd *)grpc_call_ctx(c))->streams;
    Streaming__StreamInit *init;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(pb_any_unpack(any, &streaming__stream_init__descriptor, grpc_call_arena(c), &init, e));
    if (*init->id == '\0' || strlen(init->id) > ID_MAX)
        return err_set(e, ERR_INVALID, "a stream needs a name: invalid argument");
    struct stream *st = mem_alloc(sizeof(*st));
    atomic_init(&st->refs, 1);
    st->all = all;
    st->key = mem_printf("%s/%s", sc.ns, init->id);
    st->call = c;
    list_init(&st->queue);
    st->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    grpc_call_set_data(c, st, on_call_free);
    if (st->fd < 0)
        return err_sys(e, "eventfd");
    (void)pthread_mutex_lock(&all->lock);
    bool taken = map_has(&all->by_key, st->key);
    if (!taken)
        (void)map_put(&all->by_key, st->key, st);
    (void)pthread_mutex_unlock(&all->lock);
    if (taken)
        return err_set(e, ERR_EXISTS, "stream %s: already exists", init->id);
    grpc_call_on_cancel(c, on_cancel, st);
    Pb__Empty empty = PB__EMPTY__INIT;
    return stream_send(st, &empty.base, e);
}

static int push(struct stream *st, const Pb__Any *any, struct err *e)
{
    struct message *m = mem_alloc(sizeof(*m));
    m->type = mem_strdup(any->type_url);
    m->data = mem_dup(any->value.data, any->value.len);
    m->n = any->value.len;
    (void)pthread_mutex_lock(&st->all->lock);
    bool full = st->queued + m->n > QUEUED_MAX;
    if (!full) {
        st->queued += m->n + sizeof(*m);
        list_append(&st->queue, &m->link);
    }
    (void)pthread_mutex_unlock(&st->all->lock);
    if (full) {
        message_free(m);
        return err_set(e, ERR_EXHAUSTED, "the stream's window was not kept: resource exhausted");
    }
    wake(st);
    return 0;
}

/* The client says no more. Unclaimed, the stream is of no use. */
static int half_close(struct grpc_call *c, struct stream *st)
{
    (void)pthread_mutex_lock(&st->all->lock);
    st->ended = true;
    bool alone = !st->claimed;
    if (alone)
        unlist(st);
    (void)pthread_mutex_unlock(&st->all->lock);
    wake(st);
    if (!alone)
        return GRPC_LATER; /* stream_close ends it */
    grpc_call_finish(c, NULL);
    return 0;
}

static int on_message(struct grpc_call *c, const void *req, struct err *e)
{
    struct stream *st = grpc_call_data(c);
    if (st == NULL && req == NULL)
        return err_set(e, ERR_INVALID, "a stream begins with its name: invalid argument");
    if (st == NULL)
        return begin(c, req, e);
    return req != NULL ? push(st, req, e) : half_close(c, st);
}

static const struct grpc_method methods[] = {
    {"containerd.services.streaming.v1.Streaming", "Stream", &pb__any__descriptor,
     &pb__any__descriptor, GRPC_BIDI, 0, on_message},
};

void service_streaming_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}

/* ---- in use ---- */

int stream_claim(struct streams *s, const char *ns, const char *id, struct stream **out,
                 struct err *e)
{
    auto_free char *key = mem_printf("%s/%s", ns, id);
    (void)pthread_mutex_lock(&s->lock);
    struct stream *st = map_del(&s->by_key, key);
    if (st != NULL) {
        st->claimed = true;
        atomic_fetch_add(&st->refs, 1);
        (void)grpc_call_ref(st->call);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (st == NULL)
        return err_set(e, ERR_NOT_FOUND, "stream %s: not found", id);
    *out = st;
    return 0;
}

void stream_close(struct stream *st)
{
    if (st == NULL)
        return;
    grpc_call_finish(st->call, NULL);
    grpc_call_unref(st->call);
    stream_unref(st);
}

int stream_fd(const struct stream *st)
{
    return st->fd;
}

int stream_next(struct stream *st, struct arena *a, Pb__Any **out)
{
    struct message *m;
    uint64_t n;
    (void)!read(st->fd, &n, sizeof(n)); /* before looking: what comes later wakes again */
    (void)pthread_mutex_lock(&st->all->lock);
    m = list_take(&st->queue, struct message, link);
    if (m != NULL)
        st->queued -= m->n + sizeof(*m);
    bool more = !list_empty(&st->queue), ended = st->ended;
    (void)pthread_mutex_unlock(&st->all->lock);
    if (more || ended)
        wake(st);
    if (m == NULL)
        return ended ? -1 : 0;
    *out = ARENA_NEW(a, Pb__Any);
    pb__any__init(*out);
    (*out)->type_url = arena_strdup(a, m->type);
    (*out)->value.data = arena_dup(a, m->data, m->n);
    (*out)->value.len = m->n;
    message_free(m);
    return 1;
}

bool stream_cancelled(struct stream *st)
{
    (void)pthread_mutex_lock(&st->all->lock);
    bool cancelled = st->cancelled;
    (void)pthread_mutex_unlock(&st->all->lock);
    return cancelled;
}

int stream_send(struct stream *st, const ProtobufCMessage *msg, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    return grpc_call_send(st->call, &pb_any_new(msg, a)->base, e);
}

bool stream_writable(struct stream *st)
{
    return grpc_call_writable(st->call);
}
