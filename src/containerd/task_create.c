/*
 * Beginning and end of a task: the bundle, the shim, the container in it. These two calls run in
 * threads of their own and read from top to bottom.
 */
#include "containerd/task_create.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "containerd/bundle.h"
#include "containerd/convert.h"
#include "containerd/shim_log.h"
#include "containerd/shim_run.h"
#include "proto/tasks.pb-c.h"
#include "store/container.h"

enum {
    CREATE_MS = 120000, /* hooks may run */
    DELETE_MS = 60000,  /* output is read to its end */
    DIAL_MS = 5000,
};

/* What a Create works with. */
struct creation {
    struct ctd *d;
    const Tasks__CreateTaskRequest *q;
    struct container_record rec;
    struct arena *a;
    struct scope sc;
    struct task *t;
    const char *checkpoint; /* folder that it is restored from; "": it is new */
    int cancel_fd;
};

static const Pb__Any *options_of(struct creation *cr)
{
    const Pb__Any *own = cr->q->options;
    return own != NULL && *own->type_url != '\0' ? own : any_to_pb(&cr->rec.runtime_options, cr->a);
}

static int find_shim(struct creation *cr, struct err *e)
{
    const char *const dirs[] = {cr->d->self_dir, NULL}, *program;
    const char *name = *cr->q->runtime_path != '\0' ? cr->q->runtime_path : cr->rec.runtime_name;
    if (runtime_find(name, cr->d->path, dirs, cr->a, &program, e) < 0) {
        e->kind = ERR_UNKNOWN; /* as containerd has it: a runtime is no object that was asked for */
        (void)err_wrap(e, "failed to start shim: failed to resolve runtime path");
        return -1;
    }
    cr->t->program = mem_strdup(program);
    return 0;
}

static int start_shim(struct creation *cr, struct err *e)
{
    struct task *t = cr->t;
    struct shim_endpoint ep;
    const struct shim_run run = {cr->d, t->program, t->ns, t->id, t->bundle};
    TRY(bundle_write(t->bundle, "shim-binary-path", t->program, e));
    TRY(shim_logs_add(t->tasks->logs, t->bundle, e));
    if (shim_start(&run, any_to_pb(&cr->rec.runtime_options, cr->a), cr->cancel_fd, cr->a, &ep, e) <
        0)
        return err_wrap(e, "failed to start shim");
    TRY(bundle_write(t->bundle, "bootstrap.json", bootstrap_json(&ep, cr->a), e));
    t->version = ep.version;
    (void)pthread_mutex_lock(&t->tasks->lock); /* others look for shims that are shared */
    t->address = mem_strdup(ep.address);
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return task_connect(t, DIAL_MS, e);
}

static int create_in_shim(struct creation *cr, uint32_t *out_pid, struct err *e)
{
    const Tasks__CreateTaskRequest *q = cr->q;
    Shim__CreateTaskRequest m = SHIM__CREATE_TASK_REQUEST__INIT;
    Shim__CreateTaskResponse *r;
    m.id = q->container_id;
    m.bundle = cr->t->bundle;
    m.rootfs = q->rootfs;
    m.n_rootfs = q->n_rootfs;
    m.terminal = q->terminal;
    m.stdin = q->stdin;
    m.stdout = q->stdout;
    m.stderr = q->stderr;
    m.options = (Pb__Any *)(uintptr_t)options_of(cr);
    m.checkpoint = (char *)(uintptr_t)cr->checkpoint;
    /* not cancelled half-way: who gives up meanwhile deletes the task */
    const struct task_rpc call = {"Create", &m.base, &shim__create_task_response__descriptor,
                                  CREATE_MS};
    if (task_call_wait(cr->t, &call, -1, cr->a, &r, e) < 0)
        return err_wrap(e, "failed to create shim task");
    *out_pid = r->pid;
    return 0;
}

static void undo(struct creation *cr)
{
    struct task *t = cr->t;
    const struct shim_run run = {cr->d, t->program, t->ns, t->id, t->bundle};
    Shim__DeleteResponse *ignored;
    struct err e = {0};
    bool had_shim = t->link != NULL;
    if (!had_shim && t->program != NULL &&
        bundle_read(t->bundle, "shim-binary-path", cr->a) != NULL &&
        shim_delete(&run, cr->a, &ignored, &e) < 0)
        log_debug("cleanup after a failed start", "container", t->id, "error", e.msg, NULL);
    task_end(t);
}

