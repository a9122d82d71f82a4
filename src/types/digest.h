/**
 * SHA-256 digests as images use them: "sha256:" and 64 hex digits. A library of its own, so that
 * only programs that hash load libcrypto.
 */
#ifndef HULL_TYPES_DIGEST_H
#define HULL_TYPES_DIGEST_H

#include "base/arena.h"
#include "base/vec.h"

enum { DIGEST_MAX = 72 }; /* "sha256:", 64 digits and the terminator */

/** The digest of n bytes. */
void digest_of(const void *p, size_t n, char out[static DIGEST_MAX]);

/** The chain id of the layers diff_ids[0..n), n > 0, in the arena. Source: OCI image-spec, "Layer
 * ChainID". */
char *digest_chain(const struct strv *diff_ids, size_t n, struct arena *a);

/** A digest that is fed piece by piece; not for two threads at a time. */
struct sha256;
struct sha256 *sha256_new(void) __attribute__((returns_nonnull));
void sha256_free(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_reset(struct sha256 *s);

/** The digest of what was added so far; more can be added afterwards. */
void sha256_peek(const struct sha256 *s, char out[static DIGEST_MAX]);

static inline void sha256_free_ptr(struct sha256 **s)
{
    sha256_free(*s);
}
#define auto_sha256 CLEANUP(sha256_free_ptr)

#endif
