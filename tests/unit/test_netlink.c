/* Addresses as values, netlink messages as bytes, and links, addresses and routes in namespaces of
 * our own. */
#include "test.h"
#include "ip_text.h"
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sys/netlink_msg.h"
#include "sys/netns.h"
#include "sys/path.h"

static bool own_ns;

static void test_addr_text(void **state)
{
    static const char *const good[] = {
        "0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "fe80::1", "2001:db8::ff:0:1"};
    static const char *const bad[] = {
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "fe80::1%eth0", "::1::", "1.2.3.4 ", "a.b.c.d"};
    char text[IP_TEXT_MAX];
    struct ip_addr a;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_string_equal(ip_format(addr_of(good[i]), text), good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(ip_parse(str_of(bad[i]), &a));
}

static void test_prefixes(void **state)
{
    static const char *const bad[] = {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
                                      "::/129",   "/8",        "10.0.0.0/8/8"};
    char text[IP_TEXT_MAX];
    struct ip_net n;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(ip_net_parse(str_of(bad[i]), &n));
    assert_string_equal(ip_net_format(net_of("172.17.5.9/16"), text), "172.17.5.9/16");
    assert_string_equal(ip_net_format(ip_net_base(net_of("172.17.5.9/16")), text), "172.17.0.0/16");
    assert_string_equal(ip_format(ip_net_last(net_of("172.17.5.9/16")), text), "172.17.255.255");
    assert_string_equal(ip_format(ip_net_last(net_of("0.0.0.0/0")), text), "255.255.255.255");
    assert_string_equal(ip_format(ip_net_last(net_of("fd00::/120")), text), "fd00::ff");
    assert_true(ip_net_has(net_of("172.17.0.0/16"), addr_of("172.17.200.1")));
    assert_false(ip_net_has(net_of("172.17.0.0/16"), addr_of("172.18.0.1")));
    assert_false(ip_net_has(net_of("0.0.0.0/0"), addr_of("::1")));
    assert_true(ip_net_has(net_of("::/0"), addr_of("fe80::1")));
    assert_true(ip_net_overlaps(net_of("10.0.0.0/8"), net_of("10.9.0.0/16")));
    assert_true(ip_net_overlaps(net_of("10.9.0.0/16"), net_of("10.0.0.0/8")));
    assert_false(ip_net_overlaps(net_of("10.9.0.0/16"), net_of("10.10.0.0/16")));
}

static void test_mac(void **state)
{
    char text[MAC_TEXT_MAX];
    uint8_t mac[6];

    (void)state;
    assert_true(mac_parse(str_of("02:42:AC-11:00:fe"), mac));
    mac_format(mac, text);
    assert_string_equal(text, "02:42:ac:11:00:fe");
    assert_false(mac_parse(str_of("02:42:ac:11:00"), mac));
    assert_false(mac_parse(str_of("02:42:ac:11:00:0g"), mac));
    assert_false(mac_parse(str_of("02.42.ac.11.00.00"), mac));
}

static void test_sockaddr(void **state)
{
    struct sockaddr_storage sa;
    uint16_t port;

    (void)state;
    assert_int_equal(ip_to_sockaddr(addr_of("10.0.0.1"), 80, &sa), 16);
    assert_true(ip_eq(ip_of_sockaddr(&sa, &port), addr_of("10.0.0.1")));
    assert_int_equal(port, 80);
    assert_int_equal(ip_to_sockaddr(addr_of("fd00::1"), 443, &sa), 28);
    assert_true(ip_eq(ip_of_sockaddr(&sa, &port), addr_of("fd00::1")));
    assert_int_equal(port, 443);
}

/* ---- messages ---- */

static void test_veth_message(void **state)
{
    static const uint8_t mac[6] = {2, 0x42, 1, 2, 3, 4};
    struct nl_veth v = {
        .name = "veth0a", .master = 7, .mtu = 1400, .peer = "eth0", .mac = mac, .peer_ns = 9};
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    const struct nlmsghdr *h = nl_msg_veth(buf, &v);
    struct nl_link read;

    (void)state;
    assert_int_equal(h->nlmsg_type, RTM_NEWLINK);
    assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    assert_true(h->nlmsg_len <= NL_REQUEST_MAX);
    assert_true(nl_read_link(h, &read)); /* what we write we can read */
    assert_string_equal(read.name, "veth0a");
    assert_string_equal(read.kind, "veth");
    assert_int_equal(read.master, 7);
    assert_int_equal(read.mtu, 1400);
    assert_true(read.flags & IFF_UP);
}

static void test_addr_and_route_messages(void **state)
{
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4)));
    struct nl_route route;
    struct nl_addr addr;

    (void)state;
    assert_true(nl_read_addr(nl_msg_addr(buf, RTM_NEWADDR, 3, net_of("172.17.0.2/16")), &addr));
    assert_int_equal(addr.index, 3);
    assert_int_equal(addr.net.bits, 16);
    assert_true(ip_eq(addr.net.addr, addr_of("172.17.0.2")));
    assert_true(nl_read_route(
        nl_msg_route(buf, RTM_NEWROUTE, net_of("0.0.0.0/0"), addr_of("172.17.0.1"), 3), &route));
    assert_int_equal(route.dst.bits, 0);
    assert_int_equal(route.dst.addr.family, 4);
    assert_true(ip_eq(route.gateway, addr_of("172.17.0.1")));
    assert_true(nl_read_route(
        nl_msg_route(buf, RTM_NEWROUTE, net_of("fd01::/64"), (struct ip_addr){0}, 4), &route));
    assert_int_equal(route.gateway.family, 0);
    assert_int_equal(route.index, 4);
    assert_false(nl_read_addr(
        nl_msg_route(buf, RTM_NEWROUTE, net_of("fd01::/64"), (struct ip_addr){0}, 4), &addr));
}

