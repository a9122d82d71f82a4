/* See net_world.h. */
#include "net_world.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "netns.h"
#include "sys/fd.h"
#include "sys/nft.h"

bool own_ns;
char root[] = "/tmp/hull-net-XXXXXX";
char *program;
struct netns outside = NETNS_NONE;
struct nl *nl;
struct net *net;
struct arena *arena;
struct err e;

/* ---- sockets anywhere ---- */

struct sock {
    const char *ip;
    uint16_t port;
    int type;
    bool server;
    int64_t connect_ms;
    int fd; /* out: the socket, or -errno */
};

static int open_sock(void *arg, struct err *err)
{
    struct timeval patience = {.tv_sec = 5};
    struct sock *s = arg;
    struct timeval soon = {s->connect_ms / 1000, s->connect_ms % 1000 * 1000};
    struct sockaddr_storage sa;
    struct ip_addr a = {0, 0};
    int on = 1;

    (void)err;
    (void)ip_parse(str_of(s->ip), &a);
    socklen_t n = ip_to_sockaddr(a, s->port, &sa);
    s->fd = socket(sa.ss_family, s->type | SOCK_CLOEXEC, 0);
    (void)setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    (void)setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
    int r = s->server ? bind(s->fd, (struct sockaddr *)&sa, n)
                      : connect(s->fd, (struct sockaddr *)&sa, n);
    if (r == 0 && s->server && s->type == SOCK_STREAM)
        r = listen(s->fd, 16);
    if (r < 0) {
        r = errno;
        fd_close(s->fd);
        s->fd = -r;
    }
    return 0;
}

static int sock_ms(const char *where, const char *ip, uint16_t port, int type, bool server,
                   int64_t connect_ms)
{
    struct sock s = {ip, port, type, server, connect_ms, -1};

    if (where[0] == '\0') {
        (void)open_sock(&s, &e);
    } else if (strcmp(where, "outside") == 0) {
        assert_ok(netns_run(outside.fd, open_sock, &s, &e));
    } else {
        auto_netns struct netns ns = NETNS_NONE;
        assert_ok(netns_open(where, &ns, &e));
        assert_ok(netns_run(ns.fd, open_sock, &s, &e));
    }
    return s.fd;
}

int sock_in(const char *where, const char *ip, uint16_t port, int type, bool server)
{
    return sock_ms(where, ip, port, type, server, 5000);
}

void expect_reach(int server, const char *where, const char *ip, uint16_t port, const char *peer)
{
    int c = sock_in(where, ip, port, SOCK_STREAM, false);
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    char text[IP_TEXT_MAX], got[5] = "";
    uint16_t from;

    if (c < 0)
        fail_msg("connect from \"%s\" to %s:%u: %s", where, ip, port, strerrordesc_np(-c));
    int s = accept4(server, (struct sockaddr *)&sa, &n, SOCK_CLOEXEC);
    assert_true(s >= 0);
    if (peer != NULL)
        assert_string_equal(ip_format(ip_of_sockaddr(&sa, &from), text), peer);
    assert_int_equal(send(c, "ping", 4, 0), 4);
    assert_int_equal(recv(s, got, 4, MSG_WAITALL), 4);
    assert_int_equal(send(s, "pong", 4, 0), 4);
    assert_int_equal(recv(c, got, 4, MSG_WAITALL), 4);
    assert_string_equal(got, "pong");
    fd_close(s);
    fd_close(c);
}

void expect_no_reach(const char *where, const char *ip, uint16_t port)
{
    int c = sock_ms(where, ip, port, SOCK_STREAM, false, 700);

    if (c >= 0)
        fail_msg("connected from \"%s\" to %s:%u", where, ip, port);
    fd_close(c);
}

void expect_closed(const char *where, const char *ip, uint16_t port)
{
    int c = sock_in(where, ip, port, SOCK_STREAM, false);

    assert_true(c >= 0);
    assert_true(recv(c, (char[1]){0}, 1, 0) <= 0);
    fd_close(c);
}

void expect_echo(int server, const char *where, const char *ip, uint16_t port)
{
    int c = sock_in(where, ip, port, SOCK_DGRAM, false);
    struct sockaddr_storage sa;
    socklen_t n = sizeof(sa);
    char got[5] = "";

    assert_true(c >= 0);
    assert_int_equal(send(c, "ping", 4, 0), 4);
    assert_int_equal(recvfrom(server, got, 4, 0, (struct sockaddr *)&sa, &n), 4);
    assert_int_equal(sendto(server, "pong", 4, 0, (struct sockaddr *)&sa, n), 4);
    assert_int_equal(recv(c, got, 4, 0), 4);
    fd_close(c);
}

