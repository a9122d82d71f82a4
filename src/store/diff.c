/*
 * Diff.Apply and Diff.Diff: layers applied to mounts, and mounts turned into layers. The mounts are
 * ones that snapshot_mounts made: their options name our directories.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "store/content.h"
#include "store/layer.h"
#include "store/unpack.h"
#include "sys/fd.h"
#include "types/reference.h"

static const char *option_of(const struct mount_spec *m, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < m->options.n; i++)
        if (strncmp(m->options.v[i], key, n) == 0 && m->options.v[i][n] == '=')
            return m->options.v[i] + n + 1;
    return NULL;
}

static bool has_option(const struct mount_spec *m, const char *word)
{
    return strv_has(&m->options, word);
}

static int open_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

/* Only our own snapshots: a path of somebody else's choice is not written to. */
static int check_ours(struct store *s, const char *path, struct err *e)
{
    auto_free char *prefix = mem_printf("%s/snapshots/", s->root);
    if (path != NULL && strncmp(path, prefix, strlen(prefix)) == 0 && strstr(path, "/..") == NULL)
        return 0;
    return err_set(e, ERR_INVALID,
                   "mount %.500s is not one of this snapshotter's: invalid argument",
                   path != NULL ? path : "");
}

/* ---- apply ---- */

static int apply_dir(struct store *s, const char *path, int in, int cancel_fd, struct arena *a,
                     struct unpack_result *out, struct err *e)
{
    struct layer_work w = {.job = JOB_NONE, .root_fd = -1, .input_fd = -1};
    int root = open_dir(path, e);
    if (root < 0)
        return -1;
    int r = layer_start(s, &w, root, in, false, cancel_fd, e);
    if (r == 0)
        r = layer_finish(&w, a, out, e);
    layer_done(&w);
    return r;
}

int layer_apply(struct store *s, const struct scope *sc, const struct oci_descriptor *layer,
                const struct mount_spec *mount, int cancel_fd, struct arena *a,
                struct oci_descriptor *out, struct err *e)
{
    struct unpack_result res = {0};
    auto_fd int in = content_open(s, sc, layer->digest, NULL, e);
    if (in < 0)
        return -1;
    if (strcmp(mount->type, "overlay") == 0) {
        TRY(check_ours(s, option_of(mount, "upperdir"), e));
        TRY(layer_apply_merged(s, mount, in, cancel_fd, a, &res, e));
    } else if (strcmp(mount->type, "bind") == 0 && has_option(mount, "rw")) {
        TRY(check_ours(s, mount->source, e));
        TRY(apply_dir(s, mount->source, in, cancel_fd, a, &res, e));
    } else {
        return err_set(e, ERR_INVALID, "cannot apply a layer to this %.20s mount: invalid argument",
                       mount->type);
    }
    if (res.needs_merge)
        return err_set(e, ERR_INVALID, "invalid layer: %s: invalid argument", res.reason);
    *out = (struct oci_descriptor){.media_type = OCI_LAYER, .digest = res.digest, .size = res.size};
    return 0;
}

int folder_unpack(struct store *s, const struct scope *sc, const char *digest, const char *path,
                  int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct unpack_result res = {0};
    auto_fd int in = content_open(s, sc, digest, NULL, e);
    return in < 0 ? -1 : apply_dir(s, path, in, cancel_fd, a, &res, e);
}

/* ---- diff ---- */

/* The directories of a mount, topmost first. */
static void mount_dirs(const struct mount_spec *m, struct arena *a, struct strv *out)
{
    if (m == NULL || m->type == NULL || m->type[0] == 0)
        return;
    if (strcmp(m->type, "overlay") != 0) {
        vec_push_in(a, out, arena_strdup(a, m->source));
        return;
    }
    const char *upper = option_of(m, "upperdir"), *lower = option_of(m, "lowerdir");
    if (upper != NULL)
        vec_push_in(a, out, arena_strdup(a, upper));
    struct str rest = str_of(lower);
    while (rest.n > 0) {
        struct str dir = str_cut(&rest, ':');
        vec_push_in(a, out, arena_strndup(a, dir.p, dir.n));
    }
}

/* The one directory that upper has over lower. NULL: the same, or it cannot be said so simply. */
static int top_directory(const struct strv *upper, const struct strv *lower, const char **out,
                         struct err *e)
{
    *out = NULL;
    size_t extra = upper->n - lower->n;
    bool fits = upper->n >= lower->n;
    /* a snapshot without parent is compared with an empty view of its own */
    if (lower->n == 1 && upper->n == 1 && strcmp(lower->v[0], upper->v[0]) != 0) {
        *out = upper->v[0];
        return 0;
    }
    for (size_t i = 0; fits && i < lower->n; i++)
        fits = strcmp(upper->v[extra + i], lower->v[i]) == 0;
    if (!fits || extra > 1)
        return err_set(
            e, ERR_UNIMPLEMENTED,
            "a difference between snapshots that are not parent and child: not implemented");
    *out = extra == 1 ? upper->v[0] : NULL;
    return 0;
}

static const struct format {
    const char *media_type, *compression;
} formats[] = {{OCI_LAYER_GZIP, "gzip"},
               {DOCKER_LAYER_GZIP, "gzip"},
               {OCI_LAYER_ZSTD, "zstd"},
               {OCI_LAYER, ""},
               {DOCKER_LAYER, ""}};

