/*
 * The first process: see init.h. A recipe from top to bottom; each step is a function elsewhere.
 * The order is that of runtime-spec runtime.md "Lifecycle".
 */
#include "runtime/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/console.h"
#include "runtime/keyring.h"
#include "runtime/oplog.h"
#include "runtime/rootfs.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

_Noreturn void init_fail(int sync, const struct err *e)
{
    struct err ignored = {0};
    (void)sync_send(sync, SYNC_ERROR, e, &ignored); /* nobody listening: nothing more to do */
    _exit(1);
}

int init_clean(const struct hullrun_io *io, struct err *e)
{
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            (void)signal(sig, SIG_DFL); /* a caller that ignores SIGPIPE would pass that on */
    sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
    umask(022); /* whatever the caller's is: directories that we make are for everyone */
    TRY(process_stdio(io->fd, e));
    if (setsid() < 0)
        return err_sys(e, "setsid");
    return 0;
}

/* Root of a new or joined user namespace. */
static int become_root(struct err *e)
{
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return err_sys(e, "become root of the user namespace");
    (void)syscall(SYS_setgroups, 0, NULL); /* denied to ordinary users */
    return 0;
}

static int new_keyring(const struct init *i, int proc_fd, struct err *e)
{
    if (i->o->no_new_keyring)
        return 0;
    TRY(keyring_join(i->o->id, i->spec->process->selinux_label, proc_fd, e));
    keyring_share();
    return 0;
}

static int loopback_up(struct err *e)
{
    struct ifreq req = {.ifr_name = "lo"};
    auto_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return err_sys(e, "socket");
    req.ifr_flags = IFF_UP;
    return ioctl(sock, SIOCSIFFLAGS, &req) < 0 ? err_sys(e, "bring lo up") : 0;
}

static int clone_outside(void *arg, const struct rootfs_clone_order *order)
{
    int sync = *(int *)arg, fd = -1;
    struct err e = {0};
    struct sync_msg m = {.kind = SYNC_CLONE, .clone = *order};
    size_t n = strlen(order->path) + 1;
    if (n > sizeof(m.err.msg))
        return -ENAMETOOLONG;
    memcpy(m.err.msg, order->path, n);
    int rc = fd_send(sync, &m, offsetof(struct sync_msg, err.msg) + n, NULL, 0);
    if (rc < 0)
        return rc;
    if (sync_recv(sync, &m, &fd, &e) <= 0)
        return -EPIPE;
    return fd >= 0 ? fd : m.sys;
}

/* stdio that is the host's /dev/null becomes the container's. */
static int reopen_null(struct err *e)
{
    struct stat st;
    for (int fd = 0; fd <= 2; fd++) {
        if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != 0x103)
            continue;
        auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (null < 0)
            return 0; /* a container without /dev/null keeps the host's */
        if (fstat(null, &st) < 0 || st.st_rdev != 0x103 || dup2(null, fd) < 0)
            return err_set(e, ERR_INVALID, "/dev/null of the container is not the null device");
    }
    return 0;
}

static int set_names(const struct oci_spec *s, struct err *e)
{
    if (s->hostname != NULL && *s->hostname != '\0' &&
        sethostname(s->hostname, strlen(s->hostname)) < 0)
        return err_sys(e, "sethostname %s", s->hostname);
    if (s->domainname != NULL && *s->domainname != '\0' &&
        setdomainname(s->domainname, strlen(s->domainname)) < 0)
        return err_sys(e, "setdomainname %s", s->domainname);
    return 0;
}

static int set_sysctls(const struct init *i, int proc_fd, struct err *e)
{
    const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    for (size_t k = 0; k < i->spec->linux_->sysctl.n; k++) {
        const struct strmap_ent *ent = &i->spec->linux_->sysctl.v[k];
        char path[SPEC_SYSCTL_MAX + 4] = "sys/";
        TRY(spec_sysctl_path(ent->key, path + 4, e));
        auto_fd int fd = path_openat2(proc_fd, path, O_WRONLY, 0, resolve);
        const char *value = ent->val != NULL ? ent->val : "";
        int rc = fd < 0 ? fd : fd_write_all(fd, value, strlen(value));
        if (rc < 0)
            return err_neg(e, rc, "write sysctl key %s", ent->key);
    }
    return 0;
}

/* The parent restricts devices (for a moment to none at all on v1) and runs its hooks. */
static int wait_mounted(int sync, struct err *e)
{
    TRY(sync_send(sync, SYNC_MOUNTED, NULL, e));
    return sync_wait_go(sync, e);
}

