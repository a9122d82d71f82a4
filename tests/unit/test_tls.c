/*
 * TLS: HTTP over mutual TLS on loopback with certificates made by openssl; who has none, or one of
 * another authority, gets nothing; hijacked streams and half-close work as without it.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/time.h"
#include "rpc/http_client.h"
#include "rpc/http_server.h"
#include "rpc/tls.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

static char dir[] = "/tmp/hull-test-tls-XXXXXX";
static char port[8];
static struct http_server *server;
static struct stream_wrap *server_tls;
static unsigned
    handled; /* requests that reached the handler; written by connections one at a time */

static int run(const char *line)
{
    struct err e = {0};
    struct proc p = PROC_NONE;
    int status;
    const char *const argv[] = {"sh", "-c", line, NULL};
    assert_ok(spawn(&(struct spawn_opts){.path = "sh", .argv = argv, .dir = dir}, &p, &e));
    assert_ok(proc_wait(&p, 60000, -1, &status, &e));
    proc_done(&p);
    return status;
}

/* An authority and the certificates it signs, for 127.0.0.1 and localhost. */
static int make_certs(const char *ca, const char *const *names)
{
    auto_free char *line = mem_printf(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s "
        "-days 2 -keyout %s-key.pem -out %s.pem",
        ca, ca, ca);
    if (run(line) != 0)
        return -1;
    for (; *names != NULL; names++) {
        auto_free char *one =
            mem_printf("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "
                       "/CN=%s -keyout %s-key.pem "
                       "-out %s.csr && printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > ext && "
                       "openssl x509 -req "
                       "-in %s.csr -CA %s.pem -CAkey %s-key.pem -CAcreateserial -days 2 -extfile "
                       "ext -out %s.pem",
                       *names, *names, *names, *names, ca, ca, *names);
        if (run(one) != 0)
            return -1;
    }
    return 0;
}

static void handle(struct http_req *rq, void *arg)
{
    static const struct http_hijack how = {.proto = "tcp",
                                           .bare_type = "application/vnd.docker.raw-stream"};
    struct err e;
    struct stream *s;
    (void)arg;
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
    if (strcmp(rq->path, "/attach") != 0) {
        http_req_reply(rq, 200, "text/plain", http_req_is_tls(rq) ? "tls" : "plain", 3);
        return;
    }
    auto_free char *part = mem_alloc(1 << 16);
    if (http_req_hijack(rq, &how, &s, &e) < 0)
        return;
    for (;;) {
        ssize_t n = stream_read(s, part, 1 << 16, &e);
        if (n <= 0)
            break;
        if (stream_write(s, part, (size_t)n, &e) < 0)
            return;
    }
    (void)stream_write(s, "bye", 3, &e); /* after the client's half-close */
}

