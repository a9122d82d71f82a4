/* The engine's rules that need no daemon: names, users, filters, keys, mounts, checks, the
 * database, stats. */
#include "test.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/caps.h"
#include "engine/config.h"
#include "engine/core.h"
#include "engine/filters.h"
#include "engine/log_options.h"
#include "engine/names.h"
#include "engine/pump.h"
#include "engine/rootfs.h"
#include "engine/state.h"
#include "engine/stats_int.h"
#include "engine/summary.h"
#include "engine/user.h"

static struct err e;

/* ---- names ---- */

static void test_names(void **unused)
{
    static const char *const good[] = {"ab", "/web", "a1", "0.x", "web_1.2-3"};
    static const char *const bad[] = {"",    "/",   "a",    "-ab", ".ab", "_ab",
                                      "a b", "a/b", "//ab", "é1",  "ab\n"};
    char id[65], name[64], other[65];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_ok(name_check(good[i], &e));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(name_check(bad[i], &e), ERR_INVALID,
                   "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    assert_ok(id_generate(id, &e));
    assert_ok(id_generate(other, &e));
    assert_int_equal(strlen(id), 64);
    assert_int_equal(strspn(id, "0123456789abcdef"), 64);
    assert_string_not_equal(id, other);
    for (int i = 0; i < 50; i++) {
        name_generate(i, name);
        assert_ok(name_check(name, &e));
        assert_non_null(strchr(name, '_'));
    }
}

static void test_signals(void **unused)
{
    (void)unused;
    assert_int_equal(signal_parse("TERM"), 15);
    assert_int_equal(signal_parse("sigkill"), 9);
    assert_int_equal(signal_parse("SIGUSR1"), 10);
    assert_int_equal(signal_parse("2"), 2);
    assert_int_equal(signal_parse("RTMIN+3"), 37);
    assert_int_equal(signal_parse("SIGRTMAX"), 64);
    assert_int_equal(signal_parse("0"), 0);
    assert_int_equal(signal_parse("65"), 0);
    assert_int_equal(signal_parse("NOPE"), 0);
    assert_int_equal(signal_parse(""), 0);
}

/* ---- users ---- */

#define PASSWD                              \
    "root:x:0:0:root:/root:/bin/sh\n"       \
    "broken line\n"                         \
    "www:x:33:34:web:/var/www:/bin/false\n" \
    "1000:x:7:8:a name that is a number:/n:/bin/sh"
#define GROUP "root:x:0:\nadm:x:4:root,www\nwww:x:34:\nmail:x:8:www\n"

static int resolve(const char *user, struct arena *a, struct oci_user *u)
{
    const char *home;

    return user_resolve(user, str_of(PASSWD), str_of(GROUP), NULL, a, u, &home, &e);
}

static void test_users(void **unused)
{
    auto_arena struct arena *a = arena_new();
    const char *home;
    struct oci_user u;

    (void)unused;
    assert_ok(user_resolve("", str_of(PASSWD), str_of(GROUP), NULL, a, &u, &home, &e));
    assert_int_equal(u.uid, 0);
    assert_string_equal(home, "/root");
    assert_int_equal(u.additional_gids.n, 2);
    assert_int_equal(u.additional_gids.v[0], 4);
    assert_ok(resolve("www", a, &u));
    assert_int_equal(u.uid, 33);
    assert_int_equal(u.gid, 34);
    assert_int_equal(u.additional_gids.n, 3); /* adm, mail and its own */
    assert_ok(resolve("www:adm", a, &u));
    assert_int_equal(u.gid, 4);
    assert_int_equal(u.additional_gids.n, 1); /* an explicit group takes the place of all others */
    assert_ok(resolve("4242:99", a, &u));
    assert_int_equal(u.uid, 4242);
    assert_int_equal(u.gid, 99);
    assert_ok(resolve("1000", a, &u));
    assert_int_equal(u.uid, 7); /* names come before numbers */
    assert_err(resolve("nobody", a, &u), ERR_INVALID,
               "unable to find user nobody: no matching entries in passwd file");
    assert_err(resolve("www:none", a, &u), ERR_INVALID, "unable to find group none");
    assert_err(resolve("-1", a, &u), ERR_INVALID, "unable to find user -1");
    assert_err(resolve("99999999999", a, &u), ERR_INVALID, "unable to find user");
    assert_ok(user_resolve("", str_of(""), str_of(""), NULL, a, &u, &home, &e));
    assert_int_equal(u.uid, 0);
}

/* ---- filters ---- */

static void test_filters(void **unused)
{
    static const char *const accepted[] = {"label", "label!", "name", "dangling", "until", NULL};
    auto_arena struct arena *a = arena_new();
    struct filters f;
    struct strmap labels = {0};
    int64_t until;
    bool given, value;

    (void)unused;
    strmap_set(&labels, a, "a", "1");
    strmap_set(&labels, a, "b", "2");
    assert_ok(filters_parse(NULL, accepted, a, &f, &e));
    assert_true(filters_match_labels(&f, &labels));
    assert_ok(filters_parse("{\"label\":{\"a\":true,\"b=2\":true}}", accepted, a, &f, &e));
    assert_true(filters_match_labels(&f, &labels));
    assert_ok(filters_parse("{\"label\":[\"a\",\"b=3\"]}", accepted, a, &f, &e));
    assert_false(filters_match_labels(&f, &labels));
    assert_ok(filters_parse("{\"label!\":[\"a=1\",\"c\"]}", accepted, a, &f, &e));
    assert_true(filters_match_labels(&f, &labels)); /* excluded only when all hold */
    assert_ok(filters_parse("{\"label!\":[\"a=1\"]}", accepted, a, &f, &e));
    assert_false(filters_match_labels(&f, &labels));
    assert_ok(filters_parse("{\"name\":[\"we\"]}", accepted, a, &f, &e));
    assert_true(filters_match_name(&f, "name", "web"));
    assert_ok(filters_parse("{\"name\":[\"^eb\"]}", accepted, a, &f, &e));
    assert_false(filters_match_name(&f, "name", "web"));
    assert_ok(filters_parse("{\"dangling\":[\"1\"]}", accepted, a, &f, &e));
    assert_ok(filters_bool(&f, "dangling", &given, &value, &e));
    assert_true(given && value);
    assert_ok(filters_parse("{\"dangling\":{\"0\":true,\"1\":true}}", accepted, a, &f, &e));
    assert_err(filters_bool(&f, "dangling", &given, &value, &e), ERR_INVALID,
               "invalid filter 'dangling=[0 1]'");
    assert_ok(filters_parse("{\"until\":[\"1700000000.5\"]}", accepted, a, &f, &e));
    assert_ok(filters_until(&f, &until, &e));
    assert_int_equal(until, 1700000000500000000LL);
    assert_err(filters_parse("{\"x\":[\"1\"]}", accepted, a, &f, &e), ERR_INVALID,
               "invalid filter 'x'");
    assert_err(filters_parse("[", accepted, a, &f, &e), ERR_INVALID, "invalid filter");
    assert_err(filters_parse("[1]", accepted, a, &f, &e), ERR_INVALID, "invalid filter");
    assert_err(filters_parse("{\"name\":5}", accepted, a, &f, &e), ERR_INVALID, "invalid filter");
    assert_err(filters_parse("{\"name\":[5]}", accepted, a, &f, &e), ERR_INVALID, "invalid filter");
}

/* ---- detach keys ---- */

static void test_detach_keys(void **unused)
{
    struct detach_keys k;
    unsigned char out[64];
    bool detached;

    (void)unused;
    assert_ok(detach_keys_parse(NULL, &k, &e));
    assert_int_equal(detach_keys_filter(&k, (const unsigned char *)"ab\x10", 3, out, &detached), 2);
    assert_false(detached); /* the first key is held back ... */
    assert_int_equal(detach_keys_filter(&k, (const unsigned char *)"x", 1, out, &detached), 2);
    assert_memory_equal(out, "\x10x", 2); /* ... and comes when it was none */
    assert_int_equal(
        detach_keys_filter(&k, (const unsigned char *)"a\x10\x10\x11z", 5, out, &detached), 2);
    assert_true(detached);
    assert_memory_equal(out, "a\x10", 2);
    assert_ok(detach_keys_parse("a,ctrl-c,ctrl-[", &k, &e));
    assert_memory_equal(k.seq, "a\x03\x1b", 3);
    assert_err(detach_keys_parse("ctrl-", &k, &e), ERR_INVALID,
               "Invalid detach keys (ctrl-) provided");
    assert_err(detach_keys_parse("ctrl-pp", &k, &e), ERR_INVALID, "Invalid detach keys");
    assert_err(detach_keys_parse("a,,b", &k, &e), ERR_INVALID, "Invalid detach keys");
}

/* ---- configuration ---- */

static void test_merge(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct container_config user = {0}, image = {0};
    struct strv args;

    (void)unused;
    image.user = "www";
    image.working_dir = "/srv";
    vec_push_in(a, &image.cmd, (char *)"image-cmd");
    vec_push_in(a, &image.entrypoint, (char *)"/entry");
    vec_push_in(a, &image.env, (char *)"A=image");
    vec_push_in(a, &image.env, (char *)"B=image");
    vec_push_in(a, &user.env, (char *)"A=user");
    strmap_set(&image.labels, a, "l", "image");
    strmap_set(&user.labels, a, "l", "user");
    config_merge(&user, &image, a);
    assert_string_equal(user.user, "www");
    assert_int_equal(user.env.n, 2);
    assert_string_equal(user.env.v[0], "A=user");
    assert_string_equal(user.env.v[1], "B=image");
    assert_string_equal(strmap_get(&user.labels, "l"), "user");
    assert_ok(config_args(&user, a, &args, &e));
    assert_int_equal(args.n, 2);
    assert_string_equal(args.v[1], "image-cmd");
    /* an entrypoint of one's own drops the image's command; [""] resets it */
    user = (struct container_config){0};
    vec_push_in(a, &user.entrypoint, (char *)"");
    config_merge(&user, &image, a);
    assert_err(config_args(&user, a, &args, &e), ERR_INVALID, "no command specified");
    /* a command of one's own keeps the image's entrypoint */
    user = (struct container_config){0};
    vec_push_in(a, &user.cmd, (char *)"mine");
    config_merge(&user, &image, a);
    assert_ok(config_args(&user, a, &args, &e));
    assert_string_equal(args.v[0], "/entry");
    assert_string_equal(args.v[1], "mine");
}

static const struct {
    const char *json, *error; /* error NULL: it is fine */
} checks[] = {
    {"{}", NULL},
    {"{\"HostConfig\":{\"Memory\":4194304}}", "Minimum memory limit allowed is 6MB"},
    {"{\"HostConfig\":{\"Memory\":8388608,\"MemorySwap\":7340032}}", "Minimum memoryswap limit"},
    {"{\"HostConfig\":{\"MemorySwap\":8388608}}", "You should always set the Memory limit"},
    {"{\"HostConfig\":{\"NanoCpus\":999000000000000}}", "range of CPUs is from 0.01 to"},
    {"{\"HostConfig\":{\"NanoCpus\":1,\"CpuPeriod\":5000}}",
     "Conflicting options: Nano CPUs and CPU Period"},
    {"{\"HostConfig\":{\"CpuPeriod\":10}}", "CPU cfs period"},
    {"{\"HostConfig\":{\"BlkioWeight\":5}}", "Range of blkio weight is from 10 to 1000"},
    {"{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"sometimes\"}}}",
     "invalid restart policy: unknown policy 'sometimes'"},
    {"{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":2}}}",
     "maximum retry count can only be used with 'on-failure'"},
    {"{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"always\"},\"AutoRemove\":true}}",
     "can't create 'AutoRemove' container with restart policy"},
    {"{\"HostConfig\":{\"OomScoreAdj\":1001}}", "range for oom score adj is [-1000, 1000]"},
    {"{\"HostConfig\":{\"CapAdd\":[\"NOPE\"]}}",
     "invalid CapAdd: unknown capability: \"CAP_NOPE\""},
    {"{\"HostConfig\":{\"SecurityOpt\":[\"nonsense\"]}}", "invalid --security-opt 1: \"nonsense\""},
    {"{\"HostConfig\":{\"LogConfig\":{\"Type\":\"nope\"}}}",
     "no log driver named 'nope' is registered"},
    {"{\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{\"x\":\"1\"}}}}",
     "unknown log opt 'x' for json-file log driver"},
    {"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"mode\":\"foo\"}}}}",
     "logger: logging mode not supported: foo"},
    {"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"max-buffer-size\":\"1k\"}}}}",
     "logger: max-buffer-size option is only supported with 'mode=non-blocking'"},
    {"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"mode\":\"non-blocking\","
     "\"max-buffer-size\":\"abc\"}}}}",
     "error parsing option max-buffer-size: invalid size: 'abc'"},
    {"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"mode\":\"non-blocking\","
     "\"max-buffer-size\":\"4m\"}}}}",
     NULL},
    {"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"cache-disabled\":\"foo\"}}}}",
     "invalid value for option cache-disabled: foo"},
    {"{\"HostConfig\":{\"NetworkMode\":\"container:\"}}",
     "invalid container format container:<name|id>"},
    {"{\"Hostname\":\"h\",\"HostConfig\":{\"UTSMode\":\"host\"}}",
     "conflicting options: hostname and the UTS mode"},
    {"{\"HostConfig\":{\"IpcMode\":\"strange\"}}", "invalid IPC mode: strange"},
    {"{\"HostConfig\":{\"PidMode\":\"strange\"}}", "invalid PID mode: strange"},
    {"{\"WorkingDir\":\"relative\"}",
     "the working directory 'relative' is invalid, it needs to be an absolute path"},
    {"{\"StopSignal\":\"SIGNOPE\"}", "invalid signal: SIGNOPE"},
    {"{\"Env\":[\"=x\"]}", "invalid environment variable: =x"},
};

