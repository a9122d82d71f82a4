/**
 * One image as containers need it: its configuration and the snapshot they lie on. Everything
 * behind a digest is immutable, so what was read once is kept (a bounded cache by digest); only the
 * way from a name to a digest is asked each time.
 */
#ifndef HULL_ENGINE_IMAGE_H
#define HULL_ENGINE_IMAGE_H

#include <stdatomic.h>

#include "client/images.h"
#include "engine/engine.h"
#include "types/container.h"
#include "types/oci_image.h"

struct image {
    atomic_int refs;
    struct arena *arena;
    const char *id; /* digest of the target: what users see as the image's id */
    const char *target_type;
    int64_t target_size;
    struct oci_descriptor manifest; /* of the platform */
    struct oci_manifest doc;
    struct oci_image_config oci;
    struct container_config config; /* oci.config, read */
    const char *chain_id;           /* name of the top snapshot; "" without layers */
    int64_t content_size;           /* bytes of manifest, config and layers as they were pulled */
};

void image_unref(struct image *i);
static inline void image_unref_ptr(struct image **i)
{
    image_unref(*i);
}
#define auto_image CLEANUP(image_unref_ptr)

/**
 * Find by what a user types: digest, name[:tag][@digest], or a prefix of an id.
 *
 * out_name  the name in containerd's store, in the arena; "" when it was found by id alone.
 *
 * Errors: NOT_FOUND "No such image: x:latest", INVALID (reference).
 */
int image_find(struct engine *g, const char *name, struct arena *a, struct ctd_image *out,
               const char **out_name, struct err *e);

/** The image behind a target descriptor, for platform (NULL: this machine's). */
int image_load_target(struct engine *g, const char *digest, const char *media_type, int64_t size,
                      const struct oci_platform *platform, struct image **out, struct err *e);

/**
 * The image of one platform of what was found as name; platform NULL: this machine's, or else any
 * that is here.
 *
 * Errors: NOT_FOUND "image with reference x was found but does not provide the specified platform
 * (linux/s390x)".
 */
int image_load_variant(struct engine *g, const struct ctd_image *found, const char *name,
                       const struct oci_platform *platform, struct image **out, struct err *e);

/** Forget what was read of images: content was taken away. */
void image_cache_clear(struct engine *g);

struct image_cache *image_cache_new(void);
void image_cache_free(struct image_cache *c);

#endif
