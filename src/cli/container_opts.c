/*
 * From flags to the create request. Parsing of ports, mounts and environment stands in files of
 * their own; here is what goes where.
 */
#include "cli/container_opts.h"

#include <fcntl.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/session.h"
#include "sys/path.h"

#define FILE_MAX (1u << 20)

static int restart_parse(struct cli *cli, const char *text, struct restart_policy *out,
                         struct err *e)
{
    struct str count = str_of(text), name = str_cut(&count, ':');
    bool colon = strchr(text, ':') != NULL;
    if (name.n == 0 && colon)
        return err_set(e, ERR_INVALID,
                       "invalid restart policy format: no policy provided before colon");
    out->name = arena_strndup(cli->arena, name.p, name.n);
    if (colon && !str_to_i64(count, 0, INT32_MAX, &out->max_retries))
        return err_set(e, ERR_INVALID,
                       "invalid restart policy format: maximum retry count must be an integer");
    return 0;
}

static int ulimit_parse(struct cli *cli, const char *text, struct ulimit *out, struct err *e)
{
    struct str val = str_of(text), name = str_cut(&val, '='), hard = val,
               soft = str_cut(&hard, ':');
    out->name = arena_strndup(cli->arena, name.p, name.n);
    if (strchr(text, '=') == NULL)
        return err_set(e, ERR_INVALID, "invalid ulimit argument: %s", text);
    if (!str_to_i64(soft, -1, INT64_MAX, &out->soft))
        return err_set(e, ERR_INVALID, "invalid ulimit value: %s", text);
    out->hard = out->soft;
    if (hard.n > 0 && !str_to_i64(hard, -1, INT64_MAX, &out->hard))
        return err_set(e, ERR_INVALID, "invalid ulimit value: %s", text);
    if (out->hard >= 0 && (out->soft > out->hard || out->soft < 0))
        return err_set(e, ERR_INVALID,
                       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                       (long long)out->soft, (long long)out->hard);
    return 0;
}

static int device_parse(struct cli *cli, const char *text, struct device_mapping *out,
                        struct err *e)
{
    struct str rest = str_of(text), host = str_cut(&rest, ':'), inside = str_cut(&rest, ':'),
               perm = rest;
    if (perm.n == 0 && inside.n > 0 && inside.p[0] != '/') { /* host:rwm */
        perm = inside;
        inside.n = 0;
    }
    for (size_t i = 0; i < perm.n; i++)
        if (strchr("rwm", perm.p[i]) == NULL)
            return err_set(e, ERR_INVALID, "invalid device mode: %.*s", STR_ARG(perm));
    out->path_on_host = arena_strndup(cli->arena, host.p, host.n);
    out->path_in_container =
        inside.n > 0 ? arena_strndup(cli->arena, inside.p, inside.n) : out->path_on_host;
    out->permissions = perm.n > 0 ? arena_strndup(cli->arena, perm.p, perm.n) : "rwm";
    return 0;
}

static int throttle_parse(struct cli *cli, const char *text, bool bytes,
                          struct throttle_device *out, struct err *e)
{
    struct str rate = str_of(text), path = str_cut(&rate, ':');
    int64_t n;
    auto_free char *value = str_dup(rate);
    if (path.n == 0 || path.p[0] != '/')
        return err_set(e, ERR_INVALID, "bad format for device path: %s", text);
    bool ok = bytes ? bytes_parse(value, &n) : str_to_i64(rate, 0, INT64_MAX, &n);
    if (!ok || n < 0)
        return err_set(
            e, ERR_INVALID,
            "invalid rate for device: %s. The correct format is <device-path>:<number>%s", text,
            bytes ? "[<unit>]. Number must be a positive integer. Unit is optional and can be kb, "
                    "mb, or gb"
                  : ". Number must be a positive integer");
    out->path = arena_strndup(cli->arena, path.p, path.n);
    out->rate = (uint64_t)n;
    return 0;
}

