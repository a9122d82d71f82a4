/**
 * Bringing an image in: resolve, fetch and unpack as one stream per layer, record.
 */
#ifndef HULL_STORE_PULL_H
#define HULL_STORE_PULL_H

#include "store/image.h"
#include "types/image_source.h"

/* What is happening to a layer, in the words that Docker prints. */
#define PULL_STATES(X)                 \
    X(PULLING, "Pulling fs layer")     \
    X(WAITING, "Waiting")              \
    X(DOWNLOADING, "Downloading")      \
    X(VERIFYING, "Verifying Checksum") \
    X(DOWNLOADED, "Download complete") \
    X(EXTRACTING, "Extracting")        \
    X(COMPLETE, "Pull complete")       \
    X(EXISTS, "Already exists")
enum pull_state {
#define X(name, text) PULL_##name,
    PULL_STATES(X)
#undef X
};
const char *pull_state_text(enum pull_state st);

struct pull_progress {
    enum pull_state state;
    const char *digest; /* of the compressed layer, config or manifest */
    const char *media_type;
    int64_t current, total; /* bytes; total 0 when unknown */
};

struct pull_opts {
    const char *name;     /* the record's name; NULL: no record is made */
    const char *platform; /* "linux/arm64"; NULL or "": this machine */
    bool all_platforms;   /* fetch every manifest of an index (only one is unpacked) */
    bool no_unpack;
    struct strmap labels; /* of the record */
    int cancel_fd;        /* 0 or -1: none */
    int max_parallel;     /* layers at a time; 0: 3 */
    /** Calls are serialised, but come from several threads; may be NULL. */
    void (*progress)(void *arg, const struct pull_progress *p);
    void *arg;
};

struct pull_result {
    struct oci_descriptor target; /* what the reference stands for */
    char manifest[72], config[72];
    char chain_id[72]; /* of the top layer, "" without layers */
    bool changed;      /* something was fetched, or the name moved */
};

/**
 * Pull an image.
 *
 * out  may be NULL; strings in the arena.
 *
 * Blocks; any thread. Layers that are there are not fetched again, a layer that another pull is
 * fetching is waited for. What was fetched of a failed pull stays for a day to be resumed; nothing
 * half unpacked stays.
 * Errors: NOT_FOUND, UNAUTHORIZED, UNAVAILABLE, PRECONDITION (digest or size does not match),
 * INVALID (bad archive), CANCELLED.
 */
int image_pull(struct store *s, const struct scope *sc, struct image_source *src,
               const struct pull_opts *o, struct arena *a, struct pull_result *out, struct err *e);

/** Unpack an image whose content is all there. manifest: digest of a manifest or an index. */
int image_unpack(struct store *s, const struct scope *sc, const struct oci_descriptor *target,
                 const char *platform, int cancel_fd, struct err *e);

/** Give an image whose content is all there the labels that keep it, and unpack it as o says (name
 * and progress are used too). */
int image_complete(struct store *s, const struct scope *sc, const struct oci_descriptor *target,
                   const struct pull_opts *o, struct arena *a, struct err *e);

#endif
