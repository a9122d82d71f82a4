/* Log URIs; the json-file log written and read over rotations and torn ends. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/time.h"
#include "log_fixture.h"
#include "stdio/jsonlog.h"
#include "stdio/jsonlog_reader.h"
#include "stdio/log_uri.h"
#include "sys/fd.h"

/* ---- URIs */

static void uris_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text, *again; /* again: NULL, the same */
    } good[] = {
        {"binary:///x/hull-logger?driver=json-file&path=/a/"
         "b&max-size=10&max-file=3&compress=1&max-buffer-size=4096&attrs=%7B%22a%22:%22b%20c%22%7D"
         "&attach=/run/a.sock&stdin=1&mode=non-blocking",
         NULL},
        {"binary:///x/hull-logger?driver=none", NULL},
        {"binary:///x/hull-logger?path=/a%20%26%3Db&driver=json-file",
         "binary:///x/hull-logger?driver=json-file&path=/a%20%26%3Db"},
        {"binary:///x/hull-logger?path=/a+b&stdin=0",
         "binary:///x/hull-logger?driver=json-file&path=/a%20b"},
        {"binary:///x/hull-logger?path=/a&attrs={}",
         "binary:///x/hull-logger?driver=json-file&path=/a"},
    };
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        auto_arena struct arena *a = arena_new();
        auto_buf struct buf out = BUF_MAX(LOG_URI_MAX);
        struct log_uri u;
        int r = log_uri_parse(good[i].text, a, &u, &e);
        if (r != 1)
            fail_msg("%s: %d %s", good[i].text, r, e.msg);
        log_uri_write(&u, &out);
        assert_string_equal(buf_cstr(&out), good[i].again != NULL ? good[i].again : good[i].text);
    }
    struct log_uri u;
    auto_arena struct arena *a = arena_new();
    assert_int_equal(log_uri_parse("file:///x", a, &u, &e), 0);
    assert_int_equal(log_uri_parse("binary:///usr/bin/other-logger?path=x", a, &u, &e), 0);
    assert_int_equal(log_uri_parse("/run/x/fifo", a, &u, &e), 0);
    assert_int_equal(log_uri_parse(good[0].text, a, &u, &e), 1);
    assert_string_equal(u.attrs, "{\"a\":\"b c\"}");
    assert_true(u.open_stdin && u.max_size == 10 && u.max_file == 3 && u.max_buffer_size == 4096);
    assert_string_equal(strmap_get(&u.opts, "mode"), "non-blocking");
    char *args[] = {(char[]){"path"}, (char[]){"/l"}, (char[]){"driver"}, (char[]){"json-file"}};
    assert_ok(log_uri_parse_args(4, args, a, &u, &e));
    assert_string_equal(u.path, "/l");
    assert_err(log_uri_parse_args(3, args, a, &u, &e), ERR_INVALID, "driver has no value");
}

static void bad_uris_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *params, *error;
    } bad[] = {
        {"driver=json-file", "path is missing"},
        {"path=a", "not an absolute path"},
        {"path=/a&path=/b", "path is there twice"},
        {"path=/a&max-file=0", "max-file: \"0\" is not a number from 1"},
        {"path=/a&max-size=1x", "max-size"},
        {"path=/a&attrs=%7B", "attrs"},
        {"path=/a&attrs=[]", "attrs"},
        {"path=/a&attrs=%7B%7D,%22b%22:%7B%7D", "attrs"},
        {"path=/a&attrs=%7B%22a%22:1%7D", "attrs"},
        {"path=/a%0", "bad escape"},
        {"path=/a%", "bad escape"},
        {"path=/a%zz", "bad escape"},
        {"path=/a%00", "NUL"},
        {"path=/a&=x", "without a name"},
        {"path=/a&stdin=1", "needs the parameter attach"},
        {"path=/a&stdin=2", "stdin"},
        {"path=/a&attach=/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaa"
         "aaaaa",
         "attach: must be 1 to 107 bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = {0};
        auto_arena struct arena *a = arena_new();
        auto_free char *text = mem_printf("binary:///x/hull-logger?%s", bad[i].params);
        struct log_uri u;
        assert_err(log_uri_parse(text, a, &u, &e), ERR_INVALID, bad[i].error);
    }
}

/* ---- writing */

