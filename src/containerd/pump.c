/*
 * Archives between a stream and the store, which reads and writes descriptors: a pipe and a thread.
 * The windows of the streaming protocol keep a fast side from filling the memory of a slow one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "containerd/transfer.h"
#include "proto/transfer_types.pb-c.h"
#include "sys/fd.h"
#include "sys/thread.h"

enum {
    CHUNK = 32 << 10,   /* bytes in one message: clients take no longer ones */
    WINDOW = 256 << 10, /* bytes that a client may be ahead */
    PIPE_BYTES = 1 << 20,
};

struct pump {
    struct stream *st; /* borrowed */
    int fd;            /* our end of the pipe */
    int stop_fd;       /* eventfd */
    pthread_t thread;
};

/* Wait for the stream, for fd (-1: not), or the end. False: stop. */
static bool wait_for(const struct pump *p, int fd, short events, bool *out_fd_ready)
{
    struct pollfd fds[] = {{p->stop_fd, POLLIN, 0}, {stream_fd(p->st), POLLIN, 0}, {fd, events, 0}};
    while (poll(fds, ARRAY_LEN(fds), -1) < 0)
        if (errno != EINTR)
            return false;
    *out_fd_ready = fds[2].revents != 0;
    return fds[0].revents == 0;
}

static void allow(struct pump *p, int32_t bytes)
{
    Transfer__WindowUpdate m = TRANSFER__WINDOW_UPDATE__INIT;
    struct err ignored = {0};
    m.update = bytes;
    (void)stream_send(p->st, &m.base, &ignored); /* a client that is gone shows as the end */
}

/* ---- in ---- */

/* Write one piece; false when the store reads no more. */
static bool take_data(struct pump *p, const Pb__Any *any, struct arena *a, int32_t *io_taken)
{
    Transfer__Data *m;
    struct err e = {0};
    if (pb_any_unpack(any, &transfer__data__descriptor, a, &m, &e) < 0) {
        log_warn("import: not data", "error", e.msg, NULL);
        return false;
    }
    if (fd_write_all(p->fd, m->data.data, m->data.len) < 0)
        return false;
    *io_taken += (int32_t)m->data.len;
    if (*io_taken >= WINDOW / 2) {
        allow(p, *io_taken);
        *io_taken = 0;
    }
    return true;
}

static void *run_in(void *arg)
{
    struct pump *p = arg;
    int32_t taken = 0;
    bool ready;
    allow(p, WINDOW);
    for (int r = 0; r >= 0;) {
        auto_arena struct arena *a = arena_new();
        Pb__Any *any;
        if (!wait_for(p, -1, 0, &ready))
            break;
        while ((r = stream_next(p->st, a, &any)) > 0)
            if (!take_data(p, any, a, &taken)) {
                r = -1;
                break;
            }
    }
    fd_close(take_fd(&p->fd)); /* the store reads the end */
    return NULL;
}

/* ---- out ---- */

/* What the client allows. False: it is gone. */
static bool take_windows(struct pump *p, int64_t *io_window)
{
    auto_arena struct arena *a = arena_new();
    Pb__Any *any;
    Transfer__WindowUpdate *m;
    struct err e = {0};
    int r;
    while ((r = stream_next(p->st, a, &any)) > 0)
        if (pb_any_unpack(any, &transfer__window_update__descriptor, a, &m, &e) == 0 &&
            m->update > 0)
            *io_window += m->update;
    return r == 0;
}

/* Send one piece. False: the end of the archive, or of the client. */
static bool give_data(struct pump *p, int64_t *io_window)
{
    uint8_t chunk[CHUNK];
    Transfer__Data m = TRANSFER__DATA__INIT;
    struct err e = {0};
    ssize_t n = read(p->fd, chunk, (size_t)MIN(*io_window, (int64_t)CHUNK));
    if (n <= 0)
        return n < 0 && errno == EINTR;
    m.data.data = chunk;
    m.data.len = (size_t)n;
    *io_window -= n;
    return stream_send(p->st, &m.base, &e) == 0;
}

static void *run_out(void *arg)
{
    struct pump *p = arg;
    int64_t window = 0;
    bool ready = false, more = true;
    while (more && wait_for(p, window > 0 ? p->fd : -1, POLLIN, &ready))
        more = take_windows(p, &window) && (!ready || give_data(p, &window));
    fd_close(take_fd(&p->fd)); /* a store that still writes hears EPIPE */
    return NULL;
}

/* ---- both ---- */

static int pump_new(struct stream *st, int fd, void *(*run)(void *), struct pump **out,
                    struct err *e)
{
    struct pump *p = mem_alloc(sizeof(*p));
    *p = (struct pump){.st = st, .fd = fd, .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns; any size will do */
    int r = p->stop_fd < 0 ? -errno : thread_start(&p->thread, THREAD_STACK, run, p);
    if (r < 0) {
        fd_close(p->stop_fd);
        fd_close(fd);
        free(p);
        return err_neg(e, r, "start a thread");
    }
    *out = p;
    return 0;
}

int pump_in(struct stream *st, struct pump **out, int *out_fd, struct err *e)
{
    auto_fd int reader = -1;
    int writer = -1, r = fd_pipe(&reader, &writer, 0);
    if (r < 0)
        return err_neg(e, r, "pipe");
    TRY(pump_new(st, writer, run_in, out, e));
    *out_fd = take_fd(&reader);
    return 0;
}

int pump_out(struct stream *st, struct pump **out, int *out_fd, struct err *e)
{
    auto_fd int writer = -1;
    int reader = -1, r = fd_pipe(&reader, &writer, 0);
    if (r < 0)
        return err_neg(e, r, "pipe");
    TRY(pump_new(st, reader, run_out, out, e));
    *out_fd = take_fd(&writer);
    return 0;
}

void pump_end(struct pump *p, bool cut)
{
    uint64_t one = 1;
    if (cut)
        (void)!write(p->stop_fd, &one, sizeof(one));
    (void)pthread_join(p->thread, NULL);
    fd_close(p->fd);
    fd_close(p->stop_fd);
    free(p);
}
