/*
 * Tasks: what clients ask of running containers. Most calls are sent on to the shim and answered by
 * its answer, without a thread that waits; Get, List and Wait are answered from what is known.
 * Create and Delete, which start and end the shim, are in task_create.c; checkpoints in
 * checkpoint.c.
 */
#include "base/mem.h"
#include "base/time.h"
#include "containerd/convert.h"
#include "containerd/task_create.h"
#include "proto/tasks.pb-c.h"

enum {
    CALL_MS = 30000,   /* for what a shim answers at once */
    START_MS = 120000, /* hooks may run */
    DRAIN_MS = 60000,  /* output is read to its end */
};

static struct tasks *tasks_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->tasks;
}

static int find(struct grpc_call *c, const char *id, struct task **out, struct err *e)
{
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    return task_find(tasks_of(c), sc.ns, id, out, e);
}

/* ---- sending on ---- */

struct onward;
/* Make the answer of the shim's; -1 with e answers that instead. In the hub's thread. */
typedef int onward_fn(struct onward *o, const void *resp, struct err *e);

/* A call that is at the shim. */
struct onward {
    struct grpc_call *call; /* referenced */
    struct task *t;         /* referenced */
    char *exec_id;          /* "" for the first process */
    onward_fn *answer;      /* NULL: an empty message */
    bool forget_on_error;   /* the process was made for this call */
};

static void onward_free(struct onward *o)
{
    grpc_call_unref(o->call);
    task_unref(o->t);
    free(o->exec_id);
    free(o);
}

static void on_answer(void *arg, const void *resp, const struct err *why)
{
    struct onward *o = arg;
    struct err e = {0};
    int r = -1;
    task_heard(o->t, why);
    if (why == NULL)
        r = o->answer != NULL ? o->answer(o, resp, &e) : grpc_call_reply_empty(o->call, &e);
    else if (why->kind == ERR_TIMEOUT)
        (void)err_set(&e, ERR_UNAVAILABLE, "shim of task %s does not answer: unavailable",
                      o->t->id);
    else
        e = *why;
    if (r < 0) {
        if (o->forget_on_error)
            process_forget(o->t, o->exec_id);
        grpc_call_finish(o->call, &e);
    }
    onward_free(o);
}

struct question {
    const char *method;
    const ProtobufCMessage *msg;
    const ProtobufCMessageDescriptor *response; /* NULL: Empty */
    const char *exec_id;
    int64_t timeout_ms;
    onward_fn *answer;
};

static onward_fn exec_added;

static int send_on(struct grpc_call *c, struct task *t, const struct question *q, struct err *e)
{
    struct onward *o = mem_alloc(sizeof(*o));
    *o = (struct onward){grpc_call_ref(c), task_ref(t),
                         mem_strdup(q->exec_id != NULL ? q->exec_id : ""), q->answer,
                         q->answer == exec_added};
    const struct task_rpc call = {q->method, q->msg,
                                  q->response != NULL ? q->response : &pb__empty__descriptor,
                                  q->timeout_ms};
    if (task_call(t, &call, on_answer, o, e) < 0) {
        onward_free(o);
        return -1;
    }
    return GRPC_LATER;
}

/* ---- start ---- */

static int started(struct onward *o, const void *resp, struct err *e)
{
    const Shim__StartResponse *s = resp;
    Tasks__StartResponse r = TASKS__START_RESPONSE__INIT;
    (void)pthread_mutex_lock(&o->t->tasks->lock);
    struct process *p = task_process(o->t, o->exec_id);
    if (p != NULL) {
        p->pid = s->pid;
        if (p->status == TYPES__STATUS__CREATED || p->status == TYPES__STATUS__UNKNOWN)
            p->status = TYPES__STATUS__RUNNING; /* it may have ended already */
    }
    (void)pthread_mutex_unlock(&o->t->tasks->lock);
    r.pid = s->pid;
    return grpc_call_reply(o->call, &r.base, e);
}

static int start(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__StartRequest *q = req;
    Shim__StartRequest m = SHIM__START_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    const struct question ask = {"Start",    &m.base,  &shim__start_response__descriptor,
                                 q->exec_id, START_MS, started};
    return send_on(c, t, &ask, e);
}

/* ---- exec ---- */

