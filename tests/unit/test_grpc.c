/* gRPC: our client against our server, and a server against bytes that no client would send. */
#include "test.h"

#include <poll.h>
#include <stdatomic.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <nghttp2/nghttp2.h>

#include "base/mem.h"
#include "base/time.h"
#include "proto/content.pb-c.h"
#include "proto/version.pb-c.h"
#include "rpc/grpc.h"
#include "rpc/grpc_wire.h"
#include "sys/fd.h"

#define SERVICE "test.Service"
#define BLOB ((size_t)48 << 20) /* more than all windows and queues together */
#define CHUNK ((size_t)1 << 20)

/* ---- the server ---- */

struct world {
    struct grpc_server *server;
    struct grpc_client *client;
    int cancelled; /* an eventfd: a kept call was cancelled */
    pthread_mutex_t lock;
    struct grpc_call *kept; /* guarded by lock */
    atomic_int started;     /* handlers that wait */
    atomic_int sent;        /* chunks that read_blob has sent */
};

static int get_version(struct grpc_call *c, const void *req, struct err *e)
{
    Version__VersionResponse r = VERSION__VERSION_RESPONSE__INIT;
    const char *ns = grpc_call_metadata(c, "containerd-namespace");

    (void)req;
    r.version = (char *)(uintptr_t)(ns != NULL ? ns : "none");
    r.revision = mem_printf("%d", (int)grpc_call_peer(c).uid);
    int result = grpc_call_reply(c, &r.base, e);
    free(r.revision);
    return result;
}

static int get_info(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__InfoRequest *r = req;
    Content__InfoResponse resp = CONTENT__INFO_RESPONSE__INIT;
    Content__Info info = CONTENT__INFO__INIT;

    if (strcmp(r->digest, "open") == 0)
        return 0; /* a handler that forgets to answer */
    if (strcmp(r->digest, "empty") == 0)
        return grpc_call_reply(c, &resp.base, e);
    if (strlen(r->digest) < 100)
        return err_set(e, ERR_EXISTS, "content \"%s\": 100 %% ünïcode\n: already exists",
                       r->digest);
    info.digest = r->digest;
    resp.info = &info;
    return grpc_call_reply(c, &resp.base, e);
}

/* Sends a blob in chunks, going on only while there is room. */
static int read_blob(struct grpc_call *c, const void *req, struct err *e)
{
    static uint8_t chunk[CHUNK];
    struct world *w = grpc_call_ctx(c);
    const Content__ReadContentRequest *r = req;
    size_t *at = grpc_call_data(c);

    if (at == NULL) {
        at = mem_alloc(sizeof(*at));
        grpc_call_set_data(c, at, free);
    }
    while (*at < (size_t)r->size) {
        Content__ReadContentResponse resp = CONTENT__READ_CONTENT_RESPONSE__INIT;
        if (!grpc_call_writable(c))
            return GRPC_AGAIN;
        resp.offset = (int64_t)*at;
        resp.data = (ProtobufCBinaryData){sizeof(chunk), chunk};
        TRY(grpc_call_send(c, &resp.base, e));
        atomic_fetch_add(&w->sent, 1);
        *at += sizeof(chunk);
    }
    grpc_call_finish(c, NULL);
    return 0;
}

/* Answers each message with the running length; COMMIT on the end. */
static int write_blob(struct grpc_call *c, const void *req, struct err *e)
{
    const Content__WriteContentRequest *r = req;
    Content__WriteContentResponse resp = CONTENT__WRITE_CONTENT_RESPONSE__INIT;
    int64_t *at = grpc_call_data(c);

    if (at == NULL) {
        at = mem_alloc(sizeof(*at));
        grpc_call_set_data(c, at, free);
    }
    if (r != NULL && strcmp(r->ref, "refused") == 0)
        return err_set(e, ERR_UNAVAILABLE, "ref %s locked", r->ref);
    *at += r != NULL ? (int64_t)r->data.len : 0;
    resp.action = r == NULL ? CONTENT__WRITE_ACTION__COMMIT : CONTENT__WRITE_ACTION__WRITE;
    resp.offset = *at;
    TRY(grpc_call_send(c, &resp.base, e));
    if (r == NULL)
        grpc_call_finish(c, NULL);
    return 0;
}

static void on_cancel(void *arg)
{
    struct world *w = arg;
    uint64_t one = 1;

    (void)!write(w->cancelled, &one, sizeof(one));
}

