/* Merging, defaults, checks: Docker's rules, one function each. */
#include "engine/config.h"

#include <signal.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/caps.h"
#include "engine/core.h"
#include "engine/log_options.h"
#include "engine/spec.h"
#include "net/net.h"
#include "net/resolv.h"

static bool is_empty(const char *s)
{
    return s == NULL || s[0] == '\0';
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b) == 0;
}

/* ---- merging with the image ---- */

static bool env_has(const struct strv *env, const char *entry)
{
    size_t n = strcspn(entry, "=");

    vec_each(v, env)
        if (strncmp(*v, entry, n) == 0 && ((*v)[n] == '=' || (*v)[n] == '\0'))
            return true;
    return false;
}

static void merge_set(struct strv *to, const struct strv *from, struct arena *a)
{
    vec_each(s, from)
        if (!strv_has(to, *s))
            vec_push_in(a, to, arena_strdup(a, *s));
}

static struct strv copy_list(const struct strv *l, struct arena *a)
{
    struct strv out = {0};

    vec_each(s, l)
        vec_push_in(a, &out, arena_strdup(a, *s));
    return out;
}

static void merge_health(struct container_config *user, const struct container_config *image,
                         struct arena *a)
{
    struct health_config *h = user->healthcheck;

    if (image->healthcheck == NULL)
        return;
    if (h == NULL) {
        user->healthcheck = ARENA_NEW(a, struct health_config);
        json_copy(&health_config_json, user->healthcheck, image->healthcheck, a);
        return;
    }
    if (h->test.n == 0)
        h->test = copy_list(&image->healthcheck->test, a);
#define INHERIT(member) \
    if (h->member == 0) \
    h->member = image->healthcheck->member
    INHERIT(interval_ns);
    INHERIT(timeout_ns);
    INHERIT(start_period_ns);
    INHERIT(start_interval_ns);
    INHERIT(retries);
#undef INHERIT
}

void config_merge(struct container_config *user, const struct container_config *image,
                  struct arena *a)
{
    if (is_empty(user->user))
        user->user = arena_strdup(a, image->user);
    if (is_empty(user->working_dir))
        user->working_dir = arena_strdup(a, image->working_dir);
    if (is_empty(user->stop_signal))
        user->stop_signal = arena_strdup(a, image->stop_signal);
    merge_set(&user->exposed_ports, &image->exposed_ports, a);
    merge_set(&user->volumes, &image->volumes, a);
    vec_each(l, &image->labels)
        if (strmap_get(&user->labels, l->key) == NULL)
            strmap_set(&user->labels, a, l->key, l->val);
    vec_each(v, &image->env)
        if (!env_has(&user->env, *v))
            vec_push_in(a, &user->env, arena_strdup(a, *v));
    if (user->entrypoint.n == 0) {
        if (user->cmd.n == 0)
            user->cmd = copy_list(&image->cmd, a);
        user->entrypoint = copy_list(&image->entrypoint, a);
    }
    if (user->entrypoint.n == 1 && user->entrypoint.v[0][0] == '\0')
        user->entrypoint = (struct strv){0};
    if (user->shell.n == 0)
        user->shell = copy_list(&image->shell, a);
    merge_health(user, image, a);
}

int config_args(const struct container_config *c, struct arena *a, struct strv *out, struct err *e)
{
    *out = (struct strv){0};
    vec_each(s, &c->entrypoint)
        vec_push_in(a, out, *s);
    vec_each(s, &c->cmd)
        vec_push_in(a, out, *s);
    if (out->n == 0)
        return err_set(e, ERR_INVALID, "no command specified");
    return 0;
}

/* ---- defaults ---- */

static void log_defaults(struct log_config *l, const struct engine_opts *o, struct arena *a)
{
    if (is_empty(l->type))
        l->type = o->log_driver;
    if (strcmp(l->type, o->log_driver) == 0 && o->log_opts != NULL)
        vec_each(opt, o->log_opts)
            if (strmap_get(&l->config, opt->key) == NULL)
                strmap_set(&l->config, a, opt->key, opt->val);
}

