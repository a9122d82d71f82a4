/* Threads that run jobs: see grpc_pool.h. */
#include "rpc/grpc_pool.h"

#include <pthread.h>

#include "base/mem.h"
#include "sys/thread.h"

struct grpc_pool {
    pthread_mutex_t lock;
    pthread_cond_t change; /* guarded by lock: a job, the stop, or the end of a slow job */
    struct list jobs;      /* guarded by lock */
    bool stop;             /* guarded by lock */
    int n_slow, max_slow;  /* guarded by lock */
    int n;
    pthread_t threads[];
};

struct slow {
    struct grpc_pool *pool;
    struct grpc_job *job;
};

static void *worker(void *arg)
{
    struct grpc_pool *p = arg;

    for (;;) {
        (void)pthread_mutex_lock(&p->lock);
        while (list_empty(&p->jobs) && !p->stop)
            (void)pthread_cond_wait(&p->change, &p->lock);
        struct grpc_job *job = list_take(&p->jobs, struct grpc_job, link);
        (void)pthread_mutex_unlock(&p->lock);
        if (job == NULL)
            return NULL;
        job->run(job);
    }
}

static void *slow_worker(void *arg)
{
    struct slow s = *(struct slow *)arg;

    free(arg);
    s.job->run(s.job);
    (void)pthread_mutex_lock(&s.pool->lock);
    s.pool->n_slow--;
    (void)pthread_cond_broadcast(&s.pool->change);
    (void)pthread_mutex_unlock(&s.pool->lock);
    return NULL;
}

int grpc_pool_new(int n, int max_slow, struct grpc_pool **out_pool, struct err *e)
{
    struct grpc_pool *p = mem_alloc(sizeof(*p) + (size_t)n * sizeof(pthread_t));

    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->change, NULL);
    list_init(&p->jobs);
    p->max_slow = max_slow;
    while (p->n < n) {
        int r = thread_start(&p->threads[p->n], THREAD_STACK, worker, p);
        if (r < 0) {
            grpc_pool_free(p);
            return err_neg(e, r, "start a thread");
        }
        p->n++;
    }
    *out_pool = p;
    return 0;
}

void grpc_pool_submit(struct grpc_pool *p, struct grpc_job *job)
{
    (void)pthread_mutex_lock(&p->lock);
    list_append(&p->jobs, &job->link);
    (void)pthread_cond_signal(&p->change);
    (void)pthread_mutex_unlock(&p->lock);
}

int grpc_pool_submit_slow(struct grpc_pool *p, struct grpc_job *job, struct err *e)
{
    struct slow *s = mem_alloc(sizeof(*s));
    bool room;
    int r = 0;

    *s = (struct slow){p, job};
    (void)pthread_mutex_lock(&p->lock);
    room = p->n_slow < p->max_slow;
    p->n_slow += room;
    (void)pthread_mutex_unlock(&p->lock);
    if (room && (r = thread_start(NULL, THREAD_STACK, slow_worker, s)) == 0)
        return 0;
    free(s);
    if (!room)
        return err_set(e, ERR_EXHAUSTED, "too many long calls at a time (%d)", p->max_slow);
    (void)pthread_mutex_lock(&p->lock);
    p->n_slow--;
    (void)pthread_mutex_unlock(&p->lock);
    return err_neg(e, r, "start a thread");
}

void grpc_pool_free(struct grpc_pool *p)
{
    if (p == NULL)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_cond_broadcast(&p->change);
    (void)pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n; i++)
        (void)pthread_join(p->threads[i], NULL);
    (void)pthread_mutex_lock(&p->lock);
    while (p->n_slow > 0)
        (void)pthread_cond_wait(&p->change, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_cond_destroy(&p->change);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}
