/*
 * The end of a container: collect it, give back what it had, tell everybody, and do what its policy
 * says. Runs in a worker, one container at a time by its gate.
 */
#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/attach_int.h"
#include "engine/launch.h"
#include "sys/fd.h"
#include "sys/thread.h"

enum { DELAY_MIN_MS = 100, DELAY_MAX_MS = 60000, STABLE_S = 10 };

bool policy_restarts(const struct container_record *rec, const struct container_run *s)
{
    const struct restart_policy *p = &rec->host.restart;

    if (s->stopped_by_user || s->removing)
        return false;
    if (strcmp(p->name, "always") == 0 || strcmp(p->name, "unless-stopped") == 0)
        return true;
    return strcmp(p->name, "on-failure") == 0 && s->exit_code != 0 &&
           (p->max_retries == 0 || s->restart_count < p->max_retries);
}

/* Tasks.Delete gives the true status; without a task what the event said counts. */
static void collect(struct container *c, uint32_t *status, int64_t *exited_ns)
{
    struct ctd_exit x;
    struct err e = {0};

    if (ctd_task_delete(c->g->ctd, c->id, NULL, &x, &e) == 0) {
        *status = x.status;
        if (x.exited_ns != 0)
            *exited_ns = x.exited_ns;
    } else if (e.kind != ERR_NOT_FOUND) {
        log_warn("cannot delete a task", "container", c->id, "error", e.msg, NULL);
    }
}

/* Tasks.Delete makes the supervisor forget the status: the database has to know it before. */
static void save_ending(struct container *c, const struct view *v, uint32_t status,
                        int64_t exited_ns)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    struct container_run d = *v->state;
    struct err e = {0};

    if (v->rec->host.auto_remove)
        return;
    d.ending = true;
    d.exit_code = status;
    d.finished_ns = exited_ns;
    json_write(&container_run_json, &d, &b);
    if (b.over || state_put_run(c->g->state, c->id, buf_cstr(&b), false, &e) < 0)
        log_error("cannot keep the end of a container", "container", c->id, "error", e.msg, NULL);
}

static void release(struct container *c, const struct view *v)
{
    struct err e = {0};

    if (v->state->sandbox != NULL) {
        if (net_sandbox_close(c->g->net, v->state->sandbox->id, &e) < 0)
            log_warn("cannot take a network down", "container", c->id, "error", e.msg, NULL);
        launch_network_events(c, v->state->sandbox, "disconnect");
    }
    vec_each(m, &v->rec->mounts)
        if (strcmp(m->type, "volume") == 0 && volume_unmount(c->g->volumes, m->name, c->id, &e) < 0)
            log_warn("cannot unmount a volume", "container", c->id, "error", e.msg, NULL);
}

/* The delay before the next restart: doubled each time, small again after a run that lasted. */
static int64_t next_delay(struct container *c, int64_t ran_ns)
{
    int64_t d = c->restart_delay_ms;

    d = d == 0 || ran_ns >= STABLE_S * NS_PER_S ? DELAY_MIN_MS : MIN(d * 2, DELAY_MAX_MS);
    c->restart_delay_ms = d;
    return d;
}

/* The new state; returns the delay of a restart, or -1 for none. */
static int64_t publish_exit(struct container *c, uint32_t status, int64_t exited_ns)
{
    struct run *r = run_edit(c);
    int64_t delay = -1;

    r->d.running = r->d.paused = r->d.restarting = r->d.ending = false;
    r->d.pid = 0;
    r->d.exit_code = status;
    r->d.finished_ns = exited_ns;
    r->d.sandbox = NULL;
    if (policy_restarts(&c->record->d, &r->d)) {
        delay = next_delay(c, exited_ns - r->d.started_ns);
        r->d.running = r->d.restarting = true;
        r->d.restart_count++;
    }
    if (c->stopped_fd >= 0) {
        (void)eventfd_write(c->stopped_fd, 1);
        fd_close(c->stopped_fd);
        c->stopped_fd = -1;
    }
    run_publish(c, r);
    return delay;
}

static void tell_die(struct container *c, uint32_t status, int64_t ran_ns)
{
    char code[16], duration[32];

    snprintf(code, sizeof(code), "%u", status);
    snprintf(duration, sizeof(duration), "%lld", (long long)(ran_ns > 0 ? ran_ns / NS_PER_S : 0));
    container_event(c, "die", "execDuration", duration, "exitCode", code, NULL);
}

