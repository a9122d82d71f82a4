/*
 * How processes come to be: Create makes a container and its first process, Exec announces a
 * further one, Start lets either run. Each is a chain of steps; a step that fails undoes the ones
 * before.
 */
#include <errno.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "proto/event.pb-c.h"
#include "shim/container.h"
#include "shim/metrics.h"
#include "shim/options.h"
#include "shim/bundle_mounts.h"

#define SPEC_MAX ((size_t)4 << 20)
#define IDS_MAX 128

static bool id_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '.';
}

/* An id becomes part of file names. */
static int check_id(const char *id, struct err *e)
{
    if (!str_all(id, IDS_MAX, id_char) || id[0] == '.' || id[0] == '-')
        return err_set(e, ERR_INVALID,
                       "identifier \"%s\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$", id);
    return 0;
}

/* Answer the call that p's operation belongs to; it may be gone by now. */
static struct ttrpc_call *take_call(struct process *p)
{
    struct ttrpc_call *call = p->call;
    p->call = NULL;
    return call;
}

/* ---- create */

static void create_failed(struct container *c, const struct err *why)
{
    struct ttrpc_call *call = take_call(&c->init);
    struct err e = *why;
    (void)map_del(&c->shim->containers, c->id);
    container_free(c);
    ttrpc_call_fail(call, &e);
}

static void create_published(void *arg)
{
    struct container *c = arg;
    Shim__CreateTaskResponse resp = SHIM__CREATE_TASK_RESPONSE__INIT;
    resp.pid = (uint32_t)c->init.pid;
    (void)ttrpc_call_reply(take_call(&c->init), &resp.base); /* always 0 */
    process_settle(&c->init);
}

static void publish_create(struct container *c)
{
    Event__TaskCreate ev = EVENT__TASK_CREATE__INIT;
    Event__TaskIO io = EVENT__TASK_IO__INIT;
    io.stdin = (char *)(uintptr_t)c->init.in;
    io.stdout = (char *)(uintptr_t)c->init.out;
    io.stderr = (char *)(uintptr_t)c->init.err;
    io.terminal = c->init.terminal;
    ev.container_id = (char *)(uintptr_t)c->id;
    ev.bundle = (char *)(uintptr_t)c->bundle;
    ev.io = &io;
    ev.checkpoint = (char *)(uintptr_t)(c->images.path != NULL ? c->images.path : "");
    ev.pid = (uint32_t)c->init.pid;
    publish(c->shim->pub, "/tasks/create", &ev.base, create_published, c);
}

static void on_undone(void *arg, const struct oci_result *res, const struct err *why)
{
    struct container *c = arg;
    struct err e = {0};
    (void)res;
    if (why != NULL)
        log_warn("container not removed after a failure", "container", c->id, "error", why->msg,
                 NULL);
    (void)err_set(&e, ERR_INTERNAL, "the streams of the process failed");
    create_failed(c, &e);
}

static void watch_cgroup(struct container *c)
{
    struct err e = {0};
    if (cgroup_of(c->init.pid, c->arena, &c->cgroup, &e) < 0)
        log_warn("cgroup not found", "container", c->id, "error", e.msg, NULL);
    c->oom = oom_watch(c->shim->loop, c->shim->pub, c->id, &c->cgroup);
}

static void on_created(void *arg, const struct oci_result *res, const struct err *why)
{
    struct container *c = arg;
    struct err e = {0};
    if (why != NULL) {
        reaper_release(c->shim->reaper);
        create_failed(c, why);
        return;
    }
    c->init.state = PROCESS_CREATED;
    process_watch(&c->init, res->pid);
    reaper_release(c->shim->reaper);
    if (io_started(c->init.io, res->console, &e) < 0) {
        log_error("streams", "container", c->id, "error", e.msg, NULL);
        if (c->oci.ops->del(&c->oci, on_undone, c, &e) < 0)
            create_failed(c, &e);
        return;
    }
    watch_cgroup(c);
    publish_create(c);
}

static void create_process(void *arg, const struct err *why)
{
    struct container *c = arg;
    struct err e = {0};
    if (why != NULL) {
        create_failed(c, why);
        return;
    }
    if (c->images.path != NULL) { /* there is no process before it is started */
        c->init.state = PROCESS_CREATED;
        publish_create(c);
        return;
    }
    reaper_hold(c->shim->reaper);
    if (c->oci.ops->create(&c->oci, io_child(c->init.io), on_created, c, &e) < 0) {
        reaper_release(c->shim->reaper);
        create_failed(c, &e);
    }
}

