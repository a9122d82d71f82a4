/*
 * Jobs: a blocking function in a child cloned from the caller, without exec. The child reports one
 * message (result or error, with descriptors) and exits; see runtime.h.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/process.h"
#include "runtime/runtime.h"
#include "sys/fd.h"
#include "sys/ns.h"

struct report {
    int rc;
    pid_t pid;
    bool has_pidfd, has_console;
    struct err err;
};

/* One job: which function, with which arguments. */
struct order {
    const struct hullrun_create_opts *create;
    const struct hullrun_exec_opts *exec;
    const struct hullrun_criu_opts *criu;
    int (*work)(const struct order *o, struct hullrun_result *out, struct err *e);
    const char *root, *id;
    int signo;
    bool flag;
    const struct oci_resources *resources;
};

static void report(int sock, const struct hullrun_result *r, int rc, const struct err *e)
{
    struct report m = {.rc = rc,
                       .pid = r->pid,
                       .has_pidfd = r->pidfd >= 0,
                       .has_console = r->console >= 0,
                       .err = *e};
    int fds[2];
    size_t n = 0;
    if (m.has_pidfd)
        fds[n++] = r->pidfd;
    if (m.has_console)
        fds[n++] = r->console;
    (void)fd_send(sock, &m, sizeof(m), fds, n); /* a caller that has gone gets nothing */
}

static _Noreturn void perform(const struct order *o, int sock)
{
    struct hullrun_result result = {0, -1, -1};
    struct err e = {0};
    const struct hullrun_io *io = o->create != NULL ? &o->create->io
                                  : o->exec != NULL ? &o->exec->io
                                                    : NULL;
    int keep[5] = {sock, -1, -1, -1, -1};
    if (io != NULL) {
        memcpy(keep + 1, io->fd, sizeof(io->fd));
        keep[4] = io->console_sock;
    }
    process_close_fds(io != NULL ? io->preserve_fds : 0, keep, ARRAY_LEN(keep));
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    int rc = o->work(o, &result, &e);
    report(sock, &result, rc, &e);
    _exit(rc < 0);
}

static int begin(const struct order *o, struct hullrun_job *out, struct err *e)
{
    int sock[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
        return err_sys(e, "socketpair");
    pid_t pid = ns_clone(0, -1, NULL);
    if (pid == 0)
        perform(o, sock[1]);
    fd_close(sock[1]);
    if (pid < 0) {
        fd_close(sock[0]);
        return err_neg(e, pid, "clone");
    }
    *out = (struct hullrun_job){pid, sock[0]};
    return 0;
}

/* ---- the functions -------------------------------------------------------------------------- */

static int work_create(const struct order *o, struct hullrun_result *out, struct err *e)
{
    return hullrun_create(o->create, out, e);
}
static int work_exec(const struct order *o, struct hullrun_result *out, struct err *e)
{
    return hullrun_exec(o->exec, out, e);
}
static int work_start(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return hullrun_start(o->root, o->id, e);
}
static int work_kill(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return hullrun_kill(o->root, o->id, o->signo, o->flag, e);
}
static int work_delete(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return hullrun_delete(o->root, o->id, o->flag, e);
}
static int work_pause(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return (o->flag ? hullrun_pause : hullrun_resume)(o->root, o->id, e);
}
static int work_checkpoint(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return hullrun_checkpoint(o->root, o->id, o->criu, NULL, e);
}
static int work_restore(const struct order *o, struct hullrun_result *out, struct err *e)
{
    return hullrun_restore(o->create, o->criu, out, e);
}
static int work_update(const struct order *o, struct hullrun_result *out, struct err *e)
{
    (void)out;
    return hullrun_update(o->root, o->id, o->resources, e);
}

int hullrun_create_begin(const struct hullrun_create_opts *o, struct hullrun_job *out,
                         struct err *e)
{
    return begin(&(struct order){.work = work_create, .create = o}, out, e);
}

int hullrun_exec_begin(const struct hullrun_exec_opts *o, struct hullrun_job *out, struct err *e)
{
    return begin(&(struct order){.work = work_exec, .exec = o}, out, e);
}

int hullrun_start_begin(const char *root, const char *id, struct hullrun_job *out, struct err *e)
{
    return begin(&(struct order){.work = work_start, .root = root, .id = id}, out, e);
}

int hullrun_kill_begin(const char *root, const char *id, int signo, bool all,
                       struct hullrun_job *out, struct err *e)
{
    return begin(
        &(struct order){.work = work_kill, .root = root, .id = id, .signo = signo, .flag = all},
        out, e);
}

int hullrun_delete_begin(const char *root, const char *id, bool force, struct hullrun_job *out,
                         struct err *e)
{
    return begin(&(struct order){.work = work_delete, .root = root, .id = id, .flag = force}, out,
                 e);
}

int hullrun_pause_begin(const char *root, const char *id, bool pause, struct hullrun_job *out,
                        struct err *e)
{
    return begin(&(struct order){.work = work_pause, .root = root, .id = id, .flag = pause}, out,
                 e);
}

int hullrun_checkpoint_begin(const char *root, const char *id, const struct hullrun_criu_opts *o,
                             struct hullrun_job *out, struct err *e)
{
    return begin(&(struct order){.work = work_checkpoint, .root = root, .id = id, .criu = o}, out,
                 e);
}

int hullrun_restore_begin(const struct hullrun_create_opts *create,
                          const struct hullrun_criu_opts *o, struct hullrun_job *out, struct err *e)
{
    return begin(&(struct order){.work = work_restore, .create = create, .criu = o}, out, e);
}

int hullrun_update_begin(const char *root, const char *id, const struct oci_resources *r,
                         struct hullrun_job *out, struct err *e)
{
    return begin(&(struct order){.work = work_update, .root = root, .id = id, .resources = r}, out,
                 e);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void reap(struct hullrun_job *job)
{
    while (job->pid > 0 && waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    fd_close(job->fd);
    *job = (struct hullrun_job)HULLRUN_JOB_NONE;
}

int hullrun_job_finish(struct hullrun_job *job, struct hullrun_result *out, struct err *e)
{
    struct report m = {0};
    int fds[2] = {-1, -1};
    size_t n_fds = 0, at = 0;
    struct hullrun_result r = {0, -1, -1};
    ssize_t n = fd_recv(job->fd, &m, sizeof(m), fds, 2, &n_fds);
    reap(job);
    if (n != (ssize_t)sizeof(m))
        return err_set(e, ERR_INTERNAL, "the runtime's process died without an answer");
    r.pid = m.pid;
    if (m.has_pidfd && at < n_fds)
        r.pidfd = fds[at++];
    if (m.has_console && at < n_fds)
        r.console = fds[at++];
    if (m.rc < 0) {
        *e = m.err;
        hullrun_result_done(&r);
        return -1;
    }
    if (out != NULL)
        *out = r;
    else
        hullrun_result_done(&r);
    return 0;
}

void hullrun_job_reaped(struct hullrun_job *job)
{
    job->pid = 0;
}

void hullrun_job_cancel(struct hullrun_job *job)
{
    if (job->pid > 0)
        (void)kill(job->pid, SIGKILL); /* not yet reaped, so the number is still its own */
    reap(job);
}
