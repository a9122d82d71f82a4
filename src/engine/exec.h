/** Processes added to running containers. */
#ifndef HULL_ENGINE_EXEC_H
#define HULL_ENGINE_EXEC_H

#include "engine/attach.h"

struct exec;

/** POST /containers/{id}/exec: body is its JSON; appends {"Id":...}. */
int exec_create(struct container *c, const char *body, size_t len, struct buf *out, struct err *e);

/** Look up by full id; out: a reference. NOT_FOUND "No such exec instance: x". */
int exec_find(struct engine *g, const char *id, struct exec **out, struct err *e);
void exec_unref(struct exec *x);
static inline void exec_unref_ptr(struct exec **x)
{
    exec_unref(*x);
}
#define auto_exec CLEANUP(exec_unref_ptr)

/* The body of POST /exec/{id}/start. */
struct exec_start_opts {
    bool detach, tty;
    uint32_t width, height; /* 0: unknown */
};

/** Errors that are answered before the hijack: CONFLICT (has run, container does not run). After
 * this succeeded exec_run or exec_run_detached must follow. */
int exec_start_check(struct exec *x, const struct exec_start_opts *o, struct err *e);

/** Start and pump until it ends; the process goes on when the client hangs up. An error text is for
 * the stream. */
int exec_run(struct exec *x, const struct exec_start_opts *o, struct stream *client, struct err *e);

/** Start without streams. */
int exec_run_detached(struct exec *x, const struct exec_start_opts *o, struct err *e);

int exec_resize(struct exec *x, uint32_t width, uint32_t height, struct err *e);

/** GET /exec/{id}/json. */
int exec_inspect(struct exec *x, struct buf *out, struct err *e);

#endif
