/*
 * Adoption: what the supervisor and the kernel say is true, the database is what we believed.
 * Subscribe first, then compare; an exit that happened in between is told twice and collected once.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "client/events.h"
#include "engine/core.h"
#include "engine/stores.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/thread.h"

enum { READY_MS = 60000, RECHECK_MS = 1000, EXIT_UNKNOWN = 255 };

/* ---- exits ---- */

struct exit_job {
    struct container *c; /* a reference */
    uint32_t status;
    int64_t exited_ns;
};

static void exit_work(void *arg)
{
    struct exit_job *j = arg;

    container_exited(j->c, j->status, j->exited_ns);
    container_unref(j->c);
    free(j);
}

static void submit_exit(struct container *c, uint32_t status, int64_t exited_ns)
{
    struct exit_job *j = mem_alloc(sizeof(*j));

    *j = (struct exit_job){container_ref(c), status, exited_ns};
    workers_submit(c->g->workers, exit_work, j);
}

/* ---- comparing ---- */

static const struct ctd_process *task_of(const struct ctd_process *v, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].id, id) == 0)
            return &v[i];
    return NULL;
}

static bool is_alive(const struct ctd_process *t)
{
    return t != NULL &&
           (t->status == TASK_RUNNING || t->status == TASK_PAUSED || t->status == TASK_PAUSING);
}

/* The run as the label of containerd's record has it, for containers whose row was never updated.
 */
static void run_from_label(struct run *r, const struct ctd_record *rec)
{
    const char *json = strmap_get(&rec->labels, "hull.run");
    struct container_run d;
    struct err ignored = {0};

    if (json == NULL ||
        json_parse(&container_run_json, &d, json, strlen(json), r->arena, &ignored) < 0)
        return;
    r->d.sandbox = d.sandbox;
    r->d.started_ns = d.started_ns;
}

/* A task of ours that lives: the container runs. */
static void adopt_running(struct container *c, const struct ctd_process *t,
                          const struct ctd_record *rec)
{
    struct run *r = run_edit(c);

    if ((!r->d.running || r->d.restarting) && rec != NULL)
        run_from_label(r, rec);
    r->d.running = r->d.started = true;
    r->d.restarting = r->d.removing = false;
    r->d.paused = t->status == TASK_PAUSED || t->status == TASK_PAUSING;
    r->d.pid = t->pid;
    if (r->d.started_ns == 0)
        r->d.started_ns = time_now_ns();
    fd_close(c->stopped_fd);
    c->stopped_fd = eventfd(0, EFD_CLOEXEC);
    run_publish(c, r);
}

/* Believed to run, or has a record of having run, but does not live: its end is collected as any
 * other. */
static void adopt_ended(struct container *c, const struct ctd_record *rec)
{
    struct run *r = run_edit(c);

    if (!r->d.running && rec != NULL)
        run_from_label(r, rec);
    r->d.running = r->d.started = true;
    r->d.restarting = r->d.removing = false;
    run_publish(c, r);
}

static const struct ctd_record *record_of(const struct ctd_record *v, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].id, id) == 0)
            return &v[i];
    return NULL;
}

struct present {
    struct ctd_process *tasks;
    size_t n_tasks;
    struct ctd_record *records;
    size_t n_records;
};

static int look(struct engine *g, struct arena *a, struct present *p, struct err *e)
{
    TRY(ctd_task_list(g->ctd, a, &p->tasks, &p->n_tasks, e));
    return ctd_container_list(g->ctd, a, &p->records, &p->n_records, e);
}

/* First step for one container: its state. True: an end is to be collected. */
static bool adopt_one(struct container *c, const struct present *p)
{
    const struct ctd_process *t = task_of(p->tasks, p->n_tasks, c->id);
    const struct ctd_record *rec = record_of(p->records, p->n_records, c->id);
    auto_view struct view v = container_view(c);

    if (is_alive(t)) {
        adopt_running(c, t, rec);
        return false;
    }
    if (v.state->restarting && t == NULL) {
        struct run *r = run_edit(c);

        r->d.running = r->d.restarting = false;
        run_publish(c, r);
        return false;
    }
    if (t != NULL || v.state->running || (rec != NULL && v.rec->host.auto_remove)) {
        adopt_ended(c, rec);
        return true;
    }
    if (v.state->removing) {
        struct run *r = run_edit(c);

        r->d.removing = false;
        run_publish(c, r);
    }
    return false;
}

/* ---- the watcher ---- */