static void keep(struct creation *cr, uint32_t pid)
{
    const Tasks__CreateTaskRequest *q = cr->q;
    struct task *t = cr->t;
    (void)pthread_mutex_lock(&t->tasks->lock);
    t->init.in = mem_strdup(q->stdin);
    t->init.out = mem_strdup(q->stdout);
    t->init.err = mem_strdup(q->stderr);
    t->init.terminal = q->terminal;
    t->init.pid = pid;
    if (t->init.status == TYPES__STATUS__UNKNOWN)
        t->init.status = TYPES__STATUS__CREATED;
    t->phase = TASK_LIVE;
    if (!ttrpc_link_alive(t->link)) { /* the shim died before we looked */
        t->phase = TASK_DEAD;
        janitor_take(t);
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
}

static int build(struct creation *cr, uint32_t *out_pid, struct err *e)
{
    const struct any_value *spec = &cr->rec.spec;
    TRY(find_shim(cr, e));
    TRY(bundle_create(cr->d, cr->t->ns, cr->t->id, spec->value, spec->len, e));
    const struct checkpoint_source from = {cr->t->bundle, cr->q->checkpoint, options_of(cr)};
    if (checkpoint_folder(cr->d, &cr->sc, &from, cr->cancel_fd, cr->a, &cr->checkpoint, e) < 0 ||
        start_shim(cr, e) < 0 || create_in_shim(cr, out_pid, e) < 0) {
        undo(cr);
        return -1;
    }
    return 0;
}

int task_create(struct grpc_call *c, const void *req, struct err *e)
{
    struct creation cr = {.d = grpc_call_ctx(c),
                          .q = req,
                          .a = grpc_call_arena(c),
                          .cancel_fd = grpc_call_cancel_fd(c)};
    Tasks__CreateTaskResponse r = TASKS__CREATE_TASK_RESPONSE__INIT;
    TRY(call_scope(c, &cr.sc, e));
    TRY(container_get(cr.d->store, &cr.sc, cr.q->container_id, cr.a, &cr.rec, e));
    if (cr.rec.spec.len == 0)
        return err_set(e, ERR_INVALID, "container %s has no spec: invalid argument", cr.rec.id);
    auto_task struct task *t = NULL;
    TRY(task_new(cr.d->tasks, cr.sc.ns, cr.q->container_id, cr.cancel_fd, &t, e));
    cr.t = t;
    if (build(&cr, &r.pid, e) < 0) {
        task_forget(t);
        task_wake_all(t);
        return -1;
    }
    keep(&cr, r.pid);
    r.container_id = cr.q->container_id;
    return grpc_call_reply(c, &r.base, e);
}

/* ---- delete ---- */

/* What the shim says of the end, or, when it knows the container no more, what we know. */
static int delete_in_shim(struct task *t, int cancel_fd, struct arena *a, Shim__DeleteResponse *out,
                          struct err *e)
{
    Shim__DeleteRequest m = SHIM__DELETE_REQUEST__INIT;
    Shim__DeleteResponse *r;
    m.id = t->id;
    const struct task_rpc call = {"Delete", &m.base, &shim__delete_response__descriptor, DELETE_MS};
    if (task_call_wait(t, &call, cancel_fd, a, &r, e) == 0) {
        *out = *r;
        return 0;
    }
    if (e->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    (void)pthread_mutex_lock(&t->tasks->lock);
    out->pid = t->init.pid;
    out->exit_status = t->init.exit_status;
    out->exited_at = pb_time_new(t->init.exited_ns, a);
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return 0;
}

/* True for the one of several Deletes that goes on. */
static bool claim(struct task *t)
{
    (void)pthread_mutex_lock(&t->tasks->lock);
    bool ours = t->phase == TASK_LIVE;
    if (ours)
        t->phase = TASK_DELETING;
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return ours;
}

int task_delete(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__DeleteTaskRequest *q = req;
    struct ctd *d = grpc_call_ctx(c);
    struct arena *a = grpc_call_arena(c);
    Tasks__DeleteResponse r = TASKS__DELETE_RESPONSE__INIT;
    Shim__DeleteResponse gone = SHIM__DELETE_RESPONSE__INIT;
    auto_task struct task *t = NULL;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    TRY(task_find(d->tasks, sc.ns, q->container_id, &t, e));
    TRY(delete_in_shim(t, grpc_call_cancel_fd(c), a, &gone, e));
    if (!claim(t))
        return err_set(e, ERR_NOT_FOUND, "task %s not found", t->id);
    process_exited(t, "", gone.pid, gone.exit_status, pb_time_ns(gone.exited_at));
    r.pid = gone.pid;
    r.exit_status = gone.exit_status;
    r.exited_at = pb_time_new(pb_time_ns(gone.exited_at), a);
    /* the streams are drained and the cgroup is gone: nobody waits for shim and mounts to go */
    int rc = grpc_call_reply(c, &r.base, e);
    task_end(t);
    task_forget(t);
    task_wake_all(t);
    return rc;
}
