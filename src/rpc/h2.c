/*
 * The HTTP/2 connection: see h2.h. The thread's round is: look at posted streams, let the session
 * produce bytes, send what the socket takes, wait, feed the session. The session is never told to
 * do a thing by other threads; they leave state behind and an eventfd, so there is no queue of
 * commands to grow or to run late.
 *
 * Flow control for what we receive: the connection's window is given back at once, so one slow call
 * never stalls its neighbours; a stream's window is given back while no complete message of it is
 * waiting. A call thus holds at most one message being read plus one window's worth of messages.
 */
#include "rpc/h2.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/time.h"

#define STREAM_WINDOW (1 << 20)
#define CONN_WINDOW (16 << 20)
#define SEND_BATCH ((size_t)128 << 10)
#define READ_SIZE ((size_t)64 << 10)
#define HEADER_BYTES_MAX (32 << 10)
#define PARTIAL_MAX \
    ((size_t)64 << 20) /* bytes of incomplete messages, all streams of a connection together */

struct h2_conn {
    const struct h2_ops *ops;
    void *owner;
    int fd, wake_fd, max_streams;
    atomic_int refs;
    pthread_t thread;

    /* its own thread only */
    nghttp2_session *h;
    struct list streams;
    size_t n_streams;
    size_t partial; /* bytes of incomplete messages */
    struct buf out;
    size_t out_pos;
    int64_t next_expiry_ns; /* no stream expires earlier; 0: none does */
    bool said_goaway;
    struct err why; /* why it is over */

    pthread_mutex_t lock;
    struct list posted; /* guarded by lock */
    bool woken, dead;   /* guarded by lock */
    bool closing;       /* guarded by lock: no new streams */
    bool stop;          /* guarded by lock */
    int64_t stop_ns;    /* guarded by lock */
};

/* ---- streams
 * ---------------------------------------------------------------------------------------------------
 */

void h2_stream_init(struct h2_stream *s, struct h2_conn *conn)
{
    s->conn = h2_conn_ref(conn);
    atomic_init(&s->refs, 1);
    list_init(&s->link);
    list_init(&s->post_link);
    list_init(&s->in);
    list_init(&s->out);
    s->reset = -1;
    (void)pthread_mutex_init(&s->lock, NULL);
}

struct h2_stream *h2_stream_ref(struct h2_stream *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void h2_stream_unref(struct h2_stream *s)
{
    if (s == NULL || !ref_drop(&s->refs))
        return;
    struct h2_conn *c = s->conn;
    grpc_msgs_free(&s->in);
    grpc_msgs_free(&s->out);
    grpc_deframer_done(&s->deframer);
    (void)pthread_mutex_destroy(&s->lock);
    c->ops->free(s);
    h2_conn_unref(c);
}

static void wake(struct h2_conn *c)
{
    uint64_t one = 1;

    (void)!write(c->wake_fd, &one, sizeof(one)); /* only fails when it is awake 2^64 times over */
}

bool h2_post(struct h2_stream *s)
{
    struct h2_conn *c = s->conn;
    bool alive, first = false;

    (void)pthread_mutex_lock(&c->lock);
    alive = !c->dead;
    if (alive && list_empty(&s->post_link)) {
        list_append(&c->posted, &h2_stream_ref(s)->post_link);
        first = !c->woken;
        c->woken = true;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (first)
        wake(c);
    return alive;
}

struct grpc_msg *h2_take(struct h2_stream *s)
{
    return list_take(&s->in, struct grpc_msg, link);
}

static void event(struct h2_stream *s, enum h2_event what, struct err *e)
{
    s->conn->ops->event(s, what, e);
}

/* The session has forgotten the stream, or the connection ends. Drops the session's reference. */
static void stream_closed(struct h2_stream *s, struct err *why)
{
    (void)pthread_mutex_lock(&s->lock);
    s->closed = s->in_end = true;
    grpc_msgs_free(&s->out);
    s->unsent = 0;
    (void)pthread_mutex_unlock(&s->lock);
    list_remove(&s->link);
    s->conn->n_streams--;
    s->conn->partial -= s->partial;
    s->partial = 0;
    s->id = 0;
    event(s, H2_CLOSED, why);
    h2_stream_unref(s);
}

void h2_expire_at(struct h2_stream *s, int64_t when_ns)
{
    struct h2_conn *c = s->conn;

    s->expires_ns = when_ns;
    if (when_ns != 0 && (c->next_expiry_ns == 0 || when_ns < c->next_expiry_ns))
        c->next_expiry_ns = when_ns;
}

static void stream_enter(struct h2_conn *c, struct h2_stream *s)
{
    list_append(&c->streams, &s->link);
    c->n_streams++;
}

/* ---- what the session asks for
 * ---------------------------------------------------------------------------------- */

static ssize_t on_read_body(nghttp2_session *h, int32_t id UNUSED, uint8_t *to, size_t cap,
                            uint32_t *flags, nghttp2_data_source *source, void *user UNUSED)
{
    struct h2_stream *s = source->ptr;
    size_t n = 0;
    bool end, drained;

    (void)pthread_mutex_lock(&s->lock);
    while (n < cap && !list_empty(&s->out)) {
        struct grpc_msg *m = CONTAINER_OF(s->out.next, struct grpc_msg, link);
        size_t part = MIN(cap - n, m->n - m->pos);
        memcpy(to + n, m->bytes + m->pos, part);
        m->pos += part;
        n += part;
        if (m->pos == m->n)
            free(list_take(&s->out, struct grpc_msg, link));
    }
    s->unsent -= n;
    end = list_empty(&s->out) && s->out_end;
    drained = s->want_drained && s->unsent < H2_QUEUE_LOW;
    if (drained)
        s->want_drained = false;
    (void)pthread_mutex_unlock(&s->lock);

    if (drained)
        event(s, H2_DRAINED, NULL);
    if (!end)
        return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->conn->ops->trailers != NULL) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        s->conn->ops->trailers(s, h);
    }
    return (ssize_t)n;
}

