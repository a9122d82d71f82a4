/*
 * Copy-up: a new volume gets what the image has at its place. The bytes go through hull-unpack
 * twice (out as a tar, in again), so that hulld itself walks no tree that an image made.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/rootfs.h"
#include "engine/stores.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "sys/path.h"
#include "types/unpack_job.h"

/* Owner and mode of the directory itself. */
static int copy_root(int from, int to, struct err *e)
{
    struct stat st;

    if (fstat(from, &st) < 0 || fchown(to, st.st_uid, st.st_gid) < 0 ||
        fchmod(to, st.st_mode & 07777) < 0)
        return err_sys(e, "copy the owner of a volume's directory");
    return 0;
}

static int copy_tree(struct engine *g, const struct container_record *rec, int root, int to,
                     const char *path, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_fd int in = -1, out = -1;
    auto_buf struct buf doc_out = BUF_MAX(64 << 10), doc_in = BUF_MAX(64 << 10);
    auto_buf struct buf result = BUF_MAX(JOB_DOC_MAX), result_in = BUF_MAX(JOB_DOC_MAX);
    const struct userns_maps maps = record_maps(rec);
    bool mapped = maps.uid != NULL;
    struct unpack_job cp_out = {
        .op = "cp-out", .path = arena_printf(a, "%s/.", path), .userns = mapped};
    struct unpack_job cp_in = {.op = "cp-in", .path = "/", .userns = mapped};
    const char *program = arena_printf(a, "%s/hull-unpack", g->o.helper_dir);
    auto_job struct job sender = JOB_NONE, receiver = JOB_NONE;
    int r = fd_pipe(&in, &out, 0);

    if (r < 0)
        return err_neg(e, r, "pipe");
    json_write(&unpack_job_json, &cp_out, &doc_out);
    json_write(&unpack_job_json, &cp_in, &doc_in);
    const struct job_opts send = {.program = program,
                                  .doc = doc_out.p,
                                  .doc_len = doc_out.n,
                                  .userns = &maps,
                                  .fds = (int[]){root, out},
                                  .n_fds = 2};
    const struct job_opts receive = {.program = program,
                                     .doc = doc_in.p,
                                     .doc_len = doc_in.n,
                                     .userns = &maps,
                                     .fds = (int[]){to, in},
                                     .n_fds = 2};
    TRY(job_start(&sender, &send, e));
    TRY(job_start(&receiver, &receive, e));
    fd_close(take_fd(&in)); /* the ends are the helpers' now: one that dies ends the other */
    fd_close(take_fd(&out));
    TRY(job_finish(&receiver, &result_in, e));
    return job_finish(&sender, &result, e);
}

static int copy_one(struct engine *g, const struct container_record *rec,
                    const struct mount_record *m, int root, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_fd int from = -1, to = -1;
    const char *dir;
    struct err absent = {0};
    int r;

    from = path_open_in(root, m->target, O_RDONLY | O_DIRECTORY, &absent);
    if (from < 0)
        return 0; /* the image has nothing there */
    TRY(volume_mount(g->volumes, m->name, rec->id, a, &dir, e));
    to = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = to < 0 ? err_sys(e, "open %s", dir) : copy_root(from, to, e);
    if (r == 0)
        r = copy_tree(g, rec, root, to, m->target, e);
    (void)volume_unmount(g->volumes, m->name, rec->id, &absent);
    return r;
}

static bool wants_copy(struct engine *g, const struct mount_record *m)
{
    struct err ignored = {0};
    bool empty = false;

    return strcmp(m->type, "volume") == 0 && !m->no_copy &&
           volume_is_empty(g->volumes, m->name, &empty, &ignored) == 0 && empty;
}

int volumes_copy_up(struct engine *g, const struct container_record *rec,
                    const struct ctd_mounts *mounts, struct err *e)
{
    auto_free char *dir = mem_printf("%s/mnt/%s", g->o.exec_root, rec->id);
    auto_free char *sandbox = mem_printf("%s/hull-sandbox", g->o.helper_dir);
    auto_fd int root = -1;
    int r = 0;

    vec_each(m, &rec->mounts) {
        if (!wants_copy(g, m) || r < 0)
            continue;
        if (root < 0) {
            TRY(path_mkdirs(dir, 0700, e));
            r = rootfs_mount(mounts, &(struct rootfs_at){dir, sandbox}, e);
            if (r == 0 && (root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
                r = err_sys(e, "open %s", dir);
        }
        if (r == 0)
            r = copy_one(g, rec, m, root, e);
        if (r < 0)
            (void)err_wrap(e, "fill volume %s", m->name);
    }
    if (root >= 0 || r < 0) {
        fd_close(take_fd(&root));
        rootfs_unmount(dir);
        (void)rmdir(dir);
    }
    return r;
}
