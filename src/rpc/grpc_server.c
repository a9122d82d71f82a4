/*
 * The gRPC server: see grpc.h. It owns the tables, the pool, the listeners and the connections;
 * what a connection's thread learns about a stream is turned into a call's state here.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "rpc/grpc_call.h"
#include "sys/fd.h"

#define TEXT_MAX ((size_t)16 << 10) /* of an encoded status text */

struct listener {
    struct list link;
    struct grpc_server *server;
    pthread_t thread;
    int fd;
};

/* One connection; the owner of its h2_conn. */
struct grpc_conn {
    struct list link;
    struct grpc_server *server;
    struct h2_conn *h2;
    struct ucred peer;
};

struct grpc_server {
    struct grpc_server_opts opts;
    struct grpc_pool *pool;
    struct map methods, services; /* "/service/method" to the row; service to any row */
    struct list listeners;
    int stop_fd; /* readable: stop accepting */
    pthread_mutex_t lock;
    pthread_cond_t gone; /* a connection has ended */
    struct list conns;   /* guarded by lock */
    int n_conns;         /* guarded by lock */
};

/* ---- streams become calls ---- */

static struct h2_stream *open_call(struct h2_conn *conn)
{
    struct grpc_conn *gc = h2_owner(conn);
    struct grpc_server *s = gc->server;

    return &grpc_call_new(conn, s->pool, s->opts.ctx, gc->peer)->h2;
}

static void free_call(struct h2_stream *s)
{
    grpc_call_free((struct grpc_call *)s);
}

static int on_header(struct h2_stream *s, struct str name, struct str value)
{
    struct grpc_call *c = (struct grpc_call *)s;
    struct grpc_md md;

    if (c->method != NULL || c->finished)
        return 0; /* trailers of a request mean nothing in gRPC */
    if (c->metadata.n >= H2_HEADERS_MAX)
        return -1;
    md.name = arena_strndup(c->arena, name.p, name.n);
    md.value = arena_strndup(c->arena, value.p, value.n);
    vec_push_in(c->arena, &c->metadata, md);
    return 0;
}

static int find_method(struct grpc_server *s, struct grpc_call *c, const char *path, struct err *e)
{
    struct str service = str_of(path + (*path == '/')), method = str_cut_last(&service, '/');
    auto_free char *name = str_dup(service);

    c->method = map_get(&s->methods, path);
    if (c->method != NULL)
        return 0;
    if (*path != '/' || service.n == 0)
        return err_set(e, ERR_UNIMPLEMENTED, "malformed method name: \"%.200s\"", path);
    if (!map_has(&s->services, name))
        return err_set(e, ERR_UNIMPLEMENTED, "unknown service %.200s", name);
    return err_set(e, ERR_UNIMPLEMENTED, "unknown method %.*s for service %.200s",
                   (int)MIN(method.n, (size_t)200), method.p, name);
}

static int read_headers(struct grpc_server *s, struct grpc_call *c, struct err *e)
{
    const char *type = grpc_call_metadata(c, "content-type");
    const char *verb = grpc_call_metadata(c, ":method");
    const char *path = grpc_call_metadata(c, ":path");
    const char *timeout = grpc_call_metadata(c, "grpc-timeout");
    int64_t ns;

    c->not_grpc = verb == NULL || strcmp(verb, "POST") != 0 || type == NULL ||
                  !str_starts(str_of(type), "application/grpc");
    if (c->not_grpc)
        return err_set(e, ERR_INVALID, "not a gRPC request");
    if (timeout != NULL && !grpc_timeout_parse(str_of(timeout), &ns))
        return err_set(e, ERR_INTERNAL, "malformed grpc-timeout: \"%.20s\"", timeout);
    TRY(find_method(s, c, path != NULL ? path : "", e));
    if (timeout != NULL) {
        int64_t now = time_mono_ns();
        c->deadline_ns = ns > INT64_MAX - now ? 0 : now + ns;
        h2_expire_at(&c->h2, c->deadline_ns);
    }
    return 0;
}

static void on_headers(struct grpc_call *c)
{
    struct grpc_conn *gc = h2_owner(c->h2.conn);
    struct err e;

    if (c->method == NULL && !c->finished && read_headers(gc->server, c, &e) < 0) {
        c->method = NULL;
        (void)grpc_call_end(c, &e);
    }
}