/* Every prefix of a good message, and messages with wrong inner lengths, must be refused or read
 * without touching more. */
static void test_broken_messages(void **state)
{
    struct nl_veth v = {.name = "veth0a", .peer = "eth0", .peer_ns = -1};
    char buf[NL_REQUEST_MAX] __attribute__((aligned(4))), text[64];
    struct nlmsghdr *h = nl_msg_veth(buf, &v);
    uint32_t whole = h->nlmsg_len;
    struct nl_link link;

    (void)state;
    for (uint32_t n = sizeof(*h); n < whole; n++) {
        struct nlmsghdr *copy = mem_dup(h, n);
        copy->nlmsg_len = n;
        (void)nl_read_link(copy, &link);
        assert_int_equal(nl_read_error(copy, text, sizeof(text)), -EBADMSG);
        free(copy);
    }
}

static void test_error_message(void **state)
{
    char buf[256] __attribute__((aligned(4))), text[16];
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
    struct nlmsgerr *err;

    (void)state;
    h->nlmsg_type = NLMSG_ERROR;
    h->nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
    err = mnl_nlmsg_put_extra_header(h, sizeof(*err));
    err->error = -EINVAL;
    mnl_attr_put_strz(h, NLMSGERR_ATTR_MSG, "Invalid prefix for given length");
    assert_int_equal(nl_read_error(h, text, sizeof(text)), -EINVAL);
    assert_string_equal(text, "Invalid prefix ");
    err->error = 5;
    assert_int_equal(nl_read_error(h, text, sizeof(text)), -EBADMSG);
}

/* ---- the kernel ---- */

