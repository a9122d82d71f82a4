/**
 * Where an image comes from, as the store sees it: a registry, or an archive that is being loaded.
 * registry/source.h implements it; the store drives it.
 */
#ifndef HULL_TYPES_IMAGE_SOURCE_H
#define HULL_TYPES_IMAGE_SOURCE_H

#include "base/err.h"
#include "types/oci_image.h"

/**
 * Takes the next n bytes of a blob, in order. Returning -1 ends the transfer; what it put into e is
 * what the caller of the source's function gets.
 */
typedef int image_sink_fn(void *arg, const void *p, size_t n, struct err *e);

struct image_source {
    /**
     * The descriptor (media_type, digest, size in bytes) that the source's reference stands for
     * now; strings in the arena. Errors: NOT_FOUND, UNAUTHORIZED, UNAVAILABLE, CANCELLED.
     */
    int (*resolve)(struct image_source *s, struct arena *a, struct oci_descriptor *out,
                   struct err *e);
    /**
     * Send the bytes of a blob or manifest from offset on to sink. Any thread, several at a time.
     * The source retries and resumes by itself. It does not have to verify the digest: the store
     * does.
     *
     * restart  called when the source cannot go on at the offset: what sink gets next begins at
     * byte 0 again.
     */
    int (*fetch)(struct image_source *s, const struct oci_descriptor *d, int64_t offset,
                 image_sink_fn *sink, int (*restart)(void *arg, struct err *e), void *arg,
                 struct err *e);
    const char *origin; /* "docker.io" and */
    const char *repo;   /* "library/busybox" for the distribution.source label; NULL: no label */
};

#endif
