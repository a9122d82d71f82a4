/**
 * The streams of one process: what containerd's client has named for them on one side (FIFOs,
 * files, our log URI, another logging program), pipes or a terminal on the other. All copying is
 * done on the loop.
 */
#ifndef HULL_SHIM_IO_H
#define HULL_SHIM_IO_H

#include "shim/oci.h"

struct io;

struct io_opts {
    struct loop *loop;
    struct reaper *reaper;
    const char *in, *out, *err; /* as in Tasks/Create; "" is none */
    bool terminal;
    uint32_t uid, gid; /* who owns the pipes */
    const char *id, *ns;
};

/** Open everything. NOT_FOUND (no such FIFO), INVALID (a URI), UNIMPLEMENTED. */
int io_new(const struct io_opts *o, struct io **out, struct err *e);

/**
 * Have fn(arg) called once everything is ready for the process to be made: at once, or when a
 * logging program says so (e is NULL then, else why not).
 */
void io_when_ready(struct io *io, void (*fn)(void *arg, const struct err *e), void *arg);

/** The process's ends, for its runtime. */
const struct oci_io *io_child(const struct io *io);

/** The process is there: close its ends; console is the terminal's master (taken) or -1. */
int io_started(struct io *io, int console, struct err *e);

/** End the input once what was sent is read. */
void io_close_stdin(struct io *io);

/** Size of the terminal; nothing without one. */
int io_resize(struct io *io, unsigned width, unsigned height, struct err *e);

/** Have fn(arg) called from the loop when all output is delivered; at once if it is. NULL takes it
 * back. */
void io_when_ended(struct io *io, void (*fn)(void *arg), void *arg);

/** Time is up: deliver what there is and close everything. */
void io_finish(struct io *io);

/** NULL is fine. */
void io_free(struct io *io);

#endif
