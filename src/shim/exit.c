/*
 * How processes end: exits are told in the order that clients rely on, Wait is answered, Delete
 * drains the streams and takes the container apart.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "proto/event.pb-c.h"
#include "shim/container.h"
#include "shim/bundle_mounts.h"

#define DRAIN_MS 2000 /* Delete waits so long for the streams' end */
#define HOLD_MS 2000  /* the first process's exit waits so long for those of the others */

struct waiter {
    struct list link;
    struct ttrpc_call *call;
};

/* ---- wait */

static void reply_wait(struct process *p, struct ttrpc_call *call)
{
    Shim__WaitResponse resp = SHIM__WAIT_RESPONSE__INIT;
    resp.exit_status = (uint32_t)p->status;
    resp.exited_at = pb_time_new(p->exited_ns, ttrpc_call_arena(call));
    (void)ttrpc_call_reply(call, &resp.base); /* always 0 */
}

static void on_cancel(void *arg)
{
    struct waiter *w = arg;
    struct ttrpc_call *call = w->call;
    struct err e = {0};
    list_remove(&w->link);
    free(w);
    (void)err_set(&e, ERR_CANCELLED, "context canceled");
    ttrpc_call_fail(call, &e);
}

int process_wait(struct process *p, struct ttrpc_call *call)
{
    if (p->state == PROCESS_STOPPED) {
        reply_wait(p, call);
        return 0;
    }
    struct waiter *w = mem_alloc(sizeof(*w));
    w->call = call;
    list_append(&p->waiters, &w->link);
    ttrpc_call_on_cancel(call, on_cancel, w);
    return TTRPC_LATER;
}

void process_answer_waiters(struct process *p)
{
    list_each(link, &p->waiters) {
        struct waiter *w = CONTAINER_OF(link, struct waiter, link);
        struct ttrpc_call *call = w->call;
        ttrpc_call_on_cancel(call, NULL, NULL);
        list_remove(&w->link);
        free(w);
        reply_wait(p, call);
    }
}

/* ---- exit */

static void tell_exit(struct process *p)
{
    struct container *c = p->c;
    bool is_init = p == &c->init;
    auto_arena struct arena *a = arena_new();
    Event__TaskExit ev = EVENT__TASK_EXIT__INIT;
    ev.container_id = (char *)(uintptr_t)c->id;
    ev.id = (char *)(uintptr_t)(is_init ? c->id : p->id);
    ev.pid = (uint32_t)p->pid;
    ev.exit_status = (uint32_t)p->status;
    ev.exited_at = pb_time_new(p->exited_ns, a);
    p->state = PROCESS_STOPPED;
    if (is_init)
        c->paused = false;
    publish(c->shim->pub, "/tasks/exit", &ev.base, NULL, NULL);
    process_answer_waiters(p);
}

static bool execs_running(const struct container *c)
{
    list_each(link, &c->execs) {
        const struct process *p = CONTAINER_OF(link, struct process, link);
        if (p->pid != 0 && p->state == PROCESS_RUNNING)
            return true;
    }
    return false;
}

static bool execs_busy(const struct container *c)
{
    list_each(link, &c->execs)
        if (CONTAINER_OF(link, struct process, link)->call != NULL)
            return true;
    return execs_running(c);
}

static void on_held(struct source *s, void *arg)
{
    struct container *c = arg;
    (void)s;
    c->hold = NULL;
    tell_exit(&c->init);
}

/* The first process has ended. Those that share its pid namespace die with it; others are killed.
 */
static void settle_init(struct container *c)
{
    struct err e = {0};
    if (!execs_running(c)) {
        loop_del(c->hold);
        c->hold = NULL;
        tell_exit(&c->init);
        return;
    }
    if (c->hold != NULL)
        return;
    list_each(link, &c->execs) {
        const struct process *p = CONTAINER_OF(link, struct process, link);
        if (!c->own_pid_ns && p->state == PROCESS_RUNNING && !p->exited)
            (void)kill(p->pid, SIGKILL); /* not reaped yet, so it is still ours */
    }
    c->hold = loop_add_timer(c->shim->loop, HOLD_MS, on_held, c, &e);
    if (c->hold == NULL)
        tell_exit(&c->init);
}

void process_settle(struct process *p)
{
    struct container *c = p->c;
    if (p->exited && p->call == NULL && p->state != PROCESS_STOPPED) {
        if (p == &c->init) {
            settle_init(c);
            return;
        }
        tell_exit(p);
    }
    if (p != &c->init && c->init.exited && c->init.state != PROCESS_STOPPED && c->init.call == NULL)
        settle_init(c);
}

void process_exited(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    struct process *p = arg;
    (void)pid;
    p->exited = true;
    if (p == &p->c->init)
        oom_check(p->c->oom);
    p->status = status;
    p->exited_ns = exited_ns;
    process_settle(p);
}

void process_watch(struct process *p, pid_t pid)
{
    p->pid = pid;
    reaper_watch(p->c->shim->reaper, pid, process_exited, p);
}

/* ---- kill */

static void on_killed(void *arg, const struct oci_result *res, const struct err *why)
{
    struct ttrpc_call *call = arg;
    struct err e = {0};
    (void)res;
    if (why == NULL) {
        (void)ttrpc_call_reply_empty(call); /* always 0 */
        return;
    }
    e = *why;
    ttrpc_call_fail(call, &e);
}

