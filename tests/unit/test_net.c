/*
 * Networks and sandboxes on a real kernel: a host, an outside machine and containers, all network
 * namespaces of this test.
 *
 *   outside (198.18.0.2, fd99::2) --- host (198.18.0.1, fd99::1) --- docker0 --- sandboxes
 *
 * Nothing outside knows the containers' addresses, so that only translation lets packets come back.
 */
#include "test.h"
#include "netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "net/net.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/nft.h"
#include "sys/path.h"

static bool own_ns;
static char root[] = "/tmp/hull-net-XXXXXX";
static char *program;
static struct netns outside = NETNS_NONE;
static struct nl *nl;
static struct net *net;
static struct arena *arena;
static struct err e;

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

/* where: a namespace's file, "outside", or "" for the host. */
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

static int sock_in(const char *where, const char *ip, uint16_t port, int type, bool server)
{
    return sock_ms(where, ip, port, type, server, 5000);
}

/* Connect from somewhere, have the server accept, pass a word both ways; peer: the client's address
 * as the server sees it. */
static void expect_reach(int server, const char *where, const char *ip, uint16_t port,
                         const char *peer)
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

static void expect_no_reach(const char *where, const char *ip, uint16_t port)
{
    int c = sock_ms(where, ip, port, SOCK_STREAM, false, 700);

    if (c >= 0)
        fail_msg("connected from \"%s\" to %s:%u", where, ip, port);
    fd_close(c);
}

/* The port is held, but leads nowhere. */
static void expect_closed(const char *where, const char *ip, uint16_t port)
{
    int c = sock_in(where, ip, port, SOCK_STREAM, false);

    assert_true(c >= 0);
    assert_true(recv(c, (char[1]){0}, 1, 0) <= 0);
    fd_close(c);
}

static void expect_echo(int server, const char *where, const char *ip, uint16_t port)
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

static struct ip_net net_of(const char *s)
{
    struct ip_net x = {{0, 0}, 0};

    assert_true(ip_net_parse(str_of(s), &x));
    return x;
}

static void give_address(struct nl *in, const char *link, const char *addr)
{
    struct nl_link l;

    assert_ok(nl_link_get(in, link, &l, &e));
    assert_ok(nl_addr_add(in, l.index, net_of(addr), &e));
}

