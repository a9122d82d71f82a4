/*
 * Out of memory: see cgroup_oom.h. On v1 a notice comes before the counter grows, and each one
 * counts; on v2 what counts is whether the counter has grown. Source: kernel
 * admin-guide/cgroup-v1/memory (10. OOM Control), admin-guide/cgroup-v2 (memory.events).
 */
#include "sys/cgroup_oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/cgroup_stat.h"
#include "sys/fd.h"

struct count {
    uint64_t kills, populated;
};

/* False when the cgroup is gone. */
static bool count(const struct cgroup_oom *o, struct count *out)
{
    static const struct cgroup_key kills[] = {{"oom_kill", offsetof(struct count, kills)}};
    static const struct cgroup_key populated[] = {{"populated", offsetof(struct count, populated)}};
    *out = (struct count){.kills = o->kills, .populated = 1};
    return cgroup_keys(o->dir, o->file, kills, ARRAY_LEN(kills), out) &&
           (!o->v2 || cgroup_keys(o->dir, "cgroup.events", populated, ARRAY_LEN(populated), out));
}

static int watch_v1(struct cgroup_oom *o, struct err *e)
{
    char line[64];
    auto_free char *path = mem_printf("%s/%s", o->dir, o->file);
    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    auto_fd int control = open(path, O_RDONLY | O_CLOEXEC);
    if (o->fd < 0 || control < 0)
        return err_sys(e, "%s", path);
    (void)snprintf(line, sizeof(line), "%d %d", o->fd, control);
    int r = cgroup_write(o->dir, "cgroup.event_control", line);
    return r < 0 ? err_neg(e, r, "%s/cgroup.event_control", o->dir) : 0;
}

static int watch_v2(struct cgroup_oom *o, struct err *e)
{
    const char *const files[] = {o->file, "cgroup.events"};
    o->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (o->fd < 0)
        return err_sys(e, "inotify");
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", o->dir, files[i]);
        if (inotify_add_watch(o->fd, path, IN_MODIFY) < 0)
            return err_sys(e, "%s", path);
    }
    return 0;
}

int cgroup_oom_open(const struct cgroup *cg, struct cgroup_oom *out, struct err *e)
{
    struct count now;
    const char *dir = cgroup_path(cg, "memory");
    if (dir == NULL)
        return err_set(e, ERR_NOT_FOUND, "cgroup not supported: no memory controller");
    *out = (struct cgroup_oom){
        .fd = -1,
        .v2 = cg->mode == CGROUP_V2,
        .dir = mem_strdup(dir),
        .file = mem_strdup(cg->mode == CGROUP_V2 ? "memory.events" : "memory.oom_control")};
    if ((out->v2 ? watch_v2 : watch_v1)(out, e) < 0) {
        cgroup_oom_close(out);
        return -1;
    }
    if (count(out, &now))
        out->kills = now.kills;
    return 0;
}

unsigned cgroup_oom_read(struct cgroup_oom *o)
{
    char drain[1024];
    struct count now;
    while (read(o->fd, drain, sizeof(drain)) > 0)
        continue;
    if (!count(o, &now))
        return CGROUP_OOM_END;
    bool grown = now.kills > o->kills;
    o->kills = now.kills;
    return (grown || !o->v2 ? CGROUP_OOM_HAPPENED : 0U) |
           (now.populated == 0 ? CGROUP_OOM_END : 0U);
}

bool cgroup_oom_check(struct cgroup_oom *o)
{
    struct count now;
    if (o->fd < 0 || !o->v2 || !count(o, &now))
        return false;
    bool grown = now.kills > o->kills;
    o->kills = now.kills;
    return grown;
}

void cgroup_oom_close(struct cgroup_oom *o)
{
    fd_close(o->fd);
    free(o->dir);
    free(o->file);
    *o = (struct cgroup_oom)CGROUP_OOM_NONE;
}
