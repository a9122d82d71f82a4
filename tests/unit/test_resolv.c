/* resolv.conf and hosts of containers: text in, text out. */
#include "test.h"

#include "base/str.h"
#include "net/resolv.h"

#define LOCALHOST                                                   \
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "           \
    "ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\n" \
    "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

/* A list from words with blanks between. */
static struct strv words(const char *text)
{
    struct str s = str_of(text);
    struct strv l = {0};

    while (s.n > 0)
        vec_push(&l, str_dup(str_cut(&s, ' ')));
    return l;
}

static void expect(const char *host, const struct resolv_opts *o, const char *want)
{
    struct buf out = BUF_MAX(RESOLV_TEXT_MAX);

    resolv_write(host, strlen(host), o, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_done(&out);
}

static void test_host_servers(void **state)
{
    const struct resolv_opts plain = {0}, v6 = {.ipv6 = true}, own = {.internal = true};

    (void)state;
    expect("nameserver 10.0.0.1\nsearch a.b c.d\noptions ndots:2 timeout:1\n", &plain,
           "nameserver 10.0.0.1\nsearch a.b c.d\noptions ndots:2 timeout:1\n");
    expect(
        "# comment\n; other\nnameserver 127.0.0.53\n nameserver\t10.0.0.1\t# x\r\nnameserver ::1\n",
        &plain, "nameserver 10.0.0.1\n");
    expect("nameserver fd00::53\nnameserver 10.0.0.1\n", &plain, "nameserver 10.0.0.1\n");
    expect("nameserver fd00::53\nnameserver fe80::1%eth0\n", &v6, "nameserver fd00::53\n");
    expect("nameserver 127.0.0.1\n", &plain, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    expect("", &v6,
           "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver "
           "2001:4860:4860::8844\n");
    expect("nameserver 127.0.0.1", &own, "");
    expect("domain one\nsearch two three\n", &own, "search two three\n");
    expect("nameserver\nnameserver x y\nsearch\noptions\nbogus line\n\0\n", &own, "");
}

static void test_given(void **state)
{
    auto_strv struct strv s = words("127.0.0.1 1.1.1.1"), d = words("corp"), dot = words("."),
                          o = words("ndots:5");
    struct resolv_opts all = {.servers = &s, .search = &d, .options = &o},
                       no_search = {.search = &dot};

    (void)state;
    expect("nameserver 10.0.0.1\nsearch x\noptions y\n", &all,
           "nameserver 127.0.0.1\nnameserver 1.1.1.1\nsearch corp\noptions ndots:5\n");
    expect("nameserver 10.0.0.1\nsearch x\n", &no_search, "nameserver 10.0.0.1\n");
}

static void test_check_server(void **state)
{
    struct err e;

    (void)state;
    assert_ok(resolv_check_server("8.8.8.8", &e));
    assert_ok(resolv_check_server("fd00::1", &e));
    assert_err(resolv_check_server("dns.example", &e), ERR_INVALID,
               "ip address is not correctly formatted: \"dns.example\"");
    assert_err(resolv_check_server("8.8.8.8\nnameserver 1.1.1.1", &e), ERR_INVALID,
               "not correctly formatted");
}

static void test_hosts(void **state)
{
    struct hosts_line own[] = {{"172.17.0.2", "web"}, {"fd00::2", "web"}};
    auto_strv struct strv extra =
        words("db:10.0.0.5 v6=[fd00::9] six:fd00::8 host.docker.internal:host-gateway");
    struct buf out = BUF_MAX(4096);
    struct err e;

    (void)state;
    assert_ok(hosts_write(own, 2, &extra, "172.17.0.1", &out, &e));
    assert_string_equal(buf_cstr(&out),
                        LOCALHOST "10.0.0.5\tdb\nfd00::9\tv6\nfd00::8\tsix\n172.17.0.1\thost."
                                  "docker.internal\n172.17.0.2\tweb\nfd00::2\tweb\n");
    assert_err(hosts_write(own, 2, &extra, "", &out, &e), ERR_INVALID, "host-gateway");
    buf_done(&out);
}

static void test_bad_extra(void **state)
{
    static const char *const bad[] = {
        "", "db", "db:", ":1.2.3.4", "a b:1.2.3.4", "db:1.2.3.4\n6.6.6.6 evil"};
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(hosts_check_extra(bad[i], &e), ERR_INVALID, "bad format for add-host");
    assert_err(hosts_check_extra("db:1.2.3", &e), ERR_INVALID,
               "invalid IP address in add-host: \"1.2.3\"");
    assert_ok(hosts_check_extra("gw:host-gateway", &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_servers), cmocka_unit_test(test_given),
        cmocka_unit_test(test_check_server), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_bad_extra),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
