/**
 * Image names and content of containerd. A name points to a descriptor; blobs are immutable and
 * read by digest, so what was read once may be kept for ever. Source: services images v1 and
 * content v1.
 */
#ifndef HULL_CLIENT_IMAGES_H
#define HULL_CLIENT_IMAGES_H

#include "base/json.h"
#include "client/ctd.h"

struct ctd_image {
    const char *name; /* full reference, "docker.io/library/busybox:latest" */
    const char *media_type;
    const char *digest;
    int64_t size;
    int64_t created_ns, updated_ns;
    struct strmap labels;
};

/** 1: *out is filled; 0: there is no image of that name. */
int ctd_image_get(struct ctd *c, const char *name, struct arena *a, struct ctd_image *out,
                  struct err *e);
/** All images, or those that filter (containerd's filter language, may be NULL) selects. */
int ctd_image_list(struct ctd *c, const char *filter, struct arena *a, struct ctd_image **out,
                   size_t *out_n, struct err *e);
/** Let name point to img's descriptor, whether or not it exists. */
int ctd_image_put(struct ctd *c, const struct ctd_image *img, struct err *e);
/** Forget the name; sync also collects what nobody holds any more before it returns. NOT_FOUND. */
int ctd_image_delete(struct ctd *c, const char *name, bool sync, struct err *e);

/**
 * Store a small blob under the lease; one that is there already only gets the labels.
 *
 * digest  of the bytes. labels: e.g. what keeps what it refers to; may be NULL.
 */
int ctd_content_write(struct ctd *c, const char *digest, const void *p, size_t n,
                      const struct strmap *labels, const char *lease, struct err *e);

/** Read a whole blob of at most max bytes. NOT_FOUND, TOO_LARGE. */
int ctd_content_read(struct ctd *c, const char *digest, size_t max, struct buf *out, struct err *e);
/* A blob, or one that is being written (ref set then, digest NULL; size is what there is). */
struct ctd_blob {
    const char *digest, *ref;
    int64_t size;
};
/** All blobs, and all that is being written or was left half written. */
int ctd_content_list(struct ctd *c, struct arena *a, struct ctd_blob **out, size_t *out_n,
                     struct err *e);
/** Take a blob away, whoever refers to it. NOT_FOUND. */
int ctd_content_delete(struct ctd *c, const char *digest, struct err *e);
/** Throw away what is half written. UNAVAILABLE while somebody writes it. */
int ctd_content_abort(struct ctd *c, const char *ref, struct err *e);

/** Size and labels of a blob: 1, or 0 when it is not there. */
int ctd_content_info(struct ctd *c, const char *digest, struct arena *a, int64_t *out_size,
                     struct strmap *out_labels, struct err *e);

#endif
