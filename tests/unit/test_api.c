/*
 * The API over an engine that is a fake: routes, versions, errors, bodies and streams, as raw bytes
 * on a unix socket.
 */
#include "test.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "api/api.h"
#include "api/route.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "fake_engine.h"
#include "sys/fd.h"
#include "sys/path.h"

static char dir[] = "/tmp/hull-test-api-XXXXXX";
static char path[64];
static struct http_server *server;
static const struct api api;

static int start(void **state)
{
    (void)state;
    struct err e = {0};
    log_init(2, LOG_ERROR + 1);
    fake_release_fd = eventfd(0, EFD_CLOEXEC);
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/s", dir);
    server = http_server_new(
        &(struct http_server_opts){.handler = api_handle, .arg = (void *)(uintptr_t)&api});
    return http_server_listen_unix(server, path, 0600, (gid_t)-1, &e) < 0 ||
                   http_server_start(server, &e) < 0
               ? -1
               : 0;
}

static int stop(void **state)
{
    (void)state;
    struct err e = {0};
    http_server_free(server);
    fd_close(fake_release_fd);
    return path_remove_tree(AT_FDCWD, dir, &e);
}

static struct stream *dial(void)
{
    struct err e = {0};
    struct stream *s = NULL;
    assert_ok(stream_dial_unix(path, &s, &e));
    stream_set_deadline(s, time_mono_ns() + 20 * NS_PER_S);
    return s;
}

static void read_until(struct stream *s, const char *until, struct buf *out)
{
    struct err e = {0};
    char part[4096];
    while (until == NULL || strstr(buf_cstr(out), until) == NULL) {
        ssize_t n = stream_read(s, part, sizeof(part), &e);
        if (n < 0)
            fail_msg("%s; so far: %s", e.msg, buf_cstr(out));
        if (n == 0)
            break;
        buf_add(out, part, (size_t)n);
    }
}

/* Send a head (without Host and the empty line) and a body, read all that comes. */
static struct buf ask(const char *head, const char *body)
{
    struct err e = {0};
    struct stream *s = dial();
    struct buf out = BUF_MAX(1 << 20);
    auto_free char *text =
        body == NULL
            ? mem_printf("%s\r\nHost: d\r\nConnection: close\r\n\r\n", head)
            : mem_printf("%s\r\nHost: d\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                         head, strlen(body), body);
    /* a body that is refused is not read to its end: the connection may be reset behind the answer
     */
    (void)stream_write(s, text, strlen(text), &e);
    char part[4096];
    for (ssize_t n; (n = stream_read(s, part, sizeof(part), &e)) > 0;)
        buf_add(&out, part, (size_t)n);
    stream_close(s);
    return out;
}

/* The answer must begin with this status and contain the text. */
static void expect(const char *head, const char *body, int status, const char *wanted)
{
    auto_buf struct buf got = ask(head, body);
    if (strtol(buf_cstr(&got) + MIN(9, got.n), NULL, 10) != status ||
        memmem(buf_cstr(&got), got.n, wanted, strlen(wanted)) == NULL)
        fail_msg("%s: expected %d \"%s\", got %s", head, status, wanted, buf_cstr(&got));
}

#define JSON "\r\nContent-Type: application/json"

/* Fill in the variables of a documented path. */
static char *example(const char *doc_path)
{
    struct buf b = BUF_MAX(500);
    for (const char *p = doc_path; *p != '\0'; p++) {
        if (*p == '{') {
            buf_adds(&b, strncmp(p, "{name}", 6) == 0 && strncmp(doc_path, "/images", 7) == 0
                             ? "team/app:1"
                             : "x");
            p = strchr(p, '}');
        } else {
            buf_addc(&b, *p);
        }
    }
    return buf_take(&b);
}

static void every_endpoint_of_docker_has_a_route(void **state)
{
    (void)state;
    auto_free char *file = mem_printf("%s/tests/cases/engine-api.tsv", getenv("HULL_SOURCE_DIR"));
    auto_arena struct arena *a = arena_new();
    FILE *f = fopen(file, "re");
    char line[8192];
    int n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        struct str rest = str_of(line);
        (void)str_cut(&rest, '\t');
        struct str method = str_cut(&rest, '\t'), doc = str_cut(&rest, '\t');
        if (doc.n == 0 || doc.p[0] != '/' || str_eq(method, "OPTIONS"))
            continue;
        const char *vars[REQ_VARS_MAX];
        auto_free char *text = str_dup(doc), *m = str_dup(method), *p = example(text);
        const struct route *r = route_find(m, p, a, vars);
        if (r == NULL)
            fail_msg("no route for %s %s", m, text);
        if ((r->handler == NULL) == (r->missing == NULL))
            fail_msg("%s %s: neither answered nor missing, or both", m, text);
        n++;
    }
    fclose(f);
    assert_true(n > 100);
}

