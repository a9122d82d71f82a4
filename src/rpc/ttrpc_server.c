/*
 * The ttrpc server: see ttrpc.h. A call belongs to the handler from its dispatch to its answer; a
 * connection that ends in between takes only the way back: the call is told, stays valid, and its
 * answer goes nowhere.
 */
#include "rpc/ttrpc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "rpc/ttrpc_conn.h"
#include "sys/fd.h"

#define MAX_PEERS 256
#define MAX_CALLS 4096 /* unanswered, of all connections */
#define SCRATCH_MAX (TTRPC_MAX_PAYLOAD + ((size_t)64 << 10))

struct ttrpc_server {
    struct loop *loop;
    const struct ttrpc_method *methods;
    size_t n_methods;
    void *ctx;
    struct list peers, listeners;
    struct list calls; /* unanswered */
    int n_peers, n_calls;
};

struct peer {
    struct list link;
    struct ttrpc_server *server;
    struct ttrpc_conn *conn;
    uint32_t last_stream;
};

struct listener {
    struct list link;
    struct ttrpc_server *server;
    struct source *source;
    int fd;
    int spare; /* closed to refuse a connection when no descriptor is left */
};

struct ttrpc_call {
    struct list link;
    struct ttrpc_server *server; /* NULL: freed */
    struct peer *peer;           /* NULL: gone */
    uint32_t stream;
    const struct ttrpc_method *method;
    Ttrpc__Request *request;
    struct arena *arena;
    struct source *timer;
    bool cancelled;
    void (*on_cancel)(void *arg);
    void *on_cancel_arg;
};

/* ---- answers ---- */

static int send_response(struct peer *p, uint32_t stream, const Ttrpc__Response *resp,
                         struct err *e)
{
    auto_buf struct buf b = BUF_MAX(SCRATCH_MAX);

    TRY(pb_pack(&resp->base, &b, e));
    return ttrpc_conn_send(p->conn, stream, TTRPC_RESPONSE, b.p, b.n, e);
}

static void send_error(struct peer *p, uint32_t stream, const struct err *why)
{
    Rpc__Status status = RPC__STATUS__INIT;
    Ttrpc__Response resp = TTRPC__RESPONSE__INIT;
    struct err e;

    status.code = (int32_t)grpc_code_of(why->kind);
    status.message = (char *)(uintptr_t)why->msg;
    resp.status = &status;
    if (send_response(p, stream, &resp, &e) < 0)
        log_warn("ttrpc: answer lost", "error", e.msg, NULL);
}

static void call_free(struct ttrpc_call *c)
{
    list_remove(&c->link);
    if (c->server != NULL)
        c->server->n_calls--;
    loop_del(c->timer);
    arena_free(c->arena);
    free(c);
}

int ttrpc_call_reply(struct ttrpc_call *c, const ProtobufCMessage *msg)
{
    auto_buf struct buf b = BUF_MAX(SCRATCH_MAX);
    Ttrpc__Response resp = TTRPC__RESPONSE__INIT;
    struct err e;

    if (c->peer != NULL && !c->cancelled) {
        int r = pb_pack(msg, &b, &e);
        resp.payload = (ProtobufCBinaryData){b.n, (uint8_t *)b.p};
        if (r < 0 || send_response(c->peer, c->stream, &resp, &e) < 0)
            send_error(c->peer, c->stream, &e);
    }
    call_free(c);
    return 0;
}

int ttrpc_call_reply_empty(struct ttrpc_call *c)
{
    Pb__Empty empty = PB__EMPTY__INIT;

    return ttrpc_call_reply(c, &empty.base);
}

void ttrpc_call_fail(struct ttrpc_call *c, const struct err *e)
{
    if (c->peer != NULL && !c->cancelled)
        send_error(c->peer, c->stream, e);
    call_free(c);
}

/* ---- calls ---- */

void *ttrpc_call_ctx(const struct ttrpc_call *c)
{
    return c->server != NULL ? c->server->ctx : NULL;
}

const struct ttrpc_method *ttrpc_call_method(const struct ttrpc_call *c)
{
    return c->method;
}

const char *ttrpc_call_metadata(const struct ttrpc_call *c, const char *key)
{
    for (size_t i = 0; i < c->request->n_metadata; i++)
        if (strcmp(c->request->metadata[i]->key, key) == 0)
            return c->request->metadata[i]->value;
    return NULL;
}

