/*
 * hulld's side of hull-portd. It remembers what should be held, so that a hull-portd that died is
 * started again and told all of it with the next call.
 */
#include "net/portd.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/sock.h"
#include "sys/spawn.h"

#define CONNECT_TRIES 3
#define REPAIR_NS NS_PER_S
#define LINGER_NS (10 * NS_PER_S)

JSON_DESC(portd_message, PORTD_MESSAGE)

struct portd {
    pthread_mutex_t lock; /* guards all below */
    char *program, *socket;
    int fd;                       /* -1: not connected */
    unsigned connection;          /* counts them: is it still the one that was watched? */
    int64_t repaired_ns, idle_ns; /* when another was started last; when the last port went */
    bool has_watcher, stop;
    pthread_t watcher;
    int wake; /* eventfd: the connection has changed, or the end; -1: nobody watches */
    VEC(struct portd_port) wanted; /* what it should hold */
};

static void *watch(void *arg);
static int ensure(struct portd *p, struct err *e);

struct portd *portd_new(const char *program, const char *socket)
{
    struct portd *p = mem_alloc(sizeof(*p));

    pthread_mutex_init(&p->lock, NULL);
    p->program = mem_strdup(program);
    p->socket = mem_strdup(socket);
    p->fd = -1;
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return p;
}

static void wake_watcher(const struct portd *p)
{
    (void)eventfd_write(p->wake, 1); /* full: it is awake anyway */
}

void portd_free(struct portd *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    wake_watcher(p);
    pthread_mutex_unlock(&p->lock);
    if (p->has_watcher)
        pthread_join(p->watcher, NULL);
    fd_close(p->wake);
    fd_close(p->fd);
    vec_done(&p->wanted);
    free(p->program);
    free(p->socket);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void disconnect(struct portd *p)
{
    fd_close(p->fd);
    p->fd = -1;
    p->connection++;
    wake_watcher(p);
}

/* ---- connecting; all below is called with the lock held ---- */

/* Connect to one that runs: 1, or 0 when there is none. */
static int try_connect(struct portd *p, struct err *e)
{
    auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    struct sockaddr_un sa;

    if (fd < 0)
        return err_sys(e, "socket");
    TRY(sock_address(p->socket, &sa, e));
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return 0;
        return err_sys(e, "connect to %s", p->socket);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
                     sizeof(patience)); /* without it a stuck one would stall us */
    p->fd = take_fd(&fd);
    p->connection++;
    if (!p->has_watcher && p->wake >= 0)
        p->has_watcher =
            pthread_create(&p->watcher, NULL, watch, p) == 0; /* without it the next call repairs */
    wake_watcher(p);
    return 1;
}

/* Start one on a listening socket of ours, so that we can connect at once. It leaves our process
 * tree by itself. */
static int start(struct portd *p, struct err *e)
{
    auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const char *argv[] = {"hull-portd", NULL};
    struct spawn_fd fds[] = {{PORTD_LISTEN_FD, fd}};
    struct spawn_opts o = {
        .path = p->program, .argv = argv, .fds = fds, .n_fds = 1, .new_session = true};
    struct proc child = PROC_NONE;
    struct sockaddr_un sa;
    int status, r;

    if (fd < 0)
        return err_sys(e, "socket");
    TRY(sock_address(p->socket, &sa, e));
    (void)unlink(p->socket); /* nobody answers there */
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(p->socket, 0600) < 0 ||
        listen(fd, 16) < 0)
        return err_sys(e, "listen on %s", p->socket);
    TRY(spawn(&o, &child, e));
    r = proc_wait(&child, 10000, -1, &status, e);
    proc_done(&child);
    TRY(r);
    if (status != 0)
        return err_set(e, ERR_INTERNAL, "%s ended with status %d", p->program, status);
    return 0;
}

/* One message out, one in. Its strings live in a. */
static int exchange(struct portd *p, const struct portd_message *out, struct arena *a,
                    struct portd_message *in, struct err *e)
{
    char text[PORTD_MESSAGE_MAX];
    ssize_t n;

