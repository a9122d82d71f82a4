/*
 * Starting the process: see launch.h. Normally one clone3 makes it with all its new namespaces.
 * Only when a user namespace is involved together with namespaces to join, or with a new time
 * namespace, is there a helper in between, because those must be entered before (or made inside)
 * the user namespace; it uses CLONE_PARENT, so the process is our child all the same.
 */
#include "runtime/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/ns.h"
#include "sys/path.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int sync_send(int sock, enum sync_kind kind, const struct err *err, struct err *e)
{
    struct sync_msg m = {.kind = kind};
    if (err != NULL)
        m.err = *err;
    /* the text's unused end stays at home */
    size_t n = err == NULL ? offsetof(struct sync_msg, err)
                           : offsetof(struct sync_msg, err.msg) + strlen(err->msg) + 1;
    int rc = fd_send(sock, &m, n, NULL, 0);
    return rc < 0 ? err_neg(e, rc, "talk to the container's process") : 0;
}

int sync_recv(int sock, struct sync_msg *out, int *out_fd, struct err *e)
{
    size_t n_fds = 0;
    int fd = -1;
    memset(out, 0, sizeof(*out));
    ssize_t n = fd_recv(sock, out, sizeof(*out), &fd, out_fd != NULL ? 1 : 0, &n_fds);
    if (out_fd != NULL)
        *out_fd = n_fds > 0 ? fd : -1;
    if (n == -ECONNRESET)
        return 0;
    if (n < 0)
        return err_neg(e, (int)n, "talk to the container's process");
    out->err.msg[sizeof(out->err.msg) - 1] = '\0';
    return n > 0;
}

int sync_listener(int sock, int listener, struct err *e)
{
    struct sync_msg m = {.kind = SYNC_LISTENER, .sys = listener};
    int rc = fd_write_all(sock, &m, offsetof(struct sync_msg, err));
    return rc < 0 ? err_neg(e, rc, "talk to the runtime") : sync_wait_go(sock, e);
}

int sync_wait_go(int sock, struct err *e)
{
    struct sync_msg m;
    int r = sync_recv(sock, &m, NULL, e);
    if (r == 0 || (r > 0 && m.kind != SYNC_GO))
        return err_set(e, ERR_CANCELLED, "the runtime has gone away");
    return r < 0 ? -1 : 0;
}

/* ---- entering ----------------------------------------------------------------------------- */

static bool has_user(const struct launch *l)
{
    bool user = (l->new_flags & CLONE_NEWUSER) != 0;
    for (size_t i = 0; i < l->n_joins; i++)
        user |= (l->joins[i].flags & CLONE_NEWUSER) != 0;
    return user;
}

static int join_failed(struct err *e)
{
    return err_sys(e, "failed to setns into the namespaces of the container");
}

/* Everything but the user namespace first, with the rights we have; then that; then the rest. */
static int enter_all(const struct launch *l, struct err *e)
{
    bool done[ARRAY_LEN(l->joins)] = {false};
    for (size_t i = 0; i < l->n_joins; i++) {
        unsigned rest = l->joins[i].flags & ~(unsigned)CLONE_NEWUSER;
        done[i] = rest == 0 || setns(l->joins[i].fd, (int)rest) == 0;
        if (!done[i] && errno != EPERM)
            return join_failed(e);
    }
    for (size_t i = 0; i < l->n_joins; i++)
        if ((l->joins[i].flags & CLONE_NEWUSER) != 0 && setns(l->joins[i].fd, CLONE_NEWUSER) < 0)
            return join_failed(e);
    for (size_t i = 0; i < l->n_joins; i++)
        if (!done[i] &&
            setns(l->joins[i].fd, (int)(l->joins[i].flags & ~(unsigned)CLONE_NEWUSER)) < 0)
            return join_failed(e);
    return 0;
}

int launch_enter_cgroup(struct launch *l, struct err *e)
{
    if (l->before.set)
        TRY(affinity_apply(&l->before, e));
    int rc = cgroup_door_enter(&l->door, e);
    cgroup_door_close(&l->door);
    TRY(rc);
    return affinity_apply(&l->after, e);
}

int launch_enter(const struct launch *l, int sync, struct err *e)
{
    TRY(sync_wait_go(sync, e));
    if (l->rootless)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (has_user(l)) /* the helper has joined, or there was nothing to join */
        return 0;
    for (size_t i = 0; i < l->n_joins; i++) {
        unsigned flags = l->joins[i].flags & ~(unsigned)CLONE_NEWPID;
        if (flags != 0 && setns(l->joins[i].fd, (int)flags) < 0)
            return join_failed(e);
    }
    return 0;
}

/* ---- starting ----------------------------------------------------------------------------- */

/*
 * A new time namespace of a new user namespace belongs to that one, and its offsets must stand
 * before anything is born in it; so here the helper makes both. Returns the flags that are left.
 */
static int make_time_ns(const struct launch *l, int offsets_fd, unsigned *left, struct err *e)
{
    *left = l->new_flags;
    if ((l->new_flags & CLONE_NEWTIME) == 0)
        return 0;
    *left &= ~(unsigned)(CLONE_NEWTIME | CLONE_NEWUSER);
    if ((l->new_flags & CLONE_NEWUSER) != 0 && unshare(CLONE_NEWUSER) < 0)
        return err_sys(e, "unshare the user namespace");
    if (unshare(CLONE_NEWTIME) < 0)
        return err_sys(e, "unshare the time namespace");
    if (l->time_offsets == NULL)
        return 0;
    int rc = fd_write_all(offsets_fd, l->time_offsets, strlen(l->time_offsets));
    return rc < 0 ? err_neg(e, rc, "write timens_offsets") : 0;
}

