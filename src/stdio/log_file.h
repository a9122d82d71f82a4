/**
 * The files of a rotated log, written: records are collected and appended with one write(2), and
 * between two of them a full file is rotated away: name, name.1, name.2 … (newest first), those
 * with a number compressed when asked for. The file grows by whole records only, except for what a
 * full disk tears, which is cut off again. For one thread; a write goes to the page cache.
 */
#ifndef HULL_STDIO_LOG_FILE_H
#define HULL_STDIO_LOG_FILE_H

#include "base/buf.h"
#include "base/err.h"

#define LOG_BATCH ((size_t)64 << 10) /* bytes of records that are written at once */
#define LOG_RECORD_MAX \
    ((size_t)256 << 10) /* 16 KiB of text with the longest escapes, attrs, the rest */

struct log_file;

struct log_file_opts {
    const char *path; /* of the current file; the folder must exist */
    int64_t max_size; /* bytes; a file that has reached it is rotated first. -1: never */
    int64_t max_file; /* 1 to 1000 files are kept, the current one counted */
    bool compress;    /* name.1 becomes name.1.gz and so on: log_file_compress does it */
};

/**
 * Open a log for appending; it is made with mode 0640. What a crash left of a half-written record
 * at its end is cut off. o is copied.
 */
int log_file_open(const struct log_file_opts *o, struct log_file **out, struct err *e);

/** Open it again after a rotation that failed; nothing when it is open. */
int log_file_reopen(struct log_file *f, struct err *e);

/**
 * Where the next record, at most LOG_RECORD_MAX bytes with its \n, is to be appended. *out is set
 * in any case; what was added before may be written and the file be rotated first, and that fails
 * as log_file_flush does.
 */
int log_file_begin(struct log_file *f, struct buf **out, struct err *e);

/**
 * Write what was added.
 *
 * Errors: of the file system (disk full): the records that did not fit whole are lost, the file
 * still ends with a whole record, and the next call tries again.
 */
int log_file_flush(struct log_file *f, struct err *e);

/** True when rotated files wait for log_file_compress. */
bool log_file_wants_compress(const struct log_file *f);

/**
 * Compress some of them: a few milliseconds' worth, so that output goes on in between. Nothing is
 * tried again after an error before the next rotation.
 */
int log_file_compress(struct log_file *f, struct err *e);

/** Close, without a flush. NULL is fine. */
void log_file_close(struct log_file *f);

#endif
