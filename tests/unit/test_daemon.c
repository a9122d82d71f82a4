/* hulld's configuration: flags, daemon.json, where it listens, and watching hull-containerd. */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "daemon/config.h"
#include "daemon/listen.h"
#include "daemon/supervise.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/proc.h"

static char dir[] = "/tmp/hull-test-daemon-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    log_init(2, LOG_ERROR);
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    struct err e = {0};
    return path_remove_tree(AT_FDCWD, dir, &e);
}

/* Read flags ("a|b|c") beside a daemon.json. */
static int read_config(const char *flags, const char *json, struct daemon_config *c, struct err *e)
{
    static char text[2000];
    static char *argv[40];
    auto_free char *file = mem_printf("%s/daemon.json", dir);
    int argc = 0;
    auto_fd int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, json, strlen(json)), 0);
    snprintf(text, sizeof(text), "hulld|--config-file|%s%s%s", file, flags[0] != '\0' ? "|" : "",
             flags);
    for (char *save = NULL, *a = strtok_r(text, "|", &save); a != NULL;
         a = strtok_r(NULL, "|", &save))
        argv[argc++] = a;
    argv[argc] = NULL;
    return daemon_config_read(argc, argv, c, e);
}

static void flags_take_every_form(void **state)
{
    (void)state;
    struct err e = {0};
    struct daemon_config c;
    assert_ok(read_config(
        "-D|-H|unix:///a|-Htcp://b|-H=tcp://c|--host=tcp://d|--data-root|/d|--icc=false|--mtu|1400|"
        "--log-opt|max-size=1m|--log-opt|max-file=3|--add-runtime|runc=/usr/bin/runc|"
        "--default-shm-size|1g|--dns|1.1.1.1|--dns|::1|-p|/p",
        "{}", &c, &e));
    assert_int_equal(c.hosts.n, 4);
    assert_string_equal(c.hosts.v[0], "unix:///a");
    assert_string_equal(c.hosts.v[1], "tcp://b");
    assert_string_equal(c.hosts.v[2], "tcp://c");
    assert_string_equal(c.hosts.v[3], "tcp://d");
    assert_string_equal(c.data_root, "/d");
    assert_string_equal(c.pidfile, "/p");
    assert_string_equal(c.log_level, "debug");
    assert_false(c.icc);
    assert_true(c.ip_masq);
    assert_int_equal(c.mtu, 1400);
    assert_int_equal(c.shm_bytes, 1 << 30);
    assert_int_equal(c.log_opts.n, 2);
    assert_string_equal(c.log_opts.v[1].key, "max-file");
    assert_string_equal(c.log_opts.v[1].val, "3");
    assert_int_equal(c.runtimes.n, 1);
    assert_string_equal(c.runtimes.v[0].binary, "/usr/bin/runc");
    assert_int_equal(c.dns.n, 2);
    daemon_config_done(&c);
}

static void defaults_hold(void **state)
{
    (void)state;
    struct err e = {0};
    struct daemon_config c;
    assert_ok(read_config("", "", &c, &e));
    assert_int_equal(c.hosts.n, 1);
    assert_string_equal(c.hosts.v[0], "unix:///var/run/docker.sock");
    assert_string_equal(c.exec_root, "/run/hull");
    assert_string_equal(c.containerd_namespace, "moby");
    assert_int_equal(c.stop_timeout_s, 10);
    daemon_config_done(&c);
}

