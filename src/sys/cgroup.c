/*
 * Control groups: see cgroup.h. One list of directories serves all three layouts, so that join,
 * kill and remove are the same loop everywhere. Source: cgroups(7), kernel admin-guide/cgroup-v2.
 */
#include "sys/cgroup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/path.h"

/* The order in which v1 directories are made and joined. */
static const char *const v1_order[] = {
    "cpuset",  "devices",  "memory",     "cpu",     "cpuacct", "pids", "blkio",        "hugetlb",
    "net_cls", "net_prio", "perf_event", "freezer", "rdma",    "misc", "name=systemd", ""};

/* ---- what the host has -------------------------------------------------------------------- */

static bool is_v1_controller(struct str word)
{
    for (size_t i = 0; i + 1 < ARRAY_LEN(v1_order); i++)
        if (str_eq(word, v1_order[i]))
            return true;
    return str_starts(word, "name=");
}

/* The controllers among the super block options of a cgroup v1 mount. */
static const char *controllers_of(struct str options, struct arena *a)
{
    const char *list = "";
    while (options.n > 0) {
        struct str word = str_cut(&options, ',');
        if (is_v1_controller(word))
            list = *list == '\0' ? arena_strndup(a, word.p, word.n)
                                 : arena_printf(a, "%s,%.*s", list, STR_ARG(word));
    }
    return list;
}

/* mountinfo: id parent dev root point options [tags] - type source super-options */
static void take_mount(struct str line, struct arena *a, struct cgroup_host *out)
{
    const char *dash = memmem(line.p, line.n, " - ", 3);
    if (dash == NULL)
        return;
    struct str tail = {dash + 3, line.n - (size_t)(dash + 3 - line.p)};
    struct str type = str_cut(&tail, ' ');
    bool v2 = str_eq(type, "cgroup2");
    if (!v2 && !str_eq(type, "cgroup"))
        return;
    str_cut(&tail, ' ');
    for (int i = 0; i < 3; i++)
        str_cut(&line, ' ');
    struct str root = str_cut(&line, ' '), point = str_cut(&line, ' ');
    const char *list = v2 ? "" : controllers_of(tail, a);
    if (!v2 && *list == '\0')
        return;
    vec_each(h, &out->hiers)
        if (strcmp(h->controllers, list) == 0)
            return; /* mounted twice */
    struct str base = point;
    base = str_cut_last(&base, '/');
    struct cgroup_hier *h = vec_add_in(a, &out->hiers);
    h->controllers = list;
    h->mount = arena_strndup(a, point.p, point.n);
    h->base = arena_strndup(a, base.p, base.n);
    h->own = "/";
    (void)root;
}

static bool lists_controller(const char *list, struct str name)
{
    struct str rest = str_of(list);
    while (rest.n > 0) {
        struct str word = str_cut(&rest, ',');
        if (word.n == name.n && memcmp(word.p, name.p, name.n) == 0)
            return true;
    }
    return *list == '\0' && name.n == 0;
}

/* /proc/self/cgroup: id:controllers:path */
static void take_own(struct str line, struct arena *a, struct cgroup_host *out)
{
    str_cut(&line, ':');
    struct str list = str_cut(&line, ':');
    struct str first = str_cut(&list, ',');
    if (line.n == 0)
        return;
    vec_each(h, &out->hiers)
        if (lists_controller(h->controllers, first))
            h->own = arena_strndup(a, line.p, line.n);
}

static void keep_unified(struct cgroup_host *out)
{
    struct cgroup_hier unified = {0};
    vec_each(h, &out->hiers)
        if (*h->controllers == '\0')
            unified = *h;
    if (unified.mount == NULL)
        return;
    unified.mount = "/sys/fs/cgroup";
    unified.base = "cgroup";
    out->hiers.v[0] = unified;
    out->hiers.n = 1;
}

int cgroup_host_read(struct arena *a, struct cgroup_host *out, struct err *e)
{
    CLEANUP(buf_done) struct buf mounts = BUF_MAX(16 << 20);
    CLEANUP(buf_done) struct buf own = BUF_MAX(1 << 20);
    memset(out, 0, sizeof(*out));
    TRY(file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, e));
    TRY(file_read(AT_FDCWD, "/proc/self/cgroup", &own, e));
    for (struct str rest = str_of(buf_cstr(&mounts)); rest.n > 0;)
        take_mount(str_cut(&rest, '\n'), a, out);
    for (struct str rest = str_of(buf_cstr(&own)); rest.n > 0;)
        take_own(str_cut(&rest, '\n'), a, out);
    struct statfs fs;
    if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
        keep_unified(
            out); /* v1 hierarchies may be mounted below or elsewhere, but are not in use */
    bool v1 = false, unified = false;
    vec_each(h, &out->hiers) {
        unified |= *h->controllers == '\0';
        v1 |= *h->controllers != '\0';
    }
    out->mode = !v1 && unified ? CGROUP_V2 : unified ? CGROUP_HYBRID : CGROUP_V1;
    return 0;
}