    if (out != NULL) {
        auto_buf struct buf b = BUF_MAX(PORTD_MESSAGE_MAX);
        json_write(&portd_message_json, out, &b);
        if (b.over || send(p->fd, b.p, b.n, MSG_NOSIGNAL) < 0)
            return err_sys(e, "send to hull-portd");
    }
    do
        n = recv(p->fd, text, sizeof(text), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, "receive from hull-portd");
    if (n == 0)
        return err_set(e, ERR_UNAVAILABLE, "hull-portd has ended");
    return json_parse(&portd_message_json, in, text, (size_t)n, a, e);
}

/* Tell it about one port; a refusal of the kernel is the errno in *out_error, not a failure. */
static int tell(struct portd *p, const char *op, const struct portd_port *port, int *out_error,
                struct err *e)
{
    char ip[IP_TEXT_MAX], to[IP_TEXT_MAX];
    struct portd_message rq = {.op = op,
                               .proto = port_proto_name(port->key.proto),
                               .ip = ip_format(port->key.ip, ip),
                               .port = port->key.port,
                               .to = ip_format(port->to, to),
                               .to_port = port->to_port},
                         answer;
    auto_arena struct arena *a = arena_new();

    TRY(exchange(p, &rq, a, &answer, e));
    *out_error = (int)answer.error;
    return 0;
}

static struct portd_port *find(struct portd *p, struct port_key key)
{
    vec_each(port, &p->wanted) {
        if (port->key.proto == key.proto && port->key.port == key.port &&
            ip_eq(port->key.ip, key.ip))
            return port;
    }
    return NULL;
}

/* Make a newly connected one hold what is wanted: ports of the past go, missing ones come. */
static int reconcile(struct portd *p, struct err *e)
{
    const struct portd_message list = {.op = "list"}, *rq = &list;
    auto_arena struct arena *a = arena_new();
    VEC(struct portd_port) old = {0};
    struct portd_message m;
    int error, r;

    while ((r = exchange(p, rq, a, &m, e)) == 0 && m.more) {
        struct portd_port port = {.key.proto = port_proto(str_of(m.proto)),
                                  .key.port = (uint16_t)m.port};
        if (ip_parse(str_of(m.ip), &port.key.ip) && find(p, port.key) == NULL)
            vec_push(&old, port);
        rq = NULL;
    }
    for (size_t i = 0; r == 0 && i < old.n; i++)
        r = tell(p, "close", &old.v[i], &error, e);
    for (size_t i = 0; r == 0 && i < p->wanted.n; i++) {
        char ip[IP_TEXT_MAX];
        r = tell(p, "open", &p->wanted.v[i], &error, e);
        if (r == 0 && error != 0)
            log_warn("published port is held by another program now", "address",
                     ip_format(p->wanted.v[i].key.ip, ip), "error", strerrordesc_np(error), NULL);
    }
    vec_done(&old);
    return r;
}

static int connect_once(struct portd *p, struct err *e)
{
    int r = try_connect(p, e);

    if (r == 0) {
        TRY(start(p, e));
        r = try_connect(p, e);
    }
    TRY(r);
    if (r == 0)
        return err_set(e, ERR_INTERNAL, "hull-portd does not answer at %s", p->socket);
    if (reconcile(p, e) < 0) {
        disconnect(p);
        return -1;
    }
    return 0;
}

/* Have a connection, to one that knows all that is wanted. The one that answered may just be
 * ending: then another is started. */
static int ensure(struct portd *p, struct err *e)
{
    if (p->fd >= 0)
        return 0;
    for (int i = 0; i < CONNECT_TRIES; i++) {
        if (connect_once(p, e) == 0)
            return 0;
        /* it closed before it was asked, before it answered, or in between */
        if (e->sys != EPIPE && e->sys != ECONNRESET && e->kind != ERR_UNAVAILABLE)
            return -1;
    }
    return -1;
}

/* tell, and once more when the connection turns out to be dead. */
static int tell_surely(struct portd *p, const char *op, const struct portd_port *port,
                       int *out_error, struct err *e)
{
    TRY(ensure(p, e));
    if (tell(p, op, port, out_error, e) == 0)
        return 0;
    disconnect(p);
    TRY(ensure(p, e));
    return tell(p, op, port, out_error, e);
}

/* Without ports nobody needs it: it ends when we hang up. Not at once, since the next port may come
 * soon. */
static void maybe_hang_up(struct portd *p)
{
    if (p->wanted.n > 0)
        return;
    p->idle_ns = time_mono_ns();
    if (p->has_watcher)
        wake_watcher(p);
    else
        disconnect(p);
}

