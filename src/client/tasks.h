/**
 * Containers and tasks of containerd. A container is a record (spec, runtime, snapshot); its task
 * is what runs. Source: containerd's services containers v1 and tasks v1.
 */
#ifndef HULL_CLIENT_TASKS_H
#define HULL_CLIENT_TASKS_H

#include "client/ctd.h"
#include "client/snapshots.h"

enum task_status {
    TASK_UNKNOWN,
    TASK_CREATED,
    TASK_RUNNING,
    TASK_STOPPED,
    TASK_PAUSED,
    TASK_PAUSING
};

/* How the runtime is called: runc's options, sent with container and task. */
struct ctd_runtime {
    const char *name;   /* "io.containerd.hull.v2", "io.containerd.runc.v2" */
    const char *binary; /* runtime binary; NULL: the shim's default */
    const char *root;   /* runtime's state directory; NULL: default */
    bool systemd_cgroup;
    uint32_t io_uid, io_gid; /* owner of the pipes that the process gets */
};

struct ctd_container {
    const char *id;
    const char *image; /* reference, may be NULL */
    const char
        *snapshotter; /* with snapshot_key keeps the snapshot from being collected; NULL: none */
    const char *snapshot_key;
    const char *spec; /* OCI config.json */
    const struct ctd_runtime *runtime;
    const struct strmap *labels; /* may be NULL */
};

struct ctd_task {
    const char *id;
    const struct ctd_mounts *rootfs;
    const char *stdin_, *stdout_, *stderr_; /* FIFO or log URI; NULL: none */
    bool terminal;
    const struct ctd_runtime *runtime;
};

struct ctd_exec {
    const char *id, *exec_id;
    const char *process; /* OCI process, JSON */
    const char *stdin_, *stdout_, *stderr_;
    bool terminal;
};

struct ctd_process {
    const char *id; /* container id, or exec id */
    uint32_t pid;
    enum task_status status;
    uint32_t exit_status;
    int64_t exited_ns; /* 0: has not ended */
};

struct ctd_exit {
    uint32_t pid, status;
    int64_t exited_ns;
};

/** Record a container. EXISTS when the id is taken. */
int ctd_container_create(struct ctd *c, const struct ctd_container *ct, struct err *e);
/** Forget one. NOT_FOUND. */
int ctd_container_delete(struct ctd *c, const char *id, struct err *e);
/** 1 and 0: is there such a record? */
int ctd_container_exists(struct ctd *c, const char *id, struct err *e);
/* One record of a list. */
struct ctd_record {
    const char *id;
    struct strmap labels;
};
/** All containers of the namespace. */
int ctd_container_list(struct ctd *c, struct arena *a, struct ctd_record **out, size_t *out_n,
                       struct err *e);

/** Make the task: shim and process, which waits for the start. The runtime's own text is in e. */
int ctd_task_create(struct ctd *c, const struct ctd_task *t, uint32_t *out_pid, struct err *e);
/** Start the first process, or the one of an exec (exec_id NULL: first). */
int ctd_task_start(struct ctd *c, const char *id, const char *exec_id, uint32_t *out_pid,
                   struct err *e);
/** Remove an ended (or never started) task, or an ended exec: waits for the drain of its streams.
 */
int ctd_task_delete(struct ctd *c, const char *id, const char *exec_id, struct ctd_exit *out,
                    struct err *e);
int ctd_task_kill(struct ctd *c, const char *id, const char *exec_id, int signal, bool all,
                  struct err *e);
/** Register a process; ctd_task_start runs it. */
int ctd_task_exec(struct ctd *c, const struct ctd_exec *x, struct err *e);
int ctd_task_resize(struct ctd *c, const char *id, const char *exec_id, uint32_t w, uint32_t h,
                    struct err *e);
int ctd_task_close_stdin(struct ctd *c, const char *id, const char *exec_id, struct err *e);
int ctd_task_pause(struct ctd *c, const char *id, struct err *e);
int ctd_task_resume(struct ctd *c, const char *id, struct err *e);
/** resources_json: OCI LinuxResources. */
int ctd_task_update(struct ctd *c, const char *id, const char *resources_json, struct err *e);
int ctd_task_get(struct ctd *c, const char *id, const char *exec_id, struct arena *a,
                 struct ctd_process *out, struct err *e);
/** All tasks of the namespace. */
int ctd_task_list(struct ctd *c, struct arena *a, struct ctd_process **out, size_t *out_n,
                  struct err *e);
int ctd_task_pids(struct ctd *c, const char *id, struct arena *a, uint32_t **out, size_t *out_n,
                  struct err *e);
/** The raw metrics of a running task (an Any of cgroup v1 or v2 metrics). NOT_FOUND when it does
 * not run. */
int ctd_task_metrics(struct ctd *c, const char *id, struct arena *a, int64_t *out_ns, Pb__Any **out,
                     struct err *e);
/** Wait for the end of a process; cancel_fd as in ctd_opts. */
int ctd_task_wait(struct ctd *c, const char *id, const char *exec_id, int cancel_fd,
                  struct ctd_exit *out, struct err *e);

#endif
