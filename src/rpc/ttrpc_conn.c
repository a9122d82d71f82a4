/*
 * One ttrpc connection: see ttrpc_conn.h. A frame that is too long is skipped without being held,
 * so the connection goes on; a connection that its owner frees in the middle of a callback is freed
 * when the callback has returned.
 */
#include "rpc/ttrpc_conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "sys/fd.h"

#define READ_SIZE ((size_t)64 << 10)
#define KEEP ((size_t)64 << 10) /* a buffer that grew beyond it is given back when empty */

struct ttrpc_conn {
    const struct ttrpc_conn_ops *ops;
    void *owner;
    struct source *source;
    int fd;
    bool busy, freed; /* freed while busy: the memory goes when the callback has returned */
    bool writing;     /* waits for EPOLLOUT */
    struct ttrpc_reader reader;
    struct buf out;
    size_t out_pos;
};

/* ---- frames ---- */

void ttrpc_reader_feed(struct ttrpc_reader *r, const void *p, size_t n)
{
    size_t skip = MIN(r->skip, n);

    r->skip -= skip;
    buf_consume(&r->in, r->used);
    r->used = 0;
    if (r->in.n == 0 && r->in.cap > KEEP)
        buf_done(&r->in);
    (void)buf_add(&r->in, (const char *)p + skip, n - skip); /* a frame and one more read fit */
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool ttrpc_reader_next(struct ttrpc_reader *r, struct ttrpc_frame *out)
{
    size_t have = r->in.n - r->used, n;
    const uint8_t *p;

    if (have < TTRPC_HEADER)
        return false;
    p = (const uint8_t *)r->in.p + r->used;
    n = be32(p);
    *out = (struct ttrpc_frame){.stream = be32(p + 4), .type = p[8], .flags = p[9], .n = n};
    if (n > TTRPC_MAX_PAYLOAD) {
        size_t here = MIN(n, have - TTRPC_HEADER);
        out->too_long = true;
        r->skip = n - here;
        r->used += TTRPC_HEADER + here;
        return true;
    }
    if (have - TTRPC_HEADER < n)
        return false;
    out->p = p + TTRPC_HEADER;
    r->used += TTRPC_HEADER + n;
    return true;
}

void ttrpc_reader_done(struct ttrpc_reader *r)
{
    buf_done(&r->in);
}

/* ---- the connection ---- */

static void conn_release(struct ttrpc_conn *c)
{
    loop_del(c->source);
    fd_close(c->fd);
    ttrpc_reader_done(&c->reader);
    buf_done(&c->out);
    free(c);
}

void ttrpc_conn_free(struct ttrpc_conn *c)
{
    if (c == NULL)
        return;
    c->freed = true;
    if (!c->busy)
        conn_release(c);
}

/* Send what the socket takes. An error needs no handling here: the reading side meets it too. */
static void flush(struct ttrpc_conn *c)
{
    struct err e;

    while (c->out_pos < c->out.n) {
        ssize_t n =
            send(c->fd, c->out.p + c->out_pos, c->out.n - c->out_pos, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            (void)shutdown(c->fd, SHUT_RDWR);
            buf_reset(&c->out);
            c->out_pos = 0;
        }
        if (n < 0)
            break;
        c->out_pos += (size_t)n;
    }
    if (c->out_pos == c->out.n) {
        c->out_pos = 0;
        if (c->out.cap > KEEP)
            buf_done(&c->out);
        else
            buf_reset(&c->out);
    }
    if (c->writing != (c->out.n > 0)) {
        c->writing = c->out.n > 0;
        if (loop_set_events(c->source, EPOLLIN | (c->writing ? EPOLLOUT : 0), &e) < 0)
            (void)shutdown(c->fd, SHUT_RDWR);
    }
}

/* False at the end of the stream. */
static bool receive(struct ttrpc_conn *c)
{
    struct ttrpc_frame f;
    uint8_t buf[READ_SIZE];
    ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    ttrpc_reader_feed(&c->reader, buf, (size_t)n);
    while (!c->freed && ttrpc_reader_next(&c->reader, &f))
        c->ops->frame(c->owner, &f);
    return true;
}

static void on_ready(struct source *s, int fd UNUSED, uint32_t events, void *arg)
{
    struct ttrpc_conn *c = arg;
    bool alive = true;

    if (events & EPOLLOUT)
        flush(c);
    c->busy = true;
    if (events & ~(uint32_t)EPOLLOUT)
        alive = receive(c);
    if (!alive && !c->freed) {
        loop_del(s);
        c->source = NULL;
        c->ops->closed(c->owner);
    }
    c->busy = false;
    if (c->freed)
        conn_release(c);
}

int ttrpc_conn_new(struct loop *loop, int fd, const struct ttrpc_conn_ops *ops, void *owner,
                   struct ttrpc_conn **out_conn, struct err *e)
{
    struct ttrpc_conn *c = mem_alloc(sizeof(*c));
    int r = fd_set_nonblock(fd, true);

    *c = (struct ttrpc_conn){.ops = ops, .owner = owner, .fd = fd, .reader = TTRPC_READER};
    c->out.max = 2 * TTRPC_UNSENT_MAX + TTRPC_MAX_PAYLOAD;
    if (r < 0)
        (void)err_neg(e, r, "make a socket non-blocking");
    else
        c->source = loop_add_fd(loop, fd, EPOLLIN, on_ready, c, e);
    if (c->source == NULL) {
        conn_release(c);
        return -1;
    }
    *out_conn = c;
    return 0;
}

int ttrpc_conn_send(struct ttrpc_conn *c, uint32_t stream, enum ttrpc_type type, const void *p,
                    size_t n, struct err *e)
{
    uint8_t head[TTRPC_HEADER] = {(uint8_t)(n >> 24),      (uint8_t)(n >> 16),
                                  (uint8_t)(n >> 8),       (uint8_t)n,
                                  (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
                                  (uint8_t)(stream >> 8),  (uint8_t)stream,
                                  (uint8_t)type,           0};

    if (n > TTRPC_MAX_PAYLOAD)
        return err_set(e, ERR_EXHAUSTED, "message length %zu exceed maximum message size of %zu", n,
                       TTRPC_MAX_PAYLOAD);
    if (ttrpc_conn_unsent(c) > TTRPC_UNSENT_MAX)
        return err_set(e, ERR_EXHAUSTED, "the other side does not read: %zu bytes are unsent",
                       ttrpc_conn_unsent(c));
    if (c->source == NULL)
        return err_set(e, ERR_UNAVAILABLE, "ttrpc: closed");
    if (c->out_pos > TTRPC_UNSENT_MAX) { /* seldom, so that moving the rest stays cheap */
        buf_consume(&c->out, c->out_pos);
        c->out_pos = 0;
    }
    (void)buf_add(&c->out, head, sizeof(head));
    (void)buf_add(&c->out, p, n);
    flush(c);
    return 0;
}

size_t ttrpc_conn_unsent(const struct ttrpc_conn *c)
{
    return c->out.n - c->out_pos;
}