static int exec_added(struct onward *o, const void *resp UNUSED, struct err *e)
{
    (void)pthread_mutex_lock(&o->t->tasks->lock);
    struct process *p = task_add_exec(o->t, o->exec_id);
    if (p->status == TYPES__STATUS__UNKNOWN)
        p->status = TYPES__STATUS__CREATED;
    (void)pthread_mutex_unlock(&o->t->tasks->lock);
    return grpc_call_reply_empty(o->call, e);
}

static int exec(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__ExecProcessRequest *q = req;
    Shim__ExecProcessRequest m = SHIM__EXEC_PROCESS_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    TRY(store_check_id("exec", q->exec_id, e));
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    m.terminal = q->terminal;
    m.stdin = q->stdin;
    m.stdout = q->stdout;
    m.stderr = q->stderr;
    m.spec = q->spec;
    (void)pthread_mutex_lock(&t->tasks->lock);
    bool taken = map_has(&t->execs, q->exec_id);
    if (!taken) {
        struct process *p = task_add_exec(t, q->exec_id);
        p->in = mem_strdup(q->stdin);
        p->out = mem_strdup(q->stdout);
        p->err = mem_strdup(q->stderr);
        p->terminal = q->terminal;
    }
    (void)pthread_mutex_unlock(&t->tasks->lock);
    if (taken)
        return err_set(e, ERR_EXISTS, "id %s: already exists", q->exec_id);
    const struct question ask = {"Exec",     &m.base, &shim__exec_process_response__descriptor,
                                 q->exec_id, CALL_MS, exec_added};
    int r = send_on(c, t, &ask, e);
    if (r < 0)
        process_forget(t, q->exec_id);
    return r;
}

static int process_deleted(struct onward *o, const void *resp, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const Shim__DeleteResponse *s = resp;
    Tasks__DeleteResponse r = TASKS__DELETE_RESPONSE__INIT;
    process_exited(o->t, o->exec_id, s->pid, s->exit_status, pb_time_ns(s->exited_at));
    process_forget(o->t, o->exec_id);
    r.id = o->exec_id;
    r.pid = s->pid;
    r.exit_status = s->exit_status;
    r.exited_at = pb_time_new(pb_time_ns(s->exited_at), a);
    return grpc_call_reply(o->call, &r.base, e);
}

static int delete_process(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__DeleteProcessRequest *q = req;
    Shim__DeleteRequest m = SHIM__DELETE_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    if (*q->exec_id == '\0')
        return err_set(e, ERR_INVALID, "an exec id is required: invalid argument");
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    const struct question ask = {"Delete",   &m.base,  &shim__delete_response__descriptor,
                                 q->exec_id, DRAIN_MS, process_deleted};
    return send_on(c, t, &ask, e);
}

/* ---- get, list, wait ---- */

static Types__Process *process_to_pb(const char *id, const struct process *p, struct arena *a)
{
    Types__Process *m = ARENA_NEW(a, Types__Process);
    types__process__init(m);
    m->id = arena_strdup(a, id);
    m->pid = p->pid;
    m->status = p->status;
    m->stdin = pb_str(arena_strdup(a, p->in));
    m->stdout = pb_str(arena_strdup(a, p->out));
    m->stderr = pb_str(arena_strdup(a, p->err));
    m->terminal = p->terminal;
    m->exit_status = p->exit_status;
    m->exited_at = pb_time_new(p->exited_ns, a);
    return m;
}

/* The state of an exec that was added before this daemon started. */
static int told_state(struct onward *o, const void *resp, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const Shim__StateResponse *s = resp;
    Tasks__GetResponse r = TASKS__GET_RESPONSE__INIT;
    const struct process p = {.status = s->status,
                              .pid = s->pid,
                              .exit_status = s->exit_status,
                              .exited_ns = pb_time_ns(s->exited_at),
                              .in = s->stdin,
                              .out = s->stdout,
                              .err = s->stderr,
                              .terminal = s->terminal};
    r.process = process_to_pb(o->exec_id, &p, a);
    return grpc_call_reply(o->call, &r.base, e);
}

static int ask_state(struct grpc_call *c, struct task *t, char *exec_id, struct err *e)
{
    Shim__StateRequest m = SHIM__STATE_REQUEST__INIT;
    m.id = t->id;
    m.exec_id = exec_id;
    const struct question ask = {"State", &m.base, &shim__state_response__descriptor,
                                 exec_id, CALL_MS, told_state};
    return send_on(c, t, &ask, e);
}