static void on_event(struct engine *g, const struct ctd_event *ev)
{
    auto_container struct container *c = NULL;
    struct err ignored = {0};

    if (ev->kind == CTD_TASK_EXIT && strcmp(ev->process_id, ev->container_id) != 0) {
        exec_exited(g, ev->process_id, ev->exit_status);
        return;
    }
    if (ev->kind != CTD_TASK_EXIT && ev->kind != CTD_TASK_OOM)
        return;
    pthread_mutex_lock(&g->lock);
    c = map_get(&g->by_id, ev->container_id);
    if (c != NULL)
        (void)container_ref(c);
    pthread_mutex_unlock(&g->lock);
    (void)ignored;
    if (c == NULL)
        return;
    if (ev->kind == CTD_TASK_EXIT) {
        submit_exit(c, ev->exit_status, ev->exited_ns);
        return;
    }
    struct run *r = run_edit(c);
    r->d.oom_killed = true;
    run_publish(c, r);
    container_event(c, "oom", NULL);
}

/* After the stream was lost: whoever ended meanwhile. */
static int resync(struct engine *g, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct present p;
    struct container **all;
    size_t n;

    all = containers_all(g, &n);
    if (look(g, a, &p, e) < 0) {
        containers_free(all, n);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        auto_view struct view v = container_view(all[i]);
        const struct ctd_process *t = task_of(p.tasks, p.n_tasks, all[i]->id);

        if (v.state->running && !v.state->restarting && !is_alive(t) &&
            (t == NULL || t->status == TASK_STOPPED))
            submit_exit(all[i], t != NULL ? t->exit_status : EXIT_UNKNOWN,
                        t != NULL ? t->exited_ns : 0);
    }
    containers_free(all, n);
    execs_resync(g);
    return 0;
}

static bool stopping(struct engine *g, int timeout_ms)
{
    struct pollfd p = {.fd = g->stop_fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) > 0;
}

/*
 * Read events until the stream ends or the engine stops. A subscription is not acknowledged, so
 * shortly after it began the state is looked at once more: what ended in between is seen then.
 */
static void follow(struct engine *g, struct ctd_events *s)
{
    int64_t recheck_ns = time_mono_ns() + RECHECK_MS * NS_PER_MS;

    for (;;) {
        auto_arena struct arena *a = arena_new();
        struct pollfd p[] = {{ctd_events_fd(s), POLLIN, 0}, {g->stop_fd, POLLIN, 0}};
        struct ctd_event ev;
        struct err e = {0};

        if (poll(p, 2, recheck_ns != 0 ? RECHECK_MS : -1) < 0 && errno != EINTR)
            return;
        if (p[1].revents != 0)
            return;
        if (recheck_ns != 0 && time_mono_ns() >= recheck_ns) {
            recheck_ns = 0;
            if (resync(g, &e) < 0)
                return;
        }
        if (p[0].revents == 0)
            continue;
        if (ctd_events_next(s, a, &ev, &e) < 0) {
            log_warn("containerd's events are lost, connecting again", "error", e.msg, NULL);
            return;
        }
        on_event(g, &ev);
    }
}

struct watch {
    struct engine *g;
    struct ctd_events *events; /* of the first subscription */
};

static void *watcher(void *arg)
{
    struct watch *w = arg;
    struct engine *g = w->g;
    struct ctd_events *s = w->events;

    free(w);
    while (!stopping(g, 0)) {
        struct err e = {0};

        if (s != NULL)
            follow(g, s);
        ctd_events_free(s);
        s = NULL;
        if (stopping(g, 20))
            break;
        if (ctd_wait_ready(g->ctd, READY_MS, g->stop_fd, &e) < 0)
            continue;
        if (ctd_events_open(g->ctd, &s, &e) < 0 || resync(g, &e) < 0)
            log_warn("cannot follow containerd's events", "error", e.msg, NULL);
    }
    ctd_events_free(s);
    return NULL;
}

static int start_watcher(struct engine *g, struct ctd_events *events, struct err *e)
{
    struct watch *w = mem_alloc(sizeof(*w));
    int rc;

    *w = (struct watch){g, events};
    rc = thread_start(&g->watcher, THREAD_STACK, watcher, w);
    if (rc < 0) {
        free(w);
        return err_neg(e, rc, "start a thread");
    }
    g->watching = true;
    return 0;
}

/* ---- start-up ---- */

/* Snapshots that we made for containers that no longer exist. */
static void sweep_snapshots(struct engine *g)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_snapshot *v = NULL;
    struct err e = {0};
    size_t n = 0;

    if (ctd_snapshot_list(g->ctd, g->o.snapshotter, a, &v, &n, &e) < 0) {
        log_warn("cannot look for snapshots without a container", "error", e.msg, NULL);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *id = strmap_get(&v[i].labels, "hull.container");
        const char *of = strmap_get(&v[i].labels, "hull.engine");

        if (id == NULL || of == NULL || strcmp(of, g->engine_id) != 0 || map_has(&g->by_id, id))
            continue;
        if (ctd_snapshot_remove(g->ctd, g->o.snapshotter, v[i].key, &e) < 0)
            log_warn("cannot remove a snapshot", "snapshot", v[i].key, "error", e.msg, NULL);
    }
}

