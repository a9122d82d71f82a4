/*
 * The ttrpc thread: see ttrpc_hub.h. Other threads hand it small orders through a list and an
 * eventfd; only the thread itself touches the loop, the clients and the servers. An order carries
 * its own references, so nothing it needs can go away before its turn.
 */
#include "rpc/ttrpc_hub.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "rpc/ttrpc_conn.h"
#include "sys/fd.h"
#include "sys/sock.h"

struct ttrpc_hub {
    atomic_int refs; /* of the creator, of each link */
    struct loop *loop;
    struct source *source;
    int wake_fd;
    pthread_t thread;
    struct list links;   /* the thread only */
    struct list servers; /* the thread only */
    pthread_mutex_t lock;
    struct list orders; /* guarded by lock */
    bool stopped;       /* guarded by lock: no more orders */
};

struct ttrpc_link {
    atomic_int refs; /* of users, orders, and the hub while connected */
    atomic_int users;
    struct ttrpc_hub *hub;
    struct list link;
    struct ttrpc_client *client; /* the thread only; NULL: lost */
    pthread_mutex_t lock;
    bool dead;                   /* guarded by lock */
    void (*on_close)(void *arg); /* guarded by lock */
    void *on_close_arg;
};

/* Something for the thread to do. run frees what the order holds; e is set when the hub has stopped
 * instead. */
struct order {
    struct list link;
    void (*run)(struct order *o, const struct err *e);
};

static void hub_unref(struct ttrpc_hub *h)
{
    if (h == NULL || !ref_drop(&h->refs))
        return;
    loop_free(h->loop);
    fd_close(h->wake_fd);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

static void submit(struct ttrpc_hub *h, struct order *o)
{
    struct err e;
    uint64_t one = 1;
    bool stopped;

    (void)pthread_mutex_lock(&h->lock);
    stopped = h->stopped;
    if (!stopped)
        list_append(&h->orders, &o->link);
    (void)pthread_mutex_unlock(&h->lock);
    if (!stopped) {
        (void)!write(h->wake_fd, &one, sizeof(one));
        return;
    }
    (void)err_set(&e, ERR_UNAVAILABLE, "ttrpc: closed");
    o->run(o, &e);
}

static struct order *next_order(struct ttrpc_hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    struct order *o = list_take(&h->orders, struct order, link);
    (void)pthread_mutex_unlock(&h->lock);
    return o;
}

static void on_wake(struct source *s UNUSED, int fd, uint32_t events UNUSED, void *arg)
{
    struct order *o;
    uint64_t n;

    (void)!read(fd, &n, sizeof(n));
    while ((o = next_order(arg)) != NULL)
        o->run(o, NULL);
}

static void *hub_thread(void *arg)
{
    struct ttrpc_hub *h = arg;
    struct err e;

    if (loop_run(h->loop, &e) < 0)
        log_error("ttrpc: the loop has failed", "error", e.msg, NULL);
    return NULL;
}

int ttrpc_hub_new(struct ttrpc_hub **out_hub, struct err *e)
{
    struct ttrpc_hub *h = mem_alloc(sizeof(*h));
    int r;

    atomic_init(&h->refs, 1);
    list_init(&h->links);
    list_init(&h->servers);
    list_init(&h->orders);
    (void)pthread_mutex_init(&h->lock, NULL);
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->wake_fd < 0)
        (void)err_sys(e, "eventfd");
    else if ((h->loop = loop_new(e)) != NULL)
        h->source = loop_add_fd(h->loop, h->wake_fd, EPOLLIN, on_wake, h, e);
    if (h->source == NULL) {
        hub_unref(h);
        return -1;
    }
    r = pthread_create(&h->thread, NULL, hub_thread, h);
    if (r != 0) {
        hub_unref(h);
        return err_neg(e, -r, "start a thread for ttrpc");
    }
    *out_hub = h;
    return 0;
}

/* ---- links ---- */

