/*
 * hull-logger: the log and the attach socket of one container whose shim does not serve them
 * itself. It is started in two ways:
 *
 *   by a shim, as containerd's binary:// protocol says: parameters of the URI as arguments (name
 * value name value …), output on 3, errors on 4, and 5 to be closed when all is ready;
 *
 *   by hulld, with the FIFOs that the shim uses:
 *     hull-logger [--detach] [--terminal] [--fifo-stdin F] --fifo-stdout F [--fifo-stderr F] URI
 *   with --detach it prints the pid of the process that stays, and exits once that one is ready.
 *
 * For a log that output may not wait for it is started once more, by whoever has the streams:
 * hull-logger --records URI writes the records that come on 0 (stdio/log_queue.h).
 *
 * It ends when all writers of the outputs have gone, or on SIGTERM after having read what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "stdio/hub.h"
#include "stdio/log_queue.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define READY_FD 5 /* of the binary:// protocol; --detach uses it in the same way */

struct options {
    const char *fifo[3]; /* by enum stdio_stream */
    const char *uri;
    bool terminal, detach, records;
};

struct logger {
    struct loop *loop;
    struct hub *hub;
};

static void on_end(void *arg)
{
    struct logger *l = arg;
    loop_stop(l->loop);
}

static void on_signal(int signo, void *arg)
{
    (void)signo;
    on_end(arg); /* freeing the hub reads what is left */
}

static int parse_options(int argc, char **argv, struct options *o, struct err *e)
{
    static const char *const names[] = {"--fifo-stdin", "--fifo-stdout", "--fifo-stderr"};
    for (int i = 1; i < argc; i++) {
        size_t n = 0;
        while (n < ARRAY_LEN(names) && strcmp(argv[i], names[n]) != 0)
            n++;
        if (n < ARRAY_LEN(names) && i + 1 < argc)
            o->fifo[n] = argv[++i];
        else if (strcmp(argv[i], "--terminal") == 0)
            o->terminal = true;
        else if (strcmp(argv[i], "--detach") == 0)
            o->detach = true;
        else if (strcmp(argv[i], LOG_QUEUE_SERVE) == 0)
            o->records = true;
        else if (i == argc - 1 && argv[i][0] != '-')
            o->uri = argv[i];
        else
            return err_set(e, ERR_INVALID, "unknown argument \"%s\"", argv[i]);
    }
    if (o->uri == NULL || (o->fifo[STDIO_OUT] == NULL && !o->records))
        return err_set(e, ERR_INVALID, "--fifo-stdout and a log URI are needed");
    return 0;
}

/* Open both ways: neither does the open wait, nor does the other side's coming and going end
 * anything that the other side has not written. */
static int open_fifo(const char *path, enum stdio_stream stream, struct err *e)
{
    int flags = stream == STDIO_IN ? O_RDWR : O_RDONLY;
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open FIFO %s", path) : fd;
}

static int add_fifos(struct logger *l, const struct options *o, struct err *e)
{
    for (enum stdio_stream s = STDIO_IN; s <= STDIO_ERR; s++) {
        int fd = o->fifo[s] == NULL ? -1 : open_fifo(o->fifo[s], s, e);
        if (o->fifo[s] == NULL)
            continue;
        TRY(fd);
        if (s == STDIO_IN)
            hub_set_input(l->hub, fd);
        else
            TRY(hub_add_output(l->hub, fd, s, e));
    }
    return 0;
}

static int add_pipes(struct logger *l, struct err *e)
{
    for (int fd = 3; fd <= 4; fd++) {
        int own = fd_dup(fd);
        if (own < 0)
            return err_neg(e, own, "descriptor %d", fd);
        close(fd);
        (void)fd_set_nonblock(own, true); /* cannot fail on an open descriptor */
        TRY(hub_add_output(l->hub, own, fd == 3 ? STDIO_OUT : STDIO_ERR, e));
    }
    return 0;
}

/* Serve until the end. o is NULL under the binary:// protocol. */
static int serve(const struct log_uri *u, const struct options *o, int ready, struct err *e)
{
    struct logger l = {.loop = loop_new(e)};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int r = l.loop == NULL ? -1 : loop_add_signals(l.loop, &set, on_signal, &l, e);
    if (r == 0)
        r = hub_new(l.loop, u, o != NULL && o->terminal, &l.hub, e);
    if (r == 0)
        r = o != NULL ? add_fifos(&l, o, e) : add_pipes(&l, e);
    if (r == 0) {
        hub_on_end(l.hub, on_end, &l);
        (void)fd_write_all(ready, "1", 1); /* nobody may be waiting */
        close(ready);
        r = loop_run(l.loop, e);
    }
    hub_free(l.hub);
    loop_free(l.loop);
    return r;
}

/* Start ourselves again and wait until that process is ready. */
static int detach(int argc, char **argv, struct err *e)
{
    auto_fd int ready_read = -1, ready_write = -1;
    struct proc child = PROC_NONE;
    auto_free const char **args = mem_alloc_array((size_t)argc + 1, sizeof(*args));
    for (int i = 0, n = 0; i < argc; i++)
        if (strcmp(argv[i], "--detach") != 0)
            args[n++] = argv[i];
    int r = fd_pipe(&ready_read, &ready_write, 0);
    if (r < 0)
        return err_neg(e, r, "pipe");
    const struct spawn_fd fds[] = {{2, STDERR_FILENO}, {READY_FD, ready_write}};
    const struct spawn_opts o = {.path = "/proc/self/exe",
                                 .argv = args,
                                 .fds = fds,
                                 .n_fds = ARRAY_LEN(fds),
                                 .new_session = true};
    TRY(spawn(&o, &child, e));
    close(take_fd(&ready_write));
    char c;
    if (read(ready_read, &c, 1) == 1) {
        (void)dprintf(STDOUT_FILENO, "%d\n", (int)child.pid);
        proc_done(&child);
        return 0;
    }
    r = proc_wait(&child, -1, -1, NULL, e); /* it has printed its error */
    proc_done(&child);
    return r < 0 ? -1 : err_set(e, ERR_INTERNAL, "not started");
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct options o = {.terminal = false};
    struct log_uri u;
    auto_arena struct arena *arena = arena_new();
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int ready = fd_dup(READY_FD); /* first of all, before the number can be one of ours */
    if (ready >= 0)
        close(READY_FD);
    bool by_shim = argc > 1 && argv[1][0] != '-';
    int r = by_shim ? log_uri_parse_args(argc - 1, argv + 1, arena, &u, &e)
                    : parse_options(argc, argv, &o, &e);
    if (r == 0 && !by_shim) {
        r = log_uri_parse(o.uri, arena, &u, &e);
        if (r == 0)
            r = err_set(&e, ERR_INVALID, "\"%s\" is not a log URI of ours", o.uri);
    }
    if (r >= 0 && o.records)
        r = log_queue_serve(STDIN_FILENO, &u, &e);
    else if (r >= 0)
        r = o.detach ? detach(argc, argv, &e) : serve(&u, by_shim ? NULL : &o, ready, &e);
    if (r < 0)
        (void)dprintf(STDERR_FILENO, "hull-logger: %s\n", e.msg);
    return r < 0;
}