static void paths_are_matched_exactly(void **state)
{
    (void)state;
    expect("GET /nope HTTP/1.1", NULL, 404, "{\"message\":\"page not found\"}\n");
    expect("GET /containers/json/ HTTP/1.1", NULL, 404, "page not found");
    expect("GET /Containers/json HTTP/1.1", NULL, 404, "page not found");
    expect("DELETE /containers/json/x/y HTTP/1.1", NULL, 404, "page not found");
    expect("GET /containers//json HTTP/1.1", NULL, 404, "page not found");
    expect("PATCH /info HTTP/1.1", NULL, 404, "page not found");
    expect("OPTIONS /whatever HTTP/1.1", NULL, 200, "");
    expect("GET /v1.51/images/team/app:1/json HTTP/1.1", NULL, 200, "{\"api\":51}\n");
    expect("GET /v1.41/images/team%2Fapp:1/json HTTP/1.1", NULL, 200, "{\"api\":41}\n");
    expect("GET /images/nope/json HTTP/1.1", NULL, 404, "{\"message\":\"No such image: nope\"}\n");
    auto_buf struct buf got = ask("GET /nope HTTP/1.1", NULL);
    assert_null(strstr(got.p, "Api-Version")); /* bare, as dockerd's */
}

static void versions_have_a_window(void **state)
{
    (void)state;
    expect("GET /v1.23/_ping HTTP/1.1", NULL, 400,
           "{\"message\":\"client version 1.23 is too old. Minimum supported API version is 1.24, "
           "please "
           "upgrade your client to a newer version\"}\n");
    expect("GET /v1.52/_ping HTTP/1.1", NULL, 400,
           "client version 1.52 is too new. Maximum supported API version is 1.51");
    expect("GET /v2.0/_ping HTTP/1.1", NULL, 400, "too new");
    expect("GET /v0.1/_ping HTTP/1.1", NULL, 400, "too old");
    expect("GET /v1.24/_ping HTTP/1.1", NULL, 200, "OK");
    expect("GET /v1.51/_ping HTTP/1.1", NULL, 200, "OK");
    expect("POST /v1.24/containers/prune HTTP/1.1", NULL, 400,
           "POST /containers/prune requires minimum API version 1.25");
    auto_buf struct buf got = ask("HEAD /_ping HTTP/1.1", NULL);
    assert_non_null(strstr(got.p, "\r\nApi-Version: 1.51\r\n"));
    assert_non_null(strstr(got.p, "\r\nDocker-Experimental: false\r\n"));
    assert_non_null(strstr(got.p, "\r\nOstype: linux\r\n"));
    assert_non_null(strstr(got.p, "\r\nServer: Hull/"));
    assert_non_null(strstr(got.p, "\r\nBuilder-Version: 1\r\n"));
    assert_non_null(strstr(got.p, "\r\nContent-Length: 0\r\n"));
}

static void what_is_missing_says_so(void **state)
{
    (void)state;
    expect("POST /v1.51/build HTTP/1.1", NULL, 501,
           "{\"message\":\"building images is not supported yet\"}\n");
    expect("GET /services HTTP/1.1", NULL, 501, "swarm mode is not supported yet");
}

