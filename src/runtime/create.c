/*
 * hullrun_create: the parent's side. It prepares what can be checked without a process (cgroup,
 * limits, filter), starts the process, and does the work that needs the host's rights while the
 * process builds its file system. Whatever fails, create_undo takes back exactly what was made.
 */
#include "runtime/create.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/time.h"
#include "runtime/io.h"
#include "runtime/netdev.h"
#include "runtime/notify.h"
#include "runtime/oplog.h"
#include "runtime/process.h"
#include "runtime/rootless.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/ns.h"

void create_init(struct create *c, const struct hullrun_create_opts *o)
{
    *c = (struct create){.o = o,
                         .a = arena_new(),
                         .rootless = geteuid() != 0,
                         .config = BUF_MAX(SPEC_BYTES_MAX),
                         .dir_fd = -1,
                         .fifo = -1,
                         .console = {-1, -1},
                         .launch.door = CGROUP_DOOR_NONE,
                         .child = CHILD_NONE};
    for (size_t i = 0; i < NS_KINDS; i++)
        c->join_fd[i] = -1;
}

void create_done(struct create *c)
{
    fd_close(c->dir_fd);
    fd_close(c->fifo);
    fd_close(c->console[0]);
    fd_close(c->console[1]);
    cgroup_door_close(&c->launch.door);
    for (size_t i = 0; i < NS_KINDS; i++)
        fd_close(c->join_fd[i]);
    idmap_done(&c->idmaps);
    if (c->filter != NULL)
        (void)munmap(c->filter, sizeof(*c->filter));
    buf_done(&c->config);
    arena_free(c->a);
}

/* In the host's mount namespace nobody else takes our mounts away: all are on top of the root's. */
static void undo_mounts(struct create *c)
{
    const char *rootfs = c->record.rootfs;
    if (spec_ns(&c->spec, "mount") == NULL && mount_id_of(rootfs) != c->rootfs_mount)
        (void)umount2(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW);
}

void create_undo(struct create *c)
{
    struct err ignored = {0}; /* the caller hears about the first failure, not of these */
    bool started = c->child.pid > 0;
    launch_abort(&c->child);
    if (started)
        undo_mounts(c);
    if (c->made_cgroup) {
        (void)cgroup_kill(&c->cgroup, SIGKILL, &ignored);
        if (c->unit.name != NULL)
            (void)unit_stop(&c->unit, &ignored);
        (void)cgroup_remove(&c->cgroup, &ignored);
    }
    if (c->made_dir)
        (void)record_remove(c->o->root, c->o->id, &ignored);
    rdt_leave(&c->rdt);
    if (c->hooks_ran)
        (void)hooks_run("poststop", HOOK_LIST(&c->spec.hooks->poststop), &c->record, "stopped", 0,
                        c->record.bundle, &ignored);
}

/* ---- prepare: what the process will find ----------------------------------------------------- */

static int check_cgroup(struct create *c, struct err *e)
{
    struct cgroup_pids pids = {0};
    int rc = cgroup_procs(&c->cgroup, &pids, e);
    if (rc == 0 && pids.n > 0)
        rc = err_set(e, ERR_CONFLICT, "container's cgroup is not empty: %zu process(es) found",
                     pids.n);
    vec_done(&pids);
    TRY(rc);
    if (cgroup_frozen(&c->cgroup))
        return err_set(e, ERR_CONFLICT, "container's cgroup unexpectedly frozen");
    return 0;
}

