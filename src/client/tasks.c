/* Tasks of containerd: one function a call; the runtime's own texts pass through unchanged. */
#include "client/tasks.h"

#include "client/wire.h"
#include "proto/tasks.pb-c.h"

#define TASKS "/containerd.services.tasks.v1.Tasks/"
#define PROCESS_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Process"
#define RESOURCES_TYPE "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources"

/* A call whose answer is empty. */
static int call_empty(struct ctd *c, const char *path, const ProtobufCMessage *req, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Pb__Empty *r;

    return ctd_call(c, path, req, NULL, &pb__empty__descriptor, a, &r, e);
}

int ctd_task_create(struct ctd *c, const struct ctd_task *t, uint32_t *out_pid, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Tasks__CreateTaskRequest req = TASKS__CREATE_TASK_REQUEST__INIT;
    Tasks__CreateTaskResponse *r;

    req.container_id = (char *)t->id;
    if (t->rootfs != NULL) {
        req.rootfs = t->rootfs->v;
        req.n_rootfs = t->rootfs->n;
    }
    req.stdin = (char *)t->stdin_;
    req.stdout = (char *)t->stdout_;
    req.stderr = (char *)t->stderr_;
    req.terminal = t->terminal;
    req.options = wire_runtime_options(t->runtime, a);
    TRY(ctd_call(c, TASKS "Create", &req.base, NULL, &tasks__create_task_response__descriptor, a,
                 &r, e));
    *out_pid = r->pid;
    return 0;
}

int ctd_task_start(struct ctd *c, const char *id, const char *exec_id, uint32_t *out_pid,
                   struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Tasks__StartRequest req = TASKS__START_REQUEST__INIT;
    Tasks__StartResponse *r;

    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    TRY(ctd_call(c, TASKS "Start", &req.base, NULL, &tasks__start_response__descriptor, a, &r, e));
    if (out_pid != NULL)
        *out_pid = r->pid;
    return 0;
}

int ctd_task_delete(struct ctd *c, const char *id, const char *exec_id, struct ctd_exit *out,
                    struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Tasks__DeleteTaskRequest task = TASKS__DELETE_TASK_REQUEST__INIT;
    Tasks__DeleteProcessRequest process = TASKS__DELETE_PROCESS_REQUEST__INIT;
    Tasks__DeleteResponse *r;

    task.container_id = process.container_id = (char *)id;
    process.exec_id = (char *)exec_id;
    TRY(ctd_call(c, exec_id != NULL ? TASKS "DeleteProcess" : TASKS "Delete",
                 exec_id != NULL ? &process.base : &task.base, NULL,
                 &tasks__delete_response__descriptor, a, &r, e));
    if (out != NULL)
        *out = (struct ctd_exit){r->pid, r->exit_status, pb_time_ns(r->exited_at)};
    return 0;
}

int ctd_task_kill(struct ctd *c, const char *id, const char *exec_id, int signal, bool all,
                  struct err *e)
{
    Tasks__KillRequest req = TASKS__KILL_REQUEST__INIT;

    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    req.signal = (uint32_t)signal;
    req.all = all;
    return call_empty(c, TASKS "Kill", &req.base, e);
}

int ctd_task_exec(struct ctd *c, const struct ctd_exec *x, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Tasks__ExecProcessRequest req = TASKS__EXEC_PROCESS_REQUEST__INIT;

    req.container_id = (char *)x->id;
    req.exec_id = (char *)x->exec_id;
    req.stdin = (char *)x->stdin_;
    req.stdout = (char *)x->stdout_;
    req.stderr = (char *)x->stderr_;
    req.terminal = x->terminal;
    req.spec = wire_json_any(PROCESS_TYPE, x->process, a);
    return call_empty(c, TASKS "Exec", &req.base, e);
}

int ctd_task_resize(struct ctd *c, const char *id, const char *exec_id, uint32_t w, uint32_t h,
                    struct err *e)
{
    Tasks__ResizePtyRequest req = TASKS__RESIZE_PTY_REQUEST__INIT;

    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    req.width = w;
    req.height = h;
    return call_empty(c, TASKS "ResizePty", &req.base, e);
}

int ctd_task_close_stdin(struct ctd *c, const char *id, const char *exec_id, struct err *e)
{
    Tasks__CloseIORequest req = TASKS__CLOSE_IOREQUEST__INIT;

    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    req.stdin = true;
    return call_empty(c, TASKS "CloseIO", &req.base, e);
}

int ctd_task_pause(struct ctd *c, const char *id, struct err *e)
{
    Tasks__PauseTaskRequest req = TASKS__PAUSE_TASK_REQUEST__INIT;

    req.container_id = (char *)id;
    return call_empty(c, TASKS "Pause", &req.base, e);
}

