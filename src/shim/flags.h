/** The command line that containerd calls its shims with, and the three things they are called for.
 */
#ifndef HULL_SHIM_FLAGS_H
#define HULL_SHIM_FLAGS_H

#include "base/err.h"

struct flags {
    const char *ns, *address, *publish_binary, *id, *bundle, *socket;
    const char *action; /* "start", "delete", or NULL: serve */
    bool debug, version, info;
};

/** INVALID: an unknown flag, a missing value, or something that is needed is missing. */
int flags_parse(int argc, char **argv, struct flags *out, struct err *e);

/** Make sure that a shim for the bundle in the working directory runs, and print its address. */
int action_start(const struct flags *f, struct err *e);

/** Take apart what a dead shim has left, and print a DeleteResponse. */
int action_delete(const struct flags *f, struct err *e);

/** Be the shim: serve on descriptor 3 until all is over. */
int action_serve(const struct flags *f, struct err *e);

#endif
