/* Tasks and their names, connections and calls: see task.h. */
#include "containerd/task.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "containerd/bundle.h"
#include "containerd/shim_log.h"
#include "sys/fd.h"

#define SHUTDOWN_MS 3000

static char *key_of(const char *ns, const char *id)
{
    return mem_printf("%s/%s", ns, id); /* neither has a slash */
}

static void process_init(struct process *p, const char *exec_id)
{
    p->exec_id = mem_strdup(exec_id);
    list_init(&p->waiters);
}

static void process_done(struct process *p)
{
    free(p->exec_id);
    free(p->in);
    free(p->out);
    free(p->err);
}

struct task *task_ref(struct task *t)
{
    atomic_fetch_add(&t->refs, 1);
    return t;
}

void task_unref(struct task *t)
{
    if (t == NULL || !ref_drop(&t->refs))
        return;
    ttrpc_link_unref(t->link);
    fd_close(t->closed_fd);
    fd_close(t->over_fd);
    process_done(&t->init);
    map_each(ent, &t->execs) {
        process_done(ent->val);
        free(ent->val);
    }
    map_done(&t->execs);
    free(t->ns);
    free(t->id);
    free(t->bundle);
    free(t->program);
    free(t->address);
    free(t);
}

static int make(struct tasks *ts, const char *ns, const char *id, struct task **out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct task *t = mem_alloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    t->tasks = ts;
    t->ns = mem_strdup(ns);
    t->id = mem_strdup(id);
    t->bundle = mem_strdup(bundle_path(ts->d, ns, id, a));
    process_init(&t->init, "");
    list_init(&t->dead_link);
    t->closed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->closed_fd < 0 || t->over_fd < 0) {
        task_unref(t);
        return err_sys(e, "eventfd");
    }
    *out = t;
    return 0;
}

/* Put t under its name. The task that has it already, referenced, or NULL. */
static struct task *claim_name(struct task *t, bool *out_deleted)
{
    auto_free char *key = key_of(t->ns, t->id);
    (void)pthread_mutex_lock(&t->tasks->lock);
    struct task *holder = map_get(&t->tasks->by_key, key);
    if (holder != NULL)
        (void)task_ref(holder);
    else
        (void)map_put(&t->tasks->by_key, key, task_ref(t));
    *out_deleted = holder != NULL && holder->phase == TASK_DELETING;
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return holder;
}