static void the_file_says_what_flags_can(void **state)
{
    (void)state;
    struct err e = {0};
    struct daemon_config c;
    assert_ok(read_config(
        "--add-runtime|a=/a",
        "{\"hosts\":[\"unix:///x\"],\"debug\":true,\"mtu\":1300,\"labels\":[\"a=b\"],"
        "\"log-opts\":{\"max-size\":\"5m\"},\"default-shm-size\":\"32M\",\"tlsverify\":true,"
        "\"runtimes\":{\"b\":{\"path\":\"/b\"},\"c\":{\"runtimeType\":\"io.containerd.runc.v2\","
        "\"options\":{\"BinaryName\":\"/c\"}}},\"live-restore\":true,\"builder\":{\"gc\":{}},"
        "\"default-address-pools\":[{\"base\":\"10.0.0.0/8\",\"size\":24}]}",
        &c, &e));
    assert_string_equal(c.hosts.v[0], "unix:///x");
    assert_true(c.debug && c.tls && c.tlsverify);
    assert_int_equal(c.mtu, 1300);
    assert_int_equal(c.shm_bytes, 32 << 20);
    assert_string_equal(c.log_opts.v[0].val, "5m");
    assert_int_equal(c.runtimes.n, 3);
    assert_string_equal(c.runtimes.v[2].type, "io.containerd.runc.v2");
    assert_string_equal(c.runtimes.v[2].binary, "/c");
    assert_string_equal(c.address_pools.v[0], "base=10.0.0.0/8,size=24");
    daemon_config_done(&c);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *flags, *json;
        enum err_kind kind;
        const char *text;
    } cases[] = {
        {"--nope", "{}", ERR_INVALID, "unknown flag: --nope"},
        {"-Z", "{}", ERR_INVALID, "unknown shorthand flag: 'Z' in -Z"},
        {"-H", "{}", ERR_INVALID, "flag needs an argument: 'H' in -H"},
        {"--mtu", "{}", ERR_INVALID, "flag needs an argument: --mtu"},
        {"--mtu|x", "{}", ERR_INVALID, "invalid argument \"x\" for \"--mtu\" flag"},
        {"--mtu|-1", "{}", ERR_INVALID, "invalid default MTU: -1"},
        {"--debug=maybe", "{}", ERR_INVALID, "invalid argument \"maybe\""},
        {"stray", "{}", ERR_INVALID, "\"hulld\" accepts no arguments"},
        {"-l|loud", "{}", ERR_INVALID, "invalid logging level: loud"},
        {"--ipv6", "{}", ERR_UNIMPLEMENTED, "--ipv6 is not supported"},
        {"--bip|10.0.0.1/24|-b|br0", "{}", ERR_INVALID, "mutually exclusive"},
        {"--default-shm-size|1x", "{}", ERR_INVALID, "expected a size"},
        {"", "{\"nope\":1,\"also-nope\":{}}", ERR_INVALID,
         "the following directives don't match any configuration option: nope, also-nope"},
        {"", "{\"host\":[]}", ERR_INVALID, "don't match any configuration option: host"},
        {"--mtu|1400|-D", "{\"mtu\":1300,\"debug\":false}", ERR_INVALID,
         "the following directives are specified both as a flag and in the configuration file: "
         "mtu: (from flag: 1400, "
         "from file: 1300), debug: (from flag: true, from file: false)"},
        {"", "{\"proxies\":{\"x\":\"\"},\"y\":1}", ERR_INVALID,
         "don't match any configuration option: x, y"},
        {"", "{\"proxies\":[]}", ERR_INVALID, "proxies: expected an object"},
        {"", "{\"max-concurrent-uploads\":-1}", ERR_INVALID, "invalid max concurrent uploads: -1"},
        {"", "{\"debug\":\"yes\"}", ERR_INVALID, "debug: expected true or false"},
        {"", "{\"hosts\":\"x\"}", ERR_INVALID, "hosts: expected an array"},
        {"", "{\"labels\":[1]}", ERR_INVALID, "labels: expected an array of strings"},
        {"", "{\"runtimes\":{\"x\":{}}}", ERR_INVALID, "runtimes.x: either path or runtimeType"},
        {"", "{\"ipv6\":true}", ERR_UNIMPLEMENTED, "ipv6 is not supported"},
        {"--userns-remap|a", "{\"userns-remap\":\"b\"}", ERR_INVALID,
         "userns-remap: (from flag: a, from file: b)"},
        {"", "{\"debug\":true", ERR_INVALID, "unable to configure the Docker daemon with file"},
        {"", "{\"debug\":true,}", ERR_INVALID, "unable to configure the Docker daemon with file"},
        {"", "{} {}", ERR_INVALID, "unable to configure the Docker daemon with file"},
        {"", "[]", ERR_INVALID, "expected an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct daemon_config c;
        int r = read_config(cases[i].flags, cases[i].json, &c, &e);
        if (r == 0 || e.kind != cases[i].kind || strstr(e.msg, cases[i].text) == NULL)
            fail_msg("%s %s: %d, kind %d, %s", cases[i].flags, cases[i].json, r, (int)e.kind,
                     e.msg);
        daemon_config_done(&c);
    }
}

