/* hull network ls, rm and volume ls, create, rm: what is needed beside the default networks and
 * volumes that run makes. */
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/endpoint.h"
#include "types/volume.h"

struct list_opts {
    bool no_trunc, quiet, force;
    const char *format, *driver;
    struct strv filter, label, opt;
};

static const struct table_col network_cols[] = {
    {"ID", "NETWORK ID"},        {"Name", "NAME"},     {"Driver", "DRIVER"},
    {"Scope", "SCOPE"},          {"IPv6", "IPV6"},     {"Internal", "INTERNAL"},
    {"CreatedAt", "CREATED AT"}, {"Labels", "LABELS"},
};
static const struct table_col volume_cols[] = {
    {"Driver", "DRIVER"}, {"Name", "VOLUME NAME"}, {"Scope", "SCOPE"}, {"Mountpoint", "MOUNTPOINT"},
    {"Labels", "LABELS"}, {"Links", "LINKS"},      {"Size", "SIZE"},
};

static const char *labels_text(struct arena *a, const struct strmap *labels)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    vec_each(l, labels)
        buf_printf(&b, "%s%s=%s", b.n > 0 ? "," : "", l->key, l->val);
    return arena_strdup(a, buf_cstr(&b));
}

static int network_order(const void *a, const void *b)
{
    return natural_compare(((const struct network_inspect *)a)->name,
                           ((const struct network_inspect *)b)->name);
}

static int volume_order(const void *a, const void *b)
{
    return natural_compare(((const struct volume_inspect *)a)->name,
                           ((const struct volume_inspect *)b)->name);
}

