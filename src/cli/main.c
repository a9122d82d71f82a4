/*
 * hull: the command line. Global flags, then the command, which is looked up in the table of
 * commands.c, then its own flags and arguments.
 */
#include <errno.h>
#include <signal.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/table.h"

#define EXIT_FLAGS 125 /* what docker exits with for a bad flag */

struct globals {
    struct cli cli;
    struct strv hosts;
    const char *log_level;
    bool version;
};

static const struct flag global_flags[] = {
    {"config", 0, FLAG_STR, offsetof(struct globals, cli.config_dir), NULL,
     "Location of client config files"},
    {"context", 'c', FLAG_STR, offsetof(struct globals, cli.context), NULL,
     "Name of the context to use to connect to the daemon"},
    {"debug", 'D', FLAG_BOOL, offsetof(struct globals, cli.debug), NULL, "Enable debug mode"},
    {"host", 'H', FLAG_LIST, offsetof(struct globals, hosts), NULL, "Daemon socket to connect to"},
    {"log-level", 'l', FLAG_STR, offsetof(struct globals, log_level), NULL,
     "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")"},
    {"tls", 0, FLAG_BOOL, offsetof(struct globals, cli.tls), NULL,
     "Use TLS; implied by --tlsverify"},
    {"tlscacert", 0, FLAG_STR, offsetof(struct globals, cli.tls_ca), NULL,
     "Trust certs signed only by this CA"},
    {"tlscert", 0, FLAG_STR, offsetof(struct globals, cli.tls_cert), NULL,
     "Path to TLS certificate file"},
    {"tlskey", 0, FLAG_STR, offsetof(struct globals, cli.tls_key), NULL, "Path to TLS key file"},
    {"tlsverify", 0, FLAG_BOOL, offsetof(struct globals, cli.tls_verify), NULL,
     "Use TLS and verify the remote"},
    {"version", 'v', FLAG_BOOL, offsetof(struct globals, version), NULL,
     "Print version information and quit"},
};
static const struct flag_set global_set = FLAGS(global_flags);

static const char *const flag_args[] = {
    [FLAG_STR] = "string",   [FLAG_LIST] = "list",   [FLAG_INT] = "int",
    [FLAG_OPT_INT] = "int",  [FLAG_BYTES] = "bytes", [FLAG_CPUS] = "decimal",
    [FLAG_DUR] = "duration", [FLAG_MISSING] = "",
};

static void print_flags(FILE *to, const struct flag_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct flag *f = &set->v[i];
        if (f->help == NULL || f->kind == FLAG_MISSING)
            continue;
        char left[80];
        const char *arg = f->kind == FLAG_BOOL ? "" : f->arg != NULL ? f->arg : flag_args[f->kind];
        int n = f->letter != 0
                    ? snprintf(left, sizeof(left), "  -%c, --%s %s", f->letter, f->name, arg)
                    : snprintf(left, sizeof(left), "      --%s %s", f->name, arg);
        (void)fprintf(to, "%s%*s%s\n", left, n < 34 ? 34 - n : 1, "", f->help);
    }
}

static void print_help(FILE *to)
{
    (void)fprintf(
        to, "Usage:  hull [OPTIONS] COMMAND\n\nContainers without the ballast\n\nCommands:\n");
    for (size_t i = 0; i < n_commands; i++)
        if (strchr(commands[i]->name, ' ') == NULL)
            (void)fprintf(to, "  %-11s %s\n", commands[i]->name, commands[i]->help);
    (void)fprintf(to, "\nManagement Commands (hull container ls, hull image ls ...):\n");
    for (size_t i = 0; i < n_commands; i++)
        if (strchr(commands[i]->name, ' ') != NULL)
            (void)fprintf(to, "  %-22s %s\n", commands[i]->name, commands[i]->help);
    (void)fprintf(to, "\nGlobal Options:\n");
    print_flags(to, &global_set);
    (void)fprintf(to, "\nRun 'hull COMMAND --help' for more information on a command.\n");
}

static void print_usage(FILE *to, const struct command *cmd)
{
    (void)fprintf(to, "Usage:  hull %s%s%s\n", cmd->name, *cmd->usage != '\0' ? " " : "",
                  cmd->usage);
}

static void print_command_help(const struct command *cmd)
{
    print_usage(stdout, cmd);
    put_line("\n%s", cmd->help);
    if (cmd->aliases != NULL) {
        put("\nAliases:\n  hull ");
        put(cmd->name);
        for (struct str rest = str_of(cmd->aliases); rest.n > 0;) {
            struct str one = str_cut(&rest, '|');
            (void)printf(", hull %.*s", STR_ARG(one));
        }
        put("\n");
    }
    if (cmd->flags != NULL) {
        put("\nOptions:\n");
        print_flags(stdout, cmd->flags);
    }
}

/* How many of the words are this name ("container run"): its length in words, or 0. */
static int name_matches(struct str name, int argc, char **argv)
{
    int n = 0;
    while (name.n > 0) {
        if (n >= argc || !str_eq(str_cut(&name, ' '), argv[n]))
            return 0;
        n++;
    }
    return n;
}

