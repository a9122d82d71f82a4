/* hull stats: live resource usage, a row a container. */
#include <json-c/json.h>
#include <poll.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/container.h"
#include "types/stats.h"

#define REFRESH_MS 1000

struct stats_opts {
    bool all, no_stream, no_trunc;
    const char *format;
};

static const struct table_col cols[] = {
    {"Container", "CONTAINER"},
    {"Name", "NAME"},
    {"ID", "CONTAINER ID"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
};

struct sample {
    const char *asked, *name, *id;
    bool known;
    double cpu, mem, limit, rx, tx, read, write;
    unsigned long long pids;
};

static uint64_t inactive_file(const struct stats_memory *m)
{
    static const char *const keys[] = {"total_inactive_file", "inactive_file"}; /* v1, v2 */
    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
        vec_each(s, &m->stats)
            if (strcmp(s->key, keys[k]) == 0 && s->val < m->usage)
                return s->val;
    return 0;
}

static void measure(struct sample *s, const struct container_stats *st)
{
    double cpu = (double)st->cpu.usage.total_ns - (double)st->precpu.usage.total_ns;
    double sys = (double)st->cpu.system_ns - (double)st->precpu.system_ns;
    double cpus = st->cpu.online_cpus > 0 ? (double)st->cpu.online_cpus
                                          : (double)MAX(st->cpu.usage.percpu_ns.n, (size_t)1);
    s->known = st->memory.usage > 0 || st->cpu.usage.total_ns > 0;
    s->cpu = cpu > 0 && sys > 0 ? cpu / sys * cpus * 100 : 0;
    s->mem = (double)(st->memory.usage - inactive_file(&st->memory));
    s->limit = (double)st->memory.limit;
    vec_each(n, &st->networks) {
        s->rx += (double)n->val->rx_bytes;
        s->tx += (double)n->val->tx_bytes;
    }
    vec_each(b, &st->blkio.service_bytes) {
        if ((b->op[0] | 32) == 'r')
            s->read += (double)b->value;
        else if ((b->op[0] | 32) == 'w')
            s->write += (double)b->value;
    }
    s->pids = st->pids.current;
}

static int take_sample(struct cli *cli, const char *name, struct sample *out, struct err *e)
{
    struct container_stats st;
    *out = (struct sample){.asked = name, .name = "--", .id = name};
    TRY(cli_json(cli, "GET", cli_path(cli, "/containers/%s/stats?stream=0", name),
                 &container_stats_json, &st, e));
    out->id = st.id != NULL ? st.id : name;
    out->name = st.name != NULL ? st.name + (*st.name == '/') : "--";
    measure(out, &st);
    return 0;
}

static void add_row(struct table *t, const struct sample *s, bool no_trunc)
{
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    row_set(row, "Container", s->asked);
    row_set(row, "Name", s->name);
    row_set(row, "ID", short_id(a, s->id, no_trunc));
    row_set(row, "CPUPerc", s->known ? arena_printf(a, "%.2f%%", s->cpu) : "--");
    row_set(row, "MemUsage",
            s->known ? arena_printf(a, "%s / %s", human_bytes(a, s->mem), human_bytes(a, s->limit))
                     : "-- / --");
    row_set(row, "MemPerc",
            s->known ? arena_printf(a, "%.2f%%", s->limit > 0 ? s->mem / s->limit * 100 : 0)
                     : "--");
    row_set(row, "NetIO",
            s->known ? arena_printf(a, "%s / %s", human_size(a, s->rx, 3), human_size(a, s->tx, 3))
                     : "-- / --");
    row_set(row, "BlockIO",
            s->known
                ? arena_printf(a, "%s / %s", human_size(a, s->read, 3), human_size(a, s->write, 3))
                : "-- / --");
    row_set(row, "PIDs", s->known ? arena_printf(a, "%llu", s->pids) : "--");
}

static int list_names(struct call *c, struct strv *out, struct err *e)
{
    const struct stats_opts *o = c->opts;
    struct cli *cli = c->cli;
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    void *list;
    size_t n;
    if (c->args.n > 0) {
        *out = c->args;
        return 0;
    }
    *out = (struct strv){0};
    TRY(cli_raw(cli, cli_query(cli, "/containers/json", "all", o->all ? "1" : NULL), &body, e));
    TRY(json_parse_list(&container_summary_json, &list, &n, buf_cstr(&body), body.n, cli->arena,
                        e));
    for (size_t i = 0; i < n; i++)
        vec_push_in(cli->arena, out, (char *)(uintptr_t)((struct container_summary *)list + i)->id);
    return 0;
}

static int frame(struct call *c, bool live, struct err *e)
{
    const struct stats_opts *o = c->opts;
    auto_table struct table t = {.cols = cols,
                                 .n_cols = ARRAY_LEN(cols),
                                 .view = "table "
                                         "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{."
                                         "MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"};
    struct strv names;
    TRY(table_init(&t, c->cli, o->format, "statsFormat", false, e));
    TRY(list_names(c, &names, e));
    for (size_t i = 0; i < names.n; i++) {
        struct sample s;
        if (take_sample(c->cli, names.v[i], &s, e) < 0) {
            if (c->args.n > 0 || e->kind != ERR_NOT_FOUND)
                return -1;
            continue; /* gone since it was listed */
        }
        add_row(&t, &s, o->no_trunc);
    }
    if (live)
        put("\x1b[H\x1b[J");
    TRY(table_print(&t, e));
    (void)fflush(stdout);
    return 0;
}

static int stats_run(struct call *c, struct err *e)
{
    const struct stats_opts *o = c->opts;
    if (o->no_stream)
        return frame(c, false, e);
    struct arena *whole = c->cli->arena;
    for (;;) {
        auto_arena struct arena *a = arena_new(); /* each frame's memory goes with it */
        c->cli->arena = a;
        int rc = frame(c, true, e);
        c->cli->arena = whole;
        if (rc < 0)
            return -1;
        (void)poll(NULL, 0, REFRESH_MS);
    }
}

#define OPT(name, letter, kind, member, help)                                      \
    {                                                                              \
        name, letter, FLAG_##kind, offsetof(struct stats_opts, member), NULL, help \
    }
static const struct flag table_flags[] = {
    OPT("all", 'a', BOOL, all, "Show all containers (default shows just running)"),
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("no-stream", 0, BOOL, no_stream, "Disable streaming stats and only pull the first result"),
    OPT("no-trunc", 0, BOOL, no_trunc, "Do not truncate output"),
};
static const struct flag_set flags = FLAGS(table_flags);

const struct command cmd_stats = {
    .name = "stats",
    .aliases = "container stats",
    .usage = "[OPTIONS] [CONTAINER...]",
    .help = "Display a live stream of container(s) resource usage statistics",
    .max_args = -1,
    .opts_size = sizeof(struct stats_opts),
    .flags = &flags,
    .run = stats_run,
};
