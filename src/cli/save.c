/* hull save, export: archives out of the daemon, into a file that is there whole or not at all. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/session.h"
#include "sys/fd.h"
#include "sys/path.h"

enum { CHUNK = 64 << 10 };

struct save_opts {
    const char *output, *platform;
};

static int copy_body(struct http_resp *r, int fd, const char *name, struct err *e)
{
    char bytes[CHUNK];
    ssize_t n;
    while ((n = http_resp_read(r, bytes, sizeof(bytes), e)) > 0) {
        int w = fd_write_all(fd, bytes, (size_t)n);
        if (w < 0)
            return err_neg(e, w, "write %s", name);
    }
    return (int)n;
}

/* The file gets its name once all of it is there. */
static int copy_to_file(struct cli *cli, struct http_resp *r, const char *path, struct err *e)
{
    struct str dir = str_of(path), base = str_cut_last(&dir, '/');
    const char *folder = strchr(path, '/') == NULL ? "."
                         : dir.n == 0              ? "/"
                                                   : arena_strndup(cli->arena, dir.p, dir.n);
    const char *tmp =
        arena_printf(cli->arena, "%s/.tmp-%.*s-%d", folder, STR_ARG(base), (int)getpid());
    auto_fd int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, "open %s", tmp);
    int rc = copy_body(r, fd, path, e);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = err_sys(e, "rename %s %s", tmp, path);
    if (rc < 0)
        (void)unlink(tmp); /* the error is told already */
    return rc;
}

static int check_output(const char *path, struct err *e)
{
    struct stat st;
    struct str dir = str_of(path);
    (void)str_cut_last(&dir, '/');
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode)
                   ? err_set(e, ERR_INVALID, "invalid output path: \"%s\" must not be a directory",
                             path)
                   : 0;
    if (strchr(path, '/') == NULL || dir.n == 0)
        return 0;
    auto_free char *folder = str_dup(dir);
    return stat(folder, &st) == 0 && S_ISDIR(st.st_mode)
               ? 0
               : err_set(e, ERR_NOT_FOUND, "invalid output path: directory \"%s\" does not exist",
                         folder);
}

static int fetch(struct call *c, const char *path, const char *cowardly, struct err *e)
{
    const struct save_opts *o = c->opts;
    struct cli_req rq = {.method = "GET", .path = path};
    auto_http_resp struct http_resp *r = NULL;
    bool to_file = o->output != NULL && *o->output != '\0';
    if (!to_file && term_is(1))
        return err_set(e, ERR_INVALID, "%s", cowardly);
    if (to_file)
        TRY(check_output(o->output, e));
    TRY(cli_call(c->cli, &rq, &r, e));
    return to_file ? copy_to_file(c->cli, r, o->output, e) : copy_body(r, 1, "standard output", e);
}

static int save_run(struct call *c, struct err *e)
{
    const char *path = "/images/get";
    for (size_t i = 0; i < c->args.n; i++)
        path = cli_query(c->cli, path, "names", c->args.v[i]);
    const struct save_opts *o = c->opts;
    const char *platform;
    TRY(cli_platform(c->cli, o->platform, &platform, e));
    path = cli_query(c->cli, path, "platform", platform);
    return fetch(c, path, "cowardly refusing to save to a terminal. Use the -o flag or redirect",
                 e);
}

static int export_run(struct call *c, struct err *e)
{
    return fetch(c, cli_path(c->cli, "/containers/%s/export", c->args.v[0]),
                 "cowardly refusing to export to a terminal. Use the -o flag or redirect", e);
}

static const struct flag save_table[] = {
    {"output", 'o', FLAG_STR, offsetof(struct save_opts, output), NULL,
     "Write to a file, instead of STDOUT"},
    {"platform", 0, FLAG_STR, offsetof(struct save_opts, platform), NULL,
     "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., "
     "\"linux/amd64\")"},
};
static const struct flag_set save_set = FLAGS(save_table), export_set = {save_table, 1};

const struct command cmd_save = {
    .name = "save",
    .aliases = "image save",
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .help = "Save one or more images to a tar archive (streamed to STDOUT by default)",
    .min_args = 1,
    .max_args = -1,
    .opts_size = sizeof(struct save_opts),
    .flags = &save_set,
    .run = save_run,
};
const struct command cmd_export = {
    .name = "export",
    .aliases = "container export",
    .usage = "[OPTIONS] CONTAINER",
    .help = "Export a container's filesystem as a tar archive",
    .min_args = 1,
    .max_args = 1,
    .opts_size = sizeof(struct save_opts),
    .flags = &export_set,
    .run = export_run,
};
