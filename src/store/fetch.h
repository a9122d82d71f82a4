/** Getting one blob from a source into the store. Private to the room. */
#ifndef HULL_STORE_FETCH_H
#define HULL_STORE_FETCH_H

#include "store/content.h"
#include "store/layer.h"
#include "types/image_source.h"

struct fetch_job {
    struct store *s;
    struct scope sc;
    struct image_source *src;
    const struct oci_descriptor *d;
    struct strmap labels;
    int cancel_fd;
    const _Atomic bool *stop; /* NULL: none; else the download ends once it is true */
    int stop_fd;              /* readable then, to end a wait for another call; 0 or -1: none */
    int unpack_dir_fd; /* -1: none; else apply the layer there while it arrives (taken over) */
    struct arena *a;   /* for applied */
    /* told with the bytes that are there; total is d->size. May be NULL. */
    void (*progress)(void *arg, int64_t bytes);
    void *arg;
    /* results */
    bool existed;                 /* nothing was fetched */
    struct unpack_result applied; /* with unpack_dir_fd */
};

/**
 * Make sure that the blob is in the namespace (and in the lease); apply it if asked to. A blob that
 * another call is fetching is waited for. Errors: what source, store and hull-unpack say.
 */
int fetch_blob(struct fetch_job *f, struct err *e);

#endif
