/**
 * Where an exec'd process belongs: the container's cgroup, one below it that the caller names, or
 * (v2) the one that the container's first process has moved to.
 */
#ifndef HULL_RUNTIME_EXEC_CGROUP_H
#define HULL_RUNTIME_EXEC_CGROUP_H

#include "runtime/record.h"

/**
 * The container's cgroup with what --cgroup asks for.
 *
 * wanted  each "PATH" or (v1) "CONTROLLER[,CONTROLLER...]:PATH", relative to the container's cgroup
 *         and never above it; NULL or empty: the container's own.
 *
 * INVALID "bad sub cgroup path: ...", "unknown controller ...". All in the arena.
 */
int exec_cgroup_plan(const struct record *r, const struct strv *wanted, struct arena *a,
                     struct cgroup *out, struct err *e);

/** On v2: point cg at the cgroup of a process. */
int exec_cgroup_follow(pid_t pid, struct arena *a, struct cgroup *cg, struct err *e);

#endif
