/**
 * What a command is: one table entry in a file of its own, listed in commands.c.
 */
#ifndef HULL_CLI_COMMAND_H
#define HULL_CLI_COMMAND_H

#include "cli/cli.h"
#include "cli/flags.h"

/** One call of a command. */
struct call {
    struct cli *cli;
    const struct command *cmd;
    void *opts;        /* the command's options, zeroed, then filled by its flags */
    struct strv args;  /* positional */
    struct strv given; /* names of flags that were given */
    int status;        /* exit code; set before a failing return it replaces the usual 1 */
    bool silent;       /* a failing return prints nothing: the command has said all */
};

typedef int command_fn(struct call *c, struct err *e);

struct command {
    const char *name;       /* "run", "container run": words as typed */
    const char *aliases;    /* "container run|…", NULL: none */
    const char *usage;      /* behind the name: "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
    const char *help;       /* one line */
    int min_args, max_args; /* max -1: any number */
    bool stop_at_arg;
    size_t opts_size;
    const struct flag_set *flags; /* NULL: none */
    command_fn *run;
};

/** All commands, and how many. */
extern const struct command *const commands[];
extern const size_t n_commands;

/** True when the flag of this name was given. */
bool call_given(const struct call *c, const char *flag);

#define FLAGS(array)              \
    {                             \
        (array), ARRAY_LEN(array) \
    }

#endif
