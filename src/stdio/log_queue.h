/**
 * What stands between a container and its log when its output may not wait for it (mode
 * non-blocking): a pipe of a given size, read by a hull-logger that writes the files. Records that
 * find it full are dropped, whole. The pipe and the writer outlive us: what was taken is written.
 * Belongs to a loop; never blocks.
 */
#ifndef HULL_STDIO_LOG_QUEUE_H
#define HULL_STDIO_LOG_QUEUE_H

#include "base/loop.h"
#include "stdio/log_uri.h"

#define LOG_QUEUE_SERVE "--records" /* hull-logger's argument for log_queue_serve */

struct log_queue;

/**
 * Start the writer of u's log.
 *
 * u  its path, rotation and max_buffer_size (bytes; the kernel rounds them up, and may have less).
 */
int log_queue_open(struct loop *loop, const struct log_uri *u, struct log_queue **out,
                   struct err *e);

/** Where the next record, at most LOG_RECORD_MAX bytes with its \n, is to be appended. *out is set
 * in any case. Errors: as log_queue_flush. */
int log_queue_begin(struct log_queue *q, struct buf **out, struct err *e);

/** Pass on what was added. Errors: UNAVAILABLE (the writer is gone). */
int log_queue_flush(struct log_queue *q, struct err *e);

/** Nothing is added any more: have fn(arg) called once from the loop when all is written. */
void log_queue_end(struct log_queue *q, void (*fn)(void *arg), void *arg);

/** True once all is written. */
bool log_queue_ended(const struct log_queue *q);

/** Close without waiting for the writer. NULL is fine. */
void log_queue_free(struct log_queue *q);

/**
 * The writer's side: write the records that come from fd (blocking) to the files of u until it
 * ends. What can't be written is lost, with a line in the log.
 */
int log_queue_serve(int fd, const struct log_uri *u, struct err *e);

#endif
