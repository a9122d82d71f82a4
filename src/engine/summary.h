/** Parts of the API's documents that inspect, list and df share. */
#ifndef HULL_ENGINE_SUMMARY_H
#define HULL_ENGINE_SUMMARY_H

#include "engine/core.h"

/** The networks of a container with its addresses, in the arena. */
void summary_networks_fill(struct engine *g, const struct view *v, int api, struct arena *a,
                           struct summary_networks *out);

void summary_mounts_fill(const struct container_record *rec, struct arena *a,
                         struct mount_point **out, size_t *out_n);

/** Bytes of its own layer, and of all layers. */
int container_sizes(struct engine *g, const struct container_record *rec, int64_t *out_rw,
                    int64_t *out_all, struct err *e);

/** One item of GET /containers/json, in the arena. size: with sizes. */
int container_summary_fill(struct container *c, int api, bool size, struct arena *a,
                           struct container_summary *out, struct err *e);

/** "3 minutes", "About an hour": Docker's way to say a duration. out has 48 bytes. */
void human_duration(int64_t ns, char out[static 48]);

/** True when exec x runs in c (exec.c). Caller holds the engine's lock. */
struct exec;
bool exec_runs_in(struct exec *x, const struct container *c);

#endif
