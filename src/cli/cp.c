/*
 * hull cp: files between here and a container. The tar that travels is written and read by
 * hull-unpack on our side too; this file only decides what goes where, by the rules of cp(1) as
 * docker bends them.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/base64.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/human.h"
#include "cli/table.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "types/unpack_job.h"

#define CHUNK 65536
#define GO_DIR (1ULL << 31)
#define GO_LINK (1ULL << 27)

struct cp_opts {
    bool archive, follow_link, quiet;
};

/* One side: a path, and the container it lies in (NULL: here). */
struct side {
    const char *container, *path;
};

/* What is known of the destination before anything is copied. */
struct target {
    bool exists, is_dir;
};

static struct side side_parse(struct cli *cli, const char *arg)
{
    const char *colon = strchr(arg, ':');
    if (arg[0] == '/' || arg[0] == '.' || colon == NULL || colon == arg)
        return (struct side){NULL, arg};
    return (struct side){arena_strndup(cli->arena, arg, (size_t)(colon - arg)), colon + 1};
}

static bool ends(const char *path, const char *suffix)
{
    return str_ends(str_of(path), suffix);
}

static const char *dir_of(struct cli *cli, const char *path)
{
    struct str dir = str_of(path);
    while (dir.n > 1 && dir.p[dir.n - 1] == '/')
        dir.n--;
    while (dir.n > 0 && dir.p[dir.n - 1] != '/')
        dir.n--;
    return dir.n == 0 ? "." : arena_strndup(cli->arena, dir.p, dir.n);
}

static const char *base_of(struct cli *cli, const char *path)
{
    struct str s = str_of(path);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    struct str base = str_cut_last(&s, '/');
    return base.n == 0 ? "/" : arena_strndup(cli->arena, base.p, base.n);
}

/*
 * Where the copy lands: the directory it is extracted into and the name it gets there (NULL: its
 * own). src_dir: the source is a directory; contents: only what is in it ("dir/.").
 */
static int plan(struct cli *cli, const char *dst, const struct target *t, bool src_dir,
                bool contents, const char **out_dir, const char **out_name, struct err *e)
{
    *out_name = NULL;
    *out_dir = dst;
    if (t->exists && t->is_dir)
        return 0;
    if (t->exists && (ends(dst, "/") || ends(dst, "/.")))
        return err_set(e, ERR_INVALID, "not a directory");
    if (t->exists && src_dir)
        return err_set(e, ERR_INVALID, "cannot copy directory");
    if (!t->exists && !src_dir && ends(dst, "/"))
        return err_set(e, ERR_NOT_FOUND, "no such directory");
    (void)contents;
    *out_dir = dir_of(cli, dst);
    *out_name = base_of(cli, dst);
    return 0;
}

/* ---- the container's side ---- */

static int base64_json(const char *text, struct path_stat *out, struct arena *a, struct err *e)
{
    auto_buf struct buf json = BUF_MAX(65536);
    if (!base64_decode(text, &json))
        return err_set(e, ERR_INVALID, "unable to decode container path stat header");
    return json_parse(&path_stat_json, out, buf_cstr(&json), json.n, a, e);
}

static int remote_stat(struct call *c, const struct side *s, struct path_stat *out, struct err *e)
{
    auto_http_resp struct http_resp *r = NULL;
    const char *path = cli_path(c->cli, "/containers/%s/archive", s->container);
    struct cli_req rq = {.method = "HEAD", .path = cli_query(c->cli, path, "path", s->path)};
    if (cli_call(c->cli, &rq, &r, e) < 0) {
        if (e->kind == ERR_NOT_FOUND) /* an answer to HEAD has no text */
            return err_set(e, ERR_NOT_FOUND,
                           "Error response from daemon: Could not find the file %s in container %s",
                           s->path, s->container);
        return -1;
    }
    return base64_json(http_resp_head(r, "X-Docker-Container-Path-Stat"), out, c->cli->arena, e);
}

/* The path that a link leads to, for --follow-link and for destinations. */
static int remote_follow(struct call *c, struct side *s, struct path_stat *st, struct err *e)
{
    if ((st->mode & GO_LINK) == 0 || st->link_target == NULL || *st->link_target == '\0')
        return 0;
    s->path = st->link_target;
    return remote_stat(c, s, st, e);
}

/* ---- hull-unpack on our side ---- */

