/*
 * Attached clients: see client.h. Output is sent straight from the buffer it was read into; only
 * what a socket does not take is copied, and as long as anything waits the hub does not read more.
 */
#include "stdio/client.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/list.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define CLIENTS_MAX 256
#define WAITING_MAX ((size_t)4 << 20)

struct client {
    struct list link;
    struct clients *all;
    int fd;
    struct source *src;
    unsigned want;
    bool attached;
    uint32_t events; /* that src waits for */
    struct buf in, out;
};

struct clients {
    struct loop *loop;
    struct clients_opts o;
    char *path;
    int listen_fd;
    struct source *listen_src;
    struct list list;
    size_t n;
    bool ended, full, input_full;
};

/* ---- output */

static void tell_full(struct clients *all)
{
    bool full = clients_waiting(all);
    if (full == all->full)
        return;
    all->full = full;
    all->o.full(all->o.arg, full);
}

static void client_free(struct client *c)
{
    loop_del(c->src);
    fd_close(c->fd);
    list_remove(&c->link);
    buf_done(&c->in);
    buf_done(&c->out);
    free(c);
}

static void drop(struct client *c)
{
    struct clients *all = c->all;
    client_free(c);
    all->n--;
    tell_full(all);
}

static int watch(struct client *c)
{
    struct err e = {0};
    uint32_t events =
        (c->all->input_full && c->attached ? 0 : EPOLLIN) | (c->out.n > 0 ? EPOLLOUT : 0);
    if (events == c->events)
        return 0;
    c->events = events;
    return loop_set_events(c->src, events, &e);
}

/* Send what waits. -1: the client is gone. */
static int flush(struct client *c)
{
    while (c->out.n > 0) {
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        buf_consume(&c->out, (size_t)n);
    }
    buf_done(&c->out);
    return 0;
}

/* Send a frame, behind what waits. -1: the client is gone, or takes nothing for too long. */
static int send_frame(struct client *c, enum attach_type type, const char *p, size_t n)
{
    unsigned char head[ATTACH_HEAD];
    struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)p, n}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    size_t sent = 0;
    attach_head_write(type, n, head);
    if (c->out.n == 0) {
        ssize_t r = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        sent = r < 0 ? 0 : (size_t)r;
    }
    if (sent < sizeof(head))
        buf_add(&c->out, head + sent, sizeof(head) - sent);
    size_t skip = sent < sizeof(head) ? 0 : sent - sizeof(head);
    buf_add(&c->out, p == NULL ? "" : p + skip, n - skip);
    return c->out.over ? -1 : watch(c);
}

void clients_send(struct clients *all, enum stdio_stream stream, const char *p, size_t n)
{
    list_each(link, &all->list) {
        struct client *c = CONTAINER_OF(link, struct client, link);
        if (c->attached && (c->want & 1U << stream) != 0 &&
            send_frame(c, (enum attach_type)stream, p, n) < 0)
            drop(c);
    }
    tell_full(all);
}

void clients_end(struct clients *all)
{
    all->ended = true;
    list_each(link, &all->list) {
        struct client *c = CONTAINER_OF(link, struct client, link);
        if (c->attached && send_frame(c, ATTACH_T_END, NULL, 0) < 0)
            drop(c);
    }
    tell_full(all);
}

bool clients_waiting(const struct clients *all)
{
    list_each(link, &all->list)
        if (CONTAINER_OF(link, struct client, link)->out.n > 0)
            return true;
    return false;
}

/* ---- input */

static int refuse(struct client *c, const char *why)
{
    (void)send_frame(c, ATTACH_T_ERROR, why, strlen(why)); /* it is dropped in any case */
    return -1;
}

static int attach(struct client *c, struct str data)
{
    char have[2] = {1, (char)c->all->o.have};
    if (c->attached)
        return refuse(c, "already attached");
    if (data.n != 2 || data.p[0] != 1)
        return refuse(c, "unknown version of the protocol");
    c->attached = true;
    c->want = (unsigned char)data.p[1];
    if (send_frame(c, ATTACH_T_ATTACHED, have, sizeof(have)) < 0)
        return -1;
    return c->all->ended ? send_frame(c, ATTACH_T_END, NULL, 0) : 0;
}

static int take_frame(struct client *c, enum attach_type type, struct str data)
{
    struct clients *all = c->all;
    if (type == ATTACH_T_ATTACH)
        return attach(c, data);
    if (!c->attached || (c->want & ATTACH_STDIN) == 0)
        return refuse(c, "input without having attached for it");
    if (type == ATTACH_T_CLOSE_STDIN)
        all->o.close_input(all->o.arg);
    else if (type == ATTACH_T_STDIN)
        all->input_full = !all->o.input(all->o.arg, data.p, data.n);
    else
        return refuse(c, "unexpected frame");
    return 0;
}