static int on_begin_headers(nghttp2_session *h, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *c = user;
    struct h2_stream *s = NULL;

    if (!c->ops->server || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* a stream lives on while a handler works for it, also when its client has reset it: those
     * count too */
    if (!c->said_goaway && atomic_load(&c->refs) <= 2 * c->max_streams)
        s = c->ops->open(c);
    if (s == NULL) {
        (void)nghttp2_submit_rst_stream(h, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    s->id = frame->hd.stream_id;
    stream_enter(c, s); /* the session keeps the reference that open() made */
    (void)nghttp2_session_set_stream_user_data(h, s->id, s);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are nghttp2's */
static int on_header(nghttp2_session *h, const nghttp2_frame *frame, const uint8_t *name,
                     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags UNUSED,
                     void *user)
{
    struct h2_conn *c = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(h, frame->hd.stream_id);

    if (s == NULL)
        return 0;
    return c->ops->header(s, (struct str){(const char *)name, n_name},
                          (struct str){(const char *)value, n_value}) < 0
               ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
               : 0;
}

static int on_frame(nghttp2_session *h, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *c = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(h, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        (void)pthread_mutex_lock(&c->lock);
        c->closing = true;
        (void)pthread_mutex_unlock(&c->lock);
        return 0;
    }
    if (s == NULL || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        event(s, H2_HEADERS, NULL);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        s->ended = true;
        s->truncated = !grpc_deframer_idle(&s->deframer);
        (void)pthread_mutex_lock(&s->lock);
        s->in_end = true;
        (void)pthread_mutex_unlock(&s->lock);
        event(s, H2_END, NULL);
    }
    return 0;
}

/* Give back the stream's window unless a message waits to be taken. */
static void give_back(struct h2_stream *s)
{
    bool idle;

    (void)pthread_mutex_lock(&s->lock);
    idle = list_empty(&s->in);
    (void)pthread_mutex_unlock(&s->lock);
    if (idle && s->unread > 0 && s->id != 0) {
        (void)nghttp2_session_consume_stream(s->conn->h, s->id, s->unread);
        s->unread = 0;
    }
}

/* Count what the stream holds of a message that is not complete; -1 when the connection holds too
 * much of that. */
static int count_partial(struct h2_stream *s, struct err *e)
{
    size_t now = s->deframer.msg != NULL ? s->deframer.msg->n : 0;

    s->conn->partial += now - s->partial;
    s->partial = now;
    if (now > 0 && s->conn->partial > PARTIAL_MAX)
        return err_set(e, ERR_EXHAUSTED, "too many long messages at a time on one connection");
    return 0;
}

static int on_data(nghttp2_session *h, uint8_t flags UNUSED, int32_t id, const uint8_t *data,
                   size_t n, void *user UNUSED)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(h, id);
    struct str in = {(const char *)data, n};
    struct grpc_msg *m = NULL;
    struct err e;
    int r;

    (void)nghttp2_session_consume_connection(h, n);
    if (s == NULL) {
        (void)nghttp2_session_consume_stream(h, id, n);
        return 0;
    }
    s->unread += n;
    if (s->bad) {
        give_back(s);
        return 0;
    }
    while ((r = grpc_deframe(&s->deframer, &in, &m, &e)) == 1) {
        (void)pthread_mutex_lock(&s->lock);
        list_append(&s->in, &m->link);
        (void)pthread_mutex_unlock(&s->lock);
        event(s, H2_MESSAGE, NULL);
    }
    if (r == 0)
        r = count_partial(s, &e);
    if (r < 0) {
        s->bad = true;
        grpc_deframer_done(&s->deframer);
        (void)count_partial(s, &e);
        event(s, H2_BAD, &e);
    }
    give_back(s);
    return 0;
}

static int on_stream_close(nghttp2_session *h, int32_t id, uint32_t code, void *user UNUSED)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(h, id);
    struct err e = {0};

    if (s == NULL)
        return 0;
    if (code == NGHTTP2_CANCEL)
        (void)err_set(&e, ERR_CANCELLED, "context canceled");
    else if (code == NGHTTP2_REFUSED_STREAM)
        (void)err_set(&e, ERR_UNAVAILABLE, "the server refused the call");
    else if (code == NGHTTP2_NO_ERROR)
        (void)err_set(&e, ERR_INTERNAL, "server closed the stream without sending trailers");
    else
        (void)err_set(&e, ERR_INTERNAL, "stream terminated by RST_STREAM with error code: %s",
                      nghttp2_http2_strerror(code));
    stream_closed(s, &e);
    return 0;
}

/* A server that has answered before the client has sent everything tells it to stop (RFC
 * 9113, 8.1). */
static int on_frame_sent(nghttp2_session *h, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *c = user;

    if (c->ops->server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        nghttp2_session_get_stream_remote_close(h, frame->hd.stream_id) == 0)
        (void)nghttp2_submit_rst_stream(h, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_NO_ERROR);
    return 0;
}

static int session_new(struct h2_conn *c, struct err *e)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_BYTES_MAX},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)c->max_streams},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *opt = NULL;
    int r = nghttp2_session_callbacks_new(&cb);

    if (r == 0)
        r = nghttp2_option_new(&opt);
    if (r == 0) {
        nghttp2_option_set_no_auto_window_update(opt, 1);
        nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
        nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
        r = c->ops->server ? nghttp2_session_server_new2(&c->h, cb, c, opt)
                           : nghttp2_session_client_new2(&c->h, cb, c, opt);
    }
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(opt);
    /* a server may not send ENABLE_PUSH */
    if (r == 0)
        r = nghttp2_submit_settings(c->h, NGHTTP2_FLAG_NONE, settings,
                                    ARRAY_LEN(settings) - (c->ops->server ? 1 : 0));
    if (r == 0)
        r = nghttp2_session_set_local_window_size(c->h, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    return r == 0 ? 0 : err_set(e, ERR_INTERNAL, "HTTP/2 session: %s", nghttp2_strerror(r));
}

