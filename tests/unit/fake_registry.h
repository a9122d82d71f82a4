/** A registry in one thread of a test, that can be told to misbehave. */
#ifndef HULL_TESTS_FAKE_REGISTRY_H
#define HULL_TESTS_FAKE_REGISTRY_H

#include <pthread.h>

#include "base/buf.h"
#include "base/map.h"

/* What happens to the next requests for a blob. */
enum mischief {
    FAKE_HONEST,
    FAKE_CUT, /* closes after half of the bytes, each time */
    FAKE_CUT_ONCE,
    FAKE_STALL,     /* sends half, then nothing */
    FAKE_WRONG,     /* other bytes of the same length */
    FAKE_LONGER,    /* announces and sends more than the manifest says */
    FAKE_SHORTER,   /* announces and sends less */
    FAKE_BUSY_ONCE, /* 429 with Retry-After, then honest */
    FAKE_BROKEN,    /* 500, each time */
    FAKE_NO_RANGE,  /* cuts once, and answers a range with 200 and everything */
    FAKE_REDIRECT,  /* to /cdn/, which refuses requests with Authorization */
    FAKE_GONE,      /* 404 */
};
/* For uploads: FAKE_CUT_ONCE closes in the middle of one, FAKE_BUSY_ONCE and FAKE_BROKEN answer so,
 * FAKE_REDIRECT names an upload on another host, which refuses requests with Authorization. */

struct fake_registry {
    int listener, port;
    pthread_t thread;
    struct map blobs; /* path below /v2/app/: struct fake_blob * */
    _Atomic(enum mischief) mischief;
    bool need_token, need_basic, no_head;
    const char *mountable; /* the repository that every blob can be mounted from; NULL: none */
    const char *scope;     /* of the challenge; NULL: to pull app */
    int token_life;        /* every so many requests all tokens expire; 0: never */
    _Atomic int requests, blob_requests, token_requests, uploads, mounts, answers, generation;
    _Atomic int last_range; /* first byte of the last range, -1: none */
    char last_type[128];    /* Content-Type of the last manifest that was put */
    char last_token[512];   /* the query of the last token request */
    pthread_mutex_t lock;   /* guards blobs and both texts */
    _Atomic bool stop;
};

struct fake_blob {
    const char *media_type;
    char digest[72];
    struct buf bytes;
};

int fake_start(struct fake_registry *f);
void fake_stop(struct fake_registry *f);
/** Forget all it serves, between requests. */
void fake_clear(struct fake_registry *f);
/** Serve bytes as PATH ("manifests/latest", "blobs/sha256:…"); digest "sha256:…" is filled. Kind
 * "pages": name is a whole path and query, media_type are lines of headers. */
struct fake_blob *fake_add(struct fake_registry *f, const char *kind, const char *name,
                           const char *media_type, const void *p, size_t n);

#endif
