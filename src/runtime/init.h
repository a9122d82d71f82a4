/**
 * The container's first process: everything between its birth and the user's program.
 */
#ifndef HULL_RUNTIME_INIT_H
#define HULL_RUNTIME_INIT_H

#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/process.h"

/* All that the first process needs; it is a copy of the parent, so plain pointers do. */
struct init {
    const struct hullrun_create_opts *o;
    const struct oci_spec *spec;
    struct launch *launch;
    struct record *record;
    const struct cgroup_host *host;
    const struct cgroup *cgroup;
    struct seccomp_program *filter; /* shared with the parent, filled by it before READY's answer */
    int console_sock;               /* or -1 */
    int fifo;                       /* read end of exec.fifo; -1: start at once */
    bool started;                   /* set by the process itself */
    struct arena *a;
};

/** For launch.child, with a struct init. Reports errors over sync and exits. */
_Noreturn void init_main(void *arg, int sync);

/** Signals and descriptors as a fresh program expects them; then a session of its own. */
int init_clean(const struct hullrun_io *io, struct err *e);

/** Report over sync and exit. */
_Noreturn void init_fail(int sync, const struct err *e);

#endif
