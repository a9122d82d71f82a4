/**
 * One task as the room sees it: its shim's connection, and the state that calls and events have
 * told so far. Get and List are answered from that state alone, so a shim that hangs costs only the
 * calls that are meant for it. Private to the room.
 */
#ifndef HULL_CONTAINERD_TASK_H
#define HULL_CONTAINERD_TASK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "containerd/bootstrap.h"
#include "containerd/tasks.h"
#include "proto/process.pb-c.h"
#include "proto/shim.pb-c.h"
#include "rpc/ttrpc_hub.h"

struct shim_logs;

/* What is known of a process. Guarded by the lock of tasks. */
struct process {
    char *exec_id; /* "" for the first one */
    Types__Status status;
    uint32_t pid, exit_status;
    int64_t exited_ns;
    char *in, *out, *err; /* stdio as it was asked for; may be NULL */
    bool terminal;
    struct list waiters; /* struct waiter, see wait.c */
};

enum task_phase {
    TASK_CREATING, /* nobody sees it yet but who wants its name */
    TASK_LIVE,
    TASK_DELETING, /* answered; its shim and bundle are being cleared away */
    TASK_DEAD,     /* its shim is gone, the janitor will bury it */
};

struct task {
    atomic_int refs;
    struct tasks *tasks;
    char *ns, *id, *bundle;
    char *program;           /* the shim's */
    char *address;           /* its socket; NULL: not started */
    int version;             /* of its Task service */
    struct ttrpc_link *link; /* set once, before others see the task; NULL: no connection */
    int closed_fd;           /* eventfd: the connection is lost */
    int over_fd;             /* eventfd: the name is free again */
    struct list dead_link;   /* in the janitor's queue */
    /* guarded by the lock of tasks */
    enum task_phase phase;
    bool unresponsive; /* a call was not answered in time */
    struct process init;
    struct map execs; /* exec id: struct process */
};

struct tasks {
    struct ctd *d;
    struct ttrpc_hub *hub;
    struct shim_logs *logs;
    pthread_t janitor;
    bool has_janitor;
    int janitor_fd;       /* eventfd: something is in dead, or stopping */
    pthread_mutex_t lock; /* guards what follows; never held across I/O or an answer */
    struct map by_key;    /* "NS/ID": struct task */
    struct list dead;     /* for the janitor, a reference each */
    bool stopping;
};

/* ---- task.c ---- */

struct task *task_ref(struct task *t);
void task_unref(struct task *t);
static inline void task_unref_ptr(struct task **t)
{
    task_unref(*t);
}
#define auto_task CLEANUP(task_unref_ptr)

/** Reserve the name for a new task, once a deleted one that had it is cleared away. EXISTS
 * `task x: already exists`, CANCELLED when cancel_fd (or -1) is readable. */
int task_new(struct tasks *ts, const char *ns, const char *id, int cancel_fd, struct task **out,
             struct err *e);
/** The task, referenced. NOT_FOUND `task x not found`. */
int task_find(struct tasks *ts, const char *ns, const char *id, struct task **out, struct err *e);
/** Give the name back. */
void task_forget(struct task *t);

/** Connect to the shim at t->address. */
int task_connect(struct task *t, int timeout_ms, struct err *e);

/* A call of the shim's Task service. */
struct task_rpc {
    const char *method;
    const ProtobufCMessage *msg;
    const ProtobufCMessageDescriptor *response;
    int64_t timeout_ms; /* 0: none */
};

/** Start a call; done as ttrpc_link_start has it. */
int task_call(struct task *t, const struct task_rpc *r, ttrpc_done *done, void *arg, struct err *e);
/** Make one and wait. Not from the hub's thread. */
int task_call_wait(struct task *t, const struct task_rpc *r, int cancel_fd, struct arena *a,
                   void *out_msg, struct err *e);

/** End the shim, unless others of its group live in it, and remove the bundle. Blocks. */
void task_end(struct task *t);

/** Mark what a call's outcome says about the shim: err NULL means that it answered. */
void task_heard(struct task *t, const struct err *why);

/** The process; with the lock held. NULL: not known. exec_id "" is the first one. */
struct process *task_process(struct task *t, const char *exec_id);
struct process *task_add_exec(struct task *t, const char *exec_id);
void task_drop_exec(struct task *t, const char *exec_id);

/* ---- wait.c ---- */

/** Answer the call once the process has ended: at once if it has. Takes the lock itself.
 * NOT_FOUND when the process is not known. GRPC_LATER or 0. */
int process_wait(struct task *t, const char *exec_id, struct grpc_call *c, struct err *e);

/** The process has ended: keep that, and answer who waits. Without the lock. Twice is fine: the
 * first counts. */
void process_exited(struct task *t, const char *exec_id, uint32_t pid, uint32_t status,
                    int64_t exited_ns);
/** The exec is no more; who still waits for it hears NOT_FOUND. Without the lock. */
void process_forget(struct task *t, const char *exec_id);
/** Answer all that wait for anything of t, which is going away. */
void task_wake_all(struct task *t);

/* ---- janitor.c ---- */

/** Thread: buries tasks whose shim is gone. */
void *janitor_main(void *tasks);
/** Queue a task (phase DEAD already). With the lock held. */
void janitor_take(struct task *t);

#endif
