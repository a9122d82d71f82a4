/*
 * A layer's own work: see layer.h. hull-unpack writes the files; what needs CAP_SYS_ADMIN (marks of
 * overlay) or knowledge of other layers is done here.
 */
#include "store/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

#define OPAQUE_XATTR "trusted.overlay.opaque"
#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* ---- hull-unpack ---- */

int layer_start(struct store *s, struct layer_work *w, int root_fd, int input_fd, bool follow,
                int cancel_fd, struct err *e)
{
    const struct unpack_job job = {.op = "apply", .follow = follow};
    *w = (struct layer_work){.job = JOB_NONE, .doc = BUF_MAX(4096), .root_fd = root_fd};
    json_write(&unpack_job_json, &job, &w->doc);
    w->input_fd = fd_dup(input_fd);
    if (w->input_fd < 0)
        return err_neg(e, w->input_fd, "open layer");
    w->fds[0] = w->root_fd;
    w->fds[1] = w->input_fd;
    w->opts = (struct job_opts){.program = s->opts.unpack_path,
                                .doc = w->doc.p,
                                .doc_len = w->doc.n,
                                .fds = w->fds,
                                .n_fds = 2,
                                .cancel_fd = cancel_fd};
    return job_start(&w->job, &w->opts, e);
}

void layer_tell(struct layer_work *w, int64_t size, bool end)
{
    const struct unpack_notice n = {.size = size, .end = end};
    struct buf b = BUF_MAX(256);
    json_write(&unpack_notice_json, &n, &b);
    job_notify(&w->job, b.p, b.n, end);
    buf_done(&b);
}

int layer_finish(struct layer_work *w, struct arena *a, struct unpack_result *out, struct err *e)
{
    struct buf b = BUF_MAX(JOB_DOC_MAX);
    int r = job_finish(&w->job, &b, e);
    if (r == 0)
        r = json_parse(&unpack_result_json, out, b.p, b.n, a, e);
    buf_done(&b);
    return r;
}

void layer_done(struct layer_work *w)
{
    job_stop(&w->job);
    buf_done(&w->doc);
    fd_close(w->root_fd);
    fd_close(w->input_fd);
    w->root_fd = w->input_fd = -1;
}

/* The options of our overlay mounts, with paths relative to snapshots/: a page holds hundreds then.
 */
static char *relative_options(struct store *s, const struct mount_spec *m, struct arena *a)
{
    const char *prefix = arena_printf(a, "%s/snapshots/", s->root);
    size_t skip = strlen(prefix);
    struct buf b = BUF_MAX(1 << 20);
    for (size_t i = 0; i < m->options.n; i++) {
        buf_adds(&b, i > 0 ? "," : "");
        for (const char *p = m->options.v[i]; *p != 0;) {
            if (strncmp(p, prefix, skip) == 0)
                p += skip;
            else
                buf_addc(&b, *p++);
        }
    }
    char *out = arena_strdup(a, buf_cstr(&b));
    buf_done(&b);
    return out;
}

int layer_apply_merged(struct store *s, const struct mount_spec *m, int input_fd, int cancel_fd,
                       struct arena *a, struct unpack_result *out, struct err *e)
{
    struct buf doc = BUF_MAX(1 << 20), res = BUF_MAX(JOB_DOC_MAX);
    const struct unpack_job job = {.op = "apply",
                                   .merged = true,
                                   .mount_dir = arena_printf(a, "%s/snapshots", s->root),
                                   .mount_data = relative_options(s, m, a)};
    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {.program = s->opts.unpack_path,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = &input_fd,
                               .n_fds = 1,
                               .cancel_fd = cancel_fd};
    int r = job_run(&o, &res, e);
    if (r == 0)
        r = json_parse(&unpack_result_json, out, res.p, res.n, a, e);
    buf_done(&doc);
    buf_done(&res);
    return r;
}

int layer_check_diff_id(const char *expected, const struct unpack_result *r, struct err *e)
{
    if (r->digest != NULL && strcmp(expected, r->digest) == 0)
        return 0;
    return err_set(
        e, ERR_PRECONDITION,
        "wrong diff id calculated on extraction \"%s\", expected \"%s\": failed precondition",
        r->digest != NULL ? r->digest : "", expected);
}

/* ---- mending ---- */

enum below { BELOW_NOTHING, BELOW_DIR, BELOW_OTHER };

static bool is_opaque(int fd)
{
    char value[2];
    return fgetxattr(fd, OPAQUE_XATTR, value, sizeof(value)) == 1 && value[0] == 'y';
}

/* What one lower layer has at path; *stop: layers further down are hidden. */
static enum below look(int layer_fd, const char *path, int *out_fd, bool *stop)
{
    struct str rest = str_of(path);
    auto_fd int dir = openat(layer_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (dir >= 0 && rest.n > 0) {
        auto_free char *part = str_dup(str_cut(&rest, '/'));
        struct stat st;
        if (is_opaque(dir))
            *stop = true;
        if (fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return BELOW_NOTHING;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
            *stop = true;
            return BELOW_NOTHING;
        }
        if (!S_ISDIR(st.st_mode))
            return BELOW_OTHER;
        int next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fd_close(dir);
        dir = next;
    }
    if (dir < 0)
        return BELOW_NOTHING;
    *out_fd = take_fd(&dir);
    return BELOW_DIR;
}

static int copy_attributes(int from, int to, struct err *e)
{
    char names[8192], value[65536];
    ssize_t n = flistxattr(from, names, sizeof(names));
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        if (strncmp(names + at, "trusted.overlay.", 16) == 0)
            continue;
        ssize_t size = fgetxattr(from, names + at, value, sizeof(value));
        if (size >= 0 && fsetxattr(to, names + at, value, (size_t)size, 0) < 0 && errno != ENOTSUP)
            return err_sys(e, "copy attribute %s", names + at);
    }
    return 0;
}

