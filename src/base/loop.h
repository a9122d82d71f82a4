/**
 * An event loop for programs with one thread (the shim, agents): epoll with descriptors, timers,
 * signals and child processes as sources. Callbacks run one after the other; a source may be
 * deleted from any callback, its own included.
 */
#ifndef HULL_BASE_LOOP_H
#define HULL_BASE_LOOP_H

#include <signal.h>

#include "base/defs.h"
#include "base/err.h"

struct loop;
struct source;

/** events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR of what is ready. */
typedef void loop_fd_fn(struct source *s, int fd, uint32_t events, void *arg);
typedef void loop_timer_fn(struct source *s, void *arg);
typedef void loop_signal_fn(int signo, void *arg);

/** NULL and e filled when the kernel refuses an epoll instance. */
struct loop *loop_new(struct err *e);

/** Free the loop and all its sources; descriptors that were given to it stay open. */
void loop_free(struct loop *l);

/** Watch fd (borrowed) for EPOLLIN and/or EPOLLOUT; hang-up and error are always reported. NULL and
 * e on failure. */
struct source *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
                           struct err *e);

/** Change what is watched for. 0 pauses the source (hang-up is not reported either then). */
int loop_set_events(struct source *s, uint32_t events, struct err *e);

/** Call fn once, ms milliseconds from now; the source is deleted by itself after the call. */
struct source *loop_add_timer(struct loop *l, int64_t ms, loop_timer_fn *fn, void *arg,
                              struct err *e);

/** Deliver the signals of set (which the caller has blocked) to fn. */
int loop_add_signals(struct loop *l, const sigset_t *set, loop_signal_fn *fn, void *arg,
                     struct err *e);

/** Stop watching and free. NULL is fine. */
void loop_del(struct source *s);

/** Run until loop_stop. */
int loop_run(struct loop *l, struct err *e);
void loop_stop(struct loop *l);

#endif
