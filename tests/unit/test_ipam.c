/* Which subnet and which addresses are given out. */
#include "test.h"

#include "ip_text.h"
#include "net/ipam.h"

static void expect_take(struct ipam *p, const char *want)
{
    char text[IP_TEXT_MAX];
    struct ip_addr a = {0};
    struct err e;

    assert_ok(ipam_take(p, &a, &e));
    assert_string_equal(ip_format(a, text), want);
}

static void test_lowest_free(void **state)
{
    struct ipam *p = ipam_new(net_of("172.17.0.0/16"), net_of(""));
    struct err e;

    (void)state;
    assert_ok(ipam_take_this(p, addr_of("172.17.0.1"), &e));
    expect_take(p, "172.17.0.2");
    expect_take(p, "172.17.0.3");
    assert_ok(ipam_take_this(p, addr_of("172.17.0.5"), &e));
    expect_take(p, "172.17.0.4");
    expect_take(p, "172.17.0.6");
    ipam_release(p, addr_of("172.17.0.3"));
    ipam_release(p, addr_of("172.17.0.3"));
    ipam_release(p, addr_of("fd00::1"));
    expect_take(p, "172.17.0.3");
    assert_int_equal(ipam_taken(p), 6);
    ipam_free(p);
}

static void test_refusals(void **state)
{
    struct ipam *p = ipam_new(net_of("10.1.0.0/30"), net_of(""));
    struct ip_addr a;
    struct err e;

    (void)state;
    assert_err(ipam_take_this(p, addr_of("10.1.0.0"), &e), ERR_FORBIDDEN,
               "no configured subnet contains IP address 10.1.0.0");
    assert_err(ipam_take_this(p, addr_of("10.1.0.3"), &e), ERR_FORBIDDEN, "no configured subnet");
    assert_err(ipam_take_this(p, addr_of("::1"), &e), ERR_FORBIDDEN, "no configured subnet");
    assert_ok(ipam_take_this(p, addr_of("10.1.0.2"), &e));
    assert_err(ipam_take_this(p, addr_of("10.1.0.2"), &e), ERR_FORBIDDEN, "Address already in use");
    expect_take(p, "10.1.0.1");
    assert_err(ipam_take(p, &a, &e), ERR_FORBIDDEN,
               "no available IPv4 addresses on this network's address pools");
    ipam_free(p);
}

static void test_range(void **state)
{
    struct ipam *p = ipam_new(net_of("10.0.0.0/8"), net_of("10.5.5.0/30"));
    struct ip_addr a;
    struct err e;

    (void)state;
    expect_take(p, "10.5.5.0");
    expect_take(p, "10.5.5.1");
    expect_take(p, "10.5.5.2");
    expect_take(p, "10.5.5.3");
    assert_err(ipam_take(p, &a, &e), ERR_FORBIDDEN, "no available IPv4 addresses");
    assert_ok(ipam_take_this(p, addr_of("10.200.0.1"), &e)); /* a wish may lie outside the range */
    ipam_free(p);
}

static void test_small_and_v6(void **state)
{
    struct ipam *p = ipam_new(net_of("10.0.0.4/31"), net_of(""));
    struct ip_addr a;
    struct err e;

    (void)state;
    expect_take(p, "10.0.0.4");
    expect_take(p, "10.0.0.5");
    assert_err(ipam_take(p, &a, &e), ERR_FORBIDDEN, "no available IPv4");
    ipam_free(p);
    p = ipam_new(net_of("fd00:1::/64"), net_of(""));
    expect_take(p, "fd00:1::1");
    expect_take(p, "fd00:1::2");
    ipam_free(p);
    p = ipam_new(net_of("::/0"), net_of("")); /* no overflow at the ends */
    expect_take(p, "::1");
    ipam_free(p);
    p = ipam_new(net_of("255.255.255.254/31"), net_of(""));
    expect_take(p, "255.255.255.254");
    expect_take(p, "255.255.255.255");
    assert_err(ipam_take(p, &a, &e), ERR_FORBIDDEN, "no available IPv4");
    ipam_free(p);
}

