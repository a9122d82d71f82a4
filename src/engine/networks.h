/** Networks and volumes through the API: src/net and src/volume with events, and who uses what. */
#ifndef HULL_ENGINE_NETWORKS_H
#define HULL_ENGINE_NETWORKS_H

#include "engine/engine.h"

int engine_network_list(struct engine *g, const char *filters, int api, struct buf *out,
                        struct err *e);
int engine_network_inspect(struct engine *g, const char *name, int api, struct buf *out,
                           struct err *e);
/** body: JSON of POST /networks/create; appends {"Id":...,"Warning":""}. */
int engine_network_create(struct engine *g, const char *body, size_t len, struct buf *out,
                          struct err *e);
int engine_network_remove(struct engine *g, const char *name, struct err *e);
int engine_network_connect(struct engine *g, const char *name, const char *body, size_t len,
                           struct err *e);
int engine_network_disconnect(struct engine *g, const char *name, const char *body, size_t len,
                              struct err *e);
int engine_network_prune(struct engine *g, const char *filters, struct buf *out, struct err *e);

int engine_volume_list(struct engine *g, const char *filters, struct buf *out, struct err *e);
int engine_volume_inspect(struct engine *g, const char *name, struct buf *out, struct err *e);
int engine_volume_create(struct engine *g, const char *body, size_t len, struct buf *out,
                         struct err *e);
int engine_volume_remove(struct engine *g, const char *name, bool force, struct err *e);
int engine_volume_prune(struct engine *g, const char *filters, int api, struct buf *out,
                        struct err *e);

#endif
