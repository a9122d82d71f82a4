/*
 * Listeners and the life of the server: one thread accepts for all listeners, one thread serves
 * each connection.
 *
 * Stopping is done through the connections' sockets: shutdown(2) wakes whatever a thread waits for,
 * so no thread is ever signalled or cancelled. The lock guards the list of connections and nothing
 * else.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "rpc/http_conn.h"
#include "sys/fd.h"
#include "sys/sock.h"
#include "sys/thread.h"

#define MAX_CONNS 4096
#define BACKLOG 1024

struct listener {
    int fd;
    struct stream_wrap *tls;
    char *path; /* of a unix socket made here */
};

struct http_server {
    struct http_server_opts opts;
    VEC(struct listener) listeners;
    int stop_fd; /* eventfd: the accepting thread ends, and so do requests that only wait */
    pthread_t acceptor;
    bool accepting;
    pthread_mutex_t lock;
    pthread_cond_t left; /* a connection has left */
    struct list conns;   /* guarded by lock, as are the next two */
    unsigned n_conns;
    bool stopping;
};

struct http_server *http_server_new(const struct http_server_opts *o)
{
    struct http_server *s = mem_alloc(sizeof(*s));
    s->opts = *o;
    if (s->opts.max_conns == 0)
        s->opts.max_conns = MAX_CONNS;
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); /* -1 is seen by http_server_start */
    list_init(&s->conns);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->left, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

const struct http_server_opts *http_server_options(const struct http_server *s)
{
    return &s->opts;
}

static void add_listener(struct http_server *s, int fd, struct stream_wrap *tls, const char *path)
{
    struct listener l = {.fd = fd, .tls = tls, .path = mem_strdup(path)};
    (void)fd_set_nonblock(fd, true); /* a connection may be gone before accept sees it */
    vec_push(&s->listeners, l);
}

void http_server_listen_fd(struct http_server *s, int fd, struct stream_wrap *tls)
{
    add_listener(s, fd, tls, NULL);
}

int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode, gid_t gid,
                            struct err *e)
{
    int fd = sock_listen(path, mode, gid, e);
    if (fd < 0)
        return -1;
    add_listener(s, fd, NULL, path);
    return 0;
}

static int bind_tcp(const struct addrinfo *a)
{
    auto_fd int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    int on = 1, dual = 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -1;
    if (a->ai_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &dual, sizeof(dual)) < 0)
        return -1;
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return take_fd(&fd);
}

static int port_of(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t len = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return 0;
    return ntohs(a.sin6_port); /* where an IPv4 address has it too */
}

int http_server_listen_tcp(struct http_server *s, const char *host, const char *port,
                           struct stream_wrap *tls, int *out_port, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    bool any = host == NULL || host[0] == '\0';
    hints.ai_family = any ? AF_INET6 : AF_UNSPEC;
    int r = getaddrinfo(any ? NULL : host, port, &hints, &list);
    if (r != 0)
        return err_set(e, ERR_INVALID, "listen tcp %s:%s: %s", any ? "" : host, port,
                       gai_strerror(r));
    auto_fd int fd = -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = bind_tcp(a);
    int no = errno;
    freeaddrinfo(list);
    if (fd < 0 && any && no == EAFNOSUPPORT) /* a kernel without IPv6 */
        return http_server_listen_tcp(s, "0.0.0.0", port, tls, out_port, e);
    errno = no;
    if (fd < 0)
        return err_sys(e, "listen tcp %s:%s", any ? "" : host, port);
    if (out_port != NULL)
        *out_port = port_of(fd);
    add_listener(s, take_fd(&fd), tls, NULL);
    return 0;
}

/* ---- connections ---- */

