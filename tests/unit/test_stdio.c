/* A hub: attached clients, a log that output does not wait for; pumps. */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "log_fixture.h"
#include "stdio/attach.h"
#include "stdio/hub.h"
#include "stdio/jsonlog_reader.h"
#include "stdio/pump.h"
#include "sys/fd.h"

/* ---- attached clients: a hub in a thread */

struct server {
    struct loop *loop;
    struct hub *hub;
    int out, err, in; /* our ends of the container's streams */
    int stop;
    int ended; /* eventfd, written when the hub has ended */
    pthread_t thread;
};

static void hub_ended(void *arg)
{
    struct server *s = arg;
    (void)eventfd_write(s->ended, 1);
}

static void on_stop(struct source *src, int fd, uint32_t events, void *arg)
{
    struct server *s = arg;
    (void)src, (void)fd, (void)events;
    loop_stop(s->loop);
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    struct err e = {0};
    (void)loop_run(s->loop, &e);
    return NULL;
}

/* max_buffer_size: 0, output waits for its log. */
static void server_start(struct server *s, const char *driver, int64_t max_buffer_size)
{
    struct err e = {0};
    struct log_uri u = LOG_URI_DEFAULT;
    const char *build = getenv("HULL_BUILD_DIR");
    auto_free char *program =
        mem_printf("%s/src/stdio/hull-logger", build != NULL ? build : "build");
    int out[2], err[2], in[2];
    u.program = program;
    u.driver = driver;
    u.path = log_path;
    u.max_buffer_size = max_buffer_size;
    u.attach = attach_path;
    u.open_stdin = true;
    *s = (struct server){.loop = loop_new(&e),
                         .stop = eventfd(0, EFD_CLOEXEC),
                         .ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK) + pipe2(err, O_CLOEXEC | O_NONBLOCK) +
                         pipe2(in, O_CLOEXEC | O_NONBLOCK),
                     0);
    assert_ok(hub_new(s->loop, &u, false, &s->hub, &e));
    assert_ok(hub_add_output(s->hub, out[0], STDIO_OUT, &e));
    assert_ok(hub_add_output(s->hub, err[0], STDIO_ERR, &e));
    hub_set_input(s->hub, in[1]);
    hub_on_end(s->hub, hub_ended, s);
    s->out = out[1], s->err = err[1], s->in = in[0];
    assert_int_equal(fd_set_nonblock(s->out, false), 0);
    assert_int_equal(fd_set_nonblock(s->in, false), 0);
    assert_non_null(loop_add_fd(s->loop, s->stop, 1, on_stop, s, &e));
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void server_stop(struct server *s)
{
    uint64_t one = 1;
    assert_int_equal(write(s->stop, &one, sizeof(one)), sizeof(one));
    pthread_join(s->thread, NULL);
    hub_free(s->hub);
    loop_free(s->loop);
    fd_close(s->out);
    fd_close(s->err);
    fd_close(s->in);
    close(s->stop);
    close(s->ended);
}

/* Nobody prints any more: until the hub has ended. */
static void server_await_end(struct server *s)
{
    struct pollfd p = {.fd = s->ended, .events = POLLIN};
    fd_close(take_fd(&s->out));
    fd_close(take_fd(&s->err));
    assert_int_equal(poll(&p, 1, 20000), 1);
}

/* one frame, waiting at most 10 s */
static struct attach_frame receive(struct attach *a)
{
    struct err e = {0};
    struct attach_frame f;
    for (;;) {
        int r = attach_next(a, &f, &e);
        if (r < 0)
            fail_msg("%s", e.msg);
        if (r == 1)
            return f;
        struct pollfd p = {.fd = attach_fd(a), .events = attach_events(a)};
        assert_int_equal(poll(&p, 1, 10000), 1);
        if ((p.revents & POLLOUT) != 0)
            assert_true(attach_flush(a, &e) >= 0);
    }
}

