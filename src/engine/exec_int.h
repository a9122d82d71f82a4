/** An exec, as exec.c and exec_run.c see it. */
#ifndef HULL_ENGINE_EXEC_INT_H
#define HULL_ENGINE_EXEC_INT_H

#include "engine/core.h"
#include "engine/exec.h"
#include "types/exec.h"

struct exec {
    atomic_int refs;
    char id[65];
    struct container *c; /* a reference */
    struct arena *arena;
    struct exec_create d;
    int ended_fd; /* eventfd, written when it has ended */
    pthread_mutex_t lock;
    /* guarded by lock */
    bool taken; /* somebody starts it */
    bool running, started;
    int64_t exit_code, ended_ns, pid;
};

struct exec *exec_ref(struct exec *x);

/** It has ended with code; the first one counts. */
void exec_end(struct exec *x, int code);

/** Raise exec_create, exec_start, exec_die, exec_detach. exit_code NULL: none. */
void exec_event(struct exec *x, const char *action, bool with_command, const char *exit_code);

void exec_remove_fifos(struct exec *x);

#endif
