/*
 * Server and client over real sockets: each test has its own server on a unix socket; clients are
 * raw bytes, our own client, and curl.
 */
#include "test.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/time.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

static char dir[] = "/tmp/hull-test-http-XXXXXX";
static char path[64];
static struct http_server *server;
static int entered_fd, release_fd, gone_fd; /* eventfds between handler and test */

static void signal_fd(int fd)
{
    uint64_t one = 1;
    assert(write(fd, &one, sizeof(one)) == sizeof(one));
}

/* Wait for an eventfd and take its count; false after ten seconds. */
static bool await_fd(int fd)
{
    uint64_t n;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 10000) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

#define GREETING(T, F)         \
    F(T, str, name, "Name", 0) \
    F(T, i64, count, "Count", 0)
JSON_TYPE(greeting, GREETING)
JSON_DESC(greeting, GREETING)

/* ---- handlers ---- */

static void get_hello(struct http_req *rq)
{
    http_req_header(rq, "Api-Version", "1.51");
    http_req_reply(rq, 200, "text/plain", "hello", 5);
}

static void get_query(struct http_req *rq)
{
    const char *v = http_req_query(rq, "v");
    http_req_reply(rq, 200, "text/plain", v, strlen(v));
}

static void get_missing(struct http_req *rq)
{
    struct err e;
    err_set(&e, ERR_NOT_FOUND, "No such container: \"x\"");
    http_req_error(rq, &e);
}

static void get_json(struct http_req *rq)
{
    struct greeting g = {.name = "<x>", .count = 3};
    http_req_json(rq, 201, &greeting_json, &g);
}

static void post_json(struct http_req *rq)
{
    struct err e;
    const char *text;
    size_t n;
    struct greeting g;
    if (http_req_read_all(rq, 1000, &text, &n, &e) < 0 ||
        json_parse(&greeting_json, &g, text, n, rq->arena, &e) < 0) {
        http_req_error(rq, &e);
        return;
    }
    g.count++;
    http_req_json(rq, 200, &greeting_json, &g);
}

/* Answers while the body still arrives. */
static void post_echo(struct http_req *rq)
{
    struct err e;
    auto_free char *part = mem_alloc(8192);
    http_req_begin(rq, 200, "application/octet-stream");
    for (;;) {
        ssize_t n = http_req_read(rq, part, 8192, &e);
        if (n == 0)
            return;
        if (n < 0 || http_req_write(rq, part, (size_t)n) < 0 || http_req_flush(rq) < 0) {
            http_req_fail(rq);
            return;
        }
    }
}

static void get_stream(struct http_req *rq)
{
    http_req_begin(rq, 200, "application/json");
    http_req_write(rq, "one\n", 4);
    http_req_flush(rq);
    http_req_write(rq, "two\n", 4);
    http_req_write(rq, "three\n", 6);
}

static void get_counted(struct http_req *rq)
{
    http_req_begin_length(rq, 200, "application/x-tar", 8);
    http_req_write(rq, "1234", 4);
    http_req_write(rq, "5678", 4);
}

static void get_broken(struct http_req *rq)
{
    struct err e;
    http_req_begin(rq, 200, "text/plain");
    http_req_write(rq, "part", 4);
    http_req_flush(rq);
    err_set(&e, ERR_INTERNAL, "disk");
    http_req_error(rq, &e);
}

/* An error before the first flush is still an ordinary answer. */
static void get_early_error(struct http_req *rq)
{
    struct err e;
    http_req_begin(rq, 200, "text/plain");
    http_req_write(rq, "part", 4);
    err_set(&e, ERR_CONFLICT, "too late?");
    http_req_error(rq, &e);
}

static void post_attach(struct http_req *rq)
{
    static const struct http_hijack how = {.proto = "tcp",
                                           .upgraded_type =
                                               "application/vnd.docker.multiplexed-stream",
                                           .bare_type = "application/vnd.docker.raw-stream"};
    struct err e;
    struct stream *s;
    char part[256];
    if (http_req_hijack(rq, &how, &s, &e) < 0)
        return;
    for (;;) { /* echo, and a farewell after the client's half-close */
        ssize_t n = stream_read(s, part, sizeof(part), &e);
        if (n < 0)
            return;
        if (n == 0)
            break;
        if (stream_write(s, part, (size_t)n, &e) < 0)
            return;
    }
    (void)stream_write(s, "bye", 3, &e); /* the client may be gone */
}

