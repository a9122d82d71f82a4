/* hull commit: a container's changes as an image. */
#include "base/str.h"
#include "cli/command.h"
#include "cli/container_opts.h"
#include "cli/table.h"
#include "types/exec.h"

struct commit_opts {
    bool pause, no_pause;
    const char *author, *message;
    struct strv change;
};

/* repo and tag of the second argument, when there is one. */
static int add_reference(struct call *c, const char **path, struct err *e)
{
    struct cli *cli = c->cli;
    bool added;
    if (c->args.n < 2)
        return 0;
    struct str name = str_of(reference_with_tag(cli, c->args.v[1], &added));
    if (str_index(name, '@') >= 0)
        return err_set(e, ERR_INVALID, "refusing to create a tag with a digest reference");
    struct str tag = str_cut_last(&name, ':');
    *path = cli_query(cli, *path, "repo", arena_strndup(cli->arena, name.p, name.n));
    *path = cli_query(cli, *path, "tag", arena_strndup(cli->arena, tag.p, tag.n));
    return 0;
}

static int commit_run(struct call *c, struct err *e)
{
    const struct commit_opts *o = c->opts;
    struct cli *cli = c->cli;
    bool running = o->no_pause || (call_given(c, "pause") && !o->pause);
    struct id_reply reply = {0};
    const char *path = cli_query(cli, "/commit", "container", c->args.v[0]);
    TRY(add_reference(c, &path, e));
    path = cli_query(cli, path, "comment", o->message);
    path = cli_query(cli, path, "author", o->author);
    path = cli_query(cli, path, "pause", running ? "0" : NULL);
    for (size_t i = 0; i < o->change.n; i++)
        path = cli_query(cli, path, "changes", o->change.v[i]);
    TRY(cli_json(cli, "POST", path, &id_reply_json, &reply, e));
    put_line("%s", reply.id);
    return 0;
}

#define OPT(name, letter, kind, member, help)                                       \
    {                                                                               \
        name, letter, FLAG_##kind, offsetof(struct commit_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("author", 'a', STR, author, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
    OPT("change", 'c', LIST, change, "Apply Dockerfile instruction to the created image"),
    OPT("message", 'm', STR, message, "Commit message"),
    OPT("no-pause", 0, BOOL, no_pause, "Disable pausing container during commit"),
    OPT("pause", 'p', BOOL, pause, "Pause container during commit (default true)"),
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_commit = {
    .name = "commit",
    .aliases = "container commit",
    .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    .help = "Create a new image from a container's changes",
    .min_args = 1,
    .max_args = 2,
    .opts_size = sizeof(struct commit_opts),
    .flags = &flags,
    .run = commit_run,
};
