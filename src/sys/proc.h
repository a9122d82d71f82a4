/**
 * A process that we started or adopted: its pid and a pidfd, so that signals never hit a recycled
 * number.
 */
#ifndef HULL_SYS_PROC_H
#define HULL_SYS_PROC_H

#include <sys/types.h>

#include "base/err.h"

struct proc {
    pid_t pid; /* 0: none */
    int pidfd; /* readable once the process has ended */
};

#define PROC_NONE             \
    {                         \
        .pid = 0, .pidfd = -1 \
    }

/** Open a pidfd for a running process that may not be ours. NOT_FOUND when there is none. */
int proc_open(pid_t pid, struct proc *out, struct err *e);

/** Close the pidfd; does not touch the process. NULL is fine. */
void proc_done(struct proc *p);

/** Send a signal; a process that has already ended is no error. */
int proc_kill(const struct proc *p, int signo, struct err *e);

/**
 * Wait for a child and reap it.
 *
 * timeout_ms  -1 waits for ever.
 * cancel_fd   when it becomes readable the wait ends with CANCELLED; -1: none.
 * out_status  exit code 0..255, or 128 + the signal's number; may be NULL.
 *
 * Errors: TIMEOUT, CANCELLED (the child runs on in both cases).
 */
int proc_wait(struct proc *p, int timeout_ms, int cancel_fd, int *out_status, struct err *e);

/** True while the process has not ended (a zombie has ended). */
bool proc_alive(const struct proc *p);

#endif