/* ---- log options, with what dockerd 28 answers ---- */

static void test_log_options(void **unused)
{
    static const struct {
        const char *config, *attrs, *error; /* attrs, unless it fails */
    } cases[] = {
        {"{}", NULL, NULL},
        {"{\"labels\":\"nope\",\"tag\":\"\"}", NULL, NULL},
        {"{\"tag\":\"plain\",\"labels\":\"a,b\",\"labels-regex\":\"^x\",\"env\":\"E,Q\","
         "\"env-regex\":\"^Z\"}",
         "{\"E\":\"5\",\"Z1\":\"\",\"a\":\"1\",\"tag\":\"plain\",\"xa\":\"2\",\"xb\":\"3\"}", NULL},
        {"{\"tag\":\"{{.ID}}|{{.FullID}}|{{.Name}}|{{.ImageID}}|{{.ImageName}}|{{.Command}}|"
         "{{.DaemonName}}\"}",
         "{\"tag\":\"0123456789ab|0123456789abcdef|web|sha256:d3ca4|busybox|sh -c echo "
         "\\u003eb|docker\"}",
         NULL},
        {"{\"tag\":\"{{.ContainerName}}|{{.ContainerArgs}}|{{index .ContainerLabels \\\"a\\\"}}\"}",
         "{\"tag\":\"/web|[-c echo \\u003eb]|1\"}", NULL},
        {"{\"tag\":\"{{.Nope}}\"}", NULL, "failed to initialize logging driver: template: "},
        {"{\"tag\":\"{{\"}", NULL, "unclosed action"},
        {"{\"labels-regex\":\"(\"}", NULL, "error parsing regexp: missing closing ): `(`"},
        {"{\"env-regex\":\"[\"}", NULL, "error parsing regexp: missing closing ]: `[`"},
        {"{\"max-size\":\"abc\"}", NULL, "invalid size: 'abc'"},
        {"{\"max-size\":\"-1\"}", NULL, "invalid size: '-1'"},
        {"{\"max-size\":\"0\"}", NULL, "max-size must be a positive number"},
        {"{\"max-file\":\"0\"}", NULL, "max-file cannot be less than 1"},
        {"{\"max-file\":\"x\"}", NULL, "strconv.Atoi: parsing \"x\": invalid syntax"},
        {"{\"compress\":\"true\",\"max-size\":\"1m\"}", NULL,
         "compress cannot be true when max-file is less than 2 or max-size is not set"},
        {"{\"compress\":\"maybe\",\"max-size\":\"1m\",\"max-file\":\"3\"}", NULL,
         "strconv.ParseBool: parsing \"maybe\": invalid syntax"},
    };
    static const char record[] =
        "{\"Id\":\"0123456789abcdef\",\"Name\":\"web\",\"ImageID\":\"sha256:d3ca4a1a3eb0\","
        "\"Args\":[\"sh\",\"-c\",\"echo >b\"],\"LogPath\":\"/l\","
        "\"Config\":{\"Image\":\"busybox\",\"Env\":[\"E=5\",\"Z1=\",\"A=1\"],"
        "\"Labels\":{\"a\":\"1\",\"xa\":\"2\",\"xb\":\"3\",\"c\":\"4\"}},"
        "\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\",\"Config\":%s}}}";

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_arena struct arena *a = arena_new();
        const char *text = arena_printf(a, record, cases[i].config);
        struct log_uri u = LOG_URI_DEFAULT;
        struct container_record rec;

        assert_ok(json_parse(&container_record_json, &rec, text, strlen(text), a, &e));
        if (cases[i].error != NULL) {
            assert_err(log_options_read(&rec, a, &u, &e), ERR_INVALID, cases[i].error);
            continue;
        }
        assert_ok(log_options_read(&rec, a, &u, &e));
        assert_string_equal(u.path, "/l");
        if (cases[i].attrs == NULL)
            assert_null(u.attrs);
        else
            assert_string_equal(u.attrs, cases[i].attrs);
    }
}