static void test_bridge_and_veth(void **state)
{
    static const uint8_t mac[6] = {2, 0x42, 0, 0, 0, 5};
    struct nl_veth v = {.name = "v0", .mtu = 1400, .isolated = true, .peer = "eth0", .mac = mac};
    auto_netns struct netns ns = NETNS_NONE;
    struct nl_routes routes = {0};
    struct nl_addrs addrs = {0};
    struct nl_link link;
    struct nl *nl;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    assert_ok(nl_open(&nl, &e));
    assert_ok(nl_bridge_add(nl, "br0", 1400, mac, "ours", &e));
    assert_err(nl_bridge_add(nl, "br0", 0, NULL, NULL, &e), ERR_EXISTS, "add bridge br0");
    assert_ok(nl_link_get(nl, "br0", &link, &e));
    assert_string_equal(link.kind, "bridge");
    assert_string_equal(link.alias, "ours");
    assert_memory_equal(link.mac, mac, 6);
    assert_ok(nl_link_up(nl, link.index, &e));
    assert_ok(nl_addr_add(nl, link.index, net_of("172.30.0.1/16"), &e));
    assert_ok(nl_addr_add(nl, link.index, net_of("172.30.0.1/16"), &e));

    assert_ok(netns_new(&ns, &e));
    v.master = link.index;
    v.peer_ns = ns.fd;
    assert_ok(nl_veth_add(nl, &v, &e));
    assert_err(nl_veth_add(nl, &v, &e), ERR_EXISTS, "add veth v0");
    assert_ok(nl_link_get(nl, "v0", &link, &e));
    assert_int_equal(link.master, v.master);
    assert_ok(nl_link_get(ns.nl, "eth0", &link, &e));
    assert_memory_equal(link.mac, mac, 6);
    assert_int_equal(link.mtu, 1400);
    assert_ok(nl_link_up(ns.nl, link.index, &e));
    assert_ok(nl_addr_add(ns.nl, link.index, net_of("172.30.0.2/16"), &e));
    assert_ok(nl_route_add(ns.nl, net_of("0.0.0.0/0"), addr_of("172.30.0.1"), link.index, &e));
    assert_err(nl_route_add(ns.nl, net_of("10.0.0.0/8"), addr_of("10.9.9.9"), link.index, &e),
               ERR_INTERNAL, "gateway");
    assert_ok(nl_routes(ns.nl, &routes, &e));
    assert_int_equal(routes.n, 2);
    assert_ok(nl_addrs(ns.nl, &addrs, &e));
    assert_int_equal(addrs.n, 3); /* 127.0.0.1, ::1, ours: links to come have no IPv6 */
    assert_ok(nl_link_del(nl, "v0", &e));
    assert_ok(nl_link_del(nl, "v0", &e));
    assert_err(nl_link_get(nl, "v0", &link, &e), ERR_NOT_FOUND, "link v0");
    assert_err(nl_link_get(nl, "a-name-that-is-too-long", &link, &e), ERR_INVALID,
               "invalid link name");
    vec_done(&routes);
    vec_done(&addrs);
    nl_close(nl);
}

static void test_named_namespace(void **state)
{
    auto_netns struct netns ns = NETNS_NONE, again = NETNS_NONE;
    char dir[] = "/tmp/hull-netns-XXXXXX";
    struct nl_link link;
    struct stat a, b;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    assert_non_null(mkdtemp(dir));
    auto_free char *path = mem_printf("%s/one", dir);
    assert_err(netns_open(path, &again, &e), ERR_NOT_FOUND, "no network namespace at");
    assert_ok(netns_new(&ns, &e));
    assert_ok(netns_name(&ns, path, &e));
    assert_err(netns_name(&ns, path, &e), ERR_EXISTS, "exists");
    assert_ok(netns_open(path, &again, &e));
    assert_int_equal(fstat(ns.fd, &a), 0);
    assert_int_equal(fstat(again.fd, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_ok(nl_link_get(again.nl, "lo", &link, &e));
    assert_true(link.flags & IFF_UP);
    assert_ok(netns_sysctl(again.fd, "net/ipv4/ip_forward", "1", &e));
    assert_err(netns_sysctl(again.fd, "net/ipv4/no_such_thing", "1", &e), ERR_INTERNAL,
               "no_such_thing");
    assert_ok(netns_unname(path, &e));
    assert_ok(netns_unname(path, &e));
    assert_int_equal(rmdir(dir), 0);
}

static void test_pool(void **state)
{
    struct netns_pool *p = netns_pool_new(2, NULL);
    struct stat st[4];
    struct err e;

    (void)state;
    if (!own_ns) {
        netns_pool_free(p);
        skip();
    }
    for (size_t i = 0; i < 4; i++) {
        auto_netns struct netns ns = NETNS_NONE;
        assert_ok(netns_pool_take(p, &ns, &e));
        assert_int_equal(fstat(ns.fd, &st[i]), 0);
        assert_non_null(ns.nl);
    }
    netns_pool_free(p);
    p = netns_pool_new(0, NULL);
    auto_netns struct netns ns = NETNS_NONE;
    assert_ok(netns_pool_take(p, &ns, &e));
    netns_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addr_text),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_mac),
        cmocka_unit_test(test_sockaddr),
        cmocka_unit_test(test_veth_message),
        cmocka_unit_test(test_addr_and_route_messages),
        cmocka_unit_test(test_broken_messages),
        cmocka_unit_test(test_error_message),
        cmocka_unit_test(test_bridge_and_veth),
        cmocka_unit_test(test_named_namespace),
        cmocka_unit_test(test_pool),
    };

    own_ns = in_own_netns();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
