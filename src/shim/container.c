/* Containers and processes: finding, small operations, and the end of their memory. See
 * container.h. */
#include "shim/container.h"

#include "base/log.h"
#include "base/mem.h"
#include "proto/event.pb-c.h"
#include "shim/bundle_mounts.h"
#include "shim/options.h"

int container_find(struct shim *s, const char *id, struct container **out, struct err *e)
{
    struct container *c = map_get(&s->containers, id);
    if (c == NULL || c->init.state == PROCESS_NEW)
        return err_set(e, ERR_NOT_FOUND, "container not created");
    *out = c;
    return 0;
}

int process_find(struct shim *s, const char *id, const char *exec_id, struct process **out,
                 struct err *e)
{
    struct container *c = NULL;
    TRY(container_find(s, id, &c, e));
    if (exec_id[0] == '\0') {
        *out = &c->init;
        return 0;
    }
    list_each(link, &c->execs) {
        struct process *p = CONTAINER_OF(link, struct process, link);
        if (strcmp(p->id, exec_id) == 0) {
            *out = p;
            return 0;
        }
    }
    return err_set(e, ERR_NOT_FOUND, "process does not exist %s", exec_id);
}

/* May come before the process is started. */
void process_close_stdin(struct process *p)
{
    p->stdin_closed = true;
    if (p->io != NULL)
        io_close_stdin(p->io);
}

/* ---- memory */

void process_init(struct process *p, struct container *c, const char *id)
{
    *p = (struct process){.c = c, .id = id, .in = "", .out = "", .err = ""};
    list_init(&p->link);
    list_init(&p->waiters);
}

void process_free_members(struct process *p)
{
    if (p->pid != 0 && !p->exited)
        reaper_forget(p->c->shim->reaper, p->pid);
    process_answer_waiters(p);
    loop_del(p->drain);
    io_free(p->io);
    if (p == &p->c->init)
        return; /* its strings are the container's */
    free((char *)(uintptr_t)p->id);
    free((char *)(uintptr_t)p->in);
    free((char *)(uintptr_t)p->out);
    free((char *)(uintptr_t)p->err);
    free((char *)(uintptr_t)p->spec);
}

void container_free(struct container *c)
{
    struct err e = {0};
    list_each(link, &c->execs) {
        struct process *p = CONTAINER_OF(link, struct process, link);
        list_remove(&p->link);
        process_free_members(p);
        free(p);
    }
    process_free_members(&c->init);
    loop_del(c->hold);
    oom_free(c->oom);
    if (c->has_rootfs && bundle_unmount(c->bundle, &e) < 0)
        log_warn("rootfs not unmounted", "container", c->id, "error", e.msg, NULL);
    arena_free(c->arena);
}

/* ---- pause, resume, checkpoint, update: the call waits for the runtime */

struct pending {
    struct shim *shim;
    char *id;
    struct ttrpc_call *call;
    bool pause;
};

static void pending_free(struct pending *w)
{
    free(w->id);
    free(w);
}

static struct pending *pending_new(struct container *c, struct ttrpc_call *call, bool pause)
{
    struct pending *w = mem_alloc(sizeof(*w));
    *w = (struct pending){c->shim, mem_strdup(c->id), call, pause};
    return w;
}

static void answer(struct pending *w, const struct err *why)
{
    struct err e = {0};
    if (why != NULL) {
        e = *why;
        ttrpc_call_fail(w->call, &e);
    } else {
        (void)ttrpc_call_reply_empty(w->call); /* always 0 */
    }
    pending_free(w);
}

static void on_done(void *arg, const struct oci_result *res, const struct err *why)
{
    (void)res;
    answer(arg, why);
}

static void on_paused(void *arg, const struct oci_result *res, const struct err *why)
{
    struct pending *w = arg;
    struct container *c = map_get(&w->shim->containers, w->id);
    (void)res;
    if (why == NULL && c != NULL && c->init.state == PROCESS_RUNNING) {
        Event__TaskPaused paused = EVENT__TASK_PAUSED__INIT;
        Event__TaskResumed resumed = EVENT__TASK_RESUMED__INIT;
        paused.container_id = resumed.container_id = w->id;
        c->paused = w->pause;
        publish(w->shim->pub, w->pause ? "/tasks/paused" : "/tasks/resumed",
                w->pause ? &paused.base : &resumed.base, NULL, NULL);
    }
    answer(w, why);
}

int container_pause(struct container *c, bool pause, struct ttrpc_call *call, struct err *e)
{
    if (c->init.state != PROCESS_RUNNING)
        return err_set(e, ERR_PRECONDITION, "cannot %s a %s container", pause ? "pause" : "resume",
                       c->init.state == PROCESS_STOPPED ? "stopped" : "created");
    struct pending *w = pending_new(c, call, pause);
    if (c->oci.ops->pause(&c->oci, pause, on_paused, w, e) == 0)
        return TTRPC_LATER;
    pending_free(w);
    return -1;
}

int container_checkpoint(struct container *c, const Shim__CheckpointTaskRequest *rq,
                         struct ttrpc_call *call, struct err *e)
{
    struct oci_images images;
    if (c->init.state != PROCESS_RUNNING)
        return err_set(e, ERR_PRECONDITION, "cannot checkpoint a %s container",
                       c->init.state == PROCESS_STOPPED ? "stopped" : "created");
    TRY(options_images(c, rq, ttrpc_call_arena(call), &images, e));
    struct pending *w = pending_new(c, call, false);
    if (c->oci.ops->checkpoint(&c->oci, &images, on_done, w, e) == 0)
        return TTRPC_LATER;
    pending_free(w);
    return -1;
}

int container_update(struct container *c, const char *resources, struct ttrpc_call *call,
                     struct err *e)
{
    if (c->init.state == PROCESS_STOPPED)
        return err_set(e, ERR_PRECONDITION, "cannot update a stopped container");
    struct pending *w = pending_new(c, call, false);
    if (c->oci.ops->update(&c->oci, resources, on_done, w, e) == 0)
        return TTRPC_LATER;
    pending_free(w);
    return -1;
}
