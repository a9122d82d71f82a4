/* Where an exec'd process belongs: see exec_cgroup.h. */
#include "runtime/exec_cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/path.h"

static int check_path(struct str path, struct err *e)
{
    bool bad = path.n == 0;
    for (struct str rest = path; rest.n > 0;)
        bad |= str_eq(str_cut(&rest, '/'), "..");
    return bad ? err_set(e, ERR_INVALID, "bad sub cgroup path: %.*s", STR_ARG(path)) : 0;
}

static void descend(struct cgroup_dir *dir, struct str path, struct arena *a)
{
    dir->path = arena_printf(a, "%s/%.*s", dir->path, STR_ARG(path));
}

/* In every hierarchy. The extra v2 one of a hybrid host has only what somebody made there. */
static void descend_all(struct cgroup *cg, struct str path, struct arena *a)
{
    vec_each(d, &cg->dirs) {
        struct cgroup_dir below = *d;
        descend(&below, path, a);
        if (cg->mode != CGROUP_HYBRID || *d->controllers != '\0' || access(below.path, F_OK) == 0)
            *d = below;
    }
}

static struct cgroup_dir *find_dir(struct cgroup *cg, struct str controller)
{
    vec_each(d, &cg->dirs)
        for (struct str rest = str_of(d->controllers); rest.n > 0;) {
            struct str name = str_cut(&rest, ',');
            if (name.n == controller.n && memcmp(name.p, controller.p, name.n) == 0)
                return d;
        }
    return NULL;
}

/* The controllers of one hierarchy may be named together: it is entered once. */
static int descend_named(struct cgroup *cg, struct str controllers, struct str path, bool taken[],
                         struct arena *a, struct err *e)
{
    struct cgroup_dir *last = NULL;
    do {
        struct str name = str_cut(&controllers, ',');
        struct cgroup_dir *dir = find_dir(cg, name);
        if (dir == NULL)
            return err_set(e, ERR_INVALID, "unknown controller %.*s in --cgroup", STR_ARG(name));
        if (dir != last && taken[dir - cg->dirs.v])
            return err_set(e, ERR_INVALID, "controller %.*s is in --cgroup more than once",
                           STR_ARG(name));
        if (dir != last)
            descend(dir, path, a);
        taken[dir - cg->dirs.v] = true;
        last = dir;
    } while (controllers.n > 0);
    return 0;
}

int exec_cgroup_plan(const struct record *r, const struct strv *wanted, struct arena *a,
                     struct cgroup *out, struct err *e)
{
    record_cgroup(r, a, out);
    bool *taken = arena_alloc_array(a, out->dirs.n + 1, sizeof(*taken));
    for (size_t i = 0; wanted != NULL && i < wanted->n; i++) {
        struct str path = str_of(wanted->v[i]);
        bool named = str_index(path, ':') >= 0;
        struct str controllers = named ? str_cut(&path, ':') : (struct str){0};
        TRY(check_path(path, e));
        if (named)
            TRY(descend_named(out, controllers, path, taken, a, e));
        else if (wanted->n > 1)
            return err_set(e, ERR_INVALID, "of several --cgroup each names its controllers: %s",
                           wanted->v[i]);
        else
            descend_all(out, path, a);
    }
    return 0;
}

int exec_cgroup_follow(pid_t pid, struct arena *a, struct cgroup *cg, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    TRY(file_read(AT_FDCWD, path, &text, e));
    struct str line = STR("");
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0 && !str_starts(line, "0::");)
        line = str_cut(&rest, '\n');
    if (!str_starts(line, "0::/") || memmem(line.p, line.n, "..", 2) != NULL)
        return err_set(e, ERR_INTERNAL,
                       "the cgroup of the container's first process is out of reach");
    struct cgroup_dir *dir = &cg->dirs.v[0];
    dir->path = arena_printf(a, "%s%.*s", dir->mount, (int)line.n - 3, line.p + 3);
    return 0;
}