static int keep(struct grpc_call *c, const void *req, struct err *e)
{
    struct world *w = grpc_call_ctx(c);

    (void)req;
    (void)e;
    (void)pthread_mutex_lock(&w->lock);
    grpc_call_unref(w->kept);
    w->kept = grpc_call_ref(c);
    (void)pthread_mutex_unlock(&w->lock);
    grpc_call_on_cancel(c, on_cancel, w);
    atomic_fetch_add(&w->started, 1);
    return GRPC_LATER;
}

/* Blocks in its own thread until the call is cancelled. */
static int slow(struct grpc_call *c, const void *req, struct err *e)
{
    struct pollfd p = {.fd = grpc_call_cancel_fd(c), .events = POLLIN};

    struct world *w = grpc_call_ctx(c);

    (void)req;
    atomic_fetch_add(&w->started, 1);
    (void)poll(&p, 1, 10000);
    on_cancel(w);
    return err_set(e, ERR_CANCELLED, "gone");
}

static const struct grpc_method methods[] = {
    {SERVICE, "Version", &pb__empty__descriptor, &version__version_response__descriptor, GRPC_UNARY,
     0, get_version},
    {SERVICE, "Info", &content__info_request__descriptor, &content__info_response__descriptor,
     GRPC_UNARY, 0, get_info},
    {SERVICE, "Read", &content__read_content_request__descriptor,
     &content__read_content_response__descriptor, GRPC_SERVER_STREAM, 0, read_blob},
    {SERVICE, "Write", &content__write_content_request__descriptor,
     &content__write_content_response__descriptor, GRPC_BIDI, 0, write_blob},
    {SERVICE, "Keep", &pb__empty__descriptor, &pb__empty__descriptor, GRPC_UNARY, 0, keep},
    {SERVICE, "Slow", &pb__empty__descriptor, &pb__empty__descriptor, GRPC_UNARY, GRPC_SLOW, slow},
};

static int connect_to(struct world *w)
{
    struct err e = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_ok(grpc_server_adopt(w->server, fds[0], &e));
    return fds[1];
}

static struct world *setup(void)
{
    struct world *w = mem_alloc(sizeof(*w));
    struct grpc_server_opts opts = {.ctx = w, .max_slow_calls = 1};
    struct err e = {0};

    (void)pthread_mutex_init(&w->lock, NULL);
    w->cancelled = eventfd(0, EFD_CLOEXEC);
    assert_ok(grpc_server_new(&opts, &w->server, &e));
    grpc_server_add(w->server, methods, ARRAY_LEN(methods));
    assert_ok(grpc_client_adopt(connect_to(w), &w->client, &e));
    return w;
}

static void teardown(struct world *w)
{
    grpc_client_unref(w->client);
    grpc_server_free(w->server, 0);
    grpc_call_unref(w->kept); /* outlives the server */
    fd_close(w->cancelled);
    free(w);
}

static void wait_cancelled(struct world *w)
{
    struct pollfd p = {.fd = w->cancelled, .events = POLLIN};
    uint64_t n;

    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(read(w->cancelled, &n, sizeof(n)), sizeof(n));
}

static const Pb__Empty empty = PB__EMPTY__INIT;

static int call_empty(struct world *w, const char *method, const struct grpc_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_free char *path = mem_printf("/%s", method);
    Pb__Empty *resp;

    return grpc_unary(w->client, path, &empty.base, o, &pb__empty__descriptor, a, &resp, e);
}

/* ---- unary ---- */