/* ---- where a container's cgroup is ---------------------------------------------------------- */

/* Resolve "." and ".." by name only, staying below "/": "/a/../../b" is "/b". */
static const char *clean(const char *path, struct arena *a)
{
    char *out = arena_alloc(a, strlen(path) + 2);
    size_t n = 0;
    struct str rest = str_of(path);
    while (rest.n > 0) {
        struct str name = str_cut(&rest, '/');
        if (name.n == 0 || str_eq(name, "."))
            continue;
        if (str_eq(name, "..")) {
            while (n > 0 && out[--n] != '/')
                continue;
            continue;
        }
        out[n++] = '/';
        memcpy(out + n, name.p, name.n);
        n += name.n;
    }
    out[n] = '\0';
    return out;
}

static const char *own_base(const struct cgroup_hier *h, enum cgroup_mode mode, struct arena *a)
{
    /* on v2 our own cgroup holds processes and so cannot have controllers for children */
    return mode == CGROUP_V2 ? arena_printf(a, "%s/..", h->own) : h->own;
}

void cgroup_plan(const struct cgroup_host *host, const char *path, const char *id, struct arena *a,
                 struct cgroup *out)
{
    memset(out, 0, sizeof(*out));
    out->mode = host->mode;
    const char *wanted = *path != '\0' ? clean(path, a) : arena_printf(a, "/%s", id);
    for (size_t i = 0; i < ARRAY_LEN(v1_order); i++)
        vec_each(h, &host->hiers) {
            struct str first = str_of(h->controllers);
            first = str_cut(&first, ',');
            if (!str_eq(first, v1_order[i]))
                continue;
            const char *in =
                *path == '/'
                    ? wanted
                    : clean(arena_printf(a, "%s%s", own_base(h, host->mode, a), wanted), a);
            struct cgroup_dir *d = vec_add_in(a, &out->dirs);
            d->controllers = h->controllers;
            d->mount = h->mount;
            d->path = arena_printf(a, "%s%s", h->mount, in);
        }
}

const char *cgroup_path(const struct cgroup *cg, const char *controller)
{
    vec_each(d, &cg->dirs) {
        if (cg->mode == CGROUP_V2 && *d->controllers == '\0')
            return d->path;
        if (lists_controller(d->controllers, str_of(controller)))
            return d->path;
    }
    return NULL;
}

/* ---- files -------------------------------------------------------------------------------- */

static int open_file(const char *dir, const char *file, int flags)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

