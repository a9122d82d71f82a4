/* Threads that take work when there is some: at most a handful idle, more while all are busy. */
#include <errno.h>
#include <time.h>

#include "engine/core.h"

#include "base/log.h"
#include "sys/thread.h"

enum { WORKERS_MAX = 64, IDLE_MAX = 4 };

struct job_item {
    struct list link;
    void (*fn)(void *arg);
    void *arg;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t work, gone; /* worker threads may sleep on it: no request ever does */
    struct list queue;
    int threads, idle;
    bool closing;
};

struct workers *workers_new(void)
{
    struct workers *w = mem_alloc(sizeof(*w));

    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->gone, NULL);
    list_init(&w->queue);
    return w;
}

static void *worker(void *arg)
{
    struct workers *w = arg;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (list_empty(&w->queue) && !w->closing && w->idle < IDLE_MAX) {
            w->idle++;
            pthread_cond_wait(&w->work, &w->lock);
            w->idle--;
        }
        struct job_item *j = list_take(&w->queue, struct job_item, link);
        if (j == NULL)
            break;
        pthread_mutex_unlock(&w->lock);
        j->fn(j->arg);
        free(j);
        pthread_mutex_lock(&w->lock);
    }
    w->threads--;
    pthread_cond_signal(&w->gone);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* One more thread. Caller holds the lock. */
static void spawn_worker(struct workers *w)
{
    if (thread_start(NULL, THREAD_STACK, worker, w) == 0)
        w->threads++;
    else if (w->threads == 0)
        log_error("cannot start a thread", NULL);
}

void workers_submit(struct workers *w, void (*fn)(void *arg), void *arg)
{
    struct job_item *j = mem_alloc(sizeof(*j));

    j->fn = fn;
    j->arg = arg;
    pthread_mutex_lock(&w->lock);
    list_append(&w->queue, &j->link);
    if (w->idle == 0 && w->threads < WORKERS_MAX)
        spawn_worker(w);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void workers_free(struct workers *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->work);
    while (w->threads > 0)
        pthread_cond_wait(&w->gone, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->gone);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
