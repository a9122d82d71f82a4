/* All commands of hull-runc and their flags. See cli.h. A flag without a text is not shown: an old
 * or foreign one that is only taken. */
#include "runtime/cli.h"

#define FLAGS(name) name, ARRAY_LEN(name)

/* clang-format off */
#define MAKE_FLAGS                                                                               \
    {"bundle", "b", CLI_TEXT, "directory of the container's config.json (default: this one)"},   \
    {"config", "f", CLI_TEXT, "another path of config.json"},                                    \
    {"console-socket", NULL, CLI_TEXT, "unix socket that gets the master of the terminal"},      \
    {"pidfd-socket", NULL, CLI_TEXT, "unix socket that gets the pidfd of the first process"},    \
    {"pid-file", NULL, CLI_TEXT, "file to write the first process's id to"},                     \
    {"no-pivot", NULL, CLI_BOOL, "move the root with MS_MOVE, for one on a ramdisk"},            \
    {"no-new-keyring", NULL, CLI_BOOL, "stay in the caller's session keyring"},                  \
    {"preserve-fds", NULL, CLI_NUMBER, "pass on N descriptors, after stdio and LISTEN_FDS"}
/* clang-format on */

static const struct cli_flag create_flags[] = {
    MAKE_FLAGS,
    {"detach", "d", CLI_BOOL, NULL},
    {"no-subreaper", NULL, CLI_BOOL, NULL},
};
static const struct cli_flag run_flags[] = {
    MAKE_FLAGS,
    {"detach", "d", CLI_BOOL, "return once the container runs"},
    {"keep", NULL, CLI_BOOL, "do not delete the container when it has ended"},
    {"no-subreaper", NULL, CLI_BOOL, "leave orphans of the container to another process"},
};
/* clang-format off */
#define CRIU_FLAGS                                                                               \
    {"image-path", NULL, CLI_TEXT, "directory of criu's images (default: checkpoint)"},           \
    {"work-path", NULL, CLI_TEXT, "directory of criu's log (default: that of the images)"},       \
    {"tcp-established", NULL, CLI_BOOL, "allow open TCP connections"},                            \
    {"ext-unix-sk", NULL, CLI_BOOL, "allow unix sockets that lead outside"},                      \
    {"shell-job", NULL, CLI_BOOL, "allow a session that began outside"},                          \
    {"file-locks", NULL, CLI_BOOL, "take file locks along"},                                      \
    {"manage-cgroups-mode", NULL, CLI_TEXT, "soft, full, strict or ignore (default: criu's)"},    \
    {"empty-ns", NULL, CLI_LIST, "make this namespace, but do not fill it: network"},             \
    {"auto-dedup", NULL, CLI_BOOL, "free what later memory images hold again"},                   \
    {"lazy-pages", NULL, CLI_BOOL, "fetch memory when it is used (userfaultfd)"}
/* clang-format on */

