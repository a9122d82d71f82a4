/** How a start finds those who attached before it, and where a container's streams are. */
#ifndef HULL_ENGINE_ATTACH_INT_H
#define HULL_ENGINE_ATTACH_INT_H

#include "engine/core.h"

/** The socket that the container's shim (or hull-logger) serves, in the arena. */
char *attach_socket(const struct container *c, struct arena *a);

/** Connect all parked attachments: called between Tasks.Create and Tasks.Start, so that they miss
 * nothing. */
void attach_join_parked(struct container *c);

/** The start failed, or the container is removed: parked attachments end. */
void attach_drop_parked(struct container *c);

#endif
