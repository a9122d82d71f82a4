/*
 * hull-portd: holds the sockets of published ports and relays what the kernel does not translate.
 * It is started by hulld with a listening socket, leaves hulld's process tree, gives up all rights
 * but that to bind low ports, and lives until it holds no port and nobody is connected.
 *
 * Requests are packets of JSON (net/portd.h); only root can connect.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/loop.h"
#include "base/mem.h"
#include "net/portd.h"
#include "net/relay.h"
#include "sys/fd.h"

#define PORTS_MAX 16384

struct held {
    struct port_key key;
    struct ip_addr to;
    uint16_t to_port;
    struct relay *relay;
};

static struct {
    struct loop *loop;
    VEC(struct held) held;
    size_t clients;
} portd; /* one thread */

static struct held *find(struct port_key key)
{
    vec_each(h, &portd.held) {
        if (h->key.proto == key.proto && h->key.port == key.port && ip_eq(h->key.ip, key.ip))
            return h;
    }
    return NULL;
}

/* A positive errno, or 0. */
static int op_open(struct port_key key, struct ip_addr to, uint16_t to_port)
{
    struct held *h = find(key), new_one = {.key = key};
    int r;

    if (h == NULL) {
        if (portd.held.n >= PORTS_MAX)
            return EMFILE;
        r = relay_open(portd.loop, key, &new_one.relay);
        if (r < 0)
            return -r;
        vec_push(&portd.held, new_one);
        h = &portd.held.v[portd.held.n - 1];
    }
    h->to = to;
    h->to_port = to_port;
    relay_target(h->relay, to, to_port);
    return 0;
}

static void op_close(struct port_key key)
{
    struct held *h = find(key);

    if (h == NULL)
        return;
    relay_close(h->relay);
    vec_remove(&portd.held, (size_t)(h - portd.held.v));
}

/* ---- requests ---- */

static int answer(int fd, const struct portd_message *m)
{
    auto_buf struct buf b = BUF_MAX(PORTD_MESSAGE_MAX);

    json_write(&portd_message_json, m, &b);
    return !b.over && send(fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n ? 0 : -1;
}

static int op_list(int fd)
{
    vec_each(h, &portd.held) {
        char ip[IP_TEXT_MAX], to[IP_TEXT_MAX];
        struct portd_message m = {.proto = port_proto_name(h->key.proto),
                                  .ip = ip_format(h->key.ip, ip),
                                  .port = h->key.port,
                                  .to = ip_format(h->to, to),
                                  .to_port = h->to_port,
                                  .more = true};
        TRY(answer(fd, &m));
    }
    return answer(fd, &(struct portd_message){0});
}

static bool read_key(const struct portd_message *m, struct port_key *out)
{
    out->proto = port_proto(str_of(m->proto));
    out->port = (uint16_t)m->port;
    return out->proto != 0 && m->port > 0 && m->port <= UINT16_MAX &&
           ip_parse(str_of(m->ip), &out->ip);
}

/* -1: the client is to be dropped. */
static int serve(int fd, const char *text, size_t n)
{
    auto_arena struct arena *a = arena_new();
    struct portd_message rq, out = {0};
    struct port_key key = {0};
    struct ip_addr to = {0};
    struct err e;

    TRY(json_parse(&portd_message_json, &rq, text, n, a, &e));
    if (rq.op != NULL && strcmp(rq.op, "list") == 0)
        return op_list(fd);
    bool valid = rq.op != NULL && read_key(&rq, &key);
    if (valid && strcmp(rq.op, "close") == 0)
        op_close(key);
    else if (valid && strcmp(rq.op, "open") == 0 &&
             (rq.to == NULL || rq.to[0] == '\0' || ip_parse(str_of(rq.to), &to)))
        out.error = op_open(key, to, (uint16_t)rq.to_port);
    else
        out.error = EINVAL;
    return answer(fd, &out);
}

static void end_if_idle(void)
{
    if (portd.held.n == 0 && portd.clients == 0)
        loop_stop(portd.loop);
}

static void client_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    char text[PORTD_MESSAGE_MAX];
    ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);

    (void)events;
    (void)arg;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && serve(fd, text, (size_t)n) == 0)
        return;
    loop_del(s);
    fd_close(fd);
    portd.clients--;
    end_if_idle();
}

static void control_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    struct err e;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)s;
    (void)events;
    (void)arg;
    if (client < 0)
        return;
    if (loop_add_fd(portd.loop, client, EPOLLIN, client_ready, NULL, &e) == NULL) {
        fd_close(client);
        return;
    }
    portd.clients++;
}

static void on_signal(int signo, void *arg)
{
    (void)signo;
    (void)arg;
    loop_stop(portd.loop);
}

/* Nobody's user with the one right to bind ports below 1024. 0 or -1. */
static int drop_rights(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t bind_low = 1u << CAP_NET_BIND_SERVICE;
    struct __user_cap_data_struct caps[2] = {{.effective = bind_low, .permitted = bind_low}, {0}};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (geteuid() != 0)
        return 0;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return -1;
    return syscall(SYS_capset, &head, caps) < 0 ? -1 : 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim); /* fewer connections then */
    }
}

int main(void)
{
    sigset_t stop;
    struct err e;

    /* out of hulld's tree, so that it need not be reaped; this program has one thread, and nothing
     * is open but the socket */
    if (daemon(0, 0) < 0)
        return 1;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN); /* NOLINT(concurrency-mt-unsafe): there is one thread */
    raise_descriptor_limit();
    if (drop_rights() < 0)
        return 1;
    portd.loop = loop_new(&e);
    if (portd.loop == NULL || loop_add_signals(portd.loop, &stop, on_signal, NULL, &e) < 0 ||
        fd_set_nonblock(PORTD_LISTEN_FD, true) < 0 ||
        loop_add_fd(portd.loop, PORTD_LISTEN_FD, EPOLLIN, control_ready, NULL, &e) == NULL)
        return 1;
    int r = loop_run(portd.loop, &e);
    vec_each(h, &portd.held)
        relay_close(h->relay);
    vec_done(&portd.held);
    loop_free(portd.loop);
    return r < 0 ? 1 : 0;
}