void container_exited(struct container *c, uint32_t status, int64_t exited_ns)
{
    auto_gate struct gate *gate = NULL;
    struct err e = {0};
    int64_t delay;

    if (gate_enter(&c->gate, -1, &e) < 0) {
        log_error("cannot handle an exit", "container", c->id, "error", e.msg, NULL);
        return;
    }
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    if (!v.state->running || v.state->restarting)
        return; /* somebody was faster */
    if (exited_ns == 0)
        exited_ns = time_now_ns();
    save_ending(c, &v, status, exited_ns);
    collect(c, &status, &exited_ns);
    release(c, &v);
    delay = publish_exit(c, status, exited_ns);
    execs_end(c, false);
    attach_drop_parked(c);
    tell_die(c, status, exited_ns - v.state->started_ns);
    container_wake(c, false);
    if (delay >= 0) {
        container_save_run(c);
        restart_later(c, delay);
        return;
    }
    if (v.rec->host.auto_remove) {
        if (container_remove_gated(c, true, &e) < 0)
            log_warn("cannot remove a container", "container", c->id, "error", e.msg, NULL);
        return;
    }
    container_save_run(c); /* containerd's record stays until the next start or the removal */
}

/* ---- restarts ---- */

struct restart {
    struct container *c; /* a reference */
    int fd;              /* ours: a duplicate of the container's */
    int64_t delay_ms;
};

bool restart_cancel(struct container *c)
{
    bool was;

    pthread_mutex_lock(&c->lock);
    was = c->restart_fd >= 0;
    if (was) {
        (void)eventfd_write(c->restart_fd, 1);
        fd_close(c->restart_fd);
        c->restart_fd = -1;
    }
    pthread_mutex_unlock(&c->lock);
    return was;
}

/* Not restarted after all: it is a stopped container again. */
static void give_up(struct container *c, const struct err *why)
{
    struct run *r = run_edit(c);

    r->d.running = r->d.restarting = false;
    if (why != NULL)
        r->d.error = arena_strdup(r->arena, why->msg);
    run_publish(c, r);
    container_save_run(c);
}

static void restart_now(struct container *c)
{
    auto_gate struct gate *gate = NULL;
    struct err e = {0};

    if (gate_enter(&c->gate, -1, &e) < 0)
        return;
    gate = &c->gate;
    auto_view struct view v = container_view(c);
    if (!v.state->restarting || v.state->stopped_by_user || v.state->removing || !restart_cancel(c))
        return;
    if (container_start_gated(c, &e) == 0)
        return;
    log_warn("cannot restart a container", "container", c->id, "error", e.msg, NULL);
    auto_view struct view now = container_view(c);
    struct run *r = run_edit(c);
    int64_t delay = -1;

    if (policy_restarts(now.rec, &r->d)) {
        delay = next_delay(c, 0);
        r->d.running = r->d.restarting = true;
        r->d.restart_count++;
    }
    run_publish(c, r);
    if (delay >= 0)
        restart_later(c, delay);
}

static void *restart_thread(void *arg)
{
    struct restart *r = arg;
    struct pollfd p[] = {{r->fd, POLLIN, 0}, {r->c->g->stop_fd, POLLIN, 0}};

    if (poll(p, 2, (int)r->delay_ms) == 0)
        restart_now(r->c);
    container_unref(r->c);
    fd_close(r->fd);
    free(r);
    return NULL;
}

void restart_later(struct container *c, int64_t delay_ms)
{
    struct restart *r = mem_alloc(sizeof(*r));
    int fd = eventfd(0, EFD_CLOEXEC);

    *r = (struct restart){container_ref(c), fd_dup(fd), delay_ms};
    pthread_mutex_lock(&c->lock);
    fd_close(c->restart_fd);
    c->restart_fd = fd;
    pthread_mutex_unlock(&c->lock);
    if (thread_start(NULL, THREAD_STACK, restart_thread, r) < 0) {
        struct err e = {0};

        (void)err_set(&e, ERR_INTERNAL, "cannot start a thread");
        give_up(c, &e);
        container_unref(c);
        fd_close(r->fd);
        free(r);
    }
}
