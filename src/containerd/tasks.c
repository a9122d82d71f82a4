/*
 * All tasks: what shims tell of them, and finding them again after a restart. The bundles on disk
 * are the record of which shims there are; the shims know the rest.
 */
#include "containerd/task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/time.h"
#include "containerd/bundle.h"
#include "containerd/bus.h"
#include "containerd/convert.h"
#include "containerd/shim_log.h"
#include "proto/event.pb-c.h"
#include "proto/events.pb-c.h"
#include "store/container.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/sock.h"
#include "sys/thread.h"

#define ADOPT_MS 1000 /* how long the start waits for what the shims say */
#define DIAL_MS 100

/* ---- what shims tell ---- */

static void set_status(struct task *t, Types__Status from, Types__Status to)
{
    if (t->init.status == from)
        t->init.status = to;
}

static void on_start(struct task *t, const void *event)
{
    const Event__TaskStart *m = event;
    set_status(t, TYPES__STATUS__CREATED, TYPES__STATUS__RUNNING);
    t->init.pid = m->pid;
}

static void on_paused(struct task *t, const void *event UNUSED)
{
    set_status(t, TYPES__STATUS__RUNNING, TYPES__STATUS__PAUSED);
}

static void on_resumed(struct task *t, const void *event UNUSED)
{
    set_status(t, TYPES__STATUS__PAUSED, TYPES__STATUS__RUNNING);
}

static void on_exec_started(struct task *t, const void *event)
{
    const Event__TaskExecStarted *m = event;
    struct process *p = task_process(t, m->exec_id);
    if (p == NULL || p->status == TYPES__STATUS__STOPPED)
        return;
    p->status = TYPES__STATUS__RUNNING;
    p->pid = m->pid;
}

/* Events that change what we know. All begin with the container's id. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*apply)(struct task *t, const void *event); /* with the lock held */
} news[] = {
    {&event__task_start__descriptor, on_start},
    {&event__task_paused__descriptor, on_paused},
    {&event__task_resumed__descriptor, on_resumed},
    {&event__task_exec_started__descriptor, on_exec_started},
};

struct any_task_event {
    ProtobufCMessage base;
    char *container_id;
};

static void learn(struct tasks *ts, const char *ns, const Pb__Any *any, struct arena *a)
{
    struct err e = {0};
    struct any_task_event *m;
    for (size_t i = 0; i < ARRAY_LEN(news); i++) {
        auto_task struct task *t = NULL;
        if (!pb_any_is(any, news[i].type) || pb_any_unpack(any, news[i].type, a, &m, &e) < 0 ||
            task_find(ts, ns, m->container_id, &t, &e) < 0)
            continue;
        (void)pthread_mutex_lock(&ts->lock);
        news[i].apply(t, m);
        (void)pthread_mutex_unlock(&ts->lock);
    }
}

/* After the event is out, so that who waits hears of the exit no sooner than who subscribed. */
static void learn_exit(struct tasks *ts, const char *ns, const Pb__Any *any, struct arena *a)
{
    struct err e = {0};
    Event__TaskExit *m;
    auto_free char *key = NULL;
    if (!pb_any_is(any, &event__task_exit__descriptor) ||
        pb_any_unpack(any, &event__task_exit__descriptor, a, &m, &e) < 0)
        return;
    key = mem_printf("%s/%s", ns, m->container_id);
    (void)pthread_mutex_lock(&ts->lock);
    struct task *found = map_get(&ts->by_key, key); /* one that is being created, too */
    auto_task struct task *t = found != NULL ? task_ref(found) : NULL;
    (void)pthread_mutex_unlock(&ts->lock);
    if (t != NULL)
        process_exited(t, strcmp(m->id, m->container_id) == 0 ? "" : m->id, m->pid, m->exit_status,
                       pb_time_ns(m->exited_at));
}

static int forward(struct ttrpc_call *c, const void *req, struct err *e)
{
    const Events__ForwardRequest *q = req;
    struct tasks *ts = ttrpc_call_ctx(c);
    const Types__Envelope *env = q->envelope;
    if (ts == NULL)
        return err_set(e, ERR_UNAVAILABLE, "the daemon stops");
    if (env == NULL || env->event == NULL || *env->namespace_ == '\0')
        return err_set(e, ERR_INVALID,
                       "an envelope with namespace and event is required: "
                       "invalid argument");
    learn(ts, env->namespace_, env->event, ttrpc_call_arena(c));
    TRY(bus_publish(ts->d->bus, env->namespace_, env->topic, pb_time_ns(env->timestamp), env->event,
                    e));
    learn_exit(ts, env->namespace_, env->event, ttrpc_call_arena(c));
    return ttrpc_call_reply_empty(c);
}