static void forget(struct portd *p, struct port_key key)
{
    struct portd_port *port = find(p, key);

    if (port != NULL)
        vec_remove(&p->wanted, (size_t)(port - p->wanted.v));
}

/* ---- watching ---- */

/* The connection that was watched broke: have another, if ports are to be held. */
static void repair(struct portd *p, unsigned connection)
{
    struct err e;

    pthread_mutex_lock(&p->lock);
    if (!p->stop && p->connection == connection) {
        disconnect(p);
        bool again = time_mono_ns() - p->repaired_ns <
                     REPAIR_NS; /* one that cannot live: the next call tries */
        p->repaired_ns = time_mono_ns();
        if (p->wanted.n > 0 && !again) {
            log_warn("hull-portd has ended, starting another", NULL);
            if (ensure(p, &e) < 0)
                log_error("published ports are not held", "error", e.msg, NULL);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* How long until an idle connection is given up: milliseconds, -1 for never. Under the lock; hangs
 * up when it is time. */
static int linger(struct portd *p)
{
    int64_t left = p->idle_ns + LINGER_NS - time_mono_ns();

    if (p->fd < 0 || p->wanted.n > 0)
        return -1;
    if (left > 0)
        return (int)(left / NS_PER_MS) + 1;
    disconnect(p);
    return -1;
}

static void *watch(void *arg)
{
    struct portd *p = arg;

    for (;;) {
        struct pollfd pfd[2] = {{.fd = p->wake, .events = POLLIN}, {.fd = -1, .events = POLLRDHUP}};
        eventfd_t n;
        pthread_mutex_lock(&p->lock);
        bool stop = p->stop;
        int timeout_ms = linger(p);
        unsigned connection = p->connection;
        /* a descriptor of its own, so that it cannot become another file meanwhile */
        auto_fd int fd = p->fd >= 0 ? fd_dup(p->fd) : -1;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        pfd[1].fd = fd;
        (void)poll(pfd, 2, timeout_ms);
        (void)eventfd_read(p->wake, &n);
        if (pfd[1].revents != 0)
            repair(p, connection);
    }
}

/* ---- the calls ---- */

static int refused(struct port_key key, int error, struct err *e)
{
    char ip[IP_TEXT_MAX], text[128];
    bool v6 = key.ip.family == 6;

    snprintf(text, sizeof(text), "%s",
             strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    text[0] = (char)tolower((unsigned char)text[0]); /* as Go spells them */
    (void)err_set(e, ERR_CONFLICT, "failed to bind host port %s%s%s:%u/%s: %s", v6 ? "[" : "",
                  ip_format(key.ip, ip), v6 ? "]" : "", key.port, port_proto_name(key.proto), text);
    e->sys = error;
    return -1;
}

int portd_hold(struct portd *p, const struct portd_port *port, struct err *e)
{
    struct portd_port *known;
    int error = 0, r;

    pthread_mutex_lock(&p->lock);
    r = tell_surely(p, "open", port, &error, e);
    if (r == 0 && error != 0)
        r = refused(port->key, error, e);
    if (r == 0) {
        known = find(p, port->key);
        if (known != NULL)
            *known = *port;
        else
            vec_push(&p->wanted, *port);
    }
    maybe_hang_up(p);
    pthread_mutex_unlock(&p->lock);
    return r;
}

int portd_release(struct portd *p, struct port_key key, struct err *e)
{
    struct portd_port port = {.key = key};
    int error = 0, r = 0;

    pthread_mutex_lock(&p->lock);
    if (find(p, key) != NULL) {
        forget(p, key);
        r = tell_surely(p, "close", &port, &error, e);
    }
    maybe_hang_up(p);
    pthread_mutex_unlock(&p->lock);
    return r;
}

int portd_sync(struct portd *p, const struct portd_port *ports, size_t n, struct err *e)
{
    int r;

    pthread_mutex_lock(&p->lock);
    disconnect(p);
    p->wanted.n = 0;
    for (size_t i = 0; i < n; i++)
        vec_push(&p->wanted, ports[i]);
    r = n > 0 ? ensure(p, e) : try_connect(p, e);
    if (n == 0 && r > 0) { /* one of the past: it has nothing to hold any more */
        r = reconcile(p, e);
        disconnect(p);
    }
    pthread_mutex_unlock(&p->lock);
    return r < 0 ? -1 : 0;
}
