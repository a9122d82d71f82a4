/** Where shims listen. */
#ifndef HULL_SHIM_START_H
#define HULL_SHIM_START_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"

#define SHIM_SOCKET_DIR "/run/containerd/s"

/* What `start` gives the shim that it leaves behind. */
enum {
    LISTEN_FD = 3,
    PROGRAM_FD = 4, /* the protected program it runs from */
};

/** 1: a shim listens there; 0: nobody does, or there is no socket. */
int shim_is_served(const struct sockaddr_un *addr, struct err *e);

#endif
