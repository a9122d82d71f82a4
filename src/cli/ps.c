/* hull ps: the list of containers. */
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/rows.h"

struct ps_opts {
    bool all, latest, no_trunc, quiet, size;
    int64_t *last;
    const char *format;
    struct strv filter;
};

static const struct table_col cols[] = {
    {"ID", "CONTAINER ID"},
    {"Names", "NAMES"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"CreatedAt", "CREATED AT"},
    {"RunningFor", "CREATED"},
    {"Ports", "PORTS"},
    {"State", "STATE"},
    {"Status", "STATUS"},
    {"Size", "SIZE"},
    {"Labels", "LABELS"},
    {"Mounts", "MOUNTS"},
    {"LocalVolumes", "LOCAL VOLUMES"},
    {"Networks", "NETWORKS"},
    {"Platform", "PLATFORM"},
};

static int port_order(const void *pa, const void *pb)
{
    const struct port_summary *a = pa, *b = pb;
    bool same_a = a->public_port == a->private_port || a->public_port == 0;
    bool same_b = b->public_port == b->private_port || b->public_port == 0;
    if (same_a != same_b) /* mapped to another number: last */
        return same_a ? -1 : 1;
    int by_type = strcmp(a->type, b->type), by_ip = strcmp(a->ip ? a->ip : "", b->ip ? b->ip : "");
    if (by_type != 0)
        return by_type;
    if (by_ip != 0)
        return by_ip;
    if (a->private_port != b->private_port)
        return a->private_port < b->private_port ? -1 : 1;
    return a->public_port < b->public_port ? -1 : a->public_port > b->public_port;
}

static void add_port(struct buf *b, const struct port_summary *first,
                     const struct port_summary *last)
{
    const char *ip = first->ip != NULL ? first->ip : "";
    bool v6 = strchr(ip, ':') != NULL, range = last != first;
    if (b->n > 0)
        buf_adds(b, ", ");
    if (first->public_port != 0) {
        buf_printf(b, v6 ? "[%s]:" : "%s:", ip);
        buf_printf(b, "%llu", (unsigned long long)first->public_port);
        if (range)
            buf_printf(b, "-%llu", (unsigned long long)last->public_port);
        buf_adds(b, "->");
    }
    buf_printf(b, "%llu", (unsigned long long)first->private_port);
    if (range)
        buf_printf(b, "-%llu", (unsigned long long)last->private_port);
    buf_printf(b, "/%s", first->type);
}

/* True when b continues the run that a ends: next number, same place, public as private (or none).
 */
static bool continues(const struct port_summary *a, const struct port_summary *b)
{
    return b->private_port == a->private_port + 1 && strcmp(a->type, b->type) == 0 &&
           strcmp(a->ip ? a->ip : "", b->ip ? b->ip : "") == 0 &&
           ((a->public_port == 0 && b->public_port == 0) ||
            (a->public_port == a->private_port && b->public_port == b->private_port));
}

static const char *ports_text(struct arena *a, struct container_summary *s)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    if (s->ports.n > 1)
        qsort(s->ports.v, s->ports.n, sizeof(s->ports.v[0]), port_order);
    for (size_t i = 0; i < s->ports.n;) {
        size_t j = i;
        while (j + 1 < s->ports.n && continues(&s->ports.v[j], &s->ports.v[j + 1]))
            j++;
        add_port(&b, &s->ports.v[i], &s->ports.v[j]);
        i = j + 1;
    }
    return arena_strdup(a, buf_cstr(&b));
}

static const char *names_text(struct arena *a, const struct container_summary *s, bool no_trunc)
{
    auto_buf struct buf b = BUF_MAX(1 << 16);
    for (size_t i = 0; i < s->names.n; i++) {
        const char *name = s->names.v[i] + (s->names.v[i][0] == '/');
        if (!no_trunc && strchr(name, '/') != NULL)
            continue; /* the alias of an old link */
        buf_printf(&b, "%s%s", b.n > 0 ? "," : "", name);
        if (!no_trunc)
            break;
    }
    return arena_strdup(a, buf_cstr(&b));
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct strmap_ent *)a)->key, ((const struct strmap_ent *)b)->key);
}

static const char *labels_text(struct arena *a, struct strmap *labels)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    if (labels->n > 1)
        qsort(labels->v, labels->n, sizeof(labels->v[0]), by_key);
    vec_each(l, labels)
        buf_printf(&b, "%s%s=%s", b.n > 0 ? "," : "", l->key, l->val);
    return arena_strdup(a, buf_cstr(&b));
}

static const char *mounts_text(struct arena *a, const struct container_summary *s, bool no_trunc,
                               int *out_local)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    *out_local = 0;
    vec_each(m, &s->mounts) {
        const char *name = m->name != NULL && *m->name != '\0' ? m->name : m->source;
        *out_local += m->driver != NULL && strcmp(m->driver, "local") == 0;
        buf_printf(&b, "%s%s", b.n > 0 ? "," : "", no_trunc ? name : ellipsis(a, name, 15));
    }
    return arena_strdup(a, buf_cstr(&b));
}

