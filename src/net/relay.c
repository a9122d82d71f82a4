/*
 * A held port. Streams: each accepted connection gets one to the container and a buffer for each
 * direction; half-close is passed on. Datagrams: each peer gets a socket of its own towards the
 * container, so that answers find their way back.
 */
#include "net/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"

#define CHUNK (16 << 10)
#define DATAGRAM_MAX 65536
#define SWEEP_MS 10000

struct relay {
    struct loop *loop;
    struct port_key key;
    struct ip_addr to;
    uint16_t to_port;
    int fd;
    struct source *source, *sweep; /* sweep: UDP only, while there are peers */
    struct list conns;             /* struct conn or struct peer */
    size_t n_peers;
};

static size_t n_conns; /* of all relays; one thread */

/* ---- streams ---- */

struct direction {
    size_t off, n; /* bytes waiting: buf[off..n) */
    bool eof;      /* nothing more to read */
    bool done;     /* and all of it passed on */
    char buf[CHUNK];
};

struct conn {
    struct list node; /* in relay.conns; must be first */
    int fd[2];        /* 0: who came, 1: the container */
    struct source *source[2];
    struct direction dir[2]; /* dir[i]: from fd[i] to the other */
    bool connecting;
};

static void conn_free(struct conn *c)
{
    list_remove(&c->node);
    for (int i = 0; i < 2; i++) {
        loop_del(c->source[i]);
        fd_close(c->fd[i]);
    }
    free(c);
    n_conns--;
}

/* Move what can be moved from fd[i] on. False: the connection is broken. */
static bool pump(struct conn *c, int i)
{
    struct direction *d = &c->dir[i];
    ssize_t n;

    if (d->n == d->off && !d->eof) {
        n = recv(c->fd[i], d->buf, sizeof(d->buf), MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        d->off = 0;
        d->n = n > 0 ? (size_t)n : 0;
        d->eof = n == 0;
    }
    if (d->n > d->off) {
        n = send(c->fd[!i], d->buf + d->off, d->n - d->off, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        d->off += n > 0 ? (size_t)n : 0;
    }
    if (d->eof && d->n == d->off && !d->done) {
        (void)shutdown(c->fd[!i], SHUT_WR); /* already reset: the next read says so */
        d->done = true;
    }
    return true;
}

/* Ask for exactly what can make progress. */
static int watch(struct conn *c)
{
    struct err e;

    for (int i = 0; i < 2; i++) {
        const struct direction *in = &c->dir[i], *out = &c->dir[!i];
        uint32_t events = 0;
        if (!in->eof && in->n == in->off)
            events |= EPOLLIN;
        if (out->n > out->off)
            events |= EPOLLOUT;
        if (c->connecting)
            events = i == 1 ? EPOLLOUT : 0;
        TRY(loop_set_events(c->source[i], events, &e));
    }
    return 0;
}

static void conn_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    struct conn *c = arg;

    (void)s;
    (void)fd;
    if (c->connecting) {
        int error = 0;
        socklen_t n = sizeof(error);
        if (getsockopt(c->fd[1], SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error != 0) {
            conn_free(c);
            return;
        }
        if (!(events & EPOLLOUT))
            return;
        c->connecting = false;
    }
    if (!pump(c, 0) || !pump(c, 1) || (c->dir[0].done && c->dir[1].done) || watch(c) < 0)
        conn_free(c);
}

/* A socket towards the container: connecting (streams) or connected (datagrams), never blocking. -1
 * on failure. */
static int connect_target(const struct relay *r, int type)
{
    struct sockaddr_storage sa;
    socklen_t n = ip_to_sockaddr(r->to, r->to_port, &sa);
    auto_fd int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, r->key.proto);

    if (r->to.family == 0 || fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&sa, n) < 0 && errno != EINPROGRESS)
        return -1;
    return take_fd(&fd);
}

static void conn_start(struct relay *r, int client)
{
    struct conn *c;
    struct err e;
    int server = n_conns < RELAY_CONNS_MAX ? connect_target(r, SOCK_STREAM) : -1, on = 1;

    if (server < 0) {
        fd_close(client);
        return;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* only speed is lost */
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c = mem_alloc(sizeof(*c));
    c->fd[0] = client;
    c->fd[1] = server;
    c->connecting = true;
    list_append(&r->conns, &c->node);
    n_conns++;
    c->source[0] = loop_add_fd(r->loop, client, 0, conn_ready, c, &e);
    c->source[1] =
        c->source[0] != NULL ? loop_add_fd(r->loop, server, EPOLLOUT, conn_ready, c, &e) : NULL;
    if (c->source[1] == NULL)
        conn_free(c);
}

static void listener_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    (void)s;
    (void)events;
    for (int i = 0; i < 16; i++) { /* the rest at the next turn: other ports want theirs */
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0)
            return;
        conn_start(arg, client);
    }
}

/* ---- datagrams ---- */

struct peer {
    struct list node; /* in relay.conns, the longest silent one first; must be first */
    struct relay *relay;
    struct sockaddr_storage addr;
    socklen_t addr_n;
    int fd;
    struct source *source;
    int64_t heard_ns;
};

static void peer_free(struct peer *p)
{
    list_remove(&p->node);
    loop_del(p->source);
    fd_close(p->fd);
    p->relay->n_peers--;
    free(p);
}

