/* hull create, and what run shares with it: creating a container, pulling its image when it is
 * missing. */
#include <fcntl.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/container_opts.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "sys/fd.h"

const char *reference_with_tag(struct cli *cli, const char *image, bool *out_added)
{
    const char *slash = strrchr(image, '/');
    const char *last = slash != NULL ? slash + 1 : image;
    *out_added = strchr(last, ':') == NULL && strchr(last, '@') == NULL;
    return *out_added ? arena_printf(cli->arena, "%s:latest", image) : image;
}

const char *reference_split(struct cli *cli, const char *image, const char **out_tag)
{
    bool added;
    const char *ref = reference_with_tag(cli, image, &added);
    const char *at = strchr(ref, '@'), *colon = strrchr(ref, ':');
    *out_tag = at != NULL ? at + 1 : colon + 1;
    return arena_strndup(cli->arena, ref, (size_t)((at != NULL ? at : colon) - ref));
}

int image_pull_show(struct cli *cli, const char *image, const char *platform, FILE *to, bool quiet,
                    struct err *e)
{
    const char *tag, *name = reference_split(cli, image, &tag);
    return image_fetch(cli, name, tag, platform, to, quiet, e);
}

int image_fetch(struct cli *cli, const char *name, const char *tag, const char *platform, FILE *to,
                bool quiet, struct err *e)
{
    const char *auth;
    TRY(cli_registry_auth(cli, name, &auth, e));
    const char *path = cli_query(cli, "/images/create", "fromImage", name);
    path = cli_query(cli, path, "tag", tag);
    path = cli_query(cli, path, "platform", platform);
    struct http_call_header head = {"X-Registry-Auth", auth};
    struct cli_req rq = {
        .method = "POST", .path = path, .headers = &head, .n_headers = *auth != '\0' ? 1 : 0};
    auto_http_resp struct http_resp *r = NULL;
    TRY(cli_call(cli, &rq, &r, e));
    return progress_show(cli, r, to, quiet, e);
}

static int write_cidfile(const char *path, const char *id, struct err *e)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, "failed to create the container ID file: open %s", path);
    int r = fd_write_all(fd, id, strlen(id));
    return r < 0 ? err_neg(e, r, "failed to write the container ID to the file (%s)", path) : 0;
}

static int create_once(struct call *c, const char *path, const struct container_create *doc,
                       struct container_created *out, struct err *e)
{
    return cli_send_json(c->cli, "POST", path, &container_create_json, doc, &container_created_json,
                         out, e);
}

int container_create_or_pull(struct call *c, const struct container_opts *o,
                             const struct container_create *doc, const char **out_id, struct err *e)
{
    struct cli *cli = c->cli;
    const char *pull = o->pull != NULL ? o->pull : "missing";
    bool always = strcmp(pull, "always") == 0, missing = strcmp(pull, "missing") == 0;
    if (!always && !missing && strcmp(pull, "never") != 0) {
        c->status = 125;
        return err_set(
            e, ERR_INVALID,
            "invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"", pull);
    }
    if (o->cidfile != NULL && access(o->cidfile, F_OK) == 0)
        return err_set(
            e, ERR_CONFLICT,
            "container ID file found, make sure the other container isn't running or delete %s",
            o->cidfile);
    const char *path = cli_query(cli, "/containers/create", "name", o->name);
    path = cli_query(cli, path, "platform", o->platform);
    struct container_created made = {0};
    if (always)
        TRY(image_pull_show(cli, doc->config.image, o->platform, stderr, o->quiet, e));
    if (create_once(c, path, doc, &made, e) < 0) {
        if (e->kind != ERR_NOT_FOUND || !missing || strstr(e->msg, "No such image") == NULL)
            return -1;
        bool added;
        if (!o->quiet)
            warn_line("Unable to find image '%s' locally",
                      reference_with_tag(cli, doc->config.image, &added));
        err_clear(e);
        TRY(image_pull_show(cli, doc->config.image, o->platform, stderr, o->quiet, e));
        TRY(create_once(c, path, doc, &made, e));
    }
    for (size_t i = 0; i < made.warnings.n; i++)
        warn_line("WARNING: %s", made.warnings.v[i]);
    *out_id = made.id;
    return o->cidfile != NULL ? write_cidfile(o->cidfile, made.id, e) : 0;
}

static int create_run(struct call *c, struct err *e)
{
    struct container_opts *o = c->opts;
    struct container_create doc;
    const char *id;
    if (container_opts_build(c, o, &doc, e) < 0) {
        c->status = 125;
        return -1;
    }
    TRY(container_create_or_pull(c, o, &doc, &id, e));
    put_line("%s", id);
    return 0;
}

const struct command cmd_create = {
    .name = "create",
    .aliases = "container create",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .help = "Create a new container",
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .opts_size = sizeof(struct container_opts),
    .flags = &create_flags,
    .run = create_run,
};
