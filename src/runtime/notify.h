/**
 * A service manager's readiness protocol (sd_notify) through a container: the program inside gets a
 * socket of ours in place of the manager's, and what it says is passed on when it is "ready".
 * Source: sd_notify(3), systemd.service(5) "Type=notify".
 */
#ifndef HULL_RUNTIME_NOTIFY_H
#define HULL_RUNTIME_NOTIFY_H

#include <sys/types.h>

#include "base/err.h"
#include "types/oci_runtime.h"

#define NOTIFY_PLACE "/run/notify" /* where the container has it */

/**
 * For create: make notify/ in the container's state directory (dir_fd, absolute path dir) and give
 * the program a mount of it, NOTIFY_PLACE, and NOTIFY_SOCKET.
 */
int notify_prepare(int dir_fd, const char *dir, struct oci_spec *spec, struct arena *a,
                   struct err *e);

/** Whether that was done for the container of this state directory. */
bool notify_prepared(int dir_fd);

/** Bind the socket in it: before the program runs. The descriptor, non-blocking. */
int notify_listen(int dir_fd, struct err *e);

/**
 * Read what the program says; once it is ready, tell the manager at manager (the value of our own
 * NOTIFY_SOCKET) so, and that main_pid is the service's process, and wait at most 30 s until it has
 * taken note. 1 when that was done, 0 when there is nothing yet. Does not fail: a manager that has
 * gone away wants no news.
 */
int notify_relay(int sock, const char *manager, pid_t main_pid);

/** The same, waiting for it: until the program is ready or the process (pidfd) has ended. */
void notify_wait(int sock, const char *manager, pid_t main_pid, int pidfd);

#endif