static void peer_heard(struct peer *p)
{
    p->heard_ns = time_mono_ns();
    list_remove(&p->node);
    list_append(&p->relay->conns, &p->node);
}

static char datagram[DATAGRAM_MAX]; /* one thread */

static void peer_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    struct peer *p = arg;
    ssize_t n;

    (void)s;
    (void)events;
    n = recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT);
    if (n < 0)
        return; /* ECONNREFUSED: nobody listens in the container now; reading cleared it */
    (void)sendto(p->relay->fd, datagram, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL,
                 (struct sockaddr *)&p->addr, p->addr_n);
    peer_heard(p);
}

static void sweep(struct source *s, void *arg)
{
    struct relay *r = arg;
    int64_t limit = time_mono_ns() - RELAY_UDP_IDLE_MS * NS_PER_MS;
    struct err e;

    (void)s;
    r->sweep = NULL;
    list_each(node, &r->conns) {
        struct peer *p = CONTAINER_OF(node, struct peer, node);
        if (p->heard_ns > limit)
            break;
        peer_free(p);
    }
    if (r->n_peers > 0)
        r->sweep = loop_add_timer(r->loop, SWEEP_MS, sweep, r, &e);
}

static struct peer *peer_new(struct relay *r, const struct sockaddr_storage *addr, socklen_t n)
{
    struct peer *p;
    struct err e;
    int fd;

    if (r->n_peers >= RELAY_SESSIONS_MAX)
        peer_free(CONTAINER_OF(r->conns.next, struct peer, node));
    fd = connect_target(r, SOCK_DGRAM);
    if (fd < 0)
        return NULL;
    p = mem_alloc(sizeof(*p));
    p->relay = r;
    p->addr = *addr;
    p->addr_n = n;
    p->fd = fd;
    list_append(&r->conns, &p->node);
    r->n_peers++;
    p->source = loop_add_fd(r->loop, fd, EPOLLIN, peer_ready, p, &e);
    if (p->source == NULL) {
        peer_free(p);
        return NULL;
    }
    if (r->sweep == NULL)
        r->sweep = loop_add_timer(r->loop, SWEEP_MS, sweep, r, &e);
    return p;
}

static struct peer *peer_find(struct relay *r, const struct sockaddr_storage *addr, socklen_t n)
{
    list_each(node, &r->conns) {
        struct peer *p = CONTAINER_OF(node, struct peer, node);
        if (p->addr_n == n && memcmp(&p->addr, addr, n) == 0)
            return p;
    }
    return NULL;
}

static void datagram_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    struct sockaddr_storage from = {0};
    socklen_t n_from = sizeof(from);
    struct relay *r = arg;
    struct peer *p;
    ssize_t n;

    (void)s;
    (void)events;
    n = recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT, (struct sockaddr *)&from, &n_from);
    if (n < 0)
        return;
    p = peer_find(r, &from, n_from);
    if (p == NULL)
        p = peer_new(r, &from, n_from);
    if (p == NULL)
        return;
    (void)send(p->fd, datagram, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* datagrams may be lost */
    peer_heard(p);
}

/* ---- the port ---- */

/* 0 or -errno. */
static int bind_port(int fd, struct port_key key)
{
    struct sockaddr_storage sa;
    socklen_t n = ip_to_sockaddr(key.ip, key.port, &sa);
    int on = 1;

    if (key.ip.family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    /* connections that have ended must not keep the port busy; listening keeps others off it all
     * the same */
    if (key.proto != PORT_UDP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&sa, n) < 0 || (key.proto != PORT_UDP && listen(fd, 1024) < 0))
        return -errno;
    return 0;
}

int relay_open(struct loop *l, struct port_key key, struct relay **out)
{
    int type = key.proto == PORT_UDP ? SOCK_DGRAM : SOCK_STREAM, r;
    auto_fd int fd = socket(key.ip.family == 4 ? AF_INET : AF_INET6,
                            type | SOCK_NONBLOCK | SOCK_CLOEXEC, key.proto);
    struct relay *relay;
    struct err e;

    if (fd < 0)
        return -errno;
    r = bind_port(fd, key);
    if (r < 0)
        return r;
    relay = mem_alloc(sizeof(*relay));
    relay->loop = l;
    relay->key = key;
    list_init(&relay->conns);
    relay->source = loop_add_fd(l, fd, EPOLLIN,
                                type == SOCK_DGRAM ? datagram_ready : listener_ready, relay, &e);
    if (relay->source == NULL) {
        free(relay);
        return -e.sys;
    }
    relay->fd = take_fd(&fd);
    *out = relay;
    return 0;
}

void relay_target(struct relay *r, struct ip_addr to, uint16_t to_port)
{
    bool moved = !ip_eq(r->to, to) || r->to_port != to_port;

    r->to = to;
    r->to_port = to_port;
    if (!moved || r->key.proto != PORT_UDP)
        return;
    list_each(node, &r->conns) /* datagrams have no end of their own */
        peer_free(CONTAINER_OF(node, struct peer, node));
}

void relay_close(struct relay *r)
{
    if (r == NULL)
        return;
    list_each(node, &r->conns) {
        if (r->key.proto == PORT_UDP)
            peer_free(CONTAINER_OF(node, struct peer, node));
        else
            conn_free(CONTAINER_OF(node, struct conn, node));
    }
    loop_del(r->sweep);
    loop_del(r->source);
    fd_close(r->fd);
    free(r);
}