static int make_world(void **state)
{
    struct nl_veth up = {.name = "up0", .mtu = 1400, .peer = "eth0"};
    struct ip_addr gw = {0, 0};
    struct nl_link l;

    (void)state;
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

static void open_net(const struct net_network *saved, size_t n_saved,
                     const struct net_sandbox *running, size_t n_running)
{
    struct net_opts o = {
        .exec_root = root, .portd_path = program, .ipv6 = true, .bip6 = "fd17::1/64", .warm = 2};

    assert_ok(net_open(&o, saved, n_saved, running, n_running, &net, &e));
}

static int begin(void **state)
{
    (void)state;
    if (own_ns)
        open_net(NULL, 0, NULL, 0);
    return 0;
}

static size_t count_files(void)
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

/* Everything of ours must go: links, rules, namespaces, hull-portd. */
static int end(void **state)
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

static struct net_sandbox make(const char *name, const char *network,
                               const struct net_publish *ports, size_t n_ports)
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

#define NEED_KERNEL() \
    do {              \
        (void)state;  \
        if (!own_ns)  \
            skip();   \
    } while (0)

/* ---- tests ---- */

static void test_default_networks(void **state)
{
    struct net_network *list, bridge;
    struct nl_link l;
    size_t n;

    NEED_KERNEL();
    net_networks(net, arena, &list, &n);
    assert_int_equal(n, 3);
    assert_ok(net_find(net, "bridge", arena, &bridge, &e));
    assert_string_equal(bridge.bridge, "docker0");
    assert_string_equal(bridge.pools.v[0].subnet, "172.17.0.0/16");
    assert_string_equal(bridge.pools.v[0].gateway, "172.17.0.1");
    assert_int_equal(bridge.mtu, 1400); /* follows the default route */
    assert_string_equal(net_host_gateway(net, arena), "172.17.0.1");
    assert_ok(nl_link_get(nl, "docker0", &l, &e));
    assert_int_equal(l.mtu, 1400);
    char prefix[13];
    snprintf(prefix, sizeof(prefix), "%.12s", bridge.id);
    assert_ok(net_find(net, prefix, arena, &bridge, &e));
    assert_err(net_find(net, "nope", arena, &bridge, &e), ERR_NOT_FOUND, "network nope not found");
    assert_err(net_remove(net, "bridge", &e), ERR_FORBIDDEN,
               "bridge is a pre-defined network and cannot be removed");
    assert_err(net_remove(net, "nope", &e), ERR_NOT_FOUND, "network nope not found");
}

static void test_containers_and_outside(void **state)
{
    struct net_sandbox a, b;
    int server, out;

    NEED_KERNEL();
    a = make("a", "bridge", NULL, 0);
    b = make("b", "bridge", NULL, 0);
    assert_string_equal(a.endpoints.v[0].ip, "172.17.0.2");
    assert_string_equal(b.endpoints.v[0].ip, "172.17.0.3");
    assert_string_equal(a.endpoints.v[0].mac, "02:42:ac:11:00:02");
    assert_string_equal(a.endpoints.v[0].ip6, "fd17::2");
    server = sock_in(b.key, "0.0.0.0", 80, SOCK_STREAM, true);
    expect_reach(server, a.key, "172.17.0.3", 80, "172.17.0.2");
    expect_reach(server, "", "172.17.0.3", 80, "172.17.0.1");
    fd_close(server);
    server = sock_in(b.key, "::", 80, SOCK_STREAM, true);
    expect_reach(server, a.key, "fd17::3", 80, "fd17::2");
    fd_close(server);
    out = sock_in("outside", "::", 80, SOCK_STREAM, true);
    expect_reach(out, a.key, "198.18.0.2", 80, "::ffff:198.18.0.1"); /* the host's address */
    expect_reach(out, a.key, "fd99::2", 80, "fd99::1");
    fd_close(out);
    assert_ok(net_sandbox_close(net, a.id, &e));
    assert_ok(net_sandbox_close(net, a.id, &e));
    a = make("a", "bridge", NULL, 0); /* the address is free at once, and works at once */
    assert_string_equal(a.endpoints.v[0].ip, "172.17.0.2");
    server = sock_in(a.key, "0.0.0.0", 80, SOCK_STREAM, true);
    expect_reach(server, b.key, "172.17.0.2", 80, "172.17.0.3");
    expect_reach(server, "", "172.17.0.2", 80, "172.17.0.1");
    fd_close(server);
    assert_ok(net_sandbox_close(net, a.id, &e));
    assert_ok(net_sandbox_close(net, b.id, &e));
}

/* A published port from everywhere a client may be. */
static void reach_published(const struct net_sandbox *web, const struct net_sandbox *other,
                            int server, int dgram)
{
    expect_reach(server, "outside", "198.18.0.1", 8080,
                 "::ffff:198.18.0.2"); /* the client's address is kept */
    expect_reach(server, "outside", "fd99::1", 8080, "fd99::2");
    expect_reach(server, "", "127.0.0.1", 8080, "::ffff:172.17.0.1");
    expect_reach(server, "", "198.18.0.1", 8080, NULL);
    expect_reach(server, "", "172.17.0.1", 8080, NULL);
    expect_reach(server, "", "::1", 8080, NULL); /* hull-portd */
    expect_reach(server, "", "fd99::1", 8080, NULL);
    expect_reach(server, other->key, "198.18.0.1", 8080,
                 NULL); /* another container, by the host's address */
    expect_reach(server, other->key, "172.17.0.1", 8080, NULL);
    expect_reach(server, web->key, "198.18.0.1", 8080, NULL); /* itself */
    expect_reach(server, other->key, "fd99::1", 8080, NULL);
    expect_echo(dgram, "outside", "198.18.0.1", 5353);
    expect_echo(dgram, "", "127.0.0.1", 5353);
    expect_echo(dgram, "", "::1", 5353);
    expect_echo(dgram, other->key, "198.18.0.1", 5353);
}

static void test_published_ports(void **state)
{
    static const struct net_publish ports[] = {{"80/tcp", "", "8080"}, {"53/udp", "", "5353"}};
    struct net_sandbox web, other;
    int server, dgram;

    NEED_KERNEL();
    web = make("web", "bridge", ports, 2);
    other = make("other", "bridge", NULL, 0);
    assert_int_equal(web.ports.n, 4); /* both families each */
    assert_string_equal(web.ports.v[0].host_ip, "0.0.0.0");
    assert_string_equal(web.ports.v[1].host_ip, "::");
    assert_int_equal(web.ports.v[1].host_port, 8080);
    server = sock_in(web.key, "::", 80, SOCK_STREAM, true);
    dgram = sock_in(web.key, "::", 53, SOCK_DGRAM, true);
    reach_published(&web, &other, server, dgram);
    assert_int_equal(sock_in("", "0.0.0.0", 8080, SOCK_STREAM, true),
                     -EADDRINUSE); /* really reserved */

    /* a kernel without br_netfilter routes what one with it bridges */
    (void)file_put(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
    (void)file_put(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0");
    reach_published(&web, &other, server, dgram);

    /* the daemon goes away and comes back: ports answer all the time */
    struct net_network *saved;
    struct net_sandbox running[2] = {web, other};
    auto_free char *stale = mem_printf("%s/netns/stale", root);
    auto_netns struct netns ns = NETNS_NONE;
    size_t n_saved;
    net_networks(net, arena, &saved, &n_saved);
    net_close(net);
    reach_published(&web, &other, server, dgram);
    assert_ok(netns_new(&ns, &e));
    assert_ok(netns_name(&ns, stale, &e));
    open_net(saved, n_saved, running, 2);
    reach_published(&web, &other, server, dgram);
    assert_int_equal(access(stale, F_OK), -1);
    struct net_sandbox third = make("third", "bridge", NULL, 0);
    assert_string_equal(third.endpoints.v[0].ip, "172.17.0.4"); /* addresses are remembered */
    assert_ok(net_sandbox_close(net, third.id, &e));

    /* someone flushes all rules: the next change writes ours again */
    struct nft *nft;
    assert_ok(nft_open(&nft, &e));
    assert_ok(nft_run(nft, "flush ruleset", &e));
    nft_close(nft);
    static const struct net_publish more[] = {{"81/tcp", "", "8081"}};
    third = make("third", "bridge", more, 1);
    reach_published(&web, &other, server, dgram);
    assert_ok(net_sandbox_close(net, third.id, &e));

    assert_ok(net_sandbox_close(net, web.id, &e));
    expect_no_reach("", "127.0.0.1", 8080);
    expect_no_reach("outside", "198.18.0.1", 8080);
    int again = sock_in("", "0.0.0.0", 8080, SOCK_STREAM, true);
    assert_true(again >= 0);
    fd_close(again);
    assert_ok(net_sandbox_close(net, other.id, &e));
    fd_close(server);
    fd_close(dgram);
}

static void test_port_conflicts(void **state)
{
    static const struct net_publish fixed[] = {{"80/tcp", "", "8080"}},
                                    loop[] = {{"80/tcp", "127.0.0.1", "8080"}};
    static const struct net_publish range[] = {{"80/tcp", "", "8080-8082"}},
                                    any[] = {{"80/tcp", "", ""}}, low[] = {{"80/tcp", "", "81"}};
    static const struct net_publish bad[] = {{"80/tcp", "", "80"}, {"x/tcp", "", ""}};
    struct net_join j = {.network = "bridge"};
    struct net_sandbox_rq rq = {.container_id = "c2",
                                .container_name = "c2",
                                .joins = &j,
                                .n_joins = 1,
                                .ports = fixed,
                                .n_ports = 1};
    struct net_sandbox first, out;

    NEED_KERNEL();
    first = make("c1", "bridge", fixed, 1);
    assert_err(net_sandbox_open(net, &rq, arena, &out, &e), ERR_INTERNAL,
               "failed to set up container networking: driver failed programming external "
               "connectivity on endpoint c2 (");
    assert_non_null(strstr(e.msg, "): Bind for 0.0.0.0:8080 failed: port is already allocated"));
    rq.ports = loop;
    assert_err(net_sandbox_open(net, &rq, arena, &out, &e), ERR_INTERNAL,
               "Bind for 127.0.0.1:8080 failed: port is already allocated");
    int foreign = sock_in("", "0.0.0.0", 81, SOCK_STREAM, true);
    rq.ports = low;
    assert_err(net_sandbox_open(net, &rq, arena, &out, &e), ERR_INTERNAL,
               "failed to bind host port 0.0.0.0:81/tcp: address already in use");
    fd_close(foreign);
    rq.ports = bad;
    rq.n_ports = 2;
    assert_err(net_sandbox_open(net, &rq, arena, &out, &e), ERR_INVALID,
               "invalid port specification: \"x/tcp\"");

    foreign = sock_in("", "::", 8081, SOCK_STREAM,
                      true); /* taken in one family: the range goes on to the next */
    struct net_sandbox second = make("c3", "bridge", range, 1);
    assert_int_equal(second.ports.v[0].host_port, 8082);
    fd_close(foreign);
    struct net_sandbox third = make("c4", "bridge", any, 1);
    assert_true(third.ports.v[0].host_port >= 32768);
    assert_int_equal(third.ports.v[0].host_port, third.ports.v[1].host_port);
    assert_int_equal(count_files(), 2 + 3); /* failed ones left nothing */
    struct net_attached *at;
    size_t n;
    net_attached(net, first.endpoints.v[0].network_id, arena, &at, &n);
    assert_int_equal(n, 3);
    assert_ok(net_sandbox_close(net, first.id, &e));
    assert_ok(net_sandbox_close(net, second.id, &e));
    assert_ok(net_sandbox_close(net, third.id, &e));
}

static void test_loopback_only_port(void **state)
{
    static const struct net_publish ports[] = {{"80/tcp", "127.0.0.1", "8080"}};
    struct net_sandbox web;
    int server;

    NEED_KERNEL();
    web = make("web", "bridge", ports, 1);
    server = sock_in(web.key, "0.0.0.0", 80, SOCK_STREAM, true);
    expect_reach(server, "", "127.0.0.1", 8080, NULL);
    expect_no_reach("outside", "198.18.0.1", 8080);
    expect_no_reach("", "198.18.0.1", 8080);
    fd_close(server);
    assert_ok(net_sandbox_close(net, web.id, &e));
}

static void test_isolation(void **state)
{
    struct net_create one = {.name = "one", .driver = ""},
                      closed = {.name = "closed", .driver = "bridge", .internal = true};
    struct net_network doc;
    struct net_sandbox a, b, c;
    struct nl_link l;
    int in_a, in_b, in_c, out;

    NEED_KERNEL();
    assert_ok(net_create(net, &one, arena, &doc, &e));
    assert_string_equal(doc.pools.v[0].subnet, "172.18.0.0/16");
    assert_int_equal(strncmp(doc.bridge, "br-", 3), 0);
    assert_ok(net_create(net, &closed, arena, &doc, &e));
    a = make("a", "bridge", NULL, 0);
    b = make("b", "one", NULL, 0);
    c = make("c", "closed", NULL, 0);
    in_a = sock_in(a.key, "0.0.0.0", 80, SOCK_STREAM, true);
    in_b = sock_in(b.key, "0.0.0.0", 80, SOCK_STREAM, true);
    in_c = sock_in(c.key, "0.0.0.0", 80, SOCK_STREAM, true);
    out = sock_in("outside", "0.0.0.0", 80, SOCK_STREAM, true);
    expect_no_reach(a.key, b.endpoints.v[0].ip, 80);
    expect_no_reach(b.key, a.endpoints.v[0].ip, 80);
    expect_no_reach(b.key, c.endpoints.v[0].ip, 80);
    expect_no_reach(c.key, "198.18.0.2", 80);
    expect_reach(out, b.key, "198.18.0.2", 80, "198.18.0.1");
    expect_reach(in_c, "", c.endpoints.v[0].ip, 80, NULL); /* the host may */

    /* a neighbour that routes to the containers' network through us */
    struct ip_addr host = {0, 0};
    assert_true(ip_parse(str_of("198.18.0.1"), &host));
    assert_ok(nl_link_get(outside.nl, "eth0", &l, &e));
    assert_ok(nl_route_add(outside.nl, net_of("172.16.0.0/12"), host, l.index, &e));
    expect_no_reach("outside", a.endpoints.v[0].ip, 80);
    assert_ok(nl_route_del(outside.nl, net_of("172.16.0.0/12"), host, l.index, &e));

    assert_err(net_remove(net, "one", &e), ERR_FORBIDDEN,
               "error while removing network: network one has active endpoints (name:\"b\" id:\"");
    assert_ok(net_sandbox_close(net, a.id, &e));
    assert_ok(net_sandbox_close(net, b.id, &e));
    assert_ok(net_sandbox_close(net, c.id, &e));
    assert_ok(net_remove(net, "one", &e));
    assert_ok(net_remove(net, "closed", &e));
    assert_err(nl_link_get(nl, doc.bridge, &l, &e), ERR_NOT_FOUND, "link");
    fd_close(in_a);
    fd_close(in_b);
    fd_close(in_c);
    fd_close(out);
}

static void test_icc_off(void **state)
{
    struct strmap_ent opt[] = {{"com.docker.network.bridge.enable_icc", "false"}};
    struct net_create rq = {.name = "quiet", .driver = "bridge", .options = {opt, 1, 1}};
    struct net_network doc;
    struct net_sandbox a, b;
    int in_b;

    NEED_KERNEL();
    assert_ok(net_create(net, &rq, arena, &doc, &e));
    a = make("a", "quiet", NULL, 0);
    b = make("b", "quiet", NULL, 0);
    in_b = sock_in(b.key, "0.0.0.0", 80, SOCK_STREAM, true);
    expect_no_reach(a.key, b.endpoints.v[0].ip, 80);
    expect_reach(in_b, "", b.endpoints.v[0].ip, 80, NULL);
    assert_ok(net_sandbox_close(net, a.id, &e));
    assert_ok(net_sandbox_close(net, b.id, &e));
    assert_ok(net_remove(net, "quiet", &e));
    fd_close(in_b);
}

static void test_create_refusals(void **state)
{
    struct net_pool host_bits = {.subnet = "10.1.0.1/16"}, overlap = {.subnet = "172.17.5.0/24"},
                    good = {.subnet = "10.1.0.0/24"};
    struct net_pool gateway = {.subnet = "10.1.0.0/24", .gateway = "10.2.0.1"},
                    garbage = {.subnet = "x"};
    struct net_create rq = {.name = "n", .driver = "bridge", .n_pools = 1};
    struct net_join j = {.network = "n", .ip = "10.1.0.77", .mac = "02:00:00:00:00:77"};
    struct net_sandbox_rq srq = {
        .container_id = "c", .container_name = "c", .joins = &j, .n_joins = 1};
    struct net_network doc;
    struct net_sandbox sb;

    NEED_KERNEL();
    rq.pools = &host_bits;
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_INVALID,
               "invalid subnet 10.1.0.1/16: it should be 10.1.0.0/16");
    rq.pools = &overlap;
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_FORBIDDEN,
               "invalid pool request: Pool overlaps with other one on this address space");
    rq.pools = &gateway;
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_INVALID,
               "invalid gateway 10.2.0.1: parent subnet is 10.1.0.0/24");
    rq.pools = &garbage;
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_INVALID, "invalid subnet x");
    rq.pools = &good;
    rq.driver = "overlay";
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_FORBIDDEN,
               "This node is not a swarm manager.");
    rq.driver = "weave";
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_NOT_FOUND, "plugin \"weave\" not found");
    rq.driver = "bridge";
    rq.name = "host";
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_FORBIDDEN,
               "operation is not permitted on predefined host network ");
    rq.name = " ";
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_INVALID, "name is empty");
    rq.name = "n";
    assert_ok(net_create(net, &rq, arena, &doc, &e));
    assert_err(net_create(net, &rq, arena, &doc, &e), ERR_CONFLICT,
               "network with name n already exists");
    assert_ok(net_sandbox_open(net, &srq, arena, &sb, &e));
    assert_string_equal(sb.endpoints.v[0].ip, "10.1.0.77");
    assert_string_equal(sb.endpoints.v[0].mac, "02:00:00:00:00:77");
    struct net_sandbox second;
    assert_err(net_sandbox_open(net, &srq, arena, &second, &e), ERR_FORBIDDEN,
               "Address already in use");
    j.ip = "10.9.0.1";
    assert_err(net_sandbox_open(net, &srq, arena, &second, &e), ERR_FORBIDDEN,
               "no configured subnet contains IP address 10.9.0.1");
    j.network = "bridge";
    assert_err(net_sandbox_open(net, &srq, arena, &second, &e), ERR_INVALID,
               "on user defined networks only");
    j.ip = "";
    j.mac = "zz";
    assert_err(net_sandbox_open(net, &srq, arena, &second, &e), ERR_INVALID,
               "invalid MAC address: zz");
    j.network = "gone";
    assert_err(net_sandbox_open(net, &srq, arena, &second, &e), ERR_NOT_FOUND,
               "network gone not found");
    assert_ok(net_sandbox_close(net, sb.id, &e));
    assert_ok(net_remove(net, "n", &e));
    assert_int_equal(count_files(), 2);
}