/* seccomp=FILE is read here: the daemon gets the profile itself. */
static int security_opt(struct cli *cli, const char *opt, const char **out, struct err *e)
{
    static const char key[] = "seccomp=";
    *out = opt;
    if (!str_starts(str_of(opt), key) || strcmp(opt + strlen(key), "unconfined") == 0 ||
        strcmp(opt + strlen(key), "builtin") == 0)
        return 0;
    auto_buf struct buf text = BUF_MAX(FILE_MAX), tight = BUF_MAX(FILE_MAX);
    if (file_read(AT_FDCWD, opt + strlen(key), &text, e) < 0)
        return err_set(e, ERR_INVALID, "opening seccomp profile (%s) failed: %s", opt + strlen(key),
                       e->msg);
    struct json_object *o = json_tokener_parse(buf_cstr(&text));
    if (o == NULL)
        return err_set(e, ERR_INVALID, "compacting json for seccomp profile (%s) failed",
                       opt + strlen(key));
    json_object_put(o);
    json_indent(text.p, text.n, NULL, &tight);
    *out = arena_printf(cli->arena, "%s%s", key, buf_cstr(&tight));
    return 0;
}

static int build_security(struct cli *cli, const struct container_opts *o, struct host_config *h,
                          struct err *e)
{
    h->cap_add = o->cap_add;
    h->cap_drop = o->cap_drop;
    h->privileged = o->privileged;
    h->readonly_rootfs = o->read_only;
    h->group_add = o->group_add;
    h->userns_mode = o->userns;
    if (o->userns != NULL && o->userns[0] != '\0' && strcmp(o->userns, "host") != 0)
        return err_set(e, ERR_INVALID, "--userns: invalid USER mode");
    for (size_t i = 0; i < o->security_opt.n; i++) {
        const char *opt;
        TRY(security_opt(cli, o->security_opt.v[i], &opt, e));
        if (strcmp(opt, "systempaths=unconfined") == 0) { /* the daemon knows it as empty lists */
            h->masked_paths.v = h->readonly_paths.v = arena_alloc(cli->arena, sizeof(char *));
            continue;
        }
        vec_push_in(cli->arena, &h->security_opt, (char *)(uintptr_t)opt);
    }
    return 0;
}

static int build_devices(struct cli *cli, const struct container_opts *o, struct resources *r,
                         struct err *e)
{
    for (size_t i = 0; i < o->device.n; i++)
        TRY(device_parse(cli, o->device.v[i], vec_add_in(cli->arena, &r->devices), e));
    for (size_t i = 0; i < o->read_bps.n; i++)
        TRY(throttle_parse(cli, o->read_bps.v[i], true,
                           vec_add_in(cli->arena, &r->blkio_device_read_bps), e));
    for (size_t i = 0; i < o->write_bps.n; i++)
        TRY(throttle_parse(cli, o->write_bps.v[i], true,
                           vec_add_in(cli->arena, &r->blkio_device_write_bps), e));
    for (size_t i = 0; i < o->read_iops.n; i++)
        TRY(throttle_parse(cli, o->read_iops.v[i], false,
                           vec_add_in(cli->arena, &r->blkio_device_read_iops), e));
    for (size_t i = 0; i < o->write_iops.n; i++)
        TRY(throttle_parse(cli, o->write_iops.v[i], false,
                           vec_add_in(cli->arena, &r->blkio_device_write_iops), e));
    for (size_t i = 0; i < o->blkio_weight_device.n; i++) {
        struct throttle_device d;
        TRY(throttle_parse(cli, o->blkio_weight_device.v[i], false, &d, e));
        struct weight_device w = {d.path, d.rate};
        vec_push_in(cli->arena, &r->blkio_weight_device, w);
    }
    r->device_cgroup_rules = o->device_cgroup_rule;
    return 0;
}

