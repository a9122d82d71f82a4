/* Our own client with our server, and the pump between two streams. */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "http_world.h"
#include "rpc/http_client.h"
#include "sys/fd.h"

/* ---- our own client ---- */

static void the_client_reads_documents_and_errors(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct http_client *c = http_client_new_unix(path);
    struct greeting in = {.name = "x", .count = 41}, out;
    for (int i = 0; i < 3; i++) {
        assert_ok(
            http_client_json(c, "POST", "/json", &greeting_json, &in, &greeting_json, &out, a, &e));
        assert_int_equal(out.count, 42);
    }
    assert_int_equal(http_server_conns(server), 1); /* the connection was kept */
    assert_err(http_client_json(c, "GET", "/missing", NULL, NULL, NULL, NULL, a, &e), ERR_NOT_FOUND,
               "No such container: \"x\"");
    assert_ok(http_client_json(c, "GET", "/stream", NULL, NULL, NULL, NULL, a, &e));
    assert_int_equal(http_server_conns(server), 1);
    http_client_free(c);
    c = http_client_new_unix("/tmp/hull-no-such.sock");
    assert_err(http_client_json(c, "GET", "/json", NULL, NULL, NULL, NULL, a, &e), ERR_NOT_FOUND,
               "/tmp/hull-no-such.sock");
    http_client_free(c);
}

static void a_connection_closed_by_the_server_is_dialled_anew(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct http_client *c = http_client_new_unix(path);
    struct greeting out;
    assert_ok(http_client_json(c, "GET", "/json", NULL, NULL, &greeting_json, &out, a, &e));
    http_server_free(server);
    server = http_server_new(&(struct http_server_opts){.handler = handle});
    assert_ok(http_server_listen_unix(server, path, 0600, (gid_t)-1, &e));
    assert_ok(http_server_start(server, &e));
    assert_ok(http_client_json(c, "GET", "/json", NULL, NULL, &greeting_json, &out, a, &e));
    http_client_free(c);
}

static void cut_answers_are_errors(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c = http_client_new_unix(path);
    struct http_resp *r = NULL;
    auto_buf struct buf got = BUF_MAX(1000);
    assert_ok(
        http_client_call(c, &(struct http_call){.method = "GET", .target = "/broken"}, &r, &e));
    assert_err(http_resp_read_all(r, &got, &e), ERR_UNAVAILABLE, "unexpected end");
    assert_string_equal(buf_cstr(&got), "part");
    http_resp_free(r);
    http_client_free(c);
}

#define BIG (48u << 20)

/* The n bytes at offset at of the test's endless pattern. */
static void pattern(char *p, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)((at + i) * 2654435761u >> 13);
}

static ssize_t give_pattern(void *arg, void *p, size_t n, struct err *e)
{
    (void)e;
    size_t *at = arg;
    n = MIN(n, BIG - *at);
    pattern(p, *at, n);
    *at += n;
    return (ssize_t)n;
}

