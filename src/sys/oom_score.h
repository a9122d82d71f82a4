/**
 * How likely the kernel's out-of-memory killer takes a process: -1000 (never) to 1000 (first).
 * A child has its parent's. Coming down takes CAP_SYS_RESOURCE. Source: proc(5), oom_score_adj.
 */
#ifndef HULL_SYS_OOM_SCORE_H
#define HULL_SYS_OOM_SCORE_H

#include <sys/types.h>

#include "base/defs.h"

#define OOM_SCORE_MAX 1000

/** The score of pid (0: our own); 0 when it cannot be read. */
int64_t oom_score_get(pid_t pid);

/** Set the score of pid (0: our own). 0 or -errno. */
int oom_score_set(pid_t pid, int64_t score);

#endif