static struct jsonlog *open_log(int64_t max_size, int64_t max_file, const char *attrs)
{
    struct err e = {0};
    struct jsonlog *l = NULL;
    const struct jsonlog_opts o = {
        .file = {.path = log_path, .max_size = max_size, .max_file = max_file}, .attrs = attrs};
    assert_ok(jsonlog_open(&o, &l, &e));
    return l;
}

static void put(struct jsonlog *l, enum stdio_stream s, const char *text)
{
    struct err e = {0};
    assert_ok(jsonlog_write(l, s, text, strlen(text), 1767323045600000000, &e));
}

static void lines_look_as_dockers(void **state)
{
    (void)state;
    struct err e = {0};
    struct jsonlog *l = open_log(-1, 1, NULL);
    put(l, STDIO_OUT, "a");
    put(l, STDIO_ERR, "x<>&\"\\\t\x01\r\n");
    put(l, STDIO_OUT, "b\n\n\xff\xc3\xa9\xe2\x80\xa8\n");
    put(l, STDIO_OUT, "no end");
    assert_ok(jsonlog_end(l, STDIO_OUT, &e));
    assert_ok(jsonlog_end(l, STDIO_ERR, &e));
    jsonlog_close(l);
    l = open_log(-1, 1, "{\"k\":\"v\"}");
    put(l, STDIO_OUT, "more\n");
    jsonlog_close(l);
    auto_free char *text = log_content("");
#define AT "\"time\":\"2026-01-02T03:04:05.6Z\"}\n"
    assert_string_equal(
        text,
        "{\"log\":\"x\\u003c\\u003e\\u0026\\\"\\\\\\u0009\\u0001\\r\\n\",\"stream\":\"stderr\"," AT
        "{\"log\":\"ab\\n\",\"stream\":\"stdout\"," AT "{\"log\":\"\\n\",\"stream\":\"stdout\"," AT
        "{\"log\":\"\\ufffd\xc3\xa9\\u2028\\n\",\"stream\":\"stdout\"," AT
        "{\"log\":\"no end\",\"stream\":\"stdout\"," AT
        "{\"log\":\"more\\n\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"}," AT);
}

static void long_lines_become_pieces(void **state)
{
    (void)state;
    struct err e = {0};
    struct jsonlog *l = open_log(-1, 1, NULL);
    auto_free char *big = mem_alloc(40001);
    memset(big, 'x', 40000);
    memcpy(big + 16383, "\xc3\xa9", 2); /* must not be cut */
    big[39999] = '\n';
    for (size_t at = 0; at < 40000; at += 1000)
        assert_ok(jsonlog_write(l, STDIO_OUT, big + at, 1000, NS_PER_S + (int64_t)at, &e));
    jsonlog_close(l);
    struct jsonlog_reader_opts o = {.path = log_path, .tail = -1, .ended_fd = -1, .cancel_fd = -1};
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    auto_buf struct buf all = BUF_MAX(1 << 20);
    size_t n = 0;
    assert_ok(jsonlog_reader_open(&o, &r, &e));
    while (jsonlog_next(r, &rec, &e) > 0) {
        n++;
        assert_true(rec.line.n <= JSONLOG_LINE_MAX);
        assert_int_equal(rec.time_ns, NS_PER_S);
        buf_add(&all, rec.line.p, rec.line.n);
    }
    jsonlog_reader_close(r);
    assert_int_equal(n, 3);
    assert_int_equal(all.n, 40000);
    assert_memory_equal(all.p, big, 40000);
}

static void torn_ends_are_mended(void **state)
{
    (void)state;
    struct err e = {0};
    struct jsonlog *l = open_log(-1, 1, NULL);
    put(l, STDIO_OUT, "one\n");
    jsonlog_close(l);
    auto_fd int fd = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, "{\"log\":\"torn", 12), 0);
    l = open_log(-1, 1, NULL);
    put(l, STDIO_OUT, "two\n");
    jsonlog_close(l);
    auto_free char *text = log_content("");
    assert_null(strstr(text, "torn"));
    assert_non_null(strstr(text, "two"));
    struct stat st;
    assert_int_equal(stat(log_path, &st), 0);
    assert_int_equal(st.st_size, strlen(text));
    (void)e;
}

