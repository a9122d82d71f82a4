/* hull images, rmi, tag, history. */
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/container_opts.h"
#include "cli/human.h"
#include "cli/rows.h"

struct images_opts {
    bool all, digests, no_trunc, quiet, force, no_prune, human;
    const char *format, *platform;
    struct strv filter, platforms; /* platforms: of rmi */
};

static const struct table_col image_cols[] = {
    {"ID", "IMAGE ID"},
    {"Repository", "REPOSITORY"},
    {"Tag", "TAG"},
    {"Digest", "DIGEST"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"Size", "SIZE"},
    {"Containers", "CONTAINERS"},
    {"VirtualSize", "SIZE"},
    {"SharedSize", "SHARED SIZE"},
    {"UniqueSize", "UNIQUE SIZE"},
};

static void add_image(struct table *t, const struct image_summary *s, const char *repo,
                      const char *tag, const char *digest, bool no_trunc)
{
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    int64_t created_ns = s->created_s * NS_PER_S;
    row_set(row, "ID", short_id(a, s->id, no_trunc));
    row_set(row, "Repository", repo);
    row_set(row, "Tag", tag);
    row_set(row, "Digest", digest);
    row_set(row, "CreatedSince",
            s->created_s <= 0
                ? "N/A"
                : arena_printf(a, "%s ago", human_duration(a, time_now_ns() - created_ns)));
    row_set(row, "CreatedAt", local_time(a, created_ns));
    row_set(row, "Size", human_size(a, (double)s->size, 3));
    row_set(row, "VirtualSize", human_size(a, (double)s->size, 3));
    row_set(row, "Containers",
            s->containers < 0 ? "N/A" : arena_printf(a, "%lld", (long long)s->containers));
    row_set(row, "SharedSize",
            s->shared_size < 0 ? "N/A" : human_size(a, (double)s->shared_size, 3));
    row_set(row, "UniqueSize",
            s->shared_size < 0 ? "N/A" : human_size(a, (double)(s->size - s->shared_size), 3));
}

/* The digest of the repository among the image's, or <none>. */
static const char *digest_for(struct arena *a, const struct image_summary *s, const char *repo)
{
    for (size_t i = 0; i < s->repo_digests.n; i++) {
        struct str name = str_of(s->repo_digests.v[i]), digest = str_cut_last(&name, '@');
        if (str_eq(name, repo))
            return arena_strndup(a, digest.p, digest.n);
    }
    return "<none>";
}

void image_rows(struct table *t, const struct image_summary *s, bool no_trunc)
{
    struct arena *a = t->cli->arena;
    size_t rows = 0;
    for (size_t i = 0; i < s->repo_tags.n; i++) {
        struct str name = str_of(s->repo_tags.v[i]), tag = str_cut_last(&name, ':');
        if (str_eq(name, "<none>"))
            continue;
        const char *repo = arena_strndup(a, name.p, name.n);
        add_image(t, s, familiar_name(a, repo), arena_strndup(a, tag.p, tag.n),
                  digest_for(a, s, repo), no_trunc);
        rows++;
    }
    for (size_t i = 0; rows == 0 && i < s->repo_digests.n; i++) {
        struct str name = str_of(s->repo_digests.v[i]), digest = str_cut_last(&name, '@');
        if (str_eq(name, "<none>"))
            continue;
        add_image(t, s, familiar_name(a, arena_strndup(a, name.p, name.n)), "<none>",
                  arena_strndup(a, digest.p, digest.n), no_trunc);
        rows++;
    }
    if (rows == 0)
        add_image(t, s, "<none>", "<none>", "<none>", no_trunc);
}

