/**
 * Writing a tar with libarchive to a descriptor, hashed and perhaps compressed on the way. Every
 * header field is set by the caller, so that equal trees give equal bytes.
 */
#ifndef HULL_ARCHIVE_TAR_OUT_H
#define HULL_ARCHIVE_TAR_OUT_H

#include <archive.h>
#include <archive_entry.h>

#include "base/err.h"

struct tar_out;

/** compression: NULL or "", "gzip", "zstd". fd is borrowed. */
int tar_out_open(int fd, const char *compression, struct tar_out **out, struct err *e);
/** Write a header; archive_entry_size says how many bytes follow. */
int tar_out_header(struct tar_out *t, struct archive_entry *ent, struct err *e);
int tar_out_data(struct tar_out *t, const void *p, size_t n, struct err *e);
/** size bytes of a file; one that got shorter meanwhile is filled with zeros. */
int tar_out_file(struct tar_out *t, int fd, int64_t size, struct err *e);
/** Write the end. Digest ("sha256:…") and size of the uncompressed tar. */
int tar_out_finish(struct tar_out *t, char out_digest[72], int64_t *out_size, struct err *e);
void tar_out_free(struct tar_out *t);

static inline void tar_out_free_ptr(struct tar_out **t)
{
    tar_out_free(*t);
}
#define auto_tar_out CLEANUP(tar_out_free_ptr)

#endif