static void files_rotate(void **state)
{
    (void)state;
    struct stat st;
    struct jsonlog *l = open_log(100, 3, NULL);
    for (int i = 0; i < 20; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "line %d\n", i);
        put(l, STDIO_OUT, line);
    }
    jsonlog_close(l);
    auto_free char *now = log_content(""), *one = log_content(".1"), *two = log_content(".2");
    assert_non_null(strstr(now, "line 19"));
    assert_non_null(strstr(one, "line 17"));
    assert_non_null(strstr(two, "line 15"));
    auto_free char *three = mem_printf("%s.3", log_path);
    assert_int_equal(stat(three, &st), -1);
    assert_true(strlen(one) >= 100 && strlen(one) < 200);
}

/* ---- reading */

static int64_t number_of(const struct jsonlog_record *rec)
{
    struct str s = rec->line;
    uint64_t n = 0;
    (void)str_cut(&s, ' ');
    s.n -= s.n > 0;
    assert_true(str_to_u64(s, 0, UINT64_MAX, &n));
    return (int64_t)n;
}

static void tails_cross_files(void **state)
{
    (void)state;
    struct err e = {0};
    struct jsonlog *l = open_log(1000, 100, NULL);
    for (int i = 0; i < 200; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "line %d\n", i);
        assert_ok(jsonlog_write(l, STDIO_OUT, line, (size_t)n, (1000 + i) * NS_PER_S, &e));
    }
    jsonlog_close(l);
    static const struct {
        int64_t tail, since, until;
        int64_t first, n;
    } cases[] = {{-1, 0, 0, 0, 200},   {0, 0, 0, 0, 0},         {1, 0, 0, 199, 1},
                 {15, 0, 0, 185, 15},  {16, 0, 0, 184, 16},     {150, 0, 0, 50, 150},
                 {200, 0, 0, 0, 200},  {5000, 0, 0, 0, 200},    {-1, 1190, 0, 190, 10},
                 {-1, 0, 1010, 0, 11}, {20, 1185, 1190, 185, 6}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct jsonlog_reader_opts o = {.path = log_path,
                                        .tail = cases[i].tail,
                                        .since_ns = cases[i].since * NS_PER_S,
                                        .until_ns = cases[i].until * NS_PER_S,
                                        .ended_fd = -1,
                                        .cancel_fd = -1};
        struct jsonlog_reader *r = NULL;
        struct jsonlog_record rec;
        int64_t n = 0;
        assert_ok(jsonlog_reader_open(&o, &r, &e));
        while (jsonlog_next(r, &rec, &e) > 0)
            assert_int_equal(number_of(&rec), cases[i].first + n++);
        assert_int_equal(n, cases[i].n);
        jsonlog_reader_close(r);
    }
}

