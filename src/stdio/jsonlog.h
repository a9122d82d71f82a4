/**
 * The json-file log, written: one JSON object a line, exactly as dockerd writes it.
 *
 *     {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}
 *
 * A line of more than 16 KiB becomes several records, of which only the last ends in \n; all have
 * the time of the first. Files are rotated between records: name, name.1, name.2 … (newest
 * first), those with a number compressed when asked for.
 * Made for one thread; a write goes to the page cache and never waits for anybody.
 */
#ifndef HULL_STDIO_JSONLOG_H
#define HULL_STDIO_JSONLOG_H

#include "base/err.h"
#include "stdio/stream.h"

#define JSONLOG_LINE_MAX ((size_t)16 << 10) /* bytes of text in one record */

struct jsonlog;

struct jsonlog_opts {
    const char *path;  /* of the current file; the folder must exist */
    int64_t max_size;  /* bytes; a file that has reached it is rotated first. -1: never */
    int64_t max_file;  /* 1 to 1000 files are kept, the current one counted */
    bool compress;     /* name.1 becomes name.1.gz and so on: jsonlog_compress does it */
    const char *attrs; /* JSON object put into each record, or NULL */
};

/**
 * Open a log for appending; it is made with mode 0640. What a crash left of a half-written record
 * at its end is cut off. o is copied.
 */
int jsonlog_open(const struct jsonlog_opts *o, struct jsonlog **out, struct err *e);

/**
 * Add output of a stream (STDIO_OUT or STDIO_ERR) that came at now_ns. Complete lines are written
 * with one write(2); the rest of a line waits for its end, or for jsonlog_end.
 *
 * Errors: of the file system (disk full): the records of this call that did not fit whole are
 * lost, the file still ends with a whole record, and the next call tries again.
 */
int jsonlog_write(struct jsonlog *l, enum stdio_stream stream, const void *p, size_t n,
                  int64_t now_ns, struct err *e);

/** A stream has ended: write what is left of its last line, without \n. */
int jsonlog_end(struct jsonlog *l, enum stdio_stream stream, struct err *e);

/** True when rotated files wait for jsonlog_compress. */
bool jsonlog_wants_compress(const struct jsonlog *l);

/**
 * Compress some of them: a few milliseconds' worth, so that output goes on in between. Nothing is
 * tried again after an error before the next rotation.
 */
int jsonlog_compress(struct jsonlog *l, struct err *e);

/** Close; unfinished lines are lost unless jsonlog_end was called. NULL is fine. */
void jsonlog_close(struct jsonlog *l);

#endif
