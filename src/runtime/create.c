/*
 * hullrun_create: the parent's side. It prepares what can be checked without a process (cgroup,
 * limits, filter), starts the process, and does the work that needs the host's rights while the
 * process builds its file system. Whatever fails, `undo` takes back exactly what was made.
 */
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
#include "runtime/agent.h"
#include "runtime/devices.h"
#include "runtime/idmap.h"
#include "runtime/init.h"
#include "runtime/io.h"
#include "runtime/limits.h"
#include "runtime/netdev.h"
#include "runtime/notify.h"
#include "runtime/oplog.h"
#include "runtime/process.h"
#include "runtime/rootless.h"
#include "runtime/rdt.h"
#include "runtime/spec.h"
#include "runtime/unit.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/ns.h"
#include "sys/path.h"

struct create {
    const struct hullrun_create_opts *o;
    struct arena *a;
    struct oci_spec spec;
    struct buf config;
    struct record record;
    struct cgroup_host host;
    struct cgroup cgroup;
    struct limits limits;
    struct device_policy devices;
    struct unit unit;
    struct rdt rdt;
    struct unit_properties properties;
    struct seccomp_program *filter;
    int dir_fd, fifo, console[2], join_fd[NS_KINDS];
    struct launch launch;
    struct init init;
    struct child child;
    struct idmap_cache idmaps;
    bool rootless;         /* we are an ordinary user */
    uint64_t rootfs_mount; /* the mount that rootfs lies on */
    bool made_dir, made_cgroup, hooks_ran;
};

static void create_done(struct create *c)
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

/* 0 when it cannot be told. */
static uint64_t mount_id(const char *path)
{
    struct statx st;
    return path != NULL && statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) == 0 ? st.stx_mnt_id : 0;
}

