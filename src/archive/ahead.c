/*
 * See ahead.h. A ring of blocks between one writer and one reader; `made` and `taken` only grow.
 * The block a reader has borrowed counts as taken when it asks for the next one.
 */
#include "archive/ahead.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/thread.h"

enum { BLOCKS = 4 };

struct block {
    ssize_t n; /* 0: the end; -1: the error */
    char p[INFLATE_BLOCK];
};

struct ahead {
    struct inflate *bytes;
    int stop_fd; /* readable: the thread is to end */
    pthread_t thread;
    bool has_thread, borrowed;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
    size_t made, taken;
    struct err err; /* of the last block */
    struct block blocks[BLOCKS];
};

/* The place for the next block; NULL when nobody wants it any more. */
static struct block *room(struct ahead *h)
{
    (void)pthread_mutex_lock(&h->lock);
    while (h->made - h->taken == BLOCKS && !h->stopping)
        (void)pthread_cond_wait(&h->changed, &h->lock);
    struct block *b = h->stopping ? NULL : &h->blocks[h->made % BLOCKS];
    (void)pthread_mutex_unlock(&h->lock);
    return b;
}

static void publish(struct ahead *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->made++;
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
}

static void *run(void *arg)
{
    struct ahead *h = arg;
    struct block *b;
    ssize_t n = 1;
    while (n > 0 && (b = room(h)) != NULL) {
        n = b->n = inflate_next(h->bytes, b->p, &h->err);
        publish(h);
    }
    return NULL;
}

static int start(struct ahead *h, struct err *e)
{
    if (h->stop_fd < 0)
        return err_sys(e, "eventfd");
    int r = thread_start(&h->thread, THREAD_STACK, run, h);
    h->has_thread = r == 0;
    return r < 0 ? err_neg(e, r, "start the inflating thread") : 0;
}

int ahead_new(const struct inflate_opts *o, struct ahead **out, struct err *e)
{
    struct ahead *h = mem_alloc(sizeof(*h));
    struct inflate_opts with_stop = *o;
    with_stop.stop_fd = h->stop_fd = eventfd(0, EFD_CLOEXEC);
    h->bytes = inflate_new(&with_stop);
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->changed, NULL);
    if (start(h, e) < 0) {
        ahead_free(h);
        return -1;
    }
    *out = h;
    return 0;
}

static void stop(struct ahead *h)
{
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&h->lock);
    h->stopping = true;
    (void)pthread_cond_signal(&h->changed);
    (void)pthread_mutex_unlock(&h->lock);
    (void)!write(h->stop_fd, &one, sizeof(one));
    (void)pthread_join(h->thread, NULL);
}

void ahead_free(struct ahead *h)
{
    if (h == NULL)
        return;
    if (h->has_thread)
        stop(h);
    inflate_free(h->bytes);
    fd_close(h->stop_fd);
    (void)pthread_cond_destroy(&h->changed);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

ssize_t ahead_next(struct ahead *h, const void **out, struct err *e)
{
    (void)pthread_mutex_lock(&h->lock);
    if (h->borrowed && h->blocks[h->taken % BLOCKS].n > 0) { /* the last one stays */
        h->taken++;
        (void)pthread_cond_signal(&h->changed);
    }
    while (h->made == h->taken)
        (void)pthread_cond_wait(&h->changed, &h->lock);
    h->borrowed = true;
    (void)pthread_mutex_unlock(&h->lock);
    const struct block *b = &h->blocks[h->taken % BLOCKS];
    if (b->n < 0)
        *e = h->err;
    *out = b->p;
    return b->n;
}

void ahead_digest(const struct ahead *h, char out[static 72], int64_t *out_bytes)
{
    inflate_digest(h->bytes, out, out_bytes);
}
