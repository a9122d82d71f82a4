/** Watch a container's cgroup for the kernel's out-of-memory killer: each kill becomes a /tasks/oom
 * event. */
#ifndef HULL_SHIM_OOM_H
#define HULL_SHIM_OOM_H

#include "base/loop.h"
#include "shim/publish.h"
#include "sys/cgroup.h"

struct oom;

/** id is borrowed as long as the watch lives. NULL when there is nothing to watch (said in the
 * log). */
struct oom *oom_watch(struct loop *loop, struct publisher *pub, const char *id,
                      const struct cgroup *cg);

/** The container's first process has ended: publish now what the kernel would tell only in some
 * milliseconds, when the cgroup may be gone. NULL is fine. */
void oom_check(struct oom *o);

/** NULL is fine. */
void oom_free(struct oom *o);

#endif