int ctd_task_resume(struct ctd *c, const char *id, struct err *e)
{
    Tasks__ResumeTaskRequest req = TASKS__RESUME_TASK_REQUEST__INIT;

    req.container_id = (char *)id;
    return call_empty(c, TASKS "Resume", &req.base, e);
}

int ctd_task_update(struct ctd *c, const char *id, const char *resources_json, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Tasks__UpdateTaskRequest req = TASKS__UPDATE_TASK_REQUEST__INIT;

    req.container_id = (char *)id;
    req.resources = wire_json_any(RESOURCES_TYPE, resources_json, a);
    return call_empty(c, TASKS "Update", &req.base, e);
}

/* containerd.v1.types.Status has the same order as enum task_status. */
static void process_of(const Types__Process *p, struct ctd_process *out)
{
    *out = (struct ctd_process){
        .id = p->id,
        .pid = p->pid,
        .status = (unsigned)p->status <= TASK_PAUSING ? (enum task_status)p->status : TASK_UNKNOWN,
        .exit_status = p->exit_status,
        .exited_ns = pb_time_ns(p->exited_at),
    };
}

int ctd_task_get(struct ctd *c, const char *id, const char *exec_id, struct arena *a,
                 struct ctd_process *out, struct err *e)
{
    Tasks__GetRequest req = TASKS__GET_REQUEST__INIT;
    Tasks__GetResponse *r;

    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    TRY(ctd_call(c, TASKS "Get", &req.base, NULL, &tasks__get_response__descriptor, a, &r, e));
    if (r->process == NULL)
        return err_set(e, ERR_INTERNAL, "containerd answered without a process");
    process_of(r->process, out);
    return 0;
}

int ctd_task_list(struct ctd *c, struct arena *a, struct ctd_process **out, size_t *out_n,
                  struct err *e)
{
    Tasks__ListTasksRequest req = TASKS__LIST_TASKS_REQUEST__INIT;
    Tasks__ListTasksResponse *r;

    TRY(ctd_call(c, TASKS "List", &req.base, NULL, &tasks__list_tasks_response__descriptor, a, &r,
                 e));
    *out = arena_alloc_array(a, r->n_tasks + 1, sizeof(**out));
    *out_n = r->n_tasks;
    for (size_t i = 0; i < r->n_tasks; i++)
        process_of(r->tasks[i], &(*out)[i]);
    return 0;
}

int ctd_task_pids(struct ctd *c, const char *id, struct arena *a, uint32_t **out, size_t *out_n,
                  struct err *e)
{
    Tasks__ListPidsRequest req = TASKS__LIST_PIDS_REQUEST__INIT;
    Tasks__ListPidsResponse *r;

    req.container_id = (char *)id;
    TRY(ctd_call(c, TASKS "ListPids", &req.base, NULL, &tasks__list_pids_response__descriptor, a,
                 &r, e));
    *out = arena_alloc_array(a, r->n_processes + 1, sizeof(**out));
    *out_n = r->n_processes;
    for (size_t i = 0; i < r->n_processes; i++)
        (*out)[i] = r->processes[i]->pid;
    return 0;
}

int ctd_task_metrics(struct ctd *c, const char *id, struct arena *a, int64_t *out_ns, Pb__Any **out,
                     struct err *e)
{
    Tasks__MetricsRequest req = TASKS__METRICS_REQUEST__INIT;
    Tasks__MetricsResponse *r;
    char *filter = arena_printf(a, "id==%s", id);

    req.filters = &filter;
    req.n_filters = 1;
    TRY(ctd_call(c, TASKS "Metrics", &req.base, NULL, &tasks__metrics_response__descriptor, a, &r,
                 e));
    if (r->n_metrics == 0 || r->metrics[0]->data == NULL)
        return err_set(e, ERR_NOT_FOUND, "no metrics of task %s", id);
    *out_ns = pb_time_ns(r->metrics[0]->timestamp);
    *out = r->metrics[0]->data;
    return 0;
}

int ctd_task_wait(struct ctd *c, const char *id, const char *exec_id, int cancel_fd,
                  struct ctd_exit *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_opts o = CTD_OPTS();
    Tasks__WaitRequest req = TASKS__WAIT_REQUEST__INIT;
    Tasks__WaitResponse *r;

    o.cancel_fd = cancel_fd;
    req.container_id = (char *)id;
    req.exec_id = (char *)exec_id;
    TRY(ctd_call(c, TASKS "Wait", &req.base, &o, &tasks__wait_response__descriptor, a, &r, e));
    *out = (struct ctd_exit){0, r->exit_status, pb_time_ns(r->exited_at)};
    return 0;
}