static void test_checks(void **unused)
{
    const struct engine_opts o = {
        .default_runtime = "hull", .log_driver = "json-file", .shm_bytes = 64 << 20};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        auto_arena struct arena *a = arena_new();
        struct strv warnings = {0};
        struct container_create doc;
        struct host_config host = {0};

        assert_ok(json_parse(&container_create_json, &doc, checks[i].json, strlen(checks[i].json),
                             a, &e));
        if (doc.host != NULL)
            host = *doc.host;
        host_config_defaults(&host, &o, false, a);
        if (checks[i].error == NULL)
            assert_ok(config_check(&doc.config, &host, a, &warnings, &e));
        else
            assert_err(config_check(&doc.config, &host, a, &warnings, &e), ERR_INVALID,
                       checks[i].error);
    }
}

static void test_defaults(void **unused)
{
    auto_arena struct arena *a = arena_new();
    const struct engine_opts o = {
        .default_runtime = "hull", .log_driver = "json-file", .shm_bytes = 64 << 20};
    struct host_config h = {.privileged = true};

    (void)unused;
    h.resources.memory_bytes = 8 << 20;
    host_config_defaults(&h, &o, false, a);
    assert_string_equal(h.restart.name, "no");
    assert_string_equal(h.network_mode, "bridge");
    assert_string_equal(h.ipc_mode, "private");
    assert_string_equal(h.cgroupns_mode, "host");
    assert_int_equal(h.resources.memory_swap, 16 << 20);
    assert_int_equal(h.shm_size_bytes, 64 << 20);
    assert_true(strv_has(&h.security_opt, "label=disable"));
}

