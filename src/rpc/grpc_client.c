/*
 * The gRPC client: see grpc.h. A stream's eventfd is readable exactly while a message waits or the
 * call is over; it is set and cleared under the stream's lock, so waiting is one poll over it and
 * the caller's cancel descriptor.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "base/ref.h"
#include "base/time.h"
#include "rpc/grpc.h"
#include "rpc/h2.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define SEND_HIGH ((size_t)1 << 20) /* unsent bytes beyond which a sender waits */
#define CONNECT_MS 10000
#define TEXT_MAX ((size_t)2040)

struct grpc_client {
    atomic_int refs;
    struct h2_conn *h2;
};

struct grpc_stream {
    struct h2_stream h2; /* first */
    struct grpc_client *client;
    struct arena *arena; /* of the request's fields */
    nghttp2_nv *nv;
    size_t n_nv;
    int64_t deadline_ns; /* 0: none */
    int cancel_fd;
    int ready_fd; /* a message waits, or the call is over */

    /* the connection's thread only */
    int http_status;
    bool have_code;
    int64_t code;
    struct buf text;

    /* guarded by h2.lock */
    bool over; /* status says how; messages may still wait */
    bool ready;
    int drain_fd;      /* may be sent to again; -1 until a sender has to wait */
    struct err status; /* kind NONE: success */
};

/* ---- the state of a stream; callers hold the lock
 * ---------------------------------------------------------------------------- */

static void set_ready(struct grpc_stream *s)
{
    bool ready = s->over || !list_empty(&s->h2.in);
    uint64_t n = 1;

    if (ready && !s->ready)
        (void)!write(s->ready_fd, &n, sizeof(n));
    else if (!ready && s->ready)
        (void)!read(s->ready_fd, &n, sizeof(n));
    s->ready = ready;
}

static void set_drained(struct grpc_stream *s)
{
    uint64_t one = 1;

    if (s->drain_fd >= 0)
        (void)!write(s->drain_fd, &one, sizeof(one));
}

/* The first end counts. */
static void set_over(struct grpc_stream *s, const struct err *status)
{
    if (s->over)
        return;
    s->over = true;
    s->status = *status;
    set_ready(s);
    set_drained(s);
}

/* ---- what the connection tells
 * ---------------------------------------------------------------------------------------------- */

static int on_header(struct h2_stream *h, struct str name, struct str value)
{
    struct grpc_stream *s = (struct grpc_stream *)h;
    uint64_t n;

    if (str_eq(name, ":status") && str_to_u64(value, 100, 999, &n)) {
        s->http_status = (int)n;
    } else if (str_eq(name, "grpc-status")) {
        s->have_code = true;
        if (!str_to_i64(value, 0, INT32_MAX, &s->code))
            s->code = GRPC_UNKNOWN;
    } else if (str_eq(name, "grpc-message")) {
        buf_reset(&s->text);
        grpc_text_decode(value, &s->text);
    }
    return 0;
}

/* What HTTP's statuses mean when no gRPC server has answered (gRPC's "HTTP to gRPC Status Code
 * Mapping"). */
static enum err_kind kind_of_http(int status)
{
    switch (status) {
    case 400:
        return ERR_INTERNAL;
    case 401:
        return ERR_UNAUTHORIZED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return ERR_UNAVAILABLE;
    default:
        return ERR_UNKNOWN;
    }
}

/* The server has said all: how did it end? why is for when it did not say. */
static void finish(struct grpc_stream *s, const struct err *why)
{
    struct err e = {0};
    bool reset;

    if (s->have_code && s->code != GRPC_OK)
        (void)grpc_err(&e, s->code, buf_cstr(&s->text));
    else if (!s->have_code && s->http_status != 0 && s->http_status != 200)
        (void)err_set(&e, kind_of_http(s->http_status),
                      "unexpected HTTP status code received from server: %d", s->http_status);
    else if (!s->have_code || s->h2.truncated)
        e = *why;
    (void)pthread_mutex_lock(&s->h2.lock);
    set_over(s, &e);
    reset = !s->h2.out_end && !s->h2.closed;
    if (reset)
        s->h2.reset = NGHTTP2_CANCEL; /* nobody reads what we still would send */
    (void)pthread_mutex_unlock(&s->h2.lock);
    if (reset)
        (void)h2_post(&s->h2);
}

