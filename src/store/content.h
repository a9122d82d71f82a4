/**
 * Content: blobs by digest, visible per namespace, and the writers that make them.
 *
 * Source: containerd content store; services/content/v1.
 */
#ifndef HULL_STORE_CONTENT_H
#define HULL_STORE_CONTENT_H

#include "store/store.h"
#include "types/digest.h"

struct content_info {
    const char *digest;
    int64_t size; /* bytes */
    int64_t created_ns, updated_ns;
    struct strmap labels;
};

struct ingest_status {
    const char *ref, *expected;
    int64_t offset, total; /* bytes */
    int64_t started_ns, updated_ns;
};

/** NOT_FOUND `content digest sha256:…: not found`. */
int content_info(struct store *s, const struct scope *sc, const char *digest, struct arena *a,
                 struct content_info *out, struct err *e);

/** Called for each blob that the filters match; a negative return ends the walk with that error. */
typedef int content_list_fn(void *arg, const struct content_info *info, struct err *e);
int content_list(struct store *s, const struct scope *sc, const struct strv *filters,
                 content_list_fn *fn, void *arg, struct err *e);

/** Open for reading (a plain file: pread it). out_size in bytes, may be NULL. Returns the
 * descriptor. */
int content_open(struct store *s, const struct scope *sc, const char *digest, int64_t *out_size,
                 struct err *e);

/** A whole small blob. TOO_LARGE above out->max. */
int content_read(struct store *s, const struct scope *sc, const char *digest, struct buf *out,
                 struct err *e);

/** Change labels; see store/mask.h. */
int content_update(struct store *s, const struct scope *sc, const char *digest,
                   const struct strmap *labels, const struct strv *mask, struct arena *a,
                   struct content_info *out, struct err *e);

/** Remove from the namespace; the file goes with the next collection. */
int content_delete(struct store *s, const struct scope *sc, const char *digest, struct err *e);

/** Give a blob that is there to the call's lease. NOT_FOUND. */
int content_hold(struct store *s, const struct scope *sc, const char *digest, struct err *e);

/* ---- writing ---- */

struct content_writer;

/**
 * Begin or resume writing under a name of the caller's. The name stays locked until
 * content_writer_close.
 *
 * total     bytes expected, 0 when unknown.
 * expected  digest expected, "" when unknown.
 *
 * Errors: EXISTS `content sha256:…: already exists` (expected is there), UNAVAILABLE `ref x locked
 * for 5s (since …): unavailable`, INVALID.
 */
int content_writer_open(struct store *s, const struct scope *sc, const char *ref, int64_t total,
                        const char *expected, struct content_writer **out, struct err *e);

/** The writer's state; strings are borrowed from it until the next call. out_digest: the digest of
 * what is there so far. */
void content_writer_status(const struct content_writer *w, struct ingest_status *out,
                           char out_digest[static 72]);

/** Append. TOO_LARGE when a total is known and would be exceeded. */
int content_write(struct content_writer *w, const void *p, size_t n, struct err *e);

/** Keep the first size bytes; only 0 and the current offset are possible (OUT_OF_RANGE). */
int content_writer_truncate(struct content_writer *w, int64_t size, struct err *e);

/**
 * Make it a blob.
 *
 * size      bytes it must have, 0: any.
 * expected  digest it must have, "" or NULL: any.
 *
 * Errors: PRECONDITION `unexpected commit digest …, expected …` or `unexpected commit size …`,
 * EXISTS.
 */
int content_writer_commit(struct content_writer *w, int64_t size, const char *expected,
                          const struct strmap *labels, struct err *e);

/** Unlock the name; what was written stays for a resume unless it was committed. NULL is fine. */
void content_writer_close(struct content_writer *w);

/** The digest that content_writer_commit made. Borrowed. */
const char *content_writer_digest(const struct content_writer *w);

/** A descriptor of the growing file, to read along with content_write. Borrowed. */
int content_writer_fd(const struct content_writer *w);

/** NOT_FOUND `ref x: not found`. */
int ingest_status(struct store *s, const struct scope *sc, const char *ref, struct arena *a,
                  struct ingest_status *out, struct err *e);
int ingest_list(struct store *s, const struct scope *sc, const struct strv *filters,
                struct arena *a, struct ingest_status **out, size_t *out_n, struct err *e);
/** Forget what was written. NOT_FOUND; UNAVAILABLE while a writer is open. */
int ingest_abort(struct store *s, const struct scope *sc, const char *ref, struct err *e);

/** Store a small blob in one go; there already is fine. out_digest may be NULL. */
int content_put(struct store *s, const struct scope *sc, const void *p, size_t n,
                const struct strmap *labels, char out_digest[72], struct err *e);

static inline void content_writer_close_ptr(struct content_writer **w)
{
    content_writer_close(*w);
}
#define auto_writer CLEANUP(content_writer_close_ptr)

#endif
