/** Reading what containers have written. */
#ifndef HULL_ENGINE_LOGS_H
#define HULL_ENGINE_LOGS_H

#include "engine/container.h"
#include "engine/engine.h"

struct logs_opts {
    bool out, err, follow, timestamps, details;
    const char *since, *until; /* as in the query; NULL, "": no bound */
    const char *tail;          /* number or anything else for all; NULL: all */
};

/** What must be answered with a status: INVALID (neither stream), UNIMPLEMENTED (the driver cannot
 * be read), CONFLICT (dead or removing). out_multiplexed: output will be framed. */
int container_logs_check(struct container *c, const struct logs_opts *o, bool *out_multiplexed,
                         struct err *e);

/** Write frames (or raw bytes with a terminal) until the end, or, when following, until it has
 * stopped. */
int container_logs(struct container *c, const struct logs_opts *o, const struct sink *sink,
                   int cancel_fd, struct err *e);

#endif
