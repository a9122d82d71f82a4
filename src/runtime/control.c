/*
 * What is done to a container that exists: start, kill, delete, pause, resume, ps, state.
 * Each loads the record, looks at the status once, acts. See runtime.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/rdt.h"
#include "runtime/notify.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

#define DIE_TIMEOUT_MS 10000

/* ---- signals ------------------------------------------------------------------------------ */

static int signal_container(struct container *c, int signo, bool all, struct err *e)
{
    struct err ignored = {0};
    if (all || (signo == SIGKILL && !c->record.own_pid_ns))
        return cgroup_kill(&c->cgroup, signo, e);
    auto_fd int init = container_pidfd(c);
    if (init < 0)
        return container_not_running(e);
    if (pidfd_send_signal(init, signo, NULL, 0) < 0)
        return errno == ESRCH ? container_not_running(e) : err_sys(e, "signal %d", signo);
    if (signo == SIGKILL && c->status == HULLRUN_PAUSED)
        (void)cgroup_freeze(&c->cgroup, false, &ignored); /* v1 does not kill what is frozen */
    return 0;
}

int hullrun_kill(const char *root, const char *id, int signo, bool all, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    if (c.status == HULLRUN_STOPPED && !all && (signo != SIGKILL || c.record.own_pid_ns))
        return container_not_running(e);
    return signal_container(&c, signo, all, e);
}

/* ---- start -------------------------------------------------------------------------------- */