static int resolve_mounts(const char *json, struct arena *a, struct container_record *r)
{
    struct container_create doc;

    *r = (struct container_record){0};
    TRY(json_parse(&container_create_json, &doc, json, strlen(json), a, &e));
    if (doc.host != NULL)
        r->host = *doc.host;
    return mounts_resolve(&doc.config, &r->host, a, r, &e);
}

static void test_mounts(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct container_record r;

    (void)unused;
    assert_ok(resolve_mounts("{\"Volumes\":{\"/anon\":{},\"/data\":{}},\"HostConfig\":{\"Binds\":"
                             "[\"vol:/data/../data:ro\",\"/no/such/:/mnt:z,rshared\"]}}",
                             a, &r));
    assert_int_equal(r.mounts.n, 3);
    assert_string_equal(r.mounts.v[0].type, "volume");
    assert_string_equal(r.mounts.v[0].target, "/data");
    assert_false(r.mounts.v[0].rw);
    assert_string_equal(r.mounts.v[1].source, "/no/such");
    assert_string_equal(r.mounts.v[1].propagation, "rshared");
    assert_true(r.mounts.v[1].create_source);
    assert_true(r.mounts.v[2].anonymous);
    assert_string_equal(r.mounts.v[2].target, "/anon");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Binds\":[\"v1:/\"]}}", a, &r), ERR_INVALID,
               "destination can't be '/'");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Binds\":[\"v1:/a\",\"v2:/a/\"]}}", a, &r),
               ERR_INVALID, "Duplicate mount point: /a");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Binds\":[\"v1:a\"]}}", a, &r), ERR_INVALID,
               "invalid volume specification");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Binds\":[\"v1:/a:nope\"]}}", a, &r), ERR_INVALID,
               "invalid volume specification");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Binds\":[\"../x:/a\"]}}", a, &r), ERR_INVALID,
               "includes invalid characters for a local volume name");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/no/"
                              "such\",\"Target\":\"/a\"}]}}",
                              a, &r),
               ERR_INVALID,
               "invalid mount config for type \"bind\": bind source path does not exist: /no/such");
    assert_err(resolve_mounts("{\"HostConfig\":{\"Mounts\":[{\"Type\":\"tmpfs\",\"Source\":\"x\","
                              "\"Target\":\"/a\"}]}}",
                              a, &r),
               ERR_INVALID, "field Source must not be specified");
    assert_err(resolve_mounts(
                   "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"nope\",\"Target\":\"/a\"}]}}", a, &r),
               ERR_INVALID, "mount type \"nope\" unknown");
}

