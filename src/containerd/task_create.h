/** The calls of Tasks that have files of their own. Private to the room. */
#ifndef HULL_CONTAINERD_TASK_CREATE_H
#define HULL_CONTAINERD_TASK_CREATE_H

#include "containerd/task.h"

/* Handlers; create, delete and checkpoint block, metrics does not. */
int task_create(struct grpc_call *c, const void *req, struct err *e);
int task_delete(struct grpc_call *c, const void *req, struct err *e);
int task_checkpoint(struct grpc_call *c, const void *req, struct err *e);
int task_metrics(struct grpc_call *c, const void *req, struct err *e);

/* What a new task may be restored from. */
struct checkpoint_source {
    const char *bundle;
    const Types__Descriptor *blob; /* NULL: none */
    const Pb__Any *options;        /* may name a folder of the caller's */
};

/**
 * The folder that a new task is to be restored from, in the arena; "": it is to be a new one. A
 * blob is unpacked into the bundle, and goes with it. INVALID for one that is no checkpoint.
 */
int checkpoint_folder(struct ctd *d, const struct scope *sc, const struct checkpoint_source *from,
                      int cancel_fd, struct arena *a, const char **out, struct err *e);

#endif
