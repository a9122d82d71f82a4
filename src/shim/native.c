/*
 * Our own runtime, without a program in between: libhullrun runs each operation in a child cloned
 * from the shim, and the loop waits for its report.
 */
#include <sys/epoll.h>

#include "base/mem.h"
#include "runtime/runtime.h"
#include "shim/oci.h"
#include "sys/fd.h"

struct native {
    struct hullrun_job job;
    struct reaper *reaper;
    struct source *src;
    const char *verb; /* for the error's words; NULL: as it is */
    pid_t pid;        /* of the job */
    oci_done *done;
    void *arg;
};

/* The loop may see the job's death before its report. */
static void on_job_dead(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    struct native *n = arg;
    (void)pid;
    (void)status;
    (void)exited_ns;
    hullrun_job_reaped(&n->job);
}

static void on_report(struct source *s, int fd, uint32_t events, void *arg)
{
    struct native *n = arg;
    struct hullrun_result got = {.pidfd = -1, .console = -1};
    struct err e = {0}, why = {0};
    (void)fd;
    (void)events;
    loop_del(s);
    int r = hullrun_job_finish(&n->job, &got, &e);
    reaper_forget(n->reaper, n->pid);
    fd_close(got.pidfd); /* a child that is not reaped keeps its number */
    const struct oci_result res = {.pid = got.pid, .console = got.console};
    why = e;
    if (r < 0 && n->verb != NULL)
        (void)err_set(&why, ERR_UNKNOWN, "OCI runtime %s failed: %s", n->verb, e.msg);
    n->done(n->arg, r < 0 ? NULL : &res, r < 0 ? &why : NULL);
    free(n);
}

/* A job has begun (r is 0), or has not. */
static int wait_report(const struct oci *o, int r, const struct hullrun_job *job, const char *verb,
                       oci_done *done, void *arg, struct err *e)
{
    if (r < 0) {
        struct err why = *e;
        return verb == NULL ? -1
                            : err_set(e, ERR_UNKNOWN, "OCI runtime %s failed: %s", verb, why.msg);
    }
    struct native *n = mem_alloc(sizeof(*n));
    *n = (struct native){
        .job = *job, .reaper = o->reaper, .verb = verb, .pid = job->pid, .done = done, .arg = arg};
    n->src = loop_add_fd(o->loop, job->fd, EPOLLIN, on_report, n, e);
    if (n->src == NULL) {
        hullrun_job_cancel(&n->job);
        free(n);
        return -1;
    }
    reaper_watch(o->reaper, n->pid, on_job_dead, n);
    return 0;
}

static struct hullrun_io streams(const struct oci_io *io)
{
    struct hullrun_io s = {.fd = {-1, -1, -1}, .console_sock = -1, .want_console = io->terminal};
    for (int i = 0; i < 3 && !io->terminal; i++)
        s.fd[i] = io->fd[i];
    return s;
}

static char *pid_file_of(const struct oci *o)
{
    return mem_printf("%s/init.pid", o->bundle);
}

static struct hullrun_create_opts create_opts(const struct oci *o, const struct oci_io *io,
                                              const char *pid_file)
{
    return (struct hullrun_create_opts){
        .root = o->root,
        .id = o->id,
        .bundle = o->bundle,
        .pid_file = pid_file,
        .io = streams(io),
        .no_pivot = o->no_pivot,
        .no_new_keyring = o->no_new_keyring,
    };
}

static int native_create(const struct oci *o, const struct oci_io *io, oci_done *done, void *arg,
                         struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    auto_free char *pid_file = pid_file_of(o);
    const struct hullrun_create_opts co = create_opts(o, io, pid_file);
    int r = hullrun_create_begin(&co, &job, e);
    return wait_report(o, r, &job, "create", done, arg, e);
}

