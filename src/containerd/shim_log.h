/**
 * What shims log: each writes to the FIFO `log` of its bundle, one thread copies all of them to our
 * stderr.
 */
#ifndef HULL_CONTAINERD_SHIM_LOG_H
#define HULL_CONTAINERD_SHIM_LOG_H

#include "base/err.h"

struct shim_logs;

int shim_logs_new(struct shim_logs **out, struct err *e);
/** NULL is fine. */
void shim_logs_free(struct shim_logs *l);

/** Follow the bundle's log until nobody has it open any more. Before the shim is started: it waits
 * for a reader. */
int shim_logs_add(struct shim_logs *l, const char *bundle, struct err *e);

/** Stop following a log that no shim ever opened; nothing when one had. Before the bundle goes. */
void shim_logs_end(const char *bundle);

#endif