static void parameters_are_read_as_docker_does(void **state)
{
    (void)state;
    expect("GET /containers/json?all=1&size=False&limit=3&filters=%7B%22a%22%3A1%7D HTTP/1.1", NULL,
           200, "[]\n");
    assert_string_equal(fake_call, "list 1 0 3 {\"a\":1}");
    expect("GET /containers/json?all=none&size=maybe HTTP/1.1", NULL, 200, "[]\n");
    assert_string_equal(fake_call, "list 0 1 0 -");
    expect("GET /containers/json?limit=x HTTP/1.1", NULL, 400, "strconv.Atoi: parsing \\\"x\\\"");
    expect("POST /containers/web/stop?t=5&signal=INT HTTP/1.1", NULL, 204, "");
    assert_string_equal(fake_call, "stop INT 5");
    expect("POST /v1.41/containers/web/stop?signal=INT HTTP/1.1", NULL, 204, "");
    assert_string_equal(fake_call, "stop - -2147483648");
    expect("POST /containers/web/stop HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded",
           "t=7", 204, "");
    assert_string_equal(fake_call, "stop - 7");
    expect("POST /containers/web/resize?h=1 HTTP/1.1", NULL, 400, "strconv.Atoi");
    expect("POST /containers/web/resize?h=1&w=-1 HTTP/1.1", NULL, 400, "strconv.Atoi");
    expect("POST /containers/web/start HTTP/1.1", NULL, 304, "HTTP/1.1 304 Not Modified");
    expect("POST /containers/web/start HTTP/1.1" JSON, "{\"Image\":\"x\"}", 400,
           "non-empty request body");
    expect("POST /containers/nope/start HTTP/1.1", NULL, 404, "No such container: nope");
    expect("POST /images/a/b:1/tag?repo=c&tag=2 HTTP/1.1", NULL, 201, "");
    assert_string_equal(fake_call, "tag a/b:1 c 2");
    expect("GET /images/get?names=a&names=b HTTP/1.1", NULL, 200, "application/x-tar");
    assert_string_equal(fake_call, "a b ");
}

static void bodies_must_be_json(void **state)
{
    (void)state;
    expect("POST /v1.44/containers/create?name=n HTTP/1.1" JSON "; charset=utf-8",
           "{\"Image\":\"i\"}", 201, "{\"Id\":\"x\",\"Warnings\":[]}\n");
    assert_string_equal(fake_call, "create n 44 {\"Image\":\"i\"}");
    expect("POST /containers/create HTTP/1.1\r\nContent-Type: text/plain", "{}", 400,
           "unsupported Content-Type header (text/plain): must be 'application/json'");
    expect("POST /containers/create HTTP/1.1", "{}", 400, "must be 'application/json'");
    expect("POST /containers/create HTTP/1.1", NULL, 400,
           "invalid JSON: got EOF while reading request body");
    expect("POST /exec/e1/start HTTP/1.1" JSON, "{\"Detach\":1}", 400, "invalid JSON");
    auto_free char *big = mem_alloc((5 << 20) + 1);
    memset(big, ' ', 5 << 20);
    expect("POST /containers/create HTTP/1.1" JSON, big, 413, "request body is larger than");
}

static void a_wait_answers_its_head_at_once(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *s = dial();
    auto_buf struct buf got = BUF_MAX(1 << 16);
    static const char text[] =
        "POST /containers/web/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n";
    uint64_t one = 1;
    assert_ok(stream_write(s, text, sizeof(text) - 1, &e));
    read_until(s, "\r\n\r\n", &got);
    assert_int_equal(write(fake_release_fd, &one, 8), 8);
    read_until(s, "0\r\n\r\n", &got);
    assert_non_null(
        strstr(got.p, "{\"StatusCode\":137,\"Error\":{\"Message\":\"it \\\"broke\\\"\"}}\n"));
    assert_int_equal(read(fake_release_fd, &one, 8), 8);
    expect("POST /containers/web/wait?condition=x HTTP/1.1", NULL, 400, "invalid condition");
    expect("POST /containers/nope/wait HTTP/1.1", NULL, 404, "No such container");
}

static void events_begin_with_their_head(void **state)
{
    (void)state;
    struct err e = {0};
    auto_stream struct stream *s = dial();
    auto_buf struct buf got = BUF_MAX(1 << 16);
    uint64_t one = 1;
    assert_ok(stream_write(s, "GET /events HTTP/1.1\r\nHost: d\r\n\r\n", 33, &e));
    read_until(s, "\r\n\r\n", &got);
    assert_int_equal(write(fake_release_fd, &one, 8), 8);
    read_until(s, "0\r\n\r\n", &got);
    assert_non_null(strstr(got.p, "{\"Type\":\"x\"}\n"));
    assert_int_equal(read(fake_release_fd, &one, 8), 8);
    expect("GET /events?filters=x HTTP/1.1", NULL, 400, "invalid filter");
}

