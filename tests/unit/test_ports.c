/* Bindings as text, and which host ports are given out. */
#include "test.h"

#include "ip_text.h"
#include "net/ports.h"

static struct port_ask ask_of(const char *port, const char *ip, const char *host_port)
{
    struct net_publish p = {port, ip, host_port};
    struct port_ask ask = {0};
    struct err e;

    assert_ok(port_ask_parse(&p, &ask, &e));
    return ask;
}

static void test_bindings(void **state)
{
    struct port_ask a = ask_of("80/tcp", "", "8080");

    (void)state;
    assert_int_equal(a.proto, PORT_TCP);
    assert_int_equal(a.port, 80);
    assert_int_equal(a.first, 8080);
    assert_int_equal(a.last, 8080);
    assert_int_equal(a.host_ip.family, 0);
    a = ask_of("53/udp", "[::1]", "");
    assert_int_equal(a.proto, PORT_UDP);
    assert_int_equal(a.first, 0);
    assert_true(ip_eq(a.host_ip, addr_of("::1")));
    a = ask_of("80", "127.0.0.1", "8000-8010");
    assert_int_equal(a.first, 8000);
    assert_int_equal(a.last, 8010);
    assert_int_equal(ask_of("9/sctp", "", "0").proto, PORT_SCTP);
}

static void test_bad_bindings(void **state)
{
    static const struct {
        const char *port, *ip, *host_port, *text;
    } bad[] = {
        {"", "", "", "invalid port specification: \"\""},
        {"80/icmp", "", "", "invalid port specification: \"80/icmp\""},
        {"0/tcp", "", "", "invalid port specification: \"0/tcp\""},
        {"65536/tcp", "", "", "invalid port specification: \"65536/tcp\""},
        {"80/tcp/", "", "", "invalid port specification"},
        {"80/", "", "", "invalid port specification"},
        {"80/tcp", "", "x", "invalid port specification: \"x\""},
        {"80/tcp", "", "70000", "invalid port specification: \"70000\""},
        {"80/tcp", "", "80-", "invalid port specification: \"80-\""},
        {"80/tcp", "", "-80", "invalid port specification: \"-80\""},
        {"80/tcp", "", "90-80", "invalid port specification: \"90-80\""},
        {"80/tcp", "localhost", "80", "invalid IP address: localhost"},
        {"80/tcp", "1.2.3.4.5", "80", "invalid IP address: 1.2.3.4.5"},
    };
    struct port_ask ask;
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct net_publish p = {bad[i].port, bad[i].ip, bad[i].host_port};
        assert_err(port_ask_parse(&p, &ask, &e), ERR_INVALID, bad[i].text);
    }
}

static void test_conflicts(void **state)
{
    struct port_key any = {PORT_TCP, addr_of("0.0.0.0"), 80},
                    lo = {PORT_TCP, addr_of("127.0.0.1"), 80};
    struct port_key any6 = {PORT_TCP, addr_of("::"), 80}, udp = {PORT_UDP, addr_of("0.0.0.0"), 80};
    struct ports t = {0};
    struct err e;

    (void)state;
    assert_ok(ports_take(&t, any, &e));
    assert_err(ports_take(&t, any, &e), ERR_CONFLICT,
               "Bind for 0.0.0.0:80 failed: port is already allocated");
    assert_err(ports_take(&t, lo, &e), ERR_CONFLICT,
               "Bind for 127.0.0.1:80 failed: port is already allocated");
    assert_ok(ports_take(&t, any6, &e));
    assert_err(ports_take(&t, any6, &e), ERR_CONFLICT,
               "Bind for [::]:80 failed: port is already allocated");
    assert_ok(ports_take(&t, udp, &e));
    ports_release(&t, lo); /* not taken: nothing happens */
    assert_true(ports_busy(&t, lo));
    ports_release(&t, any);
    assert_ok(ports_take(&t, lo, &e));
    assert_err(ports_take(&t, any, &e), ERR_CONFLICT, "Bind for 0.0.0.0:80 failed");
    ports_done(&t);
}

static void test_range_picks_first_free(void **state)
{
    struct ip_addr both[2] = {addr_of("0.0.0.0"), addr_of("::")};
    struct port_ask ask = ask_of("80/tcp", "", "8000-8002");
    struct ports t = {0};
    unsigned tried = 0;
    uint16_t port = 0;
    struct err e;

    (void)state;
    assert_ok(ports_take(&t, (struct port_key){PORT_TCP, both[1], 8000},
                         &e)); /* taken in one family only */
    assert_ok(ports_pick(&t, &ask, both, 2, &tried, &port, &e));
    assert_int_equal(port, 8001);
    assert_ok(
        ports_pick(&t, &ask, both, 2, &tried, &port, &e)); /* the kernel refused 8001: the next */
    assert_int_equal(port, 8002);
    assert_err(ports_pick(&t, &ask, both, 2, &tried, &port, &e), ERR_CONFLICT,
               "all ports are allocated");
    assert_false(
        ports_busy(&t, (struct port_key){PORT_TCP, both[0], 8000})); /* nothing half taken */
    ports_done(&t);
}

static void test_ephemeral(void **state)
{
    struct ip_addr any = addr_of("0.0.0.0");
    struct port_ask ask = ask_of("80/tcp", "", "");
    struct ports t = {0};
    uint16_t port = 0;
    struct err e;

    (void)state;
    ports_range(&t, "40000\t40005\n", "40001,40003-40004\n");
    static const uint16_t want[] = {40000, 40002, 40005};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        unsigned tried = 0;
        assert_ok(ports_pick(&t, &ask, &any, 1, &tried, &port, &e));
        assert_int_equal(port, want[i]);
    }
    unsigned tried = 0;
    assert_err(ports_pick(&t, &ask, &any, 1, &tried, &port, &e), ERR_CONFLICT,
               "all ports are allocated");
    ports_release(&t, (struct port_key){PORT_TCP, any, 40002});
    ports_release(&t, (struct port_key){PORT_TCP, any, 40005});
    tried = 0;
    assert_ok(ports_pick(&t, &ask, &any, 1, &tried, &port,
                         &e)); /* next after the last given out, round the end */
    assert_int_equal(port, 40002);
    ports_range(&t, "", "");
    assert_int_equal(t.first, 49153);
    assert_int_equal(t.last, 65535);
    ports_range(&t, "60000 50000", "");
    assert_int_equal(t.first, 49153);
    ports_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bindings),  cmocka_unit_test(test_bad_bindings),
        cmocka_unit_test(test_conflicts), cmocka_unit_test(test_range_picks_first_free),
        cmocka_unit_test(test_ephemeral),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
