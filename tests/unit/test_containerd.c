/* hull-containerd: names of runtimes, greetings of shims, flags and configuration. */
#include "test.h"

#include <sys/stat.h>

#include "containerd/bootstrap.h"
#include "containerd/config.h"

static void programs_of_runtimes(void **state UNUSED)
{
    static const struct {
        const char *runtime, *program; /* NULL: refused */
    } cases[] = {
        {"io.containerd.runc.v2", "containerd-shim-runc-v2"},
        {"io.containerd.hull.v2", "containerd-shim-hull-v2"},
        {"a.b", "containerd-shim-a-b"},
        {"/opt/shim", "/opt/shim"},
        {"runc", NULL},
        {"", NULL},
        {"x.", NULL},
        {".x", NULL},
        {"../../bin/sh.x", NULL},
        {"io.containerd/runc.v2", NULL},
    };
    auto_arena struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        const char *got = NULL;
        int r = runtime_program(cases[i].runtime, a, &got, &e);
        if (cases[i].program == NULL) {
            assert_int_equal(r, -1);
            assert_int_equal(e.kind, ERR_INVALID);
        } else {
            assert_int_equal(r, 0);
            assert_string_equal(got, cases[i].program);
        }
    }
}

static void make_program(const char *path)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void programs_are_found(void **state UNUSED)
{
    auto_arena struct arena *a = arena_new();
    char dir[] = "/tmp/hull-ctd-XXXXXX";
    struct err e = {0};
    const char *got;
    assert_non_null(mkdtemp(dir));
    const char *const dirs[] = {dir, NULL};
    const char *ours = arena_printf(a, "%s/containerd-shim-hull-v2", dir);
    const char *runc = arena_printf(a, "%s/containerd-shim-runc-v2", dir);

    assert_int_equal(runtime_find("io.containerd.nope.v1", "/nowhere::.", dirs, a, &got, &e), -1);
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    assert_string_equal(e.msg, "runtime \"io.containerd.nope.v1\" binary not installed "
                               "\"containerd-shim-nope-v1\": file does not exist");
    make_program(ours);
    assert_int_equal(runtime_find("io.containerd.runc.v2", "/nowhere", dirs, a, &got, &e), 0);
    assert_string_equal(got, ours); /* in the place of runc's, which is not there */
    make_program(runc);
    assert_int_equal(runtime_find("io.containerd.runc.v2", dir, dirs + 1, a, &got, &e), 0);
    assert_string_equal(got, runc);
    assert_int_equal(runtime_find("/does/not/exist", NULL, dirs, a, &got, &e), -1);
    (void)unlink(ours);
    (void)unlink(runc);
    (void)rmdir(dir);
}

static void greetings(void **state UNUSED)
{
    static const struct {
        const char *said;
        size_t n; /* 0: a string */
        const char *address;
        int version; /* 0: refused */
        enum err_kind kind;
    } cases[] = {
        {"unix:///run/s/1\n", 0, "/run/s/1", 2, ERR_NONE},
        {"{\"version\":3,\"address\":\"unix:///a\",\"protocol\":\"ttrpc\"}", 0, "/a", 3, ERR_NONE},
        {"{\"version\":2,\"address\":\"unix:///a\"}", 0, "/a", 2, ERR_NONE},
        {"\x08\x03\x12\x08unix:///\x1a\x05ttrpc", 19, "/", 3, ERR_NONE},
        {"{\"version\":4,\"address\":\"unix:///a\"}", 0, NULL, 0, ERR_UNIMPLEMENTED},
        {"{\"version\":3,\"address\":\"unix:///a\",\"protocol\":\"grpc\"}", 0, NULL, 0,
         ERR_UNIMPLEMENTED},
        {"{\"version\":3}", 0, NULL, 0, ERR_INVALID},
        {"{", 0, NULL, 0, ERR_INVALID},
        {"tcp://1.2.3.4:5", 0, NULL, 0, ERR_INVALID},
        {"", 0, NULL, 0, ERR_INVALID},
        {"\x08", 1, NULL, 0, ERR_INVALID},
    };
    auto_arena struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shim_endpoint ep = {0};
        struct err e = {0};
        size_t n = cases[i].n != 0 ? cases[i].n : strlen(cases[i].said);
        int r = bootstrap_parse(cases[i].said, n, a, &ep, &e);
        assert_int_equal(r, cases[i].version != 0 ? 0 : -1);
        assert_int_equal(e.kind, cases[i].kind);
        if (r == 0) {
            assert_string_equal(ep.address, cases[i].address);
            assert_int_equal(ep.version, cases[i].version);
        }
    }
    const struct shim_endpoint ep = {"/x", 3};
    assert_string_equal(bootstrap_json(&ep, a),
                        "{\"version\":3,\"address\":\"unix:///x\",\"protocol\":\"ttrpc\"}");
}