static void test_full_and_gaps(void **state)
{
    struct ipam *p = ipam_new(net_of("10.0.0.0/24"), net_of(""));
    struct ip_addr a = {0};
    struct err e;

    (void)state;
    for (int i = 0; i < 254; i++)
        assert_ok(ipam_take(p, &a, &e));
    assert_err(ipam_take(p, &a, &e), ERR_FORBIDDEN, "no available IPv4");
    ipam_release(p, addr_of("10.0.0.254"));
    expect_take(p, "10.0.0.254");
    ipam_release(p, addr_of("10.0.0.100"));
    ipam_release(p, addr_of("10.0.0.7"));
    expect_take(p, "10.0.0.7");
    expect_take(p, "10.0.0.100");
    ipam_free(p);
}

static void expect_choice(const struct ip_net *used, size_t n, const char *want)
{
    char text[IP_TEXT_MAX];
    struct ip_net out = {0};
    struct err e;

    assert_ok(ipam_choose(ipam_default_pools, ipam_default_pools_n, used, n, &out, &e));
    assert_string_equal(ip_net_format(out, text), want);
}

static void test_choose(void **state)
{
    struct ip_net used[3] = {net_of("172.17.0.0/16"), net_of("172.18.4.0/24"),
                             net_of("172.19.0.0/15")};
    struct ip_net all[2] = {net_of("172.16.0.0/12"), net_of("192.168.0.0/18")};
    struct ip_net everything[1] = {net_of("0.0.0.0/1")};
    static const struct net_base_pool one[] = {{"10.9.0.0/30", 31}};
    struct ip_net out;
    struct err e;

    (void)state;
    expect_choice(used, 0, "172.17.0.0/16");
    expect_choice(used, 1, "172.18.0.0/16");
    expect_choice(used, 2, "172.19.0.0/16");
    expect_choice(used, 3, "172.20.0.0/16");
    expect_choice(all, 1, "192.168.0.0/20");
    expect_choice(all, 2, "192.168.64.0/20");
    used[0] = net_of("10.9.0.0/31");
    used[1] = net_of("10.9.0.2/31");
    assert_err(ipam_choose(one, 1, used, 2, &out, &e), ERR_FORBIDDEN,
               "all predefined address pools have been fully subnetted");
    everything[0] = net_of("0.0.0.0/0");
    assert_err(ipam_choose(ipam_default_pools, ipam_default_pools_n, everything, 1, &out, &e),
               ERR_FORBIDDEN, "fully subnetted");
}

static void test_pools_checked(void **state)
{
    static const struct net_base_pool bad[] = {
        {"10.0.0.0", 24}, {"10.0.0.0/16", 8}, {"10.0.0.0/16", 33}, {"x/8", 9}};
    struct err e;

    (void)state;
    assert_ok(ipam_check_pools(ipam_default_pools, ipam_default_pools_n, &e));
    assert_err(ipam_check_pools(&bad[0], 1, &e), ERR_INVALID, "invalid CIDR address: 10.0.0.0");
    assert_err(ipam_check_pools(&bad[1], 1, &e), ERR_INVALID, "invalid pools size: 8");
    assert_err(ipam_check_pools(&bad[2], 1, &e), ERR_INVALID, "invalid pools size: 33");
    assert_err(ipam_check_pools(&bad[3], 1, &e), ERR_INVALID, "invalid CIDR");
}

static void test_ula(void **state)
{
    char text[IP_TEXT_MAX];

    (void)state;
    assert_string_equal(ip_net_format(ipam_ula("0123456789abcdef00"), text),
                        "fd01:2345:6789:abcd::/64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lowest_free),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_range),         cmocka_unit_test(test_small_and_v6),
        cmocka_unit_test(test_full_and_gaps), cmocka_unit_test(test_choose),
        cmocka_unit_test(test_pools_checked), cmocka_unit_test(test_ula),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
