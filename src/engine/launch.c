/* Mounts, user, namespaces, streams and spec of a start. */
#include "engine/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/attach_int.h"
#include "engine/log_options.h"
#include "engine/rootfs.h"
#include "engine/spec.h"
#include "engine/user.h"
#include "sys/cgroup.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

enum { PASSWD_MAX = 4 << 20, LOGGER_MS = 10000 };

/* ---- mounts ---- */

static int bind_source(const struct mount_record *m, struct err *e)
{
    struct stat st;

    if (stat(m->source, &st) == 0)
        return 0;
    if (errno != ENOENT || !m->create_source)
        return err_set(
            e, ERR_INVALID,
            "invalid mount config for type \"bind\": bind source path does not exist: %s",
            m->source);
    if (path_mkdirs(m->source, 0755, e) < 0)
        return err_wrap(e, "error while creating mount source path '%s'", m->source);
    return 0;
}

static int subpath_of(const char *dir, const char *sub, struct arena *a, const char **out,
                      struct err *e)
{
    auto_fd int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int fd = -1;
    char target[4096];
    ssize_t n;

    if (root < 0)
        return err_sys(e, "open %s", dir);
    fd = path_open_in(root, sub, O_PATH, e);
    if (fd < 0)
        return err_wrap(e, "subpath %s of volume", sub);
    n = readlink(arena_printf(a, "/proc/self/fd/%d", fd), target, sizeof(target) - 1);
    if (n < 0)
        return err_sys(e, "readlink");
    *out = arena_strndup(a, target, (size_t)n);
    return 0;
}

static void push_option(struct oci_mount *m, struct arena *a, const char *o)
{
    vec_push_in(a, &m->options, (char *)o);
}

static void tmpfs_mount(struct launch *l, const struct mount_record *m, struct oci_mount *o)
{
    static const char *const always[] = {"noexec", "nosuid", "nodev"};

    o->type = o->source = "tmpfs";
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        push_option(o, l->a, always[i]);
    for (struct str rest = str_of(m->options); rest.n > 0;) {
        struct str opt = str_cut(&rest, ',');

        push_option(o, l->a, arena_strndup(l->a, opt.p, opt.n));
    }
}

static int bind_mount(struct launch *l, const struct mount_record *m, struct oci_mount *o,
                      struct err *e)
{
    bool volume = strcmp(m->type, "volume") == 0;

    o->type = "bind";
    o->source = m->source;
    if (volume)
        TRY(volume_mount(l->g->volumes, m->name, l->rec->id, l->a, &o->source, e));
    else
        TRY(bind_source(m, e));
    if (volume && m->subpath != NULL && m->subpath[0] != '\0')
        TRY(subpath_of(o->source, m->subpath, l->a, &o->source, e));
    push_option(o, l->a, m->non_recursive ? "bind" : "rbind");
    push_option(o, l->a,
                m->propagation != NULL && m->propagation[0] != '\0' ? m->propagation : "rprivate");
    return 0;
}

int launch_mounts(struct launch *l, struct err *e)
{
    vec_each(m, &l->rec->mounts) {
        struct oci_mount *o = vec_add_in(l->a, &l->mounts);

        o->destination = m->target;
        if (strcmp(m->type, "tmpfs") == 0)
            tmpfs_mount(l, m, o);
        else
            TRY(bind_mount(l, m, o, e));
        if (!m->rw)
            push_option(o, l->a, "ro");
    }
    return 0;
}

/* ---- user, namespaces ---- */

int launch_user(struct launch *l, struct err *e)
{
    auto_buf struct buf passwd = BUF_MAX(PASSWD_MAX), group = BUF_MAX(PASSWD_MAX);
    const char *home;

    TRY(rootfs_read(&l->rootfs, "/etc/passwd", &passwd, e));
    TRY(rootfs_read(&l->rootfs, "/etc/group", &group, e));
    return user_resolve(l->rec->config.user != NULL ? l->rec->config.user : "",
                        str_of(buf_cstr(&passwd)), str_of(buf_cstr(&group)),
                        &l->rec->host.group_add, l->a, &l->user, &home, e);
}

