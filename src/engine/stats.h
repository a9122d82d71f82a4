/** Resource usage as `docker stats` reads it. */
#ifndef HULL_ENGINE_STATS_H
#define HULL_ENGINE_STATS_H

#include "engine/container.h"
#include "engine/engine.h"

/** GET /containers/{id}/stats: one JSON object and newline a second; stream false: one (after two
 * samples, or at once with one_shot). */
int container_stats(struct container *c, bool stream, bool one_shot, int api,
                    const struct sink *sink, int cancel_fd, struct err *e);

#endif
