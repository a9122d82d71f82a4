/*
 * The janitor: what is left of a container whose shim has died is cleaned up by the shim's own
 * program (`delete`), and the end that nobody else will tell of is published here. One thread,
 * since a storm of dead shims must not become a storm of threads.
 */
#include <errno.h>
#include <poll.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "containerd/bundle.h"
#include "containerd/bus.h"
#include "containerd/convert.h"
#include "containerd/shim_log.h"
#include "containerd/shim_run.h"
#include "containerd/task.h"
#include "proto/event.pb-c.h"

#define KILLED 137

void janitor_take(struct task *t)
{
    uint64_t one = 1;
    list_append(&t->tasks->dead, &task_ref(t)->dead_link);
    (void)!write(t->tasks->janitor_fd, &one, sizeof(one));
}

static void tell(struct task *t, const char *topic, const ProtobufCMessage *event, struct arena *a)
{
    struct err e = {0};
    if (bus_publish(t->tasks->d->bus, t->ns, topic, time_now_ns(), pb_any_new(event, a), &e) < 0)
        log_warn("an event was not published", "topic", topic, "error", e.msg, NULL);
}

static void tell_exit(struct task *t, const char *id, uint32_t pid, uint32_t status, int64_t at_ns,
                      struct arena *a)
{
    Event__TaskExit m = EVENT__TASK_EXIT__INIT;
    m.container_id = t->id;
    m.id = pb_str(id);
    m.pid = pid;
    m.exit_status = status;
    m.exited_at = pb_time_new(at_ns, a);
    tell(t, "/tasks/exit", &m.base, a);
}

/* Exits of execs that were running: their ids and pids, in the arena. */
struct running {
    const char *id;
    uint32_t pid;
};
static size_t running_execs(struct task *t, struct arena *a, struct running **out)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&t->tasks->lock);
    *out = arena_alloc_array(a, t->execs.n + 1, sizeof(**out));
    map_each(ent, &t->execs) {
        const struct process *p = ent->val;
        if (p->status == TYPES__STATUS__RUNNING)
            (*out)[n++] = (struct running){arena_strdup(a, p->exec_id), p->pid};
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return n;
}

static void tell_end(struct task *t, const Shim__DeleteResponse *r, struct arena *a)
{
    struct running *execs;
    size_t n = running_execs(t, a, &execs);
    int64_t at_ns = r->exited_at != NULL && pb_time_ns(r->exited_at) != 0 ? pb_time_ns(r->exited_at)
                                                                          : time_now_ns();
    (void)pthread_mutex_lock(&t->tasks->lock);
    bool known = t->init.status == TYPES__STATUS__STOPPED;
    uint32_t pid = t->init.pid != 0 ? t->init.pid : r->pid;
    uint32_t status = known ? t->init.exit_status : r->exit_status;
    at_ns = known ? t->init.exited_ns : at_ns;
    (void)pthread_mutex_unlock(&t->tasks->lock);
    for (size_t i = 0; i < n; i++) {
        tell_exit(t, execs[i].id, execs[i].pid, KILLED, at_ns, a);
        process_exited(t, execs[i].id, execs[i].pid, KILLED, at_ns);
    }
    if (!known)
        tell_exit(t, t->id, pid, status, at_ns, a);
    process_exited(t, "", pid, status, at_ns);
    Event__TaskDelete m = EVENT__TASK_DELETE__INIT;
    m.container_id = t->id;
    m.pid = pid;
    m.exit_status = status;
    m.exited_at = pb_time_new(at_ns, a);
    m.id = t->id;
    tell(t, "/tasks/delete", &m.base, a);
}

static void bury(struct task *t)
{
    auto_arena struct arena *a = arena_new();
    Shim__DeleteResponse none = SHIM__DELETE_RESPONSE__INIT, *r = &none;
    struct err e = {0};
    const struct shim_run run = {t->tasks->d, t->program, t->ns, t->id, t->bundle};
    none.exit_status = KILLED;
    log_warn("cleaning up after a dead shim", "namespace", t->ns, "container", t->id, NULL);
    if (t->program == NULL || shim_delete(&run, a, &r, &e) < 0) {
        log_warn("the shim's cleanup failed", "container", t->id, "error", e.msg, NULL);
        r = &none;
    }
    shim_logs_end(t->bundle);
    if (bundle_remove(t->tasks->d, t->ns, t->id, &e) < 0)
        log_warn("bundle not removed", "bundle", t->bundle, "error", e.msg, NULL);
    task_forget(t);
    tell_end(t, r, a); /* last: who hears of it may create the task anew at once */
    task_wake_all(t);
}

/* The next dead task, or NULL when there is none. */
static struct task *next(struct tasks *ts, bool *out_stopping)
{
    (void)pthread_mutex_lock(&ts->lock);
    *out_stopping = ts->stopping;
    struct task *t = list_take(&ts->dead, struct task, dead_link);
    (void)pthread_mutex_unlock(&ts->lock);
    return t;
}

void *janitor_main(void *tasks)
{
    struct tasks *ts = tasks;
    bool stopping = false;
    while (!stopping) {
        struct pollfd p = {.fd = ts->janitor_fd, .events = POLLIN};
        struct task *t;
        uint64_t n;
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            break;
        (void)!read(ts->janitor_fd, &n, sizeof(n));
        while ((t = next(ts, &stopping)) != NULL) {
            if (!stopping) /* else the next daemon does it */
                bury(t);
            task_unref(t);
        }
    }
    return NULL;
}
