/**
 * hull-runc's command line: one table of commands, one parser for all of them, in the manner of
 * runc's (urfave/cli): "--flag value", "--flag=value", "-f value"; booleans take "=false".
 */
#ifndef HULL_RUNTIME_CLI_H
#define HULL_RUNTIME_CLI_H

#include <stdio.h>

#include "base/vec.h"
#include "runtime/runtime.h"

struct cli_flag {
    const char *name, *alias;                               /* without dashes; alias may be NULL */
    enum { CLI_BOOL, CLI_TEXT, CLI_NUMBER, CLI_LIST } kind; /* a number is a text, and checked */
    const char *help;                                       /* NULL: not shown */
};

#define CLI_VALUES 24

/* The values of one command's flags, by position in its table. */
struct cli_values {
    const struct cli_flag *flags;
    size_t n;
    bool set[CLI_VALUES];
    bool on[CLI_VALUES];
    const char *text[CLI_VALUES];
    struct strv list[CLI_VALUES];
};

struct cli {
    const char *program; /* argv[0] as typed */
    const char *root, *log, *log_format;
    const char *manager; /* the service manager's socket (NOTIFY_SOCKET), or NULL */
    bool debug, systemd_cgroup, root_given;
    enum hullrun_rootless rootless;
    int log_fd;
    struct arena *a;
};

struct cli_command {
    const char *name, *args, *usage;
    const struct cli_flag *flags;
    size_t n_flags;
    int min_args, max_args; /* max -1: any */
    bool stop_at_argument;  /* exec, ps: what follows the id is not ours */
    bool seals;             /* starts processes: our own program must be protected first */
    int (*run)(struct cli *c, struct cli_values *v, char **args, int n, struct err *e); /* status */
};

/** Read flags from argv[*at] on; leaves *at at the first that is none (or collects all other words
 * into args when args is given). INVALID in runc's words. */
int cli_parse(struct cli_values *v, char **argv, int argc, int *at, char **args, int *n_args,
              struct arena *a, struct err *e);

/** Values by name; absent: false, NULL, empty. */
bool cli_bool(const struct cli_values *v, const char *name);
const char *cli_text(const struct cli_values *v, const char *name);
const struct strv *cli_list(const struct cli_values *v, const char *name);

/** A text that counts as absent when it is empty. */
const char *cli_path(const struct cli_values *v, const char *name);

/** A path of the caller's, made absolute before anything changes directory; NULL stays NULL. */
const char *cli_absolute(struct cli *c, const char *path);

/** Log a line where --log says; level "error", "warning", "debug". */
void cli_log(struct cli *c, const char *level, const char *msg);

/** The library's lines go where --log says, too. */
struct hullrun_log cli_oplog(struct cli *c);

extern const struct cli_command cli_commands[];
extern const size_t cli_n_commands;
extern const struct cli_flag cli_global_flags[];
extern const size_t cli_n_global_flags;

/** NULL when there is none of this name. */
const struct cli_command *cli_find_command(const char *name);

void cli_print_version(void);
void cli_print_help(FILE *to);
void cli_print_command_help(const struct cli_command *cmd, FILE *to);

/* The commands: cli_run.c (processes), cli_info.c (state, lists, files) and files of their own. */
/* clang-format off */
#define CLI_COMMANDS(X)                                                                       \
    X(create)                                                                                 \
    X(start)                                                                                  \
    X(run)                                                                                    \
    X(state) X(kill) X(delete) X(exec) X(list_all) X(spec) X(ps) X(pause) X(resume) X(update) \
        X(features) X(events) X(checkpoint) X(restore)
/* clang-format on */
#define X(name) \
    int cli_##name(struct cli *c, struct cli_values *v, char **args, int n, struct err *e);
CLI_COMMANDS(X)
#undef X

/** The flags that checkpoint and restore have in common (cli_checkpoint.c). INVALID in runc's
 * words.
 */
int cli_criu_opts(struct cli *c, const struct cli_values *v, struct hullrun_criu_opts *out,
                  struct err *e);

struct cli_ready {
    int sock;            /* where the program says that it is ready; -1 */
    const char *manager; /* who wants to know */
};

/** Foreground: forward signals and the terminal to a process until it ends; its exit status, or
 * 128 + the signal's number. ready may be NULL. */
int cli_foreground(struct hullrun_result *r, const struct cli_ready *ready, struct err *e);

#endif
