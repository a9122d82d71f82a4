/*
 * The client of attach.h. One frame is parsed where it was received; what could not be sent yet is
 * at most one frame, so that input is never taken faster than the container reads.
 */
#include "stdio/attach.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define STDIN_PART ((size_t)32 << 10) /* of input in one frame */

struct attach {
    int fd;
    struct buf in;  /* from the server, not yet given out after skip */
    size_t skip;    /* bytes of in that the last frame took */
    struct buf out; /* to the server, not yet sent */
    bool over;      /* END or ERROR was given */
};

void attach_head_write(enum attach_type type, size_t n, unsigned char head[static ATTACH_HEAD])
{
    memset(head, 0, ATTACH_HEAD);
    head[0] = (unsigned char)type;
    for (int i = 0; i < 4; i++)
        head[4 + i] = (unsigned char)(n >> (24 - 8 * i));
}

bool attach_head_read(const unsigned char head[static ATTACH_HEAD], enum attach_type *out_type,
                      size_t *out_n)
{
    size_t n = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
    bool known = head[0] <= ATTACH_T_STDERR ||
                 (head[0] >= ATTACH_T_ATTACH && head[0] <= ATTACH_T_CLOSE_STDIN);
    if (!known || head[1] != 0 || head[2] != 0 || head[3] != 0 || n > ATTACH_FRAME_MAX)
        return false;
    *out_type = (enum attach_type)head[0];
    *out_n = n;
    return true;
}

void attach_frame_write(enum attach_type type, const void *p, size_t n, struct buf *out)
{
    unsigned char head[ATTACH_HEAD];
    attach_head_write(type, n, head);
    buf_add(out, head, sizeof(head));
    buf_add(out, p, n);
}

static int connect_to(const char *path, struct err *e)
{
    int fd = sock_dial(path, 0, e);
    if (fd >= 0)
        return fd;
    if (e->sys == ENOENT)
        e->kind = ERR_NOT_FOUND;
    return err_wrap(e, "attach");
}

/* The answer to ATTACH, before deadline_ns. */
static int await_attached(struct attach *a, int64_t deadline_ns, unsigned *out_have, struct err *e)
{
    struct attach_frame f;
    for (;;) {
        int r = attach_next(a, &f, e);
        TRY(r);
        if (r == 1 && f.type == ATTACH_T_ERROR)
            return err_set(e, ERR_INVALID, "attach: %.*s", STR_ARG(f.data));
        if (r == 1 && f.type == ATTACH_T_ATTACHED && f.data.n >= 2) {
            if (out_have != NULL)
                *out_have = (unsigned char)f.data.p[1];
            return 0;
        }
        if (r == 1)
            return err_set(e, ERR_INVALID, "attach: unexpected answer");
        int64_t left_ms = (deadline_ns - time_mono_ns()) / NS_PER_MS;
        struct pollfd p = {.fd = a->fd, .events = attach_events(a)};
        if (left_ms <= 0)
            return err_set(e, ERR_TIMEOUT, "attach: the container's shim does not answer");
        if (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR)
            return err_sys(e, "attach: poll");
        if ((p.revents & POLLOUT) != 0)
            TRY(attach_flush(a, e));
    }
}

int attach_open(const char *path, unsigned want, int timeout_ms, struct attach **out,
                unsigned *out_have, struct err *e)
{
    int64_t deadline_ns = time_mono_ns() + timeout_ms * NS_PER_MS;
    int fd = connect_to(path, e);
    TRY(fd);
    struct attach *a = mem_alloc(sizeof(*a));
    a->fd = fd;
    a->in.max = 2 * (ATTACH_FRAME_MAX + ATTACH_HEAD);
    a->out.max = ATTACH_FRAME_MAX + (size_t)4 * ATTACH_HEAD;
    char hello[2] = {1, (char)want};
    attach_frame_write(ATTACH_T_ATTACH, hello, sizeof(hello), &a->out);
    if (attach_flush(a, e) < 0 || await_attached(a, deadline_ns, out_have, e) < 0) {
        attach_close(a);
        return -1;
    }
    *out = a;
    return 0;
}

int attach_fd(const struct attach *a)
{
    return a->fd;
}

short attach_events(const struct attach *a)
{
    return (short)(POLLIN | (a->out.n > 0 ? POLLOUT : 0));
}

/* 1: the buffer begins with a whole frame. */
static int frame_at(const struct attach *a, size_t at, struct attach_frame *out, struct err *e)
{
    size_t n = 0, have = a->in.n - at;
    if (have < ATTACH_HEAD)
        return 0;
    const char *p = a->in.p + at;
    if (!attach_head_read((const unsigned char *)p, &out->type, &n))
        return err_set(e, ERR_INVALID, "attach: not a frame");
    if (have < ATTACH_HEAD + n)
        return 0;
    out->raw = (struct str){p, ATTACH_HEAD + n};
    out->data = (struct str){p + ATTACH_HEAD, n};
    return 1;
}

int attach_next(struct attach *a, struct attach_frame *out, struct err *e)
{
    for (;;) {
        int r = a->over ? 0 : frame_at(a, a->skip, out, e);
        if (r != 0) {
            TRY(r);
            a->skip += out->raw.n;
            a->over = out->type == ATTACH_T_END || out->type == ATTACH_T_ERROR;
            return 1;
        }
        buf_consume(&a->in, a->skip);
        a->skip = 0;
        if (a->over)
            return 0;
        char *room = buf_reserve(&a->in, ATTACH_FRAME_MAX + ATTACH_HEAD);
        if (room == NULL)
            return err_set(e, ERR_INVALID, "attach: not a frame");
        ssize_t n = recv(a->fd, room, ATTACH_FRAME_MAX + ATTACH_HEAD, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n <= 0)
            return err_set(e, ERR_UNAVAILABLE, "attach: the connection to the container was lost");
        buf_commit(&a->in, (size_t)n);
    }
}

int attach_flush(struct attach *a, struct err *e)
{
    while (a->out.n > 0) {
        ssize_t n = send(a->fd, a->out.p, a->out.n, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (n < 0)
            return err_set(e, ERR_UNAVAILABLE, "attach: the connection to the container was lost");
        buf_consume(&a->out, (size_t)n);
    }
    return 1;
}

ssize_t attach_stdin(struct attach *a, const void *p, size_t n, struct err *e)
{
    int r = attach_flush(a, e);
    TRY(r);
    if (r == 0 || n == 0)
        return 0;
    n = MIN(n, STDIN_PART);
    attach_frame_write(ATTACH_T_STDIN, p, n, &a->out);
    TRY(attach_flush(a, e));
    return (ssize_t)n;
}

int attach_close_stdin(struct attach *a, struct err *e)
{
    attach_frame_write(ATTACH_T_CLOSE_STDIN, NULL, 0, &a->out);
    return attach_flush(a, e) < 0 ? -1 : 0;
}

void attach_close(struct attach *a)
{
    if (a == NULL)
        return;
    fd_close(a->fd);
    buf_done(&a->in);
    buf_done(&a->out);
    free(a);
}
