/*
 * Moving bytes between two streams in both directions from one thread.
 *
 * Two flows, each with one buffer: a flow reads only when its buffer is empty and writes only when
 * it is not, so a full receiver holds back its own sender and nothing else.
 */
#include <errno.h>
#include <poll.h>

#include "base/mem.h"
#include "rpc/stream.h"

#define FLOW_BYTES (32u << 10)

struct flow {
    struct stream *from, *to;
    char *p;
    size_t n, off;  /* bytes in p, of which off are written */
    bool eof, done; /* from has ended; to was told, or takes no more */
    bool may_lose;  /* a receiver that is gone only ends this flow */
};

/* Move what can be moved at once. -1: the pump fails. */
static int flow_run(struct flow *f, struct err *e)
{
    while (!f->done) {
        if (f->off < f->n) {
            ssize_t put = stream_try_write(f->to, f->p + f->off, f->n - f->off, e);
            if (put == STREAM_AGAIN)
                return 0;
            if (put < 0 && !f->may_lose)
                return -1;
            f->done = put < 0;
            f->off += put > 0 ? (size_t)put : 0;
        } else if (f->eof) {
            int r = f->to->ops->try_shut(f->to, e);
            if (r == STREAM_AGAIN)
                return 0;
            if (r < 0 && !f->may_lose)
                return -1;
            f->done = true;
        } else {
            ssize_t got = stream_try_read(f->from, f->p, FLOW_BYTES, e);
            if (got == STREAM_AGAIN)
                return 0;
            if (got < 0)
                return -1;
            f->eof = got == 0;
            f->n = (size_t)got;
            f->off = 0;
        }
    }
    return 0;
}

static struct pollfd flow_waits_for(const struct flow *f)
{
    struct pollfd p = {.fd = -1};
    if (f->done)
        return p;
    if (f->off < f->n || f->eof)
        p.fd = stream_write_fd(f->to, &p.events);
    else
        p.fd = stream_read_fd(f->from, &p.events);
    return p;
}

static int pump(struct flow *in, struct flow *out, int cancel_fd, struct err *e)
{
    for (;;) {
        TRY(flow_run(in, e));
        TRY(flow_run(out, e));
        if (out->done)
            return 0;
        /* the third entry asks for nothing: it only learns that the client is gone altogether */
        struct pollfd p[4] = {flow_waits_for(in),
                              flow_waits_for(out),
                              {.fd = in->from->rfd},
                              {.fd = cancel_fd, .events = POLLIN}};
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (p[3].revents != 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
        bool reading_client = p[0].fd == in->from->rfd && (p[0].events & in->from->want_r) != 0;
        if ((p[2].revents & (POLLHUP | POLLERR)) != 0 && !reading_client)
            return err_set(e, ERR_UNAVAILABLE, "the client is gone");
    }
}

int stream_pump(struct stream *a, struct stream *b, int cancel_fd, struct err *e)
{
    auto_free char *mem = mem_alloc_array(2, FLOW_BYTES);
    struct flow in = {.from = a, .to = b, .p = mem, .may_lose = true};
    struct flow out = {.from = b, .to = a, .p = mem + FLOW_BYTES};
    return pump(&in, &out, cancel_fd, e);
}
