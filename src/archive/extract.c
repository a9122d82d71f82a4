/*
 * Extracting: see extract.h. Names are cut into parts and walked from descriptor to descriptor
 * without following links; only on a merged view or in a container's root may a parent be a link,
 * and then openat2 resolves it inside the root. The last parent stays open, since tars list a
 * directory's files together.
 */
#include "archive/extract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "archive/place.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define DEFAULT_MAX_BYTES (64LL << 30)

struct dir_time {
    char *path;
    struct timespec mtime;
};

struct extract {
    enum extract_kind kind;
    const struct unpack_job *job;
    struct arena *a;
    struct unpack_result *out;
    struct placer placer;
    int root_fd, base_fd;       /* base: where names start; not owned when equal to root_fd */
    char parent[4097];          /* the path behind parent_fd, "" is the base */
    int parent_fd;              /* -1: none */
    struct map made;            /* MERGED: paths of this layer, which its whiteouts spare */
    struct map implied, opaque; /* LAYER */
    VEC(struct dir_time) dirs;  /* their times come last */
};

static void forget_parent(struct extract *x)
{
    if (x->parent_fd >= 0)
        fd_close(x->parent_fd);
    x->parent_fd = -1;
}

static int needs_merge(struct extract *x, const char *path, const char *why, struct err *e)
{
    x->out->needs_merge = true;
    x->out->reason = arena_printf(x->a, "%s: %s", path, why);
    return err_set(e, ERR_ABORTED, "%s", x->out->reason);
}

/* ---- parents ---- */

static int resolve_link(struct extract *x, const char *path, struct err *e)
{
    auto_free char *full = mem_printf("%s/%s", x->kind == EXTRACT_COPY ? x->job->path : "", path);
    return path_mkdirs_in(x->root_fd, full, 0755, e);
}

static int make_parent(struct extract *x, int dir, const char *name, const char *path,
                       struct err *e)
{
    if (mkdirat(dir, name, 0755) < 0 || fchmodat(dir, name, 0755, 0) < 0)
        return err_sys(e, "make directory %s", path);
    if (x->placer.owner.given && fchownat(dir, name, (uid_t)x->placer.owner.uid,
                                          (gid_t)x->placer.owner.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "set owner of %s", path);
    if (x->kind == EXTRACT_LAYER)
        map_put(&x->implied, path, x);
    return openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What stands where a parent directory should be is no directory. */
static int odd_parent(struct extract *x, int dir, const char *name, const char *path, struct err *e)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "stat %s", path);
    if (S_ISLNK(st.st_mode) && x->kind == EXTRACT_LAYER)
        return needs_merge(x, path, "a parent is a symbolic link", e);
    if (S_ISLNK(st.st_mode))
        return resolve_link(x, path, e);
    if (x->kind == EXTRACT_LAYER && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
        if (unlinkat(dir, name, 0) < 0)
            return err_sys(e, "remove %s", path);
        map_put(&x->opaque, path, x);
        return make_parent(x, dir, name, path, e);
    }
    return err_set(e, ERR_INVALID, "invalid tar: \"%.500s\" is not a directory", path);
}

/* Open the directory `path`, parents made as needed. x->parent_fd on success. */
static int enter_parent(struct extract *x, const char *path, struct err *e)
{
    char so_far[4097];
    struct str rest = str_of(path);
    size_t n = 0;
    if (x->parent_fd >= 0 && strcmp(x->parent, path) == 0)
        return 0;
    forget_parent(x);
    auto_fd int fd = openat(x->base_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open root");
    while (rest.n > 0) {
        struct str part = str_cut(&rest, '/');
        if (n > 0)
            so_far[n++] = '/';
        memcpy(so_far + n, part.p, part.n);
        size_t at = n;
        n += part.n;
        so_far[n] = 0;
        const char *name = so_far + at;
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT)
            next = make_parent(x, fd, name, so_far, e);
        else if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
            next = odd_parent(x, fd, name, so_far, e);
        else if (next < 0)
            err_sys(e, "open %s", so_far);
        if (next < 0)
            return e->kind != ERR_NONE ? -1 : err_sys(e, "open %s", so_far);
        fd_close(fd);
        fd = next;
    }
    x->parent_fd = take_fd(&fd);
    memcpy(x->parent, path, strlen(path) + 1);
    return 0;
}