static void test_connect_and_disconnect(void **state)
{
    static const struct net_publish ports[] = {{"80/tcp", "", "8080"}};
    struct net_create rq = {.name = "aaa", .driver = ""};
    struct net_join j = {.network = "aaa", .gw_priority = 5};
    struct net_network doc;
    struct net_sandbox sb, now;
    int server;

    NEED_KERNEL();
    assert_ok(net_create(net, &rq, arena, &doc, &e));
    sb = make("web", "bridge", ports, 1);
    server = sock_in(sb.key, "0.0.0.0", 80, SOCK_STREAM, true);
    assert_err(net_connect(net, sb.id, &(struct net_join){.network = "none"}, arena, &now, &e),
               ERR_INVALID, "private (none) mode");
    assert_ok(net_connect(net, sb.id, &j, arena, &now, &e));
    assert_int_equal(now.endpoints.n, 2);
    assert_string_equal(now.endpoints.v[1].link, "eth1");
    expect_reach(server, "outside", "198.18.0.1", 8080, "198.18.0.2"); /* through the new network */
    expect_reach(server, "", now.endpoints.v[1].ip, 80, NULL);
    assert_err(net_connect(net, sb.id, &j, arena, &now, &e), ERR_FORBIDDEN,
               "endpoint with name web already exists in network aaa");
    assert_ok(net_disconnect(net, sb.id, "aaa", arena, &now, &e));
    assert_int_equal(now.endpoints.n, 1);
    expect_reach(server, "outside", "198.18.0.1", 8080, "198.18.0.2"); /* and back */
    assert_err(net_disconnect(net, sb.id, "aaa", arena, &now, &e), ERR_FORBIDDEN,
               "is not connected to network aaa");
    assert_ok(net_disconnect(net, sb.id, "bridge", arena, &now, &e));
    expect_closed("outside", "198.18.0.1", 8080);
    assert_ok(net_connect(net, sb.id, &(struct net_join){.network = "bridge"}, arena, &now, &e));
    expect_reach(server, "outside", "198.18.0.1", 8080, "198.18.0.2");
    assert_ok(net_sandbox_close(net, sb.id, &e));
    assert_ok(net_remove(net, "aaa", &e));
    fd_close(server);
}

