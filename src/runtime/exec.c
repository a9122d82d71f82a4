/*
 * hullrun_exec: one more process in a container that runs. It enters the namespaces of the first
 * process through its pidfd, so a recycled pid can never be entered by mistake.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/agent.h"
#include "runtime/console.h"
#include "runtime/exec_cgroup.h"
#include "runtime/init.h"
#include "runtime/keyring.h"
#include "runtime/io.h"
#include "runtime/oplog.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

struct exec {
    const struct hullrun_exec_opts *o;
    struct arena *a;
    struct record record;
    struct oci_spec spec;       /* the container's */
    struct oci_process process; /* what runs, gaps filled from spec.process */
    struct cgroup cgroup;
    struct seccomp_program *filter;
    int dir_fd, init_fd, root_fd, console[2];
    struct launch launch;
    struct child child;
};

static void exec_done(struct exec *x)
{
    fd_close(x->dir_fd);
    fd_close(x->init_fd);
    fd_close(x->root_fd);
    cgroup_door_close(&x->launch.door);
    fd_close(x->console[0]);
    fd_close(x->console[1]);
    if (x->filter != NULL)
        (void)munmap(x->filter, sizeof(*x->filter));
    arena_free(x->a);
}

static int load(struct exec *x, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(SPEC_BYTES_MAX);
    x->dir_fd = record_open(x->o->root, x->o->id, e);
    TRY(x->dir_fd);
    TRY(record_load(x->dir_fd, x->a, &x->record, e));
    enum hullrun_status status = record_status(x->dir_fd, &x->record);
    if (status == HULLRUN_STOPPED)
        return err_set(e, ERR_CONFLICT, "cannot exec in a stopped container");
    if (status == HULLRUN_PAUSED && !x->o->ignore_paused)
        return err_set(e, ERR_CONFLICT,
                       "cannot exec in a paused container (use --ignore-paused to override)");
    TRY(file_read(x->dir_fd, "config.json", &text, e));
    return spec_parse(buf_cstr(&text), text.n, x->a, &x->spec, e);
}

/* What the process file leaves open comes from the container's own process. */
static int fill_process(struct exec *x, struct err *e)
{
    const struct oci_process *base = x->spec.process;
    struct oci_process *p = &x->process;
    *p = *x->o->process;
    TRY(spec_check_process(p, e));
    if (p->capabilities == NULL)
        p->capabilities = base->capabilities;
    if (p->rlimits.n == 0)
        p->rlimits.v = base->rlimits.v, p->rlimits.n = base->rlimits.n;
    if (p->apparmor_profile == NULL || *p->apparmor_profile == '\0')
        p->apparmor_profile = base->apparmor_profile;
    if (p->selinux_label == NULL || *p->selinux_label == '\0')
        p->selinux_label = base->selinux_label;
    if (p->exec_cpu_affinity == NULL)
        p->exec_cpu_affinity = base->exec_cpu_affinity;
    if (p->scheduler == NULL)
        p->scheduler = base->scheduler;
    if (p->io_priority == NULL)
        p->io_priority = base->io_priority;
    if (p->oom_score_adj == NULL)
        p->oom_score_adj = base->oom_score_adj;
    process_warn_caps(p->capabilities, &x->o->log);
    io_environment(&x->o->io, &p->env, x->a);
    return io_check(&x->o->io, p->terminal, e);
}

static int plan_affinity(struct exec *x, struct err *e)
{
    const struct oci_cpu_affinity *a = x->process.exec_cpu_affinity;
    if (a == NULL)
        return 0;
    TRY(affinity_parse(a->initial, &x->launch.before, e));
    return affinity_parse(a->final, &x->launch.after, e);
}

