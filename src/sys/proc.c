/* Processes by pidfd: see proc.h. */
#include "sys/proc.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/time.h"
#include "sys/fd.h"

int proc_open(pid_t pid, struct proc *out, struct err *e)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        err_sys(e, "open process %d", (int)pid);
        if (e->sys == ESRCH)
            e->kind = ERR_NOT_FOUND;
        return -1;
    }
    *out = (struct proc){pid, fd};
    return 0;
}

void proc_done(struct proc *p)
{
    if (p == NULL)
        return;
    fd_close(p->pidfd);
    *p = (struct proc)PROC_NONE;
}

int proc_kill(const struct proc *p, int signo, struct err *e)
{
    if (pidfd_send_signal(p->pidfd, signo, NULL, 0) == 0 || errno == ESRCH)
        return 0;
    return err_sys(e, "signal process %d", (int)p->pid);
}

bool proc_alive(const struct proc *p)
{
    struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};
    return p->pidfd >= 0 && poll(&pfd, 1, 0) == 0;
}

static int reap(struct proc *p, int *out_status, struct err *e)
{
    siginfo_t si = {0};
    int r;
    do
        r = waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_sys(e, "wait for process %d", (int)p->pid);
    if (out_status != NULL)
        *out_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
    return 0;
}

int proc_wait(struct proc *p, int timeout_ms, int cancel_fd, int *out_status, struct err *e)
{
    int64_t deadline = timeout_ms < 0 ? 0 : time_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        struct pollfd pfd[] = {{.fd = p->pidfd, .events = POLLIN},
                               {.fd = cancel_fd, .events = POLLIN}};
        int64_t left =
            timeout_ms < 0 ? -1 : (deadline - time_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int n = poll(pfd, 2, timeout_ms < 0 ? -1 : (int)MAX(left, 0));
        if (n < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (n > 0 && pfd[0].revents != 0)
            return reap(p, out_status, e);
        if (n > 0 && pfd[1].revents != 0)
            return err_set(e, ERR_CANCELLED, "context canceled");
        if (timeout_ms >= 0 && left <= 0)
            return err_set(e, ERR_TIMEOUT, "process %d did not end in %d ms", (int)p->pid,
                           timeout_ms);
    }
}