static void test_none_and_host(void **state)
{
    struct net_join both[] = {{.network = "none"}, {.network = "bridge"}};
    struct net_sandbox_rq rq = {
        .container_id = "c", .container_name = "c", .joins = both, .n_joins = 2};
    struct net_sandbox none, host, out;
    struct nl_links links = {0};

    NEED_KERNEL();
    none = make("n", "none", NULL, 0);
    auto_netns struct netns ns = NETNS_NONE;
    assert_ok(netns_open(none.key, &ns, &e));
    assert_ok(nl_links(ns.nl, &links, &e));
    vec_each(l, &links)
        assert_true(strcmp(l->name, "lo") == 0 || strcmp(l->kind, "ifb") == 0);
    vec_done(&links);
    host = make("h", "host", NULL, 0);
    assert_string_equal(host.key, "");
    assert_int_equal(host.endpoints.n, 1);
    assert_err(net_sandbox_open(net, &rq, arena, &out, &e), ERR_INVALID, "in private (none) mode");
    assert_ok(net_sandbox_close(net, none.id, &e));
    assert_ok(net_sandbox_close(net, host.id, &e));
}

/* dockerd and ufw set the policy of FORWARD to drop: one jump lets ours pass, and goes with us. */
static void foreign_firewall(const char *place)
{
    static const struct net_publish ports[] = {{"80/tcp", "", "8080"}};
    auto_buf struct buf list = BUF_MAX(1 << 20);
    struct net_create rq = {.name = "two", .driver = ""};
    struct net_network doc;
    struct net_sandbox web;
    struct nft *nft;
    int server, out;

    assert_ok(nft_open(&nft, &e));
    assert_ok(nft_run(
        nft,
        "add table ip filter\n"
        "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n"
        "add table ip6 filter\n"
        "add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }\n",
        &e));
    if (strcmp(place, "FORWARD") != 0)
        assert_ok(nft_run(
            nft, "add chain ip filter DOCKER-USER\nadd rule ip filter FORWARD jump DOCKER-USER",
            &e));
    assert_ok(net_create(net, &rq, arena, &doc, &e)); /* a change of networks looks at once */
    web = make("web", "two", ports, 1);
    server = sock_in(web.key, "0.0.0.0", 80, SOCK_STREAM, true);
    out = sock_in("outside", "0.0.0.0", 80, SOCK_STREAM, true);
    expect_reach(server, "outside", "198.18.0.1", 8080, "198.18.0.2");
    expect_reach(out, web.key, "198.18.0.2", 80, "198.18.0.1");
    auto_free char *query = mem_printf("list chain ip filter %s", place);
    assert_ok(nft_query(nft, query, &list, &e));
    assert_non_null(strstr(buf_cstr(&list), "jump HULL-FORWARD"));
    assert_ok(net_sandbox_close(net, web.id, &e));
    assert_ok(net_remove(net, "two", &e));
    net_teardown(net);
    buf_reset(&list);
    assert_ok(nft_query(nft, "list ruleset", &list, &e));
    assert_null(strstr(buf_cstr(&list), "HULL"));
    assert_non_null(strstr(buf_cstr(&list), "policy drop"));
    assert_ok(nft_run(nft, "delete table ip filter\ndelete table ip6 filter", &e));
    nft_close(nft);
    fd_close(server);
    fd_close(out);
}

