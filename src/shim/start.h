/** Where shims listen. */
#ifndef HULL_SHIM_START_H
#define HULL_SHIM_START_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

#define SHIM_SOCKET_DIR "/run/containerd/s"

/** 1: a shim listens there; 0: nobody does, or there is no socket. */
int shim_is_served(const struct sockaddr_un *addr, struct err *e);

#endif
