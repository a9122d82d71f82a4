/*
 * The ttrpc client on a loop: see ttrpc.h. Calls under way wait in a list for the frame with their
 * number; whatever ends one (answer, time-out, cancel, loss) takes it out of the list first and
 * calls back last, since the callback may free everything.
 */
#include "rpc/ttrpc.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/time.h"
#include "rpc/ttrpc_conn.h"
#include "sys/sock.h"

#define MAX_CALLS 4096

struct ttrpc_client {
    struct loop *loop;
    struct ttrpc_conn *conn; /* NULL: lost */
    uint32_t next_id;
    struct list pending;
    int n_pending;
    int busy;   /* end_all is running: the memory must stay */
    bool freed; /* goes when end_all has returned */
    void (*on_close)(void *arg);
    void *on_close_arg;
};

struct pending {
    struct list link;
    struct ttrpc_client *client;
    uint32_t id;
    struct source *timer;
    ttrpc_raw_done *done;
    void *arg;
};

static void pending_end(struct pending *p, const uint8_t *bytes, size_t n, const struct err *e)
{
    list_remove(&p->link);
    if (p->client != NULL)
        p->client->n_pending--;
    loop_del(p->timer);
    p->done(p->arg, bytes, n, e);
    free(p);
}

static struct pending *pending_find(struct ttrpc_client *c, uint32_t id)
{
    list_each(l, &c->pending) {
        struct pending *p = CONTAINER_OF(l, struct pending, link);
        if (p->id == id)
            return p;
    }
    return NULL;
}

static void on_timeout(struct source *s UNUSED, void *arg)
{
    struct pending *p = arg;
    struct err e;

    p->timer = NULL;
    (void)err_set(&e, ERR_TIMEOUT, "context deadline exceeded");
    pending_end(p, NULL, 0, &e);
}

/* ---- what comes in ---- */

static int response_read(const struct ttrpc_frame *f, struct arena *a, Ttrpc__Response **out_resp,
                         struct err *e)
{
    if (f->too_long)
        return err_set(e, ERR_EXHAUSTED, "message length %zu exceed maximum message size of %zu",
                       f->n, TTRPC_MAX_PAYLOAD);
    TRY(pb_unpack(&ttrpc__response__descriptor, f->p, f->n, a, out_resp, e));
    const Rpc__Status *status = (*out_resp)->status;
    return status != NULL && status->code != 0 ? grpc_err(e, status->code, status->message) : 0;
}

static void on_frame(void *owner, const struct ttrpc_frame *f)
{
    struct ttrpc_client *c = owner;
    struct pending *p = pending_find(c, f->stream);
    auto_arena struct arena *a = NULL;
    Ttrpc__Response *resp = NULL;
    struct err e;

    if (p == NULL || f->type != TTRPC_RESPONSE)
        return; /* cancelled or timed out in the meantime */
    a = arena_new();
    if (response_read(f, a, &resp, &e) < 0)
        pending_end(p, NULL, 0, &e);
    else
        pending_end(p, resp->payload.data != NULL ? resp->payload.data : (const uint8_t *)"",
                    resp->payload.len, NULL);
}

/* End all calls with e. False when the client was freed, before or by a callback; its memory is
 * gone then, or soon. */
static bool end_all(struct ttrpc_client *c, const struct err *e)
{
    struct list all;

    list_init(&all);
    list_each(l, &c->pending) {
        list_remove(l);
        list_append(&all, l);
        CONTAINER_OF(l, struct pending, link)->client = NULL;
    }
    c->n_pending = 0;
    c->busy++;
    while (!list_empty(&all))
        pending_end(CONTAINER_OF(all.next, struct pending, link), NULL, 0, e);
    c->busy--;
    if (!c->freed)
        return true;
    if (c->busy == 0)
        free(c);
    return false;
}

static void on_closed(void *owner)
{
    struct ttrpc_client *c = owner;
    struct err e;

    ttrpc_conn_free(TAKE_PTR(c->conn));
    (void)err_set(&e, ERR_UNAVAILABLE, "ttrpc: closed");
    if (end_all(c, &e) && c->on_close != NULL)
        c->on_close(c->on_close_arg);
}

static const struct ttrpc_conn_ops client_ops = {.frame = on_frame, .closed = on_closed};

/* ---- calls ---- */