void host_config_defaults(struct host_config *h, const struct engine_opts *o, bool cgroup2,
                          struct arena *a)
{
    struct resources *r = &h->resources;

    log_defaults(&h->log, o, a);
    if (is_empty(h->restart.name))
        h->restart.name = "no";
    if (is_empty(h->network_mode) || strcmp(h->network_mode, "default") == 0)
        h->network_mode = "bridge";
    if (is_empty(h->ipc_mode))
        h->ipc_mode = "private";
    if (is_empty(h->cgroupns_mode))
        h->cgroupns_mode = cgroup2 ? "private" : "host";
    if (is_empty(h->runtime))
        h->runtime = o->default_runtime;
    if (h->shm_size_bytes == 0)
        h->shm_size_bytes = o->shm_bytes;
    if (r->memory_bytes > 0 && r->memory_swap == 0)
        r->memory_swap = r->memory_bytes * 2;
    if (r->oom_kill_disable == NULL && !cgroup2)
        r->oom_kill_disable = arena_dup(a, &(bool){false}, sizeof(bool));
    if (r->pids_limit != NULL && *r->pids_limit <= 0)
        r->pids_limit = NULL;
    if (h->privileged || same_text(h->pid_mode, "host") || same_text(h->ipc_mode, "host")) {
        if (!strv_has(&h->security_opt, "label=disable"))
            vec_push_in(a, &h->security_opt, arena_strdup(a, "label=disable"));
    }
}

/* ---- checks ---- */

