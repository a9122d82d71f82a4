/* ttrpc: server and client on a loop, the hub with many threads, and what a hostile peer may send.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/vec.h"
#include "proto/shim.pb-c.h"
#include "rpc/ttrpc_conn.h"
#include "rpc/ttrpc_hub.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define SERVICE "containerd.task.v2.Task"

/* ---- a server that echoes, fails, and keeps ---- */

struct world {
    struct loop *loop;
    struct ttrpc_server *server;
    struct ttrpc_client *client;
    VEC(struct ttrpc_call *) kept;
    int cancelled, answers, want;
    struct err last;
    VEC(uint32_t) pids; /* of the answers, in order */
};

static int echo(struct ttrpc_call *c, const void *req, struct err *e)
{
    const Shim__StateRequest *r = req;
    Shim__StateResponse resp = SHIM__STATE_RESPONSE__INIT;
    const char *ns = ttrpc_call_metadata(c, "containerd-namespace-ttrpc");

    if (strcmp(r->id, "missing") == 0)
        return err_set(e, ERR_NOT_FOUND, "task %s not found", r->id);
    resp.id = r->id;
    resp.stdin = (char *)(uintptr_t)(ns != NULL ? ns : "");
    return ttrpc_call_reply(c, &resp.base);
}

static void on_cancel(void *arg)
{
    struct world *w = arg;
    w->cancelled++;
    if (w->want < 0)
        loop_stop(w->loop);
}

/* Keeps calls until there are as many as the first one's signal says, then answers in reverse
 * order. */
static int keep(struct ttrpc_call *c, const void *req, struct err *e)
{
    struct world *w = ttrpc_call_ctx(c);
    const Shim__KillRequest *r = req;

    (void)e;
    vec_push(&w->kept, c);
    ttrpc_call_on_cancel(c, on_cancel, w);
    if (w->kept.n < r->signal)
        return TTRPC_LATER;
    while (w->kept.n > 0) {
        Shim__StartResponse resp = SHIM__START_RESPONSE__INIT;
        resp.pid = (uint32_t)w->kept.n;
        ttrpc_call_reply(w->kept.v[--w->kept.n], &resp.base);
    }
    return TTRPC_LATER;
}

static const struct ttrpc_method methods[] = {
    {SERVICE, "State", &shim__state_request__descriptor, echo},
    {SERVICE, "Kill", &shim__kill_request__descriptor, keep},
};

static struct world *setup(bool with_client)
{
    struct world *w = mem_alloc(sizeof(*w));
    struct err e = {0};
    int fds[2];

    w->loop = loop_new(&e);
    w->server = ttrpc_server_new(w->loop, methods, ARRAY_LEN(methods), w);
    if (with_client) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_ok(ttrpc_server_adopt(w->server, fds[0], &e));
        assert_ok(ttrpc_client_adopt(w->loop, fds[1], &w->client, &e));
    }
    return w;
}

static void teardown(struct world *w)
{
    ttrpc_client_free(w->client);
    ttrpc_server_free(w->server);
    vec_each(c, &w->kept)
        ttrpc_call_reply_empty(*c);
    loop_free(w->loop);
    vec_done(&w->kept);
    vec_done(&w->pids);
    free(w);
}

static void on_answer(void *arg, const void *resp, const struct err *e)
{
    struct world *w = arg;

    if (e != NULL)
        w->last = *e;
    else if (((const ProtobufCMessage *)resp)->descriptor == &shim__start_response__descriptor)
        vec_push(&w->pids, ((const Shim__StartResponse *)resp)->pid);
    else
        w->last.kind = strlen(((const Shim__StateResponse *)resp)->id) > 0 ? ERR_NONE : ERR_UNKNOWN;
    if (++w->answers == w->want)
        loop_stop(w->loop);
}

static void ask_state(struct world *w, const char *service, const char *method, const char *id)
{
    Shim__StateRequest req = SHIM__STATE_REQUEST__INIT;
    struct ttrpc_request r = {service, method, &req.base, &shim__state_response__descriptor,
                              "moby",  0};
    struct err e = {0};

    req.id = (char *)(uintptr_t)id;
    w->answers = 0;
    w->want = 1;
    w->last.kind = ERR_UNKNOWN;
    assert_ok(ttrpc_client_call(w->client, &r, on_answer, w, NULL, &e));
    assert_ok(loop_run(w->loop, &e));
}