static const struct cli_flag checkpoint_flags[] = {
    CRIU_FLAGS,
    {"parent-path", NULL, CLI_TEXT, "images of an earlier pre-dump, relative to the image path"},
    {"leave-running", NULL, CLI_BOOL, "let the container run on"},
    {"tcp-skip-in-flight", NULL, CLI_BOOL, "leave out TCP connections that are being made"},
    {"link-remap", NULL, CLI_BOOL, "link deleted files back where that is possible"},
    {"status-fd", NULL, CLI_NUMBER, "descriptor that gets a zero byte when lazy pages are served"},
    {"page-server", NULL, CLI_TEXT, "ADDRESS:PORT of a page server"},
    {"pre-dump", NULL, CLI_BOOL, "memory only; the container runs on"},
};
static const struct cli_flag restore_flags[] = {
    CRIU_FLAGS,
    {"bundle", "b", CLI_TEXT, "directory of the container's config.json (default: this one)"},
    {"console-socket", NULL, CLI_TEXT, "unix socket that gets the master of the terminal"},
    {"detach", "d", CLI_BOOL, "return once the container runs"},
    {"pid-file", NULL, CLI_TEXT, "file to write the first process's id to"},
    {"no-subreaper", NULL, CLI_BOOL, "leave orphans of the container to another process"},
    {"no-pivot", NULL, CLI_BOOL, "taken, and means nothing: criu makes the root"},
    {"lsm-profile", NULL, CLI_TEXT, "TYPE:NAME of another label for the processes"},
    {"lsm-mount-context", NULL, CLI_TEXT, "another label for the mounts"},
};
static const struct cli_flag exec_flags[] = {
    {"console-socket", NULL, CLI_TEXT, "unix socket that gets the master of the terminal"},
    {"pidfd-socket", NULL, CLI_TEXT, "unix socket that gets the pidfd of the process"},
    {"cwd", NULL, CLI_TEXT, "working directory in the container"},
    {"env", "e", CLI_LIST, "further environment variables"},
    {"tty", "t", CLI_BOOL, "give the process a terminal"},
    {"user", "u", CLI_TEXT, "UID[:GID]"},
    {"additional-gids", "g", CLI_LIST, "further groups"},
    {"process", "p", CLI_TEXT, "file that describes the whole process"},
    {"detach", "d", CLI_BOOL, "return once the process runs"},
    {"pid-file", NULL, CLI_TEXT, "file to write the process's id to"},
    {"process-label", NULL, CLI_TEXT, "SELinux label"},
    {"apparmor", NULL, CLI_TEXT, "AppArmor profile"},
    {"no-new-privs", NULL, CLI_BOOL, "no program gives it more privileges"},
    {"cap", "c", CLI_LIST, "further capabilities"},
    {"preserve-fds", NULL, CLI_NUMBER, "pass on N descriptors, after stdio and LISTEN_FDS"},
    {"cgroup", NULL, CLI_LIST, "[CONTROLLER[,...]:]PATH below the container's cgroup"},
    {"ignore-paused", NULL, CLI_BOOL, "also in a paused container"},
    {"no-subreaper", NULL, CLI_BOOL, NULL},
};
static const struct cli_flag kill_flags[] = {{"all", "a", CLI_BOOL, NULL}};
static const struct cli_flag delete_flags[] = {
    {"force", "f", CLI_BOOL, "kill it first if it runs; an unknown one is no error"},
};
static const struct cli_flag list_flags[] = {
    {"format", "f", CLI_TEXT, "table (default) or json"},
    {"quiet", "q", CLI_BOOL, "only the ids"},
};
static const struct cli_flag ps_flags[] = {
    {"format", "f", CLI_TEXT, "table (default) or json"},
};
static const struct cli_flag spec_flags[] = {
    {"bundle", "b", CLI_TEXT, "directory to write to (default: this one)"},
    {"rootless", NULL, CLI_BOOL, "for an ordinary user"},
};
static const struct cli_flag events_flags[] = {
    {"interval", NULL, CLI_TEXT, "time between two samples (default: 5s)"},
    {"stats", NULL, CLI_BOOL, "one sample only"},
};
static const struct cli_flag update_flags[] = {
    {"resources", "r", CLI_TEXT, "file with linux.resources, - for stdin; other flags are ignored"},
    {"blkio-weight", NULL, CLI_TEXT, "10 to 1000"},
    {"cpu-period", NULL, CLI_TEXT, "period of the CPU quota in microseconds"},
    {"cpu-quota", NULL, CLI_TEXT, "CPU time in a period in microseconds"},
    {"cpu-burst", NULL, CLI_TEXT, "CPU time that may be saved up, in microseconds"},
    {"cpu-share", NULL, CLI_TEXT, "relative weight"},
    {"cpu-shares", NULL, CLI_TEXT, NULL},
    {"cpu-rt-period", NULL, CLI_TEXT, "period of the real-time limit in microseconds"},
    {"cpu-rt-runtime", NULL, CLI_TEXT, "real-time CPU time in a period in microseconds"},
    {"cpuset-cpus", NULL, CLI_TEXT, "CPUs, as 0-3,7"},
    {"cpuset-mems", NULL, CLI_TEXT, "memory nodes, as 0-3,7"},
    {"cpu-idle", NULL, CLI_TEXT, "1: run only when nobody else wants to"},
    {"memory", NULL, CLI_TEXT, "memory limit in bytes, or with k, m, g"},
    {"memory-reservation", NULL, CLI_TEXT, "soft limit of memory"},
    {"memory-swap", NULL, CLI_TEXT, "limit of memory and swap; -1: none"},
    {"pids-limit", NULL, CLI_TEXT, "limit of processes and threads"},
    {"kernel-memory", NULL, CLI_TEXT, NULL},
    {"kernel-memory-tcp", NULL, CLI_TEXT, NULL},
    {"l3-cache-schema", NULL, CLI_TEXT, "Intel RDT: share of the L3 cache"},
    {"mem-bw-schema", NULL, CLI_TEXT, "Intel RDT: share of the memory's bandwidth"},
};

#define ID "<container-id>"

