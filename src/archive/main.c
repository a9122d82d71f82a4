/*
 * hull-unpack: reads and writes every archive, so that nothing else has to. Started as a job
 * (sys/job.h) with one of the operations of types/unpack_job.h; it gives up its powers before it
 * looks at the first byte.
 */
#include <fcntl.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "archive/copy.h"
#include "archive/extract.h"
#include "archive/members.h"
#include "archive/pack.h"
#include "archive/sandbox.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "types/digest.h"

#define VIEW_POINT "/dev" /* a directory that every system has and nothing here needs any more */
#define MAX_FILE_BYTES (1LL << 40)

struct work {
    struct unpack_job job;
    struct arena *a;
    int root_fd, data_fd; /* -1: the operation has none */
    struct unpack_result result;
    struct path_stat stat;
};

static int do_apply(struct work *w, struct err *e)
{
    return extract(w->job.merged ? EXTRACT_MERGED : EXTRACT_LAYER, w->root_fd, w->data_fd, &w->job,
                   w->a, &w->result, e);
}

static int do_cp_in(struct work *w, struct err *e)
{
    return extract(EXTRACT_COPY, w->root_fd, w->data_fd, &w->job, w->a, &w->result, e);
}

static int finish(struct work *w, struct tar_out *t, struct err *e)
{
    char digest[72];
    TRY(tar_out_finish(t, digest, &w->result.size, e));
    w->result.digest = arena_strdup(w->a, digest);
    return 0;
}

static int pack_as(struct work *w, bool layer, struct err *e)
{
    auto_tar_out struct tar_out *t = NULL;
    const struct pack_opts o = {.prefix = "", .layer = layer, .opaque = &w->job.opaque};
    TRY(tar_out_open(w->data_fd, w->job.compression, &t, e));
    TRY(pack_tree(t, w->root_fd, ".", &o, e));
    return finish(w, t, e);
}

static int do_pack(struct work *w, struct err *e)
{
    return pack_as(w, false, e);
}

static int do_diff(struct work *w, struct err *e)
{
    return pack_as(w, true, e);
}

static int do_cp_out(struct work *w, struct err *e)
{
    auto_tar_out struct tar_out *t = NULL;
    TRY(tar_out_open(w->data_fd, w->job.compression, &t, e));
    TRY(copy_out(w->root_fd, w->job.path, w->job.name, t, e));
    return finish(w, t, e);
}

static int do_stat(struct work *w, struct err *e)
{
    return copy_stat(w->root_fd, w->job.path, w->a, &w->stat, e);
}

static int do_read_tar(struct work *w, struct err *e)
{
    return members_read(w->data_fd, &w->job, &w->result, e);
}

static int do_write_tar(struct work *w, struct err *e)
{
    auto_tar_out struct tar_out *t = NULL;
    TRY(tar_out_open(w->data_fd, w->job.compression, &t, e));
    TRY(members_write(t, &w->job, e));
    return finish(w, t, e);
}

static const struct op {
    const char *name;
    bool has_root, has_data, gives_stat;
    int (*run)(struct work *w, struct err *e);
} ops[] = {
    {"apply", true, true, false, do_apply},        {"pack", true, true, false, do_pack},
    {"diff", true, true, false, do_diff},          {"cp-out", true, true, false, do_cp_out},
    {"cp-in", true, true, false, do_cp_in},        {"stat", true, false, true, do_stat},
    {"read-tar", false, true, false, do_read_tar}, {"write-tar", false, true, false, do_write_tar},
};

static const struct op *op_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (name != NULL && strcmp(ops[i].name, name) == 0)
            return &ops[i];
    return NULL;
}

static int reply(const struct op *op, const struct work *w, struct err *e)
{
    struct buf b = BUF_MAX(JOB_DOC_MAX);
    if (op->gives_stat)
        json_write(&path_stat_json, &w->stat, &b);
    else
        json_write(&unpack_result_json, &w->result, &b);
    int r = b.over ? err_set(e, ERR_INVALID, "the archive names too many special directories")
                   : job_reply(b.p, b.n, e);
    buf_done(&b);
    return r;
}

/* The merged view exists only here, in a mount namespace that dies with us. */
static int mount_view(struct work *w, struct err *e)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(e, "make a mount namespace");
    if (chdir(w->job.mount_dir) < 0)
        return err_sys(e, "enter %s", w->job.mount_dir);
    if (mount("overlay", VIEW_POINT, "overlay", 0, w->job.mount_data) < 0)
        return err_sys(e, "mount the layers below");
    w->root_fd = open(VIEW_POINT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return w->root_fd < 0 ? err_sys(e, "open the mounted layers") : 0;
}

static int work_run(struct work *w, struct err *e)
{
    struct buf doc = BUF_MAX(JOB_DOC_MAX);
    int r = job_read(&doc, e);
    if (r == 0)
        r = json_parse(&unpack_job_json, &w->job, doc.p, doc.n, w->a, e);
    buf_done(&doc);
    TRY(r);
    const struct op *op = op_find(w->job.op);
    if (op == NULL)
        return err_set(e, ERR_INVALID, "unknown operation \"%.50s\"",
                       w->job.op != NULL ? w->job.op : "");
    if (w->job.path == NULL)
        w->job.path = "/";
    if (w->job.name != NULL && (w->job.name[0] == 0 || strchr(w->job.name, '/') != NULL ||
                                strcmp(w->job.name, "..") == 0 || strcmp(w->job.name, ".") == 0))
        return err_set(e, ERR_INVALID, "invalid name \"%.255s\"", w->job.name);
    int next = JOB_FIRST_FD;
    bool own_view = op->has_root && w->job.mount_data != NULL && w->job.mount_dir != NULL;
    w->root_fd = op->has_root && !own_view ? next++ : -1;
    w->data_fd = op->has_data ? next++ : -1;
    sha256_free(sha256_new()); /* libcrypto loads what it needs while files can be opened */
    if (own_view)
        TRY(mount_view(w, e));
    if (w->job.userns)
        TRY(job_enter_userns(e));
    TRY(sandbox_enter(w->root_fd, MAX_FILE_BYTES, e));
    TRY(op->run(w, e));
    return reply(op, w, e);
}

#if HULL_ASAN
/* The leak check needs a /proc that the chroot has not. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

int main(void)
{
    struct err e = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* EFBIG says it better */
    (void)umask(0);
    /* names are UTF-8; no conversion is ever loaded */
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* NOLINT(concurrency-mt-unsafe): no threads yet */
    struct work w = {.a = arena_new(), .root_fd = -1, .data_fd = -1};
    int r = work_run(&w, &e);
    if (r < 0)
        job_fail(&e);
    arena_free(w.a);
    return r < 0 ? 1 : 0;
}