static const struct command *command_find(int argc, char **argv, int *out_words)
{
    const struct command *best = NULL;
    *out_words = 0;
    for (size_t i = 0; i < n_commands; i++) {
        struct str names = str_of(commands[i]->aliases);
        int n = name_matches(str_of(commands[i]->name), argc, argv);
        while (n == 0 && names.n > 0)
            n = name_matches(str_cut(&names, '|'), argc, argv);
        if (n > *out_words) {
            best = commands[i];
            *out_words = n;
        }
    }
    return best;
}

static int wrong_count(const struct call *c)
{
    const struct command *cmd = c->cmd;
    int min = cmd->min_args, max = cmd->max_args;
    const char *plural = (max == min ? min : max > 0 && min == 0 ? max : min) == 1 ? "" : "s";
    if (max == 0)
        warn_line("hull: 'hull %s' accepts no arguments", cmd->name);
    else if (max == min)
        warn_line("hull: 'hull %s' requires %d argument%s", cmd->name, min, plural);
    else if (max < 0)
        warn_line("hull: 'hull %s' requires at least %d argument%s", cmd->name, min, plural);
    else
        warn_line("hull: 'hull %s' requires at least %d and at most %d arguments", cmd->name, min,
                  max);
    (void)fputc(0x0a, stderr);
    print_usage(stderr, cmd);
    warn_line("\nSee 'hull %s --help' for more information", cmd->name);
    return 1;
}

static int bad_flags(const char *name, const struct command *cmd, const struct err *e)
{
    warn_line("%s\n", e->msg);
    if (cmd != NULL)
        print_usage(stderr, cmd);
    warn_line("\nRun 'hull%s%s --help' for more information", *name != '\0' ? " " : "", name);
    return EXIT_FLAGS;
}

static int run_command(struct cli *cli, const struct command *cmd, int argc, char **argv)
{
    static const struct flag_set none = {NULL, 0};
    struct err e = {0};
    bool help = false;
    struct call c = {.cli = cli, .cmd = cmd};
    c.opts = arena_alloc(cli->arena, cmd->opts_size);
    if (flags_parse(cmd->flags != NULL ? cmd->flags : &none, c.opts, cmd->stop_at_arg, argc, argv,
                    cli->arena, &c.args, &c.given, &help, &e) < 0)
        return bad_flags(cmd->name, cmd, &e);
    if (help) {
        print_command_help(cmd);
        return 0;
    }
    if ((int)c.args.n < cmd->min_args || (cmd->max_args >= 0 && (int)c.args.n > cmd->max_args))
        return wrong_count(&c);
    int rc = cmd->run(&c, &e);
    if (rc == 0)
        return c.status;
    if (!c.silent)
        warn_line("%s", e.msg);
    return c.status != 0 ? c.status : 1;
}

/* "hull network" alone, or with --help: the commands below it. False when there is no such group.
 */
static bool print_group(const struct strv *words)
{
    bool alone = words->n == 1, asked = words->n == 2 && strcmp(words->v[1], "--help") == 0,
         found = false;
    FILE *to = asked ? stdout : stderr;
    for (size_t i = 0; (alone || asked) && i < n_commands; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): commands are there */
        const char *all[] = {commands[i]->name, commands[i]->aliases};
        for (size_t k = 0; k < ARRAY_LEN(all); k++) {
            struct str names = str_of(all[k]), name = str_cut(&names, '|'), sub = name;
            if (!str_eq(str_cut(&sub, ' '), words->v[0]) || sub.n == 0)
                continue;
            if (!found)
                (void)fprintf(to, "Usage:  hull %s COMMAND\n\nCommands:\n", words->v[0]);
            (void)fprintf(to, "  %-11.*s %s\n", STR_ARG(sub), commands[i]->help);
            found = true;
        }
    }
    return found;
}

static int dispatch(struct globals *g, struct strv *words)
{
    int n = 0;
    const struct command *cmd = command_find((int)words->n, words->v, &n);
    if (cmd != NULL)
        return run_command(&g->cli, cmd, (int)words->n - n, words->v + n);
    if (print_group(words))
        return 0;
    warn_line("hull: unknown command: hull %s\n\nRun 'hull --help' for more information",
              words->v[0]);
    return 1;
}

int main(int argc, char **argv)
{
    struct globals g = {0};
    struct strv words = {0};
    struct err e = {0};
    bool help = false;
    (void)signal(SIGPIPE, SIG_IGN);
    auto_arena struct arena *a = arena_new();
    if (flags_parse(&global_set, &g, true, argc - 1, argv + 1, a, &words, NULL, &help, &e) < 0)
        return bad_flags("", NULL, &e);
    if (g.version) {
        put_line("Hull version %s", HULL_VERSION);
        return 0;
    }
    if (help || words.n == 0) {
        print_help(help ? stdout : stderr);
        return 0;
    }
    if (words.n > 0 && strcmp(words.v[0], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (g.hosts.n > 1) {
        warn_line("specify only one -H");
        return 1;
    }
    g.cli.host = g.hosts.n > 0 ? g.hosts.v[0] : NULL;
    int status = 1;
    if (cli_init(&g.cli, &e) < 0)
        warn_line("%s", e.msg);
    else
        status = dispatch(&g, &words);
    /* what was printed must have arrived: a full disk is an error of the command */
    if (fflush(stdout) != 0 && errno != EPIPE && status == 0)
        status = 1;
    cli_done(&g.cli);
    return status;
}