static int prepare_filter(struct exec *x, struct err *e)
{
    const struct oci_seccomp *s = x->spec.linux_->seccomp;
    if (!seccomp_wanted(s))
        return 0;
    void *p =
        mmap(NULL, sizeof(*x->filter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_sys(e, "mmap");
    x->filter = p;
    return 0;
}

static int open_init(struct exec *x, struct err *e)
{
    char state, path[64];
    uint64_t start;
    pid_t pid = (pid_t)x->record.pid;
    x->init_fd = pidfd_open(pid, 0);
    /* the pidfd is that of our process if the start time still fits after it was opened */
    if (x->init_fd < 0 || !record_proc_stat(pid, &state, &start) || start != x->record.start_time)
        return err_set(e, ERR_CONFLICT, "cannot exec in a stopped container");
    unsigned flags = (unsigned)x->record.namespaces;
    if ((flags & ~(unsigned)CLONE_NEWUSER) != 0)
        x->launch.joins[x->launch.n_joins++] =
            (struct launch_join){x->init_fd, flags & ~(unsigned)CLONE_NEWUSER};
    if ((flags & CLONE_NEWUSER) != 0)
        x->launch.joins[x->launch.n_joins++] = (struct launch_join){x->init_fd, CLONE_NEWUSER};
    if ((flags & CLONE_NEWNS) != 0)
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
    x->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return x->root_fd < 0 ? err_sys(e, "open %s", path) : 0;
}

/* ---- the new process ------------------------------------------------------------------------ */

static int run(struct exec *x, int sync, struct err *e)
{
    int sock = x->o->io.want_console ? x->console[1] : x->o->io.console_sock;
    bool user = (x->record.namespaces & CLONE_NEWUSER) != 0;
    TRY(launch_enter_cgroup(&x->launch, e));
    TRY(init_clean(&x->o->io, e));
    auto_fd int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    TRY(launch_enter(&x->launch, sync, e));
    const struct hullrun_log log = oplog_through(&x->o->log, &sync);
    oplog(&log, HULLRUN_DEBUG, "child process in init()");
    if (x->root_fd >= 0 && (fchdir(x->root_fd) < 0 || chroot(".") < 0))
        return err_sys(e, "enter the container's root");
    if (chdir("/") < 0)
        return err_sys(e, "chdir to /");
    if (user && (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
        return err_sys(e, "become root of the user namespace");
    if (!x->record.no_new_keyring)
        TRY(keyring_join(x->record.id, x->process.selinux_label, proc_fd, e));
    if (x->process.terminal)
        TRY(console_setup(x->process.console_size, sock, x->o->io.plain_output ? CONSOLE_PLAIN : 0,
                          e));
    struct process p = {.spec = &x->process,
                        .filter = x->filter,
                        .preserve_fds = x->o->io.preserve_fds,
                        .rootless = x->launch.rootless,
                        .proc_fd = proc_fd,
                        .sync = sync,
                        .a = x->a};
    TRY(process_attributes(&p, x->spec.linux_, e));
    TRY(sync_send(sync, SYNC_READY, NULL, e));
    TRY(sync_wait_go(sync, e));
    process_close_fds(x->o->io.preserve_fds, &sync, 1);
    oplog(&log, HULLRUN_DEBUG, "setns_init: about to exec"); /* before a filter can forbid it */
    TRY(process_prepare(&p, e));
    return process_exec(&p, e);
}

static _Noreturn void exec_main(void *arg, int sync)
{
    struct err e = {0};
    (void)run(arg, sync, &e);
    init_fail(sync, &e);
}

/* ---- the parent ------------------------------------------------------------------------------ */

static int try_launch(struct exec *x, struct err *e)
{
    TRY(cgroup_door_open(&x->cgroup, &x->launch.door, e));
    return launch(&x->launch, &x->child, e);
}

/* v2 lets no process into a cgroup that has children with controllers (a container that runs
 * systemd), and the container may have left its own: the new process goes where the first is. */
static int launch_in_cgroup(struct exec *x, struct err *e)
{
    bool asked = x->o->cgroups != NULL && x->o->cgroups->n > 0;
    if (try_launch(x, e) == 0)
        return 0;
    if (asked)
        return err_wrap(e, "error adding pid of the new process to cgroups");
    if (x->cgroup.mode != CGROUP_V2 || x->cgroup.dirs.n == 0 ||
        (e->sys != EBUSY && e->sys != ENOENT))
        return -1;
    err_clear(e);
    cgroup_door_close(&x->launch.door);
    TRY(exec_cgroup_follow((pid_t)x->record.pid, x->a, &x->cgroup, e));
    return try_launch(x, e);
}

static int bless(struct exec *x, struct err *e)
{
    TRY(process_oom_score(x->child.pid, &x->process, e));
    TRY(sync_send(x->child.sync, SYNC_GO, NULL, e));
    return x->filter != NULL
               ? seccomp_build_cached(x->o->root, x->spec.linux_->seccomp, x->filter, e)
               : 0;
}

static int converse(struct exec *x, struct err *e)
{
    bool ready = false;
    for (;;) {
        struct sync_msg m;
        int r = sync_recv(x->child.sync, &m, NULL, e);
        TRY(r);
        if (r == 0)
            return ready ? 0 : err_set(e, ERR_INTERNAL, "the process died before it could run");
        if (m.kind == SYNC_ERROR) {
            *e = m.err;
            return -1;
        }
        if (m.kind == SYNC_LINE) {
            oplog_relay(&x->o->log, &m);
            continue;
        }
        if (m.kind == SYNC_LISTENER && ready) {
            struct oci_state s = record_oci_state(&x->record, "running", (pid_t)x->record.pid);
            TRY(agent_introduce(x->spec.linux_->seccomp, &s, &x->child, m.sys, e));
            continue;
        }
        if (m.kind != SYNC_READY)
            return err_set(e, ERR_INTERNAL, "unexpected message from the process");
        TRY(process_rlimits(x->child.pid, &x->process, e));
        TRY(io_send_pidfd(&x->o->io, "setns", x->child.pidfd, e));
        TRY(sync_send(x->child.sync, SYNC_GO, NULL, e));
        ready = true;
    }
}

static int start(struct exec *x, struct hullrun_result *out, struct err *e)
{
    if (x->o->io.want_console && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, x->console) < 0)
        return err_sys(e, "socketpair");
    x->launch.child = exec_main;
    x->launch.arg = x;
    x->launch.rootless = geteuid() != 0;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the container can see us once we are inside */
    oplog(&x->o->log, HULLRUN_DEBUG, "nsexec container setup: %zu namespaces to join",
          x->launch.n_joins);
    TRY(launch_in_cgroup(x, e));
    if (x->launch.before.set && x->o->log.debug)
        oplog(&x->o->log, HULLRUN_DEBUG, "nsexec[%d]: affinity: %s", (int)x->child.pid,
              affinity_text(&x->launch.before, x->a));
    cgroup_door_close(&x->launch.door);
    TRY(bless(x, e));
    TRY(converse(x, e));
    int console = -1;
    if (x->o->io.want_console) {
        console = io_take_console(x->console[0], e);
        TRY(console);
    }
    if (x->o->pid_file != NULL && record_pid_file(x->o->pid_file, x->child.pid, e) < 0) {
        fd_close(console);
        return -1;
    }
    fd_close(x->child.sync);
    *out = (struct hullrun_result){x->child.pid, x->child.pidfd, console};
    x->child = (struct child)CHILD_NONE;
    return 0;
}

int hullrun_exec(const struct hullrun_exec_opts *o, struct hullrun_result *out, struct err *e)
{
    struct exec x = {.o = o,
                     .a = arena_new(),
                     .dir_fd = -1,
                     .init_fd = -1,
                     .root_fd = -1,
                     .launch.door = CGROUP_DOOR_NONE,
                     .console = {-1, -1},
                     .child = CHILD_NONE};
    int rc = load(&x, e);
    if (rc == 0)
        rc = fill_process(&x, e);
    if (rc == 0)
        rc = exec_cgroup_plan(&x.record, o->cgroups, x.a, &x.cgroup, e);
    if (rc == 0)
        rc = plan_affinity(&x, e);
    if (rc == 0)
        rc = prepare_filter(&x, e);
    if (rc == 0)
        rc = open_init(&x, e);
    if (rc == 0 && start(&x, out, e) < 0)
        rc = err_wrap(e, "unable to start container process");
    launch_abort(&x.child);
    exec_done(&x);
    return rc;
}