int launch_root(struct launch *l, struct err *e)
{
    const struct userns_maps maps = record_maps(l->rec);

    return maps.uid != NULL ? userns_root(&maps, &l->root_uid, &l->root_gid, e) : 0;
}

int launch_share_userns(struct launch *l, const struct view *other, struct err *e)
{
    const struct userns_maps mine = record_maps(l->rec), theirs = record_maps(other->rec);

    if (mine.uid == NULL)
        return 0; /* root of the host may enter them all */
    if (theirs.uid == NULL || strcmp(mine.uid, theirs.uid) != 0 ||
        strcmp(mine.gid, theirs.gid) != 0)
        return err_set(e, ERR_CONFLICT,
                       "cannot join a namespace of container %s: it has another user namespace",
                       other->rec->id);
    l->userns = arena_printf(l->a, "/proc/%lld/ns/user", (long long)other->state->pid);
    return 0;
}

/* /proc/PID/ns/KIND of a running container named in "container:ID". */
static int other_namespace(struct launch *l, const char *mode, const char *kind, const char **out,
                           struct err *e)
{
    auto_container struct container *other = NULL;

    *out = NULL;
    if (mode == NULL || strncmp(mode, "container:", 10) != 0)
        return 0;
    TRY(container_find(l->g, mode + 10, &other, e));
    auto_view struct view v = container_view(other);
    if (!v.state->running || v.state->restarting)
        return err_set(e, ERR_CONFLICT, "cannot join %s namespace of a non running container: %s",
                       strcmp(kind, "pid") == 0 ? "PID" : "IPC", mode + 10);
    *out = arena_printf(l->a, "/proc/%lld/ns/%s", (long long)v.state->pid, kind);
    return launch_share_userns(l, &v, e);
}

int launch_namespaces(struct launch *l, struct err *e)
{
    const struct host_config *h = &l->rec->host;

    TRY(other_namespace(l, h->pid_mode, "pid", &l->pidns, e));
    TRY(other_namespace(l, h->ipc_mode, "ipc", &l->ipcns, e));
    if (l->ipcns != NULL || (h->ipc_mode != NULL && strcmp(h->ipc_mode, "host") == 0))
        l->shm = "/dev/shm";
    if (l->ipcns != NULL) {
        auto_container struct container *other = NULL;

        TRY(container_find(l->g, h->ipc_mode + 10, &other, e));
        auto_view struct view v = container_view(other);
        if (strcmp(v.rec->host.ipc_mode, "shareable") != 0)
            return err_set(
                e, ERR_INVALID,
                "non-shareable IPC (hint: use IpcMode:shareable for the donor container)");
        l->shm = container_path(other, l->a, "shm");
    } else if (h->ipc_mode != NULL && strcmp(h->ipc_mode, "shareable") == 0) {
        l->shm = container_path(l->c, l->a, "shm");
        TRY(shm_mount(l->shm, h->shm_size_bytes, l->root_uid, l->root_gid, e));
    }
    return 0;
}

/* ---- streams ---- */

static int make_fifo(struct launch *l, const char *suffix, const char **out, struct err *e)
{
    const char *path = arena_printf(l->a, "%s/c/%.32s.%s", l->g->o.exec_root, l->rec->id, suffix);

    (void)unlink(path); /* of an earlier run */
    if (mkfifo(path, 0600) < 0)
        return err_sys(e, "mkfifo %s", path);
    *out = path;
    return 0;
}

/* A shim that is not ours gets FIFOs, whose other ends a logger holds as long as the container
 * lives. */