static void test_foreign_forward(void **state)
{
    NEED_KERNEL();
    foreign_firewall("FORWARD");
}

static void test_foreign_docker_user(void **state)
{
    NEED_KERNEL();
    foreign_firewall("DOCKER-USER");
}

static void *open_and_close(void *arg)
{
    static const struct net_publish ports[] = {{"80/tcp", "", ""}};
    struct net_join j = {.network = "bridge"};
    struct net_sandbox_rq rq = {.container_id = arg,
                                .container_name = arg,
                                .joins = &j,
                                .n_joins = 1,
                                .ports = ports,
                                .n_ports = 1};
    struct arena *a = arena_new();
    struct err err = {0};
    int failed = 0;

    for (int i = 0; i < 10; i++) {
        struct net_sandbox sb;
        struct net_attached *at;
        size_t n;
        if (net_sandbox_open(net, &rq, a, &sb, &err) < 0) {
            print_message("# %s\n", err.msg);
            failed++;
            continue;
        }
        net_attached(net, sb.endpoints.v[0].network_id, a, &at, &n);
        net_sandbox_rename(net, sb.id, "renamed");
        failed += net_sandbox_close(net, sb.id, &err) < 0;
    }
    arena_free(a);
    return failed == 0 ? arg : NULL;
}

static void test_threads(void **state)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t t[4];
    void *result;

    NEED_KERNEL();
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, open_and_close, names[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        assert_int_equal(pthread_join(t[i], &result), 0);
        assert_non_null(result);
    }
    struct net_sandbox sb = make("last", "bridge", NULL, 0); /* everything was given back */
    assert_string_equal(sb.endpoints.v[0].ip, "172.17.0.2");
    assert_ok(net_sandbox_close(net, sb.id, &e));
}