static void bad_lines_are_skipped(void **state)
{
    (void)state;
    struct err e = {0};
    auto_fd int fd = open(log_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    auto_free char *huge = mem_alloc(3 << 20);
    memset(huge, 'z', 3 << 20);
    static const char bad[] =
        "\nnot json\n{\"log\":\"a\"}\n{\"log\":1,\"time\":\"2026-01-02T03:04:05Z\"}\n"
        "{\"log\":\"a\",\"time\":\"x\"}\n{\"log\":\"\\ud83d\\ude00 "
        "\\u00e9\\t\\/\",\"x\":{\"y\":[1,\"]\"]},"
        "\"stream\":\"stderr\",\"attrs\":{\"a\":\"b\"},\"time\":\"2026-01-02T03:04:05Z\"}\n"
        "{\"log\":\"\\u12\",\"time\":\"2026-01-02T03:04:05Z\"}\n{\"log\":\"q\",\"time\":\"2026-01-"
        "02T03:04:05Z\"} x\n";
    assert_int_equal(fd_write_all(fd, bad, sizeof(bad) - 1), 0);
    assert_int_equal(fd_write_all(fd, huge, 3 << 20), 0);
    static const char good[] =
        "\n{ \"time\" : \"2026-01-02T03:04:05Z\" , \"log\" : \"last\" }\n{\"log\":\"torn";
    assert_int_equal(fd_write_all(fd, good, sizeof(good) - 1), 0);
    struct jsonlog_reader_opts o = {.path = log_path, .tail = -1, .ended_fd = -1, .cancel_fd = -1};
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    assert_ok(jsonlog_reader_open(&o, &r, &e));
    assert_int_equal(jsonlog_next(r, &rec, &e), 1);
    assert_true(str_eq(rec.line, "\xf0\x9f\x98\x80 \xc3\xa9\t/"));
    assert_int_equal(rec.stream, STDIO_ERR);
    assert_true(str_eq(rec.attrs, "{\"a\":\"b\"}"));
    assert_int_equal(jsonlog_next(r, &rec, &e), 1);
    assert_true(str_eq(rec.line, "last"));
    assert_int_equal(jsonlog_next(r, &rec, &e), 0);
    assert_int_equal(jsonlog_next(r, &rec, &e), 0);
    jsonlog_reader_close(r);
}

#define FOLLOWED 60000

struct follow {
    bool compress;
    int ended_fd;
    struct err e;
    int failed;
};

/* writes, is "killed" with a torn record now and then, and rotates all the time */
static void *write_numbers(void *arg)
{
    struct follow *f = arg;
    const struct jsonlog_opts o = {
        .file = {.path = log_path, .max_size = 20000, .max_file = 1000, .compress = f->compress}};
    struct jsonlog *l = NULL;
    for (int i = 0; i < FOLLOWED; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "line %d\n", i);
        if (i % 5000 == 0) {
            jsonlog_close(l);
            int fd = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
            if (fd >= 0)
                f->failed |= write(fd, "{\"log\":\"torn", 12) != 12;
            fd_close(fd);
            f->failed |= jsonlog_open(&o, &l, &f->e) < 0;
        }
        f->failed |= jsonlog_write(l, STDIO_OUT, line, (size_t)n, time_now_ns(), &f->e) < 0;
        if (i % 40 == 0) /* now slower and now faster than the files are filled */
            f->failed |= jsonlog_compress(l, &f->e) < 0;
    }
    jsonlog_close(l);
    uint64_t one = 1;
    f->failed |= write(f->ended_fd, &one, sizeof(one)) != sizeof(one);
    return NULL;
}

static void follow_writer(bool compress)
{
    struct err e = {0};
    struct follow f = {.compress = compress, .ended_fd = eventfd(0, EFD_CLOEXEC)};
    struct jsonlog_reader_opts o = {
        .path = log_path, .tail = -1, .follow = true, .ended_fd = f.ended_fd, .cancel_fd = -1};
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    pthread_t thread;
    int64_t n = 0;
    int got;
    assert_ok(jsonlog_reader_open(&o, &r, &e));
    assert_int_equal(pthread_create(&thread, NULL, write_numbers, &f), 0);
    while ((got = jsonlog_next(r, &rec, &e)) > 0)
        if (number_of(&rec) != n++)
            break;
    pthread_join(thread, NULL);
    if (got < 0 || f.failed != 0)
        fail_msg("%s%s", e.msg, f.e.msg);
    assert_int_equal(got, 0);
    assert_int_equal(n, FOLLOWED);
    jsonlog_reader_close(r);
    close(f.ended_fd);
}

static void following_loses_nothing(void **state)
{
    (void)state;
    follow_writer(false);
}

static void following_loses_nothing_that_is_compressed(void **state)
{
    (void)state;
    follow_writer(true);
}

static void compress_all(struct jsonlog *l)
{
    struct err e = {0};
    while (jsonlog_wants_compress(l))
        assert_ok(jsonlog_compress(l, &e));
}

static bool has_file(const char *suffix)
{
    auto_free char *path = mem_printf("%s%s", log_path, suffix);
    return access(path, F_OK) == 0;
}

/* as many records as a log of 5 files of at most 2,000 bytes holds, and no other file */
static void compressed_files_are_read_back(void **state)
{
    (void)state;
    struct err e = {0};
    const struct jsonlog_opts o = {
        .file = {.path = log_path, .max_size = 2000, .max_file = 5, .compress = true}};
    struct jsonlog_reader_opts ro = {.path = log_path, .tail = -1, .ended_fd = -1, .cancel_fd = -1};
    struct jsonlog *l = NULL;
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    char line[32];
    assert_ok(jsonlog_open(&o, &l, &e));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(line, sizeof(line), "line %d\n", i);
        put(l, STDIO_OUT, line);
        if (i < 800) /* the last files are not compressed when the next rotation comes */
            compress_all(l);
    }
    assert_true(has_file(".1") && has_file(".4") && !has_file(".5") && !has_file(".4.gz"));
    compress_all(l);
    assert_true(has_file(".1.gz") && has_file(".4.gz") && !has_file(".1") && !has_file(".4") &&
                !has_file(".5.gz") && !has_file(".gz.tmp"));
    static const int64_t tails[] = {-1, 3, 60};
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        int64_t n = 0, first = -1;
        ro.tail = tails[i];
        assert_ok(jsonlog_reader_open(&ro, &r, &e));
        for (; jsonlog_next(r, &rec, &e) > 0; n++) {
            first = n == 0 ? number_of(&rec) : first;
            assert_int_equal(number_of(&rec), first + n);
        }
        assert_int_equal(first + n, 1000);
        assert_true(tails[i] < 0 ? n > 100 : n == tails[i]);
        jsonlog_reader_close(r);
    }
    jsonlog_close(l);
}

