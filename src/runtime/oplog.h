/**
 * The operator's log: lines that are no errors, on their way to whoever called the library. The
 * container's process has only its socket to the parent, which passes its lines on.
 */
#ifndef HULL_RUNTIME_OPLOG_H
#define HULL_RUNTIME_OPLOG_H

#include "runtime/launch.h"
#include "runtime/runtime.h"

/** Add a line. log may be NULL. */
__attribute__((format(printf, 3, 4))) void oplog(const struct hullrun_log *log,
                                                 enum hullrun_level level, const char *fmt, ...);

/** In the child: the parent's log, reached over *sync (borrowed; not before the first GO). */
struct hullrun_log oplog_through(const struct hullrun_log *parent, int *sync);

/** In the parent: a line (SYNC_LINE) that came from the child. */
void oplog_relay(const struct hullrun_log *log, const struct sync_msg *m);

#endif
