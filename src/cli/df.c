/* hull system df: what takes space, as a summary or object by object. */
#include "base/str.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/rows.h"
#include "types/system.h"

struct df_opts {
    bool verbose;
    const char *format;
};

#define CACHE_RECORD(T, F)                    \
    F(T, str, id, "ID", 0)                    \
    F(T, str, type, "Type", 0)                \
    F(T, bool, in_use, "InUse", 0)            \
    F(T, bool, shared, "Shared", 0)           \
    F(T, i64, size, "Size", 0)                \
    F(T, time, created_ns, "CreatedAt", 0)    \
    F(T, time, last_used_ns, "LastUsedAt", 0) \
    F(T, i64, usage_count, "UsageCount", 0)
JSON_TYPE(cache_record, CACHE_RECORD)
JSON_DESC(cache_record, CACHE_RECORD)

struct usage {
    struct disk_usage d;
    struct cache_record *cache;
    size_t n_cache;
};

/* One line of the summary. */
struct sum {
    const char *type;
    size_t total, active;
    int64_t size, reclaimable;
};

static const struct table_col summary_cols[] = {
    {"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
    {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"},
};

static struct sum sum_images(const struct disk_usage *d)
{
    struct sum s = {.type = "Images", .total = d->images.n, .size = d->layers_size};
    int64_t used = 0;
    vec_each(i, &d->images) {
        if (i->containers <= 0)
            continue;
        s.active++;
        if (i->size >= 0 && i->shared_size >= 0)
            used += i->size - i->shared_size;
    }
    s.reclaimable = s.size - used;
    return s;
}

static bool is_active(const struct container_summary *c)
{
    return strcmp(c->state, "running") == 0 || strcmp(c->state, "paused") == 0 ||
           strcmp(c->state, "restarting") == 0;
}

static struct sum sum_containers(const struct disk_usage *d)
{
    struct sum s = {.type = "Containers", .total = d->containers.n};
    vec_each(c, &d->containers) {
        s.size += c->size_rw;
        s.active += is_active(c);
        s.reclaimable += is_active(c) ? 0 : c->size_rw;
    }
    return s;
}

static struct sum sum_volumes(const struct disk_usage *d)
{
    struct sum s = {.type = "Local Volumes", .total = d->volumes.n};
    vec_each(v, &d->volumes) {
        if (v->usage == NULL)
            continue;
        bool used = v->usage->ref_count > 0;
        int64_t size = MAX(v->usage->size, (int64_t)0);
        s.active += used;
        s.size += size;
        s.reclaimable += used ? 0 : size;
    }
    return s;
}

static struct sum sum_cache(const struct usage *u)
{
    struct sum s = {.type = "Build Cache", .total = u->n_cache};
    for (size_t i = 0; i < u->n_cache; i++) {
        const struct cache_record *r = &u->cache[i];
        s.active += r->in_use;
        s.size += r->shared ? 0 : r->size;
        s.reclaimable += r->in_use || r->shared ? 0 : r->size;
    }
    return s;
}

static void add_sum(struct table *t, const struct sum *s, bool percent)
{
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    const char *free_text = human_size(a, (double)s->reclaimable, 4);
    if (percent && s->size > 0)
        free_text =
            arena_printf(a, "%s (%lld%%)", free_text, (long long)(s->reclaimable * 100 / s->size));
    row_set(row, "Type", s->type);
    row_set(row, "TotalCount", arena_printf(a, "%zu", s->total));
    row_set(row, "Active", arena_printf(a, "%zu", s->active));
    row_set(row, "Size", human_size(a, (double)s->size, 4));
    row_set(row, "Reclaimable", free_text);
}

static int show_summary(struct cli *cli, const struct usage *u, const char *format, struct err *e)
{
    auto_table struct table t = {
        .cols = summary_cols,
        .n_cols = ARRAY_LEN(summary_cols),
        .view = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"};
    const struct sum sums[] = {sum_images(&u->d), sum_containers(&u->d), sum_volumes(&u->d)};
    const struct sum cache = sum_cache(u);
    TRY(table_init(&t, cli, format, NULL, false, e));
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        add_sum(&t, &sums[i], true);
    add_sum(&t, &cache, false);
    if (u->d.metadata_size > 0) { /* databases, logs, folders: what du sees besides */
        const struct sum rest = {.type = "Metadata", .size = u->d.metadata_size};
        add_sum(&t, &rest, false);
    }
    return table_print(&t, e);
}

/* ---- object by object ---- */

static const struct table_col image_cols[] = {
    {"Repository", "REPOSITORY"},
    {"Tag", "TAG"},
    {"ID", "IMAGE ID"},
    {"CreatedSince", "CREATED"},
    {"Size", "SIZE"},
    {"SharedSize", "SHARED SIZE"},
    {"UniqueSize", "UNIQUE SIZE"},
    {"Containers", "CONTAINERS"},
};
static const struct table_col container_cols[] = {
    {"ID", "CONTAINER ID"}, {"Image", "IMAGE"},
    {"Command", "COMMAND"}, {"LocalVolumes", "LOCAL VOLUMES"},
    {"Size", "SIZE"},       {"RunningFor", "CREATED"},
    {"Status", "STATUS"},   {"Names", "NAMES"},
};
static const struct table_col volume_cols[] = {
    {"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}};
static const struct table_col cache_cols[] = {
    {"ID", "CACHE ID"},          {"CacheType", "CACHE TYPE"},    {"Size", "SIZE"},
    {"CreatedSince", "CREATED"}, {"LastUsedSince", "LAST USED"}, {"UsageCount", "USAGE"},
    {"Shared", "SHARED"},
};

#define TABLE_OF(columns, fields)                                                \
    {                                                                            \
        .cols = (columns), .n_cols = ARRAY_LEN(columns), .view = "table " fields \
    }

static int show_images(struct cli *cli, const struct usage *u, struct err *e)
{
    auto_table struct table t =
        TABLE_OF(image_cols, "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
                             "\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}");
    TRY(table_init(&t, cli, NULL, NULL, false, e));
    vec_each(i, &u->d.images)
        image_rows(&t, i, false);
    put("Images space usage:\n\n");
    return table_print(&t, e);
}

static int show_containers(struct cli *cli, const struct usage *u, struct err *e)
{
    auto_table struct table t =
        TABLE_OF(container_cols, "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}"
                                 "\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}");
    TRY(table_init(&t, cli, NULL, NULL, false, e));
    vec_each(c, &u->d.containers) {
        c->size_root_fs = 0; /* shown without the image's part */
        container_row(&t, c, false);
    }
    put("\nContainers space usage:\n\n");
    return table_print(&t, e);
}

static int show_volumes(struct cli *cli, const struct usage *u, struct err *e)
{
    auto_table struct table t = TABLE_OF(volume_cols, "{{.Name}}\t{{.Links}}\t{{.Size}}");
    TRY(table_init(&t, cli, NULL, NULL, false, e));
    vec_each(v, &u->d.volumes) {
        struct json_object *row = table_row(&t);
        bool known = v->usage != NULL && v->usage->size >= 0;
        row_set(row, "Name", v->name);
        row_set(row, "Links",
                v->usage != NULL ? arena_printf(cli->arena, "%lld", (long long)v->usage->ref_count)
                                 : "N/A");
        row_set(row, "Size", known ? human_size(cli->arena, (double)v->usage->size, 4) : "N/A");
    }
    put("\nLocal Volumes space usage:\n\n");
    return table_print(&t, e);
}

static const char *since(struct arena *a, int64_t ns)
{
    return ns <= 0 ? "" : arena_printf(a, "%s ago", human_duration(a, time_now_ns() - ns));
}

static int show_cache(struct cli *cli, const struct usage *u, struct err *e)
{
    struct arena *a = cli->arena;
    const struct sum all = sum_cache(u);
    auto_table struct table t =
        TABLE_OF(cache_cols, "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}"
                             "\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}");
    TRY(table_init(&t, cli, NULL, NULL, false, e));
    for (size_t i = 0; i < u->n_cache; i++) {
        const struct cache_record *r = &u->cache[i];
        struct json_object *row = table_row(&t);
        row_set(row, "ID",
                arena_printf(a, "%s%s", short_id(a, r->id, false), r->in_use ? "*" : ""));
        row_set(row, "CacheType", r->type);
        row_set(row, "Size", human_size(a, (double)r->size, 3));
        row_set(row, "CreatedSince", since(a, r->created_ns));
        row_set(row, "LastUsedSince", since(a, r->last_used_ns));
        row_set(row, "UsageCount", arena_printf(a, "%lld", (long long)r->usage_count));
        row_set(row, "Shared", r->shared ? "true" : "false");
    }
    put_line("\nBuild cache usage: %s\n", human_size(a, (double)all.size, 4));
    return table_print(&t, e);
}

static int df_run(struct call *c, struct err *e)
{
    const struct df_opts *o = c->opts;
    struct cli *cli = c->cli;
    struct usage u = {0};
    if (o->verbose && o->format != NULL)
        return err_set(e, ERR_INVALID, "the verbose and the format options conflict");
    TRY(cli_json(cli, "GET", "/system/df", &disk_usage_json, &u.d, e));
    if (u.d.build_cache != NULL && u.d.build_cache[0] == '[')
        TRY(json_parse_list(&cache_record_json, (void **)&u.cache, &u.n_cache, u.d.build_cache,
                            strlen(u.d.build_cache), cli->arena, e));
    if (!o->verbose)
        return show_summary(cli, &u, o->format, e);
    TRY(show_images(cli, &u, e));
    TRY(show_containers(cli, &u, e));
    TRY(show_volumes(cli, &u, e));
    return show_cache(cli, &u, e);
}

#define OPT(name, letter, kind, member, help)                                   \
    {                                                                           \
        name, letter, FLAG_##kind, offsetof(struct df_opts, member), NULL, help \
    }
static const struct flag df_table[] = {
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("verbose", 'v', BOOL, verbose, "Show detailed information on space usage"),
};
static const struct flag_set flags = FLAGS(df_table);

const struct command cmd_system_df = {
    .name = "system df",
    .usage = "[OPTIONS]",
    .help = "Show disk usage",
    .opts_size = sizeof(struct df_opts),
    .flags = &flags,
    .run = df_run,
};
