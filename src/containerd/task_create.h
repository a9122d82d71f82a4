/** The calls of Tasks that have files of their own. Private to the room. */
#ifndef HULL_CONTAINERD_TASK_CREATE_H
#define HULL_CONTAINERD_TASK_CREATE_H

#include "containerd/task.h"

/* Handlers; create and delete block, metrics does not. */
int task_create(struct grpc_call *c, const void *req, struct err *e);
int task_delete(struct grpc_call *c, const void *req, struct err *e);
int task_metrics(struct grpc_call *c, const void *req, struct err *e);

#endif