static int network_ls_run(struct call *c, struct err *e)
{
    const struct list_opts *o = c->opts;
    struct arena *a = c->cli->arena;
    auto_table struct table t = {.cols = network_cols,
                                 .n_cols = ARRAY_LEN(network_cols),
                                 .view = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"};
    const char *filters;
    TRY(table_init(&t, c->cli, o->format, "networksFormat", o->quiet, e));
    TRY(cli_filters(c->cli, &o->filter, &filters, e));
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    void *list;
    size_t n;
    TRY(cli_raw(c->cli, cli_query(c->cli, "/networks", "filters", filters), &body, e));
    TRY(json_parse_list(&network_inspect_json, &list, &n, buf_cstr(&body), body.n, a, e));
    if (n > 1)
        qsort(list, n, sizeof(struct network_inspect), network_order);
    for (size_t i = 0; i < n; i++) {
        const struct network_inspect *net = (struct network_inspect *)list + i;
        struct json_object *row = table_row(&t);
        row_set(row, "ID", short_id(a, net->id, o->no_trunc));
        row_set(row, "Name", net->name);
        row_set(row, "Driver", net->driver);
        row_set(row, "Scope", net->scope);
        row_set(row, "IPv6", net->enable_ipv6 ? "true" : "false");
        row_set(row, "Internal", net->internal ? "true" : "false");
        row_set(row, "CreatedAt", local_time(a, net->created_ns));
        row_set(row, "Labels", labels_text(a, &net->labels));
    }
    return table_print(&t, e);
}

static int volume_ls_run(struct call *c, struct err *e)
{
    const struct list_opts *o = c->opts;
    struct arena *a = c->cli->arena;
    auto_table struct table t = {.cols = volume_cols,
                                 .n_cols = ARRAY_LEN(volume_cols),
                                 .quiet = "{{.Name}}",
                                 .view = "table {{.Driver}}\t{{.Name}}"};
    const char *filters;
    struct volume_list list;
    TRY(table_init(&t, c->cli, o->format, "volumesFormat", o->quiet, e));
    TRY(cli_filters(c->cli, &o->filter, &filters, e));
    TRY(cli_json(c->cli, "GET", cli_query(c->cli, "/volumes", "filters", filters),
                 &volume_list_json, &list, e));
    if (list.volumes.n > 1)
        qsort(list.volumes.v, list.volumes.n, sizeof(list.volumes.v[0]), volume_order);
    vec_each(v, &list.volumes) {
        struct json_object *row = table_row(&t);
        row_set(row, "Driver", v->driver);
        row_set(row, "Name", v->name);
        row_set(row, "Scope", v->scope);
        row_set(row, "Mountpoint", v->mountpoint);
        row_set(row, "Labels", labels_text(a, &v->labels));
        row_set(row, "Links",
                v->usage != NULL ? arena_printf(a, "%lld", (long long)v->usage->ref_count) : "N/A");
        row_set(row, "Size", v->usage != NULL ? human_size(a, (double)v->usage->size, 4) : "N/A");
    }
    return table_print(&t, e);
}

static int volume_create_run(struct call *c, struct err *e)
{
    const struct list_opts *o = c->opts;
    struct volume_create doc = {.driver = o->driver != NULL ? o->driver : "local",
                                .name = c->args.n > 0 ? c->args.v[0] : NULL};
    struct volume_inspect made;
    cli_words_map(c->cli, &doc.driver_opts, &o->opt);
    cli_words_map(c->cli, &doc.labels, &o->label);
    TRY(cli_send_json(c->cli, "POST", "/volumes/create", &volume_create_json, &doc,
                      &volume_inspect_json, &made, e));
    put_line("%s", made.name);
    return 0;
}

static int remove_each(struct call *c, const char *before, struct err *e)
{
    const struct list_opts *o = c->opts;
    bool failed = false;
    for (size_t i = 0; i < c->args.n; i++) {
        const char *path =
            arena_printf(c->cli->arena, "%s%s", before, cli_path(c->cli, "%s", c->args.v[i]));
        if (cli_json(c->cli, "DELETE", cli_query(c->cli, path, "force", o->force ? "1" : NULL),
                     NULL, NULL, e) == 0) {
            put_line("%s", c->args.v[i]);
        } else if (!o->force || e->kind != ERR_NOT_FOUND) {
            warn_line("%s", e->msg);
            failed = true;
        }
    }
    if (failed && before[1] == 'n')
        warn_line("exit status 1"); /* docker says so for networks */
    c->silent = failed;
    return failed ? -1 : 0;
}

static int volume_rm_run(struct call *c, struct err *e)
{
    return remove_each(c, "/volumes/", e);
}

static int network_rm_run(struct call *c, struct err *e)
{
    return remove_each(c, "/networks/", e);
}

#define OPT(name, letter, kind, member, help)                                     \
    {                                                                             \
        name, letter, FLAG_##kind, offsetof(struct list_opts, member), NULL, help \
    }
static const struct flag list_table[] = {
    OPT("filter", 'f', LIST, filter, "Provide filter values (e.g. \"driver=bridge\")"),
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("no-trunc", 0, BOOL, no_trunc, "Do not truncate the output"),
    OPT("quiet", 'q', BOOL, quiet, "Only display IDs or names"),
    {"cluster", 0, FLAG_MISSING, 0, NULL, NULL},
};
static const struct flag rm_table[] = {
    OPT("force", 'f', BOOL, force, "Do not fail when it does not exist"),
};
static const struct flag create_table[] = {
    OPT("driver", 'd', STR, driver, "Specify volume driver name (default \"local\")"),
    OPT("label", 0, LIST, label, "Set metadata for a volume"),
    OPT("opt", 'o', LIST, opt, "Set driver specific options"),
};
static const struct flag_set list_set = FLAGS(list_table), rm_set = FLAGS(rm_table),
                             create_set = FLAGS(create_table);

const struct command cmd_network_ls = {
    .name = "network ls",
    .aliases = "network list",
    .usage = "[OPTIONS]",
    .help = "List networks",
    .opts_size = sizeof(struct list_opts),
    .flags = &list_set,
    .run = network_ls_run,
};
const struct command cmd_network_rm = {
    .name = "network rm",
    .aliases = "network remove",
    .usage = "NETWORK [NETWORK...]",
    .help = "Remove one or more networks",
    .min_args = 1,
    .max_args = -1,
    .opts_size = sizeof(struct list_opts),
    .flags = &rm_set,
    .run = network_rm_run,
};
const struct command cmd_volume_ls = {
    .name = "volume ls",
    .aliases = "volume list",
    .usage = "[OPTIONS]",
    .help = "List volumes",
    .opts_size = sizeof(struct list_opts),
    .flags = &list_set,
    .run = volume_ls_run,
};
const struct command cmd_volume_create = {
    .name = "volume create",
    .usage = "[OPTIONS] [VOLUME]",
    .help = "Create a volume",
    .max_args = 1,
    .opts_size = sizeof(struct list_opts),
    .flags = &create_set,
    .run = volume_create_run,
};
const struct command cmd_volume_rm = {
    .name = "volume rm",
    .aliases = "volume remove",
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .help = "Remove one or more volumes",
    .min_args = 1,
    .max_args = -1,
    .opts_size = sizeof(struct list_opts),
    .flags = &rm_set,
    .run = volume_rm_run,
};
