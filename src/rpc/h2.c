/*
 * The HTTP/2 connection: see h2.h. The thread's round is: look at posted streams, let the session
 * produce bytes, send what the socket takes, wait, feed the session. The session is never told to
 * do a thing by other threads; they leave state behind and an eventfd, so there is no queue of
 * commands to grow or to run late.
 */
#include "rpc/h2_int.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/time.h"
#include "sys/thread.h"

#define SEND_BATCH ((size_t)128 << 10)
#define READ_SIZE ((size_t)64 << 10)

/* ---- streams ---- */

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

void h2_expire_at(struct h2_stream *s, int64_t when_ns)
{
    struct h2_conn *c = s->conn;

    s->expires_ns = when_ns;
    if (when_ns != 0 && (c->next_expiry_ns == 0 || when_ns < c->next_expiry_ns))
        c->next_expiry_ns = when_ns;
}

/* ---- the thread ---- */

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
        h2_look_at(c, s);
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
            c->ops->event(s, H2_EXPIRED, NULL);
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
    TRY(h2_session_new(c, e));
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
            h2_stream_enter(c, s);
        }
        h2_stream_unref(s);
    }
    list_each(l, &c->streams) {
        struct err e = c->why;
        h2_stream_closed(CONTAINER_OF(l, struct h2_stream, link), &e);
    }
    nghttp2_session_del(c->h);
    c->h = NULL;
    (void)shutdown(c->fd, SHUT_RDWR);
    if (c->ops->gone != NULL)
        c->ops->gone(c->owner);
    h2_conn_unref(c);
    return NULL;
}

/* ---- connections ---- */

int h2_conn_new(int fd, const struct h2_ops *ops, int max_streams, void *owner,
                struct h2_conn **out_conn, struct err *e)
{
    struct h2_conn *c = mem_alloc(sizeof(*c));
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
    h2_conn_ref(c); /* the thread's */
    *out_conn = c;  /* before the thread can call the owner back */
    r = thread_start(ops->server ? NULL : &c->thread, THREAD_STACK, conn_thread, c);
    if (r == 0)
        return 0;
    *out_conn = NULL;
    h2_conn_unref(c);
    h2_conn_unref(c);
    return err_neg(e, r, "start a thread for a connection");
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