int ttrpc_request_pack(const struct ttrpc_request *r, struct buf *out, struct err *e)
{
    auto_buf struct buf payload = BUF_MAX(TTRPC_MAX_PAYLOAD);
    Ttrpc__Request req = TTRPC__REQUEST__INIT;
    Ttrpc__KeyValue ns = TTRPC__KEY_VALUE__INIT, *metadata = &ns;

    TRY(pb_pack(r->msg, &payload, e));
    req.service = (char *)(uintptr_t)r->service;
    req.method = (char *)(uintptr_t)r->method;
    req.payload = (ProtobufCBinaryData){payload.n, (uint8_t *)payload.p};
    req.timeout_nano = r->timeout_ms * NS_PER_MS;
    if (r->ns != NULL) {
        ns.key = (char *)(uintptr_t)TTRPC_NS_KEY;
        ns.value = (char *)(uintptr_t)r->ns;
        req.metadata = &metadata;
        req.n_metadata = 1;
    }
    return pb_pack(&req.base, out, e);
}

int ttrpc_client_send(struct ttrpc_client *c, struct str request, int64_t timeout_ms,
                      ttrpc_raw_done *done, void *arg, uint32_t *out_id, struct err *e)
{
    struct source *timer = NULL;
    struct pending *call;

    if (c->conn == NULL || c->next_id > UINT32_MAX - 2)
        return err_set(e, ERR_UNAVAILABLE, "ttrpc: closed");
    if (c->n_pending >= MAX_CALLS)
        return err_set(e, ERR_EXHAUSTED, "too many calls at a time (%d)", MAX_CALLS);
    call = mem_alloc(sizeof(*call));
    if (timeout_ms > 0)
        timer = loop_add_timer(c->loop, timeout_ms, on_timeout, call, e);
    if ((timeout_ms > 0 && timer == NULL) ||
        ttrpc_conn_send(c->conn, c->next_id, TTRPC_REQUEST, request.p, request.n, e) < 0) {
        loop_del(timer);
        free(call);
        return -1;
    }
    *call =
        (struct pending){.client = c, .id = c->next_id, .timer = timer, .done = done, .arg = arg};
    list_append(&c->pending, &call->link);
    c->n_pending++;
    c->next_id += 2;
    if (out_id != NULL)
        *out_id = call->id;
    return 0;
}

void ttrpc_typed_done(void *arg, const uint8_t *p, size_t n, const struct err *e)
{
    auto_free struct ttrpc_typed *t = arg;
    auto_arena struct arena *a = NULL;
    const void *resp = NULL;
    struct err bad;

    if (e == NULL) {
        a = arena_new();
        if (pb_unpack(t->response, p, n, a, &resp, &bad) < 0)
            e = &bad;
    }
    t->done(t->arg, e == NULL ? resp : NULL, e);
}

int ttrpc_client_call(struct ttrpc_client *c, const struct ttrpc_request *r, ttrpc_done *done,
                      void *arg, uint32_t *out_id, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(TTRPC_MAX_PAYLOAD);
    auto_free struct ttrpc_typed *t = mem_alloc(sizeof(*t));

    *t = (struct ttrpc_typed){r->response, done, arg};
    TRY(ttrpc_request_pack(r, &b, e));
    TRY(ttrpc_client_send(c, (struct str){b.p, b.n}, r->timeout_ms, ttrpc_typed_done, t, out_id,
                          e));
    (void)TAKE_PTR(t); /* ttrpc_typed_done frees it */
    return 0;
}

void ttrpc_client_cancel(struct ttrpc_client *c, uint32_t id)
{
    struct pending *p = pending_find(c, id);
    struct err e;

    if (p == NULL)
        return;
    (void)err_set(&e, ERR_CANCELLED, "context canceled");
    pending_end(p, NULL, 0, &e);
}

/* ---- the connection ---- */

int ttrpc_client_adopt(struct loop *loop, int fd, struct ttrpc_client **out_client, struct err *e)
{
    struct ttrpc_client *c = mem_alloc(sizeof(*c));

    *c = (struct ttrpc_client){.loop = loop, .next_id = 1};
    list_init(&c->pending);
    if (ttrpc_conn_new(loop, fd, &client_ops, c, &c->conn, e) < 0) {
        free(c);
        return -1;
    }
    *out_client = c;
    return 0;
}

int ttrpc_client_connect(struct loop *loop, const char *path, struct ttrpc_client **out_client,
                         struct err *e)
{
    int fd = sock_dial(path, 0, e);

    return fd < 0 ? -1 : ttrpc_client_adopt(loop, fd, out_client, e);
}

bool ttrpc_client_alive(const struct ttrpc_client *c)
{
    return c->conn != NULL;
}

void ttrpc_client_on_close(struct ttrpc_client *c, void (*fn)(void *arg), void *arg)
{
    c->on_close = fn;
    c->on_close_arg = arg;
}

void ttrpc_client_free(struct ttrpc_client *c)
{
    struct err e;

    if (c == NULL)
        return;
    ttrpc_conn_free(TAKE_PTR(c->conn));
    (void)err_set(&e, ERR_CANCELLED, "context canceled");
    c->freed = true;
    (void)end_all(c, &e);
}