static void on_event(struct h2_stream *h, enum h2_event what, struct err *why)
{
    struct grpc_stream *s = (struct grpc_stream *)h;
    struct err e;

    switch (what) {
    case H2_HEADERS:
        return;
    case H2_MESSAGE:
        (void)pthread_mutex_lock(&h->lock);
        set_ready(s);
        (void)pthread_mutex_unlock(&h->lock);
        return;
    case H2_END:
        (void)err_set(&e, ERR_INTERNAL,
                      h->truncated ? "unexpected end of the response in a message"
                                   : "server closed the stream without sending trailers");
        finish(s, &e);
        return;
    case H2_DRAINED:
        (void)pthread_mutex_lock(&h->lock);
        set_drained(s);
        (void)pthread_mutex_unlock(&h->lock);
        return;
    case H2_BAD:
        (void)pthread_mutex_lock(&h->lock);
        set_over(s, why);
        h->reset = NGHTTP2_CANCEL;
        (void)pthread_mutex_unlock(&h->lock);
        (void)h2_post(h);
        return;
    case H2_EXPIRED:
        return; /* whoever waits keeps the time */
    case H2_CLOSED:
        finish(s, why);
        return;
    }
}

/* The connection's thread: open the stream in the session. */
static void start_request(struct h2_stream *h, nghttp2_session *session,
                          nghttp2_data_provider *body)
{
    struct grpc_stream *s = (struct grpc_stream *)h;

    h->id = nghttp2_submit_request(session, NULL, s->nv, s->n_nv, body, h);
}

static void free_stream(struct h2_stream *h)
{
    struct grpc_stream *s = (struct grpc_stream *)h;

    fd_close(s->ready_fd);
    fd_close(s->drain_fd);
    buf_done(&s->text);
    arena_free(s->arena);
    free(s);
}

static const struct h2_ops client_ops = {
    .header = on_header,
    .event = on_event,
    .start = start_request,
    .free = free_stream,
};

/* ---- connections ---- */

int grpc_client_adopt(int fd, struct grpc_client **out_client, struct err *e)
{
    struct grpc_client *c = mem_alloc(sizeof(*c));

    atomic_init(&c->refs, 1);
    if (h2_conn_new(fd, &client_ops, 100, c, &c->h2, e) < 0) {
        free(c);
        return -1;
    }
    *out_client = c;
    return 0;
}

int grpc_client_connect(const char *path, int timeout_ms, struct grpc_client **out_client,
                        struct err *e)
{
    int fd = sock_dial(path, timeout_ms > 0 ? timeout_ms : CONNECT_MS, e);

    return fd < 0 ? -1 : grpc_client_adopt(fd, out_client, e);
}

