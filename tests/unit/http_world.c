/* See http_world.h. */
#include "test.h"

#include "http_world.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "base/time.h"
#include "rpc/http_server.h"
#include "sys/fd.h"
#include "sys/path.h"

char dir[] = "/tmp/hull-test-http-XXXXXX";
char path[64];
struct http_server *server;
int entered_fd, release_fd, gone_fd;

void signal_fd(int fd)
{
    uint64_t one = 1;
    assert(write(fd, &one, sizeof(one)) == sizeof(one));
}

bool await_fd(int fd)
{
    uint64_t n;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 10000) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

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

void handle(struct http_req *rq, void *arg)
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

int start(void **state)
{
    (void)state;
    return start_with((struct http_server_opts){.head_timeout_ms = 5000});
}

int start_impatient(void **state)
{
    (void)state;
    return start_with((struct http_server_opts){.head_timeout_ms = 1000, .max_conns = 3});
}

int stop(void **state)
{
    (void)state;
    http_server_free(server);
    fd_close(entered_fd);
    fd_close(release_fd);
    fd_close(gone_fd);
    return 0;
}

int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", dir);
    return 0;
}

int remove_dir(void **state)
{
    (void)state;
    struct err e = {0};
    return path_remove_tree(AT_FDCWD, dir, &e);
}

/* ---- raw clients ---- */

struct stream *connect_raw(void)
{
    struct err e = {0};
    struct stream *s = NULL;
    assert_ok(stream_dial_unix(path, &s, &e));
    stream_set_deadline(s, time_mono_ns() + 20 * NS_PER_S);
    return s;
}

void read_until(struct stream *s, const char *until, struct buf *out)
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

void talk(const char *text, const char *const *wanted)
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
