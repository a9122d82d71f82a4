/*
 * Publishing: see publish.h. Only the head of the queue is ever under way. An event that containerd
 * refuses is given up after some tries; one that cannot be delivered, because nobody is there,
 * waits.
 */
#include "shim/publish.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "proto/events.pb-c.h"
#include "rpc/ttrpc.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define QUEUE_MAX 1024 /* events that wait for containerd's return; then the oldest go */
#define TRIES 5
#define RETRY_MAX_MS 5000
#define TIMEOUT_MS 5000

struct event {
    struct list link;
    char *topic;
    struct buf packed; /* Any */
    int64_t at_ns;
    int tries;
    published_fn *fn;
    void *arg;
};

struct publisher {
    struct publisher_opts o;
    struct ttrpc_client *client;
    struct list queue;
    size_t n;
    bool under_way; /* the head is being sent */
    int failures;   /* in a row */
    struct source *retry;
};

static void send_head(struct publisher *p);

static struct event *head(const struct publisher *p)
{
    return CONTAINER_OF(p->queue.next, struct event, link);
}

static void tell(struct event *ev)
{
    published_fn *fn = ev->fn;
    ev->fn = NULL;
    if (fn != NULL)
        fn(ev->arg);
}

/* ev, which n counts, is off the queue. */
static void drop(struct publisher *p, struct event *ev)
{
    assert(ev != NULL);
    p->n--;
    tell(ev);
    buf_done(&ev->packed);
    free(ev->topic);
    free(ev);
}

static void drop_head(struct publisher *p)
{
    drop(p, list_take(&p->queue, struct event, link));
}

static void on_retry(struct source *s, void *arg)
{
    struct publisher *p = arg;
    (void)s;
    p->retry = NULL;
    send_head(p);
}

/* The head was not taken. refused: containerd is there and said no. */
static void failed(struct publisher *p, bool refused, const struct err *why)
{
    struct event *ev = head(p);
    struct err e = {0};
    p->under_way = false;
    p->failures++;
    if (p->retry ==
        NULL) /* before fn, which may publish: the head must not be sent again at once */
        p->retry = loop_add_timer(p->o.loop, MIN(p->failures * 200, RETRY_MAX_MS), on_retry, p, &e);
    if (p->retry == NULL)
        log_error("event not sent again", "error", e.msg, NULL);
    if (!refused || ++ev->tries < TRIES) {
        tell(ev);
        return;
    }
    log_warn("event dropped", "topic", ev->topic, "error", why->msg, NULL);
    p->failures = 0;
    drop_head(p);
}

static void sent(struct publisher *p)
{
    p->under_way = false;
    p->failures = 0;
    drop_head(p);
    send_head(p);
}

static void on_forwarded(void *arg, const void *resp, const struct err *e)
{
    struct publisher *p = arg;
    (void)resp;
    if (e == NULL)
        sent(p);
    else if (e->kind != ERR_CANCELLED) /* cancelled: we are being freed */
        failed(p, e->kind != ERR_UNAVAILABLE, e);
}

static int forward(struct publisher *p, struct event *ev, struct err *e)
{
    auto_arena struct arena *arena = arena_new();
    Pb__Any *any = NULL;
    if (p->client != NULL && !ttrpc_client_alive(p->client)) {
        ttrpc_client_free(p->client);
        p->client = NULL;
    }
    if (p->client == NULL)
        TRY(ttrpc_client_connect(p->o.loop, p->o.ttrpc, &p->client, e));
    TRY(pb_unpack(&pb__any__descriptor, ev->packed.p, ev->packed.n, arena, &any, e));
    Types__Envelope envelope = TYPES__ENVELOPE__INIT;
    envelope.timestamp = pb_time_new(ev->at_ns, arena);
    envelope.namespace_ = arena_strdup(arena, p->o.ns);
    envelope.topic = ev->topic;
    envelope.event = any;
    Events__ForwardRequest req = EVENTS__FORWARD_REQUEST__INIT;
    req.envelope = &envelope;
    const struct ttrpc_request call = {
        .service = "containerd.services.events.ttrpc.v1.Events",
        .method = "Forward",
        .msg = &req.base,
        .response = &pb__empty__descriptor,
        .ns = p->o.ns,
        .timeout_ms = TIMEOUT_MS,
    };
    return ttrpc_client_call(p->client, &call, on_forwarded, p, NULL, e);
}

static void on_binary_end(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    struct publisher *p = arg;
    struct err e = {0};
    (void)pid;
    (void)exited_ns;
    if (status == 0) {
        sent(p);
        return;
    }
    (void)err_set(&e, ERR_UNKNOWN, "%s publish: exit status %d", p->o.binary, status);
    failed(p, true, &e);
}

/* containerd's own command, for a containerd that has told us no ttrpc address */
static int run_binary(struct publisher *p, struct event *ev, struct err *e)
{
    const char *const argv[] = {p->o.binary, "--address",   p->o.address, "publish", "--topic",
                                ev->topic,   "--namespace", p->o.ns,      NULL};
    auto_fd int memfd = fd_memfd("event", ev->packed.p, ev->packed.n);
    if (memfd < 0)
        return err_neg(e, memfd, "event");
    const struct spawn_fd fds[] = {{0, memfd}};
    const struct spawn_opts so = {.path = p->o.binary, .argv = argv, .fds = fds, .n_fds = 1};
    struct proc proc = PROC_NONE;
    TRY(spawn(&so, &proc, e));
    fd_close(proc.pidfd);
    reaper_watch(p->o.reaper, proc.pid, on_binary_end, p);
    return 0;
}

static void send_head(struct publisher *p)
{
    struct err e = {0};
    if (p->n == 0 || p->under_way || p->retry != NULL)
        return;
    p->under_way = true;
    int r = p->o.ttrpc != NULL ? forward(p, head(p), &e) : run_binary(p, head(p), &e);
    if (r < 0)
        failed(p, false, &e);
}

struct publisher *publisher_new(const struct publisher_opts *o)
{
    struct publisher *p = mem_alloc(sizeof(*p));
    p->o = *o;
    list_init(&p->queue);
    return p;
}

size_t publisher_waiting(const struct publisher *p)
{
    return p->n;
}

void publisher_free(struct publisher *p)
{
    if (p == NULL)
        return;
    ttrpc_client_free(p->client);
    loop_del(p->retry);
    while (p->n > 0) {
        head(p)->fn = NULL;
        drop_head(p);
    }
    free(p);
}

void publish(struct publisher *p, const char *topic, const ProtobufCMessage *msg, published_fn *fn,
             void *arg)
{
    auto_arena struct arena *arena = arena_new();
    struct event *ev = mem_alloc(sizeof(*ev));
    struct err e = {0};
    ev->topic = mem_strdup(topic);
    ev->packed.max = PB_MAX_BYTES;
    ev->at_ns = time_now_ns();
    ev->fn = fn;
    ev->arg = arg;
    if (pb_pack(&pb_any_new(msg, arena)->base, &ev->packed, &e) < 0)
        log_error("event not packed", "topic", topic, "error", e.msg, NULL);
    list_append(&p->queue, &ev->link);
    if (++p->n > QUEUE_MAX) /* never the one that is under way */
        drop(p, list_take(&head(p)->link, struct event, link));
    send_head(p);
}