int create_make_state(struct create *c, struct err *e)
{
    c->dir_fd = record_make(c->o->root, c->o->id, e);
    TRY(c->dir_fd);
    c->made_dir = true;
    auto_fd int copy =
        openat(c->dir_fd, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = copy < 0 ? -errno : fd_write_all(copy, c->config.p, c->config.n);
    if (rc < 0)
        return err_neg(e, rc, "copy config.json");
    if (c->o->run)
        return 0;
    if (mkfifoat(c->dir_fd, "exec.fifo", 0600) < 0)
        return err_sys(e, "make exec.fifo");
    c->fifo = openat(c->dir_fd, "exec.fifo", O_RDWR | O_CLOEXEC);
    return c->fifo < 0 ? err_sys(e, "open exec.fifo") : 0;
}

const char *create_state_path(const struct create *c)
{
    const char *root = c->o->root != NULL ? c->o->root : HULLRUN_DEFAULT_ROOT;
    return arena_printf(c->a, "%s/%s", root, c->o->id);
}

int create_make_notify(struct create *c, struct err *e)
{
    return c->o->notify != NULL && spec_ns(&c->spec, "mount") != NULL
               ? notify_prepare(c->dir_fd, create_state_path(c), &c->spec, c->a, e)
               : 0;
}

static int make_notify(struct create *c, struct err *e)
{
    TRY(create_make_notify(c, e));
    if (!c->o->run || !notify_prepared(c->dir_fd))
        return 0;
    *c->o->notify = notify_listen(c->dir_fd, e);
    return *c->o->notify < 0 ? -1 : 0;
}

static int make_own_cgroup(struct create *c, struct err *e)
{
    TRY(check_cgroup(c, e));
    if (c->unit.name != NULL) /* systemd wants to see the process first: join_unit */
        return 0;
    c->made_cgroup = true;
    if (cgroup_create(&c->cgroup, e) < 0)
        return err_wrap(e, "unable to apply cgroup configuration");
    return cgroup_door_open(&c->cgroup, &c->launch.door, e);
}

/* An ordinary user who wants no limits and names no cgroup stays in ours. */
int create_make_cgroup(struct create *c, struct err *e)
{
    const char *wanted = c->spec.linux_->cgroups_path;
    if (make_own_cgroup(c, e) == 0)
        return 0;
    if ((wanted != NULL && *wanted != '\0') || !rootless_forgives(c->o->rootless, e))
        return -1;
    if (c->limits.writes.n > 0)
        return err_wrap(e, "rootless needs no limits + no cgrouppath when no permission is granted "
                           "for cgroups");
    err_clear(e);
    c->made_cgroup = false;
    c->cgroup.dirs.n = 0;
    c->record.cgroup.n = 0;
    return 0;
}

static int prepare_seccomp(struct create *c, struct err *e)
{
    const struct oci_seccomp *s = c->spec.linux_->seccomp;
    if (!seccomp_wanted(s))
        return 0;
    /* shared, so that we can build the filter while the process is busy with its mounts */
    void *p =
        mmap(NULL, sizeof(*c->filter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_sys(e, "mmap");
    c->filter = p;
    return 0;
}

/* Mappings beside the path of a user namespace must be those that it has. */
static int check_joined_maps(struct create *c, int userns, struct err *e)
{
    struct id_maps maps = ID_MAPS(c->spec.linux_);
    if (maps.uid.n == 0 && maps.gid.n == 0)
        return 0;
    int same = idmap_is(userns, &maps, e);
    return same == 0 ? err_set(e, ERR_INVALID,
                               "user namespaces enabled, but both namespace path and non-matching "
                               "mapping specified -- you may only provide one")
                     : same;
}

static int prepare_joins(struct create *c, struct err *e)
{
    size_t n = 0;
    vec_each(ns, &c->spec.linux_->namespaces) {
        if (ns->path == NULL || *ns->path == '\0')
            continue;
        c->join_fd[n] = open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (c->join_fd[n] < 0)
            return errno == ENOENT
                       ? err_set(e, ERR_NOT_FOUND,
                                 "namespace path: lstat %s: no such file or directory", ns->path)
                       : err_sys(e, "open namespace %s", ns->path);
        unsigned flag = ns_find(ns->type)->flag;
        if (flag == CLONE_NEWUSER)
            TRY(check_joined_maps(c, c->join_fd[n], e));
        c->launch.joins[n] = (struct launch_join){c->join_fd[n], flag};
        n++;
    }
    c->launch.n_joins = n;
    return 0;
}

static int prepare_console(struct create *c, struct err *e)
{
    if (!c->o->io.want_console)
        return 0;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->console) < 0
               ? err_sys(e, "socketpair")
               : 0;
}

static int start_process(struct create *c, struct err *e)
{
    char offsets[256] = "";
    size_t n = 0;
    vec_each(t, &c->spec.linux_->time_offsets)
        n += (size_t)snprintf(offsets + n, sizeof(offsets) - n, "%s %lld %llu\n", t->key,
                              (long long)t->val->secs, (unsigned long long)t->val->nanosecs);
    TRY(prepare_joins(c, e));
    TRY(prepare_console(c, e));
    c->init = (struct init){
        .o = c->o,
        .spec = &c->spec,
        .launch = &c->launch,
        .record = &c->record,
        .host = &c->host,
        .cgroup = &c->cgroup,
        .filter = c->filter,
        .console_sock = c->o->io.want_console ? c->console[1] : c->o->io.console_sock,
        .fifo = c->fifo,
        .a = c->a,
    };
    c->launch.new_flags = (unsigned)spec_new_flags(&c->spec) & ~(unsigned)CLONE_NEWCGROUP;
    c->launch.time_offsets = n > 0 ? offsets : NULL;
    c->launch.child = init_main;
    c->launch.arg = &c->init;
    c->launch.rootless = c->rootless;
    /* our memory and files are not for the container to look at (CVE-2016-9962, CVE-2019-5736) */
    if (!c->rootless)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    oplog(&c->o->log, HULLRUN_DEBUG, "nsexec container setup: new namespaces %#x, %zu to join",
          c->launch.new_flags, c->launch.n_joins);
    TRY(launch(&c->launch, &c->child, e));
    if (c->rootless) /* the child follows once it has its mappings */
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    cgroup_door_close(&c->launch.door);
    return 0;
}

static int build_filter(struct create *c, struct err *e)
{
    TRY(seccomp_build_cached(c->o->root, c->spec.linux_->seccomp, c->filter, e));
    oplog(&c->o->log, HULLRUN_DEBUG, "seccomp filter flags: %u", c->filter->flags);
    return 0;
}

/* A cgroup namespace whose tree is mounted for writing belongs to who runs in it: runtime-spec
 * config-linux.md, "Cgroup ownership". */
static int delegate_cgroup(struct create *c, struct err *e)
{
    if (geteuid() != 0 || (spec_new_flags(&c->spec) & CLONE_NEWCGROUP) == 0)
        return 0; /* an ordinary user's cgroups are the user's already */
    vec_each(m, &c->spec.mounts) {
        bool readonly = false;
        if (m->type == NULL || strncmp(m->type, "cgroup", strlen("cgroup")) != 0 ||
            strcmp(m->destination, "/sys/fs/cgroup") != 0)
            continue;
        for (size_t i = 0; i < m->options.n; i++)
            readonly |= strcmp(m->options.v[i], "ro") == 0;
        int64_t uid = spec_host_uid(&c->spec, (uint64_t)c->spec.process->user.uid);
        return readonly || uid < 0 ? 0 : cgroup_delegate(&c->cgroup, (uid_t)uid, e);
    }
    return 0;
}

static int enter_rdt(struct create *c, struct err *e)
{
    const struct oci_intel_rdt *r = c->spec.linux_->intel_rdt;
    if (r == NULL)
        return 0;
    TRY(rdt_enter(r, rdt_root(c->a), c->o->id, c->child.pid, c->a, &c->rdt, e));
    c->record.rdt_group = c->rdt.group;
    c->record.rdt_monitor = c->rdt.monitor;
    c->record.rdt_made = c->rdt.made;
    return 0;
}

int create_join_unit(struct create *c, pid_t pid, struct err *e)
{
    if (c->unit.name == NULL)
        return 0;
    c->made_cgroup = true;
    TRY(unit_start(&c->unit, c->o->id, pid, c->host.mode, &c->properties, c->a, e));
    TRY(cgroup_create(&c->cgroup, e)); /* controllers, and hierarchies that systemd leaves out */
    return cgroup_join(&c->cgroup, pid, e);
}

/* The network namespace that the process is in, or will be once it has entered it. */
static int open_netns(struct create *c, struct err *e)
{
    char path[64];
    for (size_t i = 0; i < c->launch.n_joins; i++)
        if (c->launch.joins[i].flags == CLONE_NEWNET)
            return fd_dup(c->launch.joins[i].fd);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->child.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

static int move_devices(struct create *c, struct err *e)
{
    if (c->spec.linux_->net_devices.n == 0)
        return 0;
    auto_fd int netns = open_netns(c, e);
    return netns < 0 ? -1 : netdev_move(&c->spec, netns, e);
}

static int bless_process(struct create *c, struct err *e)
{
    char state;
    TRY(process_oom_score(c->child.pid, c->spec.process, e));
    if ((c->launch.new_flags & CLONE_NEWUSER) != 0)
        TRY(idmap_write(c->child.pid, &ID_MAPS(c->spec.linux_), e));
    c->record.pid = c->child.pid;
    if (!record_proc_stat(c->child.pid, &state, &c->record.start_time))
        return err_set(e, ERR_INTERNAL, "the container's process has died");
    TRY(create_join_unit(c, c->child.pid, e));
    TRY(delegate_cgroup(c, e));
    TRY(enter_rdt(c, e));
    TRY(move_devices(c, e));
    TRY(sync_send(c->child.sync, SYNC_GO, NULL, e));
    TRY(limits_apply(&c->limits, &c->cgroup, e));
    return c->filter != NULL ? build_filter(c, e) : 0;
}

/* The end of the conversation looks the same for an exec and for a sudden death. */
static int check_alive(struct create *c, struct err *e)
{
    char state;
    uint64_t start;
    if (c->o->run || (record_proc_stat(c->child.pid, &state, &start) && state != 'Z'))
        return 0;
    return err_set(e, ERR_INTERNAL, "container init died before it could be started");
}

static int finish(struct create *c, struct hullrun_result *out, struct err *e)
{
    int console = -1;
    TRY(check_alive(c, e));
    if (c->o->io.want_console) {
        console = io_take_console(c->console[0], e);
        TRY(console);
    }
    if (c->o->pid_file != NULL && record_pid_file(c->o->pid_file, c->child.pid, e) < 0) {
        fd_close(console);
        return -1;
    }
    if (c->o->run && hooks_run("poststart", HOOK_LIST(&c->spec.hooks->poststart), &c->record,
                               "running", c->child.pid, c->record.bundle, e) < 0) {
        fd_close(console);
        return -1;
    }
    fd_close(c->child.sync);
    *out = (struct hullrun_result){c->child.pid, c->child.pidfd, console};
    c->child = (struct child)CHILD_NONE;
    return 0;
}

static int create(struct create *c, struct hullrun_result *out, struct err *e)
{
    TRY(create_plan(c, e));
    TRY(prepare_seccomp(c, e));
    TRY(create_make_state(c, e));
    if (make_notify(c, e) == 0 && create_make_cgroup(c, e) == 0 && start_process(c, e) == 0 &&
        bless_process(c, e) == 0 && create_converse(c, e) == 0 && finish(c, out, e) == 0)
        return 0;
    return err_wrap(e, "unable to start container process");
}

/* A process that failed on its own said why: that is a better reason than our broken pipe. */
static void prefer_its_reason(struct create *c, struct err *e)
{
    struct sync_msg m;
    struct err ignored = {0};
    if (c->child.sync < 0 || (e->sys != EPIPE && e->sys != ECONNRESET && e->sys != ESRCH))
        return;
    while (sync_recv(c->child.sync, &m, NULL, &ignored) > 0)
        if (m.kind == SYNC_ERROR) {
            *e = m.err;
            (void)err_wrap(e, "unable to start container process: error during container init");
        }
}

int hullrun_create(const struct hullrun_create_opts *o, struct hullrun_result *out, struct err *e)
{
    TRY(record_check_id(o->id, e));
    struct create c;
    create_init(&c, o);
    int rc = create(&c, out, e);
    if (rc < 0) {
        prefer_its_reason(&c, e);
        create_undo(&c);
    }
    create_done(&c);
    return rc;
}

void hullrun_result_done(struct hullrun_result *r)
{
    if (r == NULL)
        return;
    fd_close(r->pidfd);
    fd_close(r->console);
    r->pidfd = r->console = -1;
}
