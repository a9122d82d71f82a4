/**
 * Logging in logfmt, as dockerd prints it:
 *
 *     log_info("container started", "container", c->id, NULL);
 *     time="2026-01-02T03:04:05.000000006Z" level=info msg="container started" container=4f0e…
 *
 * Pairs of strings end with NULL. One write(2) a line, so that lines of several threads never mix.
 * Secrets never.
 */
#ifndef HULL_BASE_LOG_H
#define HULL_BASE_LOG_H

#include "base/defs.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/** Where lines go and from which level on; in main, before the first thread. Default: stderr, info.
 */
void log_init(int fd, enum log_level min);

/** "debug", "info", "warn" ("warning"), "error" ("fatal"); false for anything else. */
bool log_level_parse(const char *name, enum log_level *out);

/** True when lines of this level are printed. */
bool log_enabled(enum log_level level);

void log_at(enum log_level level, const char *msg, ...) __attribute__((sentinel));
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

#endif
