/**
 * Command-line flags as pflag reads them: --flag=v, --flag v, -f v, -fv, clusters (-it), bools with
 * an optional =value, and
 * "--". A table row names the flag, its kind and the member of the command's options that it fills.
 */
#ifndef HULL_CLI_FLAGS_H
#define HULL_CLI_FLAGS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"

enum flag_kind {
    FLAG_BOOL,    /* bool */
    FLAG_STR,     /* const char * */
    FLAG_LIST,    /* struct strv, one item each time */
    FLAG_INT,     /* int64_t */
    FLAG_OPT_INT, /* int64_t *, NULL when not given */
    FLAG_BYTES,   /* int64_t: "512", "64m", "1.5g" */
    FLAG_CPUS,    /* int64_t: billionths of a CPU, "1.5" */
    FLAG_DUR,     /* int64_t: ns, "1m30s" */
    FLAG_MISSING, /* docker has it, hull does not yet: a clear error */
};

struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_kind kind;
    size_t off;
    const char *arg;  /* name of the value in help; NULL: by kind */
    const char *help; /* NULL: hidden */
};

struct flag_set {
    const struct flag *v;
    size_t n;
};

/**
 * Parse.
 *
 * opts         struct that the offsets speak of; lists and numbers come from arena, strings are
 * borrowed from argv. stop_at_arg  the first positional argument ends the flags (run, exec).
 * out_args     what is left.
 * out_given    names of the flags that were given, in order; may be NULL.
 *
 * Errors: INVALID, "unknown flag: --foo", "invalid argument \"x\" for \"--memory\" flag: …". Sets
 * *out_help when --help (or -h where no flag has that letter) came; parsing ends there.
 */
int flags_parse(const struct flag_set *set, void *opts, bool stop_at_arg, int argc, char **argv,
                struct arena *arena, struct strv *out_args, struct strv *out_given, bool *out_help,
                struct err *e);

#endif