struct arena *ttrpc_call_arena(struct ttrpc_call *c)
{
    return c->arena;
}

bool ttrpc_call_cancelled(const struct ttrpc_call *c)
{
    return c->cancelled;
}

void ttrpc_call_on_cancel(struct ttrpc_call *c, void (*fn)(void *arg), void *arg)
{
    c->on_cancel = fn;
    c->on_cancel_arg = arg;
}

static void call_cancel(struct ttrpc_call *c)
{
    void (*fn)(void *) = c->on_cancel;

    c->cancelled = true;
    c->on_cancel = NULL;
    if (fn != NULL)
        fn(c->on_cancel_arg); /* may answer: c is gone then */
}

static void on_timeout(struct source *s UNUSED, void *arg)
{
    struct ttrpc_call *c = arg;
    struct err e;

    c->timer = NULL;
    if (c->peer == NULL)
        return;
    (void)err_set(&e, ERR_TIMEOUT, "context deadline exceeded");
    send_error(c->peer, c->stream, &e);
    call_cancel(c);
}

static const struct ttrpc_method *find(const struct ttrpc_server *s, const char *service,
                                       const char *method, struct err *e)
{
    bool known = false;

    for (size_t i = 0; i < s->n_methods; i++) {
        if (strcmp(s->methods[i].service, service) != 0)
            continue;
        if (strcmp(s->methods[i].method, method) == 0)
            return &s->methods[i];
        known = true;
    }
    (void)err_set(e, ERR_UNIMPLEMENTED, "%s %s", known ? "method" : "service",
                  known ? method : service);
    return NULL;
}

/* Read the request into c and find its method. */
static int call_read(struct ttrpc_call *c, const struct ttrpc_frame *f, const void **out_req,
                     struct err *e)
{
    const struct ttrpc_server *s = c->server;

    TRY(pb_unpack(&ttrpc__request__descriptor, f->p, f->n, c->arena, &c->request, e));
    c->method = find(s, c->request->service, c->request->method, e);
    if (c->method == NULL)
        return -1;
    if (f->flags & TTRPC_REMOTE_OPEN)
        return err_set(e, ERR_UNIMPLEMENTED, "streams are not supported");
    TRY(pb_unpack(c->method->request, c->request->payload.data, c->request->payload.len, c->arena,
                  out_req, e));
    if (c->request->timeout_nano <= 0)
        return 0;
    c->timer = loop_add_timer(s->loop, c->request->timeout_nano / NS_PER_MS + 1, on_timeout, c, e);
    return c->timer != NULL ? 0 : -1;
}

static void dispatch(struct peer *p, const struct ttrpc_frame *f)
{
    struct ttrpc_server *s = p->server;
    struct ttrpc_call *c = mem_alloc(sizeof(*c));
    const void *req = NULL;
    struct err e;

    *c = (struct ttrpc_call){.server = s, .peer = p, .stream = f->stream, .arena = arena_new()};
    list_append(&s->calls, &c->link);
    s->n_calls++;
    if (call_read(c, f, &req, &e) < 0 || c->method->handler(c, req, &e) < 0)
        ttrpc_call_fail(c, &e);
}

static int check(struct peer *p, const struct ttrpc_frame *f, struct err *e)
{
    if (f->stream % 2 == 0)
        return err_set(e, ERR_INVALID, "StreamID must be odd for client initiated streams");
    if (f->stream <= p->last_stream)
        return err_set(e, ERR_INVALID, "StreamID cannot be re-used and must increment");
    p->last_stream = f->stream;
    if (f->too_long)
        return err_set(e, ERR_EXHAUSTED, "message length %zu exceed maximum message size of %zu",
                       f->n, TTRPC_MAX_PAYLOAD);
    if (p->server->n_calls >= MAX_CALLS)
        return err_set(e, ERR_EXHAUSTED, "too many calls at a time (%d)", MAX_CALLS);
    return 0;
}

/* ---- connections ---- */

static void on_frame(void *owner, const struct ttrpc_frame *f)
{
    struct peer *p = owner;
    struct err e;

    if (f->type != TTRPC_REQUEST)
        return; /* data of a stream that was refused */
    if (check(p, f, &e) < 0)
        send_error(p, f->stream, &e);
    else
        dispatch(p, f);
}

