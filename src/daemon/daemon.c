/*
 * Starting, serving, stopping.
 *
 * The order of the start is: what can refuse (another daemon, sockets, state), then what others
 * need (the supervisor, the engine), last the first answer. The sockets exist early, so that
 * clients of a daemon that restarts wait in the backlog instead of being refused.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/listen.h"
#include "daemon/remap.h"
#include "daemon/supervise.h"
#include "sys/fd.h"
#include "sys/notify.h"
#include "sys/path.h"
#include "sys/proc.h"

struct daemon {
    const struct daemon_config *c;
    struct arena *arena; /* texts that live as long as the daemon */
    int signal_fd;
    bool has_pidfile;
    struct http_server *server;
    struct stream_wrap *tls;
    struct supervisor *supervisor;
    struct userns_maps userns; /* of containers */
    struct engine *engine;
    struct api api;
};

/* ---- the pidfile ---- */

static bool is_hulld(pid_t pid)
{
    auto_free char *path = mem_printf("/proc/%d/comm", pid);
    auto_buf struct buf b = BUF_MAX(64);
    struct err e;
    struct proc p = PROC_NONE;
    if (pid == getpid() || proc_open(pid, &p, &e) < 0)
        return false;
    /* one that was killed may stay a zombie for a while, with its name */
    bool alive = proc_alive(&p);
    proc_done(&p);
    return alive && file_read(AT_FDCWD, path, &b, &e) == 0 && strcmp(buf_cstr(&b), "hulld\n") == 0;
}

