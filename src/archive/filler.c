/*
 * See filler.h. A ring of files between two threads, limited in number (descriptors) and in bytes.
 * One that is being filled still counts, so that an empty ring means that all is done.
 */
#include "archive/filler.h"

#include <string.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/thread.h"

enum { SLOTS = 16, BYTES_MAX = 4 << 20 };

struct filler {
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
    struct filling ring[SLOTS];
    size_t put, done; /* only grow */
    size_t bytes;     /* of those between done and put */
    struct err err;   /* the first */
};

static void filling_done(struct filling *w)
{
    fd_close(w->fd);
    free(w->path);
    free(w->data);
}

/* Each of the first three resets something of the ones behind it. */
static int fill(const struct filling *w, struct err *e)
{
    const struct timespec ts[2] = {w->mtime, w->mtime};
    int r = fd_write_all(w->fd, w->data, w->n);
    if (r < 0)
        return err_neg(e, r, "extract \"%.800s\": write file", w->path);
    if (fchown(w->fd, w->uid, w->gid) < 0)
        return err_sys(e, "extract \"%.800s\": set owner", w->path);
    if (fchmod(w->fd, w->mode) < 0)
        return err_sys(e, "extract \"%.800s\": set mode", w->path);
    return futimens(w->fd, ts) < 0 ? err_sys(e, "extract \"%.800s\": set time", w->path) : 0;
}

static void *run(void *arg)
{
    struct filler *f = arg;
    (void)pthread_mutex_lock(&f->lock);
    while (true) {
        while (f->put == f->done && !f->stopping)
            (void)pthread_cond_wait(&f->changed, &f->lock);
        if (f->stopping)
            break;
        struct filling *w = &f->ring[f->done % SLOTS];
        struct err e = {0};
        (void)pthread_mutex_unlock(&f->lock);
        int r = fill(w, &e);
        filling_done(w);
        (void)pthread_mutex_lock(&f->lock);
        if (r < 0 && f->err.kind == ERR_NONE)
            f->err = e;
        f->bytes -= w->n;
        f->done++;
        (void)pthread_cond_broadcast(&f->changed);
    }
    (void)pthread_mutex_unlock(&f->lock);
    return NULL;
}

int filler_new(struct filler **out, struct err *e)
{
    struct filler *f = mem_alloc(sizeof(*f));
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    int r = thread_start(&f->thread, THREAD_STACK, run, f);
    f->has_thread = r == 0;
    if (r < 0) {
        filler_free(f);
        return err_neg(e, r, "start the filling thread");
    }
    *out = f;
    return 0;
}

void filler_put(struct filler *f, const struct filling *what)
{
    (void)pthread_mutex_lock(&f->lock);
    while (f->put - f->done == SLOTS || (f->put != f->done && f->bytes + what->n > BYTES_MAX))
        (void)pthread_cond_wait(&f->changed, &f->lock);
    f->ring[f->put++ % SLOTS] = *what;
    f->bytes += what->n;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
}

int filler_check(struct filler *f, struct err *e)
{
    (void)pthread_mutex_lock(&f->lock);
    bool failed = f->err.kind != ERR_NONE;
    if (failed)
        *e = f->err;
    (void)pthread_mutex_unlock(&f->lock);
    return failed ? -1 : 0;
}

int filler_finish(struct filler *f, struct err *e)
{
    (void)pthread_mutex_lock(&f->lock);
    while (f->put != f->done)
        (void)pthread_cond_wait(&f->changed, &f->lock);
    (void)pthread_mutex_unlock(&f->lock);
    return filler_check(f, e);
}

void filler_free(struct filler *f)
{
    if (f == NULL)
        return;
    (void)pthread_mutex_lock(&f->lock);
    f->stopping = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    if (f->has_thread)
        (void)pthread_join(f->thread, NULL);
    for (; f->done != f->put; f->done++)
        filling_done(&f->ring[f->done % SLOTS]);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}