static struct container *container_new(struct shim *s, const Shim__CreateTaskRequest *rq)
{
    struct arena *a = arena_new();
    struct container *c = ARENA_NEW(a, struct container);
    c->shim = s;
    c->arena = a;
    c->id = arena_strdup(a, rq->id);
    c->bundle = arena_strdup(a, rq->bundle);
    list_init(&c->execs);
    process_init(&c->init, c, "");
    c->init.in = arena_strdup(a, rq->stdin);
    c->init.out = arena_strdup(a, rq->stdout);
    c->init.err = arena_strdup(a, rq->stderr);
    c->init.terminal = rq->terminal;
    return c;
}

static int open_io(struct process *p, struct err *e)
{
    struct container *c = p->c;
    const struct io_opts o = {
        .loop = c->shim->loop,
        .reaper = c->shim->reaper,
        .in = p->in,
        .out = p->out,
        .err = p->err,
        .terminal = p->terminal,
        .uid = c->io_uid,
        .gid = c->io_gid,
        .id = c->id,
        .ns = c->shim->ns,
    };
    TRY(io_new(&o, &p->io, e));
    if (p->stdin_closed)
        io_close_stdin(p->io);
    return 0;
}

static int prepare(struct container *c, const Shim__CreateTaskRequest *rq, struct err *e)
{
    TRY(options_apply(c, rq->options, e));
    c->images = options_restored(c, rq);
    TRY(options_read_spec(c, e));
    TRY(bundle_mount(c->bundle, rq->rootfs, rq->n_rootfs, e));
    c->has_rootfs = rq->n_rootfs > 0;
    return open_io(&c->init, e);
}

int container_create(struct shim *s, const Shim__CreateTaskRequest *rq, struct ttrpc_call *call,
                     struct err *e)
{
    TRY(check_id(rq->id, e));
    if (rq->bundle[0] != '/')
        return err_set(e, ERR_INVALID, "bundle \"%s\" is not an absolute path", rq->bundle);
    if (map_has(&s->containers, rq->id))
        return err_set(e, ERR_EXISTS, "task %s", rq->id);
    if (rq->checkpoint[0] != '\0' && rq->checkpoint[0] != '/')
        return err_set(e, ERR_INVALID, "checkpoint path \"%s\" is not absolute", rq->checkpoint);
    struct container *c = container_new(s, rq);
    if (prepare(c, rq, e) < 0) {
        container_free(c);
        return -1;
    }
    c->init.call = call;
    (void)map_put(&s->containers, c->id, c); /* was absent */
    io_when_ready(c->init.io, create_process, c);
    return TTRPC_LATER;
}

/* ---- exec */

static void exec_published(void *arg)
{
    struct process *p = arg;
    Shim__ExecProcessResponse resp = SHIM__EXEC_PROCESS_RESPONSE__INIT;
    (void)ttrpc_call_reply(take_call(p), &resp.base); /* always 0 */
}

int container_exec(struct container *c, const Shim__ExecProcessRequest *rq, struct ttrpc_call *call,
                   struct err *e)
{
    struct process *p = NULL;
    struct err ignored = {0};
    TRY(check_id(rq->exec_id, e));
    if (process_find(c->shim, c->id, rq->exec_id, &p, &ignored) == 0)
        return err_set(e, ERR_EXISTS, "id %s", rq->exec_id);
    if (c->init.state == PROCESS_STOPPED || c->init.exited)
        return err_set(e, ERR_PRECONDITION, "cannot exec in a stopped container");
    if (rq->spec == NULL || rq->spec->value.len > SPEC_MAX)
        return err_set(e, ERR_INVALID, "exec %s: no process, or one of more than %zu bytes",
                       rq->exec_id, SPEC_MAX);
    p = mem_alloc(sizeof(*p));
    process_init(p, c, mem_strdup(rq->exec_id));
    p->in = mem_strdup(rq->stdin);
    p->out = mem_strdup(rq->stdout);
    p->err = mem_strdup(rq->stderr);
    p->spec = mem_strndup((const char *)rq->spec->value.data, rq->spec->value.len);
    p->terminal = rq->terminal;
    p->state = PROCESS_CREATED;
    p->call = call;
    list_append(&c->execs, &p->link);
    Event__TaskExecAdded ev = EVENT__TASK_EXEC_ADDED__INIT;
    ev.container_id = (char *)(uintptr_t)c->id;
    ev.exec_id = (char *)(uintptr_t)p->id;
    publish(c->shim->pub, "/tasks/exec-added", &ev.base, exec_published, p);
    return TTRPC_LATER;
}

/* ---- start */

