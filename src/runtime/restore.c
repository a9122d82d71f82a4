/*
 * hullrun_restore: a container whose processes criu makes from images. The plan, the record and the
 * cgroup are those of a create; in place of our first process there is criu, which is born in a
 * mount namespace of ours (so that nothing of what it is shown stays on the host) and then enters
 * the cgroup, and whose child becomes ours (rst_sibling). See runtime.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "runtime/console.h"
#include "runtime/create.h"
#include "runtime/criu_mounts.h"
#include "runtime/criu_work.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/path.h"

#define ROOT_DIR "criu-root" /* in the state directory: where criu sees the root file system */
#define NS_MAX 2             /* kinds of namespaces that criu takes from outside */

struct restore {
    struct create c;
    struct criu_work work;
    struct criu criu;
    int ns[NS_MAX]; /* namespaces from outside, open */
    size_t n_ns;
    int console; /* the terminal's master, when it is for the caller; -1 */
};

static void restore_done(struct restore *r)
{
    for (size_t i = 0; i < r->n_ns; i++)
        fd_close(r->ns[i]);
    fd_close(r->console);
    criu_done(&r->criu);
    criu_work_done(&r->work);
    create_done(&r->c);
}

/* ---- what criu is told ---------------------------------------------------------------------- */

/* The pipes that stdio was connected to become what our own is connected to. */
static int inherit_pipes(struct restore *r, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(1 << 20), document = BUF_MAX(1 << 20);
    struct criu_settings *s = &r->work.settings;
    struct record names;
    TRY(file_read(r->work.images, CRIU_DESCRIPTORS, &text, e));
    buf_printf(&document, "{\"stdio\":%s}", buf_cstr(&text)); /* documents are objects */
    if (json_parse(&record_json, &names, buf_cstr(&document), document.n, r->c.a, e) < 0)
        return err_wrap(e, CRIU_DESCRIPTORS);
    for (size_t i = 0; i < MIN(names.stdio.n, 3U); i++) {
        struct criu_number fd = {names.stdio.v[i], (int64_t)i};
        if (strstr(fd.key, "pipe:") != NULL)
            vec_push_in(r->c.a, &s->inherit_fd, fd);
    }
    return 0;
}

static int join_namespace(struct restore *r, const struct oci_namespace *ns, struct err *e)
{
    struct criu_settings *s = &r->work.settings;
    const char *key = criu_external_ns(ns->type);
    if (key == NULL && strcmp(ns->type, "cgroup") == 0)
        return err_set(e, ERR_UNIMPLEMENTED, "Do not know how to handle namespace NEWCGROUP");
    if (key == NULL) {
        struct criu_pair join = {ns_find(ns->type)->proc, ns->path};
        vec_push_in(r->c.a, &s->join_ns, join);
        return 0;
    }
    int fd = r->n_ns < NS_MAX ? open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return err_set(e, ERR_NOT_FOUND, "Requested network namespace %s does not exist", ns->path);
    struct criu_number inherit = {key, CRIU_SOCKET + 1 + (int64_t)r->n_ns};
    vec_push_in(r->c.a, &s->inherit_fd, inherit);
    r->ns[r->n_ns++] = fd;
    return 0;
}

static int check_version(const struct restore *r, struct err *e)
{
    const struct hullrun_criu_opts *o = r->work.o;
    if (r->criu.version >= CRIU_VERSION_LSM ||
        (o->lsm_profile == NULL && o->lsm_mount_context == NULL))
        return 0;
    return err_set(e, ERR_UNIMPLEMENTED, "--%s requires at least CRIU 3.16",
                   o->lsm_profile != NULL ? "lsm-profile" : "lsm-mount-context");
}

static int plan(struct restore *r, struct err *e)
{
    struct criu_settings *s = &r->work.settings;
    s->evasive_devices = true;
    s->rst_sibling = true;
    s->lsm_profile = r->work.o->lsm_profile;
    s->lsm_mount_context = r->work.o->lsm_mount_context;
    TRY(inherit_pipes(r, e));
    vec_each(ns, &r->c.spec.linux_->namespaces)
        if (ns->path != NULL && *ns->path != '\0')
            TRY(join_namespace(r, ns, e));
    return 0;
}

/* ---- criu in its place ---------------------------------------------------------------------- */

