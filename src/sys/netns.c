/* Network namespaces, each entered by a thread that ends with the job; see netns.h. */
#include "sys/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "base/mem.h"
#include "base/log.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/thread.h"

/* whoever takes a namespace makes links next, and so needs the kernel's one lock for all links that
 * making another would hold */
#define CALM_NS (4 * NS_PER_MS)

/* ---- threads that change their namespace ---- */

struct job {
    int ns_fd; /* -1: a new namespace */
    netns_fn *fn;
    void *arg;
    int result;
    struct err err;
};

static void *job_thread(void *arg)
{
    struct job *job = arg;

    if (job->ns_fd >= 0 && setns(job->ns_fd, CLONE_NEWNET) < 0)
        job->result = err_sys(&job->err, "enter network namespace");
    else if (job->ns_fd < 0 && unshare(CLONE_NEWNET) < 0)
        job->result = err_sys(&job->err, "new network namespace");
    else
        job->result = job->fn(job->arg, &job->err);
    return NULL;
}

/* thread_start with all signals blocked. */
static int start_thread(pthread_t *out, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = thread_start(out, THREAD_STACK, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

static int run_job(int ns_fd, netns_fn *fn, void *arg, struct err *e)
{
    struct job *job = mem_alloc(sizeof(*job));
    pthread_t thread;
    int r;

    job->ns_fd = ns_fd;
    job->fn = fn;
    job->arg = arg;
    r = start_thread(&thread, job_thread, job);
    if (r != 0) {
        free(job);
        return err_neg(e, r, "start thread");
    }
    pthread_join(thread, NULL);
    r = job->result;
    if (r < 0)
        *e = job->err;
    free(job);
    return r;
}

int netns_run(int ns_fd, netns_fn *fn, void *arg, struct err *e)
{
    return run_job(ns_fd, fn, arg, e);
}

struct sysctl {
    const char *name, *value;
};

static int put_sysctl(void *arg, struct err *e)
{
    const struct sysctl *s = arg;
    auto_free char *path = mem_printf("/proc/sys/%s", s->name);
    int r = file_put(AT_FDCWD, path, s->value);

    return r < 0 ? err_neg(e, r, "write %s", path) : 0;
}

int netns_sysctl(int ns_fd, const char *name, const char *value, struct err *e)
{
    struct sysctl s = {name, value};

    return run_job(ns_fd, put_sysctl, &s, e);
}

/* ---- making, naming ---- */

/* Runs inside the namespace: hold it and open its netlink. */
static int hold(void *arg, struct err *e)
{
    auto_netns struct netns ns = NETNS_NONE;
    struct netns *out = arg;

    ns.fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns.fd < 0)
        return err_sys(e, "open network namespace");
    TRY(nl_open(&ns.nl, e));
    *out = ns;
    ns = (struct netns)NETNS_NONE;
    return 0;
}

static int hold_new(void *arg, struct err *e)
{
    auto_netns struct netns ns = NETNS_NONE;
    struct netns *out = arg;

    TRY(hold(&ns, e));
    TRY(nl_link_up(ns.nl, 1, e)); /* loopback is always the first link of a namespace */
    (void)file_put(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6",
                   "1"); /* a kernel without IPv6 has no such file */
    *out = ns;
    ns = (struct netns)NETNS_NONE;
    return 0;
}

int netns_new(struct netns *out, struct err *e)
{
    return run_job(-1, hold_new, out, e);
}

int netns_new_in(const struct userns_rq *rq, struct netns *out, struct err *e)
{
    auto_userns struct userns made = USERNS_NONE;

    TRY(userns_make(rq, &made, e));
    TRY(run_job(made.net_fd, hold_new, out, e));
    out->user_fd = take_fd(&made.user_fd);
    return 0;
}

int netns_open(const char *path, struct netns *out, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct statfs fs;

    if (fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "no network namespace at %s", path);
    if (fd < 0 || fstatfs(fd, &fs) < 0)
        return err_sys(e, "open %s", path);
    if (fs.f_type != NSFS_MAGIC)
        return err_set(e, ERR_NOT_FOUND, "no network namespace at %s", path);
    TRY(run_job(fd, hold, out, e));
    return 0;
}

void netns_done(struct netns *ns)
{
    if (ns == NULL)
        return;
    nl_close(ns->nl);
    fd_close(ns->fd);
    fd_close(ns->user_fd);
    *ns = (struct netns)NETNS_NONE;
}

static int name_fd(int ns_fd, const char *what, const char *path, struct err *e)
{
    auto_free char *source = mem_printf("/proc/self/fd/%d", ns_fd);
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

    if (fd < 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, "%s exists", path);
    if (fd < 0)
        return err_sys(e, "create %s", path);
    fd_close(fd);
    if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
        (void)err_sys(e, "mount %s namespace on %s", what, path);
        (void)unlink(path); /* just made by us, empty */
        return -1;
    }
    return 0;
}

