/*
 * Waiting for the end of processes. A call that waits is a small object in the process's list; who
 * takes it out of there, under the lock, answers it or frees it.
 */
#include "base/mem.h"
#include "containerd/task.h"
#include "proto/tasks.pb-c.h"
#include "rpc/pb.h"

struct waiter {
    struct list link;
    struct tasks *tasks;
    struct grpc_call *call;                       /* referenced */
    enum { NEW, LISTED, TAKEN, CANCELLED } state; /* guarded by the lock of tasks */
};

static void waiter_free(struct waiter *w)
{
    grpc_call_unref(w->call);
    free(w);
}

static void answer(struct grpc_call *c, uint32_t status, int64_t exited_ns)
{
    auto_arena struct arena *a = arena_new();
    Tasks__WaitResponse r = TASKS__WAIT_RESPONSE__INIT;
    struct err e = {0};
    r.exit_status = status;
    r.exited_at = pb_time_new(exited_ns, a);
    if (grpc_call_reply(c, &r.base, &e) < 0)
        grpc_call_finish(c, &e);
}

static void on_cancel(void *arg)
{
    struct waiter *w = arg;
    (void)pthread_mutex_lock(&w->tasks->lock);
    bool ours = w->state == LISTED;
    if (ours)
        list_remove(&w->link);
    if (w->state != TAKEN)
        w->state = CANCELLED;
    (void)pthread_mutex_unlock(&w->tasks->lock);
    if (ours)
        waiter_free(w);
}

int process_wait(struct task *t, const char *exec_id, struct grpc_call *c, struct err *e)
{
    struct tasks *ts = t->tasks;
    struct waiter *w = mem_alloc(sizeof(*w));
    *w = (struct waiter){.tasks = ts, .call = grpc_call_ref(c), .state = NEW};
    list_init(&w->link);
    grpc_call_on_cancel(c, on_cancel, w); /* before it can be taken, that is freed */
    (void)pthread_mutex_lock(&ts->lock);
    const struct process *p = task_process(t, exec_id);
    bool known = p != NULL, over = known && p->status == TYPES__STATUS__STOPPED;
    bool listed = known && !over && w->state == NEW;
    uint32_t status = over ? p->exit_status : 0;
    int64_t exited_ns = over ? p->exited_ns : 0;
    if (listed)
        list_append(&task_process(t, exec_id)->waiters, &w->link);
    w->state = listed ? LISTED : w->state == CANCELLED ? CANCELLED : TAKEN;
    (void)pthread_mutex_unlock(&ts->lock);
    if (listed)
        return GRPC_LATER;
    grpc_call_on_cancel(c, NULL, NULL); /* waits for on_cancel: w is ours now */
    waiter_free(w);
    if (!known)
        return err_set(e, ERR_NOT_FOUND, "process %s not found: not found", exec_id);
    answer(c, status, exited_ns);
    return 0;
}

/* With the lock held: move the waiters of p to out, to be answered without it. */
static void take(struct process *p, struct list *out)
{
    list_each(l, &p->waiters) {
        CONTAINER_OF(l, struct waiter, link)->state = TAKEN;
        list_remove(l);
        list_append(out, l);
    }
}

void process_exited(struct task *t, const char *exec_id, uint32_t pid, uint32_t status,
                    int64_t exited_ns)
{
    struct list taken;
    list_init(&taken);
    (void)pthread_mutex_lock(&t->tasks->lock);
    struct process *p = task_process(t, exec_id);
    if (p != NULL && p->status != TYPES__STATUS__STOPPED) {
        p->status = TYPES__STATUS__STOPPED;
        p->pid = pid != 0 ? pid : p->pid;
        p->exit_status = status;
        p->exited_ns = exited_ns;
    }
    if (p != NULL) {
        status = p->exit_status;
        exited_ns = p->exited_ns;
        take(p, &taken);
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
    list_each(l, &taken) {
        struct waiter *w = CONTAINER_OF(l, struct waiter, link);
        answer(w->call, status, exited_ns);
        waiter_free(w);
    }
}

/* Without the lock: answer what take() took. */
static void refuse(struct list *taken, const char *id)
{
    struct err e = {0};
    (void)err_set(&e, ERR_NOT_FOUND, "process %s not found: not found", id);
    list_each(l, taken) {
        struct waiter *w = CONTAINER_OF(l, struct waiter, link);
        grpc_call_finish(w->call, &e);
        waiter_free(w);
    }
}

void process_forget(struct task *t, const char *exec_id)
{
    struct list taken;
    list_init(&taken);
    (void)pthread_mutex_lock(&t->tasks->lock);
    struct process *p = map_get(&t->execs, exec_id);
    if (p != NULL)
        take(p, &taken);
    task_drop_exec(t, exec_id);
    (void)pthread_mutex_unlock(&t->tasks->lock);
    refuse(&taken, exec_id);
}

void task_wake_all(struct task *t)
{
    struct list taken;
    list_init(&taken);
    (void)pthread_mutex_lock(&t->tasks->lock);
    take(&t->init, &taken);
    map_each(ent, &t->execs)
        take(ent->val, &taken);
    (void)pthread_mutex_unlock(&t->tasks->lock);
    refuse(&taken, t->id);
}