/* NOLINTNEXTLINE(readability-function-size): one caller; a struct would only rename them */
static int run_job(struct call *c, const struct unpack_job *job, int data_fd, struct job *j,
                   struct buf *doc, struct job_opts *o, int root_fd, int fds[static 2],
                   struct err *e)
{
    const char *program = cli_helper(c->cli, "hull-unpack");
    if (program == NULL)
        return err_set(e, ERR_NOT_FOUND, "hull-unpack is not installed");
    json_write(&unpack_job_json, job, doc);
    fds[0] = root_fd;
    fds[1] = data_fd;
    *o = (struct job_opts){
        .program = program, .doc = doc->p, .doc_len = doc->n, .fds = fds, .n_fds = 2};
    return job_start(j, o, e);
}

static void say_copied(const struct call *c, int64_t bytes, const char *to)
{
    const struct cp_opts *o = c->opts;
    if (!o->quiet)
        warn_line("Successfully copied %s to %s", human_size(c->cli->arena, (double)bytes, 3), to);
}

static int pump_response(struct http_resp *r, int fd, int64_t *out_bytes, struct err *e)
{
    char bytes[CHUNK];
    ssize_t n;
    *out_bytes = 0;
    while ((n = http_resp_read(r, bytes, sizeof(bytes), e)) > 0) {
        *out_bytes += n;
        if (fd_write_all(fd, bytes, (size_t)n) < 0)
            return 0; /* the reader is gone; it says why */
    }
    return (int)n;
}

static int local_target(const char *path, struct target *out)
{
    struct stat st;
    out->exists = stat(path, &st) == 0;
    out->is_dir = out->exists && S_ISDIR(st.st_mode);
    return 0;
}

static int extract_here(struct call *c, struct http_resp *r, const char *dir, const char *name,
                        int64_t *out_bytes, struct err *e)
{
    auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), in = -1, out = -1;
    auto_buf struct buf doc = BUF_MAX(65536), result = BUF_MAX(1 << 20);
    auto_job struct job j = JOB_NONE;
    auto_free char *full = realpath(dir, NULL);
    struct unpack_job job = {
        .op = "cp-in", .path = full, .name = name, .no_overwrite_dir_non_dir = true};
    struct job_opts o;
    int fds[2];
    if (full == NULL)
        return err_set(e, ERR_NOT_FOUND, "invalid output path: directory \"%s\" does not exist",
                       dir);
    if (root < 0 || fd_pipe(&in, &out, 0) < 0)
        return err_sys(e, "prepare the copy");
    TRY(run_job(c, &job, in, &j, &doc, &o, root, fds, e));
    fd_close(take_fd(&in));
    int rc = pump_response(r, out, out_bytes, e);
    fd_close(take_fd(&out));
    struct err why = {0};
    if (job_finish(&j, &result, &why) < 0 && rc == 0) {
        *e = why;
        return -1;
    }
    return rc;
}

static int copy_from(struct call *c, struct side src, const char *dst, struct err *e)
{
    const struct cp_opts *o = c->opts;
    struct path_stat st;
    struct target t;
    const char *dir, *name;
    int64_t bytes;
    TRY(remote_stat(c, &src, &st, e));
    if (o->follow_link)
        TRY(remote_follow(c, &src, &st, e));
    const char *path = cli_path(c->cli, "/containers/%s/archive", src.container);
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "GET", .path = cli_query(c->cli, path, "path", src.path)};
    bool to_stdout = strcmp(dst, "-") == 0;
    if (!to_stdout) {
        local_target(dst, &t);
        TRY(plan(c->cli, dst, &t, (st.mode & GO_DIR) != 0, ends(src.path, "/."), &dir, &name, e));
    }
    TRY(cli_call(c->cli, &rq, &r, e));
    if (to_stdout)
        return pump_response(r, 1, &bytes, e);
    TRY(extract_here(c, r, dir, name, &bytes, e));
    say_copied(c, bytes, arena_printf(c->cli->arena, "%s", dst));
    return 0;
}

static int upload(struct call *c, const struct side *dst, const char *dir, int fd, struct err *e)
{
    const struct cp_opts *o = c->opts;
    const char *path = cli_path(c->cli, "/containers/%s/archive", dst->container);
    path = cli_query(c->cli, path, "path", dir);
    path = cli_query(c->cli, path, "noOverwriteDirNonDir", "true");
    path = cli_query(c->cli, path, "copyUIDGID", o->archive ? "true" : NULL);
    auto_http_resp struct http_resp *r = NULL;
    auto_buf struct buf drop = BUF_MAX(1 << 20);
    struct cli_req rq = {.method = "PUT",
                         .path = path,
                         .type = "application/x-tar",
                         .stream_fd = true,
                         .body_fd = fd};
    TRY(cli_call(c->cli, &rq, &r, e));
    return http_resp_read_all(r, &drop, e);
}

