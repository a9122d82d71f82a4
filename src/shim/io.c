/*
 * Streams: see io.h. Each of the three is opened by what its name says; a FIFO is held open at both
 * ends, so that clients may come and go.
 */
#include "shim/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "stdio/hub.h"
#include "stdio/pump.h"
#include "shim/logger.h"
#include "sys/fd.h"

struct io {
    struct io_opts o;
    struct oci_io child;
    struct hub *hub;       /* our log URI */
    struct logger *logger; /* another logging program */
    struct pump *pump[3];
    int peer[3]; /* what the pump of a stream copies from (0) or to (1, 2); taken by the pump */
    int ours[3]; /* our ends of the pipes, until they are pumped */
    int keep_in; /* writer of the input FIFO, so that it ends only when we say so; -1: none */
    bool input_to_hub;
    int console; /* the terminal's master, for its size; -1: none */
    bool ended;
    void (*on_end)(void *arg);
    void *end_arg;
};

/* ---- the end */

static void check_end(void *arg)
{
    struct io *io = arg;
    if (io->hub != NULL)
        return;
    for (int i = 1; i < 3; i++)
        if ((io->pump[i] != NULL && !pump_ended(io->pump[i])) || io->ours[i] >= 0)
            return;
    if (io->ended || (io->logger != NULL && !logger_ended(io->logger)))
        return;
    io->ended = true;
    if (io->on_end != NULL)
        io->on_end(io->end_arg);
}

static void on_hub_end(void *arg)
{
    struct io *io = arg;
    hub_free(io->hub); /* the log is complete and the socket gone before anybody hears of the end */
    io->hub = NULL;
    check_end(io);
}

void io_when_ended(struct io *io, void (*fn)(void *arg), void *arg)
{
    io->on_end = fn;
    io->end_arg = arg;
    if (fn != NULL && io->ended)
        fn(arg);
}

/* ---- opening */

static const char *path_of(const char *name, const char *scheme)
{
    struct str s = str_of(name);
    return str_starts(s, scheme) ? name + strlen(scheme) : NULL;
}

static int open_error(const char *path, struct err *e)
{
    err_sys(e, "open %s", path);
    if (e->sys == ENOENT)
        e->kind = ERR_NOT_FOUND;
    return -1;
}

/* Where output goes that we copy. */
static int open_output(const char *name, struct err *e)
{
    struct stat st;
    const char *file = path_of(name, "file://"), *fifo = path_of(name, "fifo://");
    const char *path = file != NULL ? file : fifo != NULL ? fifo : name;
    if (path[0] != '/')
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported stdio \"%s\"", name);
    bool is_fifo = file == NULL && stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
    int flags = is_fifo ? O_RDWR : O_WRONLY | O_APPEND | (file != NULL ? O_CREAT : 0);
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0666);
    return fd < 0 ? open_error(path, e) : fd;
}

static int open_input(struct io *io, const char *name, struct err *e)
{
    const char *fifo = path_of(name, "fifo://"), *path = fifo != NULL ? fifo : name;
    struct stat st;
    if (path[0] != '/')
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported stdio \"%s\"", name);
    io->peer[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (io->peer[0] < 0)
        return open_error(path, e);
    if (fstat(io->peer[0], &st) == 0 && S_ISFIFO(st.st_mode))
        io->keep_in = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return 0;
}

/* A pipe: the child's end as its descriptor i, ours non-blocking. */
static int make_pipe(struct io *io, int i, struct err *e)
{
    int rd = -1, wr = -1, r = fd_pipe(&rd, &wr, 0);
    if (r < 0)
        return err_neg(e, r, "pipe");
    io->child.fd[i] = i == 0 ? rd : wr;
    io->ours[i] = i == 0 ? wr : rd;
    if (fchown(io->child.fd[i], io->o.uid, io->o.gid) < 0)
        return err_sys(e, "chown pipe");
    r = fd_set_nonblock(io->ours[i], true);
    return r < 0 ? err_neg(e, r, "pipe") : 0;
}

/* Output to a log URI or a logging program. 1: done; 0: it is neither. */
static int open_logging(struct io *io, struct err *e)
{
    auto_arena struct arena *arena = arena_new();
    struct log_uri u;
    if (path_of(io->o.out, "binary://") == NULL)
        return 0;
    int r = log_uri_parse(io->o.out, arena, &u, e);
    TRY(r);
    if (r == 0 || !log_uri_in_process(&u)) {
        const struct logger_opts lo = {.loop = io->o.loop,
                                       .reaper = io->o.reaper,
                                       .uri = io->o.out,
                                       .is_ours = r == 1,
                                       .id = io->o.id,
                                       .ns = io->o.ns,
                                       .fn = check_end,
                                       .arg = io};
        TRY(logger_start(&lo, &io->logger, e));
        if (!io->o.terminal)
            for (int i = 1; i < 3; i++)
                io->child.fd[i] = logger_take_fd(io->logger, i);
        else
            io->peer[1] = logger_take_fd(io->logger, 1);
        return 1;
    }
    TRY(hub_new(io->o.loop, &u, io->o.terminal, &io->hub, e));
    hub_on_end(io->hub, on_hub_end, io);
    io->input_to_hub = u.open_stdin && io->o.in[0] == '\0';
    for (int i = 1; i < 3 && !io->o.terminal; i++) {
        TRY(make_pipe(io, i, e));
        int ours = take_fd(&io->ours[i]);
        TRY(hub_add_output(io->hub, ours, (enum stdio_stream)i, e));
    }
    return 1;
}

