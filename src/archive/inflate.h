/**
 * The bytes of a layer or archive, inflated and hashed on the way. gzip by isa-l (any number of
 * members), zstd, or plain, told apart by the first bytes. Both sides are limited.
 */
#ifndef HULL_ARCHIVE_INFLATE_H
#define HULL_ARCHIVE_INFLATE_H

#include <sys/types.h>

#include "base/err.h"

struct inflate;

struct inflate_opts {
    int fd;            /* borrowed */
    bool follow;       /* a growing file: the parent's notices say how far it is there */
    int64_t max_bytes; /* inflated; 0: 64 GiB */
    int stop_fd;       /* borrowed; readable: waiting for input ends with CANCELLED. 0: none */
};

struct inflate *inflate_new(const struct inflate_opts *o) __attribute__((returns_nonnull));
void inflate_free(struct inflate *f);

enum { INFLATE_BLOCK = 512 << 10 };

/** The next block. Bytes, 0 at the end, -1 (INVALID: damaged or too big). */
ssize_t inflate_next(struct inflate *f, char out[static INFLATE_BLOCK], struct err *e);

/** What came out so far: "sha256:<hex>" and the number of bytes. */
void inflate_digest(const struct inflate *f, char out[static 72], int64_t *out_bytes);

#endif