static const struct format *format_for(const char *media_type)
{
    if (media_type == NULL || media_type[0] == 0)
        return &formats[0];
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i].media_type, media_type) == 0)
            return &formats[i];
    return NULL;
}

/* A directory that becomes a blob. */
struct diff_source {
    const char *dir, *compression;
    const struct userns_maps *maps; /* whose ids its files have; the blob gets those inside. NULL:
                                       as they are */
};

static int run_diff(struct store *s, const struct diff_source *from, int out_fd, int cancel_fd,
                    struct arena *a, struct unpack_result *res, struct err *e)
{
    struct unpack_job job = {
        .op = "diff", .compression = from->compression, .userns = from->maps != NULL};
    struct buf doc = BUF_MAX(JOB_DOC_MAX), out = BUF_MAX(JOB_DOC_MAX);
    auto_fd int root = open_dir(from->dir, e);
    if (root < 0)
        return -1;
    TRY(layer_opaque_dirs(root, a, &job.opaque, e));
    json_write(&unpack_job_json, &job, &doc);
    const int fds[] = {root, out_fd};
    const struct job_opts o = {.program = s->opts.unpack_path,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = fds,
                               .n_fds = 2,
                               .userns = from->maps,
                               .cancel_fd = cancel_fd};
    int r = job_run(&o, &out, e);
    if (r == 0)
        r = json_parse(&unpack_result_json, res, out.p, out.n, a, e);
    buf_done(&doc);
    buf_done(&out);
    return r;
}

/* Make a blob of the file that a helper wrote behind the writer's back: it is hashed on reopening.
 */
static int adopt(struct store *s, const struct scope *sc, const char *ref,
                 const struct strmap *labels, struct arena *a, struct oci_descriptor *out,
                 struct err *e)
{
    auto_writer struct content_writer *w = NULL;
    struct ingest_status st;
    char digest[DIGEST_MAX];
    TRY(content_writer_open(s, sc, ref, 0, "", &w, e));
    content_writer_status(w, &st, digest);
    out->size = st.offset;
    out->digest = arena_strdup(a, digest);
    int r = content_writer_commit(w, 0, "", labels, e);
    if (r < 0 && e->kind == ERR_EXISTS) {
        err_clear(e);
        r = content_hold(s, sc, digest, e);
    }
    return r;
}

/* The blob of a directory; labels gets one more. out's media type is the caller's to fill in. */
static int pack(struct store *s, const struct scope *sc, const struct diff_source *from,
                const struct diff_opts *o, struct arena *a, struct oci_descriptor *out,
                struct err *e)
{
    struct unpack_result res = {0};
    struct strmap labels = {0};
    const char *ref = o->ref != NULL && o->ref[0] != 0
                          ? o->ref
                          : arena_printf(a, "diff-%lld", (long long)time_mono_ns());
    {
        auto_writer struct content_writer *w = NULL;
        TRY(content_writer_open(s, sc, ref, 0, "", &w, e));
        TRY(content_writer_truncate(w, 0, e));
        if (run_diff(s, from, content_writer_fd(w), o->cancel_fd, a, &res, e) < 0) {
            content_writer_close(TAKE_PTR(w));
            struct err ignored = {0};
            (void)ingest_abort(s, sc, ref, &ignored);
            return -1;
        }
    }
    for (size_t i = 0; i < o->labels.n; i++)
        strmap_set(&labels, a, o->labels.v[i].key, o->labels.v[i].val);
    strmap_set(&labels, a, "containerd.io/uncompressed", res.digest != NULL ? res.digest : "");
    return adopt(s, sc, ref, &labels, a, out, e);
}

int folder_pack(struct store *s, const struct scope *sc, const char *path, const char *media_type,
                int cancel_fd, struct arena *a, struct oci_descriptor *out, struct err *e)
{
    const struct diff_opts o = {.cancel_fd = cancel_fd};
    *out = (struct oci_descriptor){.media_type = media_type};
    return pack(s, sc, &(struct diff_source){.dir = path, .compression = ""}, &o, a, out, e);
}

int layer_diff(struct store *s, const struct scope *sc, const struct mount_spec *lower,
               const struct mount_spec *upper, const struct diff_opts *o, struct arena *a,
               struct oci_descriptor *out, struct err *e)
{
    struct strv up = {0}, low = {0};
    const struct format *f = format_for(o->media_type);
    const char *dir = NULL;
    if (f == NULL)
        return err_set(e, ERR_UNIMPLEMENTED, "unsupported diff media type: %.100s: not implemented",
                       o->media_type);
    mount_dirs(upper, a, &up);
    mount_dirs(lower, a, &low);
    TRY(top_directory(&up, &low, &dir, e));
    if (dir == NULL)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "there is no difference between equal mounts: not implemented");
    TRY(check_ours(s, dir, e));
    const struct userns_maps maps = {option_of(upper, "uidmap"), option_of(upper, "gidmap")};
    const struct diff_source from = {
        .dir = dir,
        .compression = f->compression,
        .maps = maps.uid != NULL && maps.gid != NULL ? &maps : NULL,
    };
    *out = (struct oci_descriptor){.media_type = f->media_type};
    return pack(s, sc, &from, o, a, out, e);
}
