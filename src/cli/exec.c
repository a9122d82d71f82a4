/* hull exec: a further process inside a running container. */
#include "base/mem.h"
#include "cli/attached.h"
#include "cli/command.h"
#include "cli/container_opts.h"
#include "cli/session.h"
#include "cli/table.h"
#include "sys/fd.h"
#include "types/exec.h"

struct exec_opts {
    bool detach, interactive, privileged, tty;
    const char *detach_keys, *user, *workdir;
    struct strv env, env_file;
};

struct exec {
    struct cli *cli;
    const char *id;
};

static void resize(struct exec *x)
{
    cli_resize(x->cli, cli_path(x->cli, "/exec/%s/resize", x->id), 0);
}

static void on_signal(int signo, void *arg)
{
    (void)signo; /* exec passes no signals on; only the window's size matters */
    resize(arg);
}

/* What the terminal is born with: the resize after the start comes too late for a quick program. */
static struct i64v console_size(struct cli *cli, const struct exec_opts *o)
{
    struct i64v size = {0};
    unsigned rows, cols;
    if (!o->tty)
        return size;
    term_size(1, &rows, &cols);
    if (rows != 0 && cols != 0) {
        vec_push_in(cli->arena, &size, (int64_t)rows);
        vec_push_in(cli->arena, &size, (int64_t)cols);
    }
    return size;
}

static int create(struct call *c, const struct exec_opts *o, const char **out_id, struct err *e)
{
    struct exec_create doc = {.user = o->user,
                              .privileged = o->privileged,
                              .tty = o->tty,
                              .console_size = console_size(c->cli, o),
                              .attach_stdin = !o->detach && o->interactive,
                              .attach_stdout = !o->detach,
                              .attach_stderr = !o->detach,
                              .detach_keys = o->detach_keys,
                              .working_dir = o->workdir};
    struct id_reply made;
    TRY(env_read(c->cli, &o->env_file, &o->env, &doc.env, e));
    for (size_t i = 1; i < c->args.n; i++)
        vec_push_in(c->cli->arena, &doc.cmd, c->args.v[i]);
    TRY(cli_send_json(c->cli, "POST", cli_path(c->cli, "/containers/%s/exec", c->args.v[0]),
                      &exec_create_json, &doc, &id_reply_json, &made, e));
    *out_id = made.id;
    return 0;
}

static int run_attached(struct call *c, const struct exec_opts *o, struct exec *x, struct err *e)
{
    struct session s = {
        .tty = o->tty, .in = o->interactive, .out = true, .err = true, .signal_fd = -1};
    struct exec_start doc = {.tty = o->tty, .console_size = console_size(c->cli, o)};
    enum session_end end;
    const char *keys =
        o->detach_keys != NULL ? o->detach_keys : cli_config_str(c->cli, "detachKeys");
    auto_http_resp struct http_resp *r = NULL;
    auto_stream struct stream *stream = NULL;
    auto_fd int signals = -1;
    struct http_client *via = NULL;
    TRY(session_detach_keys(&s, keys, e));
    if (o->tty) {
        signals = session_signals(e);
        if (signals < 0)
            return -1;
        s.signal_fd = signals;
    }
    TRY(cli_connection(c->cli, &via, e));
    struct cli_req rq = {.method = "POST",
                         .path = cli_path(c->cli, "/exec/%s/start", x->id),
                         .doc_desc = &exec_start_json,
                         .doc = &doc,
                         .upgrade = "tcp",
                         .via = via};
    int rc = cli_call(c->cli, &rq, &r, e);
    if (rc == 0)
        rc = http_resp_hijack(r, &stream, e);
    if (rc == 0) {
        auto_term struct term_saved *in = o->tty && o->interactive ? term_raw(0) : NULL;
        auto_term struct term_saved *out = o->tty ? term_raw(1) : NULL;
        s.stream = stream;
        s.on_signal = on_signal;
        s.arg = x;
        if (o->tty && term_is(1))
            resize(x);
        rc = session_run(&s, &end, e);
    }
    stream_close(TAKE_PTR(stream));
    http_resp_free(TAKE_PTR(r));
    http_client_free(via);
    if (rc == 0 && end == SESSION_DETACHED)
        return err_set(e, ERR_CANCELLED, "read escape sequence");
    return rc;
}

static int exec_run(struct call *c, struct err *e)
{
    struct exec_opts *o = c->opts;
    struct exec x = {.cli = c->cli};
    if (o->tty && o->interactive && !o->detach && !term_is(0))
        return err_set(e, ERR_INVALID, "the input device is not a TTY");
    TRY(create(c, o, &x.id, e));
    if (o->detach) {
        struct exec_start doc = {.detach = true, .tty = o->tty};
        return cli_send_json(c->cli, "POST", cli_path(c->cli, "/exec/%s/start", x.id),
                             &exec_start_json, &doc, NULL, NULL, e);
    }
    if (run_attached(c, o, &x, e) < 0) {
        if (strstr(e->msg, "executable file not found") != NULL ||
            strstr(e->msg, "no such file") != NULL)
            c->status = 127;
        else if (strstr(e->msg, "permission denied") != NULL)
            c->status = 126;
        return -1;
    }
    struct exec_inspect done;
    TRY(cli_json(c->cli, "GET", cli_path(c->cli, "/exec/%s/json", x.id), &exec_inspect_json, &done,
                 e));
    c->status = done.exit_code != NULL ? (int)*done.exit_code : 255;
    return 0;
}

#define OPT(name, letter, kind, member, help)                                     \
    {                                                                             \
        name, letter, FLAG_##kind, offsetof(struct exec_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("detach", 'd', BOOL, detach, "Detached mode: run command in the background"),
    OPT("detach-keys", 0, STR, detach_keys, "Override the key sequence for detaching a container"),
    OPT("env", 'e', LIST, env, "Set environment variables"),
    OPT("env-file", 0, LIST, env_file, "Read in a file of environment variables"),
    OPT("interactive", 'i', BOOL, interactive, "Keep STDIN open even if not attached"),
    OPT("privileged", 0, BOOL, privileged, "Give extended privileges to the command"),
    OPT("tty", 't', BOOL, tty, "Allocate a pseudo-TTY"),
    OPT("user", 'u', STR, user, "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
    OPT("workdir", 'w', STR, workdir, "Working directory inside the container"),
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_exec = {
    .name = "exec",
    .aliases = "container exec",
    .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .help = "Execute a command in a running container",
    .min_args = 2,
    .max_args = -1,
    .stop_at_arg = true,
    .opts_size = sizeof(struct exec_opts),
    .flags = &flags,
    .run = exec_run,
};