static int start_criu(struct restore *r, struct err *e)
{
    struct spawn_fd fds[3 + NS_MAX];
    size_t n = 0;
    for (int i = 0; i < 3; i++)
        if (r->c.o->io.fd[i] >= 0 && !r->c.spec.process->terminal)
            fds[n++] = (struct spawn_fd){i, r->c.o->io.fd[i]};
    for (size_t i = 0; i < r->n_ns; i++)
        fds[n++] = (struct spawn_fd){CRIU_SOCKET + 1 + (int)i, r->ns[i]};
    return criu_start(&r->criu, fds, n, &r->c.o->log, e);
}

/* Everything that criu gets to see is opened in its mount namespace: it mounts below its directory.
 */
static int start_with_root(struct restore *r, const struct criu_mounts *mounts, struct err *e)
{
    auto_free char *root = NULL;
    TRY(criu_work_open(&r->work, &r->c.spec.annotations, false, e));
    TRY(plan(r, e));
    if (mkdirat(r->c.dir_fd, ROOT_DIR, 0755) < 0)
        return err_sys(e, "mkdir " ROOT_DIR);
    root = realpath(arena_printf(r->c.a, "%s/" ROOT_DIR, create_state_path(&r->c)), NULL);
    if (root == NULL)
        return err_sys(e, "find " ROOT_DIR);
    r->work.settings.root = arena_strdup(r->c.a, root);
    if (mount("", "/", "", MS_SLAVE | MS_REC, "") < 0)
        return err_sys(e, "change the propagation of /");
    TRY(criu_mounts_prepare(mounts, root, e));
    return start_criu(r, e);
}

/* Entering a mount namespace leaves us at its root: go back to where we were. */
static int go_home(int ns, int root, int cwd, struct err *e)
{
    if (setns(ns, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0 || fchdir(cwd) < 0)
        return err_sys(e, "return to the mount namespace");
    return 0;
}

static int start_apart(struct restore *r, const struct criu_mounts *mounts, struct err *e)
{
    struct err lost = {0};
    auto_fd int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (ns < 0 || root < 0 || cwd < 0 || unshare(CLONE_NEWNS) < 0)
        return err_sys(e, "unshare the mount namespace");
    int rc = start_with_root(r, mounts, e);
    if (go_home(ns, root, cwd, &lost) < 0 && rc == 0) {
        *e = lost;
        rc = -1;
    }
    return rc;
}

/* What criu restores in cgroups of the images lands in ours: controller by controller. */
static int map_cgroups(struct restore *r, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(1 << 20);
    struct arena *a = r->c.a;
    TRY(file_read(AT_FDCWD, arena_printf(a, "/proc/%d/cgroup", (int)r->criu.proc.pid), &text, e));
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str path = str_cut(&rest, '\n');
        (void)str_cut(&path, ':');
        struct str controllers = str_cut(&path, ':');
        do {
            struct str name = str_cut(&controllers, ',');
            struct criu_pair p = {arena_strndup(a, name.p, name.n),
                                  arena_strndup(a, path.p, path.n)};
            vec_push_in(a, &r->work.settings.cg_root, p);
        } while (controllers.n > 0);
    }
    return 0;
}

static int enter_cgroup(struct restore *r, struct err *e)
{
    struct create *c = &r->c;
    pid_t pid = r->criu.proc.pid;
    if (c->unit.name != NULL) {
        TRY(create_join_unit(c, pid, e));
    } else if (c->cgroup.dirs.n > 0) {
        char text[24];
        const char *dir = c->cgroup.mode == CGROUP_V2 ? cgroup_path(&c->cgroup, "") : NULL;
        (void)snprintf(text, sizeof(text), "%d", (int)pid);
        int rc = dir != NULL ? cgroup_write(dir, "cgroup.procs", text) : 0;
        if (rc < 0)
            return err_neg(e, rc, "write %s/cgroup.procs", dir);
        TRY(cgroup_join(&c->cgroup, pid, e));
    }
    TRY(limits_apply(&c->limits, &c->cgroup, e));
    TRY(create_restrict_devices(c, e));
    return map_cgroups(r, e);
}

/* ---- the work ------------------------------------------------------------------------------- */

/* criu restores clocks by way of a time namespace, where the kernel has them. */
static bool in_time_namespace(pid_t pid)
{
    char path[64];
    struct stat own, its;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/time", (int)pid);
    return stat("/proc/self/ns/time", &own) == 0 && stat(path, &its) == 0 &&
           own.st_ino != its.st_ino;
}

