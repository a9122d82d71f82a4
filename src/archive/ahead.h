/**
 * An archive's bytes, inflated and hashed ahead of who reads them: a thread of its own does both
 * while the reader makes files, a few blocks in advance.
 */
#ifndef HULL_ARCHIVE_AHEAD_H
#define HULL_ARCHIVE_AHEAD_H

#include "archive/inflate.h"

struct ahead;

/** Begin; the thread starts at once. o as for inflate_new. INTERNAL: no thread. */
int ahead_new(const struct inflate_opts *o, struct ahead **out, struct err *e);

/** Stop the thread, also while it waits for input, and free. NULL is fine. */
void ahead_free(struct ahead *h);

/** The next block, borrowed until the next call. Bytes, 0 at the end, or -1: inflate_next's error,
 * behind all that came before it. */
ssize_t ahead_next(struct ahead *h, const void **out, struct err *e);

/** Behind the end: the digest "sha256:<hex>" of all that came out, and its number of bytes. */
void ahead_digest(const struct ahead *h, char out[static 72], int64_t *out_bytes);

#endif
