/** Threads that run jobs: a few that take turns, and one of its own for a job that may block for
 * long. */
#ifndef HULL_RPC_GRPC_POOL_H
#define HULL_RPC_GRPC_POOL_H

#include "base/err.h"
#include "base/list.h"

struct grpc_pool;

/** Embedded in what the job is about; link must be initialised. */
struct grpc_job {
    struct list link;
    void (*run)(struct grpc_job *job);
};

/** n threads that take turns; at most max_slow threads of their own at a time. */
int grpc_pool_new(int n, int max_slow, struct grpc_pool **out_pool, struct err *e);

/** Run job soon, in the order of submission. */
void grpc_pool_submit(struct grpc_pool *p, struct grpc_job *job);

/** Run job in a thread of its own; EXHAUSTED when there are too many. */
int grpc_pool_submit_slow(struct grpc_pool *p, struct grpc_job *job, struct err *e);

/** Run what is queued, wait for all threads, free. NULL is fine. */
void grpc_pool_free(struct grpc_pool *p);

#endif