static struct hullrun_criu_opts criu_opts(const struct oci_images *i)
{
    return (struct hullrun_criu_opts){
        .image_path = i->path,
        .work_path = i->work_path,
        .parent_path = i->parent_path[0] != '\0' ? i->parent_path : NULL,
        .manage_cgroups = i->cgroups_mode,
        .status_fd = -1,
        .leave_running = i->leave_running,
        .tcp_established = i->open_tcp,
        .ext_unix_sk = i->external_unix_sockets,
        .shell_job = i->terminal,
        .file_locks = i->file_locks,
    };
}

static int native_checkpoint(const struct oci *o, const struct oci_images *images, oci_done *done,
                             void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    const struct hullrun_criu_opts ko = criu_opts(images);
    int r = hullrun_checkpoint_begin(o->root, o->id, &ko, &job, e);
    return wait_report(o, r, &job, "checkpoint", done, arg, e);
}

static int native_restore(const struct oci *o, const struct oci_images *images,
                          const struct oci_io *io, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    auto_free char *pid_file = pid_file_of(o);
    struct hullrun_create_opts co = create_opts(o, io, pid_file);
    const struct hullrun_criu_opts ko = criu_opts(images);
    co.run = true;
    int r = hullrun_restore_begin(&co, &ko, &job, e);
    return wait_report(o, r, &job, "restore", done, arg, e);
}

static int native_start(const struct oci *o, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    static const struct oci_result nothing = {.console = -1};
    int r = hullrun_start_hookless(o->root, o->id, e); /* one byte into a FIFO: no child for that */
    if (r > 0) {
        done(arg, &nothing, NULL);
        return 0;
    }
    if (r == 0)
        r = hullrun_start_begin(o->root, o->id, &job, e);
    return wait_report(o, r, &job, "start", done, arg, e);
}

static int native_exec(const struct oci *o, const char *exec_id, const char *spec,
                       const struct oci_io *io, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    auto_arena struct arena *a = arena_new();
    struct oci_process process;
    (void)exec_id;
    TRY(json_parse(&oci_process_json, &process, spec, strlen(spec), a, e));
    process.terminal = io->terminal;
    const struct hullrun_exec_opts xo = {
        .root = o->root, .id = o->id, .process = &process, .io = streams(io)};
    int r = hullrun_exec_begin(&xo, &job, e);
    return wait_report(o, r, &job, "exec", done, arg, e);
}

static int native_kill_all(const struct oci *o, int signo, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    int r = hullrun_kill_begin(o->root, o->id, signo, true, &job, e);
    return wait_report(o, r, &job, NULL, done, arg, e);
}

static int native_del(const struct oci *o, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    int r = hullrun_delete_begin(o->root, o->id, true, &job, e);
    return wait_report(o, r, &job, NULL, done, arg, e);
}

static int native_pause(const struct oci *o, bool pause, oci_done *done, void *arg, struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    int r = hullrun_pause_begin(o->root, o->id, pause, &job, e);
    return wait_report(o, r, &job, NULL, done, arg, e);
}

static int native_update(const struct oci *o, const char *resources, oci_done *done, void *arg,
                         struct err *e)
{
    struct hullrun_job job = HULLRUN_JOB_NONE;
    auto_arena struct arena *a = arena_new();
    struct oci_resources r;
    TRY(json_parse(&oci_resources_json, &r, resources, strlen(resources), a, e));
    int began = hullrun_update_begin(o->root, o->id, &r, &job, e);
    return wait_report(o, began, &job, NULL, done, arg, e);
}

static int native_delete_now(const struct oci *o, struct err *e)
{
    return hullrun_delete(o->root, o->id, true, e);
}

const struct oci_ops oci_native = {
    .create = native_create,
    .start = native_start,
    .exec = native_exec,
    .kill_all = native_kill_all,
    .del = native_del,
    .pause = native_pause,
    .checkpoint = native_checkpoint,
    .restore = native_restore,
    .update = native_update,
    .delete_now = native_delete_now,
};