int task_new(struct tasks *ts, const char *ns, const char *id, int cancel_fd, struct task **out,
             struct err *e)
{
    auto_task struct task *t = NULL;
    TRY(make(ts, ns, id, &t, e));
    for (;;) {
        bool deleted;
        auto_task struct task *holder = claim_name(t, &deleted);
        if (holder == NULL)
            break;
        if (!deleted)
            return err_set(e, ERR_EXISTS, "task %s: already exists", id);
        struct pollfd fds[] = {{holder->over_fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
        (void)poll(fds, ARRAY_LEN(fds), -1); /* task_end has its limits */
        if (fds[1].revents != 0)
            return err_set(e, ERR_CANCELLED, "context canceled");
    }
    *out = TAKE_PTR(t);
    return 0;
}

int task_find(struct tasks *ts, const char *ns, const char *id, struct task **out, struct err *e)
{
    auto_free char *key = key_of(ns, id);
    (void)pthread_mutex_lock(&ts->lock);
    struct task *t = map_get(&ts->by_key, key);
    if (t != NULL && (t->phase == TASK_LIVE || t->phase == TASK_DEAD))
        (void)task_ref(t);
    else
        t = NULL;
    (void)pthread_mutex_unlock(&ts->lock);
    if (t == NULL)
        return err_set(e, ERR_NOT_FOUND, "task %s not found", id);
    *out = t;
    return 0;
}

void task_forget(struct task *t)
{
    auto_free char *key = key_of(t->ns, t->id);
    (void)pthread_mutex_lock(&t->tasks->lock);
    (void)map_del(&t->tasks->by_key, key);
    (void)pthread_mutex_unlock(&t->tasks->lock);
    (void)eventfd_write(t->over_fd, 1);
    task_unref(t); /* the map's reference */
}

/* ---- the connection ---- */

/* In the hub's thread: the shim has closed it, is dead, or the daemon stops. */
static void on_lost(void *arg)
{
    struct task *t = arg;
    uint64_t one = 1;
    (void)!write(t->closed_fd, &one, sizeof(one));
    (void)pthread_mutex_lock(&t->tasks->lock);
    if (t->phase == TASK_LIVE && !t->tasks->stopping) {
        t->phase = TASK_DEAD;
        janitor_take(t);
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
    task_unref(t);
}

int task_connect(struct task *t, int timeout_ms, struct err *e)
{
    TRY(ttrpc_link_open(t->tasks->hub, t->address, timeout_ms, &t->link, e));
    ttrpc_link_on_close(t->link, on_lost, task_ref(t));
    return 0;
}

void task_heard(struct task *t, const struct err *why)
{
    bool late = why != NULL && why->kind == ERR_TIMEOUT, was;
    if (why != NULL && !late && why->kind == ERR_UNAVAILABLE)
        return; /* says nothing about a shim that hangs */
    (void)pthread_mutex_lock(&t->tasks->lock);
    was = t->unresponsive;
    t->unresponsive = late;
    (void)pthread_mutex_unlock(&t->tasks->lock);
    if (late && !was)
        log_warn("shim does not answer", "namespace", t->ns, "container", t->id, NULL);
    else if (was && !late)
        log_info("shim answers again", "namespace", t->ns, "container", t->id, NULL);
}

static struct ttrpc_request request(const struct task *t, const struct task_rpc *r)
{
    return (struct ttrpc_request){.service = t->version == 3 ? "containerd.task.v3.Task"
                                                             : "containerd.task.v2.Task",
                                  .method = r->method,
                                  .msg = r->msg,
                                  .response = r->response,
                                  .ns = t->ns,
                                  .timeout_ms = r->timeout_ms};
}

static int no_shim(const struct task *t, struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE, "shim of task %s is gone: unavailable", t->id);
}

int task_call(struct task *t, const struct task_rpc *r, ttrpc_done *done, void *arg, struct err *e)
{
    const struct ttrpc_request q = request(t, r);
    return t->link == NULL ? no_shim(t, e) : ttrpc_link_start(t->link, &q, done, arg, e);
}

int task_call_wait(struct task *t, const struct task_rpc *r, int cancel_fd, struct arena *a,
                   void *out_msg, struct err *e)
{
    const struct ttrpc_request q = request(t, r);
    if (t->link == NULL)
        return no_shim(t, e);
    int n = ttrpc_link_call(t->link, &q, cancel_fd, a, out_msg, e);
    task_heard(t, n < 0 ? e : NULL);
    return n;
}

/* ---- the end ---- */

/* True when another task lives in the same shim. */
static bool shares_shim(const struct task *t)
{
    bool shared = false;
    (void)pthread_mutex_lock(&t->tasks->lock);
    map_each(ent, &t->tasks->by_key) {
        const struct task *o = ent->val;
        if (o != t && o->address != NULL && strcmp(o->address, t->address) == 0)
            shared = true;
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return shared;
}

static void shut_down(struct task *t)
{
    auto_arena struct arena *a = arena_new();
    Shim__ShutdownRequest rq = SHIM__SHUTDOWN_REQUEST__INIT;
    Pb__Empty *empty;
    struct err e = {0};
    struct pollfd closed = {.fd = t->closed_fd, .events = POLLIN};
    rq.id = t->id;
    const struct task_rpc call = {"Shutdown", &rq.base, &pb__empty__descriptor, SHUTDOWN_MS};
    if (task_call_wait(t, &call, t->closed_fd, a, &empty, &e) < 0)
        log_debug("shim shutdown", "container", t->id, "error", e.msg, NULL);
    /* its socket has the container's name: the next shim must not meet it */
    if (poll(&closed, 1, SHUTDOWN_MS) == 0)
        log_warn("shim has not ended", "namespace", t->ns, "container", t->id, NULL);
}

void task_end(struct task *t)
{
    struct err e = {0};
    if (t->link != NULL && !shares_shim(t))
        shut_down(t);
    if (t->link != NULL)
        ttrpc_link_close(t->link);
    shim_logs_end(t->bundle);
    if (bundle_remove(t->tasks->d, t->ns, t->id, &e) < 0)
        log_warn("bundle not removed", "bundle", t->bundle, "error", e.msg, NULL);
}

/* ---- processes; with the lock held ---- */

struct process *task_process(struct task *t, const char *exec_id)
{
    return exec_id == NULL || *exec_id == '\0' ? &t->init : map_get(&t->execs, exec_id);
}

struct process *task_add_exec(struct task *t, const char *exec_id)
{
    struct process *p = map_get(&t->execs, exec_id);
    if (p == NULL) {
        p = mem_alloc(sizeof(*p));
        process_init(p, exec_id);
        (void)map_put(&t->execs, exec_id, p);
    }
    return p;
}

void task_drop_exec(struct task *t, const char *exec_id)
{
    struct process *p = map_del(&t->execs, exec_id);
    if (p == NULL)
        return;
    process_done(p);
    free(p);
}