static int images_run(struct call *c, struct err *e)
{
    struct images_opts *o = c->opts;
    struct cli *cli = c->cli;
    auto_table struct table t = {
        .cols = image_cols,
        .n_cols = ARRAY_LEN(image_cols),
        .view =
            o->digests
                ? "table "
                  "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
                : "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"};
    TRY(table_init(&t, cli, o->format, "imagesFormat", o->quiet, e));
    if (c->args.n > 0)
        vec_push_in(cli->arena, &o->filter, arena_printf(cli->arena, "reference=%s", c->args.v[0]));
    const char *filters, *path = cli_query(cli, "/images/json", "all", o->all ? "1" : NULL);
    TRY(cli_filters(cli, &o->filter, &filters, e));
    path = cli_query(cli, path, "filters", filters);
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    void *list;
    size_t n;
    TRY(cli_raw(cli, path, &body, e));
    TRY(json_parse_list(&image_summary_json, &list, &n, buf_cstr(&body), body.n, cli->arena, e));
    for (size_t i = 0; i < n; i++)
        image_rows(&t, (struct image_summary *)list + i, o->no_trunc);
    return table_print(&t, e);
}

static int remove_one(struct call *c, const char *name, struct err *e)
{
    const struct images_opts *o = c->opts;
    struct cli *cli = c->cli;
    const char *path = cli_path(cli, "/images/%s", name);
    path = cli_query(cli, path, "force", o->force ? "1" : NULL);
    path = cli_query(cli, path, "noprune", o->no_prune ? "1" : NULL);
    vec_each(list_text, &o->platforms) {
        struct str rest = str_of(*list_text);
        while (rest.n > 0) {
            struct str one = str_cut(&rest, ',');
            const char *platform;
            TRY(cli_platform(cli, arena_strndup(cli->arena, one.p, one.n), &platform, e));
            path = cli_query(cli, path, "platforms", platform);
        }
    }
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "DELETE", .path = path};
    void *list;
    size_t n;
    TRY(cli_call(cli, &rq, &r, e));
    TRY(http_resp_json_list(r, &image_deleted_json, &list, &n, cli->arena, e));
    for (size_t i = 0; i < n; i++) {
        const struct image_deleted *d = (struct image_deleted *)list + i;
        if (d->deleted != NULL && *d->deleted != '\0')
            put_line("Deleted: %s", d->deleted);
        else
            put_line("Untagged: %s", d->untagged != NULL ? d->untagged : "");
    }
    return 0;
}

static int rmi_run(struct call *c, struct err *e)
{
    const struct images_opts *o = c->opts;
    bool failed = false;
    for (size_t i = 0; i < c->args.n; i++) {
        if (remove_one(c, c->args.v[i], e) == 0)
            continue;
        warn_line("%s", e->msg);
        failed = failed || !o->force || e->kind != ERR_NOT_FOUND;
    }
    c->silent = failed;
    return failed ? -1 : 0;
}

static int tag_run(struct call *c, struct err *e)
{
    struct cli *cli = c->cli;
    bool added;
    struct str name = str_of(reference_with_tag(cli, c->args.v[1], &added));
    if (str_index(name, '@') >= 0)
        return err_set(e, ERR_INVALID, "refusing to create a tag with a digest reference");
    struct str tag = str_cut_last(&name, ':');
    const char *path = cli_path(cli, "/images/%s/tag", c->args.v[0]);
    path = cli_query(cli, path, "repo", arena_strndup(cli->arena, name.p, name.n));
    path = cli_query(cli, path, "tag", arena_strndup(cli->arena, tag.p, tag.n));
    return cli_json(cli, "POST", path, NULL, NULL, e);
}