static void toml(void **state UNUSED)
{
    static const char good[] =
        "version = 2 # of the format\nroot = \"/r \\\"1\\\"\"\nstate = '/s'\noom_score = -999\n"
        "disabled_plugins = [\"cri\",\n  'x', # why\n]\nimports = [ ]\n"
        "[grpc]\n  address = \"/run/c.sock\"\n  uid = 0\n\n[debug]\nlevel = \"debug\"\n"
        "[plugins.\"io.containerd.grpc.v1.cri\"]\n a = { b = 1, c = \"d\" }\nroot = \"/not this\"\n"
        "[[stream]]\nx = 1.5\n";
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"root", "line 1: expected '='"},
        {"\nroot = \"x", "line 2: a string that does not end"},
        {"[grpc\n", "line 1: expected ']'"},
        {"a = 1 b = 2", "line 1: expected the end of the line"},
        {"a = [1, 2", "line 1: a list that does not end"},
        {"a =\n", "line 1: expected a value"},
        {"= 1", "line 1: expected a key"},
        {"a = [[[[[[[[[[[[[[[[[[[[1", "line 1: values nested too deeply"},
    };
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct config c = {.state = "/flag"};
    assert_int_equal(config_parse_toml(good, a, &c, &e), 0);
    assert_string_equal(c.root, "/r \"1\"");
    assert_string_equal(c.state, "/flag"); /* a flag wins */
    assert_string_equal(c.address, "/run/c.sock");
    assert_string_equal(c.log_level, "debug");
    assert_null(c.ttrpc_address);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(config_parse_toml(bad[i].text, a, &c, &e), -1);
        assert_int_equal(e.kind, ERR_INVALID);
        assert_string_equal(e.msg, bad[i].error);
    }
}

static void flags(void **state UNUSED)
{
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct config c;
    const char *good[] = {"c",  "--root=/r", "-a",  "unix:///a", "--state",
                          "/s", "publish",   "--x", NULL};
    const char *unknown[] = {"c", "--nope", NULL}, *lacking[] = {"c", "--root", NULL};
    const char *relative[] = {"c", "--root", "r", NULL};
    assert_int_equal(config_read(8, (char **)(uintptr_t)good, a, &c, &e), 0);
    assert_string_equal(c.root, "/r");
    assert_string_equal(c.address, "/a");
    assert_string_equal(c.ttrpc_address, "/a.ttrpc");
    assert_string_equal(c.rest[0], "publish");
    assert_int_equal(config_read(2, (char **)(uintptr_t)unknown, a, &c, &e), -1);
    assert_string_equal(e.msg, "flag provided but not defined: -nope");
    assert_int_equal(config_read(2, (char **)(uintptr_t)lacking, a, &c, &e), -1);
    assert_string_equal(e.msg, "flag needs an argument: -root");
    assert_int_equal(config_read(3, (char **)(uintptr_t)relative, a, &c, &e), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_of_runtimes),
        cmocka_unit_test(programs_are_found),
        cmocka_unit_test(greetings),
        cmocka_unit_test(toml),
        cmocka_unit_test(flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
