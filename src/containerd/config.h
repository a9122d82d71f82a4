/** The command line of hull-containerd and its configuration file. */
#ifndef HULL_CONTAINERD_CONFIG_H
#define HULL_CONTAINERD_CONFIG_H

#include "base/arena.h"
#include "base/err.h"

struct config {
    const char *address, *ttrpc_address; /* paths of sockets */
    const char *root, *state;            /* absolute */
    const char *log_level;
    const char *helper_dir; /* NULL: found beside the program */
    const char *file;       /* configuration; NULL: none was named */
    bool version;
    char **rest; /* subcommand and its arguments, NULL-terminated */
};

/**
 * Read the flags, and the file that --config names; a flag wins over the file. Strings live in the
 * arena or in argv. Errors: INVALID, with the flag or the file's line.
 */
int config_read(int argc, char **argv, struct arena *a, struct config *out, struct err *e);

/**
 * The keys of containerd's TOML that mean something here: root, state, grpc.address, ttrpc.address,
 * debug.level. Others are skipped; what is no TOML is INVALID and names the line. Only members of
 * *io that are NULL are set. Exposed for tests.
 */
int config_parse_toml(const char *text, struct arena *a, struct config *io, struct err *e);

#endif
