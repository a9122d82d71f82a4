/** Unix sockets by path: their addresses; connecting within a time, listening in the place of a
 * server that is gone. */
#ifndef HULL_SYS_SOCK_H
#define HULL_SYS_SOCK_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"

/**
 * The address of the socket at path, or of the abstract one "@name".
 * Returns how many bytes of it count, or -1: INVALID (empty or too long).
 */
int sock_address(const char *path, struct sockaddr_un *out, struct err *e);

/**
 * Connect to the socket at path; "@name" is an abstract one.
 *
 * timeout_ms  how long to wait for room in the listener's backlog; 0: not at all, and the
 * descriptor is non-blocking.
 *
 * The descriptor, or -1: UNAVAILABLE (nobody listens there, or not in time; e->sys tells which),
 * INVALID (path too long).
 */
int sock_dial(const char *path, int timeout_ms, struct err *e);

/**
 * Listen at path. A socket file that nobody listens on any more is replaced.
 *
 * mode, gid  of the socket file, in force before the first client can connect; gid -1 keeps ours.
 *
 * The descriptor, or -1: EXISTS (a live server, or another kind of file), INVALID (path too long),
 * INTERNAL.
 */
int sock_listen(const char *path, mode_t mode, gid_t gid, struct err *e);

#endif