static void peer_free(struct peer *p)
{
    struct ttrpc_server *s = p->server;
    struct ttrpc_call *c;

    list_remove(&p->link);
    s->n_peers--;
    list_each(l, &s->calls) {
        c = CONTAINER_OF(l, struct ttrpc_call, link);
        if (c->peer == p)
            c->peer = NULL;
    }
    /* a callback may answer any call, the next in the list too: start again after each */
    do {
        c = NULL;
        list_each(l, &s->calls) {
            c = CONTAINER_OF(l, struct ttrpc_call, link);
            if (c->peer == NULL && !c->cancelled)
                break;
            c = NULL;
        }
        if (c != NULL)
            call_cancel(c);
    } while (c != NULL);
    ttrpc_conn_free(p->conn);
    free(p);
}

static void on_closed(void *owner)
{
    peer_free(owner);
}

static const struct ttrpc_conn_ops peer_ops = {.frame = on_frame, .closed = on_closed};

int ttrpc_server_adopt(struct ttrpc_server *s, int fd, struct err *e)
{
    struct peer *p;

    if (s->n_peers >= MAX_PEERS) {
        fd_close(fd);
        return err_set(e, ERR_EXHAUSTED, "too many connections (%d)", MAX_PEERS);
    }
    p = mem_alloc(sizeof(*p));
    p->server = s;
    if (ttrpc_conn_new(s->loop, fd, &peer_ops, p, &p->conn, e) < 0) {
        free(p);
        return -1;
    }
    list_append(&s->peers, &p->link);
    s->n_peers++;
    return 0;
}

/* No descriptor is left: with the one kept for this the connection is taken and closed, or it would
 * be reported for ever. */
static void refuse(struct listener *l)
{
    fd_close(l->spare);
    fd_close(accept4(l->fd, NULL, NULL, SOCK_CLOEXEC));
    l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    log_warn("ttrpc: connection refused", "error", "no descriptor is left", NULL);
}

static void on_connect(struct source *s UNUSED, int fd, uint32_t events UNUSED, void *arg)
{
    struct listener *l = arg;
    int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct err e;

    if (conn < 0 && (errno == EMFILE || errno == ENFILE))
        refuse(l);
    else if (conn >= 0 && ttrpc_server_adopt(l->server, conn, &e) < 0)
        log_warn("ttrpc: connection refused", "error", e.msg, NULL);
}

int ttrpc_server_listen(struct ttrpc_server *s, int listen_fd, struct err *e)
{
    struct listener *l = mem_alloc(sizeof(*l));
    int r = fd_set_nonblock(listen_fd, true);

    l->fd = listen_fd;
    l->server = s;
    l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (r < 0)
        (void)err_neg(e, r, "make a socket non-blocking");
    else
        l->source = loop_add_fd(s->loop, listen_fd, EPOLLIN, on_connect, l, e);
    if (l->source == NULL) {
        fd_close(listen_fd);
        fd_close(l->spare);
        free(l);
        return -1;
    }
    list_append(&s->listeners, &l->link);
    return 0;
}

struct ttrpc_server *ttrpc_server_new(struct loop *loop, const struct ttrpc_method *methods,
                                      size_t n, void *ctx)
{
    struct ttrpc_server *s = mem_alloc(sizeof(*s));

    *s = (struct ttrpc_server){.loop = loop, .methods = methods, .n_methods = n, .ctx = ctx};
    list_init(&s->peers);
    list_init(&s->listeners);
    list_init(&s->calls);
    return s;
}

int ttrpc_server_connections(const struct ttrpc_server *s)
{
    return s->n_peers;
}

size_t ttrpc_server_unsent(const struct ttrpc_server *s)
{
    size_t n = 0;

    list_each(l, (struct list *)(uintptr_t)&s->peers)
        n += ttrpc_conn_unsent(CONTAINER_OF(l, struct peer, link)->conn);
    return n;
}

void ttrpc_server_free(struct ttrpc_server *s)
{
    if (s == NULL)
        return;
    for (struct peer *p; (p = list_take(&s->peers, struct peer, link)) != NULL;)
        peer_free(p);
    list_each(l, &s->listeners) {
        struct listener *x = CONTAINER_OF(l, struct listener, link);
        loop_del(x->source);
        fd_close(x->fd);
        fd_close(x->spare);
        free(x);
    }
    for (struct ttrpc_call *c; (c = list_take(&s->calls, struct ttrpc_call, link)) != NULL;) {
        loop_del(TAKE_PTR(c->timer));
        c->server = NULL; /* kept: they live on without us */
    }
    free(s);
}
