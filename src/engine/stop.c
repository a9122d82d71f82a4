/* Stopping: signals, waiting for the end, pause. None of this holds the gate, so a stuck start can
 * be killed. */
#include <limits.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "engine/core.h"
#include "sys/fd.h"
#include "sys/proc.h"

enum { KILL_WAIT_MS = 10000 };

static int not_running(struct container *c, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
}

static int stop_signal_of(const struct container_record *rec)
{
    const char *s = rec->config.stop_signal;
    int n = s != NULL && s[0] != '\0' ? signal_parse(s) : SIGTERM;

    return n != 0 ? n : SIGTERM;
}

static void mark_stopped_by_user(struct container *c)
{
    struct run *r = run_edit(c);

    r->d.stopped_by_user = true;
    run_publish(c, r);
}

/* One signal to the first process. 1: sent; 0: it has ended already. */
static int send_signal(struct container *c, int signo, bool paused, struct err *e)
{
    char text[16];
    struct err ignored = {0};

    snprintf(text, sizeof(text), "%d", signo);
    if (ctd_task_kill(c->g->ctd, c->id, NULL, signo, false, e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    container_event(c, "kill", "signal", text, NULL);
    if (paused && ctd_task_resume(c->g->ctd, c->id, &ignored) < 0)
        log_warn("cannot resume a killed container", "container", c->id, "error", ignored.msg,
                 NULL);
    return 1;
}

/* A container that waits for its restart is simply not restarted. 1: that was it. */
static int stop_restarting(struct container *c)
{
    struct run *r;

    if (!restart_cancel(c))
        return 0;
    r = run_edit(c);
    r->d.running = r->d.restarting = false;
    r->d.stopped_by_user = true;
    run_publish(c, r);
    container_save_run(c);
    container_wake(c, false);
    return 1;
}

/* SIGKILL to the pid itself, when the runtime does not answer. */
static void kill_directly(struct container *c)
{
    auto_view struct view v = container_view(c);
    struct proc p = PROC_NONE;
    struct err ignored = {0};

    if (v.state->pid > 1 && proc_open((pid_t)v.state->pid, &p, &ignored) == 0) {
        (void)proc_kill(&p, SIGKILL, &ignored);
        proc_done(&p);
    }
}

/* Stop a running container; returns once it has ended and all was collected. */
static int stop_running(struct container *c, int signo, int timeout_ms, bool paused, struct err *e)
{
    auto_fd int stopped = container_stopped_fd(c);
    int r = send_signal(c, signo, paused, e);

    TRY(r);
    if (signo != SIGKILL || r == 0) {
        r = wait_readable(stopped, -1, r == 0 ? KILL_WAIT_MS : timeout_ms, e);
        TRY(r);
        if (r > 0)
            return 0;
        TRY(send_signal(c, SIGKILL, paused, e));
    }
    r = wait_readable(stopped, -1, KILL_WAIT_MS, e);
    TRY(r);
    if (r > 0)
        return 0;
    log_warn("container does not end on SIGKILL, trying its process", "container", c->id, NULL);
    kill_directly(c);
    r = wait_readable(stopped, -1, KILL_WAIT_MS, e);
    TRY(r);
    return r > 0 ? 0
                 : err_set(e, ERR_INTERNAL,
                           "container %s did not end: its process cannot be killed", c->id);
}

static int stop_timeout_ms(const struct container *c, const struct container_record *rec,
                           int timeout_s)
{
    int64_t s = timeout_s;

    if (timeout_s == INT_MIN)
        s = rec->config.stop_timeout_s != NULL ? *rec->config.stop_timeout_s
                                               : c->g->o.stop_timeout_s;
    return s < 0 ? -1 : (int)MIN(s * 1000, (int64_t)INT_MAX);
}

int container_stop(struct container *c, const char *signal, int timeout_s, struct err *e)
{
    auto_view struct view v = container_view(c);
    int signo = signal != NULL && signal[0] != '\0' ? signal_parse(signal) : stop_signal_of(v.rec);

    if (signo == 0)
        return err_set(e, ERR_INVALID, "invalid signal: %s", signal);
    if (!v.state->running)
        return err_set(e, ERR_NOT_MODIFIED, "container is already stopped");
    mark_stopped_by_user(c);
    if (stop_restarting(c) == 0)
        TRY(stop_running(c, signo, stop_timeout_ms(c, v.rec, timeout_s), v.state->paused, e));
    container_event(c, "stop", NULL);
    return 0;
}

int container_restart(struct container *c, const char *signal, int timeout_s, struct err *e)
{
    struct err why = {0};

    if (container_stop(c, signal, timeout_s, &why) < 0 && why.kind != ERR_NOT_MODIFIED) {
        *e = why;
        return -1;
    }
    /* a container that removes itself is on its way out now: the start says so */
    if (container_start(c, e) < 0 && e->kind != ERR_NOT_MODIFIED)
        return -1;
    container_event(c, "restart", NULL);
    return 0;
}

/* Does this signal mean that the user wants it stopped? */
static bool is_stop(const struct container_record *rec, int signo)
{
    const char *own = rec->config.stop_signal;

    if (signo == SIGKILL || own == NULL || own[0] == '\0')
        return true;
    return signo == signal_parse(own) || strcmp(rec->host.restart.name, "unless-stopped") == 0;
}

int container_kill(struct container *c, const char *signal, struct err *e)
{
    auto_view struct view v = container_view(c);
    auto_fd int stopped = -1;
    int signo = signal != NULL && signal[0] != '\0' ? signal_parse(signal) : SIGKILL, r;

    if (signo == 0)
        return err_set(e, ERR_INVALID, "invalid signal: %s", signal);
    if (!v.state->running) {
        (void)not_running(c, e);
        return err_wrap(e, "cannot kill container: %s", v.rec->name);
    }
    if (is_stop(v.rec, signo))
        mark_stopped_by_user(c);
    if (stop_restarting(c) > 0)
        return 0;
    if (signo == SIGKILL)
        return stop_running(c, SIGKILL, 0, v.state->paused, e);
    r = send_signal(c, signo, v.state->paused && signo == stop_signal_of(v.rec), e);
    TRY(r);
    if (r > 0)
        return 0;
    (void)not_running(c, e);
    return err_wrap(e, "cannot kill container: %s", v.rec->name);
}

/* ---- pause ---- */

static void publish_paused(struct container *c, bool paused)
{
    struct run *r = run_edit(c);

    r->d.paused = paused;
    run_publish(c, r);
    container_save_run(c);
    container_event(c, paused ? "pause" : "unpause", NULL);
}

int container_pause(struct container *c, struct err *e)
{
    auto_view struct view v = container_view(c);

    if (!v.state->running)
        return not_running(c, e);
    if (v.state->paused)
        return err_set(e, ERR_CONFLICT, "container %s is already paused", c->id);
    if (v.state->restarting)
        return err_set(e, ERR_CONFLICT,
                       "container %s is restarting, wait until the container is running", c->id);
    if (ctd_task_pause(c->g->ctd, c->id, e) < 0)
        return err_wrap(e, "cannot pause container %s", c->id);
    publish_paused(c, true);
    return 0;
}

int container_unpause(struct container *c, struct err *e)
{
    auto_view struct view v = container_view(c);

    if (!v.state->paused)
        return err_set(e, ERR_INTERNAL, "Container %s is not paused", c->id);
    if (ctd_task_resume(c->g->ctd, c->id, e) < 0)
        return err_wrap(e, "cannot unpause container %s", c->id);
    publish_paused(c, false);
    return 0;
}

int container_resize(struct container *c, uint32_t width, uint32_t height, struct err *e)
{
    auto_view struct view v = container_view(c);
    char w[16], h[16];

    if (!v.state->running || v.state->restarting)
        return not_running(c, e);
    TRY(ctd_task_resize(c->g->ctd, c->id, NULL, width, height, e));
    snprintf(w, sizeof(w), "%u", width);
    snprintf(h, sizeof(h), "%u", height);
    container_event(c, "resize", "height", h, "width", w, NULL);
    return 0;
}