/* ---- the thread
 * --------------------------------------------------------------------------------------------------
 */

/* Bring the session in line with what other threads have left in the stream. */
static void look_at(struct h2_conn *c, struct h2_stream *s)
{
    nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_read_body};
    bool something;
    int reset;

    (void)pthread_mutex_lock(&s->lock);
    reset = s->closed ? -1 : s->reset;
    s->reset = -1;
    something = !s->closed && (!list_empty(&s->out) || s->out_end || !c->ops->server);
    (void)pthread_mutex_unlock(&s->lock);

    if (something && reset < 0 && !s->started) {
        s->started = true;
        if (!c->ops->server) {
            h2_stream_ref(s); /* the session's, until stream_closed */
            stream_enter(c, s);
        }
        c->ops->start(s, c->h, &body);
        if (s->id <= 0) {
            struct err e;
            (void)err_set(&e, ERR_UNAVAILABLE, "the connection takes no more calls");
            stream_closed(s, &e);
            return;
        }
    } else if (something && reset < 0) {
        (void)nghttp2_session_resume_data(c->h, s->id); /* fails when it is not deferred: fine */
    }
    if (reset >= 0 && s->id > 0)
        (void)nghttp2_submit_rst_stream(c->h, NGHTTP2_FLAG_NONE, s->id, (uint32_t)reset);
    give_back(s);
}

