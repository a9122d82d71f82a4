/**
 * Leases: what a lease holds is not garbage. They end by deletion or by the label
 * containerd.io/gc.expire.
 *
 * Source: containerd services/leases/v1.
 */
#ifndef HULL_STORE_LEASE_H
#define HULL_STORE_LEASE_H

#include "store/store.h"

struct lease_info {
    const char *id;
    int64_t created_ns;
    struct strmap labels;
};

struct lease_resource {
    const char *id;
    const char *type; /* "content", "ingests", "snapshots/overlayfs", "images" */
};

/** id "" or NULL: one is made up. EXISTS `lease "x": already exists`. */
int lease_create(struct store *s, const struct scope *sc, const char *id,
                 const struct strmap *labels, struct arena *a, struct lease_info *out,
                 struct err *e);
/** sync: collect before returning. NOT_FOUND `lease "x": not found`. */
int lease_delete(struct store *s, const struct scope *sc, const char *id, bool sync, struct err *e);
/** Filters: id, labels.X. */
int lease_list(struct store *s, const struct scope *sc, const struct strv *filters, struct arena *a,
               struct lease_info **out, size_t *out_n, struct err *e);
/** UNIMPLEMENTED for a type that is not known. Adding twice is fine. */
int lease_add(struct store *s, const struct scope *sc, const char *id,
              const struct lease_resource *r, struct err *e);
int lease_drop(struct store *s, const struct scope *sc, const char *id,
               const struct lease_resource *r, struct err *e);
int lease_resources(struct store *s, const struct scope *sc, const char *id, struct arena *a,
                    struct lease_resource **out, size_t *out_n, struct err *e);

#endif