/* All whole frames that have come, as long as there is room for input. -1: drop the client. */
static int take_frames(struct client *c)
{
    size_t at = 0, n = 0;
    enum attach_type type;
    while (c->in.n - at >= ATTACH_HEAD && !(c->all->input_full && c->attached)) {
        if (!attach_head_read((const unsigned char *)c->in.p + at, &type, &n))
            return refuse(c, "not a frame");
        if (c->in.n - at < ATTACH_HEAD + n)
            break;
        if (take_frame(c, type, (struct str){c->in.p + at + ATTACH_HEAD, n}) < 0)
            return -1;
        at += ATTACH_HEAD + n;
    }
    buf_consume(&c->in, at);
    if (c->in.n == 0)
        buf_done(&c->in);
    return watch(c);
}

static int receive(struct client *c)
{
    char chunk[4096];
    size_t room = MIN(sizeof(chunk), c->in.max - c->in.n);
    ssize_t n = recv(c->fd, chunk, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1;
    buf_add(&c->in, chunk, (size_t)n);
    return take_frames(c);
}

static void set_input_full(struct clients *all)
{
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): whoever was dropped is off the list */
    list_each(link, &all->list)
        (void)watch(CONTAINER_OF(link, struct client, link)); /* epoll_ctl of an open socket */
}

static void on_client(struct source *s, int fd, uint32_t events, void *arg)
{
    struct client *c = arg;
    struct clients *all = c->all;
    bool was_full = all->input_full;
    (void)s;
    (void)fd;
    int r = 0;
    if ((events & EPOLLOUT) != 0 && (r = flush(c)) == 0)
        r = watch(c);
    if (r == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        r = receive(c);
    if (r < 0)
        drop(c);
    else
        tell_full(all);
    if (all->input_full != was_full)
        set_input_full(all);
}

void clients_resume_input(struct clients *all)
{
    all->input_full = false;
    list_each(link, &all->list) {
        struct client *c = CONTAINER_OF(link, struct client, link);
        if (take_frames(c) < 0)
            drop(c);
    }
    set_input_full(all);
}

/* ---- coming and going */

static void on_connect(struct source *s, int fd, uint32_t events, void *arg)
{
    struct clients *all = arg;
    struct err e = {0};
    (void)s;
    (void)events;
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (got < 0)
        return;
    if (all->n >= CLIENTS_MAX) {
        fd_close(got);
        return;
    }
    struct client *c = mem_alloc(sizeof(*c));
    c->all = all;
    c->fd = got;
    c->in.max = ATTACH_FRAME_MAX + ATTACH_HEAD;
    c->out.max = WAITING_MAX;
    c->events = EPOLLIN;
    list_append(&all->list, &c->link);
    all->n++;
    c->src = loop_add_fd(all->loop, got, EPOLLIN, on_client, c, &e);
    if (c->src == NULL)
        drop(c);
}

static int listen_on(const char *path, struct err *e)
{
    int fd = sock_listen(path, 0600, (gid_t)-1, e);
    if (fd < 0)
        return err_wrap(e, "attach");
    (void)fd_set_nonblock(fd, true); /* cannot fail on an open descriptor */
    return fd;
}

int clients_listen(struct loop *loop, const char *path, const struct clients_opts *o,
                   struct clients **out, struct err *e)
{
    int fd = listen_on(path, e);
    TRY(fd);
    struct clients *all = mem_alloc(sizeof(*all));
    all->loop = loop;
    all->o = *o;
    all->path = mem_strdup(path);
    all->listen_fd = fd;
    list_init(&all->list);
    all->listen_src = loop_add_fd(loop, fd, EPOLLIN, on_connect, all, e);
    if (all->listen_src == NULL) {
        clients_free(all);
        return -1;
    }
    *out = all;
    return 0;
}

void clients_free(struct clients *all)
{
    if (all == NULL)
        return;
    loop_del(all->listen_src);
    fd_close(all->listen_fd);
    (void)unlink(all->path); /* may be gone with its folder */
    list_each(link, &all->list) {
        struct client *c = CONTAINER_OF(link, struct client, link);
        int room = (int)(2 * c->out.n + 65536);
        if (c->out.n > 0)
            (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        (void)flush(c); /* who does not take it even so has lost it */
        client_free(c);
    }
    free(all->path);
    free(all);
}