static void addresses_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tls;
        const char *want; /* NULL: refused */
    } cases[] = {
        {"unix:///run/x", false, "unix /run/x"},
        {"unix://", false, "unix /var/run/docker.sock"},
        {"tcp://", false, "tcp localhost 2375"},
        {"tcp://", true, "tcp localhost 2376"},
        {"tcp://:2380", false, "tcp  2380"},
        {"tcp://0.0.0.0", true, "tcp 0.0.0.0 2376"},
        {"tcp://[::1]:99", false, "tcp ::1 99"},
        {"tcp://[::1]", false, "tcp ::1 2375"},
        {"127.0.0.1:5", false, "tcp 127.0.0.1 5"},
        {"fd://", false, "fd"},
        {"tcp://x:99999", false, NULL},
        {"tcp://x:y", false, NULL},
        {"tcp://x/y", false, NULL},
        {"unix://x", false, NULL},
        {"npipe://x", false, NULL},
        {"", false, NULL},
    };
    auto_arena struct arena *a = arena_new();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct listen_addr l;
        char got[100] = "";
        if (listen_parse(cases[i].text, cases[i].tls, a, &l, &e) == 0) {
            if (l.kind == LISTEN_UNIX)
                snprintf(got, sizeof(got), "unix %s", l.path);
            else if (l.kind == LISTEN_TCP)
                snprintf(got, sizeof(got), "tcp %s %s", l.host, l.port);
            else
                snprintf(got, sizeof(got), "fd");
        } else {
            assert_non_null(strstr(e.msg, "invalid bind address format"));
        }
        if (strcmp(got, cases[i].want == NULL ? "" : cases[i].want) != 0)
            fail_msg("\"%s\": \"%s\"", cases[i].text, got);
    }
}

/* The pid in the file, once there is one other than `not`. */
static pid_t await_pid(const char *file, pid_t not )
{
    int64_t end = time_mono_ns() + 20 * NS_PER_S;
    while (time_mono_ns() < end) {
        auto_buf struct buf b = BUF_MAX(100);
        struct err e;
        int pid = 0;
        if (file_read(AT_FDCWD, file, &b, &e) == 0 && sscanf(buf_cstr(&b), "%d", &pid) == 1 &&
            pid != not )
            return pid;
        (void)poll(NULL, 0, 5);
    }
    fail_msg("no other pid than %d in %s", not, file);
    return 0;
}

static bool alive(pid_t pid)
{
    struct err e;
    struct proc p;
    if (proc_open(pid, &p, &e) < 0)
        return false;
    bool yes = proc_alive(&p);
    proc_done(&p);
    return yes;
}

static void the_supervisor_is_kept_running(void **state)
{
    (void)state;
    struct err e = {0};
    struct supervisor *s = NULL;
    auto_free char *program = mem_printf("%s/fake", dir), *pidfile = mem_printf("%s/pid", dir);
    auto_free char *root = mem_printf("%s/root", dir), *address = mem_printf("%s/sock", dir);
    struct supervisor_opts o = {program, root, "/state", address, pidfile, "info"};
    auto_fd int fd = open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    static const char script[] = "#!/bin/sh\nwhile :; do sleep 1000 & wait; done\n";

    assert_err(
        supervisor_start(
            &(struct supervisor_opts){"/no/such", root, "/s", address, pidfile, "info"}, &s, &e),
        ERR_NOT_FOUND, "/no/such");
    assert_int_equal(fd_write_all(fd, script, sizeof(script) - 1), 0);
    fd_close(take_fd(&fd));
    assert_ok(supervisor_start(&o, &s, &e));
    pid_t first = await_pid(pidfile, 0);
    assert_true(alive(first));
    assert_int_equal(kill(-first, SIGKILL), 0); /* it leads its session */
    pid_t second = await_pid(pidfile, first);
    assert_true(alive(second));
    supervisor_free(s);
    assert_false(alive(second));
    assert_int_equal(access(pidfile, F_OK), -1);
    (void)kill(-second, SIGKILL); /* the script's sleep */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_take_every_form),
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(the_file_says_what_flags_can),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(addresses_are_understood),
        cmocka_unit_test(the_supervisor_is_kept_running),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