/* Split "a/b/c" in place: the place of c in the opened a/b. */
static int find_place(struct extract *x, char *path, struct place *out, struct err *e)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL)
        *slash = 0;
    int r = enter_parent(x, slash != NULL ? path : "", e);
    if (slash != NULL)
        *slash = '/';
    *out = (struct place){x->parent_fd,
                          path[0] == 0    ? "."
                          : slash != NULL ? slash + 1
                                          : path,
                          path};
    return r;
}

/* ---- whiteouts ---- */

/* A merged directory becomes opaque: all in it that is not of this layer goes. */
static int empty_merged(struct extract *x, const char *dir_path, struct err *e)
{
    auto_strv struct strv names = {0};
    int fd = openat(x->parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read %s", dir_path);
    }
    for (struct dirent *de; (de = readdir(d)) != NULL;)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            vec_push(&names, mem_strdup(de->d_name));
    closedir(d);
    vec_each(name, &names) {
        auto_free char *path = mem_printf("%s%s%s", dir_path, dir_path[0] != 0 ? "/" : "", *name);
        if (!map_has(&x->made, path))
            TRY(path_remove_tree(x->parent_fd, *name, e));
    }
    return 0;
}

static int apply_opaque(struct extract *x, const char *dir_path, struct err *e)
{
    if (x->kind == EXTRACT_MERGED)
        return empty_merged(x, dir_path, e);
    map_put(&x->opaque, dir_path, x);
    return 0;
}