static void clients_see_all_streams(void **state)
{
    (void)state;
    struct err e = {0};
    struct server s;
    struct attach *a = NULL, *b = NULL;
    unsigned have = 0;
    server_start(&s, "json-file", 0);
    assert_ok(attach_open(attach_path, ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR, 5000, &a,
                          &have, &e));
    assert_int_equal(have, ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR);
    assert_ok(attach_open(attach_path, ATTACH_STDERR, 5000, &b, NULL, &e));
    assert_int_equal(fd_write_all(s.out, "hello", 5), 0);
    struct attach_frame f = receive(a);
    assert_int_equal(f.type, ATTACH_T_STDOUT);
    assert_true(str_eq(f.data, "hello"));
    assert_memory_equal(f.raw.p, "\1\0\0\0\0\0\0\5hello", 13);
    assert_int_equal(fd_write_all(s.err, "oops\n", 5), 0);
    f = receive(b);
    assert_true(f.type == ATTACH_T_STDERR && str_eq(f.data, "oops\n"));
    f = receive(a);
    assert_true(f.type == ATTACH_T_STDERR && str_eq(f.data, "oops\n"));
    char got[64] = "";
    assert_int_equal(attach_stdin(a, "typed", 5, &e), 5);
    assert_int_equal(fd_read_all(s.in, got, 5), 0);
    assert_string_equal(got, "typed");
    assert_ok(attach_close_stdin(a, &e));
    assert_int_equal(read(s.in, got, sizeof(got)), 0);
    fd_close(take_fd(&s.out));
    fd_close(take_fd(&s.err));
    assert_int_equal(receive(a).type, ATTACH_T_END);
    assert_int_equal(receive(b).type, ATTACH_T_END);
    attach_close(b);
    /* one who comes late is told so */
    assert_ok(attach_open(attach_path, ATTACH_STDOUT, 5000, &b, NULL, &e));
    assert_int_equal(receive(b).type, ATTACH_T_END);
    attach_close(a);
    attach_close(b);
    server_await_end(&s);
    server_stop(&s);
    auto_free char *text = log_content("");
    assert_non_null(strstr(text, "{\"log\":\"hello\",\"stream\":\"stdout\""));
    assert_non_null(strstr(text, "{\"log\":\"oops\\n\",\"stream\":\"stderr\""));
    assert_err(attach_open(attach_path, ATTACH_STDOUT, 5000, &a, NULL, &e), ERR_NOT_FOUND,
               "no such file");
}

static void only_who_asked_may_type(void **state)
{
    (void)state;
    struct err e = {0};
    struct server s;
    struct attach *a = NULL;
    server_start(&s, "none", 0);
    assert_ok(attach_open(attach_path, ATTACH_STDOUT, 5000, &a, NULL, &e));
    assert_int_equal(attach_stdin(a, "x", 1, &e), 1);
    struct attach_frame f = receive(a);
    assert_int_equal(f.type, ATTACH_T_ERROR);
    attach_close(a);
    server_stop(&s);
}

#define FLOOD ((size_t)8 << 20)

static void *flood(void *arg)
{
    struct server *s = arg;
    auto_free char *p = mem_alloc(FLOOD);
    for (size_t i = 0; i < FLOOD; i++)
        p[i] = (char)('a' + i / 7 % 26);
    (void)fd_write_all(s->out, p, FLOOD);
    fd_close(s->out);
    fd_close(s->err);
    s->out = s->err = -1;
    return NULL;
}

/* A slow reader holds up the writer and gets everything; a dead one does not. */
static void slow_readers_hold_up(void **state)
{
    (void)state;
    struct err e = {0};
    struct server s;
    struct attach *slow = NULL, *dead = NULL;
    pthread_t thread;
    size_t n = 0;
    server_start(&s, "none", 0);
    assert_ok(attach_open(attach_path, ATTACH_STDOUT, 5000, &slow, NULL, &e));
    assert_ok(attach_open(attach_path, ATTACH_STDOUT, 5000, &dead, NULL, &e));
    struct pollfd p = {.fd = s.out, .events = POLLOUT}; /* before flood, which gives s.out up */
    assert_int_equal(pthread_create(&thread, NULL, flood, &s), 0);
    while (poll(&p, 1, 200) == 1) /* until the pipe stays full */
        assert_int_equal(poll(NULL, 0, 20), 0);
    attach_close(dead);
    for (;;) {
        struct attach_frame f = receive(slow);
        if (f.type == ATTACH_T_END)
            break;
        for (size_t i = 0; i < f.data.n; i++, n++)
            if (f.data.p[i] != (char)('a' + n / 7 % 26))
                fail_msg("byte %zu is wrong", n);
    }
    assert_int_equal(n, FLOOD);
    pthread_join(thread, NULL);
    attach_close(slow);
    server_stop(&s);
}

/* What a client has not taken when time is up waits in its socket. */
static void the_end_keeps_what_was_printed(void **state)
{
    (void)state;
    struct err e = {0};
    struct server s;
    struct attach *a = NULL;
    size_t n = 0;
    auto_free char *p = mem_alloc(10000);
    server_start(&s, "none", 0);
    assert_ok(attach_open(attach_path, ATTACH_STDOUT, 5000, &a, NULL, &e));
    assert_int_equal(fd_set_nonblock(s.out, true), 0);
    ssize_t w;
    size_t written = 0;
    for (int idle = 0; idle<20; idle = w> 0 ? 0 : idle + 1) {
        w = write(s.out, p, 10000);
        written += w > 0 ? (size_t)w : 0;
        if (w < 0)
            assert_int_equal(poll(NULL, 0, 5), 0);
    }
    server_stop(&s);
    struct attach_frame f;
    while ((f = receive(a)).type != ATTACH_T_END)
        n += f.data.n;
    assert_int_equal(n, written);
    attach_close(a);
}

/* ---- logs that output does not wait for */

