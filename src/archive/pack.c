/* Walking a tree into a tar: see pack.h. Descriptors all the way; a name is read once and never
 * joined to a path that is opened. */
#include "archive/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/map.h"
#include "base/mem.h"
#include "sys/fd.h"

enum { MAX_DEPTH = 1000, XATTR_NAMES_MAX = 65536, XATTR_MAX = 65536 };

struct pack {
    struct tar_out *t;
    const struct pack_opts *o;
    struct map links; /* "dev:ino" of files with several links: the name it has in the tar */
    struct arena *a;
};

static bool attribute_wanted(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

static int add_attributes(struct archive_entry *ent, int dir_fd, const char *name, struct err *e)
{
    char names[4096], value[XATTR_MAX];
    if (fchdir(dir_fd) < 0)
        return err_sys(e, "enter directory");
    ssize_t n = llistxattr(name, names, sizeof(names));
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        if (!attribute_wanted(names + at))
            continue;
        ssize_t size = lgetxattr(name, names + at, value, sizeof(value));
        if (size >= 0)
            archive_entry_xattr_add_entry(ent, names + at, value, (size_t)size);
    }
    return 0;
}

/* The name under which a file with several links was written before, or NULL: then it is
 * remembered. */
static const char *earlier_link(struct pack *p, const struct stat *st, const char *path)
{
    char key[48];
    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return NULL;
    (void)snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
                   (unsigned long long)st->st_ino);
    const char *first = map_get(&p->links, key);
    if (first == NULL)
        map_put(&p->links, key, arena_strdup(p->a, path));
    return first;
}

static int write_whiteout(struct pack *p, const char *path, bool opaque, struct err *e)
{
    const char *slash = strrchr(path, '/');
    auto_free char *name =
        opaque ? mem_printf("%s%s.wh..wh..opq", path, path[0] != 0 ? "/" : "")
               : mem_printf("%.*s.wh.%s", slash != NULL ? (int)(slash - path + 1) : 0, path,
                            slash != NULL ? slash + 1 : path);
    struct archive_entry *ent = archive_entry_new();
    archive_entry_set_pathname(ent, name);
    archive_entry_set_filetype(ent, AE_IFREG);
    archive_entry_set_perm(ent, 0);
    archive_entry_set_size(ent, 0);
    archive_entry_set_mtime(ent, 0, 0);
    int r = tar_out_header(p->t, ent, e);
    archive_entry_free(ent);
    return r;
}

static int write_file_data(struct pack *p, int dir_fd, const char *name, int64_t size,
                           struct err *e)
{
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open %s", name);
    return tar_out_file(p->t, fd, size, e);
}

static int fill_entry(struct pack *p, struct archive_entry *ent, int dir_fd, const char *name,
                      const char *path, const struct stat *st, struct err *e)
{
    char target[4097];
    const char *first = earlier_link(p, st, path);
    bool is_dir = S_ISDIR(st->st_mode);
    auto_free char *dir_name = is_dir ? mem_printf("%s/", path) : NULL;
    archive_entry_set_pathname(ent, is_dir ? dir_name : path);
    archive_entry_set_uid(ent, st->st_uid);
    archive_entry_set_gid(ent, st->st_gid);
    archive_entry_set_mode(ent, st->st_mode);
    archive_entry_set_mtime(ent, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    if (first != NULL) {
        archive_entry_set_hardlink(ent, first);
        archive_entry_set_size(ent, 0);
        return 0;
    }
    archive_entry_set_size(ent, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
        if (n < 0)
            return err_sys(e, "read link %s", path);
        target[n] = 0;
        archive_entry_set_symlink(ent, target);
    }
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        archive_entry_set_rdevmajor(ent, major(st->st_rdev));
        archive_entry_set_rdevminor(ent, minor(st->st_rdev));
    }
    return add_attributes(ent, dir_fd, name, e);
}

static int write_entry(struct pack *p, int dir_fd, const char *name, const char *path,
                       const struct stat *st, struct err *e)
{
    struct archive_entry *ent = archive_entry_new();
    int r = fill_entry(p, ent, dir_fd, name, path, st, e);
    bool has_data = S_ISREG(st->st_mode) && archive_entry_hardlink(ent) == NULL && st->st_size > 0;
    if (r == 0)
        r = tar_out_header(p->t, ent, e);
    archive_entry_free(ent);
    if (r == 0 && has_data)
        r = write_file_data(p, dir_fd, name, st->st_size, e);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_names(int fd, struct strv *out, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read directory");
    }
    for (struct dirent *de; (de = readdir(d)) != NULL;)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            vec_push(out, mem_strdup(de->d_name));
    closedir(d);
    if (out->n > 1)
        qsort(out->v, out->n, sizeof(*out->v), by_name);
    return 0;
}

static int walk(struct pack *p, int dir_fd, const char *name, const char *path, int depth,
                struct err *e);

static int walk_dir(struct pack *p, int dir_fd, const char *name, const char *path, int depth,
                    struct err *e)
{
    auto_strv struct strv names = {0};
    auto_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "open %s", path);
    if (depth > MAX_DEPTH)
        return err_set(e, ERR_INVALID, "directories are nested too deeply");
    int copy = fd_dup(fd);
    if (copy < 0)
        return err_neg(e, copy, "open %s", path);
    TRY(list_names(copy, &names, e));
    if (p->o->layer && p->o->opaque != NULL && strv_has(p->o->opaque, path))
        TRY(write_whiteout(p, path, true, e));
    vec_each(child, &names) {
        auto_free char *sub = mem_printf("%s%s%s", path, path[0] != 0 ? "/" : "", *child);
        TRY(walk(p, fd, *child, sub, depth + 1, e));
    }
    return 0;
}

static int walk(struct pack *p, int dir_fd, const char *name, const char *path, int depth,
                struct err *e)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat %s", path); /* gone meanwhile */
    if (S_ISSOCK(st.st_mode))
        return 0;
    if (p->o->layer && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
        return write_whiteout(p, path, false, e);
    if (path[0] != 0)
        TRY(write_entry(p, dir_fd, name, path, &st, e));
    return S_ISDIR(st.st_mode) ? walk_dir(p, dir_fd, name, path, depth, e) : 0;
}

int pack_tree(struct tar_out *t, int dir_fd, const char *name, const struct pack_opts *o,
              struct err *e)
{
    struct pack p = {.t = t, .o = o, .a = arena_new()};
    int r = walk(&p, dir_fd, name, o->prefix, 0, e);
    map_done(&p.links);
    arena_free(p.a);
    return r;
}