static void logs_tell_errors_in_a_frame(void **state)
{
    (void)state;
    auto_buf struct buf got = ask("GET /containers/web/logs?stdout=1 HTTP/1.0", NULL);
    assert_non_null(strstr(got.p, "Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
    assert_non_null(memmem(got.p, got.n, "\1\0\0\0\0\0\0\3hi\n", 11));
    assert_non_null(memmem(got.p, got.n, "\2\0\0\0\0\0\0\032Error grabbing logs: disk\n", 34));
    expect("GET /v1.41/containers/web/logs?stdout=1 HTTP/1.1", NULL, 200,
           "application/vnd.docker.raw-stream");
    expect("GET /containers/web/logs HTTP/1.1", NULL, 400,
           "must specify at least one of 'stdout' or 'stderr'");
    expect("GET /containers/web/logs?stdout=1&details=1 HTTP/1.1", NULL, 501,
           "does not support reading");
}

static void attach_takes_the_connection_or_fails_raw(void **state)
{
    (void)state;
    struct err e = {0};
    auto_buf struct buf got = BUF_MAX(1 << 16);
    auto_stream struct stream *s = dial();
    static const char text[] = "POST /v1.51/containers/web/attach?stream=1&stdin=1&stdout=1 "
                               "HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
                               "Upgrade: tcp\r\n\r\nping";
    assert_ok(stream_write(s, text, sizeof(text) - 1, &e));
    assert_ok(stream_shut(s, &e));
    read_until(s, NULL, &got);
    static const char want[] =
        "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
        "application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\n"
        "Upgrade: tcp\r\n\r\nout:ping\1\0\0\0\0\0\0\36Error attaching: shim is gone\n";
    assert_int_equal(got.n, sizeof(want) - 1);
    assert_memory_equal(got.p, want, sizeof(want) - 1);
    auto_buf struct buf none =
        ask("POST /containers/nope/attach?stream=1 HTTP/1.1\r\nUpgrade: tcp", NULL);
    assert_string_equal(
        none.p, "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
                "No such container: nope\r\n");
    auto_buf struct buf keys = ask("POST /containers/web/attach?detachKeys=x HTTP/1.1", NULL);
    assert_non_null(strstr(keys.p, "400 Bad Request\r\n"));
    assert_non_null(strstr(keys.p, "Invalid detach keys\r\n"));
}

static void exec_start_hijacks_with_the_usual_headers(void **state)
{
    (void)state;
    auto_buf struct buf got = ask("POST /exec/e1/start HTTP/1.1\r\nUpgrade: tcp" JSON,
                                  "{\"Tty\":true,\"ConsoleSize\":[40,120]}");
    assert_string_equal(fake_call, "exec 0 1 120x40");
    assert_non_null(
        strstr(got.p, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                      "Connection: Upgrade\r\nUpgrade: tcp\r\n"));
    assert_non_null(strstr(got.p, "Api-Version: 1.51\r\n"));
    assert_non_null(strstr(got.p, "\r\n\r\nrun:no such file\r\n"));
    auto_buf struct buf framed = ask("POST /exec/e1/start HTTP/1.1", NULL);
    assert_non_null(
        strstr(framed.p, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"));
    assert_non_null(memmem(framed.p, framed.n, "run:\1\0\0\0\0\0\0\016no such file\r\n", 26));
    expect("POST /exec/e1/start HTTP/1.1" JSON, "{\"Detach\":true}", 200, "Content-Length: 0");
    expect("POST /exec/nope/start HTTP/1.1" JSON, "{}", 404,
           "{\"message\":\"No such exec instance: nope\"}\n");
    expect("POST /exec/e1/start HTTP/1.1" JSON, "{\"ConsoleSize\":[1,2]}", 400, "console size");
}

static void a_pull_fails_with_a_status_until_it_has_said_something(void **state)
{
    (void)state;
    expect("POST /images/create?fromImage=a/b&tag=1 HTTP/1.1\r\nX-Registry-Auth: e30=", NULL, 200,
           "{\"status\":\"x\"}\r\n");
    assert_string_equal(fake_call, "pull a/b 1 e30=");
    expect("POST /images/create?fromImage=nothing HTTP/1.1", NULL, 404,
           "{\"message\":\"pull access denied for nothing\"}\n");
    expect("POST /images/create?fromSrc=http://x/y HTTP/1.1", NULL, 501, "importing from a URL");
}

static void registries_are_asked(void **state)
{
    (void)state;
    expect(
        "POST /v1.51/images/r.example:5000/team/app/push?tag=1 HTTP/1.1\r\nX-Registry-Auth: e30=",
        NULL, 200, "{\"status\":\"x\"}\r\n");
    assert_string_equal(fake_call, "push r.example:5000/team/app 1 - e30=");
    expect("POST /v1.46/images/app/push?platform=%7B%7D HTTP/1.1", NULL, 200, "x");
    assert_string_equal(fake_call, "push app - {} -");
    expect("POST /v1.45/images/app/push?platform=%7B%7D HTTP/1.1", NULL, 200, "x");
    assert_string_equal(fake_call, "push app - - -");
    expect("GET /distribution/team/app:1/json HTTP/1.1", NULL, 200, "{}");
    assert_string_equal(fake_call, "distribution team/app:1 -");
    expect("GET /images/search?term=a/b&limit=3&filters=%7B%7D HTTP/1.1", NULL, 200, "[]");
    assert_string_equal(fake_call, "search a/b 3 {}");
    expect("POST /auth HTTP/1.1" JSON, "{\"username\":\"u\",\"password\":\"right\"}", 200, "{}");
    expect("POST /auth HTTP/1.1" JSON, "{\"username\":\"u\"}", 401,
           "{\"message\":\"incorrect username or password\"}\n");
}

static void a_load_reads_all_and_may_answer_meanwhile(void **state)
{
    (void)state;
    expect("POST /images/load HTTP/1.1\r\nContent-Type: application/x-tar", "0123456789", 200,
           "Content-Length: 0");
    assert_string_equal(fake_call, "load 1 10");
    expect("POST /images/load?quiet=0 HTTP/1.1", "0123456789", 200, "\r\n.\r\n");
    assert_string_equal(fake_call, "load 0 10");
}

static void archives_need_a_path(void **state)
{
    (void)state;
    expect("HEAD /containers/web/archive?path=%2Fa+b HTTP/1.1", NULL, 200,
           "\r\nX-Docker-Container-Path-Stat: e30=\r\n");
    expect("HEAD /containers/web/archive?path=/x HTTP/1.1", NULL, 404, "");
    expect("GET /containers/web/archive HTTP/1.1", NULL, 400,
           "bad parameter: path cannot be empty");
}

static void stats_are_a_stream_or_one_document(void **state)
{
    (void)state;
    expect("GET /containers/web/stats HTTP/1.1", NULL, 200, "{}\n");
    assert_string_equal(fake_call, "stats 1 0 51");
    expect("GET /v1.41/containers/web/stats?stream=0&one-shot=1 HTTP/1.1", NULL, 200, "{}\n");
    assert_string_equal(fake_call, "stats 0 1 41");
    expect("GET /containers/web/stats?one-shot=1 HTTP/1.1", NULL, 400,
           "cannot have stream=true and one-shot=true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_of_docker_has_a_route),
        cmocka_unit_test(paths_are_matched_exactly),
        cmocka_unit_test(versions_have_a_window),
        cmocka_unit_test(what_is_missing_says_so),
        cmocka_unit_test(parameters_are_read_as_docker_does),
        cmocka_unit_test(bodies_must_be_json),
        cmocka_unit_test(a_wait_answers_its_head_at_once),
        cmocka_unit_test(events_begin_with_their_head),
        cmocka_unit_test(logs_tell_errors_in_a_frame),
        cmocka_unit_test(attach_takes_the_connection_or_fails_raw),
        cmocka_unit_test(exec_start_hijacks_with_the_usual_headers),
        cmocka_unit_test(a_pull_fails_with_a_status_until_it_has_said_something),
        cmocka_unit_test(registries_are_asked),
        cmocka_unit_test(a_load_reads_all_and_may_answer_meanwhile),
        cmocka_unit_test(archives_need_a_path),
        cmocka_unit_test(stats_are_a_stream_or_one_document),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