static void check_echo(struct http_client *c, const struct http_call *call)
{
    struct err e = {0};
    struct http_resp *r = NULL;
    auto_free char *part = mem_alloc(1 << 16), *want = mem_alloc(1 << 16);
    size_t at = 0;
    assert_ok(http_client_call(c, call, &r, &e));
    assert_ok(http_resp_check(r, &e));
    for (;;) {
        ssize_t n = http_resp_read(r, part, 1 << 16, &e);
        if (n < 0)
            fail_msg("at %zu: %s", at, e.msg);
        if (n == 0)
            break;
        pattern(want, at, (size_t)n);
        assert_memory_equal(part, want, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(at, BIG);
    http_resp_free(r);
}

static void big_bodies_go_both_ways_at_once(void **state)
{
    (void)state;
    struct http_client *c = http_client_new_unix(path);
    size_t at = 0;
    check_echo(c,
               &(struct http_call){
                   .method = "POST", .target = "/echo", .body_fn = give_pattern, .body_arg = &at});
    auto_free char *name = mem_printf("%s/big", dir), *all = mem_alloc(BIG);
    auto_fd int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    pattern(all, 0, BIG);
    assert_int_equal(fd_write_all(fd, all, BIG), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    check_echo(c, &(struct http_call){
                      .method = "POST", .target = "/echo", .stream_fd = true, .body_fd = fd});
    check_echo(
        c, &(struct http_call){.method = "POST", .target = "/echo", .body = all, .n_body = BIG});
    assert_int_equal(http_server_conns(server), 1);
    http_client_free(c);
}

static void an_early_refusal_is_read_during_the_upload(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c = http_client_new_unix(path);
    struct http_resp *r = NULL;
    size_t at = 0;
    struct http_call call = {
        .method = "POST", .target = "/nope", .body_fn = give_pattern, .body_arg = &at};
    assert_ok(http_client_call(c, &call, &r, &e));
    assert_err(http_resp_check(r, &e), ERR_NOT_FOUND, "page not found");
    http_resp_free(r);
    http_client_free(c);
}

static void the_client_takes_connections_over(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const upgrade[] = {"tcp", NULL};
    for (int i = 0; i < 2; i++) {
        struct http_client *c = http_client_new_unix(path);
        struct http_call call = {.method = "POST", .target = "/attach", .upgrade = upgrade[i]};
        struct http_resp *r = NULL;
        struct stream *s = NULL;
        auto_buf struct buf got = BUF_MAX(1000);
        assert_ok(http_client_call(c, &call, &r, &e));
        assert_int_equal(r->status, i == 0 ? 101 : 200);
        assert_ok(http_resp_hijack(r, &s, &e));
        http_resp_free(r);
        assert_ok(stream_write(s, "ping", 4, &e));
        read_until(s, "ping", &got);
        assert_ok(stream_shut(s, &e));
        read_until(s, NULL, &got);
        assert_string_equal(buf_cstr(&got), "pingbye");
        stream_close(s);
        http_client_free(c);
    }
    struct http_client *c = http_client_new_unix(path);
    struct http_resp *r = NULL;
    struct stream *s;
    assert_ok(http_client_call(c, &(struct http_call){.method = "GET", .target = "/json"}, &r, &e));
    assert_err(http_resp_hijack(r, &s, &e), ERR_UNAVAILABLE, "did not hand over");
    http_resp_free(r);
    http_client_free(c);
}

/* ---- the pump ---- */

struct pump_job {
    struct stream *a, *b;
    int cancel_fd, result;
    struct err e;
};

static void *pump_main(void *arg)
{
    struct pump_job *j = arg;
    j->result = stream_pump(j->a, j->b, j->cancel_fd, &j->e);
    return NULL;
}

/* Two socket pairs joined by a pump in a thread; the outer ends are ours. */
static pthread_t start_pump(struct pump_job *j, struct stream **a, struct stream **b)
{
    int l[2], r[2];
    pthread_t t;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r), 0);
    *a = stream_of_socket(l[0]);
    *b = stream_of_socket(r[0]);
    *j = (struct pump_job){
        stream_of_socket(l[1]), stream_of_socket(r[1]), eventfd(0, EFD_CLOEXEC), 1, {0}};
    assert_int_equal(pthread_create(&t, NULL, pump_main, j), 0);
    return t;
}

static void end_pump(struct pump_job *j, pthread_t t)
{
    pthread_join(t, NULL);
    fd_close(j->cancel_fd);
    stream_close(j->a);
    stream_close(j->b);
}

static void a_full_direction_does_not_stop_the_other(void **state)
{
    (void)state;
    struct err e = {0};
    struct pump_job j;
    struct stream *a, *b;
    pthread_t t = start_pump(&j, &a, &b);
    auto_free char *big = mem_alloc(8 << 20);
    auto_buf struct buf got = BUF_MAX(9 << 20);
    size_t sent = 0;
    for (;;) { /* until everything between is full: b does not read */
        ssize_t n = stream_try_write(a, big, 1 << 16, &e);
        struct pollfd p = {.fd = a->wfd, .events = POLLOUT};
        if (n == STREAM_AGAIN && poll(&p, 1, 300) == 0)
            break;
        sent += n > 0 ? (size_t)n : 0;
    }
    assert_true(sent > 0);
    assert_ok(stream_write(b, "answer", 6, &e));
    read_until(a, "answer", &got);
    buf_reset(&got);
    assert_ok(stream_shut(a, &e));
    read_until(b, NULL, &got); /* all of it, then the half-close */
    assert_int_equal(got.n, sent);
    assert_ok(stream_write(b, "last", 4, &e));
    assert_ok(stream_shut(b, &e));
    buf_reset(&got);
    read_until(a, NULL, &got);
    assert_string_equal(buf_cstr(&got), "last");
    end_pump(&j, t);
    assert_int_equal(j.result, 0);
    stream_close(a);
    stream_close(b);
}

static void a_pump_ends_when_told_or_when_the_client_is_gone(void **state)
{
    (void)state;
    struct pump_job j;
    struct stream *a, *b;
    struct err e = {0};
    pthread_t t = start_pump(&j, &a, &b);
    signal_fd(j.cancel_fd);
    end_pump(&j, t);
    assert_int_equal(j.result, -1);
    assert_int_equal(j.e.kind, ERR_CANCELLED);
    stream_close(a);
    stream_close(b);
    t = start_pump(&j, &a, &b);
    assert_ok(stream_shut(a, &e)); /* input ends first, then the client goes: b says nothing */
    stream_close(a);
    end_pump(&j, t);
    assert_int_equal(j.result, -1);
    stream_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(the_client_reads_documents_and_errors),
        WITH_SERVER(a_connection_closed_by_the_server_is_dialled_anew),
        WITH_SERVER(cut_answers_are_errors),
        WITH_SERVER(big_bodies_go_both_ways_at_once),
        WITH_SERVER(an_early_refusal_is_read_during_the_upload),
        WITH_SERVER(the_client_takes_connections_over),
        cmocka_unit_test(a_full_direction_does_not_stop_the_other),
        cmocka_unit_test(a_pump_ends_when_told_or_when_the_client_is_gone),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
