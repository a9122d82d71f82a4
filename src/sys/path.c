/* Paths below a root: see path.h. The kernel does the walking (openat2); this file only says how.
 */
#include "sys/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"

#define RETRIES 16

int path_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    for (int i = 0;; i++) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        /* EAGAIN: a rename raced with ".."; the kernel could not prove that the path stays inside
         */
        if ((errno != EAGAIN && errno != EINTR) || i == RETRIES)
            return -errno;
    }
}

static int open_failed(struct err *e, int neg, const char *path)
{
    err_neg(e, neg, "open %s", path);
    if (neg == -ENOENT || neg == -ENOTDIR)
        e->kind = ERR_NOT_FOUND;
    return -1;
}

int path_create_in(int root_fd, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd = path_openat2(root_fd, path, (uint64_t)(unsigned)flags,
                          (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0,
                          RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    return fd < 0 ? open_failed(e, fd, path) : fd;
}

int path_open_in(int root_fd, const char *path, int flags, struct err *e)
{
    return path_create_in(root_fd, path, flags, 0, e);
}

int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd = path_openat2(dir_fd, path, (uint64_t)(unsigned)flags,
                          (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    return fd < 0 ? open_failed(e, fd, path) : fd;
}

#define LINKS_MAX 40

static int mkdirs_in(int root_fd, const char *path, mode_t mode, unsigned links, struct err *e);

/* What makes a missing thing inside a root: mkdirs_in or make_file_in. */
typedef int maker_fn(int root_fd, const char *path, mode_t mode, unsigned links, struct err *e);

/* A link to something that is not there yet: make what it points to, still inside the root. */
static int follow_dangling(int root_fd, int dir, const char *parent, const char *name, mode_t mode,
                           unsigned links, maker_fn *make, struct err *e)
{
    char target[4096];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    if (n < 0)
        return err_sys(e, "make %s/%s", parent, name);
    target[n] = '\0';
    if (links == LINKS_MAX)
        return open_failed(e, -ELOOP, name);
    if (target[0] == '/')
        return make(root_fd, target, mode, links + 1, e);
    auto_free char *full = mem_printf("%s/%s", parent, target);
    return make(root_fd, full, mode, links + 1, e);
}

/*
 * Each prefix is resolved anew from the root, because a component may be a link whose target lies
 * elsewhere inside; only the last name of a prefix is ever created.
 */
static int mkdirs_in(int root_fd, const char *path, mode_t mode, unsigned links, struct err *e)
{
    const uint64_t in_root = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    int whole = path_openat2(root_fd, *path != '\0' ? path : ".", O_PATH | O_DIRECTORY, 0, in_root);
    if (whole != -ENOENT)
        return whole < 0 ? open_failed(e, whole, path) : whole;
    auto_fd int dir = path_openat2(root_fd, ".", O_PATH | O_DIRECTORY, 0, in_root);
    if (dir < 0)
        return open_failed(e, dir, path);
    auto_free char *prefix = mem_alloc(strlen(path) + 2);
    struct str rest = str_of(path);
    size_t n = 0;
    while (rest.n > 0) {
        struct str name = str_cut(&rest, '/');
        if (name.n == 0 || str_eq(name, "."))
            continue;
        size_t parent = n;
        prefix[n++] = '/';
        memcpy(prefix + n, name.p, name.n);
        n += name.n;
        prefix[n] = '\0';
        int next = path_openat2(root_fd, prefix, O_PATH | O_DIRECTORY, 0, in_root);
        if (next == -ENOENT) {
            auto_free char *last = str_dup(name);
            bool there = mkdirat(dir, last, mode) < 0;
            if (there && errno != EEXIST)
                return err_sys(e, "mkdir %s", prefix);
            next = path_openat2(root_fd, prefix, O_PATH | O_DIRECTORY, 0, in_root);
            if (there && next == -ENOENT) {
                auto_free char *above = mem_strndup(prefix, parent);
                next = follow_dangling(root_fd, dir, above, last, mode, links, mkdirs_in, e);
                if (next < 0)
                    return -1;
            }
        }
        if (next < 0)
            return open_failed(e, next, prefix);
        fd_close(dir);
        dir = next;
    }
    return take_fd(&dir);
}

int path_mkdirs_in(int root_fd, const char *path, mode_t mode, struct err *e)
{
    return mkdirs_in(root_fd, path, mode, 0, e);
}

static int make_file_in(int root_fd, const char *path, mode_t mode, unsigned links, struct err *e)
{
    auto_free char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    const char *name = slash != NULL ? path + (slash - parent) + 1 : path;
    *(slash != NULL ? slash : parent) = '\0';
    auto_fd int dir = mkdirs_in(root_fd, parent, 0755, links, e);
    if (dir < 0)
        return -1;
    int fd = path_create_in(root_fd, path, O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, mode, e);
    if (fd >= 0 || e->kind != ERR_NOT_FOUND)
        return fd;
    err_clear(e);
    return follow_dangling(root_fd, dir, parent, name, mode, links, make_file_in, e);
}

int path_make_file_in(int root_fd, const char *path, mode_t mode, struct err *e)
{
    return make_file_in(root_fd, path, mode, 0, e);
}

int path_mkdirs(const char *path, mode_t mode, struct err *e)
{
    auto_free char *p = mem_strdup(path);
    for (char *slash = p + 1; *p != '\0'; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char was = *slash;
        *slash = '\0';
        if (mkdir(p, mode) < 0 && errno != EEXIST)
            return err_sys(e, "mkdir %s", p);
        *slash = was;
        if (was == '\0')
            break;
    }
    return 0;
}

int file_read(int dir_fd, const char *path, struct buf *out, struct err *e)
{
    auto_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return open_failed(e, -errno, path);
    int r = fd_read_to_end(fd, out);
    if (r == -EFBIG)
        return err_set(e, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, out->max);
    return r < 0 ? err_neg(e, r, "read %s", path) : 0;
}

static int write_temporary(int dir_fd, const char *tmp, const void *p, size_t n, mode_t mode)
{
    auto_fd int fd =
        openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, mode) < 0)
        return -errno;
    int r = fd_write_all(fd, p, n);
    if (r < 0)
        return r;
    return fsync(fd) < 0 ? -errno : 0;
}

int file_replace(int dir_fd, const char *name, const void *p, size_t n, mode_t mode, struct err *e)
{
    auto_free char *tmp = mem_printf(".%s.%d.tmp", name, (int)gettid());
    int r = write_temporary(dir_fd, tmp, p, n, mode);
    if (r == 0 && renameat(dir_fd, tmp, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(dir_fd, tmp, 0); /* nothing to remove is fine */
        return err_neg(e, r, "write %s", name);
    }
    if (dir_fd >= 0 && fsync(dir_fd) < 0)
        return err_sys(e, "sync the directory of %s", name);
    return 0;
}

int file_put(int dir_fd, const char *path, const char *text)
{
    auto_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t done;
    do
        done = write(fd, text, strlen(text));
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

int path_list(const char *path, struct strv *out, struct err *e)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return open_failed(e, -errno, path);
    for (struct dirent *ent;
         (ent = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
            vec_push(out, mem_strdup(ent->d_name));
    closedir(d);
    return 0;
}

static int remove_content(int fd, unsigned depth, struct err *e)
{
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read a directory");
    }
    int rc = 0;
    for (struct dirent *ent;
         rc == 0 && (ent = readdir(d)) != NULL;) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(d), ent->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM && errno != ENOENT) {
            rc = err_sys(e, "remove %s", ent->d_name);
            break;
        }
        if (errno == ENOENT)
            continue;
        int sub = path_openat2(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY, 0,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        if (sub < 0)
            rc = err_neg(e, sub, "remove %s", ent->d_name);
        else if (depth > 2000)
            rc = (fd_close(sub), err_set(e, ERR_INTERNAL, "remove: tree too deep"));
        else
            rc = remove_content(sub, depth + 1, e);
        if (rc == 0 && unlinkat(dirfd(d), ent->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            rc = err_sys(e, "remove %s", ent->d_name);
    }
    closedir(d);
    return rc;
}

char *path_find_program(const char *name, const char *dirs)
{
    for (struct str rest = str_of(dirs != NULL ? dirs : ""); rest.n > 0;) {
        struct str dir = str_cut(&rest, ':');
        if (dir.n == 0 || dir.p[0] != '/')
            continue;
        char *path = mem_printf("%.*s/%s", STR_ARG(dir), name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* name in the folder of program; NULL: not there. */
static char *in_folder_of(const char *program, const char *name)
{
    /* not relative to the working folder: that may be a container's by now */
    if (program[0] != '/')
        return NULL;
    char *path = mem_printf("%.*s/%s", (int)(strrchr(program, '/') - program), program, name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *path_beside(const char *name)
{
    char self[4096];
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's way */
    char *path = in_folder_of((const char *)getauxval(AT_EXECFN), name);
    ssize_t n = path == NULL ? readlink("/proc/self/exe", self, sizeof(self) - 1) : -1;
    if (n < 0)
        return path;
    self[n] = '\0';
    return in_folder_of(self, name);
}

char *path_helper(const char *name)
{
    char *path = path_beside(name);
    return path != NULL ? path : mem_printf("%s/%s", HULL_HELPER_DIR, name);
}

int path_remove_tree(int dir_fd, const char *name, struct err *e)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    int fd = path_openat2(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return fd == -ENOENT ? 0 : err_neg(e, fd, "remove %s", name);
    TRY(remove_content(fd, 0, e));
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(e, "remove %s", name);
    return 0;
}