static void post_attach_missing(struct http_req *rq)
{
    http_req_reply_bare(rq, 404, "application/vnd.docker.raw-stream", "No such container: x");
}

static void post_wait(struct http_req *rq)
{
    struct err e;
    http_req_begin(rq, 200, "application/json");
    http_req_flush(rq);
    struct pollfd p = {.fd = http_req_gone_fd(rq), .events = POLLIN};
    bool gone_before = poll(&p, 1, 0) > 0;
    signal_fd(entered_fd);
    int r = http_req_wait(rq, release_fd, -1, &e);
    if (r < 0) {
        bool gone_after = poll(&p, 1, 0) > 0;
        if (e.kind == ERR_CANCELLED && !gone_before && gone_after)
            signal_fd(gone_fd);
        return;
    }
    http_req_write(rq, "done\n", 5);
}

static void get_peer(struct http_req *rq)
{
    struct ucred u = {0};
    char text[64];
    bool known = http_req_peer(rq, &u);
    int n = snprintf(text, sizeof(text), "%d %d %d", known, u.pid, u.uid);
    http_req_reply(rq, 200, "text/plain", text, (size_t)n);
}

/* A request that runs to its end whatever happens to client and server. */
static void post_work(struct http_req *rq)
{
    signal_fd(entered_fd);
    (void)await_fd(release_fd);
    http_req_reply(rq, 200, "text/plain", "done\n", 5);
}

static void silent(struct http_req *rq)
{
    (void)rq;
}

static const struct {
    const char *method, *path;
    void (*fn)(struct http_req *rq);
} routes[] = {
    {"GET", "/hello", get_hello},
    {"HEAD", "/hello", get_hello},
    {"HEAD", "/stream", get_stream},
    {"POST", "/hello", get_hello}, /* does not read the body */
    {"GET", "/query", get_query},
    {"GET", "/missing", get_missing},
    {"GET", "/json", get_json},
    {"POST", "/json", post_json},
    {"POST", "/echo", post_echo},
    {"GET", "/stream", get_stream},
    {"GET", "/counted", get_counted},
    {"GET", "/broken", get_broken},
    {"GET", "/early-error", get_early_error},
    {"POST", "/attach", post_attach},
    {"POST", "/attach-missing", post_attach_missing},
    {"POST", "/wait", post_wait},
    {"POST", "/work", post_work},
    {"GET", "/peer", get_peer},
    {"GET", "/silent", silent},
    {"GET", "/a b/c", get_hello},
};

static void handle(struct http_req *rq, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].method, rq->method) == 0 && strcmp(routes[i].path, rq->path) == 0) {
            routes[i].fn(rq);
            return;
        }
    }
    struct err e;
    err_set(&e, ERR_NOT_FOUND, "page not found");
    http_req_error(rq, &e);
}

/* ---- fixtures ---- */

static int start_with(struct http_server_opts o)
{
    struct err e = {0};
    o.handler = handle;
    server = http_server_new(&o);
    entered_fd = eventfd(0, EFD_CLOEXEC);
    release_fd = eventfd(0, EFD_CLOEXEC);
    gone_fd = eventfd(0, EFD_CLOEXEC);
    if (http_server_listen_unix(server, path, 0600, (gid_t)-1, &e) < 0 ||
        http_server_start(server, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return -1;
    }
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with((struct http_server_opts){.head_timeout_ms = 5000});
}

static int start_impatient(void **state)
{
    (void)state;
    return start_with((struct http_server_opts){.head_timeout_ms = 150, .max_conns = 3});
}

static int stop(void **state)
{
    (void)state;
    http_server_free(server);
    fd_close(entered_fd);
    fd_close(release_fd);
    fd_close(gone_fd);
    return 0;
}

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    struct err e = {0};
    return path_remove_tree(AT_FDCWD, dir, &e);
}

