/* The Task service: each method decodes, calls what container.h offers, and encodes. */
#include "shim/task.h"

#include "base/log.h"
#include "base/mem.h"
#include "shim/container.h"
#include "shim/metrics.h"
#include "shim/stop.h"

#define RESOURCES_MAX ((size_t)1 << 20)

static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static int task_create(struct ttrpc_call *call, const void *req, struct err *e)
{
    return container_create(ttrpc_call_ctx(call), req, call, e);
}

static int task_start(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__StartRequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    return process_start(p, call, e);
}

static int task_delete(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__DeleteRequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    return process_delete(p, call, e);
}

static int task_wait(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__WaitRequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    return process_wait(p, call);
}

static int task_kill(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__KillRequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    return process_kill(p, (int)MIN(rq->signal, 1000U), rq->all, call, e);
}

static int task_exec(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__ExecProcessRequest *rq = req;
    struct container *c = NULL;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    return container_exec(c, rq, call, e);
}

static Types__Status status_of(const struct process *p)
{
    if (p->state == PROCESS_RUNNING)
        return p->c->paused ? TYPES__STATUS__PAUSED : TYPES__STATUS__RUNNING;
    return p->state == PROCESS_STOPPED ? TYPES__STATUS__STOPPED : TYPES__STATUS__CREATED;
}

static int task_state(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__StateRequest *rq = req;
    struct process *p = NULL;
    Shim__StateResponse resp = SHIM__STATE_RESPONSE__INIT;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    resp.id = text(p->c->id);
    resp.bundle = text(p->c->bundle);
    resp.pid = (uint32_t)p->pid;
    resp.status = status_of(p);
    resp.stdin = text(p->in);
    resp.stdout = text(p->out);
    resp.stderr = text(p->err);
    resp.terminal = p->terminal;
    resp.exec_id = text(p->id);
    resp.exited_at =
        pb_time_new(p->state == PROCESS_STOPPED ? p->exited_ns : 0, ttrpc_call_arena(call));
    if (p->state == PROCESS_STOPPED)
        resp.exit_status = (uint32_t)p->status;
    return ttrpc_call_reply(call, &resp.base);
}

static int task_resize(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__ResizePtyRequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    if (p->io != NULL)
        TRY(io_resize(p->io, rq->width, rq->height, e));
    return ttrpc_call_reply_empty(call);
}

static int task_close_io(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__CloseIORequest *rq = req;
    struct process *p = NULL;
    TRY(process_find(ttrpc_call_ctx(call), rq->id, rq->exec_id, &p, e));
    process_close_stdin(p);
    return ttrpc_call_reply_empty(call);
}

static Types__ProcessInfo *info_of(const struct container *c, pid_t pid, struct arena *a)
{
    static const Types__ProcessInfo init = TYPES__PROCESS_INFO__INIT;
    Types__ProcessInfo *info = arena_dup(a, &init, sizeof(init));
    info->pid = (uint32_t)pid;
    list_each(link, &c->execs) {
        const struct process *p = CONTAINER_OF(link, struct process, link);
        Runc__ProcessDetails details = RUNC__PROCESS_DETAILS__INIT;
        if (p->pid != pid || p->state != PROCESS_RUNNING)
            continue;
        details.exec_id = text(p->id);
        info->info = pb_any_new(&details.base, a);
    }
    return info;
}

static int task_pids(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__PidsRequest *rq = req;
    struct arena *a = ttrpc_call_arena(call);
    struct container *c = NULL;
    struct cgroup_pids pids = {0};
    Shim__PidsResponse resp = SHIM__PIDS_RESPONSE__INIT;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    if (cgroup_procs(&c->cgroup, &pids, e) < 0) {
        vec_done(&pids);
        return -1;
    }
    // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is what is wanted
    resp.processes = arena_alloc_array(a, pids.n, sizeof(*resp.processes));
    vec_each(pid, &pids)
        resp.processes[resp.n_processes++] = info_of(c, *pid, a);
    vec_done(&pids);
    return ttrpc_call_reply(call, &resp.base);
}

