/**
 * hulld's own hull-containerd: started with the daemon, started again when it dies, found again
 * after the daemon itself was killed.
 */
#ifndef HULL_DAEMON_SUPERVISE_H
#define HULL_DAEMON_SUPERVISE_H

#include "base/err.h"

struct supervisor;

struct supervisor_opts {
    const char *program; /* path of hull-containerd */
    const char *root;    /* its --root */
    const char *state;   /* its --state */
    const char *address; /* its socket */
    const char *pidfile;
    const char *log_level;
};

/**
 * Start it, or adopt the one that runs with this pidfile and program; then watch it from a thread
 * of its own. Everything in o is borrowed until supervisor_free.
 */
int supervisor_start(const struct supervisor_opts *o, struct supervisor **out, struct err *e);

/** Ask it to end, wait up to 10 s, then kill it. Containers run on. NULL is fine. */
void supervisor_free(struct supervisor *s);

#endif
