/* hull pull, push, load, import: how images come and go. */
#include <fcntl.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/container_opts.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/table.h"
#include "sys/fd.h"
#include "types/image.h"
#include "types/reference.h"

struct pull_opts {
    bool all_tags, quiet, ignored;
    const char *platform, *input, *message;
    struct strv change;
};

/* docker.io/library/x:tag, as the daemon stores it */
static const char *canonical(struct cli *cli, const char *ref)
{
    if (ref_host_len(ref) > 0)
        return ref;
    return arena_printf(cli->arena, "docker.io/%s%s", strchr(ref, '/') != NULL ? "" : "library/",
                        ref);
}

/* The argument without a tag, for -a. */
static int whole_repository(struct call *c, const char *arg, struct err *e)
{
    bool added;
    (void)reference_with_tag(c->cli, arg, &added);
    return added ? 0 : err_set(e, ERR_INVALID, "tag can't be used with --all-tags/-a");
}

static int pull_run(struct call *c, struct err *e)
{
    const struct pull_opts *o = c->opts;
    bool added;
    const char *ref = reference_with_tag(c->cli, c->args.v[0], &added);
    if (o->all_tags) {
        TRY(whole_repository(c, c->args.v[0], e));
        TRY(image_fetch(c->cli, c->args.v[0], NULL, o->platform, stdout, o->quiet, e));
        put_line("%s", canonical(c->cli, c->args.v[0]));
        return 0;
    }
    if (added && !o->quiet)
        put_line("Using default tag: latest");
    (void)fflush(stdout);
    TRY(image_pull_show(c->cli, ref, o->platform, stdout, o->quiet, e));
    put_line("%s", canonical(c->cli, ref));
    return 0;
}

/* ---- push ---- */

struct notes {
    struct arena *a;
    VEC(const char *) v;
};

static void take_note(void *arg, const char *json)
{
    struct notes *n = arg;
    struct pushed_instead note;
    struct err ignored = {0};
    if (json_parse(&pushed_instead_json, &note, json, strlen(json), n->a, &ignored) < 0 ||
        !note.instead)
        return;
    const char *text = arena_printf(n->a,
                                    "Not all multiplatform-content is present and only the "
                                    "available single-platform image was pushed\n%s -> %s",
                                    note.index.digest, note.manifest.digest);
    vec_push_in(n->a, &n->v, text);
}

static int push_run(struct call *c, struct err *e)
{
    const struct pull_opts *o = c->opts;
    struct cli *cli = c->cli;
    const char *arg = c->args.v[0], *name = arg, *tag = NULL, *platform, *auth;
    struct notes notes = {.a = cli->arena};
    bool added = false;
    if (o->all_tags)
        TRY(whole_repository(c, arg, e));
    else
        name = reference_split(cli, arg, &tag);
    const char *ref = o->all_tags ? arg : reference_with_tag(cli, arg, &added);
    if (added && !o->quiet)
        put_line("Using default tag: latest");
    (void)fflush(stdout);
    TRY(cli_platform(cli, o->platform, &platform, e));
    TRY(cli_registry_auth(cli, name, &auth, e));
    const char *path = cli_query(cli, cli_path(cli, "/images/%s/push", name), "tag", tag);
    path = cli_query(cli, path, "platform", platform);
    const struct http_call_header head = {"X-Registry-Auth", *auth != '\0' ? auth : "e30="};
    const struct cli_req rq = {.method = "POST", .path = path, .headers = &head, .n_headers = 1};
    auto_http_resp struct http_resp *r = NULL;
    TRY(cli_call(cli, &rq, &r, e));
    TRY(progress_show_aux(cli, r, stdout, o->quiet, take_note, &notes, e));
    if (o->quiet)
        put_line("%s", canonical(cli, ref));
    vec_each(n, &notes.v)
        put_line("\nInfo -> %s", *n);
    return 0;
}

/* ---- load and import ---- */

/* Standard input, or a file; *fd is closed by the caller. */
static int open_input(const char *path, int *fd, struct err *e)
{
    if (path == NULL || strcmp(path, "-") == 0) {
        *fd = fd_dup(0);
        return *fd < 0 ? err_neg(e, *fd, "standard input") : 0;
    }
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? err_sys(e, "open %s", path) : 0;
}

static int upload(struct call *c, const char *path, int fd, bool quiet, struct err *e)
{
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "POST",
                         .path = path,
                         .type = "application/x-tar",
                         .stream_fd = true,
                         .body_fd = fd};
    TRY(cli_call(c->cli, &rq, &r, e));
    return progress_show(c->cli, r, stdout, quiet, e);
}

