/* Parts of the shim: names of sockets, reaping, the order in which events are published. */
#include "test.h"
#include "netns.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "folder.h"
#include "base/mem.h"
#include "base/time.h"
#include "proto/event.pb-c.h"
#include "proto/events.pb-c.h"
#include "rpc/ttrpc.h"
#include "shim/bundle_mounts.h"
#include "shim/publish.h"
#include "shim/reaper.h"
#include "shim/sha256.h"
#include "sys/fd.h"
#include "sys/spawn.h"

static void digests(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } cases[] = {
        /* FIPS 180-4's own examples, and the lengths around a block's end */
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[65];
        sha256_hex(cases[i].text, strlen(cases[i].text), got);
        assert_string_equal(got, cases[i].digest);
    }
}

/* ---- reaping */

struct seen {
    pid_t pid;
    int status;
};

static void on_exit_seen(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    *(struct seen *)arg = (struct seen){pid, status};
    assert_true(exited_ns > 0);
}

static pid_t start(const char *script)
{
    struct err e = {0};
    struct proc p = PROC_NONE;
    const char *argv[] = {"sh", "-c", script, NULL};
    const struct spawn_opts o = {.path = "/bin/sh", .argv = argv};
    assert_ok(spawn(&o, &p, &e));
    while (proc_alive(&p))
        ;
    pid_t pid = p.pid;
    proc_done(&p);
    return pid;
}

static void exits_are_told_once(void **state)
{
    (void)state;
    struct reaper *r = reaper_new();
    struct seen a = {0}, b = {0}, c = {0};
    pid_t pid = start("exit 7");
    reaper_watch(r, pid, on_exit_seen, &a);
    reaper_run(r);
    assert_int_equal(a.pid, pid);
    assert_int_equal(a.status, 7);
    /* unknown while somebody holds: kept for who asks later, until it is released */
    reaper_hold(r);
    pid = start("kill -9 $$");
    reaper_run(r);
    reaper_watch(r, pid, on_exit_seen, &b);
    assert_int_equal(b.status, 137);
    pid = start("exit 1");
    reaper_run(r);
    reaper_release(r);
    reaper_watch(r, pid, on_exit_seen, &c);
    assert_int_equal(c.pid, 0);
    reaper_forget(r, pid);
    reaper_free(r);
}

/* ---- events */

struct receiver {
    struct loop *loop;
    struct ttrpc_server *server;
    struct buf topics;
    int refuse; /* so many times */
    int told, stop_at;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static int on_forward(struct ttrpc_call *call, const void *req, struct err *e)
{
    struct receiver *r = ttrpc_call_ctx(call);
    const Events__ForwardRequest *rq = req;
    assert_string_equal(ttrpc_call_metadata(call, "containerd-namespace-ttrpc"), "ns1");
    assert_string_equal(rq->envelope->namespace_, "ns1");
    if (r->refuse > 0) {
        r->refuse--;
        return err_set(e, ERR_INTERNAL, "not now");
    }
    buf_printf(&r->topics, "%s ", rq->envelope->topic);
    if (strstr(rq->envelope->topic, "last") != NULL)
        loop_stop(r->loop);
    return ttrpc_call_reply_empty(call);
}

static const struct ttrpc_method receiver_methods[] = {
    {"containerd.services.events.ttrpc.v1.Events", "Forward", &events__forward_request__descriptor,
     on_forward},
};

static void receiver_listen(struct source *s, void *arg)
{
    struct receiver *r = arg;
    struct err e = {0};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)s;
    memcpy(addr.sun_path, r->path, sizeof(r->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 16), 0);
    r->server = ttrpc_server_new(r->loop, receiver_methods, ARRAY_LEN(receiver_methods), r);
    assert_ok(ttrpc_server_listen(r->server, fd, &e));
}

static void on_told(void *arg)
{
    ((struct receiver *)arg)->told++;
}

static void send_event(struct publisher *p, const char *topic, struct receiver *r)
{
    Event__TaskStart ev = EVENT__TASK_START__INIT;
    publish(p, topic, &ev.base, on_told, r);
}

/* Events wait for a containerd that is away, stay in order over refusals, and are given up when
 * refused for good. */