static int on_restored(struct restore *r, pid_t pid, struct err *e)
{
    char state;
    struct record *record = &r->c.record;
    record->pid = pid;
    if (!record_proc_stat(pid, &state, &record->start_time))
        return err_set(e, ERR_INTERNAL, "the container's process has died");
    if (in_time_namespace(pid))
        record->namespaces |= CLONE_NEWTIME;
    record->created = time_now_ns();
    return record_save(r->c.dir_fd, record, e);
}

static int on_terminal(struct restore *r, int master, struct err *e)
{
    static const char name[] = "orphan-pts-master";
    const struct hullrun_io *io = &r->c.o->io;
    if (master < 0)
        return err_set(e, ERR_INTERNAL, "criu sent no terminal");
    if (io->plain_output)
        TRY(console_plain(master, e));
    if (io->want_console) {
        fd_close(r->console);
        r->console = fd_dup(master);
        return r->console < 0 ? err_neg(e, r->console, "keep the terminal") : 0;
    }
    int rc = io->console_sock < 0 ? 0 : fd_send(io->console_sock, name, strlen(name), &master, 1);
    return rc < 0 ? err_neg(e, rc, "send the terminal") : 0;
}

static int notice(void *arg, struct str script, pid_t pid, int fd, struct err *e)
{
    struct restore *r = arg;
    if (str_eq(script, "setup-namespaces"))
        return create_run_hooks(&r->c, pid, e);
    if (str_eq(script, "post-restore"))
        return on_restored(r, pid, e);
    if (str_eq(script, "orphan-pts-master"))
        return on_terminal(r, fd, e);
    return 0;
}

static int perform(struct restore *r, struct err *e)
{
    pid_t pid = 0;
    struct criu_mounts mounts = {.spec = &r->c.spec,
                                 .rootfs = r->c.record.rootfs,
                                 .bundle = r->c.record.bundle,
                                 .host = &r->c.host,
                                 .cgroup = &r->c.cgroup,
                                 .a = r->c.a};
    struct criu_listener listener = {notice, r};
    TRY(start_apart(r, &mounts, e));
    TRY(check_version(r, e));
    TRY(create_make_cgroup(&r->c, e));
    TRY(enter_cgroup(r, e));
    TRY(criu_mounts_restore(&mounts, &r->work.settings.ext_mnt, e));
    TRY(criu_work_perform(&r->work, &r->criu, CRIU_RESTORE, &listener, &pid, e));
    (void)unlinkat(r->c.dir_fd, ROOT_DIR, AT_REMOVEDIR); /* its mount has gone with criu */
    r->c.child = (struct child){.pid = pid, .pidfd = pidfd_open(pid, 0), .sync = -1};
    return r->c.child.pidfd < 0 ? err_sys(e, "pidfd of the container") : 0;
}

static int finish(struct restore *r, struct hullrun_result *out, struct err *e)
{
    const struct hullrun_create_opts *o = r->c.o;
    if (o->io.want_console && r->console < 0)
        return err_set(e, ERR_INTERNAL, "criu sent no terminal");
    if (o->pid_file != NULL)
        TRY(record_pid_file(o->pid_file, r->c.child.pid, e));
    *out = (struct hullrun_result){r->c.child.pid, r->c.child.pidfd, take_fd(&r->console)};
    r->c.child = (struct child)CHILD_NONE;
    return 0;
}

static int restore(struct restore *r, struct hullrun_result *out, struct err *e)
{
    TRY(create_plan(&r->c, e));
    TRY(create_make_state(&r->c, e));
    TRY(create_make_notify(&r->c, e));
    TRY(perform(r, e));
    return finish(r, out, e);
}

int hullrun_restore(const struct hullrun_create_opts *create, const struct hullrun_criu_opts *o,
                    struct hullrun_result *out, struct err *e)
{
    TRY(record_check_id(create->id, e));
    CLEANUP(restore_done) struct restore r = {.criu = {CRIU_NONE}, .console = -1};
    create_init(&r.c, create);
    r.work = (struct criu_work){CRIU_WORK_NONE, .o = o, .log = &create->log, .a = r.c.a,
                                .log_file = "restore.log"};
    int rc = restore(&r, out, e);
    if (rc < 0) {
        criu_done(&r.criu); /* first: it takes what it has begun with it */
        create_undo(&r.c);
    }
    return rc;
}
