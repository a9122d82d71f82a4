/* Docker's archive GET and HEAD: see copy.h. All parts but the last are resolved inside the root;
 * the last one is taken as it is, so that a link can be copied as a link. */
#include "archive/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "archive/pack.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/path.h"

struct spot {
    int dir_fd;
    char *name, *base; /* name: in dir_fd; base: what users call it */
};

static void spot_done(struct spot *s)
{
    fd_close(s->dir_fd);
    free(s->name);
    free(s->base);
}

static bool ends_in_dot(struct str s)
{
    return str_ends(s, "/.") || str_eq(s, ".") || str_ends(s, "/");
}

/* Lexical cleaning as Go's filepath.Join("/", path) does it. */
static char *clean(const char *path, struct arena *a)
{
    struct strv parts = {0};
    struct str rest = str_of(path);
    struct buf b = BUF_MAX(8192);
    while (rest.n > 0) {
        struct str part = str_cut(&rest, '/');
        if (part.n == 0 || str_eq(part, "."))
            continue;
        if (str_eq(part, "..")) {
            parts.n -= parts.n > 0;
            continue;
        }
        char *copy = arena_strndup(a, part.p, part.n);
        vec_push_in(a, &parts, copy);
    }
    for (size_t i = 0; i < parts.n; i++)
        buf_printf(&b, "/%s", parts.v[i]);
    char *out = arena_strdup(a, b.n > 0 ? b.p : "/");
    buf_done(&b);
    return out;
}

static int find_spot(int root_fd, const char *path, struct spot *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    bool follow = ends_in_dot(str_of(path));
    char *full = clean(path, a);
    if (strlen(path) > 4096)
        return err_set(e, ERR_INVALID, "path is too long");
    bool root = strcmp(full, "/") == 0;
    if (follow || root) {
        out->dir_fd = path_open_in(root_fd, full, O_PATH, e);
        bool dot = str_ends(str_of(path), ".");
        out->name = mem_strdup(".");
        out->base = mem_strdup(dot ? "." : root ? "/" : strrchr(full, '/') + 1);
        struct stat st;
        if (out->dir_fd >= 0 && fstat(out->dir_fd, &st) == 0 && !S_ISDIR(st.st_mode))
            return err_set(e, ERR_NOT_FOUND, "%s: not a directory", path);
        return out->dir_fd < 0 ? -1 : 0;
    }
    char *slash = strrchr(full, '/');
    out->name = mem_strdup(slash + 1);
    out->base = mem_strdup(slash + 1);
    *slash = 0;
    out->dir_fd = path_open_in(root_fd, full[0] != 0 ? full : "/", O_PATH | O_DIRECTORY, e);
    return out->dir_fd < 0 ? -1 : 0;
}

/* st_mode as Go's os.FileMode. */
static uint64_t go_mode(mode_t m)
{
    static const struct {
        mode_t type;
        uint64_t bits;
    } types[] = {{S_IFDIR, 1ULL << 31}, {S_IFLNK, 1ULL << 27},
                 {S_IFBLK, 1ULL << 26}, {S_IFCHR, 1ULL << 26 | 1ULL << 21},
                 {S_IFIFO, 1ULL << 25}, {S_IFSOCK, 1ULL << 24}};
    uint64_t out = m & 0777;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((m & S_IFMT) == types[i].type)
            out |= types[i].bits;
    out |= (m & S_ISUID) != 0 ? 1ULL << 23 : 0;
    out |= (m & S_ISGID) != 0 ? 1ULL << 22 : 0;
    out |= (m & S_ISVTX) != 0 ? 1ULL << 20 : 0;
    return out;
}

/* Where a link leads, as an absolute path in the root, link by link as far as it goes. */
static char *link_target(const struct spot *s, const char *path, struct arena *a)
{
    char target[4097];
    ssize_t n = readlinkat(s->dir_fd, s->name, target, sizeof(target) - 1);
    if (n < 0)
        return arena_strdup(a, "");
    target[n] = 0;
    if (target[0] == '/')
        return clean(target, a);
    char *dir = clean(path, a);
    *(strrchr(dir, '/')) = 0;
    return clean(arena_printf(a, "%s/%s", dir, target), a);
}

/* find_spot, and what is there; NOT_FOUND: nothing. */
static int stat_spot(int root_fd, const char *path, struct spot *out, struct stat *out_st,
                     struct err *e)
{
    TRY(find_spot(root_fd, path, out, e));
    if (fstatat(out->dir_fd, out->name, out_st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    int why = errno;
    err_sys(e, "%s", path);
    e->kind = why == ENOENT ? ERR_NOT_FOUND : e->kind;
    return -1;
}

int copy_stat(int root_fd, const char *path, struct arena *a, struct path_stat *out, struct err *e)
{
    CLEANUP(spot_done) struct spot s = {.dir_fd = -1};
    struct stat st;
    TRY(stat_spot(root_fd, path, &s, &st, e));
    *out = (struct path_stat){.name = arena_strdup(a, s.base),
                              .size = st.st_size,
                              .mode = go_mode(st.st_mode),
                              .mtime = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec,
                              .link_target = ""};
    if (S_ISLNK(st.st_mode))
        out->link_target = link_target(&s, path, a);
    return 0;
}

int copy_out(int root_fd, const char *path, const char *name, struct tar_out *t, struct err *e)
{
    CLEANUP(spot_done) struct spot s = {.dir_fd = -1};
    struct stat st;
    TRY(stat_spot(root_fd, path, &s, &st, e));
    if (name == NULL)
        name = strcmp(s.base, "/") == 0 ? "." : s.base;
    const struct pack_opts o = {.prefix = name};
    return pack_tree(t, s.dir_fd, s.name, &o, e);
}
