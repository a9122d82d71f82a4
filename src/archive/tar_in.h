/**
 * Reading a tar with libarchive from an inflating stream; entries come one by one. Damage is
 * INVALID.
 */
#ifndef HULL_ARCHIVE_TAR_IN_H
#define HULL_ARCHIVE_TAR_IN_H

#include <archive.h>
#include <archive_entry.h>

#include "archive/ahead.h"

struct tar_in {
    struct archive *ar;
    struct ahead *bytes;
    struct err err; /* of the stream, while libarchive is in between */
    int64_t entries, max_entries;
};

/** Begin; t must stay where it is. max_entries 0: 4 million. */
int tar_in_open(struct tar_in *t, const struct inflate_opts *o, int64_t max_entries, struct err *e);
void tar_in_close(struct tar_in *t);
#define auto_tar_in CLEANUP(tar_in_close)

/** 1: *out is the next entry, borrowed; 0: no more (the rest of the stream has been read and
 * hashed). */
int tar_in_next(struct tar_in *t, struct archive_entry **out, struct err *e);

/** Write the data of the current entry to fd, holes kept where fd can seek. */
int tar_in_data_to(struct tar_in *t, int fd, int64_t size, struct err *e);

/** The data of the current entry, exactly n bytes. */
int tar_in_data(struct tar_in *t, char *out, size_t n, struct err *e);

/**
 * The path of an entry as parts below the root: no leading "/" or "./", no empty parts, "" for the
 * root itself. INVALID for "..", for names over 4096 bytes and parts over 255.
 */
int tar_clean_path(const char *name, char out[static 4097], struct err *e);

#endif