struct grpc_client *grpc_client_ref(struct grpc_client *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void grpc_client_unref(struct grpc_client *c)
{
    if (c == NULL || !ref_drop(&c->refs))
        return;
    h2_conn_stop(c->h2, 0);
    h2_conn_join(c->h2);
    h2_conn_unref(c->h2);
    free(c);
}

bool grpc_client_alive(struct grpc_client *c)
{
    return h2_conn_alive(c->h2);
}

/* ---- opening ---- */

static void add_field(struct grpc_stream *s, const char *name, const char *value)
{
    char *n = arena_strdup(s->arena, name), *v = arena_strdup(s->arena, value);

    s->nv[s->n_nv++] =
        (nghttp2_nv){(uint8_t *)n, (uint8_t *)v, strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE};
}

static void add_fields(struct grpc_stream *s, const char *path, const struct grpc_opts *o)
{
    char timeout[16];

    s->nv = arena_alloc_array(s->arena, 8 + o->n_metadata, sizeof(*s->nv));
    add_field(s, ":method", "POST");
    add_field(s, ":scheme", "http");
    add_field(s, ":path", path);
    add_field(s, ":authority", "localhost");
    add_field(s, "content-type", "application/grpc");
    add_field(s, "user-agent", "hull/" HULL_VERSION);
    add_field(s, "te", "trailers");
    if (o->timeout_ms > 0) {
        grpc_timeout_format(o->timeout_ms * NS_PER_MS, timeout);
        add_field(s, "grpc-timeout", timeout);
    }
    for (size_t i = 0; i < o->n_metadata; i++)
        add_field(s, o->metadata[i].name, o->metadata[i].value);
}

static int stream_new(struct grpc_client *c, const char *path, const struct grpc_opts *opts,
                      struct grpc_stream **out_stream, struct err *e)
{
    static const struct grpc_opts none = GRPC_OPTS();
    const struct grpc_opts *o = opts != NULL ? opts : &none;
    struct grpc_stream *s = mem_alloc(sizeof(*s));

    h2_stream_init(&s->h2, c->h2);
    s->client = grpc_client_ref(c);
    s->arena = arena_new();
    s->cancel_fd = o->cancel_fd;
    s->text.max = TEXT_MAX;
    s->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->drain_fd = -1;
    if (o->timeout_ms > 0)
        s->deadline_ns = time_mono_ns() + o->timeout_ms * NS_PER_MS;
    add_fields(s, path, o);
    if (s->ready_fd < 0) {
        (void)err_sys(e, "eventfd");
        grpc_stream_free(s);
        return -1;
    }
    *out_stream = s;
    return 0;
}

/* Hand the stream to the connection's thread. A connection that is over ends the call here. */
static void post(struct grpc_stream *s)
{
    struct err e;

    if (h2_post(&s->h2))
        return;
    (void)err_set(&e, ERR_UNAVAILABLE, "the connection is closed");
    (void)pthread_mutex_lock(&s->h2.lock);
    set_over(s, &e);
    (void)pthread_mutex_unlock(&s->h2.lock);
}

int grpc_stream_open(struct grpc_client *c, const char *path, const struct grpc_opts *opts,
                     struct grpc_stream **out_stream, struct err *e)
{
    if (!grpc_client_alive(c))
        return err_set(e, ERR_UNAVAILABLE, "the connection is closed");
    TRY(stream_new(c, path, opts, out_stream, e));
    post(*out_stream);
    return 0;
}

/* ---- waiting ---- */

static void cancel_with(struct grpc_stream *s, enum err_kind kind, const char *text)
{
    struct err e;
    bool reset;

    (void)err_set(&e, kind, "%s", text);
    (void)pthread_mutex_lock(&s->h2.lock);
    reset = !s->over && !s->h2.closed;
    if (reset)
        s->h2.reset = NGHTTP2_CANCEL;
    set_over(s, &e);
    (void)pthread_mutex_unlock(&s->h2.lock);
    if (reset)
        (void)h2_post(&s->h2);
}

/* Wait for fd, the cancel descriptor or the deadline; the latter two end the call. */
static void wait_for(struct grpc_stream *s, int fd)
{
    struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = s->cancel_fd, .events = POLLIN}};
    int ms = -1;

    if (s->deadline_ns != 0)
        ms = (int)MAX(MIN((s->deadline_ns - time_mono_ns()) / NS_PER_MS + 1, 3600000), 0);
    int r = poll(p, ARRAY_LEN(p), ms);
    if (r > 0 && p[0].revents != 0)
        return;
    if (r > 0)
        cancel_with(s, ERR_CANCELLED, "context canceled");
    else if (r == 0 && s->deadline_ns != 0 && time_mono_ns() >= s->deadline_ns)
        cancel_with(s, ERR_TIMEOUT, "context deadline exceeded");
}

/* ---- messages ---- */

/* Queue m, which is taken, unless the call is over or the queue is full; then 0 and m stays. 1:
 * queued. */