static void unary_calls(void **state)
{
    (void)state;
    struct world *w = setup();
    auto_arena struct arena *a = arena_new();
    /* a client that narrows its context puts the new value in front of the old one */
    struct grpc_md md[] = {{"containerd-namespace", "moby"},
                           {"containerd-lease", "x"},
                           {"containerd-namespace", "outer"}};
    struct grpc_opts o = GRPC_OPTS(.metadata = md, .n_metadata = 3, .timeout_ms = 5000);
    Version__VersionResponse *v;
    struct err e = {0};

    assert_ok(grpc_unary(w->client, "/" SERVICE "/Version", &empty.base, &o,
                         &version__version_response__descriptor, a, &v, &e));
    assert_string_equal(v->version, "moby");
    assert_int_equal(strtol(v->revision, NULL, 10), (long)getuid());

    Content__InfoRequest q = CONTENT__INFO_REQUEST__INIT;
    Content__InfoResponse *info;
    q.digest = (char *)(uintptr_t) "empty"; /* an empty message is a message */
    assert_ok(grpc_unary(w->client, "/" SERVICE "/Info", &q.base, NULL,
                         &content__info_response__descriptor, a, &info, &e));
    assert_null(info->info);
    q.digest = (char *)(uintptr_t) "x";
    assert_err(grpc_unary(w->client, "/" SERVICE "/Info", &q.base, NULL,
                          &content__info_response__descriptor, a, &info, &e),
               ERR_EXISTS, "content \"x\": 100 % ünïcode\n: already exists");
    q.digest = (char *)(uintptr_t) "open";
    assert_err(grpc_unary(w->client, "/" SERVICE "/Info", &q.base, NULL,
                          &content__info_response__descriptor, a, &info, &e),
               ERR_INTERNAL, "left without an answer");

    assert_err(call_empty(w, SERVICE "/Nope", NULL, &e), ERR_UNIMPLEMENTED,
               "unknown method Nope for service test.Service");
    assert_err(call_empty(w, "no.Service/Nope", NULL, &e), ERR_UNIMPLEMENTED,
               "unknown service no.Service");
    assert_err(call_empty(w, "nothing", NULL, &e), ERR_UNIMPLEMENTED, "malformed method name");
    teardown(w);
}

static void big_messages(void **state)
{
    (void)state;
    struct world *w = setup();
    auto_arena struct arena *a = arena_new();
    auto_free char *s = mem_alloc(PB_MAX_BYTES + 1);
    Content__InfoRequest q = CONTENT__INFO_REQUEST__INIT;
    Content__InfoResponse *info;
    struct err e = {0};

    memset(s, 'x', PB_MAX_BYTES - 100); /* 16 times the window of a stream, there and back */
    q.digest = s;
    assert_ok(grpc_unary(w->client, "/" SERVICE "/Info", &q.base, NULL,
                         &content__info_response__descriptor, a, &info, &e));
    assert_string_equal(info->info->digest, s);
    memset(s, 'x', PB_MAX_BYTES);
    assert_err(grpc_unary(w->client, "/" SERVICE "/Info", &q.base, NULL,
                          &content__info_response__descriptor, a, &info, &e),
               ERR_EXHAUSTED, "larger than max");
    teardown(w);
}

static void *ask_many(void *arg)
{
    struct world *w = arg;
    intptr_t bad = 0;

    for (int i = 0; i < 20; i++) {
        auto_arena struct arena *a = arena_new();
        char ns[32];
        struct grpc_md md = {"containerd-namespace", ns};
        struct grpc_opts o = GRPC_OPTS(.metadata = &md, .n_metadata = 1, .timeout_ms = 20000);
        Version__VersionResponse *v;
        struct err e;
        (void)snprintf(ns, sizeof(ns), "%p-%d", (void *)&e, i);
        if (grpc_unary(w->client, "/" SERVICE "/Version", &empty.base, &o,
                       &version__version_response__descriptor, a, &v, &e) < 0 ||
            strcmp(v->version, ns) != 0)
            bad++;
    }
    return (void *)bad;
}

static void many_calls_at_once(void **state)
{
    (void)state;
    struct world *w = setup();
    pthread_t t[64];

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_many, w), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        void *bad;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_int_equal((intptr_t)bad, 0);
    }
    teardown(w);
}

/* ---- streams ---- */

static void open_read(struct world *w, struct grpc_stream **out)
{
    Content__ReadContentRequest q = CONTENT__READ_CONTENT_REQUEST__INIT;
    struct err e = {0};

    q.size = (int64_t)BLOB;
    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Read", NULL, out, &e));
    assert_ok(grpc_stream_send(*out, &q.base, &e));
    grpc_stream_close_send(*out);
}

