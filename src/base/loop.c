/*
 * The event loop: see loop.h. Deleted sources are only marked while events are dispatched and freed
 * after the batch, so that a later event of the same batch never meets freed memory. A pidfd is an
 * ordinary descriptor here.
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/time.h"

#define BATCH 32

struct source {
    struct list link;
    struct loop *loop;
    int fd;
    bool own_fd; /* timers and signals: closed with the source */
    bool dead, added;
    uint32_t events;
    loop_fd_fn *fd_fn;
    loop_timer_fn *timer_fn;
    loop_signal_fn *signal_fn;
    void *arg;
};

struct loop {
    int epfd;
    bool stop, dispatching;
    struct list sources, dead;
};

struct loop *loop_new(struct err *e)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    if (epfd < 0) {
        err_sys(e, "epoll_create");
        return NULL;
    }
    struct loop *l = mem_alloc(sizeof(*l));
    l->epfd = epfd;
    list_init(&l->sources);
    list_init(&l->dead);
    return l;
}

static void source_free(struct source *s)
{
    list_remove(&s->link);
    if (s->own_fd)
        close(s->fd);
    free(s);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    list_each(link, &l->sources)
        source_free(CONTAINER_OF(link, struct source, link));
    list_each(link, &l->dead)
        source_free(CONTAINER_OF(link, struct source, link));
    close(l->epfd);
    free(l);
}

int loop_set_events(struct source *s, uint32_t events, struct err *e)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    int op = events == 0 ? EPOLL_CTL_DEL : s->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (events == 0 && !s->added)
        return 0;
    if (epoll_ctl(s->loop->epfd, op, s->fd, &ev) < 0)
        return err_sys(e, "epoll_ctl");
    s->added = events != 0;
    s->events = events;
    return 0;
}

static struct source *source_new(struct loop *l, int fd, uint32_t events, void *arg, struct err *e)
{
    struct source *s = mem_alloc(sizeof(*s));
    s->loop = l;
    s->fd = fd;
    s->arg = arg;
    list_append(&l->sources, &s->link);
    if (loop_set_events(s, events, e) < 0) {
        source_free(s);
        return NULL;
    }
    return s;
}

struct source *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
                           struct err *e)
{
    struct source *s = source_new(l, fd, events, arg, e);
    if (s != NULL)
        s->fd_fn = fn;
    return s;
}

struct source *loop_add_timer(struct loop *l, int64_t ms, loop_timer_fn *fn, void *arg,
                              struct err *e)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    /* a zero it_value would disarm the timer: the shortest wait is a nanosecond */
    struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS}};
    if (ms <= 0)
        when.it_value = (struct timespec){.tv_nsec = 1};
    if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0) {
        err_sys(e, "timerfd");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct source *s = source_new(l, fd, EPOLLIN, arg, e);
    if (s == NULL) {
        close(fd);
        return NULL;
    }
    s->own_fd = true;
    s->timer_fn = fn;
    return s;
}

int loop_add_signals(struct loop *l, const sigset_t *set, loop_signal_fn *fn, void *arg,
                     struct err *e)
{
    int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_sys(e, "signalfd");
    struct source *s = source_new(l, fd, EPOLLIN, arg, e);
    if (s == NULL) {
        close(fd);
        return -1;
    }
    s->own_fd = true;
    s->signal_fn = fn;
    return 0;
}

void loop_del(struct source *s)
{
    if (s == NULL || s->dead)
        return;
    if (s->added)
        (void)epoll_ctl(s->loop->epfd, EPOLL_CTL_DEL, s->fd,
                        NULL); /* fails when fd is closed: gone anyway */
    if (!s->loop->dispatching) {
        source_free(s);
        return;
    }
    s->dead = true;
    list_remove(&s->link);
    list_append(&s->loop->dead, &s->link);
}

static void dispatch(struct source *s, uint32_t events)
{
    if (s->fd_fn != NULL) {
        s->fd_fn(s, s->fd, events, s->arg);
    } else if (s->timer_fn != NULL) {
        loop_timer_fn *fn = s->timer_fn;
        void *arg = s->arg;
        fn(s, arg);
        loop_del(s);
    } else if (s->signal_fn != NULL) {
        struct signalfd_siginfo si;
        while (!s->dead && read(s->fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
            s->signal_fn((int)si.ssi_signo, s->arg);
    }
}

int loop_run(struct loop *l, struct err *e)
{
    l->stop = false;
    while (!l->stop) {
        struct epoll_event ev[BATCH];
        int n = epoll_wait(l->epfd, ev, BATCH, -1);
        if (n < 0 && errno != EINTR)
            return err_sys(e, "epoll_wait");
        l->dispatching = true;
        for (int i = 0; i < n; i++) {
            struct source *s = ev[i].data.ptr;
            if (!s->dead)
                dispatch(s, ev[i].events);
        }
        l->dispatching = false;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): they take themselves off the list */
        list_each(link, &l->dead)
            source_free(CONTAINER_OF(link, struct source, link));
    }
    return 0;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}