static int remote_target(struct call *c, struct side *dst, struct target *out, struct err *e)
{
    struct path_stat st;
    *out = (struct target){0};
    if (remote_stat(c, dst, &st, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
        return 0;
    }
    TRY(remote_follow(c, dst, &st, e));
    out->exists = true;
    out->is_dir = (st.mode & GO_DIR) != 0;
    return 0;
}

static int pack_and_upload(struct call *c, const char *src, const struct side *dst, const char *dir,
                           const char *name, struct err *e)
{
    auto_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), in = -1, out = -1;
    auto_buf struct buf doc = BUF_MAX(65536), result = BUF_MAX(1 << 20);
    auto_job struct job j = JOB_NONE;
    struct unpack_job job = {.op = "cp-out", .path = src, .name = name};
    struct unpack_result done = {0};
    struct job_opts o;
    struct err why = {0};
    int fds[2];
    if (root < 0 || fd_pipe(&in, &out, 0) < 0)
        return err_sys(e, "prepare the copy");
    TRY(run_job(c, &job, out, &j, &doc, &o, root, fds, e));
    fd_close(take_fd(&out));
    int rc = upload(c, dst, dir, in, e);
    fd_close(take_fd(&in));
    if (job_finish(&j, &result, &why) < 0 && rc == 0) {
        *e = why;
        return -1;
    }
    TRY(rc);
    TRY(json_parse(&unpack_result_json, &done, buf_cstr(&result), result.n, c->cli->arena, e));
    say_copied(c, done.size, arena_printf(c->cli->arena, "%s:%s", dst->container, dst->path));
    return 0;
}

static int copy_to(struct call *c, const char *src, struct side dst, struct err *e)
{
    const struct cp_opts *o = c->opts;
    struct target t;
    struct stat st;
    const char *dir, *name, *shown = dst.path;
    TRY(remote_target(c, &dst, &t, e));
    if (strcmp(src, "-") == 0) {
        if (!t.is_dir)
            return err_set(e, ERR_INVALID, "destination \"%s:%s\" must be a directory",
                           dst.container, dst.path);
        return upload(c, &dst, dst.path, 0, e);
    }
    bool contents = ends(src, "/.");
    auto_free char *full = NULL;
    if ((o->follow_link ? stat(src, &st) : lstat(src, &st)) < 0)
        return err_set(e, ERR_NOT_FOUND, "lstat %s: no such file or directory", src);
    if (o->follow_link || contents || ends(src, "/")) {
        full = realpath(src, NULL);
    } else { /* a link is copied as a link: only its folder is resolved */
        auto_free char *folder = realpath(dir_of(c->cli, src), NULL);
        full = folder == NULL ? NULL : mem_printf("%s/%s", folder, base_of(c->cli, src));
    }
    if (full == NULL)
        return err_set(e, ERR_NOT_FOUND, "lstat %s: no such file or directory", src);
    TRY(plan(c->cli, dst.path, &t, S_ISDIR(st.st_mode), contents, &dir, &name, e));
    if (o->follow_link && name == NULL)
        name = base_of(c->cli, src);
    const char *from =
        contents ? arena_printf(c->cli->arena, "%s/.", full) : arena_strdup(c->cli->arena, full);
    dst.path = shown;
    return pack_and_upload(c, from, &dst, dir, contents && name == NULL ? NULL : name, e);
}

static int cp_run(struct call *c, struct err *e)
{
    struct side src = side_parse(c->cli, c->args.v[0]), dst = side_parse(c->cli, c->args.v[1]);
    if (*src.path == '\0')
        return err_set(e, ERR_INVALID, "source can not be empty");
    if (*dst.path == '\0')
        return err_set(e, ERR_INVALID, "destination can not be empty");
    if (src.container != NULL && dst.container != NULL)
        return err_set(e, ERR_INVALID, "copying between containers is not supported");
    if (src.container != NULL)
        return copy_from(c, src, dst.path, e);
    if (dst.container != NULL)
        return copy_to(c, src.path, dst, e);
    return err_set(e, ERR_INVALID, "must specify at least one container source");
}

#define OPT(name, letter, kind, member, help)                                   \
    {                                                                           \
        name, letter, FLAG_##kind, offsetof(struct cp_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("archive", 'a', BOOL, archive, "Archive mode (copy all uid/gid information)"),
    OPT("follow-link", 'L', BOOL, follow_link, "Always follow symbol link in SRC_PATH"),
    OPT("quiet", 'q', BOOL, quiet, "Suppress progress output during copy"),
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_cp = {
    .name = "cp",
    .aliases = "container cp",
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
    .help = "Copy files/folders between a container and the local filesystem",
    .min_args = 2,
    .max_args = 2,
    .opts_size = sizeof(struct cp_opts),
    .flags = &flags,
    .run = cp_run,
};
