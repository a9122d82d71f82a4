/**
 * The one place that reaps. The shim is the subreaper of everything below it, so processes end here
 * that it has never started, and some end before their pid is known: as long as somebody holds,
 * exits that nobody watches for are kept.
 */
#ifndef HULL_SHIM_REAPER_H
#define HULL_SHIM_REAPER_H

#include <sys/types.h>

#include "base/loop.h"

struct reaper;

/** status: exit code, or 128 + the signal's number. */
typedef void reaper_fn(void *arg, pid_t pid, int status, int64_t exited_ns);

struct reaper *reaper_new(void);
void reaper_free(struct reaper *r);

/** SIGCHLD has come: reap all that has ended and tell who watches. */
void reaper_run(struct reaper *r);

/**
 * Have fn(arg) called once when the child ends. When it has ended while somebody held, fn is called
 * before this returns.
 */
void reaper_watch(struct reaper *r, pid_t pid, reaper_fn *fn, void *arg);

/** Take a watch back. */
void reaper_forget(struct reaper *r, pid_t pid);

/** Keep the exits of unknown processes, until as many reaper_release have been called. */
void reaper_hold(struct reaper *r);
void reaper_release(struct reaper *r);

#endif