static int write_pidfile(struct daemon *d, struct err *e)
{
    const char *path = d->c->pidfile;
    auto_buf struct buf old = BUF_MAX(32);
    struct err absent;
    uint64_t pid;

    if (file_read(AT_FDCWD, path, &old, &absent) == 0) {
        struct str s = {buf_cstr(&old), old.n};
        if (str_to_u64(str_cut(&s, '\n'), 1, INT_MAX, &pid) && is_hulld((pid_t)pid))
            return err_set(e, ERR_EXISTS,
                           "failed to start daemon, ensure docker is not running or delete %s: "
                           "process with PID %llu is still running",
                           path, (unsigned long long)pid);
    }
    auto_free char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    if (slash == NULL)
        return err_set(e, ERR_INVALID, "pidfile %s: not an absolute path", path);
    *slash = '\0';
    TRY(path_mkdirs(slash == dir ? "/" : dir, 0755, e));
    auto_fd int dir_fd = open(slash == dir ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(e, "open %s", dir);
    auto_free char *text = mem_printf("%d\n", getpid());
    TRY(file_replace(dir_fd, slash + 1, text, strlen(text), 0644, e));
    d->has_pidfile = true;
    return 0;
}

/* ---- our other programs ---- */

/* The folder of the helpers: one of them tells it. */
static const char *helper_dir(struct daemon *d)
{
    auto_free char *path = path_helper("hull-portd");
    return arena_strndup(d->arena, path, (size_t)(strrchr(path, '/') - path));
}

/* ---- the supervisor and the engine ---- */

static int start_supervisor(struct daemon *d, const char **out_address, struct err *e)
{
    const struct daemon_config *c = d->c;
    if (c->containerd != NULL && c->containerd[0] != '\0') {
        *out_address = c->containerd;
        return 0;
    }
    auto_free char *beside = path_beside("hull-containerd");
    const char *dir = arena_printf(d->arena, "%s/containerd", c->exec_root);
    struct supervisor_opts o = {
        .program = beside != NULL ? arena_strdup(d->arena, beside) : "hull-containerd",
        .root = arena_printf(d->arena, "%s/containerd", c->data_root),
        .state = arena_printf(d->arena, "%s/daemon", dir),
        .address = arena_printf(d->arena, "%s/containerd.sock", dir),
        .pidfile = arena_printf(d->arena, "%s/containerd.pid", dir),
        .log_level = c->log_level,
    };
    TRY(path_mkdirs(dir, 0711, e));
    *out_address = o.address;
    return supervisor_start(&o, &d->supervisor, e) < 0 ? err_wrap(e, "start hull-containerd") : 0;
}

static int read_profile(struct daemon *d, const char **out, struct err *e)
{
    const char *path = d->c->seccomp_profile;
    auto_buf struct buf text = BUF_MAX(4u << 20);
    *out = NULL;
    if (path == NULL || strcmp(path, "") == 0 || strcmp(path, "builtin") == 0)
        return 0;
    if (strcmp(path, "unconfined") == 0) {
        *out = "unconfined";
        return 0;
    }
    if (file_read(AT_FDCWD, path, &text, e) < 0)
        return err_wrap(e, "opening seccomp profile (%s) failed", path);
    *out = arena_strndup(d->arena, buf_cstr(&text), text.n);
    return 0;
}

static int open_engine(struct daemon *d, const char *address, const char *helpers, struct err *e)
{
    const struct daemon_config *c = d->c;
    struct engine_opts *o = ARENA_NEW(d->arena, struct engine_opts);
    char **pools = arena_alloc_array(d->arena, c->address_pools.n + 1, sizeof(*pools));

    for (size_t i = 0; i < c->address_pools.n; i++)
        pools[i] = c->address_pools.v[i];
    *o = (struct engine_opts){
        .data_root = c->data_root,
        .exec_root = c->exec_root,
        .containerd = address,
        .containerd_ns = c->containerd_namespace,
        .helper_dir = helpers,
        .runtimes = c->runtimes.v,
        .n_runtimes = c->runtimes.n,
        .default_runtime = c->default_runtime,
        .cgroup_parent = c->cgroup_parent,
        .log_driver = c->log_driver,
        .log_opts = &c->log_opts,
        .shm_bytes = c->shm_bytes,
        .stop_timeout_s = (int)c->stop_timeout_s,
        .has_stop_timeout = true,
        .no_new_privileges = c->no_new_privileges,
        .dns = &c->dns,
        .dns_search = &c->dns_search,
        .dns_opts = &c->dns_opts,
        .bridge = c->bridge,
        .bip = c->bip,
        .fixed_cidr = c->fixed_cidr,
        .address_pools = c->address_pools.n > 0 ? (const char *const *)pools : NULL,
        .host_ip = c->host_ip,
        .mtu = (int)c->mtu,
        .no_icc = !c->icc,
        .no_ip_masq = !c->ip_masq,
        .no_ip_forward = !c->ip_forward,
        .no_firewall = !c->iptables,
        .ignore_foreign_firewall = c->respect_firewalls,
        .insecure_registries = &c->insecure_registries,
        .signature_policy = c->signature_policy,
        .registry = &c->registry,
        .registry_mirrors = &c->registry_mirrors,
        .labels = &c->labels,
        .userns = d->userns,
        .version = HULL_VERSION,
    };
    TRY(read_profile(d, &o->seccomp_profile, e));
    TRY(engine_open(o, &d->engine, e));
    return engine_start(d->engine, e);
}

/* ---- life ---- */

static int min_version(const char *text, int *out, struct err *e)
{
    uint64_t minor;
    *out = 0;
    if (text == NULL || text[0] == '\0')
        return 0;
    struct str s = str_of(text), major = str_cut(&s, '.');
    if (!str_eq(major, "1") || !str_to_u64(s, 0, 1000, &minor))
        return err_set(e, ERR_INVALID, "invalid min-api-version: %.200s", text);
    if (minor < API_VERSION_MIN || minor > API_VERSION_MAX)
        return err_set(e, ERR_INVALID, "min-api-version %.200s is not between 1.%d and 1.%d", text,
                       API_VERSION_MIN, API_VERSION_MAX);
    *out = (int)minor;
    return 0;
}

static int start(struct daemon *d, struct err *e)
{
    const struct daemon_config *c = d->c;
    const char *address;

    TRY(min_version(c->min_api_version, &d->api.min_version, e));
    d->api.experimental = c->experimental;
    TRY(remap_resolve(c->userns_remap, d->arena, &d->userns, e));
    TRY(path_mkdirs(c->exec_root, 0711, e));
    TRY(path_mkdirs(c->data_root, 0710, e));
    TRY(write_pidfile(d, e));
    d->server = http_server_new(&(struct http_server_opts){.handler = api_handle, .arg = &d->api});
    TRY(listen_open(d->server, c, &d->tls, e));
    TRY(start_supervisor(d, &address, e));
    TRY(open_engine(d, address, helper_dir(d), e));
    d->api.engine = d->engine;
    TRY(http_server_start(d->server, e));
    log_info("Daemon has completed initialization", NULL);
    notify("READY=1");
    return 0;
}

static int open_signals(struct daemon *d, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    return d->signal_fd < 0 ? err_sys(e, "signalfd") : 0;
}

/* Until a signal says stop. */
static void serve(struct daemon *d)
{
    for (;;) {
        struct signalfd_siginfo si;
        if (read(d->signal_fd, &si, sizeof(si)) != sizeof(si))
            continue;
        if (si.ssi_signo != SIGHUP) {
            log_info("Processing signal", "signal",
                     si.ssi_signo == SIGINT ? "interrupt" : "terminated", NULL);
            return;
        }
        log_warn("the configuration is read at the start only: restart hulld to change it, "
                 "containers run on",
                 NULL);
    }
}

static void stop(struct daemon *d)
{
    if (d->server != NULL)
        http_server_stop(d->server, (int)MIN(d->c->shutdown_timeout_s, 3600) * 1000);
    engine_close(d->engine);
    http_server_free(d->server);
    stream_wrap_free(d->tls);
    supervisor_free(d->supervisor);
    if (d->has_pidfile)
        (void)unlink(d->c->pidfile); /* a stale one is recognised */
    fd_close(d->signal_fd);
    arena_free(d->arena);
}

int daemon_run(const struct daemon_config *c, struct err *e)
{
    struct daemon d = {.c = c, .arena = arena_new(), .signal_fd = -1};
    int r = open_signals(&d, e);
    if (r == 0)
        r = start(&d, e);
    if (r == 0) {
        serve(&d);
        notify("STOPPING=1");
    }
    stop(&d);
    return r;
}
