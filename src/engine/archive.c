/*
 * Copying in and out of containers: hull-unpack does it, below a directory that is the container's
 * root: through its first process while it runs, else mounted for the time of the copy with its
 * volumes.
 */
#include "engine/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/log.h"
#include "engine/core.h"
#include "engine/rootfs.h"
#include "engine/user.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "sys/path.h"
#include "types/unpack_job.h"

enum { CHUNK = 64 << 10, PASSWD_MAX = 4 << 20 };

/* A container's root, open. */
struct tree {
    int root;
    char *mounted; /* our temporary mount point; NULL: the container runs */
};

static void tree_close(struct tree *t)
{
    fd_close(t->root);
    t->root = -1;
    if (t->mounted == NULL)
        return;
    rootfs_unmount(t->mounted);
    (void)rmdir(t->mounted); /* the next start sweeps what stays */
    free(t->mounted);
    t->mounted = NULL;
}
#define auto_tree CLEANUP(tree_close)
#define TREE_NONE  \
    {              \
        .root = -1 \
    }

/* A directory for a mount, where the image has none; it and those above that are made belong to
 * root of the container. */
static int make_place(const struct container_record *rec, int root, const char *target,
                      struct err *e)
{
    const struct userns_maps maps = record_maps(rec);
    auto_free char *path = mem_strdup(target);
    auto_fd int fd = -1;
    uid_t uid = 0;
    gid_t gid = 0;

    if (maps.uid != NULL)
        TRY(userns_root(&maps, &uid, &gid, e));
    for (char *end = path; *end != '\0';) {
        struct err absent = {0};

        end = strchrnul(end + 1, '/');
        char next = *end;
        *end = '\0';
        fd_close(fd);
        fd = path_open_in(root, path, O_PATH | O_DIRECTORY, &absent);
        if (fd < 0) {
            fd = path_mkdirs_in(root, path, 0755, e);
            if (fd < 0)
                return -1;
            if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
                return err_sys(e, "set owner of %s", path);
        }
        *end = next;
    }
    return take_fd(&fd);
}

