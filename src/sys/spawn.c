/*
 * posix_spawn with every choice made explicit: see spawn.h. Descriptors are first duplicated above
 * all target numbers, so that the order in which they are put into place cannot matter.
 */
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>

#include "base/mem.h"
#include "sys/fd.h"

#define MAX_FDS 32

extern char **environ;

struct plan {
    posix_spawn_file_actions_t actions;
    int copies[MAX_FDS];
    size_t n_copies;
};

static void plan_done(struct plan *p)
{
    posix_spawn_file_actions_destroy(&p->actions);
    for (size_t i = 0; i < p->n_copies; i++)
        fd_close(p->copies[i]);
}

static int plan_fds(struct plan *p, const struct spawn_opts *o)
{
    int top = 2, r = 0;
    bool given[3] = {false};
    for (size_t i = 0; i < o->n_fds; i++) {
        top = MAX(top, o->fds[i].child);
        if (o->fds[i].child <= 2)
            given[o->fds[i].child] = true;
    }
    for (int fd = 0; fd <= 2 && r == 0; fd++)
        if (!given[fd])
            r = posix_spawn_file_actions_addopen(&p->actions, fd, "/dev/null",
                                                 fd == 0 ? O_RDONLY : O_WRONLY, 0);
    for (size_t i = 0; i < o->n_fds && r == 0; i++) {
        int copy = fcntl(o->fds[i].parent, F_DUPFD_CLOEXEC, top + 1);
        if (copy < 0)
            return errno;
        p->copies[p->n_copies++] = copy;
        r = posix_spawn_file_actions_adddup2(&p->actions, copy, o->fds[i].child);
    }
    /* numbers in between that nobody asked for are close-on-exec already; this catches what a
     * library forgot */
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&p->actions, top + 1);
    if (r == 0 && o->dir != NULL)
        r = posix_spawn_file_actions_addchdir_np(&p->actions, o->dir);
    return r;
}

static int set_attributes(posix_spawnattr_t *attr, const struct spawn_opts *o)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (o->new_session)
        flags |= POSIX_SPAWN_SETSID;
    if (o->new_group)
        flags |= POSIX_SPAWN_SETPGROUP;
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, (short)flags);
    return r;
}

int spawn(const struct spawn_opts *o, struct proc *out, struct err *e)
{
    CLEANUP(plan_done) struct plan plan = {.n_copies = 0};
    posix_spawnattr_t attr;
    pid_t pid = 0;
    posix_spawn_file_actions_init(&plan.actions);
    if (o->n_fds > MAX_FDS)
        return err_set(e, ERR_INTERNAL, "start %s: too many descriptors", o->path);
    int r = plan_fds(&plan, o);
    if (r == 0 && (r = posix_spawnattr_init(&attr)) == 0) {
        r = set_attributes(&attr, o);
        char *const *argv = (char *const *)(uintptr_t)o->argv;
        char *const *envp = o->envp != NULL ? (char *const *)(uintptr_t)o->envp : environ;
        if (r == 0)
            r = posix_spawnp(&pid, o->path, &plan.actions, &attr, argv, envp);
        posix_spawnattr_destroy(&attr);
    }
    if (r != 0) {
        err_neg(e, -r, "start %s", o->path);
        if (r == ENOENT)
            e->kind = ERR_NOT_FOUND;
        return -1;
    }
    int pidfd = pidfd_open(pid, 0); /* no race: only we can reap the child */
    if (pidfd < 0) {
        err_sys(e, "pidfd of %s", o->path);
        (void)kill(pid, SIGKILL);
        return -1;
    }
    *out = (struct proc){pid, pidfd};
    return 0;
}
