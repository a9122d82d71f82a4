/**
 * Attaching to containers: one thread (the client's) pumps both directions. The client's side is an
 * interface, so that sockets, TLS and WebSockets look alike.
 */
#ifndef HULL_ENGINE_ATTACH_H
#define HULL_ENGINE_ATTACH_H

#include <sys/types.h>

#include "engine/container.h"

/* The client's side of a hijacked connection. */
struct duplex {
    int fd;                     /* to poll for input and hang-up */
    bool (*pending)(void *arg); /* bytes are buffered already, do not wait in poll; may be NULL */
    /* At most n bytes that are there, without waiting for more: > 0; 0: the client has half-closed
     * (no more will come, it still reads); -EAGAIN: nothing yet; other negatives: it is gone. */
    ssize_t (*read)(void *arg, void *p, size_t n);
    /* All n bytes; waits for a slow client. 0, or -1: it is gone. */
    int (*write)(void *arg, const void *p, size_t n);
    void *arg;
};

struct attach_opts {
    bool in, out, err;       /* streams wanted */
    bool logs;               /* replay the log first */
    bool stream;             /* stay attached; else end after the logs */
    const char *detach_keys; /* NULL: ctrl-p,ctrl-q */
};

struct attach;

/**
 * First step, before the client is answered: check that attaching is possible and register, so that
 * no byte is missed from here on, also of a container that is started only later.
 *
 * out_multiplexed  true: the output is framed (no terminal); the content type depends on it.
 * Errors: CONFLICT (paused, restarting), INVALID (detach keys).
 */
int container_attach(struct container *c, const struct attach_opts *o, struct attach **out,
                     bool *out_multiplexed, struct err *e);

/** Second step: pump until the container's output ends, the client is gone or detaches. Errors are
 * of our side only and may be shown to the client. */
int attach_run(struct attach *a, const struct duplex *client, struct err *e);

/** Without attach_run: withdraw. NULL is fine. */
void attach_free(struct attach *a);

#endif
