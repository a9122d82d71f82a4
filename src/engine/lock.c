/* Gates and waits: everything that waits does so in poll. */
#include "engine/lock.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/time.h"
#include "sys/fd.h"

struct waiter {
    struct list link;
    int fd;
    bool given; /* guarded by the gate's lock: the gate was handed to us */
};

void gate_init(struct gate *g, pthread_mutex_t *lock)
{
    g->lock = lock;
    g->held = false;
    list_init(&g->waiting);
}

int wait_readable(int fd, int cancel_fd, int timeout_ms, struct err *e)
{
    int64_t deadline_ns = time_mono_ns() + timeout_ms * NS_PER_MS;

    for (;;) {
        struct pollfd p[] = {{fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
        int64_t left_ms =
            timeout_ms < 0 ? -1 : (deadline_ns - time_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int n = poll(p, 2, timeout_ms < 0 ? -1 : (int)MAX(left_ms, 0));

        if (n < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (n > 0 && p[0].revents != 0)
            return 1;
        if (n > 0 && p[1].revents != 0)
            return err_set(e, ERR_CANCELLED, "cancelled");
        if (n == 0 && left_ms <= 0)
            return 0;
    }
}

bool gate_try(struct gate *g)
{
    bool mine;

    pthread_mutex_lock(g->lock);
    mine = !g->held;
    g->held = true;
    pthread_mutex_unlock(g->lock);
    return mine;
}

int gate_enter(struct gate *g, int cancel_fd, struct err *e)
{
    struct waiter w;
    int r;

    pthread_mutex_lock(g->lock);
    if (!g->held) {
        g->held = true;
        pthread_mutex_unlock(g->lock);
        return 0;
    }
    w = (struct waiter){.fd = eventfd(0, EFD_CLOEXEC)};
    if (w.fd < 0) {
        pthread_mutex_unlock(g->lock);
        return err_sys(e, "eventfd");
    }
    list_append(&g->waiting, &w.link);
    pthread_mutex_unlock(g->lock);

    r = wait_readable(w.fd, cancel_fd, -1, e);
    pthread_mutex_lock(g->lock);
    list_remove(&w.link);
    if (r < 0 && w.given) { /* both happened: hand it on */
        pthread_mutex_unlock(g->lock);
        gate_leave(g);
    } else {
        pthread_mutex_unlock(g->lock);
    }
    fd_close(w.fd);
    return r < 0 ? -1 : 0;
}

void gate_leave(struct gate *g)
{
    pthread_mutex_lock(g->lock);
    struct waiter *w = list_take(&g->waiting, struct waiter, link);
    if (w == NULL) {
        g->held = false;
    } else { /* held stays true: it goes straight to the one who waited longest */
        w->given = true;
        (void)eventfd_write(w->fd, 1);
    }
    pthread_mutex_unlock(g->lock);
}
