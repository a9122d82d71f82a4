/* hull events. */
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/lines.h"
#include "cli/table.h"
#include "types/system.h"

#define EXIT_TEMPLATE 64

struct events_opts {
    struct strv filter;
    const char *format, *since, *until;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct strmap_ent *)a)->key, ((const struct strmap_ent *)b)->key);
}

/* 2026-01-02T15:04:05.000000000+01:00 container start <id> (image=x, name=y) */
static void print_event(struct event_message *m)
{
    time_t t = (time_t)(m->time_ns / NS_PER_S);
    struct tm tm = {0};
    char when[40], zone[8];
    (void)localtime_r(&t, &tm);
    (void)strftime(when, sizeof(when), "%FT%T", &tm);
    (void)strftime(zone, sizeof(zone), "%z", &tm);
    (void)printf("%s.%09lld%.3s:%s %s %s %s", when, (long long)(m->time_ns % NS_PER_S), zone,
                 zone + 3, m->type, m->action, m->actor.id);
    struct strmap *attrs = &m->actor.attributes;
    if (attrs->n > 1)
        qsort(attrs->v, attrs->n, sizeof(attrs->v[0]), by_key);
    for (size_t i = 0; i < attrs->n; i++)
        (void)printf("%s%s=%s", i == 0 ? " (" : ", ", attrs->v[i].key, attrs->v[i].val);
    put_line("%s", attrs->n > 0 ? ")" : "");
}

static int show(const char *line, size_t n, const struct template *t, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct event_message m;
    if (t == NULL) {
        TRY(json_parse(&event_message_json, &m, line, n, a, e));
        print_event(&m);
        return 0;
    }
    auto_buf struct buf out = BUF_MAX(16u << 20);
    struct json_object *data = json_tokener_parse(arena_strndup(a, line, n));
    int rc = template_exec(t, data, NULL, &out, e);
    json_object_put(data);
    if (rc == 0)
        put_line("%s", buf_cstr(&out));
    return rc;
}

static int events_run(struct call *c, struct err *e)
{
    struct events_opts *o = c->opts;
    struct cli *cli = c->cli;
    auto_template struct template *t = NULL;
    bool json = o->format != NULL && strcmp(o->format, "json") == 0;
    if (o->format != NULL && !json && template_parse(o->format, &t, e) < 0) {
        c->status = EXIT_TEMPLATE;
        return err_wrap(e, "template parsing error");
    }
    const char *filters, *since, *until;
    TRY(cli_filters(cli, &o->filter, &filters, e));
    TRY(cli_moment(cli, o->since, &since, e));
    TRY(cli_moment(cli, o->until, &until, e));
    const char *path = cli_query(cli, "/events", "since", since);
    path = cli_query(cli, cli_query(cli, path, "until", until), "filters", filters);
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "GET", .path = path};
    TRY(cli_call(cli, &rq, &r, e));
    auto_lines struct lines lines = LINES_OF(r);
    const char *line;
    size_t n;
    for (int got; (got = lines_next(&lines, &line, &n, e)) != 0;) {
        if (got < 0)
            return -1;
        if (str_trim((struct str){line, n}).n == 0)
            continue;
        if (json)
            put_line("%.*s", (int)n, line);
        else
            TRY(show(line, n, t, e));
        (void)fflush(stdout);
    }
    return 0;
}

#define OPT(name, letter, kind, member, help)                                       \
    {                                                                               \
        name, letter, FLAG_##kind, offsetof(struct events_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("filter", 'f', LIST, filter, "Filter output based on conditions provided"),
    OPT("format", 0, STR, format, "Format output using a custom template: 'json' or 'TEMPLATE'"),
    OPT("since", 0, STR, since, "Show all events created since timestamp"),
    OPT("until", 0, STR, until, "Stream events until this timestamp"),
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_events = {
    .name = "events",
    .aliases = "system events",
    .usage = "[OPTIONS]",
    .help = "Get real time events from the server",
    .opts_size = sizeof(struct events_opts),
    .flags = &flags,
    .run = events_run,
};