static int be_helper(const struct launch *l, int sync, struct err *e)
{
    unsigned left;
    struct sync_msg m = {.kind = SYNC_PID};
    /* opened with the rights we still have, and where /proc is still ours */
    auto_fd int offsets_fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (offsets_fd < 0 && l->time_offsets != NULL)
        return err_sys(e, "open timens_offsets");
    TRY(enter_all(l, e));
    TRY(make_time_ns(l, offsets_fd, &left, e));
    m.pid = ns_clone(left | CLONE_PARENT, -1, NULL); /* in the cgroup that we were born in */
    if (m.pid == 0) {
        fd_close(take_fd(&offsets_fd));
        l->child(l->arg, sync);
    }
    if (m.pid < 0)
        return err_neg(e, m.pid, "clone");
    int rc = fd_send(sync, &m, offsetof(struct sync_msg, err), NULL, 0);
    return rc < 0 ? err_neg(e, rc, "talk to the runtime") : 0;
}

static _Noreturn void helper(const struct launch *l, int sync)
{
    struct err e = {0};
    if (be_helper(l, sync, &e) == 0)
        _exit(0);
    _exit(sync_send(sync, SYNC_ERROR, &e, &e) < 0);
}

static int through_helper(const struct launch *l, int sock[2], struct child *out, struct err *e)
{
    struct sync_msg m;
    /* into the cgroup with our rights: those of a user namespace may not do */
    pid_t pid = ns_clone(0, l->door.born, NULL);
    if (pid == 0) {
        fd_close(sock[0]);
        helper(l, sock[1]);
    }
    if (pid < 0)
        return err_neg(e, pid, "clone");
    fd_close(take_fd(&sock[1]));
    int r = sync_recv(sock[0], &m, NULL, e);
    (void)waitpid(pid, NULL, 0);
    if (r == 0)
        return err_set(e, ERR_INTERNAL, "the helper that enters namespaces has died");
    if (r > 0 && m.kind == SYNC_ERROR) {
        *e = m.err;
        r = -1;
    }
    TRY(r);
    /* m.pid is a number in our pid namespace only when the helper did not leave it; it has not,
     * only its children have */
    out->pid = m.pid;
    out->pidfd = pidfd_open(m.pid, 0);
    return out->pidfd < 0 ? err_sys(e, "pidfd") : 0;
}

/* The pid and time namespaces of children are set in the parent, and set back. */
struct for_children {
    int pid_ns, time_ns;
};

static int prepare_children(const struct launch *l, struct for_children *saved, struct err *e)
{
    for (size_t i = 0; i < l->n_joins; i++) {
        if ((l->joins[i].flags & CLONE_NEWPID) == 0)
            continue;
        saved->pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (saved->pid_ns < 0 || setns(l->joins[i].fd, CLONE_NEWPID) < 0)
            return join_failed(e);
    }
    if ((l->new_flags & CLONE_NEWTIME) == 0)
        return 0;
    saved->time_ns = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
    if (saved->time_ns < 0 || unshare(CLONE_NEWTIME) < 0)
        return err_sys(e, "unshare the time namespace");
    int rc = l->time_offsets == NULL
                 ? 0
                 : file_put(AT_FDCWD, "/proc/self/timens_offsets", l->time_offsets);
    return rc < 0 ? err_neg(e, rc, "write timens_offsets") : 0;
}

static void restore_children(struct for_children *saved)
{
    if (saved->pid_ns >= 0)
        (void)setns(saved->pid_ns, CLONE_NEWPID); /* our own: always allowed */
    if (saved->time_ns >= 0)
        (void)setns(saved->time_ns, CLONE_NEWTIME);
    fd_close(saved->pid_ns);
    fd_close(saved->time_ns);
}

static int direct(const struct launch *l, int sock[2], struct child *out, struct err *e)
{
    struct for_children saved = {-1, -1};
    int rc = prepare_children(l, &saved, e);
    if (rc == 0) {
        pid_t pid = ns_clone(l->new_flags & ~(unsigned)CLONE_NEWTIME, l->door.born, &out->pidfd);
        if (pid == 0) {
            fd_close(sock[0]);
            l->child(l->arg, sock[1]);
        }
        if (pid < 0)
            rc = err_neg(e, pid, "clone");
        else
            out->pid = pid;
    }
    restore_children(&saved);
    return rc;
}

int launch(const struct launch *l, struct child *out, struct err *e)
{
    int sock[2];
    bool user = has_user(l);
    *out = (struct child)CHILD_NONE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
        return err_sys(e, "socketpair");
    bool helped = user && (l->n_joins > 0 || (l->new_flags & CLONE_NEWTIME) != 0);
    int rc = (helped ? through_helper : direct)(l, sock, out, e);
    fd_close(sock[1]);
    if (rc < 0) {
        fd_close(sock[0]);
        return -1;
    }
    out->sync = sock[0];
    return 0;
}

void launch_abort(struct child *c)
{
    if (c->pid > 0) {
        (void)pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    fd_close(c->pidfd);
    fd_close(c->sync);
    *c = (struct child)CHILD_NONE;
}
