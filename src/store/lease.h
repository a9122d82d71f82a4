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

/*
 * The store's own transfers. While one runs its lease is called "transfer-…". What an interrupted
 * one fetched can be resumed: its lease goes on as "resumable-…" until the same image was pulled,
 * somebody deletes it (image prune does), or a day has passed.
 */

/** A lease for a transfer that begins. */
int lease_for_transfer(struct store *s, const struct scope *sc, struct arena *a,
                       const char **out_id, struct err *e);

/**
 * That transfer has ended. resumable: it was interrupted. sync: collect before returning. Where the
 * disk is too full for the database to say so, the collector tries again.
 */
void lease_end_transfer(struct store *s, const struct scope *sc, const char *id, bool resumable,
                        bool sync);

/** When the store is opened: so were all that still have a lease. */
struct tx;
int lease_keep_all_for_resume(struct tx *t, struct err *e);

/** The image with this digest is complete: what interrupted pulls of it kept has done its service.
 */
int lease_resumed(struct store *s, const struct scope *sc, const char *digest, struct err *e);

#endif