/* ---- the world ---- */

struct ip_net net_of(const char *s)
{
    struct ip_net x = {{0, 0}, 0};

    assert_true(ip_net_parse(str_of(s), &x));
    return x;
}

void give_address(struct nl *in, const char *link, const char *addr)
{
    struct nl_link l;

    assert_ok(nl_link_get(in, link, &l, &e));
    assert_ok(nl_addr_add(in, l.index, net_of(addr), &e));
}

int world_make(void **state)
{
    struct nl_veth up = {.name = "up0", .mtu = 1400, .peer = "eth0"};
    struct ip_addr gw = {0, 0};
    struct nl_link l;

    (void)state;
    program = mem_printf("%s/src/net/hull-portd",
                         getenv("HULL_BUILD_DIR") != NULL ? getenv("HULL_BUILD_DIR") : "build");
    own_ns = in_own_netns() && mkdtemp(root) != NULL;
    if (!own_ns)
        return 0;
    assert_ok(nl_open(&nl, &e));
    assert_ok(netns_new(&outside, &e));
    up.peer_ns = outside.fd;
    assert_ok(nl_veth_add(nl, &up, &e));
    assert_ok(netns_sysctl(outside.fd, "net/ipv6/conf/eth0/disable_ipv6", "0", &e));
    assert_ok(nl_link_get(outside.nl, "eth0", &l, &e));
    assert_ok(nl_link_up(outside.nl, l.index, &e));
    give_address(nl, "up0", "198.18.0.1/24");
    give_address(nl, "up0", "fd99::1/64");
    give_address(outside.nl, "eth0", "198.18.0.2/24");
    give_address(outside.nl, "eth0", "fd99::2/64");
    assert_ok(nl_link_get(nl, "up0", &l, &e));
    assert_true(ip_parse(str_of("198.18.0.2"), &gw));
    assert_ok(nl_route_add(nl, net_of("0.0.0.0/0"), gw, l.index, &e));
    arena = arena_new();
    return 0;
}

int world_end(void **state)
{
    (void)state;
    netns_done(&outside);
    nl_close(nl);
    arena_free(arena);
    free(program);
    (void)rmdir(root);
    return 0;
}

void open_net(const struct net_network *saved, size_t n_saved, const struct net_sandbox *running,
              size_t n_running)
{
    struct net_opts o = {
        .exec_root = root, .portd_path = program, .ipv6 = true, .bip6 = "fd17::1/64", .warm = 2};

    assert_ok(net_open(&o, saved, n_saved, running, n_running, &net, &e));
}

int world_open(void **state)
{
    (void)state;
    if (own_ns)
        open_net(NULL, 0, NULL, 0);
    return 0;
}

size_t count_files(void)
{
    auto_free char *dir = mem_printf("%s/netns", root);
    DIR *d = opendir(dir);
    size_t n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n;
}

int world_close(void **state)
{
    auto_buf struct buf rules = BUF_MAX(1 << 20);
    struct nl_links links = {0};
    struct nft *nft;

    (void)state;
    if (!own_ns)
        return 0;
    net_teardown(net);
    net_close(net);
    net = NULL;
    assert_int_equal(count_files(), 0);
    assert_ok(nl_links(nl, &links, &e));
    vec_each(l, &links) {
        if (strcmp(l->name, "lo") != 0 && strcmp(l->name, "up0") != 0 && l->kind[0] != '\0' &&
            strcmp(l->kind, "ifb") != 0)
            fail_msg("link %s is left", l->name);
    }
    vec_done(&links);
    assert_ok(nft_open(&nft, &e));
    assert_ok(nft_query(nft, "list ruleset", &rules, &e));
    assert_string_equal(buf_cstr(&rules), "");
    nft_close(nft);
    return 0;
}

struct net_sandbox make(const char *name, const char *network, const struct net_publish *ports,
                        size_t n_ports)
{
    struct net_join j = {.network = network};
    struct net_sandbox_rq rq = {.container_id = name,
                                .container_name = name,
                                .joins = &j,
                                .n_joins = 1,
                                .ports = ports,
                                .n_ports = n_ports};
    struct net_sandbox out = {0};

    assert_ok(net_sandbox_open(net, &rq, arena, &out, &e));
    return out;
}