static int start_logger(struct launch *l, const char *uri, bool open_stdin, struct err *e)
{
    const char *program = arena_printf(l->a, "%s/" LOG_PROGRAM, l->g->o.helper_dir);
    bool tty = l->rec->config.tty;
    struct strv argv = {0};
    struct proc p = PROC_NONE;
    int status, r;

    TRY(make_fifo(l, "1", &l->stdout_, e));
    if (!tty)
        TRY(make_fifo(l, "2", &l->stderr_, e));
    else
        l->stderr_ = NULL;
    if (open_stdin)
        TRY(make_fifo(l, "0", &l->stdin_, e));
    const char *const args[] = {program,
                                "--detach",
                                tty ? "--terminal" : NULL,
                                open_stdin ? "--fifo-stdin" : NULL,
                                open_stdin ? l->stdin_ : NULL,
                                "--fifo-stdout",
                                l->stdout_,
                                tty ? NULL : "--fifo-stderr",
                                tty ? NULL : l->stderr_,
                                uri};
    for (size_t i = 0; i < ARRAY_LEN(args); i++)
        if (args[i] != NULL)
            vec_push_in(l->a, &argv, (char *)args[i]);
    vec_push_in(l->a, &argv, NULL);
    const struct spawn_opts o = {
        .path = program, .argv = (const char *const *)argv.v, .new_session = true};
    TRY(spawn(&o, &p, e));
    r = proc_wait(&p, LOGGER_MS, -1, &status, e);
    proc_done(&p);
    TRY(r);
    return status == 0
               ? 0
               : err_set(e, ERR_INTERNAL,
                         "failed to initialize logging driver: hull-logger ended with status %d",
                         status);
}

int launch_stdio(struct launch *l, struct err *e)
{
    auto_buf struct buf uri = BUF_MAX(LOG_URI_MAX);
    struct log_uri u = LOG_URI_DEFAULT;

    TRY(log_options_read(l->rec, l->a, &u, e));
    u.program = arena_printf(l->a, "%s/" LOG_PROGRAM, l->g->o.helper_dir);
    u.attach = attach_socket(l->c, l->a);
    u.open_stdin = l->rec->config.open_stdin;
    log_uri_write(&u, &uri);
    if (uri.over)
        return err_set(e, ERR_TOO_LARGE, "log options of container %s are too long", l->rec->id);
    if (!runtime_is_ours(&l->runtime))
        return start_logger(l, buf_cstr(&uri), u.open_stdin, e);
    l->stdin_ = NULL;
    l->stdout_ = arena_strdup(l->a, buf_cstr(&uri));
    l->stderr_ = l->rec->config.tty ? NULL : l->stdout_;
    return 0;
}

/* ---- spec ---- */

static int find_init(struct launch *l, struct err *e)
{
    const char *const places[] = {arena_printf(l->a, "%s/docker-init", l->g->o.helper_dir),
                                  "/usr/bin/docker-init", "/usr/sbin/docker-init",
                                  "/usr/libexec/docker/docker-init", "/usr/bin/tini-static"};

    if (l->rec->host.init == NULL || !*l->rec->host.init)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0) {
            l->init = places[i];
            return 0;
        }
    return err_set(
        e, ERR_INVALID,
        "--init needs an init program: install Debian's package tini, or put docker-init "
        "into %s",
        l->g->o.helper_dir);
}

int launch_spec(struct launch *l, struct err *e)
{
    auto_buf struct buf json = BUF_MAX(8 << 20);
    struct spec_inputs in = {
        .rec = l->rec,
        .o = &l->g->o,
        .user = l->user,
        .hostname = l->hostname,
        .netns = l->netns,
        .userns = l->userns,
        .pidns = l->pidns,
        .ipcns = l->ipcns,
        .shm = l->shm,
        .resolv_conf = l->resolv_conf,
        .hosts = l->hosts,
        .hostname_file = l->hostname_file,
        .mounts = l->mounts.v,
        .n_mounts = l->mounts.n,
        .cgroup2 = l->cgroup2,
    };
    struct oci_spec spec;

    TRY(find_init(l, e));
    in.init = l->init;
    TRY(spec_build(&in, l->a, &spec, e));
    json_write(&oci_spec_json, &spec, &json);
    if (json.over)
        return err_set(e, ERR_TOO_LARGE, "the configuration of container %s is too long",
                       l->rec->id);
    l->spec = arena_strdup(l->a, buf_cstr(&json));
    return 0;
}
