/* Which hosts serve a registry: files of containerd and of Docker, and none. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "registry/hosts.h"
#include "sys/fd.h"
#include "sys/path.h"

static char dir[64];

static int setup(void **state UNUSED)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/hull-test-hosts-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
    struct err e;
    auto_fd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return path_remove_tree(tmp, dir + 5, &e);
}

static void put(const char *sub, const char *name, const char *text)
{
    struct err e = {0};
    auto_free char *path = mem_printf("%s/%s", dir, sub);
    assert_ok(path_mkdirs(path, 0755, &e));
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(file_replace(fd, name, text, strlen(text), 0644, &e));
}

static void describe(const struct registry_host *h, struct buf *b)
{
    buf_printf(b, "%s%s%s%s%s%s%s%s%s|", h->base, h->origin ? "" : " mirror",
               (h->can & HOST_PULL) != 0 ? "" : " -pull",
               (h->can & HOST_RESOLVE) != 0 ? "" : " -resolve",
               (h->can & HOST_PUSH) != 0 ? "" : " -push", h->insecure ? " insecure" : "",
               h->ca != NULL ? " ca=" : "", h->ca != NULL ? h->ca : "",
               h->cert_file != NULL ? " client" : "");
    if (h->connect_ms != 0)
        buf_printf(b, " %dms", h->connect_ms);
    vec_each(x, &h->headers)
        buf_printf(b, " [%s]", *x);
}

static void check(const char *domain, const struct registry_opts *o, const char *expected)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(4096);
    struct registry_hosts hosts = {0};
    struct err e = {0};
    assert_ok(registry_hosts_find(domain, o, a, &hosts, &e));
    for (size_t i = 0; i < hosts.n; i++)
        describe(&hosts.v[i], &b);
    for (char *c = b.p; c != NULL && *c != '\0'; c++)
        *c = *c == '\n' ? '.' : *c;
    assert_string_equal(buf_cstr(&b), expected);
}

static void test_no_files(void **state UNUSED)
{
    const struct registry_opts none = {0}, plain = {.plain_http = true}, empty = {.host_dir = dir};
    check("docker.io", &none, "https://registry-1.docker.io/v2|");
    check("r.example:5000", &empty, "https://r.example:5000/v2|");
    check("r.example", &plain, "http://r.example/v2|");
    static const char both[] =
        "https://127.0.0.1:5000/v2 insecure|http://127.0.0.1:5000/v2 insecure|";
    check("127.0.0.1:5000", &none, both);
    check("127.0.0.1:5000", &plain, "http://127.0.0.1:5000/v2|");
    check("[::1]:5000", &none, "https://[::1]:5000/v2 insecure|http://[::1]:5000/v2 insecure|");
    check("127.0.0.1.example", &none, "https://127.0.0.1.example/v2|");
}

static void test_hosts_toml(void **state UNUSED)
{
    const struct registry_opts o = {.host_dir = dir};
    put("docker.io", "m.pem", "PEM");
    put("docker.io", "hosts.toml",
        "server = \"https://hub.example\"\n"
        "[host.\"https://m1.example:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        "  ca = \"m.pem\"\n  client = [[\"c.pem\", \"k.pem\"]]\n"
        "[host.\"https://m1.example:5000\".header]\n  x-a = \"1\"\n"
        "[host.\"http://m2.example/proxy/v2/\"]\n  override_path = true\n"
        "  dial_timeout = \"1.5s\"\n"
        "[host.\"http://m3.example\"]\n  skip_verify = true\n  capabilities = [\"pull\"]\n");
    check("docker.io", &o,
          "https://m1.example:5000/v2 mirror -push ca=PEM. client| [x-a: 1]"
          "http://m2.example/proxy/v2 mirror| 1500ms"
          "https://m3.example/v2 mirror -resolve -push insecure|"
          "http://m3.example/v2 mirror -resolve -push insecure|https://hub.example/v2|");
    put("_default", "hosts.toml", "[host.\"https://all.example\"]\n");
    check("x.example", &o, "https://all.example/v2 mirror|https://x.example/v2|");
    put("x.example_5000_", "hosts.toml", "server = \"http://x.example:5000\"\n");
    check("x.example:5000", &o, "http://x.example:5000/v2|");
}

static void test_bad_files(void **state UNUSED)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"server = ", "hosts.toml: line 1: expected a value"},
        {"[host.\"https://a\"]\ncapabilities = [\"fly\"]", "unknown capability \"fly\""},
        {"skip_verify = \"yes\"", "skip_verify: expected true or false"},
        {"[host.\"https:///\"]", "invalid registry host"},
        {"ca = \"none.pem\"", "certificate authority"},
        {"dial_timeout = \"soon\"", "dial_timeout: invalid duration \"soon\""},
    };
    const struct registry_opts o = {.host_dir = dir};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_arena struct arena *a = arena_new();
        struct registry_hosts hosts = {0};
        struct err e = {0};
        put("bad", "hosts.toml", cases[i].text);
        assert_int_equal(registry_hosts_find("bad", &o, a, &hosts, &e), -1);
        if (strstr(e.msg, cases[i].error) == NULL)
            fail_msg("%s: %s", cases[i].text, e.msg);
    }
}

static void test_docker_directory(void **state UNUSED)
{
    const struct registry_opts o = {.host_dir = dir};
    auto_arena struct arena *a = arena_new();
    struct registry_hosts hosts = {0};
    struct err e = {0};
    put("r.example:5000", "ca.crt", "CA");
    put("r.example:5000", "client.cert", "C");
    assert_err(registry_hosts_find("r.example:5000", &o, a, &hosts, &e), ERR_INVALID,
               "missing key client.key for client certificate client.cert. CA certificates must "
               "use the extension .crt");
    put("r.example:5000", "client.key", "K");
    check("r.example:5000", &o, "https://r.example:5000/v2 ca=CA. client|");
    put("k.example", "x.key", "K");
    assert_err(registry_hosts_find("k.example", &o, a, &hosts, &e), ERR_INVALID,
               "missing client certificate x.cert for key x.key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts_toml, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_docker_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