static int copy_meta(int from, int to, struct err *e)
{
    struct stat st;
    if (fstat(from, &st) < 0)
        return err_sys(e, "stat lower directory");
    const struct timespec ts[2] = {st.st_atim, st.st_mtim};
    if (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0)
        return err_sys(e, "set owner of a parent directory");
    TRY(copy_attributes(from, to, e));
    return futimens(to, ts) < 0 ? err_sys(e, "set time of a parent directory") : 0;
}

/* A directory that the layer made, or -1 (with no error) when a later entry of the layer replaced
 * it. */
static int open_made(int own_fd, const char *path, int *out_fd, struct err *e)
{
    *out_fd = path_openat2(own_fd, path[0] != 0 ? path : ".", O_RDONLY | O_DIRECTORY, 0, BENEATH);
    if (*out_fd >= 0)
        return 0;
    if (*out_fd != -ENOENT && *out_fd != -ENOTDIR && *out_fd != -ELOOP)
        return err_neg(e, *out_fd, "open %s", path);
    *out_fd = -1;
    return 0;
}

/* 1: the path leads over a link or file below. */
static int mend_implied(int own_fd, const int *lower, size_t n, const char *path, struct err *e)
{
    bool stop = false;
    for (size_t i = 0; i < n && !stop; i++) {
        auto_fd int from = -1;
        enum below b = look(lower[i], path, &from, &stop);
        if (b == BELOW_OTHER)
            return 1;
        if (b == BELOW_NOTHING)
            continue;
        auto_fd int to = -1;
        TRY(open_made(own_fd, path, &to, e));
        return to < 0 ? 0 : copy_meta(from, to, e);
    }
    return 0;
}

static int mark_opaque(int own_fd, const char *path, struct err *e)
{
    auto_fd int fd = -1;
    TRY(open_made(own_fd, path, &fd, e));
    if (fd < 0)
        return 0;
    return fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0 ? err_sys(e, "mark %s opaque", path) : 0;
}

struct dir_fds {
    VEC(int) fds;
};

static void dir_fds_done(struct dir_fds *d)
{
    vec_each(fd, &d->fds) {
        fd_close(*fd);
    }
    vec_done(&d->fds);
}

int layer_mend(struct store *s, const struct scope *sc, const char *key, const char *parent,
               const struct unpack_result *applied, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    CLEANUP(dir_fds_done) struct dir_fds lower = {0};
    struct i64v ids = {0};
    auto_fd int own = snapshot_open_dir(s, sc, key, e);
    if (own < 0)
        return -1;
    if (applied->implied.n > 0 && parent[0] != 0)
        TRY(snapshot_lineage(s, sc, parent, a, &ids, e));
    for (size_t i = 0; i < ids.n; i++) {
        auto_free char *name = mem_printf("%lld/fs", (long long)ids.v[i]);
        int fd = path_open_beneath(s->snapshots_fd, name, O_RDONLY | O_DIRECTORY, 0, e);
        if (fd < 0)
            return -1;
        vec_push(&lower.fds, fd);
    }
    for (size_t i = 0; i < applied->implied.n; i++) {
        int r = mend_implied(own, lower.fds.v, lower.fds.n, applied->implied.v[i], e);
        if (r != 0)
            return r;
    }
    for (size_t i = 0; parent[0] != 0 && i < applied->opaque.n; i++)
        TRY(mark_opaque(own, applied->opaque.v[i], e));
    return 0;
}

/* ---- opaque directories of an upper ---- */

static int find_opaque(int fd, const char *path, int depth, struct arena *a, struct strv *out,
                       struct err *e)
{
    DIR *d = fdopendir(fd);
    int r = 0;
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read %s", path);
    }
    if (is_opaque(dirfd(d)))
        vec_push_in(a, out, arena_strdup(a, path));
    for (struct dirent *de; r == 0 && (de = readdir(d)) != NULL;) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0 ||
            (de->d_type != DT_DIR && de->d_type != DT_UNKNOWN))
            continue;
        int sub = openat(dirfd(d), de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0)
            continue; /* no directory, or gone meanwhile */
        auto_free char *next = mem_printf("%s%s%s", path, path[0] != 0 ? "/" : "", de->d_name);
        if (depth > 1000) {
            fd_close(sub);
            r = err_set(e, ERR_INVALID, "directories are nested too deeply");
        } else {
            r = find_opaque(sub, next, depth + 1, a, out, e);
        }
    }
    closedir(d);
    return r;
}

int layer_opaque_dirs(int fd, struct arena *a, struct strv *out, struct err *e)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return copy < 0 ? err_sys(e, "open directory") : find_opaque(copy, "", 0, a, out, e);
}
