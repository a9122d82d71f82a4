/* Published ports on a real kernel: from everywhere a client may be, conflicts, addresses, moves.
 */
#include "net_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/nft.h"
#include "sys/path.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_published_ports),
        IN_WORLD(test_port_conflicts),
        IN_WORLD(test_loopback_only_port),
        IN_WORLD(test_udp_moves_on),
    };
    return cmocka_run_group_tests(tests, world_make, world_end);
}
