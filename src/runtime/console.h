/**
 * The terminal of a process: made from the container's own devpts, its master sent to the caller.
 */
#ifndef HULL_RUNTIME_CONSOLE_H
#define HULL_RUNTIME_CONSOLE_H

#include "base/err.h"
#include "types/oci_runtime.h"

/**
 * In the container, after its root is "/": open a new pty, make its other side stdin, stdout,
 * stderr and the controlling terminal of this session, and hand the master over.
 *
 * size      may be NULL.
 * sock      gets one message: the name ("/dev/pts/0") and the master.
 * bind_dev  also put it on /dev/console (init process only).
 */
int console_setup(const struct oci_console_size *size, int sock, bool bind_dev, struct err *e);

#endif
