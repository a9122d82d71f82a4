/* See flight.h. Each piece of work has an eventfd that becomes readable for good once it is over.
 */
#include "store/flight.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "sys/fd.h"

struct flight {
    struct list link;
    struct store *s;
    char *key;
    int done_fd;
    int refs; /* guarded by s->lock, as the list */
};

static void unref_locked(struct flight *f)
{
    if (--f->refs > 0)
        return;
    fd_close(f->done_fd);
    free(f->key);
    free(f);
}

static struct flight *find_locked(struct store *s, const char *key)
{
    list_each(l, &s->in_flight) {
        struct flight *f = CONTAINER_OF(l, struct flight, link);
        if (strcmp(f->key, key) == 0)
            return f;
    }
    return NULL;
}

static int wait_done(struct flight *f, int cancel_fd, int stop_fd, struct err *e)
{
    struct pollfd p[3] = {{.fd = f->done_fd, .events = POLLIN},
                          {.fd = cancel_fd > 0 ? cancel_fd : -1, .events = POLLIN},
                          {.fd = stop_fd > 0 ? stop_fd : -1, .events = POLLIN}};
    while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR)
        ;
    return p[0].revents == 0 ? err_set(e, ERR_CANCELLED, "context canceled") : 0;
}

int flight_begin(struct store *s, const char *key, int cancel_fd, int stop_fd, struct flight **out,
                 struct err *e)
{
    pthread_mutex_lock(&s->lock);
    struct flight *f = find_locked(s, key);
    if (f != NULL) {
        f->refs++;
        pthread_mutex_unlock(&s->lock);
        int r = wait_done(f, cancel_fd, stop_fd, e);
        pthread_mutex_lock(&s->lock);
        unref_locked(f);
        pthread_mutex_unlock(&s->lock);
        return r;
    }
    f = mem_alloc(sizeof(*f));
    *f = (struct flight){
        .s = s, .key = mem_strdup(key), .done_fd = eventfd(0, EFD_CLOEXEC), .refs = 1};
    if (f->done_fd < 0) {
        pthread_mutex_unlock(&s->lock);
        free(f->key);
        free(f);
        return err_sys(e, "eventfd");
    }
    list_append(&s->in_flight, &f->link);
    pthread_mutex_unlock(&s->lock);
    *out = f;
    return 1;
}

void flight_end(struct flight *f)
{
    if (f == NULL)
        return;
    struct store *s = f->s;
    const uint64_t one = 1;
    pthread_mutex_lock(&s->lock);
    list_remove(&f->link);
    (void)fd_write_all(f->done_fd, &one, sizeof(one)); /* an eventfd at 0 takes it */
    unref_locked(f);
    pthread_mutex_unlock(&s->lock);
}
