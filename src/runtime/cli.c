/* hull-runc: the parser, the log, main. See cli.h. */
#include "runtime/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/path.h"

/* ---- flags -------------------------------------------------------------------------------- */

static int find_flag(const struct cli_values *v, const char *name, size_t len)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct cli_flag *f = &v->flags[i];
        if ((strlen(f->name) == len && strncmp(f->name, name, len) == 0) ||
            (f->alias != NULL && strlen(f->alias) == len && strncmp(f->alias, name, len) == 0))
            return (int)i;
    }
    return -1;
}

static int set_bool(struct cli_values *v, int i, const char *value, struct err *e)
{
    v->set[i] = true;
    v->on[i] = value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (value != NULL && !v->on[i] && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return err_set(e, ERR_INVALID, "invalid boolean value \"%s\" for -%s: parse error", value,
                       v->flags[i].name);
    return 0;
}

static int check_number(const struct cli_values *v, int i, struct err *e)
{
    int64_t n;
    if (str_to_i64(str_of(v->text[i]), INT32_MIN, INT32_MAX, &n))
        return 0;
    return err_set(e, ERR_INVALID, "invalid value \"%s\" for flag -%s: parse error", v->text[i],
                   v->flags[i].name);
}

int cli_parse(struct cli_values *v, char **argv, int argc, int *at, char **args, int *n_args,
              struct arena *a, struct err *e)
{
    for (; *at < argc; ++*at) {
        const char *word = argv[*at];
        if (word[0] != '-' || word[1] == '\0') {
            if (args == NULL)
                return 0;
            args[(*n_args)++] = argv[*at];
            continue;
        }
        if (strcmp(word, "--") == 0) {
            for (++*at; args != NULL && *at < argc; ++*at)
                args[(*n_args)++] = argv[*at];
            return 0;
        }
        word += word[1] == '-' ? 2 : 1;
        size_t len = strcspn(word, "=");
        const char *value = word[len] == '=' ? word + len + 1 : NULL;
        int i = find_flag(v, word, len);
        if (i < 0)
            return err_set(e, ERR_INVALID, "flag provided but not defined: -%.*s", (int)len, word);
        if (v->flags[i].kind == CLI_BOOL) {
            TRY(set_bool(v, i, value, e));
            continue;
        }
        if (value == NULL && *at + 1 >= argc)
            return err_set(e, ERR_INVALID, "flag needs an argument: -%.*s", (int)len, word);
        v->set[i] = true;
        v->text[i] = value != NULL ? value : argv[++*at];
        if (v->flags[i].kind == CLI_NUMBER)
            TRY(check_number(v, i, e));
        if (v->flags[i].kind == CLI_LIST)
            vec_push_in(a, &v->list[i], (char *)(uintptr_t)v->text[i]);
    }
    return 0;
}

static int named(const struct cli_values *v, const char *name)
{
    return find_flag(v, name, strlen(name));
}

bool cli_bool(const struct cli_values *v, const char *name)
{
    int i = named(v, name);
    return i >= 0 && v->on[i];
}

const char *cli_text(const struct cli_values *v, const char *name)
{
    int i = named(v, name);
    return i >= 0 ? v->text[i] : NULL;
}

const char *cli_path(const struct cli_values *v, const char *name)
{
    const char *path = cli_text(v, name);
    return path != NULL && *path != '\0' ? path : NULL;
}

const struct strv *cli_list(const struct cli_values *v, const char *name)
{
    static const struct strv none;
    int i = named(v, name);
    return i >= 0 ? &v->list[i] : &none;
}

/* ---- log ---------------------------------------------------------------------------------- */

void cli_log(struct cli *c, const char *level, const char *msg)
{
    CLEANUP(buf_done) struct buf line = BUF_MAX(16384);
    char now[TIME_TEXT_MAX];
    time_format(time_now_ns() / NS_PER_S * NS_PER_S, now);
    if (strcmp(level, "debug") == 0 && !c->debug)
        return;
    bool json = c->log_format != NULL && strcmp(c->log_format, "json") == 0;
    if (json) {
        buf_printf(&line, "{\"level\":\"%s\",\"msg\":", level);
        json_write_str(msg, strlen(msg), &line);
        buf_printf(&line, ",\"time\":\"%s\"}\n", now);
    } else {
        buf_printf(&line, "time=\"%s\" level=%s msg=", now, level);
        json_write_str(msg, strlen(msg), &line);
        buf_addc(&line, '\n');
    }
    int fd = c->log_fd >= 0 ? c->log_fd : STDERR_FILENO;
    (void)fd_write_all(fd, line.p, line.n); /* a log that is full must not stop a container */
}

static void log_line(void *arg, enum hullrun_level level, const char *msg)
{
    cli_log(arg, level == HULLRUN_DEBUG ? "debug" : "warning", msg);
}

struct hullrun_log cli_oplog(struct cli *c)
{
    return (struct hullrun_log){.line = log_line, .arg = c, .debug = c->debug};
}

static int fatal(struct cli *c, const struct err *e, int status)
{
    (void)fflush(stdout); /* the usage comes first */
    cli_log(c, "error", e->msg);
    if (c->log_fd >= 0)
        (void)dprintf(STDERR_FILENO, "%s\n", e->msg);
    return status;
}

/* ---- main --------------------------------------------------------------------------------- */

const char *cli_absolute(struct cli *c, const char *path)
{
    char cwd[4096];
    if (path == NULL || path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
        return path;
    return arena_printf(c->a, "%s/%s", cwd, path);
}

static int read_rootless(struct cli *c, const char *word, struct err *e)
{
    struct cli_values v = {.flags = &(struct cli_flag){.name = "rootless", .kind = CLI_BOOL},
                           .n = 1};
    if (word == NULL || *word == '\0' || strcmp(word, "auto") == 0)
        return 0;
    TRY(set_bool(&v, 0, word, e));
    c->rootless = v.on[0] ? HULLRUN_ROOTLESS_YES : HULLRUN_ROOTLESS_NO;
    return 0;
}

static int open_log(struct cli *c, const struct cli_values *v, struct err *e)
{
    c->debug = cli_bool(v, "debug");
    c->systemd_cgroup = cli_bool(v, "systemd-cgroup");
    c->log = cli_text(v, "log");
    c->log_format = cli_text(v, "log-format");
    if (c->log != NULL && *c->log != '\0') {
        c->log_fd = open(c->log, O_APPEND | O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (c->log_fd < 0)
            return err_sys(e, "open %s", c->log);
    }
    if (c->log_format != NULL && strcmp(c->log_format, "text") != 0 &&
        strcmp(c->log_format, "json") != 0) {
        const char *format = c->log_format;
        c->log_format = NULL;
        return err_set(e, ERR_INVALID, "invalid log-format: %s", format);
    }
    const char *root = cli_text(v, "root");
    c->manager = getenv("NOTIFY_SOCKET");
    if (c->manager != NULL && *c->manager == '\0')
        c->manager = NULL;
    TRY(read_rootless(c, cli_text(v, "rootless"), e));
    c->root_given = root != NULL && *root != '\0';
    if (root == NULL && geteuid() != 0 && getenv("XDG_RUNTIME_DIR") != NULL)
        root = arena_printf(c->a, "%s/hull-runc", getenv("XDG_RUNTIME_DIR"));
    c->root = cli_absolute(c, root != NULL && *root != '\0' ? root : HULLRUN_DEFAULT_ROOT);
    if (strcmp(c->root, "/") == 0)
        return err_set(e, ERR_INVALID, "Option --root argument should not be set to /");
    if (c->systemd_cgroup && access("/run/systemd/system", F_OK) < 0)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "systemd not running on this host, cannot use systemd cgroups manager");
    return 0;
}

static int check_args(struct cli *c, const struct cli_command *cmd, int n, struct err *e)
{
    if (cmd->min_args == cmd->max_args && n != cmd->min_args)
        return err_set(e, ERR_INVALID, "%s: \"%s\" requires exactly %d argument(s)", c->program,
                       cmd->name, cmd->min_args);
    if (n < cmd->min_args)
        return err_set(e, ERR_INVALID, "%s: \"%s\" requires a minimum of %d argument(s)",
                       c->program, cmd->name, cmd->min_args);
    if (cmd->max_args >= 0 && n > cmd->max_args)
        return err_set(e, ERR_INVALID, "%s: \"%s\" requires a maximum of %d argument(s)",
                       c->program, cmd->name, cmd->max_args);
    return 0;
}

static int run_command(struct cli *c, const struct cli_command *cmd, char **argv, int argc, int at,
                       struct err *e)
{
    struct cli_values v = {.flags = cmd->flags, .n = cmd->n_flags};
    char **args = arena_alloc_array(c->a, (size_t)argc + 1, sizeof(*args));
    int n = 0, failed = strcmp(cmd->name, "exec") == 0 ? 255 : 1;
    for (int i = at; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_print_command_help(cmd, stdout);
            return 0;
        } else if (argv[i][0] != '-') {
            break;
        }
    if (cli_parse(&v, argv, argc, &at, cmd->stop_at_argument ? NULL : args, &n, c->a, e) < 0) {
        printf("Incorrect Usage: %s\n\n", e->msg);
        cli_print_command_help(cmd, stdout);
        return fatal(c, e, 1);
    }
    for (; cmd->stop_at_argument && at < argc; at++)
        args[n++] = argv[at];
    if (check_args(c, cmd, n, e) < 0) {
        cli_print_command_help(cmd, stdout);
        return fatal(c, e, 1);
    }
    int status = cmd->run(c, &v, args, n, e);
    return status < 0 ? fatal(c, e, failed) : status;
}

static int unknown_command(struct cli *c, const char *name, struct err *e)
{
    err_set(e, ERR_NOT_FOUND, "No help topic for '%s'", name);
    return fatal(c, e, 3);
}

/* name may be NULL */
static int help(struct cli *c, const char *name, struct err *e)
{
    const struct cli_command *cmd = name != NULL ? cli_find_command(name) : NULL;
    if (name != NULL && cmd == NULL)
        return unknown_command(c, name, e);
    if (cmd != NULL)
        cli_print_command_help(cmd, stdout);
    else
        cli_print_help(stdout);
    return 0;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
    struct cli_values v = {.flags = cli_global_flags, .n = cli_n_global_flags};
    struct err e = {0};
    int at = 1;
    if (cli_parse(&v, argv, argc, &at, NULL, NULL, c->a, &e) < 0) {
        printf("Incorrect Usage. %s\n\n", e.msg);
        cli_print_help(stdout);
        return fatal(c, &e, 1);
    }
    if (cli_bool(&v, "version"))
        return cli_print_version(), 0;
    if (cli_bool(&v, "help") || at >= argc)
        return cli_print_help(stdout), 0;
    if (open_log(c, &v, &e) < 0)
        return fatal(c, &e, 1);
    if (strcmp(argv[at], "help") == 0 || strcmp(argv[at], "h") == 0)
        return help(c, argv[at + 1], &e);
    const struct cli_command *cmd = cli_find_command(argv[at]);
    if (cmd == NULL)
        return unknown_command(c, argv[at], &e);
    if (cmd->seals && hullrun_seal_self(argv, &e) < 0)
        return fatal(c, &e, 1);
    return run_command(c, cmd, argv, argc, at + 1, &e);
}

int main(int argc, char **argv)
{
    struct cli c = {.program = argv[0], .log_fd = -1, .a = arena_new()};
    (void)signal(SIGPIPE, SIG_IGN); /* a container that dies while we talk to it is an error */
    int status = dispatch(&c, argc, argv);
    arena_free(c.a);
    fd_close(c.log_fd);
    return status;
}