int process_kill(struct process *p, int signo, bool all, struct ttrpc_call *call, struct err *e)
{
    if (signo < 0 || signo > 64)
        return err_set(e, ERR_INVALID, "unknown signal %d", signo);
    if (p->pid == 0)
        return err_set(e, ERR_PRECONDITION, "process not created");
    if (all && p == &p->c->init) {
        TRY(p->c->oci.ops->kill_all(&p->c->oci, signo, on_killed, call, e));
        return TTRPC_LATER;
    }
    /* a child that is not reaped keeps its number, so this cannot hit another process */
    if (p->exited || (kill(p->pid, signo) < 0 && errno == ESRCH))
        return err_set(e, ERR_NOT_FOUND, "process already finished");
    return ttrpc_call_reply_empty(call);
}

/* ---- delete */

static void reply_deleted(void *arg)
{
    struct process *p = arg;
    struct container *c = p->c;
    struct ttrpc_call *call = p->call;
    Shim__DeleteResponse resp = SHIM__DELETE_RESPONSE__INIT;
    resp.pid = (uint32_t)p->pid;
    resp.exit_status = (uint32_t)p->status;
    resp.exited_at = pb_time_new(p->exited_ns, ttrpc_call_arena(call));
    p->call = NULL;
    (void)ttrpc_call_reply(call, &resp.base); /* always 0 */
    if (p == &c->init) {
        (void)map_del(&c->shim->containers, c->id);
        container_free(
            c); /* unmounts: overlayfs syncs the file system below, nobody waits for it */
    } else {
        list_remove(&p->link);
        process_free_members(p);
        free(p);
    }
}

/* Both the streams and the runtime are done. */
static void finish_delete(struct process *p)
{
    struct container *c = p->c;
    if (!p->io_over || !p->runtime_over)
        return;
    io_free(p->io);
    p->io = NULL;
    if (p != &c->init) {
        auto_free char *pid_file = mem_printf("%s/%s.pid", c->bundle, p->id);
        (void)unlink(pid_file); /* only runtimes with a command line write it */
        reply_deleted(p);
        return;
    }
    reaper_run(c->shim->reaper); /* a container that was never started has been killed just now */
    if (p->exited && p->state != PROCESS_STOPPED)
        tell_exit(p);
    auto_arena struct arena *a = arena_new();
    Event__TaskDelete ev = EVENT__TASK_DELETE__INIT;
    ev.container_id = (char *)(uintptr_t)c->id;
    ev.pid = (uint32_t)p->pid;
    ev.exit_status = (uint32_t)p->status;
    ev.exited_at = pb_time_new(p->exited_ns, a);
    publish(c->shim->pub, "/tasks/delete", &ev.base, reply_deleted, p);
}

static void on_drained(void *arg)
{
    struct process *p = arg;
    loop_del(p->drain);
    p->drain = NULL;
    io_when_ended(p->io, NULL, NULL);
    p->io_over = true;
    finish_delete(p);
}

static void on_drain_timeout(struct source *s, void *arg)
{
    struct process *p = arg;
    (void)s;
    p->drain = NULL;
    io_finish(p->io);
    on_drained(p);
}

static void on_deleted(void *arg, const struct oci_result *res, const struct err *why)
{
    struct process *p = arg;
    (void)res;
    if (why != NULL && why->kind != ERR_NOT_FOUND) {
        struct ttrpc_call *call = p->call;
        struct err e = *why;
        p->call = NULL;
        p->deleting = false;
        loop_del(p->drain);
        p->drain = NULL;
        if (p->io != NULL)
            io_when_ended(p->io, NULL, NULL);
        ttrpc_call_fail(call, &e);
        return;
    }
    p->runtime_over = true;
    finish_delete(p);
}

/* A container that was never started is killed by its deletion: its exit is told like any other. */
int process_delete(struct process *p, struct ttrpc_call *call, struct err *e)
{
    struct container *c = p->c;
    bool is_init = p == &c->init;
    if (p->call != NULL || p->deleting)
        return err_set(e, ERR_PRECONDITION, "another operation on the process is under way");
    if (p->state == PROCESS_RUNNING || p->state == PROCESS_NEW)
        return err_set(e, ERR_PRECONDITION, "cannot delete a running process");
    if (is_init && execs_busy(c))
        return err_set(e, ERR_PRECONDITION, "cannot delete a container with running processes");
    p->io_over = p->runtime_over = false;
    if (is_init)
        TRY(c->oci.ops->del(&c->oci, on_deleted, p, e));
    else
        p->runtime_over = true;
    p->call = call;
    p->deleting = true;
    if (p->io == NULL) {
        p->io_over = true;
        finish_delete(p);
        return TTRPC_LATER;
    }
    if (p->state == PROCESS_CREATED)
        io_finish(p->io);
    p->drain = loop_add_timer(c->shim->loop, DRAIN_MS, on_drain_timeout, p, e);
    if (p->drain == NULL)
        io_finish(p->io);
    io_when_ended(p->io, on_drained, p);
    return TTRPC_LATER;
}