static const struct ttrpc_method event_methods[] = {
    {"containerd.services.events.ttrpc.v1.Events", "Forward", &events__forward_request__descriptor,
     forward},
};

/* ---- adoption ---- */

/* Shims that have been asked for their state and have not answered. */
struct adoption {
    atomic_int refs, pending;
    int done_fd;
};

static void adoption_unref(struct adoption *ad)
{
    if (!ref_drop(&ad->refs))
        return;
    fd_close(ad->done_fd);
    free(ad);
}

struct adopted {
    struct task *t;
    struct adoption *ad;
};

static void take_state(struct task *t, const Shim__StateResponse *r)
{
    bool over = r->status == TYPES__STATUS__STOPPED;
    (void)pthread_mutex_lock(&t->tasks->lock);
    struct process *p = &t->init;
    p->pid = r->pid;
    p->terminal = r->terminal;
    p->in = mem_strdup(r->stdin);
    p->out = mem_strdup(r->stdout);
    p->err = mem_strdup(r->stderr);
    if (!over && p->status == TYPES__STATUS__UNKNOWN)
        p->status = r->status;
    (void)pthread_mutex_unlock(&t->tasks->lock);
    if (over)
        process_exited(t, "", r->pid, r->exit_status, pb_time_ns(r->exited_at));
}

/* In the hub's thread; closing makes the janitor's work of it. */
static void on_shut_down(void *arg, const void *resp UNUSED, const struct err *e UNUSED)
{
    struct task *t = arg;
    ttrpc_link_close(t->link);
    task_unref(t);
}

/* A shim whose container was never made, or is deleted already: nobody will ask for it. */
static void give_up(struct task *t)
{
    Shim__ShutdownRequest rq = SHIM__SHUTDOWN_REQUEST__INIT;
    struct err e = {0};
    rq.id = t->id;
    const struct task_rpc call = {"Shutdown", &rq.base, &pb__empty__descriptor, ADOPT_MS};
    if (task_call(t, &call, on_shut_down, task_ref(t), &e) < 0)
        task_unref(t);
}

static void on_state(void *arg, const void *resp, const struct err *e)
{
    auto_free struct adopted *q = arg;
    struct task *t = q->t;
    uint64_t one = 1;
    task_heard(t, e);
    if (resp != NULL)
        take_state(t, resp);
    else if (e->kind == ERR_NOT_FOUND)
        give_up(t);
    else
        log_warn("shim does not tell its state", "container", t->id, "error", e->msg, NULL);
    if (atomic_fetch_sub(&q->ad->pending, 1) == 1)
        (void)!write(q->ad->done_fd, &one, sizeof(one));
    adoption_unref(q->ad);
    task_unref(t);
}

static int ask_state(struct task *t, struct adoption *ad, struct err *e)
{
    Shim__StateRequest rq = SHIM__STATE_REQUEST__INIT;
    struct adopted *q = mem_alloc(sizeof(*q));
    rq.id = t->id;
    *q = (struct adopted){task_ref(t), ad};
    atomic_fetch_add(&ad->refs, 1);
    atomic_fetch_add(&ad->pending, 1);
    /* no time limit: one that was stopped tells when it goes on */
    const struct task_rpc call = {"State", &rq.base, &shim__state_response__descriptor, 0};
    if (task_call(t, &call, on_state, q, e) == 0)
        return 0;
    atomic_fetch_sub(&ad->pending, 1);
    adoption_unref(ad);
    task_unref(t);
    free(q);
    return -1;
}

/* Which program the bundle's shim was: as we wrote it, else as the container's record says. */
static char *program_of(struct task *t, struct arena *a)
{
    const char *program = bundle_read(t->bundle, "shim-binary-path", a);
    const char *const dirs[] = {t->tasks->d->self_dir, NULL};
    const struct scope sc = {.ns = t->ns};
    struct container_record rec;
    struct err e = {0};
    if (program != NULL && program[0] == '/')
        return mem_strdup(program);
    if (container_get(t->tasks->d->store, &sc, t->id, a, &rec, &e) < 0 ||
        runtime_find(rec.runtime_name, t->tasks->d->path, dirs, a, &program, &e) < 0)
        return NULL;
    return mem_strdup(program);
}

static int reach(struct task *t, struct arena *a, struct err *e)
{
    struct shim_endpoint ep;
    const char *said = bundle_read(t->bundle, "bootstrap.json", a);
    if (said == NULL)
        said = bundle_read(t->bundle, "address", a);
    if (said == NULL)
        return err_set(e, ERR_NOT_FOUND, "the bundle has no address");
    TRY(bootstrap_parse(said, strlen(said), a, &ep, e));
    t->address = mem_strdup(ep.address);
    t->version = ep.version;
    (void)shim_logs_add(t->tasks->logs, t->bundle, e); /* only the log is lost then */
    return task_connect(t, DIAL_MS, e);
}

