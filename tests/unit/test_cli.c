/* The client's small languages: flags, sizes, ports, mounts, tables, human-readable texts. */
#include "test.h"

#include "base/mem.h"
#include "base/time.h"
#include "cli/container_opts.h"
#include "cli/human.h"
#include "cli/table.h"

struct opts {
    bool all, tty;
    const char *name;
    struct strv env;
    int64_t count, memory, cpus, wait;
    int64_t *limit;
};

#define OPT(name, letter, kind, member)                                    \
    {                                                                      \
        name, letter, FLAG_##kind, offsetof(struct opts, member), NULL, "" \
    }
static const struct flag table[] = {
    OPT("all", 'a', BOOL, all),      OPT("tty", 't', BOOL, tty),
    OPT("name", 'n', STR, name),     OPT("env", 'e', LIST, env),
    OPT("count", 0, INT, count),     OPT("memory", 'm', BYTES, memory),
    OPT("cpus", 0, CPUS, cpus),      OPT("wait", 'w', DUR, wait),
    OPT("limit", 0, OPT_INT, limit), {"later", 0, FLAG_MISSING, 0, NULL, NULL},
};
static const struct flag_set set = FLAGS(table);

struct parsed {
    struct arena *arena;
    struct opts o;
    struct strv args, given;
    bool help;
};

static int parse(struct parsed *p, bool stop, struct err *e, const char *line)
{
    char *words[32], *save = NULL;
    int n = 0;
    *p = (struct parsed){.arena = arena_new()};
    char *copy = arena_strdup(p->arena, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    return flags_parse(&set, &p->o, stop, n, words, p->arena, &p->args, &p->given, &p->help, e);
}

static void flags_are_read_as_docker_reads_them(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    assert_ok(
        parse(&p, false, &e,
              "-at --name=x -e A=1 img -eB=2 --memory 64m --cpus 1.5 -w 1m30s --limit -1 -- -n"));
    assert_true(p.o.all && p.o.tty);
    assert_string_equal(p.o.name, "x");
    assert_int_equal(p.o.env.n, 2);
    assert_string_equal(p.o.env.v[1], "B=2");
    assert_int_equal(p.o.memory, 64 << 20);
    assert_int_equal(p.o.cpus, 1500000000);
    assert_int_equal(p.o.wait, 90 * NS_PER_S);
    assert_int_equal(*p.o.limit, -1);
    assert_int_equal(p.args.n, 2);
    assert_string_equal(p.args.v[1], "-n");
    assert_true(strv_has(&p.given, "name") && !strv_has(&p.given, "count"));
    arena_free(p.arena);

    assert_ok(parse(&p, true, &e, "--tty=false img -a"));
    assert_false(p.o.tty || p.o.all);
    assert_int_equal(p.args.n, 2);
    arena_free(p.arena);
}

static void bad_flags_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *line, *msg;
    } cases[] = {
        {"--foo", "unknown flag: --foo"},
        {"-az", "unknown shorthand flag: 'z' in -az"},
        {"--name", "flag needs an argument: --name"},
        {"-n", "flag needs an argument: 'n' in -n"},
        {"--count x", "invalid argument \"x\" for \"--count\" flag: strconv.ParseInt"},
        {"-m 5q", "invalid argument \"5q\" for \"-m, --memory\" flag: invalid size: '5q'"},
        {"--all=maybe", "strconv.ParseBool"},
        {"-w 5", "time: invalid duration"},
        {"--cpus 1.x", "as a rational number"},
        {"--later", "not supported by hull yet"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct parsed p;
        assert_int_equal(parse(&p, false, &e, cases[i].line), -1);
        if (strstr(e.msg, cases[i].msg) == NULL)
            fail_msg("%s: %s", cases[i].line, e.msg);
        arena_free(p.arena);
    }
}