/* A bind of source at target inside root. */
static int bind_inside(const struct container_record *rec, int root, const char *target,
                       const char *source, struct err *e)
{
    auto_free char *fd_path = NULL;
    struct err absent = {0};
    auto_fd int fd = path_open_in(root, target, O_PATH, &absent);

    if (fd < 0)
        fd = make_place(rec, root, target, e);
    if (fd < 0)
        return -1;
    fd_path = mem_printf("/proc/self/fd/%d", fd);
    if (mount(source, fd_path, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_sys(e, "mount %s", target);
    return mount(NULL, fd_path, NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL
               ? err_sys(e, "mount %s", target)
               : 0;
}

static int mount_volumes(struct container *c, const struct container_record *rec, int root,
                         struct err *e)
{
    auto_arena struct arena *a = arena_new();

    vec_each(m, &rec->mounts) {
        const char *source = m->source;

        if (strcmp(m->type, "tmpfs") == 0)
            continue;
        if (strcmp(m->type, "volume") == 0)
            TRY(volume_mount(c->g->volumes, m->name, rec->id, a, &source, e));
        TRY(bind_inside(rec, root, m->target, source, e));
    }
    return 0;
}

static void unmount_volumes(struct container *c, const struct container_record *rec)
{
    struct err ignored = {0};

    vec_each(m, &rec->mounts)
        if (strcmp(m->type, "volume") == 0)
            (void)volume_unmount(c->g->volumes, m->name, rec->id, &ignored);
}

/* A place of our own for one mount; the caller frees it. */
static char *mount_point(struct container *c)
{
    static atomic_uint count;

    return mem_printf("%s/mnt/%.12s-%u", c->g->o.exec_root, c->id, atomic_fetch_add(&count, 1));
}

#define AT(g, path, a) \
    ((struct rootfs_at){(path), arena_printf((a), "%s/hull-sandbox", (g)->o.helper_dir)})

static int open_stopped(struct container *c, const struct container_record *rec, struct tree *t,
                        struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_mounts mounts;

    TRY(ctd_snapshot_mounts(c->g->ctd, rec->snapshotter, rec->id, a, &mounts, e));
    t->mounted = mount_point(c);
    TRY(path_mkdirs(t->mounted, 0700, e));
    TRY(rootfs_mount(&mounts, &AT(c->g, t->mounted, a), e));
    t->root = open(t->mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->root < 0)
        return err_sys(e, "open %s", t->mounted);
    return mount_volumes(c, rec, t->root, e);
}

static int tree_open(struct container *c, struct tree *t, struct err *e)
{
    auto_view struct view v = container_view(c);

    if (v.state->dead || v.state->removing)
        return err_set(e, ERR_CONFLICT, "container %s is dead or marked for removal", c->id);
    if (v.state->running && !v.state->restarting && v.state->pid > 0) {
        auto_free char *path = mem_printf("/proc/%lld/root", (long long)v.state->pid);

        t->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (t->root >= 0)
            return 0;
    }
    return open_stopped(c, v.rec, t, e);
}

static void tree_release(struct container *c, struct tree *t)
{
    bool stopped = t->mounted != NULL;

    tree_close(t);
    if (stopped) {
        auto_view struct view v = container_view(c);

        if (!v.state->running)
            unmount_volumes(c, v.rec);
    }
}

/* ---- jobs ---- */

static const char *unpack_program(struct container *c, struct arena *a)
{
    return arena_printf(a, "%s/hull-unpack", c->g->o.helper_dir);
}

static int no_such_file(struct container *c, const char *path, struct err *e)
{
    return e->kind == ERR_NOT_FOUND
               ? err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container %s", path,
                         c->id)
               : -1;
}

static int stat_in(struct container *c, int root, const char *path, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf doc = BUF_MAX(64 << 10), result = BUF_MAX(64 << 10);
    auto_view struct view v = container_view(c);
    const struct userns_maps maps = record_maps(v.rec);
    struct unpack_job job = {.op = "stat", .path = path, .userns = maps.uid != NULL};

    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {.program = unpack_program(c, a),
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = &root,
                               .n_fds = 1,
                               .userns = &maps};
    if (job_run(&o, &result, e) < 0)
        return no_such_file(c, path, e);
    base64_encode(buf_cstr(&result), result.n, out);
    return 0;
}

static int check_path(const char *path, struct err *e)
{
    return path == NULL || path[0] == '\0'
               ? err_set(e, ERR_INVALID, "bad parameter: path cannot be empty")
               : 0;
}

int archive_stat(struct container *c, const char *path, struct buf *out, struct err *e)
{
    struct tree t = TREE_NONE;
    int r;

    TRY(check_path(path, e));
    r = tree_open(c, &t, e);
    if (r == 0)
        r = stat_in(c, t.root, path, out, e);
    tree_release(c, &t);
    return r;
}

struct archive {
    struct container *c; /* a reference */
    struct tree t;
    char *path;
};

int archive_open(struct container *c, const char *path, struct buf *out_stat, struct archive **out,
                 struct err *e)
{
    struct archive *x;

    TRY(check_path(path, e));
    x = mem_alloc(sizeof(*x));
    x->c = container_ref(c);
    x->t = (struct tree)TREE_NONE;
    x->path = mem_strdup(path);
    if (tree_open(c, &x->t, e) < 0 || stat_in(c, x->t.root, path, out_stat, e) < 0) {
        archive_free(x);
        return -1;
    }
    *out = x;
    return 0;
}

void archive_free(struct archive *x)
{
    if (x == NULL)
        return;
    tree_release(x->c, &x->t);
    container_unref(x->c);
    free(x->path);
    free(x);
}

/* Bytes of a pipe to a client, until its writers have gone. */
static int pipe_to_sink(int fd, const struct sink *sink, int cancel_fd, struct err *e)
{
    auto_free char *b = mem_alloc(CHUNK);

    for (;;) {
        ssize_t n;

        TRY(wait_readable(fd, cancel_fd, -1, e));
        n = read(fd, b, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, "read an archive");
        if (n == 0)
            return 0;
        TRY(sink->write(sink->arg, b, (size_t)n, e));
    }
}

/* A job that writes to descriptor number two. */
static int send_job(struct container *c, int root, struct unpack_job *job, const struct sink *sink,
                    int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_view struct view v = container_view(c);
    const struct userns_maps maps = record_maps(v.rec);
    auto_buf struct buf doc = BUF_MAX(64 << 10), result = BUF_MAX(JOB_DOC_MAX);
    auto_fd int in = -1, out = -1;
    auto_job struct job j = JOB_NONE;
    int r = fd_pipe(&in, &out, 0);

    if (r < 0)
        return err_neg(e, r, "pipe");
    job->userns = maps.uid != NULL;
    json_write(&unpack_job_json, job, &doc);
    const struct job_opts o = {.program = unpack_program(c, a),
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .userns = &maps,
                               .fds = (int[]){root, out},
                               .n_fds = 2};
    TRY(job_start(&j, &o, e));
    fd_close(take_fd(&out));
    TRY(pipe_to_sink(in, sink, cancel_fd, e));
    return job_finish(&j, &result, e);
}

int archive_send(struct archive *x, const struct sink *sink, int cancel_fd, struct err *e)
{
    struct unpack_job job = {.op = "cp-out", .path = x->path};

    if (send_job(x->c, x->t.root, &job, sink, cancel_fd, e) < 0)
        return no_such_file(x->c, x->path, e);
    container_event(x->c, "archive-path", NULL);
    return 0;
}

int container_export(struct container *c, const struct sink *sink, int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_view struct view v = container_view(c);
    struct unpack_job job = {.op = "pack"};
    struct tree t = TREE_NONE;
    struct ctd_mounts mounts;
    int r;

    if (v.state->dead || v.state->removing)
        return err_set(e, ERR_CONFLICT, "You cannot export container %s which is %s", c->id,
                       v.state->dead ? "Dead" : "being removed");
    /* its own layers, without what is mounted into them */
    TRY(ctd_snapshot_mounts(c->g->ctd, v.rec->snapshotter, c->id, a, &mounts, e));
    t.mounted = mount_point(c);
    r = path_mkdirs(t.mounted, 0700, e);
    if (r == 0)
        r = rootfs_mount_readonly(&mounts, &AT(c->g, t.mounted, a), e);
    if (r == 0 && (t.root = open(t.mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        r = err_sys(e, "open %s", t.mounted);
    if (r == 0)
        r = send_job(c, t.root, &job, sink, cancel_fd, e);
    tree_close(&t);
    if (r == 0)
        container_event(c, "export", NULL);
    return r;
}

/* ---- put ---- */

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* What is read-only for the container is so for copies too. */
static int check_writable(struct container *c, const char *path, struct err *e)
{
    auto_view struct view v = container_view(c);
    const struct mount_record *in = NULL;

    vec_each(m, &v.rec->mounts)
        if (is_below(path, m->target) && (in == NULL || strlen(m->target) > strlen(in->target)))
            in = m;
    if (in != NULL && !in->rw)
        return err_set(e, ERR_INVALID, "mounted volume is marked read-only");
    if (in == NULL && v.rec->host.readonly_rootfs)
        return err_set(e, ERR_INVALID, "container rootfs is marked read-only");
    return 0;
}

static int read_small(int root, const char *path, struct buf *out)
{
    struct err absent = {0};
    auto_fd int fd = path_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &absent);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    return fd_read_to_end(fd, out);
}

/* copyUIDGID: everything belongs to the container's user, where it has one. */
static int owner_of(struct container *c, int root, struct arena *a, struct unpack_job *job,
                    struct err *e)
{
    auto_view struct view v = container_view(c);
    auto_buf struct buf passwd = BUF_MAX(PASSWD_MAX), group = BUF_MAX(PASSWD_MAX);
    struct oci_user u;
    const char *home;

    if (v.rec->config.user == NULL || v.rec->config.user[0] == '\0')
        return 0; /* as the archive says */
    if (read_small(root, "/etc/passwd", &passwd) < 0 || read_small(root, "/etc/group", &group) < 0)
        return err_set(e, ERR_INTERNAL, "cannot read the container's users");
    TRY(user_resolve(v.rec->config.user, str_of(buf_cstr(&passwd)), str_of(buf_cstr(&group)), NULL,
                     a, &u, &home, e));
    job->uid = arena_dup(a, &(int64_t){(int64_t)u.uid}, sizeof(int64_t));
    job->gid = arena_dup(a, &(int64_t){(int64_t)u.gid}, sizeof(int64_t));
    return 0;
}

/* The body into a pipe. A helper that stops reading has an error to tell: that is not ours. */
static int feed(const struct archive_put_opts *o, int fd, struct job *j, struct err *e)
{
    auto_free char *b = mem_alloc(CHUNK);

    for (;;) {
        ssize_t n = o->read(o->arg, b, CHUNK, e);
        int r;

        TRY((int)n);
        if (n == 0 || job_has_news(j))
            return 0;
        r = fd_write_all(fd, b, (size_t)n);
        if (r == -EPIPE)
            return 0;
        if (r < 0)
            return err_neg(e, r, "write to hull-unpack");
    }
}

static int put_in(struct container *c, int root, const struct archive_put_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf doc = BUF_MAX(64 << 10), result = BUF_MAX(JOB_DOC_MAX);
    auto_fd int in = -1, out = -1;
    auto_job struct job j = JOB_NONE;
    auto_view struct view v = container_view(c);
    const struct userns_maps maps = record_maps(v.rec);
    struct unpack_job job = {.op = "cp-in",
                             .path = o->path,
                             .userns = maps.uid != NULL,
                             .no_overwrite_dir_non_dir = o->no_overwrite_dir_non_dir};
    int r = fd_pipe(&in, &out, 0);

    if (r < 0)
        return err_neg(e, r, "pipe");
    if (o->copy_uid_gid)
        TRY(owner_of(c, root, a, &job, e));
    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts jo = {.program = unpack_program(c, a),
                                .doc = doc.p,
                                .doc_len = doc.n,
                                .userns = &maps,
                                .fds = (int[]){root, in},
                                .n_fds = 2};
    TRY(job_start(&j, &jo, e));
    fd_close(take_fd(&in));
    TRY(feed(o, out, &j, e));
    fd_close(take_fd(&out));
    if (job_finish(&j, &result, e) < 0)
        return no_such_file(c, o->path, e);
    return 0;
}

int archive_put(struct container *c, const struct archive_put_opts *o, struct err *e)
{
    struct tree t = TREE_NONE;
    int r;

    TRY(check_path(o->path, e));
    TRY(check_writable(c, o->path, e));
    r = tree_open(c, &t, e);
    if (r == 0)
        r = put_in(c, t.root, o, e);
    tree_release(c, &t);
    if (r == 0)
        container_event(c, "extract-to-dir", NULL);
    return r;
}