static void adopt(struct tasks *ts, struct adoption *ad, const char *ns, const char *id)
{
    auto_arena struct arena *a = arena_new();
    auto_task struct task *t = NULL;
    struct err e = {0};
    if (store_check_id("container", id, &e) < 0 || task_new(ts, ns, id, -1, &t, &e) < 0) {
        log_warn("bundle skipped", "namespace", ns, "name", id, "error", e.msg, NULL);
        return;
    }
    t->program = program_of(t, a);
    bool there = reach(t, a, &e) == 0;
    (void)pthread_mutex_lock(&ts->lock);
    /* a link that was lost meanwhile found nothing to do: the phase was CREATING */
    there = there && ttrpc_link_alive(t->link);
    t->phase = there ? TASK_LIVE : TASK_DEAD;
    if (!there)
        janitor_take(t);
    (void)pthread_mutex_unlock(&ts->lock);
    if (there && ask_state(t, ad, &e) == 0)
        log_info("adopting", "namespace", ns, "container", id, NULL);
}

static int adopt_ns(struct tasks *ts, struct adoption *ad, const char *ns, struct err *e)
{
    auto_strv struct strv ids = {0};
    auto_free char *path = mem_printf("%s/" TASK_DIR "/%s", ts->d->state, ns);
    TRY(path_list(path, &ids, e));
    vec_each(id, &ids)
        adopt(ts, ad, ns, *id);
    return 0;
}

static int adopt_all(struct tasks *ts, struct err *e)
{
    auto_strv struct strv namespaces = {0};
    auto_free char *path = mem_printf("%s/" TASK_DIR, ts->d->state);
    struct adoption *ad = mem_alloc(sizeof(*ad));
    atomic_init(&ad->refs, 1);
    atomic_init(&ad->pending, 1); /* ours, until all have been asked */
    ad->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = path_list(path, &namespaces, e);
    if (r < 0 && e->kind == ERR_NOT_FOUND)
        r = 0;
    vec_each(ns, &namespaces) {
        if (r == 0 && store_check_id("namespace", *ns, e) == 0)
            r = adopt_ns(ts, ad, *ns, e);
    }
    struct pollfd p = {.fd = ad->done_fd, .events = POLLIN};
    if (r == 0 && atomic_fetch_sub(&ad->pending, 1) != 1 && poll(&p, 1, ADOPT_MS) == 0)
        log_warn("not all shims have told their state yet", NULL);
    adoption_unref(ad);
    return r;
}

/* ---- begin and end ---- */

static int start_janitor(struct tasks *ts, struct err *e)
{
    ts->janitor_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ts->janitor_fd < 0)
        return err_sys(e, "eventfd");
    int r = thread_start(&ts->janitor, THREAD_STACK, janitor_main, ts);
    ts->has_janitor = r == 0;
    return r < 0 ? err_neg(e, r, "start the janitor") : 0;
}

static int begin(struct tasks *ts, struct err *e)
{
    TRY(shim_logs_new(&ts->logs, e));
    TRY(start_janitor(ts, e));
    TRY(ttrpc_hub_new(&ts->hub, e));
    int fd = sock_listen(ts->d->ttrpc_address, 0660, (gid_t)-1, e);
    TRY(fd);
    TRY(ttrpc_hub_serve(ts->hub, fd, event_methods, ARRAY_LEN(event_methods), ts, e));
    return adopt_all(ts, e);
}

int tasks_new(struct ctd *d, struct tasks **out, struct err *e)
{
    struct tasks *ts = mem_alloc(sizeof(*ts));
    ts->d = d;
    ts->janitor_fd = -1;
    list_init(&ts->dead);
    (void)pthread_mutex_init(&ts->lock, NULL);
    if (begin(ts, e) < 0) {
        tasks_free(ts);
        return -1;
    }
    *out = ts;
    return 0;
}

void tasks_free(struct tasks *ts)
{
    uint64_t one = 1;
    if (ts == NULL)
        return;
    (void)pthread_mutex_lock(&ts->lock);
    ts->stopping = true;
    (void)pthread_mutex_unlock(&ts->lock);
    if (ts->has_janitor) {
        (void)!write(ts->janitor_fd, &one, sizeof(one));
        (void)pthread_join(ts->janitor, NULL);
    }
    ttrpc_hub_free(ts->hub); /* all links are lost now, and their references with them */
    shim_logs_free(ts->logs);
    map_each(ent, &ts->by_key)
        task_unref(ent->val);
    map_done(&ts->by_key);
    fd_close(ts->janitor_fd);
    (void)pthread_mutex_destroy(&ts->lock);
    free(ts);
}