static void a_slow_reader_holds_the_sender_back(void **state)
{
    (void)state;
    struct world *w = setup();
    struct grpc_stream *s;
    Content__ReadContentResponse *r;
    struct err e = {0};
    size_t n = 0;

    open_read(w, &s);
    struct pollfd p = {.fd = grpc_stream_fd(s), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    for (int i = 0; i < 50; i++) { /* others are served meanwhile, and the sender stands still */
        struct grpc_opts o = GRPC_OPTS(.timeout_ms = 5000);
        assert_err(call_empty(w, "no.Service/Nope", &o, &e), ERR_UNIMPLEMENTED, "unknown service");
    }
    assert_true(atomic_load(&w->sent) < 8);
    for (;;) {
        auto_arena struct arena *a = arena_new();
        int got = grpc_stream_recv(s, &content__read_content_response__descriptor, a, &r, &e);
        assert_true(got >= 0);
        if (got == 0)
            break;
        assert_int_equal(r->offset, n);
        n += r->data.len;
    }
    assert_int_equal(n, BLOB);
    grpc_stream_free(s);
    teardown(w);
}

static void both_ways(void **state)
{
    (void)state;
    struct world *w = setup();
    auto_arena struct arena *a = arena_new();
    auto_free uint8_t *chunk = mem_alloc(CHUNK);
    Content__WriteContentRequest q = CONTENT__WRITE_CONTENT_REQUEST__INIT;
    Content__WriteContentResponse *r;
    struct grpc_stream *s;
    struct err e = {0};

    q.data = (ProtobufCBinaryData){CHUNK, chunk};
    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Write", NULL, &s, &e));
    for (int i = 1; i <= 40; i++) { /* ping-pong */
        assert_ok(grpc_stream_send(s, &q.base, &e));
        assert_int_equal(
            grpc_stream_recv(s, &content__write_content_response__descriptor, a, &r, &e), 1);
        assert_int_equal(r->offset, (size_t)i * CHUNK);
    }
    for (int i = 0; i < 40; i++) /* and without waiting for the answers */
        assert_ok(grpc_stream_send(s, &q.base, &e));
    grpc_stream_close_send(s);
    for (int i = 1; i <= 41; i++)
        assert_int_equal(
            grpc_stream_recv(s, &content__write_content_response__descriptor, a, &r, &e), 1);
    assert_int_equal(r->action, CONTENT__WRITE_ACTION__COMMIT);
    assert_int_equal(r->offset, 80 * CHUNK);
    assert_int_equal(grpc_stream_recv(s, &content__write_content_response__descriptor, a, &r, &e),
                     0);
    grpc_stream_free(s);

    /* refused in the middle: the sender learns why */
    q.ref = (char *)(uintptr_t) "refused";
    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Write", NULL, &s, &e));
    assert_ok(grpc_stream_send(s, &q.base, &e));
    assert_err(grpc_stream_recv(s, &content__write_content_response__descriptor, a, &r, &e),
               ERR_UNAVAILABLE, "ref refused locked");
    assert_err(grpc_stream_send(s, &q.base, &e), ERR_UNAVAILABLE, "ref refused locked");
    grpc_stream_free(s);
    teardown(w);
}

static void wait_started(struct world *w, int n)
{
    for (int i = 0; atomic_load(&w->started) < n; i++) {
        assert_true(i < 5000);
        (void)poll(NULL, 0, 1);
    }
}

/* A call whose handler runs when its deadline passes; a busy machine may need longer ones until it
 * does. */
static void expect_deadline(struct world *w, const char *method)
{
    struct err e = {0};

    atomic_store(&w->started, 0);
    for (int64_t ms = 50; atomic_load(&w->started) == 0; ms *= 2) {
        struct grpc_opts o = GRPC_OPTS(.timeout_ms = ms);
        int64_t start = time_mono_ns();
        assert_true(ms < 10000);
        err_clear(&e);
        assert_int_equal(call_empty(w, method, &o, &e), -1);
        if (ms > 50 && e.kind == ERR_EXHAUSTED) { /* an earlier one's handler is yet to run */
            (void)poll(NULL, 0, (int)ms);
            continue;
        }
        assert_int_equal(e.kind, ERR_TIMEOUT);
        assert_non_null(strstr(e.msg, "context deadline exceeded"));
        assert_true(time_mono_ns() - start < (ms + 5000) * NS_PER_MS);
    }
    wait_cancelled(w);
}

/* ---- ends of all kinds ---- */

static void deadline_and_cancel(void **state)
{
    (void)state;
    struct world *w = setup();
    struct err e = {0};
    struct grpc_opts now = GRPC_OPTS(.timeout_ms = 5000);

    expect_deadline(w, SERVICE "/Keep");
    assert_true(grpc_call_cancelled(w->kept));
    assert_err(grpc_call_send(w->kept, &empty.base, &e), ERR_CANCELLED, "");

    now.cancel_fd = eventfd(1, EFD_CLOEXEC);
    assert_err(call_empty(w, SERVICE "/Keep", &now, &e), ERR_CANCELLED, "context canceled");
    /* whether the call arrived before its cancellation is a race: both are right */
    fd_close(now.cancel_fd);

    expect_deadline(w, SERVICE "/Slow");
    teardown(w);
}

static void long_calls_have_a_limit(void **state)
{
    (void)state;
    struct world *w = setup();
    struct grpc_opts o = GRPC_OPTS(.timeout_ms = 5000);
    struct grpc_stream *s;
    struct err e = {0};

    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Slow", NULL, &s, &e));
    assert_ok(grpc_stream_send(s, &empty.base, &e));
    grpc_stream_close_send(s);
    wait_started(w, 1);
    assert_err(call_empty(w, SERVICE "/Slow", &o, &e), ERR_EXHAUSTED, "too many long calls");
    grpc_stream_free(s);
    wait_cancelled(w);
    teardown(w);
}

static void *finish_kept(void *arg)
{
    struct world *w = arg;
    struct err e;

    for (;;) { /* the call is on its way */
        (void)pthread_mutex_lock(&w->lock);
        struct grpc_call *c = TAKE_PTR(w->kept);
        (void)pthread_mutex_unlock(&w->lock);
        if (c != NULL) {
            (void)grpc_call_reply_empty(c, &e);
            grpc_call_unref(c);
            return NULL;
        }
        (void)poll(NULL, 0, 1);
    }
}

static void another_thread_answers(void **state)
{
    (void)state;
    struct world *w = setup();
    struct err e = {0};
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, finish_kept, w), 0);
    assert_ok(call_empty(w, SERVICE "/Keep", NULL, &e));
    assert_int_equal(pthread_join(t, NULL), 0);
    teardown(w);
}