static void look_at_posted(struct h2_conn *c)
{
    uint64_t n;

    (void)!read(c->wake_fd, &n, sizeof(n)); /* EAGAIN: not woken */
    for (;;) {
        (void)pthread_mutex_lock(&c->lock);
        struct h2_stream *s = list_take(&c->posted, struct h2_stream, post_link);
        if (s == NULL)
            c->woken = false; /* whoever posts from now on wakes us again */
        (void)pthread_mutex_unlock(&c->lock);
        if (s == NULL)
            return;
        look_at(c, s);
        h2_stream_unref(s);
    }
}

/* Milliseconds until the next deadline, -1 for none; streams whose deadline is over are told. */
static int expire(struct h2_conn *c)
{
    int64_t now = time_mono_ns(), next = 0;

    if (c->next_expiry_ns == 0)
        return -1;
    if (now < c->next_expiry_ns)
        return (int)MIN((c->next_expiry_ns - now) / NS_PER_MS + 1, 3600000);
    list_each(l, &c->streams) {
        struct h2_stream *s = CONTAINER_OF(l, struct h2_stream, link);
        if (s->expires_ns == 0)
            continue;
        if (s->expires_ns <= now) {
            s->expires_ns = 0;
            event(s, H2_EXPIRED, NULL);
        } else if (next == 0 || s->expires_ns < next) {
            next = s->expires_ns;
        }
    }
    c->next_expiry_ns = next;
    return 0; /* what the events did must go out first */
}

/* Let the session produce and the socket take bytes until one of them has enough. */
static int send_some(struct h2_conn *c, struct err *e)
{
    for (;;) {
        if (c->out_pos == c->out.n) {
            buf_reset(&c->out);
            c->out_pos = 0;
            while (c->out.n < SEND_BATCH) {
                const uint8_t *p;
                ssize_t n = nghttp2_session_mem_send(c->h, &p);
                if (n < 0)
                    return err_set(e, ERR_INTERNAL, "HTTP/2: %s", nghttp2_strerror((int)n));
                if (n == 0)
                    break;
                (void)buf_add(&c->out, p, (size_t)n); /* one frame beyond the batch always fits */
            }
            if (c->out.n == 0)
                return 0;
        }
        ssize_t n =
            send(c->fd, c->out.p + c->out_pos, c->out.n - c->out_pos, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0) {
            (void)err_sys(e, "error reading from server");
            e->kind = ERR_UNAVAILABLE;
            return -1;
        }
        c->out_pos += (size_t)n;
    }
}

static int receive_some(struct h2_conn *c, struct err *e)
{
    uint8_t buf[READ_SIZE];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0) {
        (void)err_sys(e, "error reading from peer");
        e->kind = ERR_UNAVAILABLE;
        return -1;
    }
    if (n == 0)
        return err_set(e, ERR_UNAVAILABLE, "error reading from peer: EOF");
    ssize_t r = nghttp2_session_mem_recv(c->h, buf, (size_t)n);
    if (r < 0)
        return err_set(e, ERR_UNAVAILABLE, "HTTP/2: %s", nghttp2_strerror((int)r));
    return 0;
}

/* True when it is time to end; *wait_ms is shortened to when that has to be looked at again. */
static bool stopping(struct h2_conn *c, int *wait_ms)
{
    bool stop;
    int64_t left;

    (void)pthread_mutex_lock(&c->lock);
    stop = c->stop;
    left = c->stop_ns - time_mono_ns();
    (void)pthread_mutex_unlock(&c->lock);
    if (!stop)
        return false;
    if (!c->said_goaway) {
        c->said_goaway = true;
        (void)nghttp2_submit_goaway(c->h, NGHTTP2_FLAG_NONE,
                                    nghttp2_session_get_last_proc_stream_id(c->h), NGHTTP2_NO_ERROR,
                                    NULL, 0);
        *wait_ms = 0; /* it must go out first */
        return false;
    }
    if (left <= 0 ||
        (c->n_streams == 0 && c->out_pos == c->out.n && !nghttp2_session_want_write(c->h)))
        return true;
    if (*wait_ms < 0 || left / NS_PER_MS + 1 < *wait_ms)
        *wait_ms = (int)(left / NS_PER_MS + 1);
    return false;
}

