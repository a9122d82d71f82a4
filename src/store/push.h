/**
 * Sending an image out: its blobs several at a time, then its manifests, each byte as it was
 * pulled.
 */
#ifndef HULL_STORE_PUSH_H
#define HULL_STORE_PUSH_H

#include "store/store.h"
#include "types/image_target.h"

enum push_state {
    PUSH_STATE_WAITING,
    PUSH_STATE_SENDING,
    PUSH_STATE_SENT,
    PUSH_STATE_EXISTS,
    PUSH_STATE_MOUNTED,
};

struct push_progress {
    enum push_state state;
    const char *digest, *media_type;
    int64_t current, total; /* bytes */
    const char *from;       /* the repository that it was mounted from; else NULL */
};

struct push_opts {
    const struct oci_descriptor *target; /* what the reference shall stand for */
    const char *const *platforms;        /* of an index only these; NULL-terminated, NULL: all */
    int cancel_fd;                       /* 0 or -1: none */
    int max_parallel;                    /* blobs at a time; 0: 5 */
    /** Calls are serialised, but come from several threads; may be NULL. */
    void (*progress)(void *arg, const struct push_progress *p);
    void *arg;
};

/**
 * Push an image.
 *
 * Blocks; any thread. A manifest that is not here fails before the first byte goes out; a layer
 * that is not here is no error while the registry has it, or can mount it. Foreign layers stay
 * where they are.
 * Errors: NOT_FOUND `content digest sha256:…: not found`, those of the target, CANCELLED.
 */
int image_push(struct store *s, const struct scope *sc, struct image_target *t,
               const struct push_opts *o, struct err *e);

#endif
