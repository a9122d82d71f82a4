/*
 * The shim as a daemon: one thread, one loop. It inherits the listening socket as descriptor 3 and
 * the bundle as its working directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "shim/container.h"
#include "shim/flags.h"
#include "shim/start.h"
#include "shim/stop.h"
#include "shim/task.h"
#include "sys/fd.h"

#define STOP_MS 1000
#define STOP_STEP_MS 1

static void on_signal(int signo, void *arg)
{
    struct shim *s = arg;
    if (signo == SIGCHLD)
        reaper_run(s->reaper);
    else if (s->containers.n == 0)
        shim_stop(s);
    else
        log_warn("signal ignored, containers are here", "signal", sigabbrev_np(signo), NULL);
}

static void on_stop_timer(struct source *src, void *arg)
{
    struct shim *s = arg;
    struct err e = {0};
    (void)src;
    s->stop_ms -= STOP_STEP_MS;
    bool sent = ttrpc_server_unsent(s->server) == 0 && publisher_waiting(s->pub) == 0;
    if (s->containers.n > 0) { /* one of the group was created meanwhile */
        s->stop_ms = 0;
        return;
    }
    if (sent || s->stop_ms <= 0 ||
        loop_add_timer(s->loop, STOP_STEP_MS, on_stop_timer, s, &e) == NULL)
        loop_stop(s->loop);
}

void shim_stop(struct shim *s)
{
    struct err e = {0};
    if (s->stop_ms > 0)
        return;
    s->stop_ms = STOP_MS;
    if (loop_add_timer(s->loop, STOP_STEP_MS, on_stop_timer, s, &e) == NULL)
        loop_stop(s->loop);
}

/* containerd reads the FIFO "log" of the bundle and prints it; held open both ways it neither ends
 * nor blocks when containerd is away. */
static void open_log(bool debug)
{
    int fd = open("log", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        log_init(fd, debug ? LOG_DEBUG : LOG_INFO);
}

static int set_up(struct shim *s, const struct flags *f, struct err *e)
{
    sigset_t set;
    const char *ttrpc = getenv("TTRPC_ADDRESS"); // NOLINT(concurrency-mt-unsafe): one thread
    int fd = fd_dup(LISTEN_FD);
    if (fd < 0)
        return err_neg(e, fd, "listening socket on descriptor %d", LISTEN_FD);
    close(LISTEN_FD);
    /* held until the end: closing the last descriptor of a detached mount takes the kernel an RCU
     * grace period; no child gets it */
    (void)fcntl(PROGRAM_FD, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_NAME, "containerd-shim-hull-v2"); /* executed by number, it would be "4" */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return err_sys(e, "become a subreaper");
    s->loop = loop_new(e);
    if (s->loop == NULL)
        return -1;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    TRY(loop_add_signals(s->loop, &set, on_signal, s, e));
    s->reaper = reaper_new();
    const struct publisher_opts po = {.loop = s->loop,
                                      .reaper = s->reaper,
                                      .ns = f->ns,
                                      .ttrpc = ttrpc != NULL && ttrpc[0] != '\0' ? ttrpc : NULL,
                                      .binary = f->publish_binary,
                                      .address = f->address};
    s->pub = publisher_new(&po);
    s->server = ttrpc_server_new(s->loop, task_methods, n_task_methods, s);
    return ttrpc_server_listen(s->server, fd, e);
}

int action_serve(const struct flags *f, struct err *e)
{
    struct shim s = {.ns = f->ns, .id = f->id};
    /* most of what is allocated is freed soon: give it back, a shim is idle nearly always */
    (void)mallopt(M_TRIM_THRESHOLD, 64 << 10); // NOLINT(concurrency-mt-unsafe): one thread
    (void)mallopt(M_ARENA_MAX, 1);             // NOLINT(concurrency-mt-unsafe): one thread
    open_log(f->debug);
    int r = set_up(&s, f, e);
    if (r == 0)
        r = loop_run(s.loop, e);
    if (f->socket != NULL)
        (void)unlink(f->socket); /* a new shim would replace it */
    ttrpc_server_free(s.server);
    map_each(ent, &s.containers)
        container_free(ent->val);
    map_done(&s.containers);
    publisher_free(s.pub);
    reaper_free(s.reaper);
    loop_free(s.loop);
    return r;
}
