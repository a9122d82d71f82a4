/**
 * Image records: a name and the descriptor it stands for. Changes are durable when a call returns.
 *
 * Source: containerd services/images/v1.
 */
#ifndef HULL_STORE_IMAGE_H
#define HULL_STORE_IMAGE_H

#include "store/store.h"
#include "types/oci_image.h"

struct image_record {
    const char *name;
    struct strmap labels;
    struct oci_descriptor target; /* media_type, digest, size, annotations */
    int64_t created_ns, updated_ns;
};

/** NOT_FOUND `image "x": not found`. */
int image_get(struct store *s, const struct scope *sc, const char *name, struct arena *a,
              struct image_record *out, struct err *e);

/** The images that the filters match (fields name, target.digest, target.mediatype, labels.X,
 * annotations.X), sorted by name. */
int image_list(struct store *s, const struct scope *sc, const struct strv *filters, struct arena *a,
               struct image_record **out, size_t *out_n, struct err *e);

/** EXISTS `image "x": already exists`; INVALID. */
int image_create(struct store *s, const struct scope *sc, const struct image_record *rec,
                 struct arena *a, struct image_record *out, struct err *e);

/** mask: labels, labels.KEY, target, annotations, annotations.KEY. NOT_FOUND. */
int image_update(struct store *s, const struct scope *sc, const struct image_record *rec,
                 const struct strv *mask, struct arena *a, struct image_record *out, struct err *e);

/** Create it, or move an existing name to the new target (labels are replaced). */
int image_put(struct store *s, const struct scope *sc, const struct image_record *rec,
              struct err *e);

/** target_digest: delete only if the image still has it ("" or NULL: any). sync: collect before
 * returning. NOT_FOUND. */
int image_delete(struct store *s, const struct scope *sc, const char *name,
                 const char *target_digest, bool sync, struct err *e);

#endif
