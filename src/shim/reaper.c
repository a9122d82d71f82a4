/* Reaping: see reaper.h. A pid stays ours until it is reaped, so numbers are enough. */
#include "shim/reaper.h"

#include <sys/wait.h>

#include "base/mem.h"
#include "base/time.h"
#include "base/vec.h"

struct watch {
    pid_t pid;
    reaper_fn *fn;
    void *arg;
};

struct exited {
    pid_t pid;
    int status;
    int64_t at_ns;
};

struct reaper {
    VEC(struct watch) watches;
    VEC(struct exited) unknown;
    int holds;
};

struct reaper *reaper_new(void)
{
    return mem_alloc(sizeof(struct reaper));
}

void reaper_free(struct reaper *r)
{
    if (r == NULL)
        return;
    vec_done(&r->watches);
    vec_done(&r->unknown);
    free(r);
}

/* Take the watch for pid out; false when there is none. */
static bool take_watch(struct reaper *r, pid_t pid, struct watch *out)
{
    for (size_t i = 0; i < r->watches.n; i++) {
        if (r->watches.v[i].pid != pid)
            continue;
        *out = r->watches.v[i];
        vec_remove(&r->watches, i);
        return true;
    }
    return false;
}

void reaper_run(struct reaper *r)
{
    int raw;
    pid_t pid;
    while ((pid = waitpid(-1, &raw, WNOHANG)) > 0) {
        int status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
        struct exited x = {pid, status, time_now_ns()};
        struct watch w;
        if (take_watch(r, pid, &w))
            w.fn(w.arg, pid, status, x.at_ns);
        else if (r->holds > 0)
            vec_push(&r->unknown, x);
    }
}

void reaper_watch(struct reaper *r, pid_t pid, reaper_fn *fn, void *arg)
{
    for (size_t i = 0; i < r->unknown.n; i++) {
        struct exited x = r->unknown.v[i];
        if (x.pid != pid)
            continue;
        vec_remove(&r->unknown, i);
        fn(arg, pid, x.status, x.at_ns);
        return;
    }
    vec_push(&r->watches, ((struct watch){pid, fn, arg}));
}

void reaper_forget(struct reaper *r, pid_t pid)
{
    struct watch w;
    (void)take_watch(r, pid, &w); /* nothing to take back is fine */
}

void reaper_hold(struct reaper *r)
{
    r->holds++;
}

void reaper_release(struct reaper *r)
{
    if (--r->holds == 0)
        vec_done(&r->unknown);
}
