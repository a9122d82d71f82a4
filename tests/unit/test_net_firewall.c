/* What the packet filter keeps apart, and how ours lives with a firewall of somebody else's. */
#include "net_world.h"

#include <sys/socket.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/nft.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_isolation),
        IN_WORLD(test_icc_off),
        IN_WORLD(test_foreign_forward),
        IN_WORLD(test_foreign_docker_user),
    };
    return cmocka_run_group_tests(tests, world_make, world_end);
}