static void a_vanished_client_cancels(void **state)
{
    (void)state;
    struct world *w = setup();
    struct grpc_stream *s, *r;
    struct err e = {0};

    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Keep", NULL, &s, &e));
    assert_ok(grpc_stream_send(s, &empty.base, &e));
    open_read(w, &r); /* and one in the middle of a long answer */
    wait_started(w, 1);
    grpc_stream_free(r);
    grpc_client_unref(w->client);
    w->client = NULL;
    grpc_stream_free(s); /* the last reference */
    wait_cancelled(w);
    teardown(w);
}

static void a_vanished_server_ends_the_calls(void **state)
{
    (void)state;
    struct world *w = setup();
    auto_arena struct arena *a = arena_new();
    struct grpc_stream *s;
    struct err e = {0};
    Pb__Empty *resp;

    assert_ok(grpc_stream_open(w->client, "/" SERVICE "/Keep", NULL, &s, &e));
    assert_ok(grpc_stream_send(s, &empty.base, &e));
    grpc_server_free(TAKE_PTR(w->server), 0);
    assert_err(grpc_stream_recv(s, &pb__empty__descriptor, a, &resp, &e), ERR_UNAVAILABLE, "");
    grpc_stream_free(s);
    assert_false(grpc_client_alive(w->client));
    assert_err(call_empty(w, SERVICE "/Keep", NULL, &e), ERR_UNAVAILABLE, "closed");
    teardown(w);
}

static void *call_keep(void *arg)
{
    struct err e;

    return (void *)(intptr_t)call_empty(arg, SERVICE "/Keep", NULL, &e);
}

static void a_stopping_server_lets_calls_end(void **state)
{
    (void)state;
    struct world *w = setup();
    pthread_t caller, finisher;
    void *result;

    assert_int_equal(pthread_create(&caller, NULL, call_keep, w), 0);
    wait_started(w, 1);
    assert_int_equal(pthread_create(&finisher, NULL, finish_kept, w), 0);
    grpc_server_free(TAKE_PTR(w->server), 20000);
    assert_int_equal(pthread_join(caller, &result), 0);
    assert_int_equal((intptr_t)result, 0);
    assert_int_equal(pthread_join(finisher, NULL), 0);
    teardown(w);
}

/* ---- bytes ---- */

static void read_to_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char bytes[4096];

    do
        assert_int_equal(poll(&p, 1, 5000), 1);
    while (read(fd, bytes, sizeof(bytes)) > 0);
    fd_close(fd);
}

