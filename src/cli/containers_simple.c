/*
 * The commands that do one thing to each container they are given and echo its name: stop, restart,
 * kill, pause, unpause, rm, wait, rename. One loop, and a function each.
 */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/table.h"
#include "types/container.h"

struct simple_opts {
    const char *signal;
    int64_t *timeout;
    bool force, link, volumes;
};

typedef int one_fn(struct call *c, const char *name, struct err *e);

/* All are tried; the errors go to standard error as they come, and make the command fail. */
static int for_each(struct call *c, one_fn *one, bool echo, struct err *e)
{
    bool failed = false;
    for (size_t i = 0; i < c->args.n; i++) {
        if (one(c, c->args.v[i], e) < 0) {
            warn_line("%s", e->msg);
            failed = true;
        } else if (echo) {
            put_line("%s", c->args.v[i]);
            (void)fflush(stdout);
        }
    }
    c->silent = failed;
    return failed ? -1 : 0;
}

static int post(struct call *c, const char *path, struct err *e)
{
    return cli_json(c->cli, "POST", path, NULL, NULL, e);
}

static const char *with_stop_options(struct call *c, const char *path)
{
    const struct simple_opts *o = c->opts;
    if (o->timeout != NULL)
        path = cli_query(c->cli, path, "t",
                         arena_printf(c->cli->arena, "%lld", (long long)*o->timeout));
    return cli_query(c->cli, path, "signal", o->signal);
}

static int stop_one(struct call *c, const char *name, struct err *e)
{
    return post(c, with_stop_options(c, cli_path(c->cli, "/containers/%s/stop", name)), e);
}

static int restart_one(struct call *c, const char *name, struct err *e)
{
    return post(c, with_stop_options(c, cli_path(c->cli, "/containers/%s/restart", name)), e);
}

static int kill_one(struct call *c, const char *name, struct err *e)
{
    const struct simple_opts *o = c->opts;
    return post(c,
                cli_query(c->cli, cli_path(c->cli, "/containers/%s/kill", name), "signal",
                          o->signal != NULL ? o->signal : "SIGKILL"),
                e);
}

static int pause_one(struct call *c, const char *name, struct err *e)
{
    return post(c, cli_path(c->cli, "/containers/%s/pause", name), e);
}

static int unpause_one(struct call *c, const char *name, struct err *e)
{
    return post(c, cli_path(c->cli, "/containers/%s/unpause", name), e);
}

static int rm_one(struct call *c, const char *name, struct err *e)
{
    const struct simple_opts *o = c->opts;
    while (*name == '/')
        name++;
    if (*name == '\0')
        return err_set(e, ERR_INVALID, "container name cannot be empty");
    const char *path = cli_path(c->cli, "/containers/%s", name);
    path = cli_query(c->cli, path, "v", o->volumes ? "1" : NULL);
    path = cli_query(c->cli, path, "link", o->link ? "1" : NULL);
    path = cli_query(c->cli, path, "force", o->force ? "1" : NULL);
    return cli_json(c->cli, "DELETE", path, NULL, NULL, e);
}

static int wait_one(struct call *c, const char *name, struct err *e)
{
    struct container_waited w;
    TRY(cli_json(c->cli, "POST", cli_path(c->cli, "/containers/%s/wait", name),
                 &container_waited_json, &w, e));
    if (w.error != NULL && w.error->message != NULL && *w.error->message != '\0')
        return err_set(e, ERR_INTERNAL, "%s", w.error->message);
    put_line("%lld", (long long)w.status_code);
    return 0;
}

static int stop_run(struct call *c, struct err *e)
{
    return for_each(c, stop_one, true, e);
}

static int restart_run(struct call *c, struct err *e)
{
    return for_each(c, restart_one, true, e);
}

static int kill_run(struct call *c, struct err *e)
{
    return for_each(c, kill_one, true, e);
}

static int pause_run(struct call *c, struct err *e)
{
    return for_each(c, pause_one, true, e);
}

static int unpause_run(struct call *c, struct err *e)
{
    return for_each(c, unpause_one, true, e);
}

static int wait_run(struct call *c, struct err *e)
{
    return for_each(c, wait_one, false, e);
}

/* With --force a container that is not there is as good as removed. */
static int rm_run(struct call *c, struct err *e)
{
    const struct simple_opts *o = c->opts;
    bool failed = false;
    for (size_t i = 0; i < c->args.n; i++) {
        if (rm_one(c, c->args.v[i], e) == 0) {
            put_line("%s", c->args.v[i]);
        } else if (!o->force || e->kind != ERR_NOT_FOUND) {
            warn_line("%s", e->msg);
            failed = true;
        }
    }
    c->silent = failed;
    return failed ? -1 : 0;
}

static int rename_run(struct call *c, struct err *e)
{
    const char *path = cli_path(c->cli, "/containers/%s/rename", c->args.v[0]);
    return post(c, cli_query(c->cli, path, "name", c->args.v[1]), e);
}

#define OPT(name, letter, kind, member, help)                                       \
    {                                                                               \
        name, letter, FLAG_##kind, offsetof(struct simple_opts, member), NULL, help \
    }
static const struct flag stop_table[] = {
    OPT("signal", 's', STR, signal, "Signal to send to the container"),
    OPT("timeout", 't', OPT_INT, timeout, "Seconds to wait before killing the container"),
    OPT("time", 0, OPT_INT, timeout, NULL),
};
static const struct flag kill_table[] = {
    OPT("signal", 's', STR, signal, "Signal to send to the container"),
};
static const struct flag rm_table[] = {
    OPT("force", 'f', BOOL, force, "Force the removal of a running container (uses SIGKILL)"),
    OPT("link", 'l', BOOL, link, "Remove the specified link"),
    OPT("volumes", 'v', BOOL, volumes, "Remove anonymous volumes associated with the container"),
};
static const struct flag_set stop_set = FLAGS(stop_table), kill_set = FLAGS(kill_table),
                             rm_set = FLAGS(rm_table);

#define SIMPLE(ident, word, more, options, flag_list, text) \
    const struct command cmd_##ident = {                    \
        .name = word,                                       \
        .aliases = "container " word more,                  \
        .usage = options "CONTAINER [CONTAINER...]",        \
        .help = text,                                       \
        .min_args = 1,                                      \
        .max_args = -1,                                     \
        .opts_size = sizeof(struct simple_opts),            \
        .flags = flag_list,                                 \
        .run = ident##_run,                                 \
    };
SIMPLE(stop, "stop", "", "[OPTIONS] ", &stop_set, "Stop one or more running containers")
SIMPLE(restart, "restart", "", "[OPTIONS] ", &stop_set, "Restart one or more containers")
SIMPLE(kill, "kill", "", "[OPTIONS] ", &kill_set, "Kill one or more running containers")
SIMPLE(pause, "pause", "", "", NULL, "Pause all processes within one or more containers")
SIMPLE(unpause, "unpause", "", "", NULL, "Unpause all processes within one or more containers")
SIMPLE(rm, "rm", "|container remove", "[OPTIONS] ", &rm_set, "Remove one or more containers")
SIMPLE(wait, "wait", "", "", NULL,
       "Block until one or more containers stop, then print their exit codes")

const struct command cmd_rename = {
    .name = "rename",
    .aliases = "container rename",
    .usage = "CONTAINER NEW_NAME",
    .help = "Rename a container",
    .min_args = 2,
    .max_args = 2,
    .run = rename_run,
};
