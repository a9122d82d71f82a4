/** What clients see of containers: inspect and list. */
#ifndef HULL_ENGINE_INSPECT_H
#define HULL_ENGINE_INSPECT_H

#include "engine/container.h"

/** GET /containers/{id}/json; size adds SizeRw and SizeRootFs. */
int container_inspect(struct container *c, int api, bool size, struct buf *out, struct err *e);

struct list_opts {
    bool all, size;
    int limit;           /* <= 0: no limit */
    const char *filters; /* the query's JSON, or NULL */
    int api;
};

/** GET /containers/json: an array, newest first. INVALID for bad filters. */
int container_list(struct engine *g, const struct list_opts *o, struct buf *out, struct err *e);

#endif