static int enqueue(struct grpc_stream *s, struct grpc_msg *m, bool last, struct err *e)
{
    int r = 0;

    (void)pthread_mutex_lock(&s->h2.lock);
    if (s->over || s->h2.out_end) {
        *e = s->status;
        r = e->kind != ERR_NONE ? -1 : err_set(e, ERR_CANCELLED, "the call is over");
    } else if (s->h2.unsent <= SEND_HIGH) {
        list_append(&s->h2.out, &m->link);
        s->h2.unsent += m->n;
        s->h2.out_end = last;
        r = 1;
    } else {
        s->h2.want_drained = true;
        if (s->drain_fd < 0)
            s->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->drain_fd < 0)
            r = err_sys(e, "eventfd");
    }
    (void)pthread_mutex_unlock(&s->h2.lock);
    return r;
}

static int send_message(struct grpc_stream *s, const ProtobufCMessage *msg, bool last,
                        struct err *e)
{
    auto_free struct grpc_msg *m = grpc_frame(msg, e);
    uint64_t n;
    int r;

    if (m == NULL)
        return -1;
    while ((r = enqueue(s, m, last, e)) == 0) {
        wait_for(s, s->drain_fd);
        (void)!read(s->drain_fd, &n, sizeof(n));
    }
    if (r < 0)
        return -1;
    (void)TAKE_PTR(m);
    post(s);
    return 0;
}

int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e)
{
    return send_message(s, msg, false, e);
}

void grpc_stream_close_send(struct grpc_stream *s)
{
    (void)pthread_mutex_lock(&s->h2.lock);
    s->h2.out_end = true;
    (void)pthread_mutex_unlock(&s->h2.lock);
    post(s);
}

int grpc_stream_recv(struct grpc_stream *s, const ProtobufCMessageDescriptor *response,
                     struct arena *a, void *out_msg, struct err *e)
{
    for (;;) {
        bool over, last;
        (void)pthread_mutex_lock(&s->h2.lock);
        struct grpc_msg *m = h2_take(&s->h2);
        last = list_empty(&s->h2.in);
        over = s->over;
        if (m == NULL && over)
            *e = s->status;
        set_ready(s);
        (void)pthread_mutex_unlock(&s->h2.lock);
        if (m != NULL) {
            int r = pb_unpack(response, m->bytes, m->n, a, out_msg, e);
            free(m);
            if (last && !over)
                (void)h2_post(&s->h2); /* the window of its bytes goes back */
            return r < 0 ? -1 : 1;
        }
        if (over)
            return e->kind == ERR_NONE ? 0 : -1;
        wait_for(s, s->ready_fd);
    }
}

int grpc_stream_fd(const struct grpc_stream *s)
{
    return s->ready_fd;
}

void grpc_stream_cancel(struct grpc_stream *s)
{
    cancel_with(s, ERR_CANCELLED, "context canceled");
}

void grpc_stream_free(struct grpc_stream *s)
{
    if (s == NULL)
        return;
    struct grpc_client *c = s->client;
    cancel_with(s, ERR_CANCELLED, "context canceled");
    h2_stream_unref(&s->h2);
    grpc_client_unref(c);
}

/* NOLINTNEXTLINE(readability-function-size): what is asked, how, and where the answer goes */
int grpc_unary(struct grpc_client *c, const char *path, const ProtobufCMessage *req,
               const struct grpc_opts *opts, const ProtobufCMessageDescriptor *response,
               struct arena *a, void *out_msg, struct err *e)
{
    struct grpc_stream *s = NULL;
    void *msg = NULL, *more;
    int r;

    if (!grpc_client_alive(c))
        return err_set(e, ERR_UNAVAILABLE, "the connection is closed");
    TRY(stream_new(c, path, opts, &s, e));
    r = send_message(s, req, true, e);
    if (r == 0)
        r = grpc_stream_recv(s, response, a, &msg, e);
    if (r == 0)
        r = err_set(e, ERR_INTERNAL, "%s: the server sent no response", path);
    else if (r == 1 && (r = grpc_stream_recv(s, response, a, &more, e)) == 1)
        r = err_set(e, ERR_INTERNAL, "%s: the server sent more than one response", path);
    grpc_stream_free(s);
    if (r < 0)
        return -1;
    *(void **)out_msg = msg;
    return 0;
}
