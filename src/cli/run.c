/*
 * hull run: create, attach, ask for the exit, start, pump, exit with the container's code. The
 * order matters: attached before started, so that no output is missed; waited for before started,
 * so that a short run is not missed.
 */
#include "base/mem.h"
#include "base/str.h"
#include "cli/attached.h"
#include "cli/container_opts.h"
#include "cli/table.h"

static bool has_any(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(text, words[i]) != NULL)
            return true;
    return false;
}

/* docker's rule: what the daemon's message says decides between 127, 126 and 125 */
static int status_of_failure(const char *text)
{
    static const char *const not_found[] = {"executable file not found",
                                            "no such file or directory",
                                            "system cannot find the file specified"};
    static const char *const refused[] = {"permission denied", "is a directory"};
    if (has_any(text, not_found, ARRAY_LEN(not_found)))
        return 127;
    return has_any(text, refused, ARRAY_LEN(refused)) ? 126 : 125;
}

static int daemon_failed(struct call *c, struct err *e)
{
    c->status = status_of_failure(e->msg);
    c->silent = true;
    warn_line("hull: %s\n\nRun 'hull run --help' for more information", e->msg);
    return -1;
}

static int check_tty(const struct container_create *doc, struct err *e)
{
    if (doc->config.attach_stdin && doc->config.tty && !term_is(0))
        return err_set(e, ERR_INVALID, "the input device is not a TTY");
    return 0;
}

static int start(struct cli *cli, const char *id, struct err *e)
{
    return cli_json(cli, "POST", cli_path(cli, "/containers/%s/start", id), NULL, NULL, e);
}

static int run_attached(struct call *c, const struct container_opts *o,
                        const struct container_create *doc, const char *id, struct err *e)
{
    const struct container_config *cfg = &doc->config;
    auto_attached struct attached a = {.cli = c->cli, .id = id, .session.signal_fd = -1};
    enum session_end end = SESSION_ENDED;
    const char *keys =
        o->detach_keys != NULL ? o->detach_keys : cli_config_str(c->cli, "detachKeys");
    bool any = cfg->attach_stdin || cfg->attach_stdout || cfg->attach_stderr;
    a.session.tty = cfg->tty;
    a.session.in = cfg->attach_stdin;
    a.session.out = cfg->attach_stdout;
    a.session.err = cfg->attach_stderr;
    a.resize = cfg->tty && term_is(1);
    a.proxy = o->sig_proxy || !call_given(c, "sig-proxy");
    TRY(session_detach_keys(&a.session, keys, e));
    if ((a.session.signal_fd = session_signals(e)) < 0)
        return -1;
    if (any && attached_open(&a, keys, e) < 0)
        return daemon_failed(c, e);
    if (attached_wait_begin(&a, o->rm ? "removed" : "next-exit", e) < 0)
        return daemon_failed(c, e);
    if (start(c->cli, id, e) < 0)
        return daemon_failed(c, e);
    if (a.resize)
        attached_resize(&a, 0);
    if (any)
        TRY(attached_run(&a, &end, e));
    if (end == SESSION_DETACHED)
        return 0;
    if (attached_exit_code(&a, &c->status, e) < 0) {
        c->status = 125;
        return -1;
    }
    return 0;
}

static int run_run(struct call *c, struct err *e)
{
    struct container_opts *o = c->opts;
    struct container_create doc;
    const char *id;
    if (container_opts_build(c, o, &doc, e) < 0) {
        c->status = 125;
        return err_wrap(e, "hull");
    }
    if (o->detach && o->attach.n > 0)
        return err_set(e, ERR_INVALID,
                       "conflicting options: cannot specify both --attach and --detach");
    TRY(check_tty(&doc, e));
    if (container_create_or_pull(c, o, &doc, &id, e) < 0)
        return daemon_failed(c, e);
    if (!o->detach)
        return run_attached(c, o, &doc, id, e);
    if (start(c->cli, id, e) < 0)
        return daemon_failed(c, e);
    put_line("%s", id);
    return 0;
}

const struct command cmd_run = {
    .name = "run",
    .aliases = "container run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .help = "Create and run a new container from an image",
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .opts_size = sizeof(struct container_opts),
    .flags = &run_flags,
    .run = run_run,
};