static int start(void **state)
{
    (void)state;
    static const char *const ours[] = {"server", "client", NULL}, *const theirs[] = {"stranger",
                                                                                     NULL};
    struct err e = {0};
    int n;
    if (mkdtemp(dir) == NULL || make_certs("ca", ours) < 0 || make_certs("other-ca", theirs) < 0)
        return -1;
    auto_free char *ca = mem_printf("%s/ca.pem", dir), *cert = mem_printf("%s/server.pem", dir),
                   *key = mem_printf("%s/server-key.pem", dir);
    struct tls_opts o = {.ca = ca, .cert = cert, .key = key, .verify = true};
    server =
        http_server_new(&(struct http_server_opts){.handler = handle, .head_timeout_ms = 3000});
    if (tls_server_new(&o, &server_tls, &e) < 0 ||
        http_server_listen_tcp(server, "127.0.0.1", "0", server_tls, &n, &e) < 0 ||
        http_server_start(server, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return -1;
    }
    snprintf(port, sizeof(port), "%d", n);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    struct err e = {0};
    http_server_free(server);
    stream_wrap_free(server_tls);
    return path_remove_tree(AT_FDCWD, dir, &e);
}

/* A client with the named authority and certificate (NULL: none). */
static struct http_client *client(const char *ca, const char *who)
{
    struct err e = {0};
    struct stream_wrap *w = NULL;
    auto_free char *ca_file = mem_printf("%s/%s.pem", dir, ca);
    auto_free char *cert = mem_printf("%s/%s.pem", dir, who),
                   *key = mem_printf("%s/%s-key.pem", dir, who);
    struct tls_opts o = {.ca = ca_file, .verify = true};
    if (who != NULL) {
        o.cert = cert;
        o.key = key;
    }
    assert_ok(tls_client_new(&o, &w, &e));
    return http_client_new_tcp("127.0.0.1", port, w);
}

static int get(struct http_client *c, struct buf *out, struct err *e)
{
    auto_http_resp struct http_resp *r = NULL;
    struct http_call call = {.method = "GET", .target = "/x", .timeout_ms = 10000};
    TRY(http_client_call(c, &call, &r, e));
    return http_resp_read_all(r, out, e);
}

static void who_has_a_certificate_is_served(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c = client("ca", "client");
    for (int i = 0; i < 3; i++) {
        auto_buf struct buf out = BUF_MAX(1000);
        assert_ok(get(c, &out, &e));
        assert_string_equal(buf_cstr(&out), "tls");
    }
    assert_int_equal(http_server_conns(server), 1);
    http_client_free(c);
}

static void nobody_else_gets_anything(void **state)
{
    (void)state;
    struct err e = {0};
    auto_buf struct buf out = BUF_MAX(1000);
    unsigned before = __atomic_load_n(&handled, __ATOMIC_RELAXED);
    struct http_client *none = client("ca", NULL), *stranger = client("ca", "stranger"),
                       *doubter = client("other-ca", "client");
    struct http_client *plain = http_client_new_tcp("127.0.0.1", port, NULL);
    assert_err(get(none, &out, &e), ERR_UNAVAILABLE, "alert");
    assert_err(get(stranger, &out, &e), ERR_UNAVAILABLE, "alert");
    assert_err(get(doubter, &out, &e), ERR_UNAVAILABLE, "TLS handshake");
    assert_err(get(plain, &out, &e), ERR_UNAVAILABLE, "");
    assert_int_equal(out.n, 0);
    assert_int_equal(__atomic_load_n(&handled, __ATOMIC_RELAXED), before);
    http_client_free(none);
    http_client_free(stranger);
    http_client_free(doubter);
    http_client_free(plain);
    struct stream *silent = NULL; /* shakes no hands: cut after the head timeout */
    char byte;
    assert_ok(stream_dial_tcp("127.0.0.1", port, 0, &silent, &e));
    assert_int_equal(stream_read(silent, &byte, 1, &e), 0);
    stream_close(silent);
}

static void names_are_checked(void **state)
{
    (void)state;
    struct err e = {0};
    struct stream_wrap *w = NULL;
    struct stream *s = NULL;
    auto_free char *ca = mem_printf("%s/ca.pem", dir), *cert = mem_printf("%s/client.pem", dir),
                   *key = mem_printf("%s/client-key.pem", dir);
    assert_ok(tls_client_new(&(struct tls_opts){ca, cert, key, true}, &w, &e));
    int64_t deadline = time_mono_ns() + 10 * NS_PER_S;
    int fd = stream_dial_tcp_fd("127.0.0.1", port, 0, &e);
    assert_err(w->client(w, fd, "example.com", deadline, &s, &e), ERR_UNAVAILABLE, "mismatch");
    fd = stream_dial_tcp_fd("127.0.0.1", port, 0, &e);
    assert_ok(w->client(w, fd, "localhost", deadline, &s, &e));
    stream_close(s);
    stream_wrap_free(w);
}

#define BIG (8u << 20)

/* Writes much, reads it back at the same time by one thread, half-closes, and still gets the end.
 */
static void hijacked_streams_pump_both_ways_and_half_close(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_client *c = client("ca", "client");
    struct http_resp *r = NULL;
    struct stream *s = NULL;
    int in[2], out[2];
    assert_ok(http_client_call(
        c, &(struct http_call){.method = "POST", .target = "/attach", .upgrade = "tcp"}, &r, &e));
    assert_int_equal(r->status, 101);
    assert_ok(http_resp_hijack(r, &s, &e));
    auto_free char *src = mem_printf("%s/src", dir), *dst = mem_printf("%s/dst", dir),
                   *big = mem_alloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)(i * 2654435761u >> 11);
    in[0] = open(src, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    out[0] = open(dst, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(in[0], big, BIG), 0);
    assert_int_equal(lseek(in[0], 0, SEEK_SET), 0);
    struct stream *files = stream_of_fds(in[0], out[0]);
    assert_ok(stream_pump(files, s, -1, &e));
    stream_close(files);
    auto_fd int back = open(dst, O_RDONLY | O_CLOEXEC);
    auto_buf struct buf got = BUF_MAX(BIG + 100);
    assert_int_equal(fd_read_to_end(back, &got), 0);
    assert_int_equal(got.n, BIG + 3);
    assert_memory_equal(got.p, big, BIG);
    assert_memory_equal(got.p + BIG, "bye", 3);
    stream_close(s);
    http_resp_free(r);
    http_client_free(c);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    struct err e = {0};
    struct stream_wrap *w = NULL;
    auto_free char *cert = mem_printf("%s/server.pem", dir),
                   *key = mem_printf("%s/server-key.pem", dir), *ca = mem_printf("%s/ca.pem", dir),
                   *other = mem_printf("%s/client-key.pem", dir);
    assert_err(tls_server_new(&(struct tls_opts){ca, cert, "/nope.pem", true}, &w, &e), ERR_INVALID,
               "/nope.pem");
    assert_err(tls_server_new(&(struct tls_opts){ca, "/nope.pem", key, true}, &w, &e), ERR_INVALID,
               "/nope.pem");
    assert_err(tls_server_new(&(struct tls_opts){"/nope.pem", cert, key, true}, &w, &e),
               ERR_INVALID, "/nope.pem");
    assert_err(tls_server_new(&(struct tls_opts){ca, cert, other, true}, &w, &e), ERR_INVALID,
               "key");
    assert_err(tls_server_new(&(struct tls_opts){NULL, cert, key, true}, &w, &e), ERR_INVALID,
               "CA");
    assert_err(tls_server_new(&(struct tls_opts){ca, NULL, NULL, false}, &w, &e), ERR_INVALID,
               "certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_a_certificate_is_served),
        cmocka_unit_test(nobody_else_gets_anything),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(hijacked_streams_pump_both_ways_and_half_close),
        cmocka_unit_test(bad_files_are_named),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
