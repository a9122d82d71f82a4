/* hull search: what an index knows, most stars first. */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/human.h"
#include "cli/table.h"
#include "types/registry_job.h"

enum { DESCRIPTION_WIDTH = 45 };

struct search_opts {
    struct strv filter;
    const char *format;
    int64_t limit;
    bool no_trunc;
};

static const struct table_col search_cols[] = {{"Name", "NAME"},
                                               {"Description", "DESCRIPTION"},
                                               {"StarCount", "STARS"},
                                               {"IsOfficial", "OFFICIAL"}};

static int most_stars_first(const void *a, const void *b)
{
    const struct search_result *x = a, *y = b;
    return x->star_count < y->star_count ? 1 : x->star_count > y->star_count ? -1 : 0;
}

static void add_row(struct table *t, const struct search_result *r, bool no_trunc)
{
    struct arena *a = t->cli->arena;
    struct json_object *row = table_row(t);
    char *text = arena_strdup(a, r->description != NULL ? r->description : "");
    for (char *p = text; *p != '\0'; p++)
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    row_set(row, "Name", r->name);
    row_set(row, "Description", no_trunc ? text : ellipsis(a, text, DESCRIPTION_WIDTH));
    row_set(row, "StarCount", arena_printf(a, "%lld", (long long)r->star_count));
    row_set(row, "IsOfficial", r->is_official ? "[OK]" : "");
}

static int search_run(struct call *c, struct err *e)
{
    const struct search_opts *o = c->opts;
    struct cli *cli = c->cli;
    const char *term = c->args.v[0], *filters, *auth;
    auto_buf struct buf body = BUF_MAX(CLI_BODY_MAX);
    auto_http_resp struct http_resp *r = NULL;
    struct search_result *list;
    size_t n;
    auto_table struct table t = {
        .cols = search_cols,
        .n_cols = ARRAY_LEN(search_cols),
        .view = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"};
    TRY(table_init(&t, cli, o->format, NULL, false, e));
    TRY(cli_filters(cli, &o->filter, &filters, e));
    TRY(cli_registry_auth(cli, term, &auth, e));
    const char *path = cli_query(cli, "/images/search", "term", term);
    path = cli_query(cli, path, "limit",
                     call_given(c, "limit") ? arena_printf(cli->arena, "%lld", (long long)o->limit)
                                            : NULL);
    path = cli_query(cli, path, "filters", filters);
    const struct http_call_header head = {"X-Registry-Auth", auth};
    const struct cli_req rq = {
        .method = "GET", .path = path, .headers = &head, .n_headers = *auth != '\0'};
    TRY(cli_call(cli, &rq, &r, e));
    TRY(http_resp_read_all(r, &body, e));
    TRY(json_parse_list(&search_result_json, (void **)&list, &n, buf_cstr(&body), body.n,
                        cli->arena, e));
    if (n > 1)
        qsort(list, n, sizeof(*list), most_stars_first);
    for (size_t i = 0; i < n; i++)
        add_row(&t, &list[i], o->no_trunc);
    return table_print(&t, e);
}

static const struct flag search_table[] = {
    {"filter", 'f', FLAG_LIST, offsetof(struct search_opts, filter), "filter",
     "Filter output based on conditions provided"},
    {"format", 0, FLAG_STR, offsetof(struct search_opts, format), NULL,
     "Pretty-print search using a Go template"},
    {"limit", 0, FLAG_INT, offsetof(struct search_opts, limit), NULL,
     "Max number of search results"},
    {"no-trunc", 0, FLAG_BOOL, offsetof(struct search_opts, no_trunc), NULL,
     "Don't truncate output"},
};
static const struct flag_set search_set = FLAGS(search_table);

const struct command cmd_search = {
    .name = "search",
    .usage = "[OPTIONS] TERM",
    .help = "Search Docker Hub for images",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct search_opts),
    .flags = &search_set,
    .run = search_run,
};