/* ---- raw clients ---- */

static struct stream *connect_raw(void)
{
    struct err e = {0};
    struct stream *s = NULL;
    assert_ok(stream_dial_unix(path, &s, &e));
    stream_set_deadline(s, time_mono_ns() + 20 * NS_PER_S);
    return s;
}

/* Everything until the server closes, or until it holds `until`. */
static void read_until(struct stream *s, const char *until, struct buf *out)
{
    struct err e = {0};
    char part[4096];
    while (until == NULL || strstr(buf_cstr(out), until) == NULL) {
        ssize_t n = stream_read(s, part, sizeof(part), &e);
        if (n < 0)
            fail_msg("read: %s; so far: %s", e.msg, buf_cstr(out));
        if (n == 0)
            break;
        buf_add(out, part, (size_t)n);
    }
}

/* Send text, half-close, and check the whole conversation's answers by what they contain. */
static void talk(const char *text, const char *const *wanted)
{
    struct err e = {0};
    auto_stream struct stream *s = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    assert_ok(stream_write(s, text, strlen(text), &e));
    assert_ok(stream_shut(s, &e));
    read_until(s, NULL, &got);
    const char *at = buf_cstr(&got);
    for (; *wanted != NULL; wanted++) {
        at = strstr(at, *wanted);
        if (at == NULL)
            fail_msg("\"%s\" is not in \"%s\"", *wanted, buf_cstr(&got));
        at += strlen(*wanted);
    }
}
#define TALK(text, ...) talk(text, (const char *const[]){__VA_ARGS__, NULL})
#define HOST "Host: docker\r\n"

static void answers_are_whole_and_connections_are_kept(void **state)
{
    (void)state;
    TALK("GET /hello HTTP/1.1\r\n" HOST "\r\nGET /a%20b/c HTTP/1.1\r\n" HOST "\r\n",
         "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: text/plain\r\nDate: ",
         " GMT\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello");
    TALK("GET /hello HTTP/1.0\r\n\r\n", "200 OK", "Connection: close\r\n\r\nhello");
    TALK("HEAD /hello HTTP/1.1\r\n" HOST "\r\nHEAD /stream HTTP/1.1\r\n" HOST
         "\r\nGET /nope HTTP/1.1\r\n" HOST "\r\n",
         "Content-Length: 5\r\n\r\nHTTP/1.1 200 OK", "chunked\r\n\r\nHTTP/1.1 404 Not Found\r\n",
         "\r\n\r\n{\"message\":\"page not found\"}\n");
    TALK("GET /query?v=%2Fa+b HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\n/a b");
    TALK("GET http://docker/query?v=abs HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\nabs");
    TALK("GET /missing HTTP/1.1\r\n" HOST "\r\n", "404 Not Found", "application/json",
         "{\"message\":\"No such container: \\\"x\\\"\"}\n");
    TALK("GET /silent HTTP/1.1\r\n" HOST "\r\n", "500 Internal Server Error", "not answered");
}

static void bodies_arrive_in_every_framing(void **state)
{
    (void)state;
    TALK("POST /json HTTP/1.1\r\n" HOST
         "Content-Length: 11\r\n\r\n{\"count\":1}GET /hello HTTP/1.1\r\n" HOST "\r\n",
         "{\"Name\":\"\",\"Count\":2}\n", "200 OK", "hello");
    TALK("POST /json HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "4\r\n{\"co\r\n7\r\nunt\":1}\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n",
         "\"Count\":2}\n", "200 OK", "hello");
    TALK("POST /json HTTP/1.1\r\n" HOST
         "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n{\"count\":1}",
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "\"Count\":2}\n");
    TALK("POST /json HTTP/1.1\r\n" HOST "Content-Length: 2000\r\n\r\n", "413",
         "larger than 1000 bytes");
    TALK("POST /json HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400",
         "chunked");
    TALK("POST /json HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n{", "503", "4 bytes are missing");
    TALK("POST /json HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n{]}", "400 Bad Request",
         "message");
}

static void ambiguous_heads_are_refused_and_end_the_connection(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "POST /json HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /json HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost : docker\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: docker\n\n",
        "GET hello HTTP/1.1\r\n" HOST "\r\n",
        "GET /hello?%00 HTTP/1.1\r\n" HOST "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_free char *text = mem_printf("%sGET /hello HTTP/1.1\r\n" HOST "\r\n", bad[i]);
        struct err e = {0};
        auto_stream struct stream *s = connect_raw();
        auto_buf struct buf got = BUF_MAX(1 << 20);
        assert_ok(stream_write(s, text, strlen(text), &e));
        read_until(s, NULL, &got);
        if (strncmp(got.p, "HTTP/1.1 400 Bad Request\r\n", 26) != 0 ||
            strstr(got.p, "hello") != NULL || strstr(got.p, "Connection: close") == NULL)
            fail_msg("case %zu: %s", i, got.p);
    }
    TALK("POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented");
}