/* Records of ours whose container is gone. */
static void sweep_records(struct engine *g, const struct present *p)
{
    for (size_t i = 0; i < p->n_records; i++) {
        const struct ctd_record *r = &p->records[i];
        const char *of = strmap_get(&r->labels, "hull.engine");
        struct err e = {0};

        if (of == NULL || strcmp(of, g->engine_id) != 0 || map_has(&g->by_id, r->id))
            continue;
        if (task_of(p->tasks, p->n_tasks, r->id) != NULL) {
            (void)ctd_task_kill(g->ctd, r->id, NULL, 9, true, &e);
            (void)ctd_task_delete(g->ctd, r->id, NULL, NULL, &e);
        }
        if (ctd_container_delete(g->ctd, r->id, &e) < 0)
            log_warn("cannot delete a record without a container", "container", r->id, "error",
                     e.msg, NULL);
    }
}

/* What the policy says about a container that does not run when the daemon starts. */
static bool comes_back(const struct view *v)
{
    const char *policy = v->rec->host.restart.name;

    if (v->state->running || !v->state->started)
        return false;
    if (strcmp(policy, "always") == 0)
        return true;
    if (strcmp(policy, "unless-stopped") == 0)
        return !v->state->stopped_by_user;
    return strcmp(policy, "on-failure") == 0 && v->state->exit_code != 0 &&
           !v->state->stopped_by_user;
}

static void apply_policies(struct engine *g, struct container **all, size_t n)
{
    (void)g;
    for (size_t i = 0; i < n; i++) {
        auto_view struct view v = container_view(all[i]);
        struct run *r;

        if (!comes_back(&v))
            continue;
        r = run_edit(all[i]);
        r->d.running = r->d.restarting = true;
        r->d.stopped_by_user = false;
        run_publish(all[i], r);
        restart_later(all[i], 0);
    }
}

static int open_networks(struct engine *g, struct container **all, size_t n, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    VEC(struct net_sandbox) running = {0};

    for (size_t i = 0; i < n; i++) {
        auto_view struct view v = container_view(all[i]);

        if (v.state->running && v.state->sandbox != NULL)
            json_copy(&net_sandbox_json, vec_add_in(a, &running), v.state->sandbox, a);
    }
    return engine_net_open(g, running.v, running.n, e);
}

static int adopt_all(struct engine *g, struct ctd_events *events, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct container **all, **ended;
    struct present p;
    size_t n, n_ended = 0;
    int r;

    TRY(look(g, a, &p, e));
    all = containers_all(g, &n);
    ended = arena_alloc_array(a, n + 1, sizeof(struct container *));
    for (size_t i = 0; i < n; i++)
        if (adopt_one(all[i], &p))
            ended[n_ended++] = all[i];
    r = open_networks(g, all, n, e);
    if (r == 0) {
        for (size_t i = 0; i < n_ended; i++) {
            const struct ctd_process *t = task_of(p.tasks, p.n_tasks, ended[i]->id);
            auto_view struct view v = container_view(ended[i]);
            uint32_t status = EXIT_UNKNOWN;
            int64_t exited_ns = 0;

            if (t != NULL && t->status == TASK_CREATED) {
                struct err ignored = {0};

                (void)ctd_task_kill(g->ctd, ended[i]->id, NULL, 9, false, &ignored);
            }
            if (v.state->ending) { /* the task may be collected already */
                status = (uint32_t)v.state->exit_code;
                exited_ns = v.state->finished_ns;
            }
            if (t != NULL && t->status == TASK_STOPPED) {
                status = t->exit_status;
                exited_ns = t->exited_ns;
            }
            container_exited(ended[i], status, exited_ns);
        }
        apply_policies(g, all, n);
        sweep_records(g, &p);
        sweep_snapshots(g);
        r = start_watcher(g, events, e);
    }
    containers_free(all, n);
    return r;
}

int engine_start(struct engine *g, struct err *e)
{
    struct ctd_events *events = NULL;

    TRY(ctd_wait_ready(g->ctd, READY_MS, g->stop_fd, e));
    TRY(ctd_events_open(g->ctd, &events, e));
    if (adopt_all(g, events, e) < 0) {
        if (!g->watching)
            ctd_events_free(events);
        return -1;
    }
    return 0;
}
