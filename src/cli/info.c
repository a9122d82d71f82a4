/* hull info: the state of the engine, line by line as docker orders it. */
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/system.h"

struct info_opts {
    const char *format;
};

static const char *yes(bool v)
{
    return v ? "true" : "false";
}

static void print_words(const char *label, const struct strv *l)
{
    if (l->n == 0)
        return;
    (void)printf("%s:", label);
    for (size_t i = 0; i < l->n; i++)
        (void)printf(" %s", l->v[i]);
    put("\n");
}

static void print_driver_status(const char *raw)
{
    struct json_object *pairs = raw != NULL ? json_tokener_parse(raw) : NULL;
    for (size_t i = 0; pairs != NULL && i < json_object_array_length(pairs); i++) {
        struct json_object *p = json_object_array_get_idx(pairs, i);
        put_line("  %s: %s", json_object_get_string(json_object_array_get_idx(p, 0)),
                 json_object_get_string(json_object_array_get_idx(p, 1)));
    }
    json_object_put(pairs);
}

/* "name=seccomp,profile=builtin" as a line and a line below it */
static void print_security(const struct strv *options)
{
    if (options->n == 0)
        return;
    put_line(" Security Options:");
    for (size_t i = 0; i < options->n; i++) {
        for (struct str rest = str_of(options->v[i]); rest.n > 0;) {
            struct str val = str_cut(&rest, ','), key = str_cut(&val, '=');
            if (str_eq(key, "name"))
                put_line("  %.*s", STR_ARG(val));
            else
                put_line("   %s: %.*s", str_eq(key, "profile") ? "Profile" : "Option",
                         STR_ARG(val));
        }
    }
}

static void print_containers(const struct system_info *s)
{
    put_line(" Containers: %lld", (long long)s->containers);
    put_line("  Running: %lld", (long long)s->containers_running);
    put_line("  Paused: %lld", (long long)s->containers_paused);
    put_line("  Stopped: %lld", (long long)s->containers_stopped);
    put_line(" Images: %lld", (long long)s->images);
    put_line(" Server Version: %s", s->server_version);
    put_line(" Storage Driver: %s", s->driver);
    print_driver_status(s->driver_status);
    put_line(" Logging Driver: %s", s->logging_driver);
    put_line(" Cgroup Driver: %s", s->cgroup_driver);
    put_line(" Cgroup Version: %s", s->cgroup_version != NULL ? s->cgroup_version : "1");
    put_line(" Plugins:");
    print_words("  Volume", &s->plugins.volume);
    print_words("  Network", &s->plugins.network);
    print_words("  Authorization", &s->plugins.authorization);
    print_words("  Log", &s->plugins.log);
    put_line(" Swarm: %s", s->swarm.local_node_state);
    (void)printf(" Runtimes:");
    vec_each(r, &s->runtimes)
        (void)printf(" %s", r->key);
    put_line("\n Default Runtime: %s", s->default_runtime);
    put_line(" Init Binary: %s", s->init_binary);
    put_line(" containerd version: %s", s->containerd_commit.id);
    put_line(" runc version: %s", s->runc_commit.id);
    put_line(" init version: %s", s->init_commit.id);
}

static void print_host(struct cli *cli, const struct system_info *s)
{
    print_security(&s->security_options);
    put_line(" Kernel Version: %s", s->kernel_version);
    put_line(" Operating System: %s", s->operating_system);
    put_line(" OSType: %s", s->os_type);
    put_line(" Architecture: %s", s->architecture);
    put_line(" CPUs: %lld", (long long)s->n_cpu);
    put_line(" Total Memory: %s", human_bytes(cli->arena, (double)s->mem_total));
    put_line(" Name: %s", s->name);
    put_line(" ID: %s", s->id);
    put_line(" Docker Root Dir: %s", s->docker_root_dir);
    put_line(" Debug Mode: %s", yes(s->debug));
    put_line(" Experimental: %s", yes(s->experimental_build));
    if (s->registry != NULL && s->registry->insecure_cidrs.n > 0) {
        put_line(" Insecure Registries:");
        for (size_t i = 0; i < s->registry->insecure_cidrs.n; i++)
            put_line("  %s", s->registry->insecure_cidrs.v[i]);
    }
    put_line(" Live Restore Enabled: %s", yes(s->live_restore));
    if (s->firewall != NULL)
        put_line(" Firewall Backend: %s", s->firewall->driver);
    put("\n");
}

static int print_raw(struct call *c, const char *format, const char *raw, struct err *e)
{
    struct json_object *data = json_tokener_parse(raw);
    int rc = print_object(c, format, data, e);
    json_object_put(data);
    return rc;
}

static int info_run(struct call *c, struct err *e)
{
    const struct info_opts *o = c->opts;
    auto_buf struct buf raw = BUF_MAX(CLI_BODY_MAX);
    struct system_info s;
    int rc = cli_raw(c->cli, "/info", &raw, e);
    if (rc == 0 && o->format != NULL)
        return print_raw(c, o->format, raw.p, e);
    if (o->format == NULL) {
        put_line("Client: Hull\n Version:    %s\n Context:    %s\n Debug Mode: %s\n\nServer:",
                 HULL_VERSION, c->cli->context, yes(c->cli->debug));
        (void)fflush(stdout);
    }
    TRY(rc);
    TRY(json_parse(&system_info_json, &s, buf_cstr(&raw), raw.n, c->cli->arena, e));
    print_containers(&s);
    print_host(c->cli, &s);
    for (size_t i = 0; i < s.warnings.n; i++)
        warn_line("%s", s.warnings.v[i]);
    return 0;
}

static const struct flag table[] = {
    {"format", 'f', FLAG_STR, offsetof(struct info_opts, format), NULL,
     "Format output using a custom template: 'json' or 'TEMPLATE'"},
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_info = {
    .name = "info",
    .aliases = "system info",
    .usage = "[OPTIONS]",
    .help = "Display system-wide information",
    .opts_size = sizeof(struct info_opts),
    .flags = &flags,
    .run = info_run,
};