static int build_root(const struct init *i, struct rootfs *root, int *sync, struct err *e)
{
    const struct oci_spec *s = i->spec;
    bool own_mounts = spec_ns(s, "mount") != NULL;
    root->clone_outside = clone_outside;
    root->clone_arg = sync;
    if (spec_has_mounts(s))
        TRY(rootfs_prepare(root, e));
    TRY(wait_mounted(*sync, e));
    TRY(hooks_run("createContainer", HOOK_LIST(&s->hooks->create_container), i->record, "creating",
                  getpid(), i->record->rootfs, e));
    if (!own_mounts)
        return rootfs_chroot(root, e);
    TRY(rootfs_enter(root, i->o->no_pivot, e));
    TRY(reopen_null(e));
    auto_fd int cwd = path_mkdirs_in(root->fd, s->process->cwd, 0755, e);
    return cwd < 0 ? err_wrap(e, "mkdir %s", s->process->cwd) : 0;
}

static void end_by_signal(int signo)
{
    _exit(128 + signo);
}

/* The first process of a pid namespace ignores what it has no handler for; while it is not yet the
 * user's program it shall end. The handlers are gone with execve. */
static void end_on_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)signal(signals[i], end_by_signal);
}

/* Wait for `start`: one byte through the fifo. We hold both its ends, so read blocks. */
static int wait_start(int fifo, struct err *e)
{
    char byte;
    ssize_t n;
    do
        n = read(fifo, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : err_sys(e, "wait for start");
}

static int enter_namespaces(struct init *i, int proc_fd, int sync, struct err *e)
{
    const struct oci_spec *s = i->spec;
    TRY(launch_enter_cgroup(i->launch, e));
    TRY(init_clean(&i->o->io, e));
    TRY(launch_enter(i->launch, sync, e));
    if (spec_ns(s, "user") != NULL)
        TRY(become_root(e));
    /* born into the caller's cgroup on v1, so a cgroup namespace made at birth would show that one
     */
    if ((spec_new_flags(s) & CLONE_NEWCGROUP) != 0 && unshare(CLONE_NEWCGROUP) < 0)
        return err_sys(e, "unshare the cgroup namespace");
    TRY(new_keyring(i, proc_fd, e));
    if ((spec_new_flags(s) & CLONE_NEWNET) != 0)
        TRY(loopback_up(e));
    return 0;
}

static int run(struct init *i, int sync, struct err *e)
{
    const struct oci_spec *s = i->spec;
    struct rootfs root = {.spec = s,
                          .path = i->record->rootfs,
                          .bundle = i->record->bundle,
                          .host = i->host,
                          .cgroup = i->cgroup,
                          .a = i->a,
                          .fd = -1,
                          .proc_fd = -1};
    const struct hullrun_log log = oplog_through(&i->o->log, &sync);
    TRY(rootfs_open(&root, e));
    TRY(enter_namespaces(i, root.proc_fd, sync, e));
    oplog(&log, HULLRUN_DEBUG, "child process in init()");
    TRY(build_root(i, &root, &sync, e));
    if (s->process->terminal)
        TRY(console_setup(s->process->console_size, i->console_sock,
                          (spec_ns(s, "mount") != NULL ? CONSOLE_BIND : 0) |
                              (i->o->io.plain_output ? CONSOLE_PLAIN : 0),
                          e));
    TRY(set_names(s, e));
    TRY(set_sysctls(i, root.proc_fd, e));
    if (spec_has_mounts(s)) {
        TRY(rootfs_readonly(&root, e));
        TRY(rootfs_hide(&root, e));
    }
    struct process p = {.spec = s->process,
                        .filter = i->filter,
                        .preserve_fds = i->o->io.preserve_fds,
                        .rootless = i->launch->rootless,
                        .proc_fd = root.proc_fd,
                        .sync = sync,
                        .a = i->a};
    TRY(process_attributes(&p, s->linux_, e));
    TRY(sync_send(sync, SYNC_READY, NULL, e));
    TRY(sync_wait_go(sync, e));
    rootfs_done(&root);
    const int keep[] = {sync, i->fifo};
    process_close_fds(i->o->io.preserve_fds, keep, ARRAY_LEN(keep));
    /* said before a filter can forbid it */
    oplog(&log, HULLRUN_DEBUG, "init: closing the pipe to signal completion");
    if (i->fifo >= 0)
        end_on_signals();
    TRY(process_prepare(&p, e));
    if (i->fifo >= 0) {
        fd_close(sync); /* tells the parent that the container is created */
        TRY(wait_start(i->fifo, e));
        fd_close(i->fifo);
        i->started = true;
    }
    struct hook_list hooks = HOOK_LIST(&s->hooks->start_container);
    hooks.envp = p.envp;
    TRY(hooks_run("startContainer", hooks, i->record, "created", getpid(), NULL, e));
    i->started = true;
    return process_exec(&p, e);
}

_Noreturn void init_main(void *arg, int sync)
{
    struct init *i = arg;
    struct err e = {0};
    if (run(i, sync, &e) < 0) {
        /* once started the container's own stderr hears of it, as it would of a shell's exec */
        if (i->started)
            (void)dprintf(2, "%s\n", e.msg);
        else
            init_fail(sync, &e);
    }
    _exit(255);
}