static void reply_started(struct process *p)
{
    Shim__StartResponse resp = SHIM__START_RESPONSE__INIT;
    resp.pid = (uint32_t)p->pid;
    (void)ttrpc_call_reply(take_call(p), &resp.base); /* always 0 */
    process_settle(p);
}

static void start_failed(struct process *p, const struct err *why)
{
    struct err e = *why;
    ttrpc_call_fail(take_call(p), &e);
    process_settle(p);
}

static void tell_started(struct process *p)
{
    p->state = PROCESS_RUNNING;
    Event__TaskStart ev = EVENT__TASK_START__INIT;
    ev.container_id = (char *)(uintptr_t)p->c->id;
    ev.pid = (uint32_t)p->pid;
    publish(p->c->shim->pub, "/tasks/start", &ev.base, NULL, NULL);
    reply_started(p);
}

static void on_started(void *arg, const struct oci_result *res, const struct err *why)
{
    struct process *p = arg;
    (void)res;
    if (why != NULL)
        start_failed(p, why);
    else
        tell_started(p);
}

/* What Create and Start do one after the other. Without its streams it runs on: they are not worth
 * the state that it was restored with. */
static void on_restored(void *arg, const struct oci_result *res, const struct err *why)
{
    struct container *c = arg;
    struct err e = {0};
    if (why != NULL) {
        reaper_release(c->shim->reaper);
        start_failed(&c->init, why);
        return;
    }
    process_watch(&c->init, res->pid);
    reaper_release(c->shim->reaper);
    if (io_started(c->init.io, res->console, &e) < 0)
        log_error("streams", "container", c->id, "error", e.msg, NULL);
    watch_cgroup(c);
    tell_started(&c->init);
}

static int start_init(struct container *c, struct err *e)
{
    if (c->images.path == NULL)
        return c->oci.ops->start(&c->oci, on_started, &c->init, e);
    reaper_hold(c->shim->reaper);
    int r = c->oci.ops->restore(&c->oci, &c->images, io_child(c->init.io), on_restored, c, e);
    if (r < 0)
        reaper_release(c->shim->reaper);
    return r;
}

/* An exec that could not be started has ended as far as anybody can see. */
static void exec_failed(struct process *p, const struct err *why)
{
    struct err e = *why;
    p->state = PROCESS_STOPPED;
    p->status = 255;
    p->exited_ns = time_now_ns();
    io_free(p->io);
    p->io = NULL;
    ttrpc_call_fail(take_call(p), &e);
    process_answer_waiters(p);
}

static void on_exec_started(void *arg, const struct oci_result *res, const struct err *why)
{
    struct process *p = arg;
    struct err e = {0};
    if (why != NULL) {
        reaper_release(p->c->shim->reaper);
        exec_failed(p, why);
        return;
    }
    p->state = PROCESS_RUNNING;
    process_watch(p, res->pid);
    reaper_release(p->c->shim->reaper);
    if (io_started(p->io, res->console, &e) < 0)
        log_error("streams", "container", p->c->id, "exec", p->id, "error", e.msg, NULL);
    Event__TaskExecStarted ev = EVENT__TASK_EXEC_STARTED__INIT;
    ev.container_id = (char *)(uintptr_t)p->c->id;
    ev.exec_id = (char *)(uintptr_t)p->id;
    ev.pid = (uint32_t)p->pid;
    publish(p->c->shim->pub, "/tasks/exec-started", &ev.base, NULL, NULL);
    reply_started(p);
}

static void exec_process(void *arg, const struct err *why)
{
    struct process *p = arg;
    struct oci *oci = &p->c->oci;
    struct err e = {0};
    if (why != NULL) {
        exec_failed(p, why);
        return;
    }
    reaper_hold(p->c->shim->reaper);
    if (oci->ops->exec(oci, p->id, p->spec, io_child(p->io), on_exec_started, p, &e) < 0) {
        reaper_release(p->c->shim->reaper);
        exec_failed(p, &e);
    }
}

int process_start(struct process *p, struct ttrpc_call *call, struct err *e)
{
    bool is_init = p == &p->c->init;
    if (p->call != NULL || p->state != PROCESS_CREATED)
        return err_set(e, ERR_PRECONDITION, "cannot start a %s process",
                       p->state == PROCESS_RUNNING   ? "running"
                       : p->state == PROCESS_STOPPED ? "stopped"
                                                     : "busy");
    if (is_init) {
        p->call = call; /* may be answered before start returns */
        if (start_init(p->c, e) == 0)
            return TTRPC_LATER;
        p->call = NULL;
        return -1;
    }
    TRY(open_io(p, e));
    p->call = call;
    io_when_ready(p->io, exec_process, p);
    return TTRPC_LATER;
}