static const struct table_col history_cols[] = {
    {"ID", "IMAGE"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedBy", "CREATED BY"},
    {"Size", "SIZE"},
    {"Comment", "COMMENT"},
};

static void add_history(struct table *t, const struct image_history *h, const struct images_opts *o,
                        bool human)
{
    static const int64_t year_2000_s = 946684800;
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    char when[TIME_TEXT_MAX];
    char *by = arena_strdup(a, h->created_by);
    for (char *p = by; *p != '\0'; p++)
        if (*p == '\t')
            *p = ' ';
    time_format(h->created_s * NS_PER_S, when);
    row_set(row, "ID", strcmp(h->id, "<missing>") == 0 ? h->id : short_id(a, h->id, o->no_trunc));
    row_set(row, "CreatedSince",
            h->created_s <= year_2000_s
                ? "N/A"
                : arena_printf(a, "%s ago",
                               human_duration(a, time_now_ns() - h->created_s * NS_PER_S)));
    row_set(row, "CreatedAt", when);
    row_set(row, "CreatedBy", o->no_trunc ? by : ellipsis(a, by, 45));
    row_set(row, "Size",
            human ? human_size(a, (double)h->size, 3)
                  : arena_printf(a, "%lld", (long long)h->size));
    row_set(row, "Comment", h->comment);
}

static int history_run(struct call *c, struct err *e)
{
    struct images_opts *o = c->opts;
    struct cli *cli = c->cli;
    bool human = o->human || !call_given(c, "human");
    auto_table struct table t = {
        .cols = history_cols,
        .n_cols = ARRAY_LEN(history_cols),
        .view = human ? "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
                      : "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"};
    TRY(table_init(&t, cli, o->format, NULL, o->quiet, e));
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    void *list;
    size_t n;
    const char *platform;
    TRY(cli_platform(cli, o->platform, &platform, e));
    TRY(cli_raw(
        cli,
        cli_query(cli, cli_path(cli, "/images/%s/history", c->args.v[0]), "platform", platform),
        &body, e));
    TRY(json_parse_list(&image_history_json, &list, &n, buf_cstr(&body), body.n, cli->arena, e));
    for (size_t i = 0; i < n; i++)
        add_history(&t, (struct image_history *)list + i, o, human);
    return table_print(&t, e);
}

#define OPT(name, letter, kind, member, help)                                       \
    {                                                                               \
        name, letter, FLAG_##kind, offsetof(struct images_opts, member), NULL, help \
    }
#define MISSING(name)                        \
    {                                        \
        name, 0, FLAG_MISSING, 0, NULL, NULL \
    }
static const struct flag images_table[] = {
    OPT("all", 'a', BOOL, all, "Show all images (default hides intermediate images)"),
    OPT("digests", 0, BOOL, digests, "Show digests"),
    OPT("filter", 'f', LIST, filter, "Filter output based on conditions provided"),
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("no-trunc", 0, BOOL, no_trunc, "Don't truncate output"),
    OPT("quiet", 'q', BOOL, quiet, "Only show image IDs"),
    MISSING("tree"),
};
static const struct flag rmi_table[] = {
    OPT("force", 'f', BOOL, force, "Force removal of the image"),
    OPT("no-prune", 0, BOOL, no_prune, "Do not delete untagged parents"),
    OPT("platform", 0, LIST, platforms,
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., "
        "\"linux/amd64\")"),
};
static const struct flag history_table[] = {
    OPT("format", 0, STR, format,
        "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'"),
    OPT("human", 'H', BOOL, human, "Print sizes and dates in human readable format (default true)"),
    OPT("no-trunc", 0, BOOL, no_trunc, "Don't truncate output"),
    OPT("quiet", 'q', BOOL, quiet, "Only show image IDs"),
    OPT("platform", 0, STR, platform,
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., "
        "\"linux/amd64\")"),
};
static const struct flag_set images_set = FLAGS(images_table), rmi_set = FLAGS(rmi_table),
                             history_set = FLAGS(history_table);

const struct command cmd_images = {
    .name = "images",
    .aliases = "image ls|image list",
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .help = "List images",
    .max_args = 1,
    .opts_size = sizeof(struct images_opts),
    .flags = &images_set,
    .run = images_run,
};
const struct command cmd_rmi = {
    .name = "rmi",
    .aliases = "image rm|image remove",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .help = "Remove one or more images",
    .min_args = 1,
    .max_args = -1,
    .opts_size = sizeof(struct images_opts),
    .flags = &rmi_set,
    .run = rmi_run,
};
const struct command cmd_tag = {
    .name = "tag",
    .aliases = "image tag",
    .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .help = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    .min_args = 2,
    .max_args = 2,
    .stop_at_arg = true,
    .run = tag_run,
};
const struct command cmd_history = {
    .name = "history",
    .aliases = "image history",
    .usage = "[OPTIONS] IMAGE",
    .help = "Show the history of an image",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct images_opts),
    .flags = &history_set,
    .run = history_run,
};
