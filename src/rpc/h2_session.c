/*
 * The nghttp2 session of a connection: see h2_int.h. What it asks for and tells, in the
 * connection's thread.
 *
 * Flow control for what we receive: the connection's window is given back at once, so one slow call
 * never stalls its neighbours; a stream's window is given back while no complete message of it is
 * waiting. A call thus holds at most one message being read plus one window's worth of messages.
 */
#include "rpc/h2_int.h"

#include "base/mem.h"

#define STREAM_WINDOW (1 << 20)
#define CONN_WINDOW (16 << 20)
#define HEADER_BYTES_MAX (32 << 10)
#define PARTIAL_MAX \
    ((size_t)64 << 20) /* bytes of incomplete messages, all streams of a connection together */

static void event(struct h2_stream *s, enum h2_event what, struct err *e)
{
    s->conn->ops->event(s, what, e);
}

void h2_stream_closed(struct h2_stream *s, struct err *why)
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

void h2_stream_enter(struct h2_conn *c, struct h2_stream *s)
{
    list_append(&c->streams, &s->link);
    c->n_streams++;
}

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
    h2_stream_enter(c, s); /* the session keeps the reference that open() made */
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
    h2_stream_closed(s, &e);
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

int h2_session_new(struct h2_conn *c, struct err *e)
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

void h2_look_at(struct h2_conn *c, struct h2_stream *s)
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
            h2_stream_enter(c, s);
        }
        c->ops->start(s, c->h, &body);
        if (s->id <= 0) {
            struct err e;
            (void)err_set(&e, ERR_UNAVAILABLE, "the connection takes no more calls");
            h2_stream_closed(s, &e);
            return;
        }
    } else if (something && reset < 0) {
        (void)nghttp2_session_resume_data(c->h, s->id); /* fails when it is not deferred: fine */
    }
    if (reset >= 0 && s->id > 0)
        (void)nghttp2_submit_rst_stream(c->h, NGHTTP2_FLAG_NONE, s->id, (uint32_t)reset);
    give_back(s);
}