static void malformed_bytes_end_only_their_connection(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x05\0\0\0\1", 33},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\4\4\0\0\0\0\1abcd", 37},
        {"\0\0\0\0\0\0\0\0\0\0", 10},
    };
    struct world *w = setup();
    struct grpc_opts o = GRPC_OPTS(.timeout_ms = 5000);
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = connect_to(w);
        assert_int_equal(fd_write_all(fd, cases[i].p, cases[i].n), 0);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        read_to_end(fd);
    }
    assert_err(call_empty(w, "no.Service/Nope", &o, &e), ERR_UNIMPLEMENTED, "unknown service");
    teardown(w);
}

/* A client that begins six messages of 16 MiB and ends none of them. */
struct hoarder {
    size_t sent[6];
    int exhausted;
    int closed;
};

static ssize_t hoard(nghttp2_session *h, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                     nghttp2_data_source *source, void *user)
{
    size_t *sent = source->ptr;

    (void)h;
    (void)id;
    (void)flags;
    (void)user;
    if (*sent + n > ((size_t)15 << 20))
        return NGHTTP2_ERR_DEFERRED;
    memset(to, 0, n);
    if (*sent == 0)
        memcpy(to, "\0\0\xff\xff\xff", GRPC_PREFIX);
    *sent += n;
    return (ssize_t)n;
}

static int hoard_header(nghttp2_session *h, const nghttp2_frame *frame, const uint8_t *name,
                        size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags,
                        void *user)
{
    struct hoarder *w = user;

    (void)h;
    (void)frame;
    (void)flags;
    if (str_eq((struct str){(const char *)name, n_name}, "grpc-status"))
        w->exhausted += str_eq((struct str){(const char *)value, n_value}, "8");
    return 0;
}

static int hoard_closed(nghttp2_session *h, int32_t id, uint32_t code, void *user)
{
    (void)h;
    (void)id;
    (void)code;
    ((struct hoarder *)user)->closed++;
    return 0;
}

static void incomplete_messages_have_a_limit(void **state)
{
    (void)state;
    struct world *w = setup();
    struct hoarder hoarder = {0};
    nghttp2_session_callbacks *cb;
    nghttp2_session *h;
    int fd = connect_to(w);
#define NV(n, v) {(uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), strlen(n), strlen(v), 0}
    nghttp2_nv nv[] = {NV(":method", "POST"), NV(":scheme", "http"),
                       NV(":path", "/" SERVICE "/Write"), NV(":authority", "x"),
                       NV("content-type", "application/grpc")};

    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, hoard_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, hoard_closed);
    assert_int_equal(nghttp2_session_client_new(&h, cb, &hoarder), 0);
    nghttp2_session_callbacks_del(cb);
    assert_int_equal(nghttp2_submit_settings(h, 0, NULL, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(hoarder.sent); i++) {
        nghttp2_data_provider body = {.source.ptr = &hoarder.sent[i], .read_callback = hoard};
        assert_true(nghttp2_submit_request(h, NULL, nv, ARRAY_LEN(nv), &body, NULL) > 0);
    }
    while (hoarder.closed == 0) {
        const uint8_t *out;
        uint8_t in[65536];
        ssize_t n;
        while ((n = nghttp2_session_mem_send(h, &out)) > 0)
            assert_int_equal(fd_write_all(fd, out, (size_t)n), 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        n = read(fd, in, sizeof(in));
        assert_true(n > 0 && nghttp2_session_mem_recv(h, in, (size_t)n) == n);
    }
    assert_int_equal(hoarder.exhausted, hoarder.closed);
    nghttp2_session_del(h);
    fd_close(fd);
    teardown(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_calls),
        cmocka_unit_test(big_messages),
        cmocka_unit_test(many_calls_at_once),
        cmocka_unit_test(a_slow_reader_holds_the_sender_back),
        cmocka_unit_test(both_ways),
        cmocka_unit_test(deadline_and_cancel),
        cmocka_unit_test(long_calls_have_a_limit),
        cmocka_unit_test(another_thread_answers),
        cmocka_unit_test(a_vanished_client_cancels),
        cmocka_unit_test(a_vanished_server_ends_the_calls),
        cmocka_unit_test(a_stopping_server_lets_calls_end),
        cmocka_unit_test(malformed_bytes_end_only_their_connection),
        cmocka_unit_test(incomplete_messages_have_a_limit),
    };
    return cmocka_run_group_tests_name("grpc", tests, NULL, NULL);
}