static int get(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__GetRequest *q = req;
    Tasks__GetResponse r = TASKS__GET_RESPONSE__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    (void)pthread_mutex_lock(&t->tasks->lock);
    const struct process *p = task_process(t, q->exec_id);
    if (p != NULL)
        r.process = process_to_pb(*q->exec_id != '\0' ? q->exec_id : t->id, p, grpc_call_arena(c));
    (void)pthread_mutex_unlock(&t->tasks->lock);
    return p != NULL ? grpc_call_reply(c, &r.base, e) : ask_state(c, t, q->exec_id, e);
}

static int list(struct grpc_call *c, const void *req UNUSED, struct err *e)
{
    struct tasks *ts = tasks_of(c);
    struct arena *a = grpc_call_arena(c);
    Tasks__ListTasksResponse r = TASKS__LIST_TASKS_RESPONSE__INIT;
    struct scope sc;
    TRY(call_scope(c, &sc, e));
    (void)pthread_mutex_lock(&ts->lock);
    r.tasks = arena_alloc_array(a, ts->by_key.n, sizeof(void *));
    map_each(ent, &ts->by_key) {
        const struct task *t = ent->val;
        if (strcmp(t->ns, sc.ns) == 0 && (t->phase == TASK_LIVE || t->phase == TASK_DEAD))
            r.tasks[r.n_tasks++] = process_to_pb(t->id, &t->init, a);
    }
    (void)pthread_mutex_unlock(&ts->lock);
    return grpc_call_reply(c, &r.base, e);
}

static int waited(struct onward *o, const void *resp, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const Shim__WaitResponse *s = resp;
    Tasks__WaitResponse r = TASKS__WAIT_RESPONSE__INIT;
    r.exit_status = s->exit_status;
    r.exited_at = pb_time_new(pb_time_ns(s->exited_at), a);
    return grpc_call_reply(o->call, &r.base, e);
}

static int wait_process(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__WaitRequest *q = req;
    Shim__WaitRequest m = SHIM__WAIT_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    int r = process_wait(t, q->exec_id, c, e);
    if (r >= 0 || e->kind != ERR_NOT_FOUND)
        return r;
    err_clear(e); /* an exec that was added before this daemon started */
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    const struct question ask = {"Wait",     &m.base, &shim__wait_response__descriptor,
                                 q->exec_id, 0,       waited};
    return send_on(c, t, &ask, e);
}

/* ---- the rest ---- */

static int kill_process(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__KillRequest *q = req;
    Shim__KillRequest m = SHIM__KILL_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    m.signal = q->signal;
    m.all = q->all;
    const struct question ask = {"Kill", &m.base, NULL, q->exec_id, CALL_MS, NULL};
    return send_on(c, t, &ask, e);
}

static int resize(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__ResizePtyRequest *q = req;
    Shim__ResizePtyRequest m = SHIM__RESIZE_PTY_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    m.width = q->width;
    m.height = q->height;
    const struct question ask = {"ResizePty", &m.base, NULL, q->exec_id, CALL_MS, NULL};
    return send_on(c, t, &ask, e);
}

static int close_io(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__CloseIORequest *q = req;
    Shim__CloseIORequest m = SHIM__CLOSE_IOREQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    m.exec_id = q->exec_id;
    m.stdin = q->stdin;
    const struct question ask = {"CloseIO", &m.base, NULL, q->exec_id, CALL_MS, NULL};
    return send_on(c, t, &ask, e);
}

/* Pause and resume have answers without a status: keep it here, the event may come later. */
static int set_status(struct onward *o, Types__Status from, Types__Status to, struct err *e)
{
    (void)pthread_mutex_lock(&o->t->tasks->lock);
    if (o->t->init.status == from)
        o->t->init.status = to;
    (void)pthread_mutex_unlock(&o->t->tasks->lock);
    return grpc_call_reply_empty(o->call, e);
}

static int paused(struct onward *o, const void *resp UNUSED, struct err *e)
{
    return set_status(o, TYPES__STATUS__RUNNING, TYPES__STATUS__PAUSED, e);
}

static int resumed(struct onward *o, const void *resp UNUSED, struct err *e)
{
    return set_status(o, TYPES__STATUS__PAUSED, TYPES__STATUS__RUNNING, e);
}

static int pause_task(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__PauseTaskRequest *q = req;
    Shim__PauseRequest m = SHIM__PAUSE_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    const struct question ask = {"Pause", &m.base, NULL, NULL, CALL_MS, paused};
    return send_on(c, t, &ask, e);
}

