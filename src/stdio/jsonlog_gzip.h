/**
 * Rotated log files compressed, name.1 into name.1.gz and so on, a slice at a time: who writes a
 * log may not wait for a whole file. What is compressed may be renamed by a rotation meanwhile.
 *
 * A .gz says in its header (RFC 1952, field "Hl" of the extra fields) which file it was, so that a
 * reader that has that one open knows where it stands.
 */
#ifndef HULL_STDIO_JSONLOG_GZIP_H
#define HULL_STDIO_JSONLOG_GZIP_H

#include <sys/stat.h>

#include "base/err.h"

struct log_gzip;

/** For the files of the log at path, of which max_file are kept. */
struct log_gzip *log_gzip_new(const char *path, int64_t max_file);

/**
 * Compress a slice of the oldest file that is not yet.
 *
 * Returns 1: there is more to do; 0: nothing. Errors: of the file system; the file stays as it is.
 */
int log_gzip_step(struct log_gzip *z, struct err *e);

/** Drops what is half done. NULL is fine. */
void log_gzip_free(struct log_gzip *z);

/** True when the compressed file fd was made from the one that st describes. */
bool log_gzip_is_of(int fd, const struct stat *st);

/**
 * Write what the compressed file fd holds to out. A damaged one gives what can be read of it.
 * Errors: of out.
 */
int log_gzip_inflate(int fd, int out, struct err *e);

#endif
