/**
 * A container and its processes, as the shim keeps them. Everything happens on the loop: operations
 * are begun here and answer their call when they are over. No function blocks.
 */
#ifndef HULL_SHIM_CONTAINER_H
#define HULL_SHIM_CONTAINER_H

#include "base/list.h"
#include "base/map.h"
#include "proto/runc_options.pb-c.h"
#include "proto/shim.pb-c.h"
#include "rpc/ttrpc.h"
#include "shim/io.h"
#include "shim/oci.h"
#include "shim/oom.h"
#include "shim/publish.h"
#include "sys/cgroup.h"

/* What all of the shim shares. */
struct shim {
    struct loop *loop;
    struct reaper *reaper;
    struct publisher *pub;
    struct ttrpc_server *server;
    const char *ns, *id;
    struct map containers; /* by id */
    int64_t stop_ms;       /* of the time that is left for the end; 0: none is under way */
};

enum process_state { PROCESS_NEW, PROCESS_CREATED, PROCESS_RUNNING, PROCESS_STOPPED };

struct process {
    struct list link; /* in the container's execs */
    struct container *c;
    const char *id; /* exec id; "" for the first process */
    enum process_state state;
    /* an operation on it is under way: one at a time, call is its answer */
    struct ttrpc_call *call;
    pid_t pid;
    bool exited;   /* the kernel says so; state follows once it may be told */
    bool deleting; /* the answer of Delete is being prepared */
    int status;
    int64_t exited_ns;
    struct io *io;
    const char *in, *out, *err, *spec;
    bool terminal, stdin_closed;
    struct list waiters;        /* struct waiter: calls of Wait */
    struct source *drain;       /* time limit of Delete */
    bool io_over, runtime_over; /* what Delete waits for */
};

struct container {
    struct shim *shim;
    struct arena *arena; /* owns itself and all strings; execs have their own */
    const char *id, *bundle;
    struct oci oci;
    uint32_t io_uid, io_gid;
    bool own_pid_ns, paused, has_rootfs;
    struct oci_images images; /* path: it is restored from there when it is started; NULL: new */
    struct process init;
    struct list execs;
    struct cgroup cgroup; /* of the first process when it was made */
    struct oom *oom;
    struct source *hold; /* the first process's exit waits for those of the others */
};

/** Find. NOT_FOUND in containerd's words. */
int container_find(struct shim *s, const char *id, struct container **out, struct err *e);
int process_find(struct shim *s, const char *id, const char *exec_id, struct process **out,
                 struct err *e);

/* Operations that answer call themselves, now or later. -1 and e: the caller answers. */
int container_create(struct shim *s, const Shim__CreateTaskRequest *rq, struct ttrpc_call *call,
                     struct err *e);
int container_exec(struct container *c, const Shim__ExecProcessRequest *rq, struct ttrpc_call *call,
                   struct err *e);
int process_start(struct process *p, struct ttrpc_call *call, struct err *e);
int process_delete(struct process *p, struct ttrpc_call *call, struct err *e);
int process_wait(struct process *p, struct ttrpc_call *call);
int process_kill(struct process *p, int signo, bool all, struct ttrpc_call *call, struct err *e);
void process_close_stdin(struct process *p);
int container_pause(struct container *c, bool pause, struct ttrpc_call *call, struct err *e);
int container_checkpoint(struct container *c, const Shim__CheckpointTaskRequest *rq,
                         struct ttrpc_call *call, struct err *e);
int container_update(struct container *c, const char *resources, struct ttrpc_call *call,
                     struct err *e);

/* Between create.c, exit.c and container.c only. */
void process_init(struct process *p, struct container *c, const char *id);
void process_free_members(struct process *p);
void process_watch(struct process *p, pid_t pid);
void process_settle(struct process *p); /* tell of an exit that may be told now */
void process_exited(void *arg, pid_t pid, int status, int64_t exited_ns);
void process_answer_waiters(struct process *p);
void container_free(struct container *c);

#endif
