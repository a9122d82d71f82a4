/**
 * Where an image goes to, as the store sees it: a registry. registry/target.c implements it; the
 * store drives it.
 */
#ifndef HULL_TYPES_IMAGE_TARGET_H
#define HULL_TYPES_IMAGE_TARGET_H

#include "base/err.h"
#include "types/oci_image.h"

/* How a blob came to be there. */
enum push_how { PUSH_SENT, PUSH_EXISTED, PUSH_MOUNTED };

struct push_blob {
    const struct oci_descriptor *d;
    int fd; /* the blob as a plain file; -1: it is not here, only what exists or mounts will do */
    const char *const *mount_from;      /* other repositories of the same registry that have it;
                                           NULL-terminated, may be NULL */
    void (*sent)(void *arg, int64_t n); /* bytes so far; may be NULL */
    void *arg;
};

struct image_target {
    /**
     * Bring one blob there, unless it is. Any thread, several at a time; retries by itself.
     *
     * out_from  index in mount_from, for PUSH_MOUNTED.
     *
     * Errors: NOT_FOUND (no fd and not there), UNAUTHORIZED, FORBIDDEN, UNAVAILABLE, CANCELLED.
     */
    int (*push_blob)(struct image_target *t, const struct push_blob *b, enum push_how *out_how,
                     size_t *out_from, struct err *e);
    /**
     * Put a manifest or an index whose parts are all there.
     *
     * root  it is what the reference stands for: it gets its tag.
     */
    int (*push_manifest)(struct image_target *t, const struct oci_descriptor *d, const void *p,
                         bool root, struct err *e);
    const char *origin, *repo; /* "docker.io" and "library/busybox" */
};

#endif
