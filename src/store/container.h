/**
 * Container records: metadata only, nothing runs. `Any` values are kept byte for byte.
 *
 * Source: containerd services/containers/v1.
 */
#ifndef HULL_STORE_CONTAINER_H
#define HULL_STORE_CONTAINER_H

#include "store/store.h"

/* google.protobuf.Any; type_url NULL or "" stands for none. */
struct any_value {
    const char *type_url;
    const void *value;
    size_t len;
};

struct any_ent {
    const char *key;
    struct any_value val;
};

struct container_record {
    const char *id, *image, *runtime_name, *snapshotter, *snapshot_key, *sandbox;
    struct strmap labels;
    struct any_value runtime_options, spec;
    VEC(struct any_ent) extensions;
    int64_t created_ns, updated_ns;
};

/** NOT_FOUND `container "x" in namespace "ns": not found`. */
int container_get(struct store *s, const struct scope *sc, const char *id, struct arena *a,
                  struct container_record *out, struct err *e);

/** Filters: id, runtime.name, image, labels.X. Sorted by id. */
int container_list(struct store *s, const struct scope *sc, const struct strv *filters,
                   struct arena *a, struct container_record **out, size_t *out_n, struct err *e);

/** EXISTS `container "x": already exists`; INVALID `container.ID: identifier …`. */
int container_create(struct store *s, const struct scope *sc, const struct container_record *rec,
                     struct arena *a, struct container_record *out, struct err *e);

/** mask: labels[.K], image, spec, extensions[.K], runtime, snapshot_key, …; immutable ones INVALID.
 */
int container_update(struct store *s, const struct scope *sc, const struct container_record *rec,
                     const struct strv *mask, struct arena *a, struct container_record *out,
                     struct err *e);

int container_delete(struct store *s, const struct scope *sc, const char *id, struct err *e);

#endif
