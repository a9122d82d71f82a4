/* Intel RDT: see rdt.h. */
#include "runtime/rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/cgroup.h"
#include "sys/cgroup_stat.h"
#include "sys/path.h"

static bool given(const char *s)
{
    return s != NULL && *s != '\0';
}

const char *rdt_root(struct arena *a)
{
    CLEANUP(buf_done) struct buf mounts = BUF_MAX(16 << 20);
    struct err ignored = {0};
    if (file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, &ignored) < 0)
        return NULL;
    for (struct str rest = str_of(buf_cstr(&mounts)); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        const char *type = memmem(line.p, line.n, " - resctrl ", strlen(" - resctrl "));
        if (type == NULL)
            continue;
        for (int i = 0; i < 4; i++)
            str_cut(&line, ' ');
        struct str at = str_cut(&line, ' ');
        return arena_strndup(a, at.p, at.n);
    }
    return NULL;
}

int rdt_check(const struct oci_intel_rdt *r, const char *root, struct err *e)
{
    const char *id = r->clos_id != NULL ? r->clos_id : "";
    if (root == NULL)
        return err_set(e, ERR_INVALID,
                       "intelRdt is specified in config, but Intel RDT is not enabled");
    if (strcmp(id, ".") == 0 || strcmp(id, "..") == 0 ||
        (strlen(id) > 1 && strchr(id, '/') != NULL))
        return err_set(e, ERR_INVALID, "invalid intelRdt.ClosID \"%s\"", id);
    if (given(r->l3_cache) && !cgroup_has(root, "info/L3"))
        return err_set(e, ERR_INVALID,
                       "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not "
                       "enabled");
    if (given(r->mem_bw) && !cgroup_has(root, "info/MB"))
        return err_set(e, ERR_INVALID,
                       "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not "
                       "enabled");
    return 0;
}

static int write_schemata(const char *group, const char *l3_cache, const char *mem_bw,
                          const struct strv *lines, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    if (given(l3_cache))
        buf_printf(&text, "%s\n", l3_cache);
    if (given(mem_bw))
        buf_printf(&text, "%s\n", mem_bw);
    for (size_t i = 0; lines != NULL && i < lines->n; i++)
        buf_printf(&text, "%s\n", lines->v[i]);
    int r = text.n == 0 ? 0 : cgroup_write(group, "schemata", buf_cstr(&text));
    return r < 0 ? err_neg(e, r, "intelrdt: unable to write \"%s\"", buf_cstr(&text)) : 0;
}

int rdt_set(const char *group, const char *l3_cache, const char *mem_bw, struct err *e)
{
    return write_schemata(group, l3_cache, mem_bw, NULL, e);
}

/* out_made: we made it, it was not there. */
static int enter(const char *dir, pid_t pid, bool *out_made, struct err *e)
{
    char text[24];
    *out_made = mkdir(dir, 0755) == 0;
    if (!*out_made && errno != EEXIST)
        return err_sys(e, "mkdir %s", dir);
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    int r = cgroup_write(dir, "tasks", text);
    return r < 0 ? err_neg(e, r, "intelrdt: unable to add pid %s", text) : 0;
}

static int enter_all(const struct oci_intel_rdt *r, const char *id, pid_t pid, struct arena *a,
                     struct rdt *out, struct err *e)
{
    bool made;
    bool wishes = given(r->l3_cache) || given(r->mem_bw) || r->schemata.n > 0;
    if (given(r->clos_id) && !wishes && access(out->group, F_OK) < 0)
        return err_sys(e, "clos dir not accessible (must be pre-created when schemata, "
                          "l3CacheSchema and memBwSchema are empty)");
    int rc = enter(out->group, pid, &made, e);
    out->made = made && !given(r->clos_id);
    if (rc < 0 && made)
        out->made = true;
    TRY(rc);
    if (r->enable_monitoring) {
        out->monitor = arena_printf(a, "%s/mon_groups/%s", out->group, id);
        TRY(enter(out->monitor, pid, &made, e));
    }
    return write_schemata(out->group, r->l3_cache, r->mem_bw, &r->schemata, e);
}

int rdt_enter(const struct oci_intel_rdt *r, const char *root, const char *id, pid_t pid,
              struct arena *a, struct rdt *out, struct err *e)
{
    const char *name = given(r->clos_id) ? r->clos_id : id;
    bool whole = strcmp(name, "/") == 0; /* the group that everything is in */
    *out = (struct rdt){.group = whole ? root : arena_printf(a, "%s/%s", root, name)};
    if (enter_all(r, id, pid, a, out, e) == 0)
        return 0;
    rdt_leave(out);
    return -1;
}

void rdt_leave(const struct rdt *r)
{
    if (given(r->monitor))
        (void)rmdir(r->monitor); /* gone is fine, and what stays is only a name */
    if (r->made && given(r->group))
        (void)rmdir(r->group);
}