/* Enter the list: false when there are too many connections, or the server stops. */
static bool enter(struct http_server *s, struct http_conn *c)
{
    pthread_mutex_lock(&s->lock);
    bool ok = s->n_conns < s->opts.max_conns && !s->stopping;
    if (ok) {
        list_append(&s->conns, &c->link);
        s->n_conns++;
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void http_server_leave(struct http_server *s, struct http_conn *c)
{
    pthread_mutex_lock(&s->lock);
    list_remove(&c->link);
    s->n_conns--;
    pthread_cond_broadcast(&s->left);
    pthread_mutex_unlock(&s->lock);
}

int http_server_stop_fd(const struct http_server *s)
{
    return s->stop_fd;
}

bool http_server_set_stream(struct http_server *s, struct http_conn *c, struct stream *stream)
{
    pthread_mutex_lock(&s->lock);
    c->s = stream;
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return !stopping;
}

bool http_server_set_state(struct http_server *s, struct http_conn *c, enum http_conn_state state)
{
    pthread_mutex_lock(&s->lock);
    c->state = state;
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return !stopping;
}

static void turn_away(int fd, const struct stream_wrap *tls)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Content-Type: application/json\r\nContent-Length: 35\r\n\r\n"
                               "{\"message\":\"too many connections\"}\n";
    if (tls == NULL) /* a client in a handshake could not read it */
        (void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    fd_close(fd);
}

static int serve(struct http_server *s, int fd, struct stream_wrap *tls, struct err *e)
{
    struct http_conn *c = mem_alloc(sizeof(*c));
    int family = 0, on = 1;
    socklen_t len = sizeof(family);

    *c = (struct http_conn){.server = s, .fd = fd, .wrap = tls, .gone_fd = -1};
    c->headers = (struct buf)BUF_MAX(HTTP_HEAD_MAX);
    c->wire = (struct buf)BUF_MAX(2 * HTTP_HEAD_MAX + HTTP_OUT_MAX);
    (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
    c->local = family == AF_UNIX;
    if (!c->local) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    if (!enter(s, c)) {
        turn_away(fd, tls);
        free(c);
        return err_set(e, ERR_EXHAUSTED, "too many connections");
    }
    int no = thread_start(NULL, THREAD_STACK, http_conn_main, c);
    if (no < 0) {
        http_server_leave(s, c);
        turn_away(fd, tls);
        free(c);
        return err_neg(e, no, "create a thread");
    }
    return 0;
}

int http_server_serve_fd(struct http_server *s, int fd, struct err *e)
{
    return serve(s, fd, NULL, e);
}

/* Out of descriptors or memory: leave the others time to finish. False when the server stops. */
static bool pause_accepting(struct http_server *s)
{
    struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&p, 1, 100) == 0;
}

static void accept_from(struct http_server *s, const struct listener *l)
{
    struct err e;
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        if (serve(s, fd, l->tls, &e) < 0)
            log_warn("connection refused", "error", e.msg, NULL);
        return;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        log_warn("cannot accept a connection", "error", strerrordesc_np(errno), NULL);
        (void)pause_accepting(s);
    }
}

static void *accept_main(void *arg)
{
    struct http_server *s = arg;
    size_t n = s->listeners.n;
    auto_free struct pollfd *p = mem_alloc_array(n + 1, sizeof(*p));

    p[n] = (struct pollfd){.fd = s->stop_fd, .events = POLLIN};
    for (size_t i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = s->listeners.v[i].fd, .events = POLLIN};
    for (;;) {
        if (poll(p, n + 1, -1) < 0)
            continue;
        if (p[n].revents != 0)
            return NULL;
        for (size_t i = 0; i < n; i++)
            if (p[i].revents != 0)
                accept_from(s, &s->listeners.v[i]);
    }
}

int http_server_start(struct http_server *s, struct err *e)
{
    if (s->stop_fd < 0)
        return err_set(e, ERR_EXHAUSTED, "no descriptor is left");
    int no = thread_start(&s->acceptor, THREAD_STACK, accept_main, s);
    if (no < 0)
        return err_neg(e, no, "create a thread");
    s->accepting = true;
    return 0;
}

unsigned http_server_conns(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->n_conns;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- stopping ---- */

static void stop_accepting(struct http_server *s)
{
    uint64_t one = 1;
    (void)fd_write_all(s->stop_fd, &one, sizeof(one)); /* an eventfd takes it */
    if (s->accepting) {
        pthread_join(s->acceptor, NULL);
        s->accepting = false;
    }
    vec_each(l, &s->listeners) {
        if (l->path != NULL)
            (void)unlink(l->path); /* it may have been replaced or removed */
        fd_close(l->fd);
        free(l->path);
    }
    vec_done(&s->listeners);
}

/* Cut connections: all but those with a request in work, or all. With the lock held. */
static void shut_conns(struct http_server *s, bool busy_too)
{
    list_each(l, &s->conns) {
        struct http_conn *c = CONTAINER_OF(l, struct http_conn, link);
        if (!busy_too && c->state == CONN_BUSY)
            continue;
        if (c->s != NULL)
            stream_abort(c->s);
        else
            (void)shutdown(c->fd, SHUT_RDWR); /* still shaking hands */
    }
}

void http_server_stop(struct http_server *s, int grace_ms)
{
    stop_accepting(s);
    int64_t end = time_mono_ns() + grace_ms * NS_PER_MS;
    struct timespec until = {.tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S};

    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    shut_conns(s, false);
    while (s->n_conns > 0 && grace_ms > 0)
        if (pthread_cond_timedwait(&s->left, &s->lock, &until) == ETIMEDOUT)
            break;
    shut_conns(s, true);
    while (s->n_conns > 0)
        pthread_cond_wait(&s->left, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    http_server_stop(s, 0);
    fd_close(s->stop_fd);
    pthread_cond_destroy(&s->left);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