static void on_event(struct h2_stream *s, enum h2_event what, struct err *why)
{
    struct grpc_call *c = (struct grpc_call *)s;
    struct err e;
    bool cancel;

    switch (what) {
    case H2_HEADERS:
        on_headers(c);
        return;
    case H2_END:
        if (s->truncated) {
            (void)err_set(&e, ERR_INTERNAL, "unexpected end of the request in a message");
            (void)grpc_call_end(c, &e);
        }
        grpc_call_kick(c);
        return;
    case H2_MESSAGE:
    case H2_DRAINED:
        grpc_call_kick(c);
        return;
    case H2_EXPIRED:
        (void)err_set(&e, ERR_TIMEOUT, "context deadline exceeded");
        if (grpc_call_end(c, &e))
            grpc_call_cancel(c);
        return;
    case H2_BAD:
        if (grpc_call_end(c, why))
            grpc_call_cancel(c);
        return;
    case H2_CLOSED:
        (void)pthread_mutex_lock(&s->lock);
        cancel = !c->finished;
        (void)pthread_mutex_unlock(&s->lock);
        if (cancel)
            grpc_call_cancel(c);
        return;
    }
}

/* ---- answers ---- */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* The fields of the call's end. The strings live in code and text; returns how many there are. */
static size_t status_fields(struct grpc_call *c, nghttp2_nv nv[2], char code[12], struct buf *text)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&c->h2.lock);
    (void)snprintf(code, 12, "%d", (int)c->code);
    if (c->text != NULL)
        grpc_text_encode(c->text, text);
    (void)pthread_mutex_unlock(&c->h2.lock);
    nv[n++] = field("grpc-status", code);
    if (text->n > 0)
        nv[n++] = field("grpc-message", buf_cstr(text));
    return n;
}

/* The connection's thread; the stream has something to send or has ended. An end without a message
 * needs no body. */
static void start_answer(struct h2_stream *s, nghttp2_session *h, nghttp2_data_provider *body)
{
    struct grpc_call *c = (struct grpc_call *)s;
    auto_buf struct buf text = BUF_MAX(TEXT_MAX);
    nghttp2_nv nv[4] = {field(":status", c->not_grpc ? "415" : "200"),
                        field("content-type", "application/grpc")};
    size_t n = 2;
    char code[12];
    bool bare;

    (void)pthread_mutex_lock(&s->lock);
    bare = list_empty(&s->out) && s->out_end;
    (void)pthread_mutex_unlock(&s->lock);
    if (bare)
        n += status_fields(c, nv + n, code, &text);
    (void)nghttp2_submit_response(h, s->id, nv, n, bare ? NULL : body);
}

static void send_trailers(struct h2_stream *s, nghttp2_session *h)
{
    auto_buf struct buf text = BUF_MAX(TEXT_MAX);
    nghttp2_nv nv[2];
    char code[12];
    size_t n = status_fields((struct grpc_call *)s, nv, code, &text);

    (void)nghttp2_submit_trailer(h, s->id, nv, n);
}

/* ---- connections ---- */

static void conn_gone(void *owner)
{
    struct grpc_conn *gc = owner;
    struct grpc_server *s = gc->server;
    int left;

    (void)pthread_mutex_lock(&s->lock);
    list_remove(&gc->link);
    left = s->n_conns - 1;
    (void)pthread_mutex_unlock(&s->lock);
    if (s->opts.peer_gone != NULL)
        s->opts.peer_gone(s->opts.ctx, left);
    h2_conn_unref(gc->h2); /* its thread holds another one */
    free(gc);
    (void)pthread_mutex_lock(&s->lock);
    s->n_conns--;
    (void)pthread_cond_broadcast(&s->gone);
    (void)pthread_mutex_unlock(&s->lock);
}

/* static: a call that someone keeps may outlive the server */
static const struct h2_ops server_ops = {
    .server = true,
    .open = open_call,
    .header = on_header,
    .event = on_event,
    .start = start_answer,
    .trailers = send_trailers,
    .free = free_call,
    .gone = conn_gone,
};