int netns_name(const struct netns *ns, const char *path, struct err *e)
{
    return name_fd(ns->fd, "network", path, e);
}

int netns_name_user(const struct netns *ns, const char *path, struct err *e)
{
    return name_fd(ns->user_fd, "user", path, e);
}

int netns_unname(const char *path, struct err *e)
{
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return err_sys(e, "unmount %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_sys(e, "remove %s", path);
    return 0;
}

/* ---- the pool ---- */

struct netns_pool {
    pthread_mutex_t lock;
    pthread_cond_t wanted; /* fewer than size are ready, or the end */
    pthread_t thread;
    const struct userns_rq *in; /* NULL: they belong to our user namespace */
    int64_t taken_ns;           /* guarded by lock: when the last one was taken */
    bool has_thread, stop;      /* stop guarded by lock */
    size_t size, n;             /* n guarded by lock */
    struct netns ready[];       /* guarded by lock */
};

static int pool_make(const struct netns_pool *p, struct netns *out, struct err *e)
{
    return p->in != NULL ? netns_new_in(p->in, out, e) : netns_new(out, e);
}

static void *pool_thread(void *arg)
{
    struct netns_pool *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        struct netns ns = NETNS_NONE;
        struct err err;
        if (p->n >= p->size) {
            pthread_cond_wait(&p->wanted, &p->lock);
            continue;
        }
        int64_t due = p->taken_ns + CALM_NS;
        if (p->n > 0 && due > time_mono_ns()) {
            struct timespec at = {due / NS_PER_S, due % NS_PER_S};
            (void)pthread_cond_timedwait(&p->wanted, &p->lock, &at);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        int r = pool_make(p, &ns, &err);
        pthread_mutex_lock(&p->lock);
        if (r == 0) {
            p->ready[p->n++] = ns;
        } else if (!p->stop) { /* whoever takes one gets the error; try again then */
            log_warn("no network namespace made ahead", "error", err.msg, NULL);
            pthread_cond_wait(&p->wanted, &p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct netns_pool *netns_pool_new(size_t size, const struct userns_rq *in)
{
    struct netns_pool *p = mem_alloc(sizeof(*p) + size * sizeof(p->ready[0]));
    pthread_condattr_t attr;

    p->size = size;
    p->in = in;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wanted, &attr);
    pthread_condattr_destroy(&attr);
    if (size > 0)
        p->has_thread = start_thread(&p->thread, pool_thread, p) == 0;
    return p;
}

int netns_pool_take(struct netns_pool *p, struct netns *out, struct err *e)
{
    bool have = false;

    pthread_mutex_lock(&p->lock);
    if (p->n > 0) {
        *out = p->ready[--p->n];
        have = true;
    }
    p->taken_ns = time_mono_ns();
    pthread_cond_signal(&p->wanted);
    pthread_mutex_unlock(&p->lock);
    return have ? 0 : pool_make(p, out, e);
}

void netns_pool_free(struct netns_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wanted);
    pthread_mutex_unlock(&p->lock);
    if (p->has_thread)
        pthread_join(p->thread, NULL);
    for (size_t i = 0; i < p->n; i++)
        netns_done(&p->ready[i]);
    pthread_cond_destroy(&p->wanted);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
