/* The server over real sockets: its clients are raw bytes, and curl. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/mem.h"
#include "http_world.h"
#include "sys/fd.h"
#include "sys/spawn.h"

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
        WITH_SERVER(curl_understands_us),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