static int build_resources(struct cli *cli, const struct container_opts *o, struct resources *r,
                           struct err *e)
{
    if (o->blkio_weight != 0 && (o->blkio_weight < 10 || o->blkio_weight > 1000))
        return err_set(e, ERR_INVALID, "Range of blkio weight is from 10 to 1000");
    r->blkio_weight = (uint64_t)o->blkio_weight;
    r->cgroup_parent = o->cgroup_parent;
    r->cpu_period_us = o->cpu_period;
    r->cpu_quota_us = o->cpu_quota;
    r->cpu_rt_period_us = o->cpu_rt_period;
    r->cpu_rt_runtime_us = o->cpu_rt_runtime;
    r->cpu_shares = o->cpu_shares;
    r->nano_cpus = o->cpus;
    r->cpuset_cpus = o->cpuset_cpus;
    r->cpuset_mems = o->cpuset_mems;
    r->memory_bytes = o->memory;
    r->memory_reservation = o->memory_reservation;
    r->memory_swap = o->memory_swap;
    r->memory_swappiness = o->memory_swappiness;
    r->pids_limit = o->pids_limit;
    if (o->oom_kill_disable) {
        r->oom_kill_disable = ARENA_NEW(cli->arena, bool);
        *r->oom_kill_disable = true;
    }
    for (size_t i = 0; i < o->ulimit.n; i++)
        TRY(ulimit_parse(cli, o->ulimit.v[i], vec_add_in(cli->arena, &r->ulimits), e));
    return build_devices(cli, o, r, e);
}

static int build_health(struct cli *cli, const struct container_opts *o,
                        struct container_config *cfg, struct err *e)
{
    bool any = o->health_cmd != NULL || o->health_interval != 0 || o->health_timeout != 0 ||
               o->health_retries != 0 || o->health_start_period != 0 ||
               o->health_start_interval != 0;
    if (o->no_healthcheck && any)
        return err_set(e, ERR_INVALID, "--no-healthcheck conflicts with --health-* options");
    if (!any && !o->no_healthcheck)
        return 0;
    struct health_config *h = ARENA_NEW(cli->arena, struct health_config);
    cfg->healthcheck = h;
    if (o->no_healthcheck) {
        vec_push_in(cli->arena, &h->test, (char *)(uintptr_t) "NONE");
        return 0;
    }
    if (o->health_cmd != NULL) {
        vec_push_in(cli->arena, &h->test, (char *)(uintptr_t) "CMD-SHELL");
        vec_push_in(cli->arena, &h->test, (char *)(uintptr_t)o->health_cmd);
    }
    h->interval_ns = o->health_interval;
    h->timeout_ns = o->health_timeout;
    h->retries = o->health_retries;
    h->start_period_ns = o->health_start_period;
    h->start_interval_ns = o->health_start_interval;
    return 0;
}

static int build_mounts(struct cli *cli, const struct container_opts *o,
                        struct container_create *out, struct err *e)
{
    struct host_config *h = out->host;
    for (size_t i = 0; i < o->volume.n; i++) {
        char *v = o->volume.v[i];
        if (strchr(v, ':') == NULL) {
            vec_push_in(cli->arena, &out->config.volumes, v);
            continue;
        }
        if (v[0] == '.') { /* a path of the client's own folder */
            struct str rest = str_of(v), source = str_cut(&rest, ':');
            auto_free char *dir = str_dup(source), *full = realpath(dir, NULL);
            auto_free char *cwd = getcwd(NULL, 0);
            v = full != NULL ? arena_printf(cli->arena, "%s:%.*s", full, STR_ARG(rest))
                             : arena_printf(cli->arena, "%s/%s:%.*s", cwd != NULL ? cwd : "", dir,
                                            STR_ARG(rest));
        }
        vec_push_in(cli->arena, &h->binds, v);
    }
    for (size_t i = 0; i < o->mount.n; i++)
        TRY(mount_spec_parse(cli, o->mount.v[i], vec_add_in(cli->arena, &h->mounts), e));
    for (size_t i = 0; i < o->tmpfs.n; i++) {
        struct str opts = str_of(o->tmpfs.v[i]), path = str_cut(&opts, ':');
        auto_free char *p = str_dup(path), *v = str_dup(opts);
        strmap_set(&h->tmpfs, cli->arena, p, v);
    }
    h->volumes_from = o->volumes_from;
    h->volume_driver = o->volume_driver;
    return 0;
}