/* ---- capabilities ---- */

static void test_caps(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct strv add = {0}, drop = {0}, out;

    (void)unused;
    assert_ok(caps_resolve(&add, &drop, false, a, &out, &e));
    assert_int_equal(out.n, 14);
    assert_string_equal(out.v[0], "CAP_CHOWN");
    vec_push_in(a, &drop, (char *)"all");
    vec_push_in(a, &add, (char *)"cap_net_admin");
    assert_ok(caps_resolve(&add, &drop, false, a, &out, &e));
    assert_int_equal(out.n, 1);
    assert_string_equal(out.v[0], "CAP_NET_ADMIN");
    drop.v[0] = (char *)"MKNOD";
    assert_ok(caps_resolve(&add, &drop, false, a, &out, &e));
    assert_int_equal(out.n, 14);
    assert_false(strv_has(&out, "CAP_MKNOD"));
    drop.v[0] = (char *)"nonsense";
    assert_err(caps_resolve(&add, &drop, false, a, &out, &e), ERR_INVALID,
               "invalid CapDrop: unknown capability: \"CAP_NONSENSE\"");
}

/* ---- durations ---- */

static void test_durations(void **unused)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {{0, "Less than a second"}, {1, "1 second"},         {59, "59 seconds"},
                 {61, "About a minute"},    {120, "2 minutes"},      {3600, "About an hour"},
                 {3 * 3600, "3 hours"},     {3 * 86400, "3 days"},   {21 * 86400, "3 weeks"},
                 {90 * 86400, "3 months"},  {800 * 86400, "2 years"}};
    char out[48];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        human_duration(cases[i].s * 1000000000LL, out);
        assert_string_equal(out, cases[i].text);
    }
}