/* A peer that never stops sending must find the next container behind the port, not the last one's
 * address. */
static void test_udp_moves_on(void **state)
{
    static const struct net_publish ports[] = {{"53/udp", "", "5353"}};
    struct net_sandbox first, keep, second;
    int client, server;
    char got[5] = "";

    NEED_KERNEL();
    first = make("first", "bridge", ports, 1);
    server = sock_in(first.key, "0.0.0.0", 53, SOCK_DGRAM, true);
    client = sock_in("outside", "198.18.0.1", 5353, SOCK_DGRAM, false);
    assert_int_equal(send(client, "ping", 4, 0), 4);
    assert_int_equal(recv(server, got, 4, 0), 4);
    assert_ok(net_sandbox_close(net, first.id, &e));
    keep = make("keep", "bridge", NULL, 0); /* gets the address of the first */
    second = make("second", "bridge", ports, 1);
    fd_close(server);
    server = sock_in(second.key, "0.0.0.0", 53, SOCK_DGRAM, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(send(client, "more", 4, 0), 4);
    assert_int_equal(recv(server, got, 4, 0), 4);
    assert_string_equal(got, "more");
    assert_ok(net_sandbox_close(net, keep.id, &e));
    assert_ok(net_sandbox_close(net, second.id, &e));
    fd_close(client);
    fd_close(server);
}

/* A host that was no router must not become one, also after a restart of the daemon; one that was
 * stays one. */
static void test_no_router(void **state)
{
    struct nl_veth side = {.name = "side0", .mtu = 1400, .peer = "eth0"};
    auto_netns struct netns ns = NETNS_NONE;
    struct ip_addr gw = {0, 0};
    struct nl_link l;
    int server;

    NEED_KERNEL();
    net_teardown(net);
    net_close(net);
    assert_ok(netns_new(&ns, &e)); /* a machine on another link of the host */
    auto_free char *file = mem_printf("%s/side", root);
    assert_ok(netns_name(&ns, file, &e));
    side.peer_ns = ns.fd;
    assert_ok(nl_veth_add(nl, &side, &e));
    assert_ok(nl_link_get(ns.nl, "eth0", &l, &e));
    assert_ok(nl_link_up(ns.nl, l.index, &e));
    give_address(nl, "side0", "198.19.0.1/24");
    give_address(ns.nl, "eth0", "198.19.0.2/24");
    assert_true(ip_parse(str_of("198.19.0.1"), &gw));
    assert_ok(nl_route_add(ns.nl, net_of("198.18.0.0/24"), gw, l.index, &e));
    assert_true(ip_parse(str_of("198.18.0.1"), &gw));
    assert_ok(nl_link_get(outside.nl, "eth0", &l, &e));
    assert_ok(nl_route_add(outside.nl, net_of("198.19.0.0/24"), gw, l.index, &e));
    server = sock_in(file, "0.0.0.0", 80, SOCK_STREAM, true);

    assert_int_equal(file_put(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1"), 0);
    open_net(NULL, 0, NULL, 0);
    expect_reach(server, "outside", "198.19.0.2", 80, "198.18.0.2");
    net_teardown(net);
    net_close(net);
    assert_int_equal(file_put(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0"), 0);
    open_net(NULL, 0, NULL, 0);
    expect_no_reach("outside", "198.19.0.2", 80);
    net_close(net);
    open_net(NULL, 0, NULL, 0);
    expect_no_reach("outside", "198.19.0.2", 80);

    assert_ok(nl_link_del(nl, "side0", &e));
    assert_ok(netns_unname(file, &e));
    fd_close(server);
}

/* Beside another engine that has docker0: our own bridge and the next pool. And what the flags say.
 */
static void test_beside_another(void **state)
{
    struct net_opts o = {.exec_root = root, .portd_path = program};
    struct net_network bridge;
    struct nl_addrs addrs = {0};
    struct nl_link l;

    NEED_KERNEL();
    net_teardown(net);
    net_close(net);
    net = NULL;
    assert_ok(nl_bridge_add(nl, "docker0", 0, NULL, NULL, &e));
    give_address(nl, "docker0", "172.17.0.1/16");
    assert_ok(net_open(&o, NULL, 0, NULL, 0, &net, &e));
    assert_ok(net_find(net, "bridge", arena, &bridge, &e));
    assert_string_equal(bridge.bridge, "hull0");
    assert_string_equal(bridge.pools.v[0].subnet, "172.18.0.0/16");
    net_teardown(net);
    net_close(net);
    assert_ok(nl_link_get(nl, "docker0", &l, &e)); /* not ours: it stays */

    o.bip = "10.200.0.9/24";
    o.fixed_cidr = "10.200.0.128/25";
    assert_ok(net_open(&o, NULL, 0, NULL, 0, &net, &e));
    struct net_sandbox sb = make("a", "bridge", NULL, 0);
    assert_string_equal(sb.endpoints.v[0].ip, "10.200.0.128");
    assert_string_equal(sb.endpoints.v[0].gateway, "10.200.0.9");
    assert_string_equal(sb.endpoints.v[0].ip6, "");
    assert_ok(net_sandbox_close(net, sb.id, &e));

    /* the same database with another flag: the default bridge is made anew, the rest stays */
    struct net_network *saved;
    size_t n;
    net_networks(net, arena, &saved, &n);
    net_close(net);
    o.bip = "10.201.0.1/24";
    o.fixed_cidr = NULL;
    assert_ok(net_open(&o, saved, n, NULL, 0, &net, &e));
    assert_ok(net_find(net, "bridge", arena, &bridge, &e));
    assert_string_equal(bridge.pools.v[0].subnet, "10.201.0.0/24");
    assert_ok(nl_link_get(nl, "hull0", &l, &e));
    assert_ok(nl_addrs(nl, &addrs, &e));
    n = 0;
    vec_each(at, &addrs)
        n += at->index == l.index && at->net.addr.family == 4;
    vec_done(&addrs);
    assert_int_equal(n, 1); /* the old address went */
    net_teardown(net);
    net_close(net);

    o.bip = NULL;
    o.bridge = "docker0"; /* the user's own: its address is the gateway, and it is never removed */
    assert_ok(net_open(&o, NULL, 0, NULL, 0, &net, &e));
    assert_ok(net_find(net, "bridge", arena, &bridge, &e));
    assert_string_equal(bridge.pools.v[0].subnet, "172.17.0.0/16");
    net_teardown(net);
    net_close(net);
    o.bridge = "none";
    assert_ok(net_open(&o, NULL, 0, NULL, 0, &net, &e));
    assert_err(net_find(net, "bridge", arena, &bridge, &e), ERR_NOT_FOUND,
               "network bridge not found");
    net_teardown(net);
    net_close(net);
    assert_ok(nl_link_del(nl, "docker0", &e));
    net = NULL;

    o.bridge = "br9";
    assert_err(net_open(&o, NULL, 0, NULL, 0, &net, &e), ERR_INVALID,
               "br9 must be created manually");
    o.bridge = NULL;
    o.bip = "10.0.0.1";
    assert_err(net_open(&o, NULL, 0, NULL, 0, &net, &e), ERR_INVALID,
               "invalid CIDR address: 10.0.0.1");
    o.bip = NULL;
    o.table = "x; flush ruleset";
    assert_err(net_open(&o, NULL, 0, NULL, 0, &net, &e), ERR_INVALID, "invalid name of nft table");
    open_net(NULL, 0, NULL, 0);
}

/* How long the usual things take; printed, and held to limits that only a lock or a wait in the
 * wrong place would break. */
static void test_speed(void **state)
{
    int64_t open_ns = 0, close_ns = 0;
    static const struct net_publish ports[] = {{"80/tcp", "", "8080"}};

    NEED_KERNEL();
    for (int i = 0; i < 20; i++) {
        int64_t t0 = time_mono_ns();
        struct net_sandbox sb = make("fast", "bridge", ports, i % 2 ? 1 : 0);
        int64_t t1 = time_mono_ns();
        assert_string_equal(sb.endpoints.v[0].ip, "172.17.0.2");
        assert_ok(net_sandbox_close(net, sb.id, &e));
        open_ns += t1 - t0;
        close_ns += time_mono_ns() - t1;
    }
    print_message("# sandbox: open %.2f ms, close %.2f ms\n", (double)open_ns / 20e6,
                  (double)close_ns / 20e6);
    assert_true(open_ns / 20 < 200 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_default_networks, begin, end),
        cmocka_unit_test_setup_teardown(test_containers_and_outside, begin, end),
        cmocka_unit_test_setup_teardown(test_published_ports, begin, end),
        cmocka_unit_test_setup_teardown(test_port_conflicts, begin, end),
        cmocka_unit_test_setup_teardown(test_loopback_only_port, begin, end),
        cmocka_unit_test_setup_teardown(test_isolation, begin, end),
        cmocka_unit_test_setup_teardown(test_icc_off, begin, end),
        cmocka_unit_test_setup_teardown(test_create_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_connect_and_disconnect, begin, end),
        cmocka_unit_test_setup_teardown(test_none_and_host, begin, end),
        cmocka_unit_test_setup_teardown(test_foreign_forward, begin, end),
        cmocka_unit_test_setup_teardown(test_foreign_docker_user, begin, end),
        cmocka_unit_test_setup_teardown(test_udp_moves_on, begin, end),
        cmocka_unit_test_setup_teardown(test_no_router, begin, end),
        cmocka_unit_test_setup_teardown(test_beside_another, begin, end),
        cmocka_unit_test_setup_teardown(test_threads, begin, end),
        cmocka_unit_test_setup_teardown(test_speed, begin, end),
    };
    int r;

    program = mem_printf("%s/src/net/hull-portd",
                         getenv("HULL_BUILD_DIR") != NULL ? getenv("HULL_BUILD_DIR") : "build");
    own_ns = in_own_netns() && mkdtemp(root) != NULL;
    r = cmocka_run_group_tests(tests, make_world, NULL);
    netns_done(&outside);
    nl_close(nl);
    arena_free(arena);
    free(program);
    (void)rmdir(root);
    return r;
}