static struct ttrpc_link *link_hold(struct ttrpc_link *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

static void link_drop(struct ttrpc_link *l)
{
    if (!ref_drop(&l->refs))
        return;
    hub_unref(l->hub);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

/* The link is in no list and has no client. Tells its users, drops the hub's reference. */
static void link_dead(struct ttrpc_link *l)
{
    void (*fn)(void *arg);

    (void)pthread_mutex_lock(&l->lock);
    l->dead = true;
    fn = TAKE_PTR(l->on_close);
    (void)pthread_mutex_unlock(&l->lock);
    if (fn != NULL)
        fn(l->on_close_arg);
    link_drop(l);
}

/* In the hub's thread, or after its end. */
static void link_end(struct ttrpc_link *l)
{
    struct ttrpc_client *client = TAKE_PTR(l->client);

    if (client == NULL)
        return;
    list_remove(&l->link);
    ttrpc_client_free(client);
    link_dead(l);
}

static void on_lost(void *arg)
{
    link_end(arg);
}

struct link_order {
    struct order order;
    struct ttrpc_link *l;
    int fd; /* of a new connection */
};

static void run_open(struct order *order, const struct err *stopped)
{
    auto_free struct link_order *o = CONTAINER_OF(order, struct link_order, order);
    struct ttrpc_link *l = o->l;
    struct err e;

    if (stopped != NULL)
        fd_close(o->fd);
    else if (ttrpc_client_adopt(l->hub->loop, o->fd, &l->client, &e) < 0)
        log_warn("ttrpc: cannot watch a connection", "error", e.msg, NULL);
    if (l->client != NULL) {
        list_append(&l->hub->links, &l->link);
        ttrpc_client_on_close(l->client, on_lost, l);
        return;
    }
    link_dead(l);
}

static void run_close(struct order *order, const struct err *stopped UNUSED)
{
    auto_free struct link_order *o = CONTAINER_OF(order, struct link_order, order);

    link_end(o->l); /* after the hub's end there is no client left */
    link_drop(o->l);
}

static void submit_link(struct ttrpc_link *l, void (*run)(struct order *, const struct err *),
                        int fd)
{
    struct link_order *o = mem_alloc(sizeof(*o));

    *o = (struct link_order){.order.run = run, .l = l, .fd = fd};
    list_init(&o->order.link);
    submit(l->hub, &o->order);
}

int ttrpc_link_open(struct ttrpc_hub *h, const char *path, int timeout_ms,
                    struct ttrpc_link **out_link, struct err *e)
{
    struct ttrpc_link *l;
    int fd = sock_dial(path, timeout_ms, e);

    if (fd < 0)
        return -1;
    l = mem_alloc(sizeof(*l));
    atomic_init(&l->refs, 2); /* the caller's and the hub's */
    atomic_init(&l->users, 1);
    atomic_fetch_add(&h->refs, 1);
    l->hub = h;
    list_init(&l->link);
    (void)pthread_mutex_init(&l->lock, NULL);
    submit_link(l, run_open, fd);
    *out_link = l;
    return 0;
}

struct ttrpc_link *ttrpc_link_ref(struct ttrpc_link *l)
{
    atomic_fetch_add(&l->users, 1);
    return link_hold(l);
}

void ttrpc_link_unref(struct ttrpc_link *l)
{
    if (l == NULL)
        return;
    if (ref_drop(&l->users))
        ttrpc_link_close(l);
    link_drop(l);
}

void ttrpc_link_close(struct ttrpc_link *l)
{
    submit_link(link_hold(l), run_close, -1);
}

bool ttrpc_link_alive(struct ttrpc_link *l)
{
    bool alive;

    (void)pthread_mutex_lock(&l->lock);
    alive = !l->dead;
    (void)pthread_mutex_unlock(&l->lock);
    return alive;
}

void ttrpc_link_on_close(struct ttrpc_link *l, void (*fn)(void *arg), void *arg)
{
    bool dead;

    (void)pthread_mutex_lock(&l->lock);
    dead = l->dead;
    l->on_close = dead ? NULL : fn;
    l->on_close_arg = arg;
    (void)pthread_mutex_unlock(&l->lock);
    if (dead)
        fn(arg);
}

/* ---- calls ---- */

struct call_order {
    struct order order;
    struct ttrpc_link *l;
    struct buf request;
    int64_t timeout_ms;
    ttrpc_raw_done *done;
    void *arg;
    uint32_t *out_id; /* lives as long as arg; NULL: nobody asks */
};

static void run_call(struct order *order, const struct err *stopped)
{
    auto_free struct call_order *o = CONTAINER_OF(order, struct call_order, order);
    struct err e;
    int r = -1;

    if (stopped != NULL)
        e = *stopped;
    else if (o->l->client == NULL)
        (void)err_set(&e, ERR_UNAVAILABLE, "ttrpc: closed");
    else
        r = ttrpc_client_send(o->l->client, (struct str){o->request.p, o->request.n}, o->timeout_ms,
                              o->done, o->arg, o->out_id, &e);
    if (r < 0)
        o->done(o->arg, NULL, 0, &e);
    buf_done(&o->request);
    link_drop(o->l);
}

static int submit_call(struct ttrpc_link *l, const struct ttrpc_request *r, ttrpc_raw_done *done,
                       void *arg, uint32_t *out_id, struct err *e)
{
    auto_free struct call_order *o = mem_alloc(sizeof(*o));

    *o = (struct call_order){.order.run = run_call,
                             .l = l,
                             .request = BUF_MAX(TTRPC_MAX_PAYLOAD),
                             .timeout_ms = r->timeout_ms,
                             .done = done,
                             .arg = arg,
                             .out_id = out_id};
    list_init(&o->order.link);
    if (ttrpc_request_pack(r, &o->request, e) < 0) {
        buf_done(&o->request);
        return -1;
    }
    link_hold(l);
    submit(l->hub, &TAKE_PTR(o)->order);
    return 0;
}

int ttrpc_link_start(struct ttrpc_link *l, const struct ttrpc_request *r, ttrpc_done *done,
                     void *arg, struct err *e)
{
    struct ttrpc_typed *t = mem_alloc(sizeof(*t));

    *t = (struct ttrpc_typed){r->response, done, arg};
    if (submit_call(l, r, ttrpc_typed_done, t, NULL, e) == 0)
        return 0;
    free(t);
    return -1;
}

/* What a thread waits for: shared with the hub, since either may be done with it first. */
struct waiter {
    atomic_int refs;
    int fd;      /* an eventfd: the call is over */
    uint32_t id; /* the hub's thread only; 0: not sent */
    bool failed;
    struct err e;
    void *p;
    size_t n;
};

static void waiter_unref(struct waiter *w)
{
    if (!ref_drop(&w->refs))
        return;
    fd_close(w->fd);
    free(w->p);
    free(w);
}

static void waiter_done(void *arg, const uint8_t *p, size_t n, const struct err *e)
{
    struct waiter *w = arg;
    uint64_t one = 1;

    w->failed = e != NULL;
    if (e != NULL)
        w->e = *e;
    else
        w->p = mem_dup(p, n);
    w->n = n;
    (void)!write(w->fd, &one, sizeof(one)); /* everything above is visible to whoever reads it */
    waiter_unref(w);
}

struct cancel_order {
    struct order order;
    struct ttrpc_link *l;
    struct waiter *w;
};

static void run_cancel(struct order *order, const struct err *stopped)
{
    auto_free struct cancel_order *o = CONTAINER_OF(order, struct cancel_order, order);

    if (stopped == NULL && o->l->client != NULL && o->w->id != 0)
        ttrpc_client_cancel(o->l->client, o->w->id);
    waiter_unref(o->w);
    link_drop(o->l);
}

/* The caller gives up: take the call back, so that it does not wait for a server that never
 * answers. */
static void submit_cancel(struct ttrpc_link *l, struct waiter *w)
{
    struct cancel_order *o = mem_alloc(sizeof(*o));

    atomic_fetch_add(&w->refs, 1);
    *o = (struct cancel_order){.order.run = run_cancel, .l = link_hold(l), .w = w};
    list_init(&o->order.link);
    submit(l->hub, &o->order);
}

int ttrpc_link_call(struct ttrpc_link *l, const struct ttrpc_request *r, int cancel_fd,
                    struct arena *a, void *out_msg, struct err *e)
{
    struct waiter *w = mem_alloc(sizeof(*w));
    int result = -1;

    atomic_init(&w->refs, 1);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_fetch_add(&w->refs, 1);
    if (w->fd < 0 || submit_call(l, r, waiter_done, w, &w->id, e) < 0) {
        if (w->fd < 0)
            (void)err_sys(e, "eventfd");
        waiter_unref(w);
        waiter_unref(w);
        return -1;
    }
    struct pollfd p[] = {{.fd = w->fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
    while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR)
        ;
    uint64_t n;
    if (read(w->fd, &n, sizeof(n)) < 0) { /* EAGAIN: it is not over, so it was cancel_fd */
        submit_cancel(l, w);
        (void)err_set(e, ERR_CANCELLED, "context canceled");
    } else if (w->failed) {
        *e = w->e;
    } else {
        result = pb_unpack(r->response, w->p, w->n, a, out_msg, e);
    }
    waiter_unref(w);
    return result;
}

/* ---- servers, and the end ---- */

struct hub_server {
    struct order order;
    struct list link;
    struct ttrpc_hub *hub;
    struct ttrpc_server *server;
    const struct ttrpc_method *methods;
    size_t n;
    void *ctx;
    int fd;
};

static void run_serve(struct order *order, const struct err *stopped)
{
    struct hub_server *s = CONTAINER_OF(order, struct hub_server, order);
    struct err e;

    if (stopped != NULL) {
        fd_close(s->fd);
        free(s);
        return;
    }
    s->server = ttrpc_server_new(s->hub->loop, s->methods, s->n, s->ctx);
    list_append(&s->hub->servers, &s->link);
    if (ttrpc_server_listen(s->server, s->fd, &e) < 0)
        log_error("ttrpc: cannot listen", "error", e.msg, NULL);
}

int ttrpc_hub_serve(struct ttrpc_hub *h, int listen_fd, const struct ttrpc_method *methods,
                    size_t n, void *ctx, struct err *e)
{
    struct hub_server *s;
    int r = fd_set_nonblock(listen_fd, true);

    if (r < 0) {
        fd_close(listen_fd);
        return err_neg(e, r, "make a socket non-blocking");
    }
    s = mem_alloc(sizeof(*s));
    *s = (struct hub_server){
        .order.run = run_serve, .hub = h, .methods = methods, .n = n, .ctx = ctx, .fd = listen_fd};
    list_init(&s->order.link);
    list_init(&s->link);
    submit(h, &s->order);
    return 0;
}

static void run_stop(struct order *order, const struct err *stopped UNUSED)
{
    struct hub_server *s = CONTAINER_OF(order, struct hub_server, order);

    loop_stop(s->hub->loop);
    free(s);
}

void ttrpc_hub_free(struct ttrpc_hub *h)
{
    struct order *o;
    struct err e;

    if (h == NULL)
        return;
    struct hub_server *stop = mem_alloc(sizeof(*stop));
    *stop = (struct hub_server){.order.run = run_stop, .hub = h};
    list_init(&stop->order.link);
    submit(h, &stop->order);
    (void)pthread_join(h->thread, NULL);

    (void)pthread_mutex_lock(&h->lock);
    h->stopped = true;
    (void)pthread_mutex_unlock(&h->lock);
    while (!list_empty(&h->links))
        link_end(CONTAINER_OF(h->links.next, struct ttrpc_link, link));
    (void)err_set(&e, ERR_UNAVAILABLE, "ttrpc: closed");
    while ((o = next_order(h)) != NULL)
        o->run(o, &e);
    list_each(l, &h->servers) {
        struct hub_server *s = CONTAINER_OF(l, struct hub_server, link);
        ttrpc_server_free(s->server);
        free(s);
    }
    hub_unref(h);
}