static void ask_kill(struct world *w, uint32_t signal, int64_t timeout_ms, uint32_t *out_id)
{
    Shim__KillRequest req = SHIM__KILL_REQUEST__INIT;
    struct ttrpc_request r = {SERVICE, "Kill",    &req.base, &shim__start_response__descriptor,
                              NULL,    timeout_ms};
    struct err e = {0};

    req.signal = signal;
    assert_ok(ttrpc_client_call(w->client, &r, on_answer, w, out_id, &e));
}

static void answers_and_errors(void **state)
{
    (void)state;
    struct world *w = setup(true);

    ask_state(w, SERVICE, "State", "web");
    assert_int_equal(w->last.kind, ERR_NONE);
    ask_state(w, SERVICE, "State", "missing");
    assert_int_equal(w->last.kind, ERR_NOT_FOUND);
    assert_string_equal(w->last.msg, "task missing not found");
    ask_state(w, SERVICE, "Stat", "web");
    assert_int_equal(w->last.kind, ERR_UNIMPLEMENTED);
    assert_string_equal(w->last.msg, "method Stat");
    ask_state(w, "containerd.task.v9.Task", "State", "web");
    assert_int_equal(w->last.kind, ERR_UNIMPLEMENTED);
    assert_string_equal(w->last.msg, "service containerd.task.v9.Task");
    teardown(w);
}

static void big_messages_pass_and_bigger_ones_do_not(void **state)
{
    (void)state;
    struct world *w = setup(true);
    struct err e = {0};
    auto_free char *id = mem_alloc(((size_t)4 << 20) + 1);

    memset(id, 'x', (size_t)3 << 20);
    ask_state(w, SERVICE, "State", id);
    assert_int_equal(w->last.kind, ERR_NONE);

    memset(id, 'x', (size_t)4 << 20);
    Shim__StateRequest req = SHIM__STATE_REQUEST__INIT;
    struct ttrpc_request r = {SERVICE, "State", &req.base, &shim__state_response__descriptor,
                              NULL,    0};
    req.id = id;
    assert_err(ttrpc_client_call(w->client, &r, on_answer, w, NULL, &e), ERR_EXHAUSTED, "too long");
    teardown(w);
}

static void answers_come_in_any_order(void **state)
{
    (void)state;
    struct world *w = setup(true);
    struct err e = {0};

    w->want = 64;
    for (int i = 0; i < 64; i++)
        ask_kill(w, 64, 10000, NULL);
    assert_ok(loop_run(w->loop, &e));
    assert_int_equal(w->pids.n, 64);
    assert_int_equal(w->pids.v[0], 64);
    assert_int_equal(w->pids.v[63], 1);
    teardown(w);
}

static void deadline_and_cancel(void **state)
{
    (void)state;
    struct world *w = setup(true);
    struct err e = {0};
    uint32_t id;

    w->want = 1;
    ask_kill(w, 99, 30, NULL);
    assert_ok(loop_run(w->loop, &e));
    assert_int_equal(w->last.kind, ERR_TIMEOUT);
    w->want = -1; /* the server's own timer tells the handler */
    if (w->cancelled == 0)
        assert_ok(loop_run(w->loop, &e));
    assert_int_equal(w->cancelled, 1);
    assert_true(ttrpc_call_cancelled(w->kept.v[0]));

    w->answers = 0;
    w->want = 1;
    ask_kill(w, 99, 0, &id);
    ttrpc_client_cancel(w->client, id);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->last.kind, ERR_CANCELLED);
    teardown(w);
}

static void a_lost_client_cancels_its_calls(void **state)
{
    (void)state;
    struct world *w = setup(true);
    struct err e = {0};

    ask_kill(w, 99, 0, NULL);
    ask_state(w, SERVICE, "State", "web"); /* the call before it has arrived */
    w->want = -1;
    ttrpc_client_free(TAKE_PTR(w->client));
    assert_int_equal(w->last.kind, ERR_CANCELLED);
    assert_ok(loop_run(w->loop, &e));
    assert_int_equal(w->cancelled, 1);
    assert_int_equal(ttrpc_server_connections(w->server), 0);
    teardown(w); /* answers the call that was kept: into nothing */
}