static int load_run(struct call *c, struct err *e)
{
    const struct pull_opts *o = c->opts;
    auto_fd int fd = -1;
    if (o->input == NULL && term_is(0))
        return err_set(e, ERR_INVALID, "requested load from stdin, but stdin is empty");
    const char *platform,
        *path = cli_query(c->cli, "/images/load", "quiet", o->quiet || !term_is(1) ? "1" : "0");
    TRY(cli_platform(c->cli, o->platform, &platform, e));
    TRY(open_input(o->input, &fd, e));
    return upload(c, cli_query(c->cli, path, "platform", platform), fd, false, e);
}

static int import_run(struct call *c, struct err *e)
{
    const struct pull_opts *o = c->opts;
    struct cli *cli = c->cli;
    const char *source = c->args.v[0], *repo = c->args.n > 1 ? c->args.v[1] : NULL;
    bool url = strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0;
    const char *path = cli_query(cli, "/images/create", "fromSrc", url ? source : "-");
    path = cli_query(cli, path, "repo", repo);
    path = cli_query(cli, path, "message", o->message);
    path = cli_query(cli, path, "platform", o->platform);
    for (size_t i = 0; i < o->change.n; i++)
        path = cli_query(cli, path, "changes", o->change.v[i]);
    auto_fd int fd = -1;
    if (url) {
        auto_http_resp struct http_resp *r = NULL;
        struct cli_req rq = {.method = "POST", .path = path};
        TRY(cli_call(cli, &rq, &r, e));
        return progress_show(cli, r, stdout, false, e);
    }
    TRY(open_input(source, &fd, e));
    return upload(c, path, fd, false, e);
}

#define OPT(name, letter, kind, member, help)                                     \
    {                                                                             \
        name, letter, FLAG_##kind, offsetof(struct pull_opts, member), NULL, help \
    }
static const struct flag pull_table[] = {
    OPT("all-tags", 'a', BOOL, all_tags, "Download all tagged images in the repository"),
    OPT("disable-content-trust", 0, BOOL, ignored, NULL),
    OPT("platform", 0, STR, platform, "Set platform if server is multi-platform capable"),
    OPT("quiet", 'q', BOOL, quiet, "Suppress verbose output"),
};
static const struct flag push_table[] = {
    OPT("all-tags", 'a', BOOL, all_tags, "Push all tags of an image to the repository"),
    OPT("disable-content-trust", 0, BOOL, ignored, NULL),
    OPT("platform", 0, STR, platform,
        "Push a platform-specific manifest as a single-platform image"),
    OPT("quiet", 'q', BOOL, quiet, "Suppress verbose output"),
};
static const struct flag load_table[] = {
    OPT("input", 'i', STR, input, "Read from tar archive file, instead of STDIN"),
    OPT("quiet", 'q', BOOL, quiet, "Suppress the load output"),
    OPT("platform", 0, STR, platform,
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., "
        "\"linux/amd64\")"),
};
static const struct flag import_table[] = {
    OPT("change", 'c', LIST, change, "Apply Dockerfile instruction to the created image"),
    OPT("message", 'm', STR, message, "Set commit message for imported image"),
    OPT("platform", 0, STR, platform, "Set platform if server is multi-platform capable"),
};
static const struct flag_set pull_set = FLAGS(pull_table), push_set = FLAGS(push_table),
                             load_set = FLAGS(load_table), import_set = FLAGS(import_table);

const struct command cmd_pull = {
    .name = "pull",
    .aliases = "image pull",
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .help = "Download an image from a registry",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct pull_opts),
    .flags = &pull_set,
    .run = pull_run,
};
const struct command cmd_push = {
    .name = "push",
    .aliases = "image push",
    .usage = "[OPTIONS] NAME[:TAG]",
    .help = "Upload an image to a registry",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct pull_opts),
    .flags = &push_set,
    .run = push_run,
};
const struct command cmd_load = {
    .name = "load",
    .aliases = "image load",
    .usage = "[OPTIONS]",
    .help = "Load an image from a tar archive or STDIN",
    .opts_size = sizeof(struct pull_opts),
    .flags = &load_set,
    .run = load_run,
};
const struct command cmd_import = {
    .name = "import",
    .aliases = "image import",
    .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    .help = "Import the contents from a tarball to create a filesystem image",
    .min_args = 1,
    .max_args = 2,
    .opts_size = sizeof(struct pull_opts),
    .flags = &import_set,
    .run = import_run,
};