/* --network NAME or name=NAME,alias=A,ip=…; the first one is the mode, each with settings is an
 * endpoint */
static int network_parse(struct cli *cli, const struct container_opts *o, const char *text,
                         bool first, struct container_create *out, struct err *e)
{
    struct endpoint_settings *ep = ARENA_NEW(cli->arena, struct endpoint_settings);
    struct endpoint_ipam *ipam = ARENA_NEW(cli->arena, struct endpoint_ipam);
    const char *name = text;
    bool settings = false;
    for (struct str rest = str_of(strchr(text, '=') != NULL ? text : ""); rest.n > 0;) {
        struct str val = str_cut(&rest, ','), key = str_cut(&val, '=');
        char *v = arena_strndup(cli->arena, val.p, val.n);
        settings = true;
        if (str_eq(key, "name"))
            name = v;
        else if (str_eq(key, "alias"))
            vec_push_in(cli->arena, &ep->aliases, v);
        else if (str_eq(key, "ip"))
            ipam->ipv4_address = v;
        else if (str_eq(key, "ip6"))
            ipam->ipv6_address = v;
        else if (str_eq(key, "mac-address"))
            ep->mac_address = v;
        else
            return err_set(e, ERR_INVALID, "invalid field %.*s", STR_ARG(key));
    }
    if (first) {
        out->host->network_mode = name;
        for (size_t i = 0; i < o->network_alias.n; i++)
            vec_push_in(cli->arena, &ep->aliases, o->network_alias.v[i]);
        ipam->ipv4_address = o->ip != NULL ? o->ip : ipam->ipv4_address;
        ipam->ipv6_address = o->ip6 != NULL ? o->ip6 : ipam->ipv6_address;
        ep->mac_address = o->mac_address != NULL ? o->mac_address : ep->mac_address;
    }
    if (ipam->ipv4_address != NULL || ipam->ipv6_address != NULL)
        ep->ipam = ipam;
    settings = settings || ep->ipam != NULL || ep->mac_address != NULL || ep->aliases.n > 0;
    if (first && !settings)
        return 0;
    __typeof__(*out->networking->endpoints.v) ent = {name, ep};
    vec_push_in(cli->arena, &out->networking->endpoints, ent);
    return 0;
}

static int build_network(struct cli *cli, const struct container_opts *o,
                         struct container_create *out, struct err *e)
{
    struct host_config *h = out->host;
    out->networking = ARENA_NEW(cli->arena, struct networking_config);
    TRY(network_parse(cli, o, o->network.n > 0 ? o->network.v[0] : "default", true, out, e));
    for (size_t i = 1; i < o->network.n; i++)
        TRY(network_parse(cli, o, o->network.v[i], false, out, e));
    for (size_t i = 0; i < o->publish.n; i++)
        TRY(port_spec_add(cli, o->publish.v[i], out, e));
    for (size_t i = 0; i < o->expose.n; i++) {
        if (strchr(o->expose.v[i], ':') != NULL)
            return err_set(e, ERR_INVALID, "invalid port format for --expose: %s", o->expose.v[i]);
        auto_free char *port =
            mem_printf("%s%s", o->expose.v[i], strchr(o->expose.v[i], '/') != NULL ? "" : "/tcp");
        vec_push_in(cli->arena, &out->config.exposed_ports, arena_strdup(cli->arena, port));
    }
    h->publish_all_ports = o->publish_all;
    h->dns = o->dns;
    h->dns_options = o->dns_option;
    h->dns_search = o->dns_search;
    h->extra_hosts = o->add_hosts;
    h->links = o->link;
    return 0;
}