static int start_created(struct container *c, struct err *e)
{
    auto_fd int fifo = openat(c->dir_fd, "exec.fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fifo < 0 || unlinkat(c->dir_fd, "exec.fifo", 0) < 0) /* who unlinks it starts it */
        return errno == ENXIO
                   ? err_set(e, ERR_CONFLICT, "cannot start a container that has stopped")
                   : err_set(e, ERR_CONFLICT, "cannot start an already running container");
    int rc = fd_write_all(fifo, "0", 1);
    if (rc < 0)
        return err_neg(e, rc, "write exec.fifo");
    return 0;
}

static int run_poststart(struct container *c, struct err *e)
{
    struct oci_spec spec;
    struct err ignored = {0};
    TRY(container_spec(c, &spec, e));
    if (hooks_run("poststart", HOOK_LIST(&spec.hooks->poststart), &c->record, "running",
                  (pid_t)c->record.pid, c->record.bundle, e) == 0)
        return 0;
    (void)signal_container(c, SIGKILL, false, &ignored);
    return -1;
}

static int check_created(const struct container *c, struct err *e)
{
    switch (c->status) {
    case HULLRUN_CREATED:
        return 0;
    case HULLRUN_STOPPED:
        return err_set(e, ERR_CONFLICT, "cannot start a container that has stopped");
    case HULLRUN_RUNNING:
        return err_set(e, ERR_CONFLICT, "cannot start an already running container");
    case HULLRUN_PAUSED:
        break;
    }
    return err_set(e, ERR_CONFLICT, "cannot start a container in the paused state");
}

int hullrun_notify_listen(const char *root, const char *id, int *out, struct err *e)
{
    auto_fd int dir = record_open(root, id, e);
    TRY(dir);
    *out = -1;
    if (!notify_prepared(dir))
        return 0;
    *out = notify_listen(dir, e);
    return *out < 0 ? -1 : 0;
}

int hullrun_start(const char *root, const char *id, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    TRY(check_created(&c, e));
    TRY(start_created(&c, e));
    return c.record.poststart ? run_poststart(&c, e) : 0;
}

int hullrun_start_hookless(const char *root, const char *id, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    TRY(check_created(&c, e));
    if (c.record.poststart)
        return 0;
    TRY(start_created(&c, e));
    return 1;
}

/* ---- delete ------------------------------------------------------------------------------- */

static int kill_and_wait(struct container *c, struct err *e)
{
    struct err ignored = {0};
    auto_fd int init = container_pidfd(c);
    (void)signal_container(c, SIGKILL, false, &ignored); /* it may end by itself meanwhile */
    if (init < 0)
        return 0;
    struct pollfd p = {.fd = init, .events = POLLIN};
    int64_t deadline = time_mono_ns() + DIE_TIMEOUT_MS * NS_PER_MS;
    for (;;) {
        int64_t left = (deadline - time_mono_ns()) / NS_PER_MS;
        int r = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (r > 0)
            break;
        if (r == 0)
            return err_set(e, ERR_TIMEOUT, "container init still running");
        if (errno != EINTR)
            return err_sys(e, "poll");
    }
    (void)waitpid((pid_t)c->record.pid, NULL, WNOHANG); /* when it is our own child */
    return 0;
}

static int destroy(struct container *c, const char *root, const char *id, struct err *e)
{
    struct oci_spec spec;
    struct err ignored = {0};
    const struct unit unit = container_unit(c);
    bool hooks = c->record.poststop && container_spec(c, &spec, &ignored) == 0;
    if (!c->record.own_pid_ns)
        TRY(cgroup_kill(&c->cgroup, SIGKILL, e));
    if (unit.name != NULL) {
        (void)cgroup_kill(&c->cgroup, SIGKILL, &ignored); /* else systemd asks them politely */
        TRY(unit_stop(&unit, e));
    }
    if (cgroup_remove(&c->cgroup, e) < 0) {
        /* processes left over (a fork that raced with the end of init): kill them, once */
        (void)cgroup_kill(&c->cgroup, SIGKILL, &ignored);
        err_clear(e);
        TRY(cgroup_remove(&c->cgroup, e));
    }
    rdt_leave(&(struct rdt){c->record.rdt_group, c->record.rdt_monitor, c->record.rdt_made});
    TRY(record_remove(root, id, e));
    return hooks ? hooks_run("poststop", HOOK_LIST(&spec.hooks->poststop), &c->record, "stopped", 0,
                             NULL, e)
                 : 0;
}

/* A state directory without a state: what a create leaves that was killed. Its process has ended
 * with it; its cgroup, when it was made, is where config.json says. */
static void remove_half_made(struct container *c, const char *root, const char *id)
{
    struct oci_spec spec;
    struct cgroup_host host;
    struct err ignored = {0};
    if (container_spec(c, &spec, &ignored) == 0 && cgroup_host_read(c->a, &host, &ignored) == 0) {
        const char *path = spec.linux_->cgroups_path;
        cgroup_plan(&host, path != NULL ? path : "", id, c->a, &c->cgroup);
        (void)cgroup_remove(&c->cgroup, &ignored);
    }
    (void)record_remove(root, id, &ignored);
}

int hullrun_delete(const char *root, const char *id, bool force, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    if (container_load(&c, root, id, e) < 0) {
        bool half =
            c.dir_fd >= 0 && (e->kind == ERR_NOT_FOUND || (e->kind == ERR_INVALID && force));
        if (half)
            remove_half_made(&c, root, id);
        if (!force || (!half && e->kind != ERR_NOT_FOUND))
            return -1; /* what only cannot be read now is there to be deleted later */
        err_clear(e);
        return 0;
    }
    bool alive = c.status != HULLRUN_STOPPED;
    if (alive && c.status != HULLRUN_CREATED && !force)
        return err_set(e, ERR_CONFLICT, "cannot delete container %s that is not stopped: %s", id,
                       hullrun_status_name(c.status));
    if (alive || force)
        TRY(kill_and_wait(&c, e));
    return destroy(&c, root, id, e);
}

/* ---- the rest ----------------------------------------------------------------------------- */

int hullrun_pause(const char *root, const char *id, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    if (c.status == HULLRUN_STOPPED)
        return container_not_running(e);
    return c.status == HULLRUN_PAUSED ? 0 : cgroup_freeze(&c.cgroup, true, e);
}

int hullrun_resume(const char *root, const char *id, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    if (c.status != HULLRUN_PAUSED)
        return err_set(e, ERR_CONFLICT, "container not paused");
    return cgroup_freeze(&c.cgroup, false, e);
}

int hullrun_ps(const char *root, const char *id, struct hullrun_pids *out, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    struct cgroup_pids pids = {0};
    TRY(container_load(&c, root, id, e));
    TRY(cgroup_procs(&c.cgroup, &pids, e));
    *out = (struct hullrun_pids){pids.v, pids.n, pids.cap};
    return 0;
}

int hullrun_get_state(const char *root, const char *id, struct arena *a, struct hullrun_state *out,
                      struct err *e)
{
    auto_fd int dir_fd = record_open(root, id, e);
    struct record r;
    TRY(dir_fd);
    TRY(record_load(dir_fd, a, &r, e));
    enum hullrun_status status = record_status(dir_fd, &r);
    *out = (struct hullrun_state){
        .oci_version = HULLRUN_VERSION_SPEC,
        .id = r.id,
        .pid = status == HULLRUN_STOPPED ? 0 : r.pid,
        .status = hullrun_status_name(status),
        .bundle = r.bundle,
        .rootfs = r.rootfs,
        .created = r.created,
        .annotations = r.annotations,
        .owner = "",
    };
    return 0;
}

int hullrun_cgroup_paths(const char *root, const char *id, struct arena *a, struct strmap *out,
                         struct err *e)
{
    auto_fd int dir_fd = record_open(root, id, e);
    struct record r;
    TRY(dir_fd);
    TRY(record_load(dir_fd, a, &r, e));
    memset(out, 0, sizeof(*out));
    vec_each(d, &r.cgroup) {
        struct str rest = str_of(d->controllers);
        if (rest.n == 0)
            strmap_set(out, a, "", d->path);
        while (rest.n > 0) {
            struct str name = str_cut(&rest, ',');
            strmap_set(out, a, arena_strndup(a, name.p, name.n), d->path);
        }
    }
    return 0;
}