int cgroup_write(const char *dir, const char *file, const char *text)
{
    auto_fd int fd = open_file(dir, file, O_WRONLY);
    if (fd < 0)
        return fd;
    ssize_t n;
    do
        n = write(fd, text, strlen(text));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int cgroup_read(const char *dir, const char *file, char *text, size_t size)
{
    auto_fd int fd = open_file(dir, file, O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t n = read(fd, text, size - 1);
    if (n < 0)
        return -errno;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    return 0;
}

/* ---- making ------------------------------------------------------------------------------- */

/* A new v1 cpuset is empty and nothing can join it: take both lists from the parent. */
static int fill_cpuset(const char *parent, const char *dir)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char text[4096];
        int r = cgroup_read(dir, files[i], text, sizeof(text));
        if (r == 0 && *text == '\0') {
            r = cgroup_read(parent, files[i], text, sizeof(text));
            if (r == 0)
                r = cgroup_write(dir, files[i], text);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Let the children of dir have every controller that dir has. */
static void pass_controllers(const char *dir)
{
    char have[1024], one[64], all[1024] = "";
    if (cgroup_read(dir, "cgroup.controllers", have, sizeof(have)) < 0)
        return;
    size_t n = 0;
    for (struct str rest = str_of(have); rest.n > 0 && n + 64 < sizeof(all);) {
        struct str name = str_cut(&rest, ' ');
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s+%.*s", n > 0 ? " " : "", STR_ARG(name));
    }
    if (n == 0 || cgroup_write(dir, "cgroup.subtree_control", all) == 0)
        return;
    for (struct str rest = str_of(have); rest.n > 0;) {
        struct str name = str_cut(&rest, ' ');
        (void)snprintf(one, sizeof(one), "+%.*s", STR_ARG(name));
        (void)cgroup_write(dir, "cgroup.subtree_control", one); /* a limit will say what lacks */
    }
}

/* mkdir -p below the hierarchy's root. Returns the length of the path that existed already. */
static int make_dir(const struct cgroup_dir *d, enum cgroup_mode mode, size_t *existed,
                    struct err *e)
{
    bool cpuset = lists_controller(d->controllers, STR("cpuset"));
    *existed = strlen(d->path);
    bool made = mkdir(d->path, 0755) == 0, there = !made && errno == EEXIST;
    if (there && mode != CGROUP_V2) /* v2: who made it may have left controllers out */
        return cpuset && fill_cpuset(d->mount, d->path) < 0
                   ? err_sys(e, "fill %s/cpuset.cpus", d->path)
                   : 0;
    if (made && !cpuset && mode != CGROUP_V2) { /* its parents need nothing */
        *existed -= strlen(strrchr(d->path, '/'));
        return 0;
    }
    auto_free char *path = mem_strdup(d->path);
    auto_free char *parent = mem_strdup(d->mount);
    *existed = there ? strlen(d->path) : made ? strlen(d->path) - strlen(strrchr(d->path, '/')) : 0;
    for (size_t at = strlen(d->mount) + 1;; at++) {
        if (path[at] != '/' && path[at] != '\0')
            continue;
        char was = path[at];
        path[at] = '\0';
        if (mode == CGROUP_V2)
            pass_controllers(parent);
        if (mkdir(path, 0755) == 0) {
            if (*existed == 0)
                *existed = strlen(parent);
        } else if (errno != EEXIST) {
            return err_sys(e, "mkdir %s", path);
        }
        int r = cpuset ? fill_cpuset(parent, path) : 0;
        if (r < 0)
            return err_neg(e, r, "fill %s/cpuset.cpus", path);
        if (was == '\0')
            return 0;
        free(parent);
        parent = mem_strdup(path);
        path[at] = was;
    }
}

/* Take away again what make_dir made: every level below the first `existed` bytes. */
static void unmake_dir(const struct cgroup_dir *d, size_t existed)
{
    auto_free char *path = mem_strdup(d->path);
    while (existed > 0 && strlen(path) > existed) {
        (void)rmdir(path); /* others may have come to use it */
        *strrchr(path, '/') = '\0';
    }
}

int cgroup_create(const struct cgroup *cg, struct err *e)
{
    size_t existed[ARRAY_LEN(v1_order)] = {0};
    for (size_t i = 0; i < cg->dirs.n && i < ARRAY_LEN(existed); i++) {
        if (make_dir(&cg->dirs.v[i], cg->mode, &existed[i], e) == 0)
            continue;
        for (size_t k = 0; k <= i; k++)
            unmake_dir(&cg->dirs.v[k], existed[k]);
        return -1;
    }
    return 0;
}

/* ---- entering ----------------------------------------------------------------------------- */

int cgroup_door_open(const struct cgroup *cg, struct cgroup_door *out, struct err *e)
{
    struct cgroup_door d = CGROUP_DOOR_NONE;
    vec_each(dir, &cg->dirs) {
        bool unified = *dir->controllers == '\0';
        int fd = unified ? open_file(dir->path, ".", O_PATH | O_DIRECTORY)
                         : open_file(dir->path, "tasks", O_WRONLY);
        if (fd < 0) {
            cgroup_door_close(&d);
            return err_neg(e, fd, "open the cgroup %s", dir->path);
        }
        if (unified) {
            d.born = fd;
            continue;
        }
        assert(d.n < ARRAY_LEN(d.tasks)); /* each hierarchy has a controller of v1_order */
        d.names[d.n] = dir->path;
        d.tasks[d.n++] = fd;
    }
    *out = d;
    return 0;
}

int cgroup_door_enter(const struct cgroup_door *d, struct err *e)
{
    for (size_t i = 0; i < d->n; i++)
        if (write(d->tasks[i], "0", 1) != 1)
            return err_sys(e, "write %s/tasks", d->names[i]);
    return 0;
}

void cgroup_door_close(struct cgroup_door *d)
{
    for (size_t i = 0; i < d->n; i++)
        fd_close(d->tasks[i]);
    fd_close(d->born);
    *d = (struct cgroup_door)CGROUP_DOOR_NONE;
}

int cgroup_join(const struct cgroup *cg, pid_t pid, struct err *e)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    vec_each(d, &cg->dirs) {
        int r = cg->mode == CGROUP_V2 ? 0 : cgroup_write(d->path, "cgroup.procs", text);
        if (r < 0)
            return err_neg(e, r, "write %s/cgroup.procs", d->path);
    }
    return 0;
}

int cgroup_delegate(const struct cgroup *cg, uid_t uid, struct err *e)
{
    CLEANUP(buf_done) struct buf files = BUF_MAX(65536);
    struct err ignored = {0};
    const char *dir = cg->mode == CGROUP_V2 ? cgroup_path(cg, "") : NULL;
    if (dir == NULL)
        return 0;
    if (file_read(AT_FDCWD, "/sys/kernel/cgroup/delegate", &files, &ignored) < 0)
        buf_adds(&files, "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n");
    auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, (gid_t)-1) < 0)
        return err_sys(e, "chown %s", dir);
    for (struct str rest = str_of(buf_cstr(&files)); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        auto_free char *name = str_dup(line);
        if (fchownat(fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
            return err_sys(e, "chown %s/%s", dir, name);
    }
    return 0;
}