static void on_close(void *arg)
{
    struct world *w = arg;
    ttrpc_client_free(TAKE_PTR(w->client));
    loop_stop(w->loop);
}

static void a_lost_server_ends_the_calls(void **state)
{
    (void)state;
    struct world *w = setup(true);
    struct err e = {0};

    ask_kill(w, 99, 0, NULL);
    ask_state(w, SERVICE, "State", "web");
    w->want = 99;
    ttrpc_client_on_close(w->client, on_close, w);
    ttrpc_server_free(TAKE_PTR(w->server));
    assert_ok(loop_run(w->loop, &e));
    assert_int_equal(w->last.kind, ERR_UNAVAILABLE);
    assert_string_equal(w->last.msg, "ttrpc: closed");
    assert_null(w->client);
    teardown(w);
}

/* ---- frames by hand ---- */

struct raw {
    struct world *w;
    int fd;
    struct ttrpc_reader reader;
    struct arena *arena;
};

static void raw_send(struct raw *r, uint32_t stream, uint8_t flags, size_t claim, const void *p,
                     size_t n)
{
    uint8_t head[TTRPC_HEADER] = {
        (uint8_t)(claim >> 24), (uint8_t)(claim >> 16), (uint8_t)(claim >> 8), (uint8_t)claim, 0, 0,
        (uint8_t)(stream >> 8), (uint8_t)stream,        TTRPC_REQUEST,         flags};
    assert_int_equal(fd_write_all(r->fd, head, sizeof(head)), 0);
    assert_int_equal(fd_write_all(r->fd, p, n), 0);
}

static void on_raw_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    (void)fd;
    (void)events;
    loop_del(s);
    loop_stop(((struct raw *)arg)->w->loop);
}

static void on_turn(struct source *s, void *arg)
{
    (void)s;
    loop_stop(((struct raw *)arg)->w->loop);
}

/* Let the server do what is ready. */
static void turn(struct raw *r)
{
    struct err e = {0};

    assert_non_null(loop_add_timer(r->w->loop, 1, on_turn, r, &e));
    assert_ok(loop_run(r->w->loop, &e));
}

static Ttrpc__Response *raw_receive(struct raw *r, uint32_t *out_stream)
{
    Ttrpc__Response *resp;
    struct ttrpc_frame f;
    struct err e = {0};
    char bytes[4096];

    while (!ttrpc_reader_next(&r->reader, &f)) {
        assert_non_null(loop_add_fd(r->w->loop, r->fd, 1 /* EPOLLIN */, on_raw_ready, r, &e));
        assert_ok(loop_run(r->w->loop, &e));
        ssize_t n = read(r->fd, bytes, sizeof(bytes));
        assert_true(n > 0);
        ttrpc_reader_feed(&r->reader, bytes, (size_t)n);
    }
    assert_int_equal(f.type, TTRPC_RESPONSE);
    *out_stream = f.stream;
    assert_ok(pb_unpack(&ttrpc__response__descriptor, f.p, f.n, r->arena, &resp, &e));
    return resp;
}

static void expect(struct raw *r, uint32_t stream, int code, const char *text)
{
    uint32_t got;
    Ttrpc__Response *resp = raw_receive(r, &got);

    assert_int_equal(got, stream);
    assert_int_equal(resp->status == NULL ? 0 : resp->status->code, code);
    if (text != NULL)
        assert_non_null(strstr(resp->status->message, text));
}