static void a_huge_head_gets_a_clear_answer(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *s = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    auto_free char *big = mem_alloc(60 << 10);
    memset(big, 'a', 60 << 10);
    assert_ok(stream_write(s, "GET /", 5, &e));
    /* more than the limit, less than what a lingering close takes: the answer must still arrive */
    for (int i = 0; i < 4; i++)
        assert_ok(stream_write(s, big, 60 << 10, &e));
    read_until(s, NULL, &got);
    assert_non_null(strstr(got.p, "431 Request Header Fields Too Large"));
    assert_non_null(strstr(got.p, "head is larger than 65536 bytes"));
}

static void streams_are_chunked_or_end_with_the_connection(void **state)
{
    (void)state;
    TALK("GET /stream HTTP/1.1\r\n" HOST "\r\n",
         "Transfer-Encoding: chunked\r\n\r\n0004\r\none\n\r\n000a\r\ntwo\nthree\n\r\n0\r\n\r\n");
    TALK("GET /stream HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\none\ntwo\nthree\n");
    TALK("GET /counted HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 8\r\n\r\n12345678");
    TALK("GET /early-error HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 409 Conflict", "too late?");
    struct err e = {0};
    auto_stream struct stream *s = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    assert_ok(stream_write(s, "GET /broken HTTP/1.1\r\n" HOST "\r\n", 38, &e));
    read_until(s, NULL, &got);
    assert_non_null(strstr(got.p, "0004\r\npart\r\n"));
    assert_null(strstr(got.p, "0\r\n\r\n"));
}

static void hijacked_streams_start_with_what_came_early(void **state)
{
    (void)state;
    TALK("POST /attach HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly",
         "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
         "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearlybye");
    TALK("POST /attach HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nearly",
         "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nearlybye");
    TALK("POST /attach-missing HTTP/1.1\r\n" HOST "Upgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
         "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
         "No such container: x\r\n");
}