static int resume_task(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__ResumeTaskRequest *q = req;
    Shim__ResumeRequest m = SHIM__RESUME_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    const struct question ask = {"Resume", &m.base, NULL, NULL, CALL_MS, resumed};
    return send_on(c, t, &ask, e);
}

static int update(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__UpdateTaskRequest *q = req;
    Shim__UpdateTaskRequest m = SHIM__UPDATE_TASK_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    m.resources = q->resources;
    for (size_t i = 0; i < q->n_annotations; i++)
        pb_map_add(&shim__update_task_request__annotations_entry__descriptor, &m.n_annotations,
                   &m.annotations, q->annotations[i]->key, q->annotations[i]->value,
                   grpc_call_arena(c));
    const struct question ask = {"Update", &m.base, NULL, NULL, CALL_MS, NULL};
    return send_on(c, t, &ask, e);
}

static int told_pids(struct onward *o, const void *resp, struct err *e)
{
    const Shim__PidsResponse *s = resp;
    Tasks__ListPidsResponse r = TASKS__LIST_PIDS_RESPONSE__INIT;
    r.processes = s->processes;
    r.n_processes = s->n_processes;
    return grpc_call_reply(o->call, &r.base, e);
}

static int list_pids(struct grpc_call *c, const void *req, struct err *e)
{
    const Tasks__ListPidsRequest *q = req;
    Shim__PidsRequest m = SHIM__PIDS_REQUEST__INIT;
    auto_task struct task *t = NULL;
    TRY(find(c, q->container_id, &t, e));
    m.id = q->container_id;
    const struct question ask = {"Pids", &m.base, &shim__pids_response__descriptor,
                                 NULL,   CALL_MS, told_pids};
    return send_on(c, t, &ask, e);
}

#define TASKS "containerd.services.tasks.v1.Tasks"
#define EMPTY &pb__empty__descriptor

static const struct grpc_method methods[] = {
    {TASKS, "Create", &tasks__create_task_request__descriptor,
     &tasks__create_task_response__descriptor, GRPC_UNARY, GRPC_SLOW, task_create},
    {TASKS, "Delete", &tasks__delete_task_request__descriptor, &tasks__delete_response__descriptor,
     GRPC_UNARY, GRPC_SLOW, task_delete},
    {TASKS, "Metrics", &tasks__metrics_request__descriptor, &tasks__metrics_response__descriptor,
     GRPC_UNARY, 0, task_metrics},
    {TASKS, "Start", &tasks__start_request__descriptor, &tasks__start_response__descriptor,
     GRPC_UNARY, 0, start},
    {TASKS, "DeleteProcess", &tasks__delete_process_request__descriptor,
     &tasks__delete_response__descriptor, GRPC_UNARY, 0, delete_process},
    {TASKS, "Get", &tasks__get_request__descriptor, &tasks__get_response__descriptor, GRPC_UNARY, 0,
     get},
    {TASKS, "List", &tasks__list_tasks_request__descriptor, &tasks__list_tasks_response__descriptor,
     GRPC_UNARY, 0, list},
    {TASKS, "Kill", &tasks__kill_request__descriptor, EMPTY, GRPC_UNARY, 0, kill_process},
    {TASKS, "Exec", &tasks__exec_process_request__descriptor, EMPTY, GRPC_UNARY, 0, exec},
    {TASKS, "ResizePty", &tasks__resize_pty_request__descriptor, EMPTY, GRPC_UNARY, 0, resize},
    {TASKS, "CloseIO", &tasks__close_iorequest__descriptor, EMPTY, GRPC_UNARY, 0, close_io},
    {TASKS, "Pause", &tasks__pause_task_request__descriptor, EMPTY, GRPC_UNARY, 0, pause_task},
    {TASKS, "Resume", &tasks__resume_task_request__descriptor, EMPTY, GRPC_UNARY, 0, resume_task},
    {TASKS, "ListPids", &tasks__list_pids_request__descriptor,
     &tasks__list_pids_response__descriptor, GRPC_UNARY, 0, list_pids},
    {TASKS, "Checkpoint", &tasks__checkpoint_task_request__descriptor,
     &tasks__checkpoint_task_response__descriptor, GRPC_UNARY, GRPC_SLOW, task_checkpoint},
    {TASKS, "Update", &tasks__update_task_request__descriptor, EMPTY, GRPC_UNARY, 0, update},
    {TASKS, "Wait", &tasks__wait_request__descriptor, &tasks__wait_response__descriptor, GRPC_UNARY,
     0, wait_process},
};

void service_tasks_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