static void events_keep_their_order(void **state)
{
    (void)state;
    struct err e = {0};
    struct receiver r = {.loop = loop_new(&e), .topics = BUF_MAX(4096), .refuse = 2};
    (void)snprintf(r.path, sizeof(r.path), "/tmp/hull-test-shim-%d.sock", (int)getpid());
    const struct publisher_opts o = {
        .loop = r.loop, .ns = "ns1", .ttrpc = r.path, .binary = "false", .address = ""};
    struct publisher *p = publisher_new(&o);
    send_event(p, "/tasks/a", &r);
    send_event(p, "/tasks/b", &r);
    assert_int_equal(r.told, 1); /* who waits for a is told that it waits */
    assert_non_null(loop_add_timer(r.loop, 300, receiver_listen, &r, &e));
    send_event(p, "/tasks/last", &r);
    assert_ok(loop_run(r.loop, &e));
    assert_string_equal(buf_cstr(&r.topics), "/tasks/a /tasks/b /tasks/last ");
    buf_reset(&r.topics);
    r.refuse = 5;
    send_event(p, "/tasks/refused", &r);
    send_event(p, "/tasks/last", &r);
    assert_ok(loop_run(r.loop, &e));
    assert_string_equal(buf_cstr(&r.topics), "/tasks/last ");
    publisher_free(p);
    ttrpc_server_free(r.server);
    loop_free(r.loop);
    buf_done(&r.topics);
    assert_int_equal(unlink(r.path), 0);
}

/* ---- mounts */

static void bad_mounts_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    char dir[] = "/tmp/hull-test-shim-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char up[] = "../etc", nothing[] = "/nonexistent", bind[] = "bind";
    Types__Mount one = TYPES__MOUNT__INIT, two = TYPES__MOUNT__INIT;
    Types__Mount *mounts[17] = {&one, &two};
    one.type = bind;
    one.source = nothing;
    assert_err(bundle_mount(dir, mounts, 1, &e), ERR_INTERNAL, "failed to mount rootfs component");
    one.target = up;
    assert_err(bundle_mount(dir, mounts, 1, &e), ERR_INVALID, "not below the root file system");
    assert_err(bundle_mount(dir, mounts, 17, &e), ERR_INVALID, "more than 16 mounts");
    assert_ok(bundle_unmount(dir, &e));
    auto_free char *rootfs = mem_printf("%s/rootfs", dir);
    assert_int_equal(rmdir(rootfs), 0);
    assert_int_equal(rmdir(dir), 0);
}

static uid_t owner_of(const char *dir, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    struct stat st;
    if (stat(path, &st) < 0)
        fail_msg("%s is missing", path);
    return st.st_uid;
}

/* Layers keep their ids on disk and are seen with those of the mapping; what is written has them.
 */
static void layers_are_seen_id_mapped(void **state)
{
    (void)state;
    struct err e = {0};
    if (!in_own_netns())
        skip();
    char dir[] = "/tmp/hull-test-shim-XXXXXX", type[] = "overlay";
    assert_non_null(mkdtemp(dir));
    sh(dir, "mkdir -p s/1/fs s/2/fs s/3/fs s/3/work; touch s/1/fs/a s/2/fs/b;"
            "chown 7 s/2/fs/b; chown 100000 s/3/fs");
    auto_free char *lower = mem_printf("lowerdir=%s/s/2/fs:%s/s/1/fs", dir, dir);
    auto_free char *upper = mem_printf("upperdir=%s/s/3/fs", dir);
    auto_free char *work = mem_printf("workdir=%s/s/3/work", dir);
    char index[] = "index=off", uids[] = "uidmap=0:100000:1000", gids[] = "gidmap=0:100000:1000";
    char *options[] = {work, upper, lower, index, uids, gids};
    Types__Mount one = TYPES__MOUNT__INIT;
    Types__Mount *mounts[] = {&one};
    one.type = one.source = type;
    one.options = options;
    one.n_options = ARRAY_LEN(options) - 1;
    assert_err(bundle_mount(dir, mounts, 1, &e), ERR_INVALID, "uidmap and gidmap come together");
    one.n_options++;
    assert_ok(bundle_mount(dir, mounts, 1, &e));
    assert_int_equal(owner_of(dir, "rootfs/a"), 100000);
    assert_int_equal(owner_of(dir, "rootfs/b"), 100007);
    assert_int_equal(owner_of(dir, "s/2/fs/b"), 7);
    sh(dir, "echo x >rootfs/b; [ ! -e lower ]");
    assert_int_equal(owner_of(dir, "s/3/fs/b"), 100007);
    assert_ok(bundle_unmount(dir, &e));
    sh(dir, "rm -r s rootfs");
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(exits_are_told_once),
        cmocka_unit_test(events_keep_their_order),
        cmocka_unit_test(bad_mounts_are_refused),
        cmocka_unit_test(layers_are_seen_id_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
