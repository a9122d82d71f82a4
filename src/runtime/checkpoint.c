/*
 * hullrun_checkpoint: a running container's processes into images, by criu. criu stops and reads
 * them; we tell it what of the container is not its own. See runtime.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/container.h"
#include "runtime/criu_mounts.h"
#include "runtime/criu_work.h"
#include "runtime/notify.h"
#include "runtime/spec.h"
#include "sys/fd.h"
#include "sys/ns.h"
#include "sys/path.h"

struct checkpoint {
    struct container *c;
    struct oci_spec spec;
    struct criu_work work;
    int status_fd; /* -1 once criu has said that it is ready */
};

static void checkpoint_done(struct checkpoint *k)
{
    criu_work_done(&k->work);
}

/* ---- what criu is told ---------------------------------------------------------------------- */

/* "net[4026531840]:extRootNetNS": this one is not the container's own. */
static int external_namespaces(struct checkpoint *k, struct err *e)
{
    vec_each(ns, &k->spec.linux_->namespaces) {
        struct stat st;
        const char *key = criu_external_ns(ns->type);
        if (ns->path == NULL || *ns->path == '\0' || key == NULL)
            continue;
        if (stat(ns->path, &st) < 0)
            return err_sys(e, "stat %s", ns->path);
        vec_push_in(k->c->a, &k->work.settings.external,
                    arena_printf(k->c->a, "%s[%llu]:%s", ns_find(ns->type)->proc,
                                 (unsigned long long)st.st_ino, key));
    }
    return 0;
}

static int external_mounts(struct checkpoint *k, struct err *e)
{
    struct container *c = k->c;
    struct cgroup_host host;
    TRY(cgroup_host_read(c->a, &host, e));
    struct criu_mounts mounts = {.spec = &k->spec,
                                 .rootfs = c->record.rootfs,
                                 .bundle = c->record.bundle,
                                 .host = &host,
                                 .cgroup = &c->cgroup,
                                 .a = c->a};
    struct criu_pairs *out = &k->work.settings.ext_mnt;
    TRY(criu_mounts_dump(&mounts, (pid_t)c->record.pid, out, e));
    struct criu_pair notify = {NOTIFY_PLACE, NOTIFY_PLACE};
    if (notify_prepared(c->dir_fd))
        vec_push_in(c->a, out, notify);
    return 0;
}

/* Whoever restores it connects the same pipes to its own stdio. */
static int write_descriptors(struct checkpoint *k, struct err *e)
{
    static const int stdio[] = {0, 1, 2};
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    struct container *c = k->c;
    struct strv *names = &c->record.stdio;
    if (names->n == 0) /* a terminal */
        record_descriptors(arena_printf(c->a, "%lld", (long long)c->record.pid), stdio, c->a,
                           names);
    for (size_t i = 0; i < names->n; i++) {
        buf_adds(&text, i == 0 ? "[" : ",");
        json_write_str(names->v[i], strlen(names->v[i]), &text);
    }
    buf_addc(&text, ']');
    auto_fd int fd = openat(k->work.images, CRIU_DESCRIPTORS,
                            O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : fd_write_all(fd, text.p, text.n);
    return rc < 0 ? err_neg(e, rc, "write " CRIU_DESCRIPTORS) : 0;
}

static int plan(struct checkpoint *k, struct err *e)
{
    const struct hullrun_criu_opts *o = k->work.o;
    struct criu_settings *s = &k->work.settings;
    s->pid = k->c->record.pid;
    s->root = k->c->record.rootfs;
    s->leave_running = o->leave_running;
    s->tcp_skip_in_flight = o->tcp_skip_in_flight;
    s->link_remap = o->link_remap;
    s->freeze_cgroup = cgroup_path(&k->c->cgroup, "freezer");
    s->parent_img = o->parent_path;
    s->track_mem = o->parent_path != NULL;
    if (o->page_server != NULL) {
        struct criu_number server = {o->page_server, o->page_server_port};
        vec_push_in(k->c->a, &s->page_server, server);
    }
    TRY(external_namespaces(k, e));
    if (o->pre_dump) /* memory alone */
        return 0;
    TRY(external_mounts(k, e));
    return write_descriptors(k, e);
}

/* ---- checks --------------------------------------------------------------------------------- */

static int check_parent(struct checkpoint *k, struct err *e)
{
    const char *path = k->work.o->parent_path;
    struct stat st;
    if (path == NULL)
        return 0;
    if (*path == '/')
        return err_set(e, ERR_INVALID, "--parent-path must be relative");
    if (fstatat(k->work.images, path, &st, 0) < 0)
        return err_sys(e, "invalid --parent-path: stat %s/%s", k->work.o->image_path, path);
    if (S_ISDIR(st.st_mode))
        return 0;
    errno = ENOTDIR;
    return err_sys(e, "invalid --parent-path: %s/%s", k->work.o->image_path, path);
}

static int check_status_fd(const struct hullrun_criu_opts *o, struct err *e)
{
    if (!o->lazy_pages || o->status_fd < 0)
        return 0;
    int flags = fcntl(o->status_fd, F_GETFL);
    if (flags < 0)
        return err_sys(e, "invalid --status-fd argument %d", o->status_fd);
    return (flags & O_ACCMODE) != O_RDONLY
               ? 0
               : err_set(e, ERR_INVALID, "invalid --status-fd argument %d: not writable",
                         o->status_fd);
}

static int check(struct checkpoint *k, struct err *e)
{
    struct container *c = k->c;
    if (c->status == HULLRUN_CREATED || c->status == HULLRUN_STOPPED)
        return err_set(e, ERR_CONFLICT, "Container cannot be checkpointed in %s state",
                       hullrun_status_name(c->status));
    TRY(container_spec(c, &k->spec, e));
    return check_status_fd(k->work.o, e);
}

/* ---- the work ------------------------------------------------------------------------------- */

static int notice(void *arg, struct str script, pid_t pid, int fd, struct err *e)
{
    struct checkpoint *k = arg;
    (void)pid, (void)fd, (void)e;
    if (str_eq(script, "status-ready") && k->status_fd >= 0) {
        (void)fd_write_all(k->status_fd, "", 1); /* whoever waited may have given up */
        fd_close(k->status_fd);
        k->status_fd = -1;
    }
    return 0;
}

static int perform(struct checkpoint *k, struct err *e)
{
    const struct hullrun_criu_opts *o = k->work.o;
    CLEANUP(criu_done) struct criu criu = {CRIU_NONE};
    struct criu_listener listener = {notice, k};
    struct criu_features wanted = {.mem_track = o->pre_dump, .lazy_pages = o->lazy_pages};
    TRY(criu_start(&criu, NULL, 0, k->work.log, e));
    if (wanted.mem_track || wanted.lazy_pages)
        TRY(criu_require(&criu, &wanted, e));
    TRY(plan(k, e));
    return criu_work_perform(&k->work, &criu, o->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP, &listener,
                             NULL, e);
}

int hullrun_checkpoint(const char *root, const char *id, const struct hullrun_criu_opts *o,
                       const struct hullrun_log *log, struct err *e)
{
    auto_container struct container c = CONTAINER_NONE;
    TRY(container_load(&c, root, id, e));
    CLEANUP(checkpoint_done)
    struct checkpoint k = {
        .c = &c,
        .work = {CRIU_WORK_NONE, .o = o, .log = log, .a = c.a, .log_file = "dump.log"},
        .status_fd = o->status_fd,
    };
    TRY(check(&k, e));
    TRY(criu_work_open(&k.work, &c.record.annotations, true, e));
    TRY(check_parent(&k, e));
    return perform(&k, e);
}
