/** The options of a container's log (HostConfig.LogConfig): which there are, and what a start makes
 * of them. */
#ifndef HULL_ENGINE_LOG_OPTIONS_H
#define HULL_ENGINE_LOG_OPTIONS_H

#include "engine/record.h"
#include "stdio/log_uri.h"

/**
 * What a create looks at, as Docker does: the driver's name, the options' names, the delivery mode.
 *
 * Errors: INVALID in Docker's words.
 */
int log_options_check(const struct log_config *l, struct err *e);

/**
 * What a start looks at: sizes, rotation, compression, and the attributes of each record, which
 * labels, env, their expressions and the tag give.
 *
 * out  driver, path, max_size, max_file, compress, max_buffer_size and attrs are set; in the arena
 * or borrowed.
 *
 * Errors: INVALID in Docker's words, behind "failed to initialize logging driver: ".
 */
int log_options_read(const struct container_record *rec, struct arena *a, struct log_uri *out,
                     struct err *e);

#endif
