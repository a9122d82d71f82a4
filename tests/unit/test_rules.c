/* The packet filter's text, and that nft takes it: in a namespace of our own. */
#include "test.h"
#include "ip_text.h"
#include "netns.h"

#include "net/rules.h"
#include "sys/nft.h"

static bool own_ns;

static void expect_port(const char *ip, const char *to, const char *want)
{
    struct rule_port p = {{PORT_TCP, addr_of(ip), 8080}, addr_of(to), 80};
    struct buf out = BUF_MAX(4096);

    rules_port("hull", "add", &p, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_done(&out);
}

static void test_port_text(void **state)
{
    (void)state;
    expect_port("0.0.0.0", "172.17.0.2",
                "add element inet hull any4 { tcp . 8080 : 172.17.0.2 . 80 }\n");
    expect_port("127.0.0.1", "172.17.0.2",
                "add element inet hull addr4 { tcp . 127.0.0.1 . 8080 : 172.17.0.2 . 80 }\n");
    expect_port("::", "fd00::2", "add element inet hull any6 { tcp . 8080 : fd00::2 . 80 }\n");
    expect_port("fd01::1", "fd00::2",
                "add element inet hull addr6 { tcp . fd01::1 . 8080 : fd00::2 . 80 }\n");
}

static void test_net_text(void **state)
{
    struct rule_net plain = {"docker0", net_of("172.17.0.0/16"), net_of("fd00::/64"), true, false,
                             false};
    struct rule_net closed = {"br-1", net_of("172.18.0.0/16"), {{0, 0}, 0}, true, true, true};
    struct buf out = BUF_MAX(4096);

    (void)state;
    rules_net("hull", "delete", &plain, &out);
    assert_string_equal(buf_cstr(&out),
                        "delete element inet hull bridges { \"docker0\" }\n"
                        "delete element inet hull talk { \"docker0\" . \"docker0\" }\n"
                        "delete element inet hull hair4 { 172.17.0.0/16 . 172.17.0.0/16 }\n"
                        "delete element inet hull nets4 { 172.17.0.0/16 }\n"
                        "delete element inet hull hair6 { fd00::/64 . fd00::/64 }\n"
                        "delete element inet hull nets6 { fd00::/64 }\n");
    buf_reset(&out);
    rules_net("hull", "add", &closed, &out);
    assert_string_equal(buf_cstr(&out), "add element inet hull bridges { \"br-1\" }\n"
                                        "add element inet hull internal { \"br-1\" }\n");
    buf_done(&out);
}

/* All of it through libnftables: whole, changed by elements, whole again, gone. */
static void test_nft_takes_it(void **state)
{
    struct rule_net nets[] = {
        {"docker0", net_of("172.17.0.0/16"), net_of("fd00::/64"), true, false, false},
        {"br-1", net_of("172.18.0.0/16"), {{0, 0}, 0}, true, true, true}};
    struct rule_port ports[] = {{{PORT_TCP, addr_of("0.0.0.0"), 8080}, addr_of("172.17.0.2"), 80},
                                {{PORT_UDP, addr_of("127.0.0.1"), 53}, addr_of("172.17.0.2"), 53},
                                {{PORT_TCP, addr_of("::"), 8080}, addr_of("fd00::2"), 80},
                                {{PORT_SCTP, addr_of("fd01::1"), 9}, addr_of("fd00::2"), 9}};
    struct buf text = BUF_MAX(1 << 20), list = BUF_MAX(1 << 20);
    struct nft *nft;
    struct err e;

    (void)state;
    if (!own_ns)
        skip();
    assert_ok(nft_open(&nft, &e));
    for (int i = 0; i < 2; i++) {
        buf_reset(&text);
        rules_all("hull_test", (struct rule_stop){true, i == 1}, nets, 2, ports, 4, &text);
        assert_false(text.over);
        assert_ok(nft_run(nft, buf_cstr(&text), &e));
    }
    assert_ok(nft_query(nft, "list table inet hull_test", &list, &e));
    assert_non_null(strstr(buf_cstr(&list), "6 . 8080 : 172.17.0.2 . 80"));
    buf_reset(&list);
    assert_ok(nft_query(nft, "list chain inet hull_test others", &list, &e));
    struct rule_stop stop = rules_stop_of(buf_cstr(&list));
    assert_true(stop.ip4 && stop.ip6);
    for (size_t i = 0; i < 4; i++) {
        buf_reset(&text);
        rules_port("hull_test", "delete", &ports[i], &text);
        assert_ok(nft_run(nft, buf_cstr(&text), &e));
        assert_err(nft_run(nft, buf_cstr(&text), &e), ERR_NOT_FOUND, "nftables: ");
        buf_reset(&text);
        rules_port("hull_test", "add", &ports[i], &text);
        assert_ok(nft_run(nft, buf_cstr(&text), &e));
    }
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&text);
        rules_net("hull_test", "delete", &nets[i], &text);
        assert_ok(nft_run(nft, buf_cstr(&text), &e));
    }
    buf_reset(&text);
    rules_none("hull_test", &text);
    assert_ok(nft_run(nft, buf_cstr(&text), &e));
    assert_ok(nft_run(nft, buf_cstr(&text), &e));
    buf_reset(&list);
    assert_ok(nft_query(nft, "list ruleset", &list, &e));
    assert_string_equal(buf_cstr(&list), "");
    assert_err(nft_run(nft, "add elephant", &e), ERR_INTERNAL, "syntax error");
    buf_done(&text);
    buf_done(&list);
    nft_close(nft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_text),
        cmocka_unit_test(test_net_text),
        cmocka_unit_test(test_nft_takes_it),
    };

    own_ns = in_own_netns();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