static int task_pause(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__PauseRequest *rq = req;
    struct container *c = NULL;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    return container_pause(c, true, call, e);
}

static int task_resume(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__ResumeRequest *rq = req;
    struct container *c = NULL;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    return container_pause(c, false, call, e);
}

static int task_update(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__UpdateTaskRequest *rq = req;
    struct container *c = NULL;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    if (rq->resources == NULL || rq->resources->value.len == 0 ||
        rq->resources->value.len > RESOURCES_MAX)
        return err_set(e, ERR_INVALID, "update: resources are missing or too long");
    auto_free char *json =
        mem_strndup((const char *)rq->resources->value.data, rq->resources->value.len);
    return container_update(c, json, call, e);
}

static int task_stats(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__StatsRequest *rq = req;
    struct container *c = NULL;
    Shim__StatsResponse resp = SHIM__STATS_RESPONSE__INIT;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    TRY(metrics_read(&c->cgroup, ttrpc_call_arena(call), &resp.stats, e));
    return ttrpc_call_reply(call, &resp.base);
}

static int task_connect(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__ConnectRequest *rq = req;
    struct container *c = NULL;
    struct err ignored = {0};
    Shim__ConnectResponse resp = SHIM__CONNECT_RESPONSE__INIT;
    (void)e;
    resp.shim_pid = (uint32_t)getpid();
    if (container_find(ttrpc_call_ctx(call), rq->id, &c, &ignored) == 0)
        resp.task_pid = (uint32_t)c->init.pid;
    resp.version = text("v2");
    return ttrpc_call_reply(call, &resp.base);
}

static int task_shutdown(struct ttrpc_call *call, const void *req, struct err *e)
{
    struct shim *s = ttrpc_call_ctx(call);
    (void)req;
    (void)e;
    if (s->containers.n == 0)
        shim_stop(s);
    return ttrpc_call_reply_empty(call);
}

static int task_checkpoint(struct ttrpc_call *call, const void *req, struct err *e)
{
    const Shim__CheckpointTaskRequest *rq = req;
    struct container *c = NULL;
    TRY(container_find(ttrpc_call_ctx(call), rq->id, &c, e));
    return container_checkpoint(c, rq, call, e);
}

#define TASK_METHODS(X)                                                         \
    X("State", shim__state_request__descriptor, task_state)                     \
    X("Create", shim__create_task_request__descriptor, task_create)             \
    X("Start", shim__start_request__descriptor, task_start)                     \
    X("Delete", shim__delete_request__descriptor, task_delete)                  \
    X("Pids", shim__pids_request__descriptor, task_pids)                        \
    X("Pause", shim__pause_request__descriptor, task_pause)                     \
    X("Resume", shim__resume_request__descriptor, task_resume)                  \
    X("Checkpoint", shim__checkpoint_task_request__descriptor, task_checkpoint) \
    X("Kill", shim__kill_request__descriptor, task_kill)                        \
    X("Exec", shim__exec_process_request__descriptor, task_exec)                \
    X("ResizePty", shim__resize_pty_request__descriptor, task_resize)           \
    X("CloseIO", shim__close_iorequest__descriptor, task_close_io)              \
    X("Update", shim__update_task_request__descriptor, task_update)             \
    X("Wait", shim__wait_request__descriptor, task_wait)                        \
    X("Stats", shim__stats_request__descriptor, task_stats)                     \
    X("Connect", shim__connect_request__descriptor, task_connect)               \
    X("Shutdown", shim__shutdown_request__descriptor, task_shutdown)

#define V2(name, type, fn) {"containerd.task.v2.Task", name, &(type), fn},
#define V3(name, type, fn) {"containerd.task.v3.Task", name, &(type), fn},

const struct ttrpc_method task_methods[] = {TASK_METHODS(V2) TASK_METHODS(V3)};
const size_t n_task_methods = ARRAY_LEN(task_methods);