static void a_queue_loses_nothing_while_there_is_room(void **state)
{
    (void)state;
    struct server s;
    server_start(&s, "json-file", 1 << 20);
    for (int i = 0; i < 1000; i++)
        (void)dprintf(i % 2 == 0 ? s.out : s.err, "line %d\n", i);
    (void)dprintf(s.out, "unfinished");
    server_await_end(&s);
    server_stop(&s);
    auto_free char *text = log_content("");
    size_t n = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    assert_int_equal(n, 1001);
    assert_non_null(strstr(text, "{\"log\":\"line 998\\n\",\"stream\":\"stdout\""));
    assert_non_null(strstr(text, "{\"log\":\"line 999\\n\",\"stream\":\"stderr\""));
    assert_non_null(strstr(text, "{\"log\":\"unfinished\",\"stream\":\"stdout\""));
}

#define LONG_LINES 2000
#define LONG_LINE 6000 /* more than a pipe takes at once or not at all */

/* A log that nobody reads stands for a disk that is stuck: what is printed meanwhile goes on. */
static void a_full_queue_drops_whole_records(void **state)
{
    (void)state;
    struct server s;
    struct buf got = BUF_MAX(64 << 20);
    auto_free char *line = mem_alloc(LONG_LINE + 1);
    auto_free char *scratch = mem_alloc(2 * LONG_LINE);
    assert_int_equal(mkfifo(log_path, 0600), 0);
    server_start(&s, "json-file", 100000);
    memset(line, '.', LONG_LINE);
    for (int i = 0; i < LONG_LINES; i++) {
        int n = snprintf(line, LONG_LINE, "%d ", i);
        line[n] = '.';
        line[LONG_LINE - 1] = '\n';
        assert_int_equal(fd_write_all(s.out, line, LONG_LINE), 0);
    }
    auto_fd int log = open(log_path, O_RDONLY | O_CLOEXEC);
    fd_close(take_fd(&s.out));
    fd_close(take_fd(&s.err));
    assert_int_equal(fd_read_to_end(log, &got), 0);
    server_await_end(&s);
    server_stop(&s);
    struct str rest = {buf_cstr(&got), got.n};
    int64_t n = 0, last = -1;
    for (; rest.n > 0; n++) {
        struct jsonlog_record rec;
        int64_t number = -1;
        assert_true(jsonlog_parse(str_cut(&rest, '\n'), scratch, &rec));
        assert_int_equal(rec.line.n, LONG_LINE);
        assert_true(str_to_i64(str_cut(&rec.line, ' '), last + 1, LONG_LINES, &number));
        last = number;
    }
    assert_true(n > 10 && n < LONG_LINES / 2);
    buf_done(&got);
}

/* ---- pumps */

static void pump_over(void *arg)
{
    loop_stop(arg);
}

static void *drink(void *arg)
{
    int fd = *(int *)arg;
    static char got[FLOOD];
    size_t n = 0;
    ssize_t r;
    while (n < FLOOD && (r = read(fd, got + n, MIN(FLOOD - n, (size_t)5000))) > 0)
        n += (size_t)r;
    for (size_t i = 0; i < n; i++)
        if (got[i] != (char)('a' + i / 7 % 26))
            return NULL;
    return n == FLOOD ? arg : NULL;
}

static void pumps_copy_all(void **state)
{
    (void)state;
    struct err e = {0};
    int from[2], to[2];
    struct pump *p = NULL;
    struct loop *loop = loop_new(&e);
    struct server s = {.err = -1};
    pthread_t writer, reader;
    void *ok = NULL;
    assert_int_equal(pipe2(from, O_CLOEXEC | O_NONBLOCK) + pipe2(to, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(fd_set_nonblock(from[1], false) + fd_set_nonblock(to[0], false), 0);
    s.out = from[1];
    assert_ok(pump_new(loop, from[0], to[1], pump_over, loop, &p, &e));
    assert_int_equal(pthread_create(&writer, NULL, flood, &s), 0);
    assert_int_equal(pthread_create(&reader, NULL, drink, &to[0]), 0);
    assert_ok(loop_run(loop, &e));
    pthread_join(writer, NULL);
    pthread_join(reader, &ok);
    assert_non_null(ok);
    assert_true(pump_ended(p));
    pump_free(p);
    loop_free(loop);
    close(to[0]);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(clients_see_all_streams, log_dir_clean),
        cmocka_unit_test_setup(only_who_asked_may_type, log_dir_clean),
        cmocka_unit_test_setup(slow_readers_hold_up, log_dir_clean),
        cmocka_unit_test_setup(the_end_keeps_what_was_printed, log_dir_clean),
        cmocka_unit_test_setup(a_queue_loses_nothing_while_there_is_room, log_dir_clean),
        cmocka_unit_test_setup(a_full_queue_drops_whole_records, log_dir_clean),
        cmocka_unit_test(pumps_copy_all),
    };
    return cmocka_run_group_tests(tests, log_dir_make, log_dir_remove);
}
