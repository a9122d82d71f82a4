/* hull start and attach: a container that exists already, with or without our terminal. */
#include "base/mem.h"
#include "cli/attached.h"
#include "cli/command.h"
#include "cli/table.h"
#include "types/container.h"

struct start_opts {
    bool attach, interactive;
    const char *detach_keys;
};

struct attach_opts {
    bool no_stdin, sig_proxy;
    const char *detach_keys;
};

static int inspect(struct cli *cli, const char *name, struct container_inspect *out, struct err *e)
{
    return cli_json(cli, "GET", cli_path(cli, "/containers/%s/json", name), &container_inspect_json,
                    out, e);
}

static int start_one(struct cli *cli, const char *name, const char *detach_keys, struct err *e)
{
    const char *path = cli_path(cli, "/containers/%s/start", name);
    return cli_json(cli, "POST", cli_query(cli, path, "detachKeys", detach_keys), NULL, NULL, e);
}

/* Fill the session from the container's own configuration. */
static int prepare(struct call *c, struct attached *a, const struct container_inspect *ci, bool in,
                   bool proxy, const char *keys, struct err *e)
{
    a->id = ci->id;
    a->session.tty = ci->config->tty;
    a->session.in = in && ci->config->open_stdin;
    a->session.out = a->session.err = true;
    a->resize = a->session.tty && term_is(1);
    a->proxy = proxy && !a->session.tty;
    if (keys == NULL)
        keys = cli_config_str(c->cli, "detachKeys");
    TRY(session_detach_keys(&a->session, keys, e));
    a->session.signal_fd = session_signals(e);
    return a->session.signal_fd < 0 ? -1 : attached_open(a, keys, e);
}

static int start_attached(struct call *c, const struct start_opts *o, struct err *e)
{
    struct container_inspect ci;
    enum session_end end;
    auto_attached struct attached a = {.cli = c->cli, .session.signal_fd = -1};
    if (c->args.n > 1)
        return err_set(e, ERR_INVALID, "you cannot start and attach multiple containers at once");
    TRY(inspect(c->cli, c->args.v[0], &ci, e));
    TRY(prepare(c, &a, &ci, o->interactive, true, o->detach_keys, e));
    TRY(attached_wait_begin(&a, ci.host_config->auto_remove ? "removed" : "next-exit", e));
    TRY(start_one(c->cli, ci.id, o->detach_keys, e));
    if (a.resize)
        attached_resize(&a, 0);
    TRY(attached_run(&a, &end, e));
    return end == SESSION_DETACHED ? 0 : attached_exit_code(&a, &c->status, e);
}

static int start_run(struct call *c, struct err *e)
{
    struct start_opts *o = c->opts;
    if (o->attach || o->interactive)
        return start_attached(c, o, e);
    auto_buf struct buf failed = BUF_MAX(65536);
    for (size_t i = 0; i < c->args.n; i++) {
        if (start_one(c->cli, c->args.v[i], NULL, e) == 0) {
            put_line("%s", c->args.v[i]);
            continue;
        }
        warn_line("%s", e->msg);
        buf_printf(&failed, "%s%s", failed.n > 0 ? ", " : "", c->args.v[i]);
    }
    return failed.n == 0
               ? 0
               : err_set(e, ERR_INTERNAL, "failed to start containers: %s", buf_cstr(&failed));
}

static int attach_run(struct call *c, struct err *e)
{
    struct attach_opts *o = c->opts;
    struct container_inspect ci;
    enum session_end end;
    auto_attached struct attached a = {.cli = c->cli, .session.signal_fd = -1};
    TRY(inspect(c->cli, c->args.v[0], &ci, e));
    if (!ci.state->running)
        return err_set(e, ERR_CONFLICT, "cannot attach to a stopped container, start it first");
    if (ci.state->paused)
        return err_set(e, ERR_CONFLICT, "cannot attach to a paused container, unpause it first");
    if (ci.state->restarting)
        return err_set(e, ERR_CONFLICT,
                       "cannot attach to a restarting container, wait until it is running");
    if (ci.config->tty && ci.config->open_stdin && !o->no_stdin && !term_is(0))
        return err_set(e, ERR_INVALID, "the input device is not a TTY");
    TRY(prepare(c, &a, &ci, !o->no_stdin, o->sig_proxy || !call_given(c, "sig-proxy"),
                o->detach_keys, e));
    TRY(attached_wait_begin(&a, "not-running", e));
    if (a.resize) { /* two sizes, so that a full-screen program paints itself anew */
        attached_resize(&a, 1);
        attached_resize(&a, 0);
    }
    TRY(attached_run(&a, &end, e));
    if (end == SESSION_DETACHED)
        return err_set(e, ERR_CANCELLED, "read escape sequence");
    return attached_exit_code(&a, &c->status, e);
}

static const struct flag start_table[] = {
    {"attach", 'a', FLAG_BOOL, offsetof(struct start_opts, attach), NULL,
     "Attach STDOUT/STDERR and forward signals"},
    {"interactive", 'i', FLAG_BOOL, offsetof(struct start_opts, interactive), NULL,
     "Attach container's STDIN"},
    {"detach-keys", 0, FLAG_STR, offsetof(struct start_opts, detach_keys), NULL,
     "Override the key sequence for detaching a container"},
    {"checkpoint", 0, FLAG_MISSING, 0, NULL, NULL},
    {"checkpoint-dir", 0, FLAG_MISSING, 0, NULL, NULL},
};
static const struct flag_set start_set = FLAGS(start_table);

const struct command cmd_start = {
    .name = "start",
    .aliases = "container start",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .help = "Start one or more stopped containers",
    .min_args = 1,
    .max_args = -1,
    .opts_size = sizeof(struct start_opts),
    .flags = &start_set,
    .run = start_run,
};

static const struct flag attach_table[] = {
    {"no-stdin", 0, FLAG_BOOL, offsetof(struct attach_opts, no_stdin), NULL, "Do not attach STDIN"},
    {"sig-proxy", 0, FLAG_BOOL, offsetof(struct attach_opts, sig_proxy), NULL,
     "Proxy all received signals to the process (default true)"},
    {"detach-keys", 0, FLAG_STR, offsetof(struct attach_opts, detach_keys), NULL,
     "Override the key sequence for detaching a container"},
};
static const struct flag_set attach_set = FLAGS(attach_table);

const struct command cmd_attach = {
    .name = "attach",
    .aliases = "container attach",
    .usage = "[OPTIONS] CONTAINER",
    .help = "Attach local standard input, output, and error streams to a running container",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct attach_opts),
    .flags = &attach_set,
    .run = attach_run,
};