/* ---- the database ---- */

static void test_state(void **unused)
{
    auto_arena struct arena *a = arena_new();
    char dir[] = "/tmp/hull-state-XXXXXX";
    struct state *s, *other;
    struct state_row row = {.id = "1", .name = "one", .doc = "{}", .run = "{\"a\":1}"}, *rows;
    auto_free char *path = NULL;
    sqlite3 *db;
    size_t n;

    (void)unused;
    assert_non_null(mkdtemp(dir));
    path = mem_printf("%s/hulld.db", dir);
    assert_ok(state_open(dir, &s, &e));
    assert_ok(state_put(s, STATE_CONTAINERS, &row, true, &e));
    assert_ok(state_put_run(s, "1", "{\"a\":2}", false, &e));
    row.id = "2";
    assert_err(state_put(s, STATE_CONTAINERS, &row, false, &e), ERR_EXISTS, "name is taken");
    assert_ok(
        state_put(s, STATE_NETWORKS, &row, false, &e)); /* another table, another name space */
    assert_err(state_open(dir, &other, &e), ERR_CONFLICT, "another hulld uses this data root");
    state_close(s);
    assert_ok(state_open(dir, &s, &e));
    assert_ok(state_list(s, STATE_CONTAINERS, a, &rows, &n, &e));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].name, "one");
    assert_string_equal(rows[0].run, "{\"a\":2}");
    assert_ok(state_del(s, STATE_CONTAINERS, "1", true, &e));
    assert_ok(state_del(s, STATE_CONTAINERS, "1", true, &e));
    assert_ok(state_list(s, STATE_CONTAINERS, a, &rows, &n, &e));
    assert_int_equal(n, 0);
    state_close(s);
    /* a database of the future is refused and left as it is */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_err(state_open(dir, &s, &e), ERR_INVALID, "state database has format 99");
    (void)unlink(path);
    for (size_t i = 0; i < 2; i++) {
        auto_free char *more = mem_printf("%s%s", path, i == 0 ? "-wal" : "-shm");

        (void)unlink(more);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* ---- files of a layered root ---- */

static void put(const char *dir, const char *name, const char *text)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void test_rootfs(void **unused)
{
    char dir[] = "/tmp/hull-rootfs-XXXXXX";
    auto_free char *low = NULL, *up = NULL, *lower = NULL, *upper = NULL, *link = NULL,
                   *secret = NULL;
    auto_buf struct buf b = BUF_MAX(100);
    Types__Mount m = TYPES__MOUNT__INIT, *mounts[] = {&m};
    struct ctd_mounts all = {mounts, 1};
    char *options[2];

    (void)unused;
    assert_non_null(mkdtemp(dir));
    low = mem_printf("%s/low", dir);
    up = mem_printf("%s/up", dir);
    assert_int_equal(mkdir(low, 0755), 0);
    assert_int_equal(mkdir(up, 0755), 0);
    secret = mem_printf("%s/secret", dir);
    put(dir, "secret", "of the host");
    put(low, "passwd", "lower");
    options[0] = lower = mem_printf("lowerdir=%s", low);
    options[1] = upper = mem_printf("upperdir=%s", up);
    m.type = (char *)"overlay";
    m.options = options;
    m.n_options = 2;
    assert_ok(rootfs_read(&all, "/passwd", &b, &e));
    assert_string_equal(buf_cstr(&b), "lower");
    put(up, "passwd", "upper");
    buf_reset(&b);
    assert_ok(rootfs_read(&all, "/passwd", &b, &e));
    assert_string_equal(buf_cstr(&b), "upper");
    /* links stay inside, whatever they say */
    link = mem_printf("%s/group", up);
    assert_int_equal(symlink(secret, link), 0);
    buf_reset(&b);
    assert_ok(rootfs_read(&all, "/group", &b, &e));
    assert_string_equal(buf_cstr(&b), "");
    assert_ok(rootfs_read(&all, "/absent", &b, &e));
    assert_int_equal(b.n, 0);
    const char *const files[][2] = {
        {up, "group"}, {up, "passwd"}, {low, "passwd"}, {dir, "secret"}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", files[i][0], files[i][1]);

        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(low) | rmdir(up) | rmdir(dir), 0);
}

/* ---- stats ---- */

static void test_stats(void **unused)
{
    auto_arena struct arena *a = arena_new();
    uint64_t tick = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
    struct stats_network net;
    const char *name;

    (void)unused;
    /* user nice system idle iowait irq softirq count; steal and guest do not */
    assert_int_equal(stats_system_ns("cpu  1 2 3 4 5 6 7 100 200 300\ncpu0 9 9 9\n"), 28 * tick);
    assert_int_equal(stats_system_ns(""), 0);
    assert_true(
        stats_net_line(str_of("  eth0: 10 2 0 1 0 0 0 0   20 3 4 5 0 0 0 0"), a, &name, &net));
    assert_string_equal(name, "eth0");
    assert_int_equal(net.rx_bytes, 10);
    assert_int_equal(net.rx_dropped, 1);
    assert_int_equal(net.tx_bytes, 20);
    assert_int_equal(net.tx_dropped, 5);
    assert_false(stats_net_line(str_of("    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0"), a, &name, &net));
    assert_false(stats_net_line(str_of(" face |bytes    packets"), a, &name, &net));
    assert_false(stats_net_line(str_of("eth1: 1 2"), a, &name, &net));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_signals),
        cmocka_unit_test(test_users),       cmocka_unit_test(test_filters),
        cmocka_unit_test(test_detach_keys), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_log_options), cmocka_unit_test(test_checks),
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_caps),        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_state),       cmocka_unit_test(test_rootfs),
        cmocka_unit_test(test_stats),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
