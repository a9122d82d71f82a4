/*
 * The life of a container's systemd unit: see unit.h. What it is called, and the calls of systemd,
 * which hull-systemd makes. Source: systemd.unit(5), systemd.scope(5), org.freedesktop.systemd1(5).
 */
#include "runtime/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/rootless.h"
#include "sys/job.h"
#include "sys/path.h"

#define HELPER "hull-systemd"
#define JOB_BYTES_MAX (1 << 20)

/* ---- names -------------------------------------------------------------------------------- */

/* "a-b.slice" lies in "/a.slice/a-b.slice" */
static int slice_path(const char *slice, struct arena *a, const char **out, struct err *e)
{
    struct str rest = str_of(slice);
    const char *path = "", *prefix = "";
    bool bad = rest.n <= strlen(".slice") || !str_ends(rest, ".slice") || str_index(rest, '/') >= 0;
    rest.n -= bad ? 0 : strlen(".slice");
    if (!bad && str_eq(rest, "-"))
        rest.n = 0;
    while (!bad && rest.n > 0) {
        bool dash_last = rest.p[rest.n - 1] == '-';
        struct str part = str_cut(&rest, '-');
        bad = part.n == 0 || (rest.n == 0 && dash_last);
        path = arena_printf(a, "%s/%s%.*s.slice", path, prefix, STR_ARG(part));
        prefix = arena_printf(a, "%s%.*s-", prefix, STR_ARG(part));
    }
    if (bad)
        return err_set(e, ERR_INVALID, "invalid slice name: %s", slice);
    *out = path;
    return 0;
}

/*
 * The manager and the root of its cgroups. An ordinary user has his own, at the places that systemd
 * gives it; so has the root of a user namespace that an ordinary user has made, unless (a whole
 * machine in a container) there is none but the namespace's.
 */
static const char *plan_manager(struct unit *u, struct arena *a)
{
    unsigned uid = rootless_owner();
    const char *dir = arena_printf(a, "/run/user/%u", uid);
    u->manager = "/run";
    if (uid == 0 || (geteuid() == 0 && access(arena_printf(a, "%s/systemd", dir), F_OK) < 0))
        return "";
    u->manager = dir;
    return arena_printf(a, "/user.slice/user-%u.slice/user@%u.service", uid, uid);
}

int unit_plan(const char *cgroups_path, const char *id, struct arena *a, struct unit *out,
              struct err *e)
{
    struct str name = str_of(cgroups_path), slice = {"", 0}, prefix = STR("runc");
    const char *path;
    if (access("/run/systemd/system", F_OK) < 0)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "systemd not running on this host, cannot use systemd cgroups manager");
    if (name.n == 0) {
        name = str_of(id);
    } else {
        slice = str_cut(&name, ':');
        ptrdiff_t colon = str_index(name, ':');
        prefix = str_cut(&name, ':');
        if (colon < 0 || str_index(name, ':') >= 0)
            return err_set(e, ERR_INVALID,
                           "expected cgroupsPath to be of format \"slice:prefix:name\" for "
                           "systemd cgroups, got \"%s\" instead",
                           cgroups_path);
    }
    *out = (struct unit){0};
    const char *root = plan_manager(out, a);
    out->slice = slice.n > 0       ? arena_strndup(a, slice.p, slice.n)
                 : root[0] != '\0' ? "user.slice"
                                   : "system.slice";
    out->name = str_ends(name, ".slice")
                    ? arena_strndup(a, name.p, name.n)
                    : arena_printf(a, "%.*s-%.*s.scope", STR_ARG(prefix), STR_ARG(name));
    TRY(slice_path(out->slice, a, &path, e));
    out->path = arena_printf(a, "%s%s/%s", root, path, out->name);
    return 0;
}

/* ---- calls -------------------------------------------------------------------------------- */

static int call(const char *name, const struct unit *u, const struct unit_properties *p,
                struct err *e)
{
    CLEANUP(buf_done) struct buf doc = BUF_MAX(JOB_BYTES_MAX);
    CLEANUP(buf_done) struct buf result = BUF_MAX(JOB_BYTES_MAX);
    auto_free char *program = path_helper(HELPER);
    struct unit_job job = {.call = name, .manager = u->manager, .unit = u->name};
    if (p != NULL) {
        job.properties.v = p->all.v;
        job.properties.n = p->all.n;
    }
    json_write(&unit_job_json, &job, &doc);
    if (doc.over)
        return err_set(e, ERR_TOO_LARGE, "the unit's properties are too large");
    const struct job_opts o = {.program = program, .doc = doc.p, .doc_len = doc.n};
    if (job_run(&o, &result, e) == 0)
        return 0;
    return e->kind == ERR_NOT_FOUND ? err_set(e, ERR_UNIMPLEMENTED,
                                              "the systemd cgroups manager needs %s, which is "
                                              "not installed",
                                              program)
                                    : -1;
}

static void add(struct unit_properties *out, struct arena *a, const char *name, const char *type,
                const char *value)
{
    struct unit_property *p = vec_add_in(a, &out->all);
    *p = (struct unit_property){.name = name, .type = type};
    vec_push_in(a, &p->values, (char *)(uintptr_t)value);
}

int unit_start(const struct unit *u, const char *id, pid_t pid, enum cgroup_mode mode,
               const struct unit_properties *more, struct arena *a, struct err *e)
{
    static const char *const on[] = {"MemoryAccounting", "CPUAccounting", "TasksAccounting"};
    struct unit_properties p = {0};
    bool slice = str_ends(str_of(u->name), ".slice");
    add(&p, a, "Description", "s", arena_printf(a, "libcontainer container %s", id));
    add(&p, a, slice ? "Wants" : "Slice", slice ? "as" : "s", u->slice);
    if (!slice) {
        add(&p, a, "Delegate", "b", "true");
        add(&p, a, "PIDs", "au", arena_printf(a, "%d", (int)pid));
    }
    for (size_t i = 0; i < ARRAY_LEN(on); i++)
        add(&p, a, on[i], "b", "true");
    add(&p, a, mode == CGROUP_V2 ? "IOAccounting" : "BlockIOAccounting", "b", "true");
    add(&p, a, "DefaultDependencies", "b", "false");
    vec_each(extra, &more->all)
        vec_push_in(a, &p.all, *extra);
    return call("start", u, &p, e);
}

int unit_set(const struct unit *u, const struct unit_properties *p, struct err *e)
{
    return call("set", u, p, e);
}

int unit_stop(const struct unit *u, struct err *e)
{
    return call("stop", u, NULL, e);
}
