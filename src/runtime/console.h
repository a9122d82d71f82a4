/**
 * The terminal of a process: made from the container's own devpts, its master sent to the caller.
 */
#ifndef HULL_RUNTIME_CONSOLE_H
#define HULL_RUNTIME_CONSOLE_H

#include "base/err.h"
#include "types/oci_runtime.h"

enum {
    CONSOLE_BIND = 1,  /* put it on /dev/console, too (init process only) */
    CONSOLE_PLAIN = 2, /* no carriage returns: a terminal that it is copied to adds them */
};

/**
 * In the container, after its root is "/": open a new pty, make its other side stdin, stdout,
 * stderr and the controlling terminal of this session, and hand the master over.
 *
 * size   may be NULL.
 * sock   gets one message: the name ("/dev/pts/0") and the master.
 * flags  CONSOLE_*.
 */
int console_setup(const struct oci_console_size *size, int sock, unsigned flags, struct err *e);

/** CONSOLE_PLAIN for a terminal that is there: no carriage returns. */
int console_plain(int master, struct err *e);

#endif