static const char *networks_text(struct arena *a, const struct container_summary *s)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    if (s->network != NULL)
        vec_each(n, &s->network->networks)
            buf_printf(&b, "%s%s", b.n > 0 ? "," : "", n->key);
    return arena_strdup(a, buf_cstr(&b));
}

static const char *image_text(struct arena *a, const struct container_summary *s, bool no_trunc)
{
    if (*s->image == '\0')
        return "<no image>";
    if (no_trunc)
        return s->image;
    if (strcmp(s->image, s->image_id) == 0)
        return short_id(a, s->image, false);
    const char *at = strchr(s->image, '@');
    return familiar_name(a, at != NULL && at != s->image
                                ? arena_strndup(a, s->image, (size_t)(at - s->image))
                                : s->image);
}

static const char *size_text(struct arena *a, const struct container_summary *s)
{
    const char *rw = human_size(a, (double)s->size_rw, 3);
    return s->size_root_fs > 0
               ? arena_printf(a, "%s (virtual %s)", rw, human_size(a, (double)s->size_root_fs, 3))
               : rw;
}

void container_row(struct table *t, struct container_summary *s, bool no_trunc)
{
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    int local;
    const char *mounts = mounts_text(a, s, no_trunc, &local);
    const char *command = no_trunc ? s->command : ellipsis(a, s->command, 20);
    row_set(row, "ID", short_id(a, s->id, no_trunc));
    row_set(row, "Names", names_text(a, s, no_trunc));
    row_set(row, "Image", image_text(a, s, no_trunc));
    row_set(row, "Command", go_quote(a, command));
    row_set(row, "CreatedAt", local_time(a, s->created_s * NS_PER_S));
    row_set(row, "RunningFor",
            arena_printf(a, "%s ago", human_duration(a, time_now_ns() - s->created_s * NS_PER_S)));
    row_set(row, "Ports", ports_text(a, s));
    row_set(row, "State", s->state);
    row_set(row, "Status", s->status);
    row_set(row, "Size", size_text(a, s));
    row_set(row, "Labels", labels_text(a, &s->labels));
    row_set(row, "Mounts", mounts);
    row_set(row, "LocalVolumes", arena_printf(a, "%d", local));
    row_set(row, "Networks", networks_text(a, s));
    json_object_object_add(row, "Platform", NULL);
}

static int ps_run(struct call *c, struct err *e)
{
    struct ps_opts *o = c->opts;
    struct cli *cli = c->cli;
    auto_table struct table t = {.cols = cols,
                                 .n_cols = ARRAY_LEN(cols),
                                 .view = o->size
                                             ? "table "
                                               "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}"
                                               "\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
                                             : "table "
                                               "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}"
                                               "\t{{.Status}}\t{{.Ports}}\t{{.Names}}"};
    if (o->quiet && o->format != NULL) {
        warn_line("Ignoring custom format, because both --format and --quiet are set.");
        o->format = NULL;
    }
    TRY(table_init(&t, cli, o->format, "psFormat", o->quiet, e));
    const char *filters, *path = "/containers/json";
    TRY(cli_filters(cli, &o->filter, &filters, e));
    int64_t last = o->latest ? 1 : o->last != NULL ? *o->last : -1;
    path = cli_query(cli, path, "all", o->all || last > 0 ? "1" : NULL);
    path = cli_query(cli, path, "limit",
                     last > 0 ? arena_printf(cli->arena, "%lld", (long long)last) : NULL);
    path = cli_query(cli, path, "size",
                     o->size || (!o->quiet && table_shows(&t, "Size")) ? "1" : NULL);
    path = cli_query(cli, path, "filters", filters);
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    void *list;
    size_t n;
    TRY(cli_raw(cli, path, &body, e));
    TRY(json_parse_list(&container_summary_json, &list, &n, buf_cstr(&body), body.n, cli->arena,
                        e));
    for (size_t i = 0; i < n; i++)
        container_row(&t, (struct container_summary *)list + i, o->no_trunc);
    return table_print(&t, e);
}

#define OPT(name, letter, kind, member, help)                                   \
    {                                                                           \
        name, letter, FLAG_##kind, offsetof(struct ps_opts, member), NULL, help \
    }
static const struct flag table_flags[] = {
    OPT("all", 'a', BOOL, all, "Show all containers (default shows just running)"),
    OPT("filter", 'f', LIST, filter, "Filter output based on conditions provided"),
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("last", 'n', OPT_INT, last, "Show n last created containers (includes all states)"),
    OPT("latest", 'l', BOOL, latest, "Show the latest created container (includes all states)"),
    OPT("no-trunc", 0, BOOL, no_trunc, "Don't truncate output"),
    OPT("quiet", 'q', BOOL, quiet, "Only display container IDs"),
    OPT("size", 's', BOOL, size, "Display total file sizes"),
};
static const struct flag_set flags = FLAGS(table_flags);

const struct command cmd_ps = {
    .name = "ps",
    .aliases = "container ls|container ps|container list",
    .usage = "[OPTIONS]",
    .help = "List containers",
    .opts_size = sizeof(struct ps_opts),
    .flags = &flags,
    .run = ps_run,
};
