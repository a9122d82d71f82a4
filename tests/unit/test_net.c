/* Networks and sandboxes on a real kernel: addresses, who reaches whom, joins, a host that is no
 * router, another engine beside us. */
#include "net_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_default_networks), IN_WORLD(test_containers_and_outside),
        IN_WORLD(test_create_refusals),  IN_WORLD(test_connect_and_disconnect),
        IN_WORLD(test_none_and_host),    IN_WORLD(test_no_router),
        IN_WORLD(test_beside_another),   IN_WORLD(test_threads),
    };
    return cmocka_run_group_tests(tests, world_make, world_end);
}
