/**
 * Running containers: a shim each, started, called, adopted after a restart, cleaned up when dead.
 * The Tasks service and what it stands on.
 */
#ifndef HULL_CONTAINERD_TASKS_H
#define HULL_CONTAINERD_TASKS_H

#include "containerd/ctd.h"

struct tasks;

/**
 * Begin: adopt the shims whose bundles lie below the state directory, clean up after dead ones (in
 * the background), and serve ttrpc's Events/Forward on the daemon's ttrpc socket. d is borrowed.
 */
int tasks_new(struct ctd *d, struct tasks **out, struct err *e);

/** Let go of all shims; they and their containers run on. After the gRPC server's end. NULL is
 * fine. */
void tasks_free(struct tasks *t);

/** Register the Tasks service. */
void service_tasks_add(struct grpc_server *s);

#endif
