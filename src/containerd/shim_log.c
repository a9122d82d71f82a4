/*
 * Copying logs: see shim_log.h. Only the thread closes what it follows, when the last writer is
 * gone; so others never have to take a descriptor away from it.
 */
#include "containerd/shim_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/thread.h"

#define CHUNK 4096
#define EVENTS 16

struct shim_logs {
    int epoll_fd, stop_fd;
    pthread_t thread;
};

/* Copy what there is. False: nobody will write any more. */
static bool copy(int fd)
{
    char chunk[CHUNK];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        (void)fd_write_all(STDERR_FILENO, chunk, (size_t)n); /* nowhere to complain */
    }
}

static void *follow(void *arg)
{
    struct shim_logs *l = arg;
    struct epoll_event ev[EVENTS];
    for (;;) {
        int n = epoll_wait(l->epoll_fd, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == l->stop_fd)
                return NULL;
            if (copy(ev[i].data.fd))
                continue;
            /* Closing alone does not take it out of the set while a child between fork and exec
             * holds a copy: it would be reported again, and closed again when the number is already
             * another's. */
            (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, ev[i].data.fd, NULL);
            fd_close(ev[i].data.fd);
        }
    }
}

static int watch(struct shim_logs *l, int fd, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? err_sys(e, "epoll_ctl") : 0;
}

int shim_logs_new(struct shim_logs **out, struct err *e)
{
    struct shim_logs *l = mem_alloc(sizeof(*l));
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = l->epoll_fd < 0 || l->stop_fd < 0 ? err_sys(e, "epoll") : watch(l, l->stop_fd, e);
    if (r == 0) {
        r = thread_start(&l->thread, THREAD_STACK, follow, l);
        r = r < 0 ? err_neg(e, r, "start a thread for logs") : 0;
    }
    if (r < 0) {
        fd_close(l->epoll_fd);
        fd_close(l->stop_fd);
        free(l);
        return -1;
    }
    *out = l;
    return 0;
}

void shim_logs_free(struct shim_logs *l)
{
    uint64_t one = 1;
    if (l == NULL)
        return;
    (void)!write(l->stop_fd, &one, sizeof(one));
    (void)pthread_join(l->thread, NULL);
    fd_close(l->epoll_fd);
    fd_close(l->stop_fd);
    free(l); /* followed descriptors end with the process */
}

int shim_logs_add(struct shim_logs *l, const char *bundle, struct err *e)
{
    auto_free char *path = mem_printf("%s/log", bundle);
    auto_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, "open %s", path);
    TRY(watch(l, fd, e));
    (void)take_fd(&fd); /* the thread's now */
    return 0;
}

void shim_logs_end(const char *bundle)
{
    auto_free char *path = mem_printf("%s/log", bundle);
    fd_close(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
}
