/**
 * The json-file log, read: over all rotated files in order, from the start or from the last N
 * records on, and on request as it grows. Written by another process, which may rotate the files or
 * be killed at any moment: a record is given once or not at all (when it was rotated out of
 * existence first), a torn one never.
 *
 *     TRY(jsonlog_reader_open(&opts, &r, e));
 *     while ((n = jsonlog_next(r, &rec, e)) > 0) ... rec.line ...
 */
#ifndef HULL_STDIO_JSONLOG_READER_H
#define HULL_STDIO_JSONLOG_READER_H

#include "base/err.h"
#include "base/str.h"
#include "stdio/stream.h"

#define JSONLOG_RECORD_MAX ((size_t)1 << 20) /* longer records are skipped */

struct jsonlog_record {
    int64_t time_ns;
    enum stdio_stream stream; /* STDIO_OUT or STDIO_ERR */
    struct str line;          /* the text, with its \n if it has one */
    struct str attrs;         /* JSON object as it stands in the file; n is 0 when absent */
};

struct jsonlog_reader_opts {
    const char *path; /* of the current file */
    int64_t tail;     /* only the last so many records; -1: all */
    int64_t since_ns; /* records before it are left out; 0: none */
    int64_t until_ns; /* ends before the first record after it; 0: no end */
    bool follow;      /* at the end wait for more */
    int ended_fd;  /* follow: becomes readable when nothing will be written any more; -1: never */
    int cancel_fd; /* readable (or hung up): give up with CANCELLED; -1: none */
};

struct jsonlog_reader;

/**
 * Open a log. One that does not exist (yet) is empty.
 * Errors: INTERNAL (cannot be read).
 */
int jsonlog_reader_open(const struct jsonlog_reader_opts *o, struct jsonlog_reader **out,
                        struct err *e);

/**
 * The next record; it is good until the next call. Bytes that are no record are skipped.
 *
 * Returns 1, or 0 at the end: without follow, at the end of the log; with it, when ended_fd is
 * readable and all is read, or until_ns is over. With follow it waits. Errors: CANCELLED, INTERNAL.
 */
int jsonlog_next(struct jsonlog_reader *r, struct jsonlog_record *out, struct err *e);

/** NULL is fine. */
void jsonlog_reader_close(struct jsonlog_reader *r);

/**
 * Read one record. text: one line of a log without its \n; out->line is written to scratch (which
 * must hold as many bytes as text), out->attrs points into text. False: not a record.
 */
bool jsonlog_parse(struct str text, char *scratch, struct jsonlog_record *out);

#endif
