/**
 * A pump copies one descriptor into another until the first ends. Belongs to a loop; never blocks:
 * while the destination is full the source is not read.
 */
#ifndef HULL_STDIO_PUMP_H
#define HULL_STDIO_PUMP_H

#include "base/loop.h"

#define PUMP_CHUNK ((size_t)32 << 10)

struct pump;

/** The pump's source has ended (or its destination is gone), and its descriptors are closed. */
typedef void pump_end_fn(void *arg);

/**
 * Start copying. Takes both descriptors, also on failure. src must be non-blocking; so must dst,
 * unless it is a regular file. fn may be NULL; it may free the pump.
 */
int pump_new(struct loop *loop, int src, int dst, pump_end_fn *fn, void *arg, struct pump **out,
             struct err *e);

/** Time is up: copy what the source holds at this moment, as much as the destination takes (a FIFO
 * is made larger for it), and close both; fn is not called. */
void pump_finish(struct pump *p);

/** True once both descriptors are closed. */
bool pump_ended(const struct pump *p);

/** Close and free, without copying. NULL is fine. */
void pump_free(struct pump *p);

#endif
