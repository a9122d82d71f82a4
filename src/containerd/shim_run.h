/** Running a shim's program for its actions, `start` and `delete`. Blocks: for threads that may. */
#ifndef HULL_CONTAINERD_SHIM_RUN_H
#define HULL_CONTAINERD_SHIM_RUN_H

#include "containerd/bootstrap.h"
#include "containerd/ctd.h"
#include "proto/shim.pb-c.h"
#include "rpc/pb.h"

struct shim_run {
    const struct ctd *d;
    const char *program; /* absolute path */
    const char *ns, *id;
    const char *bundle;
};

/**
 * Start a shim, or find the one of the container's group.
 *
 * options    the runtime's, handed over on stdin; NULL: none.
 * cancel_fd  readable means: give up (the program is killed); -1: none.
 *
 * Errors: UNKNOWN with what the program said, TIMEOUT, CANCELLED, bootstrap_parse's.
 */
int shim_start(const struct shim_run *s, const Pb__Any *options, int cancel_fd, struct arena *a,
               struct shim_endpoint *out, struct err *e);

/** Clean up after a shim that is gone. *out_msg: how its container ended. */
int shim_delete(const struct shim_run *s, struct arena *a, Shim__DeleteResponse **out_msg,
                struct err *e);

#endif
