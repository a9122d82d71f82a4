/** Attaching to containers: one thread (the client's) pumps both directions. */
#ifndef HULL_ENGINE_ATTACH_H
#define HULL_ENGINE_ATTACH_H

#include "engine/container.h"
#include "rpc/stream.h"

struct attach_opts {
    bool in, out, err;       /* streams wanted */
    bool logs;               /* replay the log first */
    bool stream;             /* stay attached; else end after the logs */
    const char *detach_keys; /* NULL: ctrl-p,ctrl-q */
};

struct attachment;

/**
 * First step, before the client is answered: check that attaching is possible and register, so that
 * no byte is missed from here on, also of a container that is started only later.
 *
 * out_multiplexed  true: the output is framed (no terminal); the content type depends on it.
 * Errors: CONFLICT (paused, restarting), INVALID (detach keys).
 */
int attachment_new(struct container *c, const struct attach_opts *o, struct attachment **out,
                   bool *out_multiplexed, struct err *e);

/**
 * Second step: pump from this thread until the container's output ends, the client is gone or
 * detaches. client is the hijacked connection (borrowed; half-close is passed on). Errors are of
 * our side only and may be shown to the client.
 */
int attachment_run(struct attachment *a, struct stream *client, struct err *e);

/** Withdraw and free, after attachment_run or without it. NULL is fine. */
void attachment_free(struct attachment *a);

#endif