static int run(struct h2_conn *c, struct err *e)
{
    TRY(session_new(c, e));
    for (;;) {
        look_at_posted(c);
        int wait_ms = expire(c);
        if (wait_ms != 0 && stopping(c, &wait_ms))
            return err_set(e, ERR_UNAVAILABLE, "the connection is closing");
        TRY(send_some(c, e));
        if (!nghttp2_session_want_read(c->h) && !nghttp2_session_want_write(c->h))
            return err_set(e, ERR_UNAVAILABLE, "the connection is closing");
        struct pollfd p[] = {
            {.fd = c->fd, .events = POLLIN | (c->out_pos < c->out.n ? POLLOUT : 0)},
            {.fd = c->wake_fd, .events = POLLIN},
        };
        if (poll(p, ARRAY_LEN(p), wait_ms) < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
            TRY(receive_some(c, e));
    }
}

static void *conn_thread(void *arg)
{
    struct h2_conn *c = arg;

    (void)run(c, &c->why);
    log_debug("grpc: connection ended", "reason", c->why.msg, NULL);

    (void)pthread_mutex_lock(&c->lock);
    c->dead = c->closing = true;
    (void)pthread_mutex_unlock(&c->lock);
    /* nothing is posted any more: streams that were not looked at enter only to be closed */
    list_each(l, &c->posted) {
        struct h2_stream *s = CONTAINER_OF(l, struct h2_stream, post_link);
        list_remove(&s->post_link);
        if (!s->started && !c->ops->server) {
            s->started = true;
            h2_stream_ref(s);
            stream_enter(c, s);
        }
        h2_stream_unref(s);
    }
    list_each(l, &c->streams) {
        struct err e = c->why;
        stream_closed(CONTAINER_OF(l, struct h2_stream, link), &e);
    }
    nghttp2_session_del(c->h);
    c->h = NULL;
    (void)shutdown(c->fd, SHUT_RDWR);
    if (c->ops->gone != NULL)
        c->ops->gone(c->owner);
    h2_conn_unref(c);
    return NULL;
}

/* ---- connections
 * --------------------------------------------------------------------------------------------------
 */

int h2_conn_new(int fd, const struct h2_ops *ops, int max_streams, void *owner,
                struct h2_conn **out_conn, struct err *e)
{
    struct h2_conn *c = mem_alloc(sizeof(*c));
    pthread_attr_t attr;
    int r;

    c->ops = ops;
    c->max_streams = max_streams;
    c->owner = owner;
    c->fd = fd;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->out.max = 2 * SEND_BATCH + ((size_t)1 << 20);
    atomic_init(&c->refs, 1);
    list_init(&c->streams);
    list_init(&c->posted);
    (void)pthread_mutex_init(&c->lock, NULL);
    if (c->wake_fd < 0) {
        (void)err_sys(e, "eventfd");
        h2_conn_unref(c);
        return -1;
    }
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, (size_t)256 << 10);
    if (ops->server)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    h2_conn_ref(c); /* the thread's */
    *out_conn = c;  /* before the thread can call the owner back */
    r = pthread_create(&c->thread, &attr, conn_thread, c);
    (void)pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    *out_conn = NULL;
    h2_conn_unref(c);
    h2_conn_unref(c);
    return err_neg(e, -r, "start a thread for a connection");
}

struct h2_conn *h2_conn_ref(struct h2_conn *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void h2_conn_unref(struct h2_conn *c)
{
    if (c == NULL || !ref_drop(&c->refs))
        return;
    (void)close(c->fd);
    if (c->wake_fd >= 0)
        (void)close(c->wake_fd);
    buf_done(&c->out);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void *h2_owner(const struct h2_conn *c)
{
    return c->owner;
}

int h2_fd(const struct h2_conn *c)
{
    return c->fd;
}

bool h2_conn_alive(struct h2_conn *c)
{
    bool alive;

    (void)pthread_mutex_lock(&c->lock);
    alive = !c->closing && !c->stop;
    (void)pthread_mutex_unlock(&c->lock);
    return alive;
}

void h2_conn_stop(struct h2_conn *c, int grace_ms)
{
    (void)pthread_mutex_lock(&c->lock);
    c->stop = true;
    c->stop_ns = time_mono_ns() + grace_ms * NS_PER_MS;
    (void)pthread_mutex_unlock(&c->lock);
    wake(c);
}

void h2_conn_join(struct h2_conn *c)
{
    (void)pthread_join(c->thread, NULL);
}
