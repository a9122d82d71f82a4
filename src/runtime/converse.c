/* The parent's side of the talk with a container's first process: see create.h and sync.h. */
#include "runtime/create.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/agent.h"
#include "runtime/io.h"
#include "runtime/oplog.h"
#include "runtime/process.h"
#include "runtime/rootless.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/ns.h"

/* Clone a mount tree with our rights but in the process's mount namespace: out_tree or its
 * -errno. Our own failures are errors. */
static int clone_inside(struct create *c, const struct sync_msg *m, int *out_tree, struct err *e)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)c->child.pid);
    auto_fd int theirs = open(path, O_RDONLY | O_CLOEXEC);
    auto_fd int ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    auto_fd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (theirs < 0 || ours < 0 || cwd < 0 || setns(theirs, CLONE_NEWNS) < 0)
        return err_sys(e, "enter the container's mount namespace");
    *out_tree = mount_clone(AT_FDCWD, m->err.msg, m->clone.recursive);
    if (setns(ours, CLONE_NEWNS) < 0 || fchdir(cwd) < 0)
        return err_sys(e, "return to our mount namespace");
    return 0;
}

/* The user namespace whose ids a mount shows: the mount's own mappings, or the container's. */
static int userns_of_mount(struct create *c, const struct oci_mount *m, struct err *e)
{
    char path[64];
    if (m->uid_mappings.n > 0)
        return fd_dup(idmap_userns(&c->idmaps, &ID_MAPS(m), e));
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)c->child.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

static int map_clone(struct create *c, const struct sync_msg *m, int tree, struct err *e)
{
    if (!m->clone.idmap || m->clone.mount >= c->spec.mounts.n)
        return 0;
    auto_fd int userns = userns_of_mount(c, &c->spec.mounts.v[m->clone.mount], e);
    if (userns < 0)
        return err_wrap(e, "id mapping of %s", m->err.msg);
    int rc = mount_idmap(tree, userns, m->clone.idmap_recursive);
    return rc < 0 ? err_neg(e, rc, "map the ids of %s", m->err.msg) : 0;
}

static int clone_for(struct create *c, const struct sync_msg *m, struct err *e)
{
    auto_fd int tree = -EPERM; /* an ordinary user has no more rights than the process itself */
    struct sync_msg answer = {.kind = SYNC_CLONE};
    if (!c->rootless)
        TRY(clone_inside(c, m, &tree, e));
    if (tree >= 0)
        TRY(map_clone(c, m, tree, e));
    answer.sys = tree < 0 ? tree : 0;
    int rc = fd_send(c->child.sync, &answer, offsetof(struct sync_msg, err), &tree, tree >= 0);
    return rc < 0 ? err_neg(e, rc, "talk to the container's process") : 0;
}

/* In a user namespace no device is to be had but those that are bound from the host. */
int create_restrict_devices(struct create *c, struct err *e)
{
    if (c->cgroup.dirs.n == 0 || devices_apply(&c->devices, &c->cgroup, e) == 0)
        return 0;
    if (spec_ns(&c->spec, "user") == NULL || !rootless_forgives(c->o->rootless, e))
        return -1;
    err_clear(e);
    return 0;
}

int create_run_hooks(struct create *c, pid_t pid, struct err *e)
{
    const struct oci_hooks *h = c->spec.hooks;
    c->hooks_ran = h->prestart.n + h->create_runtime.n > 0;
    TRY(hooks_run("prestart", HOOK_LIST(&h->prestart), &c->record, "creating", pid,
                  c->record.bundle, e));
    return hooks_run("createRuntime", HOOK_LIST(&h->create_runtime), &c->record, "creating", pid,
                     c->record.bundle, e);
}

static int on_mounted(struct create *c, struct err *e)
{
    TRY(create_restrict_devices(c, e));
    TRY(create_run_hooks(c, c->child.pid, e));
    return sync_send(c->child.sync, SYNC_GO, NULL, e);
}

static int on_ready(struct create *c, struct err *e)
{
    if (process_rlimits(c->child.pid, c->spec.process, e) < 0)
        return err_wrap(e, "error during container init");
    TRY(io_send_pidfd(&c->o->io, "standard", c->child.pidfd, e));
    TRY(record_save(c->dir_fd, &c->record, e));
    return sync_send(c->child.sync, SYNC_GO, NULL, e);
}

static int on_listener(struct create *c, int listener, struct err *e)
{
    struct oci_state s = record_oci_state(&c->record, "creating", c->child.pid);
    return agent_introduce(c->spec.linux_->seccomp, &s, &c->child, listener, e) < 0
               ? err_wrap(e, "error during container init")
               : 0;
}

int create_converse(struct create *c, struct err *e)
{
    bool ready = false;
    for (;;) {
        struct sync_msg m;
        int r = sync_recv(c->child.sync, &m, NULL, e);
        TRY(r);
        if (r == 0)
            return ready ? 0
                         : err_set(e, ERR_INTERNAL,
                                   "container init was killed (is the memory limit too low?)");
        switch (m.kind) {
        case SYNC_CLONE:
            TRY(clone_for(c, &m, e));
            break;
        case SYNC_MOUNTED:
            TRY(on_mounted(c, e));
            break;
        case SYNC_READY:
            TRY(on_ready(c, e));
            ready = true;
            break;
        case SYNC_LINE:
            oplog_relay(&c->o->log, &m);
            break;
        case SYNC_LISTENER:
            TRY(on_listener(c, m.sys, e));
            break;
        case SYNC_ERROR:
            *e = m.err;
            return err_wrap(e, "error during container init");
        case SYNC_GO:
        case SYNC_PID:
            return err_set(e, ERR_INTERNAL, "unexpected message from container init");
        }
    }
}