static int check_memory(const struct resources *r, struct err *e)
{
    if (r->memory_bytes != 0 && r->memory_bytes < 6 << 20)
        return err_set(e, ERR_INVALID, "Minimum memory limit allowed is 6MB");
    if (r->memory_bytes > 0 && r->memory_swap > 0 && r->memory_swap < r->memory_bytes)
        return err_set(e, ERR_INVALID,
                       "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (r->memory_bytes == 0 && r->memory_swap > 0)
        return err_set(
            e, ERR_INVALID,
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (r->memory_swappiness != NULL && (*r->memory_swappiness < -1 || *r->memory_swappiness > 100))
        return err_set(e, ERR_INVALID,
                       "Invalid value: %lld, valid memory swappiness range is 0-100",
                       (long long)*r->memory_swappiness);
    if (r->memory_reservation > 0 && r->memory_reservation < 6 << 20)
        return err_set(e, ERR_INVALID, "Minimum memory reservation allowed is 6MB");
    if (r->memory_bytes > 0 && r->memory_reservation > 0 && r->memory_bytes < r->memory_reservation)
        return err_set(
            e, ERR_INVALID,
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    return 0;
}

static int check_cpu(const struct resources *r, struct err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (r->nano_cpus != 0 && r->cpu_period_us != 0)
        return err_set(e, ERR_INVALID,
                       "Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (r->nano_cpus != 0 && r->cpu_quota_us != 0)
        return err_set(e, ERR_INVALID,
                       "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (r->nano_cpus < 0 || r->nano_cpus > cpus * 1000000000LL)
        return err_set(e, ERR_INVALID,
                       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
                       cpus, cpus);
    if (r->cpu_period_us != 0 && (r->cpu_period_us < 1000 || r->cpu_period_us > 1000000))
        return err_set(e, ERR_INVALID,
                       "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than "
                       "1s (i.e. 1000000)");
    if (r->cpu_quota_us > 0 && r->cpu_quota_us < 1000)
        return err_set(e, ERR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    if (r->cpu_shares < 0)
        return err_set(e, ERR_INVALID,
                       "invalid CPU shares (%lld): value must be a positive integer",
                       (long long)r->cpu_shares);
    return 0;
}

int resources_check(const struct resources *r, struct err *e)
{
    TRY(check_memory(r, e));
    TRY(check_cpu(r, e));
    if (r->blkio_weight != 0 && (r->blkio_weight < 10 || r->blkio_weight > 1000))
        return err_set(e, ERR_INVALID, "Range of blkio weight is from 10 to 1000");
    return 0;
}

int restart_policy_check(const struct restart_policy *p, bool auto_remove, struct err *e)
{
    bool no = is_empty(p->name) || strcmp(p->name, "no") == 0;

    if (!no && strcmp(p->name, "always") != 0 && strcmp(p->name, "unless-stopped") != 0 &&
        strcmp(p->name, "on-failure") != 0)
        return err_set(e, ERR_INVALID,
                       "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
                       "'on-failure', or 'unless-stopped'",
                       p->name);
    if (p->max_retries < 0)
        return err_set(e, ERR_INVALID,
                       "invalid restart policy: maximum retry count cannot be negative");
    if (p->max_retries != 0 && (no || strcmp(p->name, "on-failure") != 0))
        return err_set(
            e, ERR_INVALID,
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    if (auto_remove && !no)
        return err_set(e, ERR_INVALID, "can't create 'AutoRemove' container with restart policy");
    return 0;
}

static int check_modes(const struct container_config *c, const struct host_config *h, struct err *e)
{
    bool joins = strncmp(h->network_mode, "container:", 10) == 0;

    if (joins && h->network_mode[10] == '\0')
        return err_set(e, ERR_INVALID, "invalid container format container:<name|id>");
    if (joins && !is_empty(c->hostname))
        return err_set(e, ERR_INVALID, "conflicting options: hostname and the network mode");
    if (same_text(h->uts_mode, "host") && !is_empty(c->hostname))
        return err_set(e, ERR_INVALID, "conflicting options: hostname and the UTS mode");
    if (!is_empty(h->uts_mode) && strcmp(h->uts_mode, "host") != 0)
        return err_set(e, ERR_INVALID, "invalid UTS mode: %s", h->uts_mode);
    if (h->links.n > 0)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "legacy links are not supported: use a user-defined network");
    if (joins && h->dns.n > 0)
        return err_set(e, ERR_INVALID, "conflicting options: dns and the network mode");
    if (joins && h->extra_hosts.n > 0)
        return err_set(e, ERR_INVALID,
                       "conflicting options: custom host-to-IP mapping and the network mode");
    if (joins && (h->port_bindings.n > 0 || h->publish_all_ports))
        return err_set(e, ERR_INVALID,
                       "conflicting options: port publishing and the container type network mode");
    if (!is_empty(h->userns_mode) && strcmp(h->userns_mode, "host") != 0)
        return err_set(e, ERR_INVALID, "invalid USER mode: %s", h->userns_mode);
    if (!same_text(h->cgroupns_mode, "private") && !same_text(h->cgroupns_mode, "host"))
        return err_set(e, ERR_INVALID, "invalid cgroup namespace mode: %s", h->cgroupns_mode);
    return 0;
}

static int check_pid_and_ipc(const struct host_config *h, struct err *e)
{
    const char *pid = h->pid_mode != NULL ? h->pid_mode : "", *ipc = h->ipc_mode;

    if (pid[0] != '\0' && strcmp(pid, "host") != 0 &&
        (strncmp(pid, "container:", 10) != 0 || pid[10] == '\0'))
        return err_set(e, ERR_INVALID, "invalid PID mode: %s", pid);
    if (strcmp(ipc, "none") != 0 && strcmp(ipc, "private") != 0 && strcmp(ipc, "shareable") != 0 &&
        strcmp(ipc, "host") != 0 && (strncmp(ipc, "container:", 10) != 0 || ipc[10] == '\0'))
        return err_set(e, ERR_INVALID, "invalid IPC mode: %s", ipc);
    return 0;
}

static int check_network(const struct host_config *h, struct arena *a, struct strv *warnings,
                         struct err *e)
{
    bool any = false;

    vec_each(p, &h->port_bindings) {
        if (p->val.n == 0) {
            struct net_publish one = {.port = p->key, .host_ip = "", .host_port = ""};

            TRY(net_publish_check(&one, e));
        }
        vec_each(b, &p->val) {
            struct net_publish one = {.port = p->key,
                                      .host_ip = b->host_ip != NULL ? b->host_ip : "",
                                      .host_port = b->host_port != NULL ? b->host_port : ""};

            TRY(net_publish_check(&one, e));
        }
        any = true;
    }
    vec_each(s, &h->dns)
        TRY(resolv_check_server(*s, e));
    vec_each(x, &h->extra_hosts)
        TRY(hosts_check_extra(*x, e));
    if (any && strcmp(h->network_mode, "host") == 0)
        vec_push_in(a, warnings,
                    arena_strdup(a, "Published ports are discarded when using host network mode"));
    return 0;
}

static int check_config(const struct container_config *c, struct err *e)
{
    if (!is_empty(c->working_dir) && c->working_dir[0] != '/')
        return err_set(e, ERR_INVALID,
                       "the working directory '%s' is invalid, it needs to be an absolute path",
                       c->working_dir);
    if (!is_empty(c->stop_signal) && signal_parse(c->stop_signal) == 0)
        return err_set(e, ERR_INVALID, "invalid signal: %s", c->stop_signal);
    if (c->hostname != NULL && strlen(c->hostname) > 64)
        return err_set(e, ERR_INVALID, "invalid hostname: %s", c->hostname);
    vec_each(v, &c->env)
        if ((*v)[0] == '\0' || (*v)[0] == '=')
            return err_set(e, ERR_INVALID, "invalid environment variable: %s", *v);
    return 0;
}

int config_check_userns(const struct host_config *h, struct err *e)
{
    if (h->privileged)
        return err_set(e, ERR_INVALID,
                       "privileged mode is incompatible with user namespaces.  You must run the "
                       "container in the host namespace when running privileged mode");
    if (strcmp(h->network_mode, "host") == 0)
        return err_set(
            e, ERR_INVALID,
            "cannot share the host's network namespace when user namespaces are enabled");
    if (same_text(h->pid_mode, "host"))
        return err_set(e, ERR_INVALID,
                       "cannot share the host PID namespace when user namespaces are enabled");
    return 0;
}

int config_check(const struct container_config *c, const struct host_config *h, struct arena *a,
                 struct strv *warnings, struct err *e)
{
    struct security_opts sec;
    struct strv caps;

    TRY(check_config(c, e));
    TRY(restart_policy_check(&h->restart, h->auto_remove, e));
    TRY(resources_check(&h->resources, e));
    TRY(check_modes(c, h, e));
    TRY(check_pid_and_ipc(h, e));
    TRY(check_network(h, a, warnings, e));
    TRY(log_options_check(&h->log, e));
    TRY(caps_resolve(&h->cap_add, &h->cap_drop, h->privileged, a, &caps, e));
    TRY(security_opts_parse(&h->security_opt, &sec, e));
    if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
        return err_set(e, ERR_INVALID,
                       "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                       (long long)h->oom_score_adj);
    if (h->shm_size_bytes < 0)
        return err_set(e, ERR_INVALID, "SHM size can not be less than 0");
    if (h->storage_opt.n > 0)
        return err_set(e, ERR_INVALID,
                       "--storage-opt is not supported with the overlayfs snapshotter");
    if (c->healthcheck != NULL && c->healthcheck->test.n > 0 &&
        strcmp(c->healthcheck->test.v[0], "NONE") != 0)
        vec_push_in(
            a, warnings,
            arena_strdup(
                a, "Health checks are not run yet: the health of this container stays unknown"));
    return 0;
}