/* of a file that is damaged, what can be read is; what was half compressed is begun anew */
static void damaged_compressed_files_are_skipped(void **state)
{
    (void)state;
    struct err e = {0};
    const struct jsonlog_opts o = {
        .file = {.path = log_path, .max_size = 100, .max_file = 3, .compress = true}};
    struct jsonlog_reader_opts ro = {.path = log_path, .tail = -1, .ended_fd = -1, .cancel_fd = -1};
    struct jsonlog *l = NULL;
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    assert_ok(jsonlog_open(&o, &l, &e));
    put(l, STDIO_OUT, "line 0 is long enough for the whole file, which has no more than this\n");
    put(l, STDIO_OUT, "line 1\n");
    assert_ok(jsonlog_compress(l, &e)); /* begun, not ended */
    jsonlog_close(l);
    assert_true(has_file(".1") && !has_file(".1.gz") && !has_file(".gz.tmp"));
    assert_ok(jsonlog_open(&o, &l, &e));
    compress_all(l);
    assert_true(has_file(".1.gz"));
    auto_free char *gz = mem_printf("%s.1.gz", log_path);
    int fd = open(gz, O_RDWR | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 40), 0);
    close(fd);
    assert_ok(jsonlog_reader_open(&ro, &r, &e));
    assert_int_equal(jsonlog_next(r, &rec, &e), 1);
    assert_true(str_eq(rec.line, "line 1\n"));
    assert_int_equal(jsonlog_next(r, &rec, &e), 0);
    jsonlog_reader_close(r);
    jsonlog_close(l);
}

static void following_can_be_cancelled(void **state)
{
    (void)state;
    struct err e = {0};
    int p[2];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    struct jsonlog_reader_opts o = {
        .path = log_path, .tail = -1, .follow = true, .ended_fd = -1, .cancel_fd = p[0]};
    struct jsonlog_reader *r = NULL;
    struct jsonlog_record rec;
    assert_ok(jsonlog_reader_open(&o, &r, &e));
    close(p[1]);
    assert_err(jsonlog_next(r, &rec, &e), ERR_CANCELLED, "cancelled");
    jsonlog_reader_close(r);
    close(p[0]);
    o.cancel_fd = -1;
    o.until_ns = time_now_ns() + 20 * NS_PER_MS;
    assert_ok(jsonlog_reader_open(&o, &r, &e));
    assert_int_equal(jsonlog_next(r, &rec, &e), 0);
    jsonlog_reader_close(r);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uris_read_and_written),
        cmocka_unit_test(bad_uris_are_named),
        cmocka_unit_test_setup(lines_look_as_dockers, log_dir_clean),
        cmocka_unit_test_setup(long_lines_become_pieces, log_dir_clean),
        cmocka_unit_test_setup(torn_ends_are_mended, log_dir_clean),
        cmocka_unit_test_setup(files_rotate, log_dir_clean),
        cmocka_unit_test_setup(tails_cross_files, log_dir_clean),
        cmocka_unit_test_setup(bad_lines_are_skipped, log_dir_clean),
        cmocka_unit_test_setup(following_loses_nothing, log_dir_clean),
        cmocka_unit_test_setup(following_loses_nothing_that_is_compressed, log_dir_clean),
        cmocka_unit_test_setup(compressed_files_are_read_back, log_dir_clean),
        cmocka_unit_test_setup(damaged_compressed_files_are_skipped, log_dir_clean),
        cmocka_unit_test_setup(following_can_be_cancelled, log_dir_clean),
    };
    return cmocka_run_group_tests(tests, log_dir_make, log_dir_remove);
}