static void ports_become_bindings(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *first; /* "port=ip:host" of the first binding, or "!" and an error */
        size_t n;
    } cases[] = {
        {"80", "80/tcp=:", 1},
        {"8080:80", "80/tcp=:8080", 1},
        {"127.0.0.1:8080:80/udp", "80/udp=127.0.0.1:8080", 1},
        {"[::1]:53:53/udp", "53/udp=::1:53", 1},
        {"127.0.0.1::80", "80/tcp=127.0.0.1:", 1},
        {"8000-8002:80-82", "80/tcp=:8000", 3},
        {"8000-8010:80", "80/tcp=:8000-8010", 1},
        {"80-81:80-82", "!invalid ranges", 0},
        {"x:80", "!invalid hostPort: x", 0},
        {"70000", "!invalid containerPort: 70000", 0},
        {"80/xyz", "!invalid proto: xyz", 0},
        {"8080:", "!no port specified", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct cli cli = {.arena = arena_new()};
        struct container_create c = {.host = ARENA_NEW(cli.arena, struct host_config)};
        int rc = port_spec_add(&cli, cases[i].spec, &c, &e);
        if (cases[i].first[0] == '!') {
            assert_int_equal(rc, -1);
            assert_non_null(strstr(e.msg, cases[i].first + 1));
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(c.host->port_bindings.n, cases[i].n);
            const struct port_binding *b = &c.host->port_bindings.v[0].val.v[0];
            const char *got = arena_printf(cli.arena, "%s=%s:%s", c.host->port_bindings.v[0].key,
                                           b->host_ip, b->host_port);
            assert_string_equal(got, cases[i].first);
            assert_int_equal(c.config.exposed_ports.n, cases[i].n);
        }
        arena_free(cli.arena);
    }
}

static void mounts_are_parsed(void **state)
{
    (void)state;
    struct err e = {0};
    struct cli cli = {.arena = arena_new()};
    struct mount_spec m;
    assert_ok(mount_spec_parse(&cli, "type=bind,src=/a,dst=/b,ro,bind-propagation=rslave", &m, &e));
    assert_string_equal(m.type, "bind");
    assert_true(m.read_only);
    assert_string_equal(m.bind->propagation, "rslave");
    assert_ok(mount_spec_parse(&cli, "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770", &m, &e));
    assert_int_equal(m.tmpfs->size_bytes, 1 << 20);
    assert_int_equal(m.tmpfs->mode, 01770);
    assert_ok(mount_spec_parse(&cli, "source=v,target=/v,volume-label=a=b", &m, &e));
    assert_string_equal(m.type, "volume");
    assert_err(mount_spec_parse(&cli, "type=bind,src=/a", &m, &e), ERR_INVALID,
               "target is required");
    assert_err(mount_spec_parse(&cli, "type=bind,dst=/a,nope=1", &m, &e), ERR_INVALID,
               "unexpected key 'nope'");
    assert_err(mount_spec_parse(&cli, "type=bind,dst=/a,tmpfs-size=1", &m, &e), ERR_INVALID,
               "cannot mix");
    arena_free(cli.arena);
}

static void people_read_these(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    static const struct {
        int64_t s;
        const char *text;
    } spans[] = {{0, "Less than a second"}, {1, "1 second"},         {59, "59 seconds"},
                 {60, "About a minute"},    {600, "10 minutes"},     {3600, "About an hour"},
                 {7200, "2 hours"},         {86400 * 3, "3 days"},   {86400 * 20, "2 weeks"},
                 {86400 * 90, "3 months"},  {86400 * 800, "2 years"}};
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        assert_string_equal(human_duration(a, spans[i].s * NS_PER_S), spans[i].text);
    assert_string_equal(human_size(a, 1980000, 3), "1.98MB");
    assert_string_equal(human_size(a, 0, 3), "0B");
    assert_string_equal(human_bytes(a, 1536), "1.5KiB");
    assert_string_equal(ellipsis(a, "abcdef", 4), "abc\xe2\x80\xa6");
    assert_string_equal(ellipsis(a, "\xc3\xa4\xc3\xb6\xc3\xbc", 3), "\xc3\xa4\xc3\xb6\xc3\xbc");
    assert_string_equal(go_quote(a, "a \"b\"\n"), "\"a \\\"b\\\"\\n\"");
    assert_string_equal(short_id(a, "sha256:0123456789abcdef", false), "0123456789ab");
    assert_string_equal(familiar_name(a, "docker.io/library/busybox"), "busybox");
    assert_true(natural_compare("x2", "x10") < 0 && natural_compare("a", "b") < 0 &&
                natural_compare("x10", "x10") == 0);
    auto_buf struct buf out = BUF_MAX(1000);
    tab_layout("A\tB\tC\nlonger cell\tx\tlast\n", 10, &out);
    assert_string_equal(buf_cstr(&out),
                        "A             B         C\nlonger cell   x         last\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_read_as_docker_reads_them),
        cmocka_unit_test(bad_flags_say_what_is_wrong),
        cmocka_unit_test(ports_become_bindings),
        cmocka_unit_test(mounts_are_parsed),
        cmocka_unit_test(people_read_these),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