static void bad_frames_get_errors_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct raw r = {.w = setup(false), .reader = TTRPC_READER, .arena = arena_new()};
    struct err e = {0};
    int fds[2];
    auto_buf struct buf good = BUF_MAX(65536);
    auto_free char *junk = mem_alloc(((size_t)4 << 20) + 100);
    Shim__StateRequest req = SHIM__STATE_REQUEST__INIT;
    struct ttrpc_request q = {SERVICE, "State", &req.base, &shim__state_response__descriptor,
                              NULL,    0};

    req.id = (char *)(uintptr_t) "web";
    assert_ok(ttrpc_request_pack(&q, &good, &e));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(ttrpc_server_adopt(r.w->server, fds[0], &e));
    r.fd = fds[1];

    raw_send(&r, 1, 0, good.n, good.p, good.n);
    expect(&r, 1, GRPC_OK, NULL);
    raw_send(&r, 2, 0, good.n, good.p, good.n);
    expect(&r, 2, GRPC_INVALID_ARGUMENT, "must be odd");
    raw_send(&r, 1, 0, good.n, good.p, good.n);
    expect(&r, 1, GRPC_INVALID_ARGUMENT, "re-used");
    raw_send(&r, 3, 0, 3, "\xff\xff\xff", 3);
    expect(&r, 3, GRPC_INVALID_ARGUMENT, "not a valid ttrpc.Request");
    raw_send(&r, 5, TTRPC_REMOTE_OPEN, good.n, good.p, good.n);
    expect(&r, 5, GRPC_UNIMPLEMENTED, "streams");
    raw_send(&r, 7, 0, 0, "", 0);
    expect(&r, 7, GRPC_UNIMPLEMENTED, "service");

    /* too long by one byte: written piecewise, since nobody reads while we write */
    size_t claim = TTRPC_MAX_PAYLOAD + 1;
    raw_send(&r, 9, 0, claim, junk, 1000);
    expect(&r, 9, GRPC_RESOURCE_EXHAUSTED, "message length");
    for (size_t left = claim - 1000; left > 0;) {
        size_t n = MIN(left, (size_t)60000);
        assert_int_equal(fd_write_all(r.fd, junk, n), 0);
        left -= n;
        if (left == 0)
            raw_send(&r, 11, 0, good.n, good.p, good.n);
        else
            turn(&r);
    }
    expect(&r, 11, GRPC_OK, NULL);

    /* half a frame, and gone */
    assert_int_equal(fd_write_all(r.fd, "\0\0\1", 3), 0);
    fd_close(r.fd);
    while (ttrpc_server_connections(r.w->server) > 0)
        turn(&r);
    ttrpc_reader_done(&r.reader);
    arena_free(r.arena);
    teardown(r.w);
}