static int build_attach(const struct container_opts *o, struct container_config *cfg, struct err *e)
{
    for (size_t i = 0; i < o->attach.n; i++) {
        struct str which = str_of(o->attach.v[i]);
        if (str_ieq(which, "stdin"))
            cfg->attach_stdin = true;
        else if (str_ieq(which, "stdout"))
            cfg->attach_stdout = true;
        else if (str_ieq(which, "stderr"))
            cfg->attach_stderr = true;
        else
            return err_set(e, ERR_INVALID,
                           "invalid argument \"%s\" for \"-a, --attach\" flag: valid streams are "
                           "STDIN, STDOUT and STDERR",
                           o->attach.v[i]);
    }
    if (o->attach.n == 0 && !o->detach) {
        cfg->attach_stdout = cfg->attach_stderr = true;
        cfg->attach_stdin = o->interactive;
    }
    cfg->tty = o->tty;
    cfg->open_stdin = o->interactive;
    cfg->stdin_once = o->interactive && cfg->attach_stdin;
    return 0;
}

static int build_labels(struct cli *cli, const struct container_opts *o,
                        struct container_config *cfg, struct err *e)
{
    struct strv lines = {0};
    TRY(env_read(cli, &o->label_file, &o->label, &lines, e));
    cli_words_map(cli, &cfg->labels, &lines);
    return 0;
}

static void build_config(struct call *c, const struct container_opts *o,
                         struct container_config *cfg)
{
    struct arena *a = c->cli->arena;
    cfg->image = c->args.v[0];
    for (size_t i = 1; i < c->args.n; i++)
        vec_push_in(a, &cfg->cmd, c->args.v[i]);
    if (o->entrypoint != NULL)
        vec_push_in(a, &cfg->entrypoint, (char *)(uintptr_t)o->entrypoint);
    cfg->hostname = o->hostname;
    cfg->domainname = o->domainname;
    cfg->user = o->user;
    cfg->working_dir = o->workdir;
    cfg->stop_signal = o->stop_signal;
    cfg->stop_timeout_s = o->stop_timeout;
}

static void build_host(struct cli *cli, const struct container_opts *o, struct host_config *h)
{
    unsigned rows, cols;
    h->container_id_file = o->cidfile;
    h->auto_remove = o->rm;
    h->cgroupns_mode = o->cgroupns;
    h->ipc_mode = o->ipc;
    h->pid_mode = o->pid;
    h->uts_mode = o->uts;
    h->oom_score_adj = o->oom_score_adj;
    h->shm_size_bytes = o->shm_size;
    h->runtime = o->runtime;
    h->isolation = o->isolation;
    h->log.type = o->log_driver;
    cli_words_map(cli, &h->log.config, &o->log_opt);
    cli_words_map(cli, &h->annotations, &o->annotations);
    cli_words_map(cli, &h->storage_opt, &o->storage_opt);
    cli_words_map(cli, &h->sysctls, &o->sysctl);
    if (o->init) {
        h->init = ARENA_NEW(cli->arena, bool);
        *h->init = true;
    }
    term_size(1, &rows, &cols);
    vec_push_in(cli->arena, &h->console_size, (int64_t)rows);
    vec_push_in(cli->arena, &h->console_size, (int64_t)cols);
}

int container_opts_build(struct call *c, const struct container_opts *o,
                         struct container_create *out, struct err *e)
{
    struct cli *cli = c->cli;
    *out = (struct container_create){.host = ARENA_NEW(cli->arena, struct host_config)};
    build_config(c, o, &out->config);
    build_host(cli, o, out->host);
    TRY(build_attach(o, &out->config, e));
    TRY(env_read(cli, &o->env_file, &o->env, &out->config.env, e));
    TRY(build_labels(cli, o, &out->config, e));
    TRY(build_health(cli, o, &out->config, e));
    TRY(build_resources(cli, o, &out->host->resources, e));
    TRY(build_security(cli, o, out->host, e));
    TRY(build_mounts(cli, o, out, e));
    TRY(build_network(cli, o, out, e));
    TRY(restart_parse(cli, o->restart != NULL ? o->restart : "no", &out->host->restart, e));
    if (o->rm && strcmp(out->host->restart.name, "no") != 0 && *out->host->restart.name != '\0')
        return err_set(e, ERR_INVALID,
                       "conflicting options: cannot specify both --restart and --rm");
    return 0;
}
