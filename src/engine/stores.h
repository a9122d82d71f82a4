/** Networks and volumes over the database: what src/net and src/volume want kept. */
#ifndef HULL_ENGINE_STORES_H
#define HULL_ENGINE_STORES_H

#include "engine/core.h"

/** Open the volumes with what the database has. */
int engine_volumes_open(struct engine *g, struct err *e);

/** Open the networks; running: sandboxes of containers that still run. */
int engine_net_open(struct engine *g, const struct net_sandbox *running, size_t n_running,
                    struct err *e);

/** Keep the present list of networks: rows that changed are written, others deleted. */
int engine_networks_save(struct engine *g, struct err *e);

/**
 * Fill new empty volumes with what the image has at their places, before a container is started
 * with them for the first time. mounts: the container's snapshot.
 */
int volumes_copy_up(struct engine *g, const struct container_record *rec,
                    const struct ctd_mounts *mounts, struct err *e);

#endif