static int open_all(struct io *io, struct err *e)
{
    int logging = open_logging(io, e);
    TRY(logging);
    for (int i = 1; i < 3 && logging == 0; i++) {
        const char *name = i == 1 ? io->o.out : io->o.err;
        if (name[0] == '\0' || (i == 2 && io->o.terminal))
            continue;
        io->peer[i] = open_output(name, e);
        TRY(io->peer[i]);
        if (!io->o.terminal)
            TRY(make_pipe(io, i, e));
    }
    if (io->o.in[0] != '\0')
        TRY(open_input(io, io->o.in, e));
    if ((io->peer[0] >= 0 || io->input_to_hub) && !io->o.terminal)
        TRY(make_pipe(io, 0, e));
    return 0;
}

/* ---- copying */

/* Pump stream i between our end and its peer; takes both. */
static int start_pump(struct io *io, int i, int ours, struct err *e)
{
    int peer = take_fd(&io->peer[i]);
    if (i == 0)
        return pump_new(io->o.loop, peer, ours, NULL, NULL, &io->pump[i], e);
    return pump_new(io->o.loop, ours, peer, check_end, io, &io->pump[i], e);
}

static int start_pipes(struct io *io, struct err *e)
{
    for (int i = 0; i < 3; i++) {
        if (io->ours[i] < 0)
            continue;
        int ours = take_fd(&io->ours[i]);
        if (i == 0 && io->input_to_hub)
            hub_set_input(io->hub, ours);
        else
            TRY(start_pump(io, i, ours, e));
    }
    return 0;
}

static int dup_console(const struct io *io, struct err *e)
{
    int fd = fd_dup(io->console);
    return fd < 0 ? err_neg(e, fd, "terminal") : fd;
}

static int start_terminal(struct io *io, struct err *e)
{
    int r = fd_set_nonblock(io->console, true), fd;
    if (r < 0)
        return err_neg(e, r, "terminal");
    if (io->hub != NULL) {
        TRY(fd = dup_console(io, e));
        TRY(hub_add_output(io->hub, fd, STDIO_OUT, e));
    } else if (io->peer[1] >= 0) {
        TRY(fd = dup_console(io, e));
        TRY(start_pump(io, 1, fd, e));
    }
    if (io->input_to_hub) {
        TRY(fd = dup_console(io, e));
        hub_set_input(io->hub, fd);
    } else if (io->peer[0] >= 0) {
        TRY(fd = dup_console(io, e));
        TRY(start_pump(io, 0, fd, e));
    }
    return 0;
}

/* ---- the whole */

int io_new(const struct io_opts *o, struct io **out, struct err *e)
{
    struct io *io = mem_alloc(sizeof(*io));
    *io = (struct io){
        .o = *o,
        .child = {.fd = {-1, -1, -1}, .terminal = o->terminal},
        .peer = {-1, -1, -1},
        .ours = {-1, -1, -1},
        .keep_in = -1,
        .console = -1,
    };
    if (open_all(io, e) < 0 || (!o->terminal && start_pipes(io, e) < 0)) {
        io_free(io);
        return -1;
    }
    *out = io;
    return 0;
}

void io_when_ready(struct io *io, void (*fn)(void *arg, const struct err *e), void *arg)
{
    if (io->logger != NULL)
        logger_when_ready(io->logger, fn, arg);
    else
        fn(arg, NULL);
}

const struct oci_io *io_child(const struct io *io)
{
    return &io->child;
}

static void close_child(struct io *io)
{
    for (int i = 0; i < 3; i++)
        fd_close(take_fd(&io->child.fd[i]));
}

int io_started(struct io *io, int console, struct err *e)
{
    close_child(io);
    io->console = console;
    if (console >= 0)
        TRY(start_terminal(io, e));
    check_end(io); /* there may be no output at all */
    return 0;
}

void io_close_stdin(struct io *io)
{
    fd_close(take_fd(&io->keep_in));
    if (io->hub != NULL && io->input_to_hub)
        hub_close_input(io->hub);
}

int io_resize(struct io *io, unsigned width, unsigned height, struct err *e)
{
    struct winsize ws = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};
    if (io->console >= 0 && ioctl(io->console, TIOCSWINSZ, &ws) < 0)
        return err_sys(e, "resize terminal");
    return 0;
}

void io_finish(struct io *io)
{
    close_child(io);
    for (int i = 1; i < 3; i++)
        if (io->pump[i] != NULL)
            pump_finish(io->pump[i]);
    hub_free(io->hub);
    io->hub = NULL;
    for (int i = 0; i < 3; i++) {
        pump_free(io->pump[i]);
        io->pump[i] = NULL;
        fd_close(take_fd(&io->peer[i]));
        fd_close(take_fd(&io->ours[i]));
    }
    logger_free(io->logger);
    io->logger = NULL;
    fd_close(take_fd(&io->keep_in));
    fd_close(take_fd(&io->console));
    io->ended = true;
}

void io_free(struct io *io)
{
    if (io == NULL)
        return;
    io_finish(io);
    free(io);
}
