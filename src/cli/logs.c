/* hull logs. */
#include "base/time.h"
#include "cli/command.h"
#include "cli/session.h"
#include "types/container.h"

struct logs_opts {
    bool details, follow, timestamps;
    const char *since, *until, *tail;
};

static int logs_run(struct call *c, struct err *e)
{
    const struct logs_opts *o = c->opts;
    struct cli *cli = c->cli;
    struct container_inspect ci;
    const char *since, *until;
    TRY(cli_json(cli, "GET", cli_path(cli, "/containers/%s/json", c->args.v[0]),
                 &container_inspect_json, &ci, e));
    TRY(cli_moment(cli, o->since, &since, e));
    TRY(cli_moment(cli, o->until, &until, e));
    const char *path = cli_path(cli, "/containers/%s/logs?stdout=1&stderr=1", ci.id);
    path = cli_query(cli, path, "follow", o->follow ? "1" : NULL);
    path = cli_query(cli, path, "timestamps", o->timestamps ? "1" : NULL);
    path = cli_query(cli, path, "details", o->details ? "1" : NULL);
    path = cli_query(cli, path, "since", since);
    path = cli_query(cli, path, "until", until);
    path = cli_query(cli, path, "tail", o->tail != NULL ? o->tail : "all");
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "GET", .path = path};
    TRY(cli_call(cli, &rq, &r, e));
    return session_copy(r, ci.config->tty, e);
}

#define OPT(name, letter, kind, member, help)                                     \
    {                                                                             \
        name, letter, FLAG_##kind, offsetof(struct logs_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("details", 0, BOOL, details, "Show extra details provided to logs"),
    OPT("follow", 'f', BOOL, follow, "Follow log output"),
    OPT("since", 0, STR, since,
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for "
        "42 minutes)"),
    OPT("tail", 'n', STR, tail,
        "Number of lines to show from the end of the logs (default \"all\")"),
    OPT("timestamps", 't', BOOL, timestamps, "Show timestamps"),
    OPT("until", 0, STR, until,
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" "
        "for 42 minutes)"),
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_logs = {
    .name = "logs",
    .aliases = "container logs",
    .usage = "[OPTIONS] CONTAINER",
    .help = "Fetch the logs of a container",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct logs_opts),
    .flags = &flags,
    .run = logs_run,
};
