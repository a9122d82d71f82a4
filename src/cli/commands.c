/* The list of all commands, in the order of the help; each stands in a file of its own, or with its
 * siblings. */
#include "cli/command.h"

/* clang-format off */
#define COMMANDS(X)                                                                                \
    X(run) X(exec) X(ps) X(pull) X(push) X(images) X(login) X(logout) X(search) X(version) X(info)                                      \
    X(attach) X(commit) X(cp) X(create) X(events) X(export) X(history) X(import) X(inspect) X(kill) X(load) X(logs)    \
    X(pause) X(port) X(rename) X(restart) X(rm) X(rmi) X(save) X(start) X(stats) X(stop) X(tag) X(top)     \
    X(unpause) X(wait)                                                                             \
    X(container_inspect) X(container_prune)                                                                           \
    X(image_inspect) X(image_prune)                                                                               \
    X(system_df)                                                                                   \
    X(network_connect) X(network_create) X(network_disconnect) X(network_inspect) X(network_ls)    \
    X(network_prune) X(network_rm)                                                                                  \
    X(volume_create) X(volume_inspect) X(volume_ls) X(volume_prune) X(volume_rm)
/* clang-format on */

#define X(name) extern const struct command cmd_##name;
COMMANDS(X)
#undef X

const struct command *const commands[] = {
#define X(name) &cmd_##name,
    COMMANDS(X)
#undef X
};
const size_t n_commands = ARRAY_LEN(commands);

bool call_given(const struct call *c, const char *flag)
{
    return strv_has(&c->given, flag);
}