static void an_unread_body_is_skipped_or_ends_the_connection(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_MAX(4 << 20);
    auto_free char *junk = mem_alloc(1 << 20);
    memset(junk, 'x', 1 << 20);
    buf_printf(&b, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", 200 << 10);
    buf_add(&b, junk, 200 << 10);
    buf_adds(&b, "GET /counted HTTP/1.1\r\n" HOST "\r\n");
    TALK(b.p, "hello", "200 OK", "12345678");

    struct err e = {0};
    auto_stream struct stream *s = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    buf_reset(&b);
    buf_printf(&b, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", 1 << 20);
    buf_add(&b, junk, 100 << 10);
    assert_ok(stream_write(s, b.p, b.n, &e));
    read_until(s, NULL, &got); /* closed, and the answer was not lost to a reset */
    assert_non_null(strstr(got.p, "hello"));
}

static void a_client_that_goes_away_is_noticed(void **state)
{
    (void)state;
    struct err e = {0};
    struct stream *s = connect_raw();
    assert_ok(stream_write(s, "POST /wait HTTP/1.1\r\n" HOST "\r\n", 37, &e));
    assert_true(await_fd(entered_fd));
    stream_close(s);
    assert_true(await_fd(gone_fd));
}

static void heads_flush_before_the_body_is_known(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *s = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    assert_ok(stream_write(s, "POST /wait HTTP/1.1\r\n" HOST "\r\n", 37, &e));
    read_until(s, "\r\n\r\n", &got);
    assert_true(await_fd(entered_fd));
    signal_fd(release_fd);
    read_until(s, "0\r\n\r\n", &got);
    assert_non_null(strstr(got.p, "0005\r\ndone\n\r\n"));
}

static void a_slow_client_costs_only_its_own_time(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *slow = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 20);
    assert_ok(stream_write(slow, "GET /hello HT", 13, &e));
    TALK("GET /hello HTTP/1.1\r\n" HOST "\r\n", "hello");
    read_until(slow, NULL, &got);
    assert_non_null(strstr(got.p, "408 Request Timeout"));
}

static void too_many_connections_are_told_so(void **state)
{
    (void)state;
    struct err e = {0};
    struct stream *s[3];
    for (int i = 0; i < 3; i++) {
        auto_buf struct buf got = BUF_MAX(1 << 16);
        s[i] = connect_raw();
        assert_ok(stream_write(s[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n", 37, &e));
        read_until(s[i], "hello", &got);
    }
    auto_stream struct stream *one_more = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 16);
    read_until(one_more, NULL, &got);
    assert_non_null(strstr(got.p, "503 Service Unavailable"));
    for (int i = 0; i < 3; i++)
        stream_close(s[i]);
    while (http_server_conns(server) > 0)
        sched_yield();
    TALK("GET /hello HTTP/1.1\r\n" HOST "\r\n", "hello");
}

static void *stop_main(void *arg)
{
    (void)arg;
    http_server_stop(server, 20000);
    return NULL;
}

static void stopping_lets_work_finish_and_ends_what_waits(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *idle = connect_raw(), *busy = connect_raw(), *waits = connect_raw(),
                              *raw = connect_raw();
    auto_buf struct buf got = BUF_MAX(1 << 16), rest = BUF_MAX(1 << 16);
    char byte;
    assert_ok(stream_write(idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n", 37, &e));
    read_until(idle, "hello", &rest);
    buf_reset(&rest);
    assert_ok(stream_write(raw, "POST /attach HTTP/1.1\r\n" HOST "\r\n", 39, &e));
    read_until(raw, "\r\n\r\n", &rest);
    assert_ok(stream_write(waits, "POST /wait HTTP/1.1\r\n" HOST "\r\n", 37, &e));
    assert_true(await_fd(entered_fd));
    assert_ok(stream_write(busy, "POST /work HTTP/1.1\r\n" HOST "\r\n", 37, &e));
    assert_true(await_fd(entered_fd));
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, stop_main, NULL), 0);
    read_until(idle, NULL, &rest); /* closed while another is in work, as are the next two */
    read_until(waits, NULL, &rest);
    assert_int_equal(stream_read(raw, &byte, 1, &e),
                     0); /* without the farewell: it was no half-close */
    signal_fd(release_fd);
    read_until(busy, NULL, &got);
    assert_non_null(strstr(got.p, "\r\n\r\ndone\n"));
    pthread_join(t, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void unix_sockets_have_their_mode_and_owner(void **state)
{
    (void)state;
    struct err e = {0};
    struct stat st;
    auto_free char *other = mem_printf("%s/other", dir), *file = mem_printf("%s/file", dir);
    struct http_server *s = http_server_new(&(struct http_server_opts){.handler = handle});
    assert_ok(http_server_listen_unix(s, other, 0660, 1234, &e));
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, 1234);
    assert_err(http_server_listen_unix(s, other, 0660, 1234, &e), ERR_EXISTS,
               "another process listens");
    fd_close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_err(http_server_listen_unix(s, file, 0660, (gid_t)-1, &e), ERR_EXISTS, "not a socket");
    http_server_free(s);
    /* a socket file left behind by a killed process */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, other, strlen(other));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    fd_close(fd);
    s = http_server_new(&(struct http_server_opts){.handler = handle});
    assert_ok(http_server_listen_unix(s, other, 0600, (gid_t)-1, &e));
    http_server_free(s);
}

static void peers_are_known(void **state)
{
    (void)state;
    char want[64];
    snprintf(want, sizeof(want), "\r\n\r\n1 %d %u", getpid(), geteuid());
    TALK("GET /peer HTTP/1.1\r\n" HOST "\r\n", want);
}

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

/* ---- curl ---- */

static int run_curl(const char *args, struct buf *out)
{
    struct err e = {0};
    struct proc p = PROC_NONE;
    int r, w, status;
    auto_free char *line = mem_printf("exec curl -sS -m 20 --unix-socket %s %s", path, args);
    assert_int_equal(fd_pipe(&r, &w, 0), 0);
    const struct spawn_fd fds[] = {{1, w}, {2, 2}};
    const char *const argv[] = {"sh", "-c", line, NULL};
    assert_ok(
        spawn(&(struct spawn_opts){.path = "sh", .argv = argv, .fds = fds, .n_fds = 2}, &p, &e));
    fd_close(w);
    assert_int_equal(fd_read_to_end(r, out), 0);
    fd_close(r);
    assert_ok(proc_wait(&p, 30000, -1, &status, &e));
    proc_done(&p);
    return status;
}

static void curl_understands_us(void **state)
{
    (void)state;
    if (access("/usr/bin/curl", X_OK) < 0)
        skip();
    auto_buf struct buf out = BUF_MAX(16 << 20);
    assert_int_equal(run_curl("http://d/hello http://d/stream http://d/counted", &out), 0);
    assert_string_equal(buf_cstr(&out), "helloone\ntwo\nthree\n12345678");
    buf_reset(&out);
    assert_int_equal(
        run_curl("-T /bin/sh -X POST http://d/echo | cmp - /bin/sh && echo same", &out), 0);
    assert_string_equal(buf_cstr(&out), "same\n");
    buf_reset(&out);
    assert_int_equal(
        run_curl("-T - -X POST http://d/echo < /bin/sh | cmp - /bin/sh && echo same", &out), 0);
    assert_string_equal(buf_cstr(&out), "same\n");
    buf_reset(&out);
    assert_int_equal(
        run_curl("-I http://d/hello http://d/stream -o /dev/null -w '%{http_code} '", &out), 0);
    assert_int_equal(run_curl("http://d/broken", &out), 18); /* partial transfer */
}

#define WITH_SERVER(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
#define IMPATIENT(fn) cmocka_unit_test_setup_teardown(fn, start_impatient, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(answers_are_whole_and_connections_are_kept),
        WITH_SERVER(bodies_arrive_in_every_framing),
        WITH_SERVER(ambiguous_heads_are_refused_and_end_the_connection),
        WITH_SERVER(a_huge_head_gets_a_clear_answer),
        WITH_SERVER(streams_are_chunked_or_end_with_the_connection),
        WITH_SERVER(hijacked_streams_start_with_what_came_early),
        WITH_SERVER(an_unread_body_is_skipped_or_ends_the_connection),
        WITH_SERVER(a_client_that_goes_away_is_noticed),
        WITH_SERVER(heads_flush_before_the_body_is_known),
        IMPATIENT(a_slow_client_costs_only_its_own_time),
        IMPATIENT(too_many_connections_are_told_so),
        WITH_SERVER(stopping_lets_work_finish_and_ends_what_waits),
        cmocka_unit_test(unix_sockets_have_their_mode_and_owner),
        WITH_SERVER(peers_are_known),
        WITH_SERVER(the_client_reads_documents_and_errors),
        WITH_SERVER(a_connection_closed_by_the_server_is_dialled_anew),
        WITH_SERVER(cut_answers_are_errors),
        WITH_SERVER(big_bodies_go_both_ways_at_once),
        WITH_SERVER(an_early_refusal_is_read_during_the_upload),
        WITH_SERVER(the_client_takes_connections_over),
        cmocka_unit_test(a_full_direction_does_not_stop_the_other),
        cmocka_unit_test(a_pump_ends_when_told_or_when_the_client_is_gone),
        WITH_SERVER(curl_understands_us),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