/* In the host's mount namespace nobody else takes our mounts away: all are on top of the root's. */
static void undo_mounts(struct create *c)
{
    const char *rootfs = c->record.rootfs;
    if (spec_ns(&c->spec, "mount") == NULL && mount_id(rootfs) != c->rootfs_mount)
        (void)umount2(rootfs, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static void undo(struct create *c)
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

/* ---- plan: nothing is made yet ------------------------------------------------------------- */

static int find_rootfs(struct create *c, struct err *e)
{
    const char *path = c->spec.root->path;
    auto_free char *full =
        path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", c->record.bundle, path);
    auto_free char *real = realpath(full, NULL);
    if (real == NULL)
        return err_sys(e, "invalid rootfs: %s", full);
    struct stat st;
    if (lstat(full, &st) < 0 || S_ISLNK(st.st_mode))
        return err_set(e, ERR_INVALID, "invalid rootfs: not an absolute path, or a symlink");
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "invalid rootfs: %s is not a directory", full);
    c->record.rootfs = arena_strdup(c->a, real);
    c->rootfs_mount = mount_id(real);
    return 0;
}

static void fill_record(struct create *c)
{
    const struct oci_spec *s = &c->spec;
    c->record.version = RECORD_VERSION;
    c->record.id = c->o->id;
    c->record.created = time_now_ns();
    c->record.annotations = s->annotations;
    c->record.namespaces = spec_new_flags(s) | spec_join_flags(s);
    c->record.own_pid_ns = (spec_new_flags(s) & CLONE_NEWPID) != 0;
    c->record.no_new_keyring = c->o->no_new_keyring;
    c->record.poststart = s->hooks->poststart.n > 0;
    c->record.poststop = s->hooks->poststop.n > 0;
    c->record.unit = c->unit.name;
    c->record.unit_user = c->unit.user;
    c->record.cgroup_mode = c->cgroup.mode;
    vec_each(d, &c->cgroup.dirs) {
        struct record_dir *to = vec_add_in(c->a, &c->record.cgroup);
        *to = (struct record_dir){d->controllers, d->path, d->mount};
    }
}

/* systemd rounds some limits: its values are the ones to write. */
static int plan_unit(struct create *c, struct oci_resources *r, struct err *e)
{
    TRY(unit_plan(c->spec.linux_->cgroups_path != NULL ? c->spec.linux_->cgroups_path : "",
                  c->o->id, c->a, &c->unit, e));
    cgroup_plan(&c->host, c->unit.path, c->o->id, c->a, &c->cgroup);
    unit_devices(&c->devices, c->a, &c->properties);
    TRY(unit_resources(r, c->host.mode, c->a, &c->properties, e));
    return unit_annotations(&c->spec.annotations, c->a, &c->properties, e);
}

static int plan_cgroup(struct create *c, struct err *e)
{
    const struct oci_linux *l = c->spec.linux_;
    struct oci_resources *r = NULL;
    if (l->resources != NULL) {
        r = ARENA_NEW(c->a, struct oci_resources);
        json_copy(&oci_resources_json, r, l->resources, c->a);
    }
    TRY(cgroup_host_read(c->a, &c->host, e));
    TRY(devices_policy(&c->spec, c->a, &c->devices, e));
    if (c->o->systemd_cgroup)
        TRY(plan_unit(c, r, e));
    else
        cgroup_plan(&c->host, l->cgroups_path != NULL ? l->cgroups_path : "", c->o->id, c->a,
                    &c->cgroup);
    return limits_plan(r, c->host.mode, c->a, &c->limits, e);
}

static int plan(struct create *c, struct err *e)
{
    const struct oci_linux *l;
    auto_free char *bundle = realpath(c->o->bundle, NULL);
    if (bundle == NULL)
        return errno == ENOENT
                   ? err_set(e, ERR_NOT_FOUND, "chdir %s: no such file or directory", c->o->bundle)
                   : err_sys(e, "chdir %s", c->o->bundle);
    c->record.bundle = arena_strdup(c->a, bundle);
    TRY(spec_read(bundle, c->o->config, &c->config, e));
    TRY(spec_parse(buf_cstr(&c->config), c->config.n, c->a, &c->spec, e));
    TRY(spec_check(&c->spec, e));
    TRY(io_check(&c->o->io, c->spec.process->terminal, e));
    io_environment(&c->o->io, &c->spec.process->env, c->a);
    TRY(find_rootfs(c, e));
    l = c->spec.linux_;
    if (seccomp_wanted(l->seccomp))
        TRY(seccomp_check(l->seccomp, e));
    TRY(plan_cgroup(c, e));
    if (l->intel_rdt != NULL)
        TRY(rdt_check(l->intel_rdt, rdt_root(c->a), e));
    process_warn_caps(c->spec.process->capabilities, &c->o->log);
    fill_record(c);
    return 0;
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

static int make_state(struct create *c, struct err *e)
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

static int make_notify(struct create *c, struct err *e)
{
    const char *root = c->o->root != NULL ? c->o->root : HULLRUN_DEFAULT_ROOT;
    if (c->o->notify == NULL || spec_ns(&c->spec, "mount") == NULL)
        return 0;
    TRY(notify_prepare(c->dir_fd, arena_printf(c->a, "%s/%s", root, c->o->id), &c->spec, c->a, e));
    if (!c->o->run)
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
    TRY(cgroup_create(&c->cgroup, e));
    return cgroup_door_open(&c->cgroup, &c->launch.door, e);
}

/* An ordinary user who wants no limits and names no cgroup stays in ours. */
static int make_cgroup(struct create *c, struct err *e)
{
    const char *wanted = c->spec.linux_->cgroups_path;
    if (make_own_cgroup(c, e) == 0)
        return 0;
    if ((wanted != NULL && *wanted != '\0') || c->limits.writes.n > 0 ||
        !rootless_forgives(c->o->rootless, e))
        return -1;
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

static int join_unit(struct create *c, struct err *e)
{
    if (c->unit.name == NULL)
        return 0;
    c->made_cgroup = true;
    TRY(unit_start(&c->unit, c->o->id, c->child.pid, c->host.mode, &c->properties, c->a, e));
    TRY(cgroup_create(&c->cgroup, e)); /* controllers, and hierarchies that systemd leaves out */
    return cgroup_join(&c->cgroup, c->child.pid, e);
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
    TRY(join_unit(c, e));
    TRY(delegate_cgroup(c, e));
    TRY(enter_rdt(c, e));
    TRY(move_devices(c, e));
    TRY(sync_send(c->child.sync, SYNC_GO, NULL, e));
    TRY(limits_apply(&c->limits, &c->cgroup, e));
    return c->filter != NULL ? build_filter(c, e) : 0;
}

/* ---- the conversation ------------------------------------------------------------------------ */

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
static int restrict_devices(struct create *c, struct err *e)
{
    if (c->cgroup.dirs.n == 0 || devices_apply(&c->devices, &c->cgroup, e) == 0)
        return 0;
    if (spec_ns(&c->spec, "user") == NULL || !rootless_forgives(c->o->rootless, e))
        return -1;
    err_clear(e);
    return 0;
}

static int on_mounted(struct create *c, struct err *e)
{
    const struct oci_hooks *h = c->spec.hooks;
    TRY(restrict_devices(c, e));
    c->hooks_ran = h->prestart.n + h->create_runtime.n > 0;
    TRY(hooks_run("prestart", HOOK_LIST(&h->prestart), &c->record, "creating", c->child.pid,
                  c->record.bundle, e));
    TRY(hooks_run("createRuntime", HOOK_LIST(&h->create_runtime), &c->record, "creating",
                  c->child.pid, c->record.bundle, e));
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

static int converse(struct create *c, struct err *e)
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
    TRY(plan(c, e));
    TRY(prepare_seccomp(c, e));
    TRY(make_state(c, e));
    if (make_notify(c, e) == 0 && make_cgroup(c, e) == 0 && start_process(c, e) == 0 &&
        bless_process(c, e) == 0 && converse(c, e) == 0 && finish(c, out, e) == 0)
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
    struct create c = {.o = o,
                       .a = arena_new(),
                       .rootless = geteuid() != 0,
                       .config = BUF_MAX(SPEC_BYTES_MAX),
                       .dir_fd = -1,
                       .fifo = -1,
                       .console = {-1, -1},
                       .launch.door = CGROUP_DOOR_NONE,
                       .child = CHILD_NONE};
    for (size_t i = 0; i < NS_KINDS; i++)
        c.join_fd[i] = -1;
    int rc = create(&c, out, e);
    if (rc < 0) {
        prefer_its_reason(&c, e);
        undo(&c);
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