const struct cli_command cli_commands[] = {
    {"checkpoint", ID, "checkpoint a running container", FLAGS(checkpoint_flags), 1, 1, false,
     false, cli_checkpoint},
    {"create", ID, "create a container", FLAGS(create_flags), 1, 1, false, true, cli_create},
    {"delete", ID, "delete what a stopped container holds", FLAGS(delete_flags), 1, 1, false, false,
     cli_delete},
    {"events", ID, "display statistics and out-of-memory notices", FLAGS(events_flags), 1, 1, false,
     false, cli_events},
    {"exec", ID " <command> [arguments...]", "execute a new process inside the container",
     FLAGS(exec_flags), 1, -1, true, true, cli_exec},
    {"features", "", "show the enabled features", NULL, 0, 0, 0, false, false, cli_features},
    {"kill", ID " [signal]", "send a signal (default: TERM) to the container's first process",
     FLAGS(kill_flags), 1, 2, false, false, cli_kill},
    {"list", "", "list the containers of this root", FLAGS(list_flags), 0, 0, false, false,
     cli_list_all},
    {"pause", ID, "suspend all processes inside the container", NULL, 0, 1, 1, false, false,
     cli_pause},
    {"ps", ID " [options of ps]", "display the processes running inside the container",
     FLAGS(ps_flags), 1, -1, true, false, cli_ps},
    {"restore", ID, "restore a container from a checkpoint", FLAGS(restore_flags), 1, 1, false,
     false, cli_restore},
    {"resume", ID, "resume all processes that have been paused", NULL, 0, 1, 1, false, false,
     cli_resume},
    {"run", ID, "create and run a container", FLAGS(run_flags), 1, 1, false, true, cli_run},
    {"spec", "", "create a new specification file", FLAGS(spec_flags), 0, 0, false, false,
     cli_spec},
    {"start", ID, "run the user's program in a created container", NULL, 0, 1, 1, false, false,
     cli_start},
    {"state", ID, "output the state of a container", NULL, 0, 1, 1, false, false, cli_state},
    {"update", ID, "change the container's resource limits", FLAGS(update_flags), 1, 1, false,
     false, cli_update},
};
const size_t cli_n_commands = ARRAY_LEN(cli_commands);

const struct cli_flag cli_global_flags[] = {
    {"root", NULL, CLI_TEXT,
     "directory of the containers' state (default: " HULLRUN_DEFAULT_ROOT ")"},
    {"log", NULL, CLI_TEXT, "file to append messages to (default: stderr)"},
    {"log-format", NULL, CLI_TEXT, "text (default) or json"},
    {"debug", NULL, CLI_BOOL, "log each step"},
    {"systemd-cgroup", NULL, CLI_BOOL, "cgroups through systemd; cgroupsPath is slice:prefix:name"},
    {"rootless", NULL, CLI_TEXT, "ignore missing rights on cgroups: true, false or auto (default)"},
    {"criu", NULL, CLI_TEXT, NULL},
    {"cgroup-manager", NULL, CLI_TEXT, NULL},
    {"help", "h", CLI_BOOL, "show this"},
    {"version", "v", CLI_BOOL, "print the version"},
};
const size_t cli_n_global_flags = ARRAY_LEN(cli_global_flags);

/* ---- their help --------------------------------------------------------------------------- */

static int width_of(const struct cli_flag *f)
{
    size_t n = strlen(f->name) + (f->kind != CLI_BOOL ? strlen(" value") : 0);
    return (int)(n + (f->alias != NULL ? strlen(", -") + strlen(f->alias) : 0));
}

static void print_flags(const struct cli_flag *flags, size_t n, FILE *to)
{
    int width = 0;
    for (size_t i = 0; i < n; i++)
        if (flags[i].help != NULL)
            width = MAX(width, width_of(&flags[i]));
    for (size_t i = 0; i < n; i++) {
        const struct cli_flag *f = &flags[i];
        if (f->help == NULL)
            continue;
        (void)fprintf(to, "   --%s%s%s%s%*s%s\n", f->name, f->alias != NULL ? ", -" : "",
                      f->alias != NULL ? f->alias : "", f->kind != CLI_BOOL ? " value" : "",
                      width - width_of(f) + 2, "", f->help);
    }
}

void cli_print_version(void)
{
    printf("runc version " HULL_VERSION "+hull\ncommit: hull-" HULL_VERSION
           "\nspec: " HULLRUN_VERSION_SPEC "\n");
}

void cli_print_help(FILE *to)
{
    (void)fprintf(to, "NAME:\n   hull-runc - Open Container Initiative runtime\n\n"
                      "USAGE:\n   hull-runc [global options] command [command options] "
                      "[arguments...]\n\nVERSION:\n   " HULL_VERSION "\n\nCOMMANDS:\n");
    for (size_t i = 0; i < cli_n_commands; i++)
        (void)fprintf(to, "   %-12s%s\n", cli_commands[i].name, cli_commands[i].usage);
    (void)fprintf(to, "   %-12s%s\n\nGLOBAL OPTIONS:\n", "help, h",
                  "show the commands, or help for one");
    print_flags(cli_global_flags, cli_n_global_flags, to);
}

void cli_print_command_help(const struct cli_command *cmd, FILE *to)
{
    bool any = false;
    for (size_t i = 0; i < cmd->n_flags; i++)
        any |= cmd->flags[i].help != NULL;
    (void)fprintf(to, "NAME:\n   hull-runc %s - %s\n\nUSAGE:\n   hull-runc %s%s%s%s\n", cmd->name,
                  cmd->usage, cmd->name, any ? " [command options]" : "",
                  *cmd->args != '\0' ? " " : "", cmd->args);
    if (any)
        (void)fprintf(to, "\nOPTIONS:\n");
    print_flags(cmd->flags, cmd->n_flags, to);
}

const struct cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; i < cli_n_commands; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    return NULL;
}