int grpc_server_adopt(struct grpc_server *s, int fd, struct err *e)
{
    struct grpc_conn *gc = mem_alloc(sizeof(*gc));
    socklen_t n = sizeof(gc->peer);
    bool full;
    int r = -1;

    *gc = (struct grpc_conn){.server = s, .peer = {-1, (uid_t)-1, (gid_t)-1}};
    list_init(&gc->link);
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &gc->peer, &n); /* TCP has none */
    (void)pthread_mutex_lock(&s->lock);
    full = s->n_conns >= s->opts.max_connections;
    if (!full) {
        /* under the lock, so that the thread's conn_gone finds the connection in the list */
        list_append(&s->conns, &gc->link);
        r = h2_conn_new(fd, &server_ops, s->opts.max_calls, gc, &gc->h2, e);
        if (r == 0)
            s->n_conns++;
        else
            list_remove(&gc->link);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (r == 0)
        return 0;
    free(gc);
    if (!full)
        return -1;
    fd_close(fd);
    return err_set(e, ERR_EXHAUSTED, "too many connections (%d)", s->opts.max_connections);
}

static void *accept_thread(void *arg)
{
    struct listener *l = arg;
    struct grpc_server *s = l->server;
    struct err e;

    for (;;) {
        struct pollfd p[] = {{.fd = l->fd, .events = POLLIN}, {.fd = s->stop_fd, .events = POLLIN}};
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents != 0)
            return NULL;
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            if (grpc_server_adopt(s, fd, &e) < 0)
                log_warn("grpc: connection refused", "error", e.msg, NULL);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
            log_warn("grpc: cannot accept", "error", strerrordesc_np(errno), NULL);
            (void)poll(&p[1], 1, 100); /* until descriptors are free again */
        }
    }
}

int grpc_server_listen(struct grpc_server *s, int listen_fd, struct err *e)
{
    struct listener *l = mem_alloc(sizeof(*l));
    int r = fd_set_nonblock(listen_fd, true);

    *l = (struct listener){.server = s, .fd = listen_fd};
    if (r == 0)
        r = -pthread_create(&l->thread, NULL, accept_thread, l);
    if (r < 0) {
        fd_close(listen_fd);
        free(l);
        return err_neg(e, r, "listen for gRPC");
    }
    list_append(&s->listeners, &l->link);
    return 0;
}

/* ---- the server ---- */

int grpc_server_new(const struct grpc_server_opts *opts, struct grpc_server **out_server,
                    struct err *e)
{
    struct grpc_server *s = mem_alloc(sizeof(*s));
    struct grpc_server_opts *o = &s->opts;

    if (opts != NULL)
        *o = *opts;
    o->pool_threads = o->pool_threads > 0 ? o->pool_threads : 4;
    o->max_connections = o->max_connections > 0 ? o->max_connections : 256;
    o->max_calls = o->max_calls > 0 ? o->max_calls : 1000;
    o->max_slow_calls = o->max_slow_calls > 0 ? o->max_slow_calls : 64;
    list_init(&s->listeners);
    list_init(&s->conns);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->gone, NULL);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->stop_fd < 0)
        (void)err_sys(e, "eventfd");
    if (s->stop_fd < 0 || grpc_pool_new(o->pool_threads, o->max_slow_calls, &s->pool, e) < 0) {
        grpc_server_free(s, 0);
        return -1;
    }
    *out_server = s;
    return 0;
}

void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct grpc_method *m = &methods[i];
        auto_free char *path = mem_printf("/%s/%s", m->service, m->method);
        (void)map_put(&s->methods, path, (void *)(uintptr_t)m);
        (void)map_put(&s->services, m->service, (void *)(uintptr_t)m);
    }
}

void grpc_server_free(struct grpc_server *s, int grace_ms)
{
    uint64_t one = 1;

    if (s == NULL)
        return;
    if (s->stop_fd >= 0)
        (void)!write(s->stop_fd, &one, sizeof(one));
    list_each(l, &s->listeners) {
        struct listener *x = CONTAINER_OF(l, struct listener, link);
        (void)pthread_join(x->thread, NULL);
        fd_close(x->fd);
        free(x);
    }
    (void)pthread_mutex_lock(&s->lock);
    list_each(l, &s->conns)
        h2_conn_stop(CONTAINER_OF(l, struct grpc_conn, link)->h2, grace_ms);
    while (s->n_conns > 0)
        (void)pthread_cond_wait(&s->gone, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
    grpc_pool_free(s->pool);
    map_done(&s->methods);
    map_done(&s->services);
    fd_close(s->stop_fd);
    (void)pthread_cond_destroy(&s->gone);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}
