/**
 * What a process is connected to: descriptors, a terminal, and sockets that want to know of it. The
 * parent's side, the same for create and exec.
 */
#ifndef HULL_RUNTIME_IO_H
#define HULL_RUNTIME_IO_H

#include "runtime/runtime.h"

/** Terminal and console fit together, descriptors to preserve are open. INVALID in runc's words. */
int io_check(const struct hullrun_io *io, bool terminal, struct err *e);

/** Tell the process of the sockets it got: LISTEN_FDS and LISTEN_PID. Source: sd_listen_fds(3). */
void io_environment(const struct hullrun_io *io, struct strv *env, struct arena *a);

/** Connect to a listening stream socket; a path of any length. */
int io_dial(const char *path, struct err *e);

/** The terminal's master that the process sent, or -1 and an error. */
int io_take_console(int sock, struct err *e);

/** Send the pidfd to whoever listens at io->pidfd_socket (if anybody should). name: "standard" or
 * "setns". */
int io_send_pidfd(const struct hullrun_io *io, const char *name, int pidfd, struct err *e);

#endif