static int apply_whiteout(struct extract *x, const char *path, const struct place *p, struct err *e)
{
    const char *name = p->name + strlen(WHITEOUT);
    char *hidden = arena_printf(x->a, "%.*s%s", (int)(p->name - path), path, name);
    struct stat st;
    if (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(e, ERR_INVALID, "invalid tar: whiteout \"%.500s\"", path);
    bool there = fstatat(p->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (x->kind == EXTRACT_MERGED) {
        forget_parent(x);
        TRY(enter_parent(x, x->parent, e));
        return there && !map_has(&x->made, hidden) ? path_remove_tree(x->parent_fd, name, e) : 0;
    }
    if (there && S_ISDIR(st.st_mode))
        map_put(&x->opaque, hidden, x);
    if (!there && mknodat(p->dir_fd, name, S_IFCHR | 0600, makedev(0, 0)) < 0)
        return err_sys(e, "make whiteout %s", path);
    return 0;
}

/* ---- entries ---- */

/*
 * The path of an entry below the base. With a name in the job it takes the place of the first part,
 * which is "." when the content of a directory is what travels.
 */
static int entry_path(const struct extract *x, const char *raw, char path[static 4097],
                      struct err *e)
{
    TRY(tar_clean_path(raw, path, e));
    if (x->kind != EXTRACT_COPY || x->job->name == NULL)
        return 0;
    bool content = raw[0] == '.' && (raw[1] == '/' || raw[1] == 0);
    const char *rest = content ? path : strchr(path, '/');
    if (!content && rest != NULL)
        rest++;
    auto_free char *full = mem_printf("%s%s%s", x->job->name, rest != NULL && *rest != 0 ? "/" : "",
                                      rest != NULL ? rest : "");
    return tar_clean_path(full, path, e);
}

/* Docker's refusals of archive PUT. */
static int check_overwrite(const struct place *p, bool dir_comes, const char *path, struct err *e)
{
    struct stat st;
    if (fstatat(p->dir_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (S_ISDIR(st.st_mode) && !dir_comes)
        return err_set(e, ERR_INVALID, "cannot overwrite directory \"%.800s\" with non-directory",
                       path);
    if (!S_ISDIR(st.st_mode) && dir_comes)
        return err_set(e, ERR_INVALID, "cannot overwrite non-directory \"%.800s\" with directory",
                       path);
    return 0;
}

static int make_hard_link(struct extract *x, const struct place *p, const char *to, struct err *e)
{
    char target[4097];
    TRY(entry_path(x, to, target, e));
    if (target[0] == 0)
        return err_set(e, ERR_INVALID, "invalid tar: hard link to the root");
    char *slash = strrchr(target, '/');
    const char *name = slash != NULL ? slash + 1 : target;
    if (slash != NULL)
        *slash = 0;
    uint64_t resolve =
        x->kind == EXTRACT_LAYER ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS : RESOLVE_IN_ROOT;
    auto_free char *dir = mem_printf("%s%s%s", x->kind == EXTRACT_COPY ? x->job->path : ".",
                                     slash != NULL ? "/" : "", slash != NULL ? target : "");
    auto_fd int dir_fd =
        path_openat2(x->root_fd, dir, O_PATH | O_DIRECTORY, 0, resolve | RESOLVE_NO_MAGICLINKS);
    if (dir_fd >= 0 && linkat(dir_fd, name, p->dir_fd, p->name, 0) == 0)
        return 0;
    int why = dir_fd < 0 ? -dir_fd : errno;
    if (x->kind == EXTRACT_LAYER && (why == ENOENT || why == ELOOP || why == ENOTDIR))
        return needs_merge(x, to, "a hard link to a file of a lower layer", e);
    errno = why;
    err_sys(e, "link %s to %.800s", p->name, to);
    if (why == ENOENT)
        e->kind = ERR_INVALID;
    return -1;
}

static void remember_dir(struct extract *x, const char *path, struct archive_entry *ent)
{
    struct dir_time t = {arena_strdup(x->a, path), place_mtime(ent)};
    vec_push_in(x->a, &x->dirs, t);
}

static int put_entry(struct extract *x, char *path, const struct place *p,
                     struct archive_entry *ent, struct err *e)
{
    const char *link = archive_entry_hardlink(ent);
    bool is_dir = link == NULL && archive_entry_filetype(ent) == AE_IFDIR;
    struct stat st;
    if (x->kind == EXTRACT_COPY && x->job->no_overwrite_dir_non_dir)
        TRY(check_overwrite(p, is_dir, path, e));
    if (path[0] == 0 && !is_dir)
        return err_set(e, ERR_INVALID, "invalid tar: the root is not a directory");
    if (path[0] == 0 && x->kind == EXTRACT_COPY)
        return 0; /* the directory copied into keeps its owner and mode */
    bool hidden = x->kind == EXTRACT_LAYER && is_dir && path[0] != 0 &&
                  fstatat(p->dir_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                  S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
    if (path[0] != 0)
        TRY(place_clear(p, is_dir, e));
    if (hidden) /* a whiteout of this layer, then the directory anew */
        map_put(&x->opaque, path, x);
    if (link != NULL)
        return make_hard_link(x, p, link, e);
    TRY(place_entry(&x->placer, p, ent, e));
    if (is_dir) {
        remember_dir(x, path, ent);
        map_del(&x->implied, path);
    }
    return 0;
}

static int one_entry(struct extract *x, struct archive_entry *ent, struct err *e)
{
    char path[4097];
    struct place p;
    TRY(entry_path(x, archive_entry_pathname(ent), path, e));
    TRY(find_place(x, path, &p, e));
    if (x->kind != EXTRACT_COPY && strncmp(p.name, WHITEOUT, strlen(WHITEOUT)) == 0) {
        char dir[4097];
        memcpy(dir, x->parent, sizeof(dir));
        if (strcmp(p.name, OPAQUE) == 0)
            return apply_opaque(x, dir, e);
        /* other names of aufs' own (".wh..wh.plnk", …) mean nothing */
        return strncmp(p.name, WHITEOUT WHITEOUT, 2 * strlen(WHITEOUT)) == 0
                   ? 0
                   : apply_whiteout(x, path, &p, e);
    }
    if (put_entry(x, path, &p, ent, e) < 0)
        return x->out->needs_merge ? -1 : err_wrap(e, "extract \"%.800s\"", path);
    if (x->kind == EXTRACT_MERGED) /* this name and its parents are of this layer now */
        for (char *cut = path + strlen(path); cut != NULL; cut = strrchr(path, '/')) {
            *cut = 0;
            map_put(&x->made, path, x);
        }
    return 0;
}

static int set_dir_times(struct extract *x, struct err *e)
{
    for (size_t i = x->dirs.n; i > 0; i--) {
        struct dir_time *d = &x->dirs.v[i - 1];
        const struct timespec ts[2] = {d->mtime, d->mtime};
        /* a directory that a later entry replaced is no error */
        auto_fd int fd = path_openat2(x->base_fd, d->path[0] != 0 ? d->path : ".",
                                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                      RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
        if (fd >= 0 && futimens(fd, ts) < 0)
            return err_sys(e, "set time of %s", d->path);
    }
    return 0;
}

static void list_keys(struct extract *x, const struct map *m, struct strv *out)
{
    map_each(ent, m) {
        vec_push_in(x->a, out, arena_strdup(x->a, ent->key));
    }
}

static int run(struct extract *x, int input_fd, struct err *e)
{
    const struct inflate_opts io = {
        .fd = input_fd, .follow = x->job->follow, .max_bytes = x->placer.max_bytes};
    struct tar_in *in = &x->placer.in;
    struct archive_entry *ent;
    char digest[72];
    int more;
    TRY(filler_new(&x->placer.filler, e));
    TRY(tar_in_open(in, &io, x->job->max_entries, e));
    while ((more = tar_in_next(in, &ent, e)) > 0) {
        TRY(one_entry(x, ent, e));
        TRY(filler_check(x->placer.filler, e));
    }
    TRY(more);
    TRY(filler_finish(x->placer.filler, e));
    TRY(set_dir_times(x, e));
    ahead_digest(in->bytes, digest, &x->out->size);
    x->out->digest = arena_strdup(x->a, digest);
    x->out->entries = in->entries;
    list_keys(x, &x->implied, &x->out->implied);
    list_keys(x, &x->opaque, &x->out->opaque);
    return 0;
}

static int open_base(struct extract *x, struct err *e)
{
    x->base_fd = x->root_fd;
    if (x->kind != EXTRACT_COPY)
        return 0;
    struct stat st;
    x->base_fd = path_open_in(x->root_fd, x->job->path, O_PATH, e);
    if (x->base_fd < 0)
        return -1;
    if (fstat(x->base_fd, &st) < 0)
        return err_sys(e, "stat %s", x->job->path);
    return S_ISDIR(st.st_mode) ? 0 : err_set(e, ERR_INVALID, "extraction point is not a directory");
}

int extract(enum extract_kind kind, int root_fd, int input_fd, const struct unpack_job *job,
            struct arena *a, struct unpack_result *out, struct err *e)
{
    struct extract x = {.kind = kind,
                        .job = job,
                        .a = a,
                        .out = out,
                        .root_fd = root_fd,
                        .base_fd = -1,
                        .parent_fd = -1};
    x.placer.max_bytes = job->max_bytes > 0 ? job->max_bytes : DEFAULT_MAX_BYTES;
    if (job->uid != NULL && job->gid != NULL)
        x.placer.owner = (struct owner){true, *job->uid, *job->gid};
    int r = open_base(&x, e);
    if (r == 0)
        r = run(&x, input_fd, e);
    if (r < 0 && out->needs_merge) {
        err_clear(e);
        r = 0;
    }
    forget_parent(&x);
    if (x.base_fd != root_fd)
        fd_close(x.base_fd);
    filler_free(x.placer.filler);
    tar_in_close(&x.placer.in);
    map_done(&x.made);
    map_done(&x.implied);
    map_done(&x.opaque);
    return r;
}