static void connections_are_refused_without_descriptors(void **state)
{
    (void)state;
    struct world *w = setup(false);
    struct raw r = {.w = w};
    struct err e = {0};
    struct rlimit was, now;
    char path[64], byte;

    (void)snprintf(path, sizeof(path), "/tmp/test-ttrpc-%d.few", (int)getpid());
    assert_ok(ttrpc_server_listen(w->server, sock_listen(path, 0600, (gid_t)-1, &e), &e));
    r.fd = sock_dial(path, 1000, &e);
    assert_true(r.fd >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    assert_non_null(loop_add_timer(w->loop, 20, on_turn, &r, &e)); /* has its descriptor already */
    now = (struct rlimit){(rlim_t)r.fd + 2, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    int full = dup(r.fd); /* whatever is free below the limit */
    assert_ok(loop_run(w->loop, &e));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(ttrpc_server_connections(w->server), 0);
    assert_int_equal(read(r.fd, &byte, 1), 0);
    fd_close(full);
    fd_close(r.fd);
    r.fd = sock_dial(path, 1000, &e); /* and the next one is served again */
    while (ttrpc_server_connections(w->server) == 0)
        turn(&r);
    fd_close(r.fd);
    (void)unlink(path);
    teardown(w);
}

/* ---- the hub ---- */

static int hub_echo(struct ttrpc_call *c, const void *req, struct err *e)
{
    return echo(c, req, e);
}

struct kept {
    struct ttrpc_call *calls[8];
    size_t n;
};

static int hub_keep(struct ttrpc_call *c, const void *req, struct err *e)
{
    (void)req;
    (void)e;
    struct kept *k = ttrpc_call_ctx(c);
    k->calls[k->n++] = c;
    return TTRPC_LATER;
}

static const struct ttrpc_method hub_methods[] = {
    {SERVICE, "State", &shim__state_request__descriptor, hub_echo},
    {SERVICE, "Kill", &shim__kill_request__descriptor, hub_keep},
};

static void *ask_many(void *arg)
{
    struct ttrpc_link *l = arg;
    intptr_t bad = 0;

    for (int i = 0; i < 20; i++) {
        auto_arena struct arena *a = arena_new();
        Shim__StateRequest req = SHIM__STATE_REQUEST__INIT;
        struct ttrpc_request r = {SERVICE, "State", &req.base, &shim__state_response__descriptor,
                                  "moby",  10000};
        Shim__StateResponse *resp;
        struct err e;
        char id[32];

        (void)snprintf(id, sizeof(id), "%p-%d", (void *)&e, i);
        req.id = id;
        if (ttrpc_link_call(l, &r, -1, a, &resp, &e) < 0 || strcmp(resp->id, id) != 0 ||
            strcmp(resp->stdin, "moby") != 0)
            bad++;
    }
    return (void *)bad;
}

static void closed(void *arg)
{
    uint64_t one = 1;
    (void)!write(*(int *)arg, &one, sizeof(one));
}

static void many_threads_share_a_link(void **state)
{
    (void)state;
    struct ttrpc_hub *server, *hub;
    struct ttrpc_link *l;
    struct kept kept = {0};
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    char path[64];
    pthread_t t[64];

    (void)snprintf(path, sizeof(path), "/tmp/test-ttrpc-%d.sock", (int)getpid());
    assert_ok(ttrpc_hub_new(&server, &e));
    assert_ok(ttrpc_hub_serve(server, sock_listen(path, 0600, (gid_t)-1, &e), hub_methods,
                              ARRAY_LEN(hub_methods), &kept, &e));
    assert_ok(ttrpc_hub_new(&hub, &e));
    assert_ok(ttrpc_link_open(hub, path, 1000, &l, &e));
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_many, l), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        void *bad;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_int_equal((intptr_t)bad, 0);
    }

    /* a call that nobody answers: cancel, deadline, and the loss of the server end it */
    Shim__KillRequest req = SHIM__KILL_REQUEST__INIT;
    struct ttrpc_request r = {SERVICE, "Kill", &req.base, &pb__empty__descriptor, NULL, 0};
    Pb__Empty *resp;
    int cancel = eventfd(1, EFD_CLOEXEC), gone = eventfd(0, EFD_CLOEXEC);
    uint64_t n;

    assert_err(ttrpc_link_call(l, &r, cancel, a, &resp, &e), ERR_CANCELLED, "canceled");
    r.timeout_ms = 30;
    assert_err(ttrpc_link_call(l, &r, -1, a, &resp, &e), ERR_TIMEOUT, "deadline");
    ttrpc_link_on_close(l, closed, &gone);
    assert_true(ttrpc_link_alive(l));
    ttrpc_hub_free(server);
    assert_int_equal(read(gone, &n, sizeof(n)), sizeof(n));
    assert_false(ttrpc_link_alive(l));
    assert_err(ttrpc_link_call(l, &r, -1, a, &resp, &e), ERR_UNAVAILABLE, "ttrpc: closed");
    assert_err(ttrpc_link_open(hub, path, 100, &l, &e), ERR_UNAVAILABLE, "connection refused");

    ttrpc_link_unref(l);
    ttrpc_hub_free(hub);
    for (size_t i = 0; i < kept.n; i++)
        ttrpc_call_reply_empty(kept.calls[i]);
    fd_close(cancel);
    fd_close(gone);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_errors),
        cmocka_unit_test(big_messages_pass_and_bigger_ones_do_not),
        cmocka_unit_test(answers_come_in_any_order),
        cmocka_unit_test(deadline_and_cancel),
        cmocka_unit_test(a_lost_client_cancels_its_calls),
        cmocka_unit_test(a_lost_server_ends_the_calls),
        cmocka_unit_test(bad_frames_get_errors_and_the_connection_goes_on),
        cmocka_unit_test(connections_are_refused_without_descriptors),
        cmocka_unit_test(many_threads_share_a_link),
    };
    return cmocka_run_group_tests_name("ttrpc", tests, NULL, NULL);
}
