/**
 * The json-file log, written: one JSON object a line, exactly as dockerd writes it.
 *
 *     {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.6Z"}
 *
 * A line of more than 16 KiB becomes several records, of which only the last ends in \n; all have
 * the time of the first. Made for one thread; a write goes to the page cache and never waits for
 * anybody.
 */
#ifndef HULL_STDIO_JSONLOG_H
#define HULL_STDIO_JSONLOG_H

#include "stdio/log_file.h"
#include "stdio/log_queue.h"
#include "stdio/stream.h"

#define JSONLOG_LINE_MAX ((size_t)16 << 10) /* bytes of text in one record */

struct jsonlog;

struct jsonlog_opts {
    struct log_file_opts file; /* copied */
    struct log_queue *queue;   /* the records go there instead; NULL */
    const char *attrs;         /* JSON object put into each record, or NULL */
};

/** Open a log: as log_file_open. o is copied. */
int jsonlog_open(const struct jsonlog_opts *o, struct jsonlog **out, struct err *e);

/**
 * Add output of a stream (STDIO_OUT or STDIO_ERR) that came at now_ns. Complete lines are written
 * at once; the rest of a line waits for its end, or for jsonlog_end. Errors: as log_file_flush.
 */
int jsonlog_write(struct jsonlog *l, enum stdio_stream stream, const void *p, size_t n,
                  int64_t now_ns, struct err *e);

/** A stream has ended: write what is left of its last line, without \n. */
int jsonlog_end(struct jsonlog *l, enum stdio_stream stream, struct err *e);

/** As log_file_wants_compress and log_file_compress; of a queue there is nothing to do. */
bool jsonlog_wants_compress(const struct jsonlog *l);
int jsonlog_compress(struct jsonlog *l, struct err *e);

/** Close; unfinished lines are lost unless jsonlog_end was called. NULL is fine. */
void jsonlog_close(struct jsonlog *l);

#endif
