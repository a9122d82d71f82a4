/*
 * Out of memory: see oom.h. cgroup v1 signals an eventfd, v2 changes memory.events, which inotify
 * tells. Both also wake when the cgroup goes away, so what counts is whether the kernel's counter
 * has grown.
 */
#include "shim/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "proto/event.pb-c.h"
#include "sys/fd.h"
#include "sys/path.h"

struct oom {
    struct publisher *pub;
    const char *id;
    char *file; /* that has the line "oom_kill N" */
    int fd;
    struct source *src;
    uint64_t kills;
    bool every_time; /* v1: a notice comes before the counter grows */
};

/* The kernel's counter. False when the cgroup is gone. */
static bool count(const struct oom *o, uint64_t *out)
{
    auto_buf struct buf text = BUF_MAX(4096);
    struct err ignored = {0};
    if (file_read(AT_FDCWD, o->file, &text, &ignored) < 0)
        return false;
    struct str rest = {text.p, text.n};
    while (rest.n > 0) {
        struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ' ');
        if (str_eq(key, "oom_kill"))
            (void)str_to_u64(value, 0, UINT64_MAX, out);
    }
    return true;
}

static void look(struct oom *o)
{
    uint64_t kills = o->kills;
    if (!count(o, &kills))
        return;
    if (o->every_time || kills > o->kills) {
        Event__TaskOOM ev = EVENT__TASK_OOM__INIT;
        ev.container_id = (char *)(uintptr_t)o->id;
        publish(o->pub, "/tasks/oom", &ev.base, NULL, NULL);
    }
    o->kills = kills;
}

void oom_check(struct oom *o)
{
    if (o != NULL && !o->every_time)
        look(o);
}

static void on_change(struct source *s, int fd, uint32_t events, void *arg)
{
    char buf[1024];
    (void)s;
    (void)events;
    while (read(fd, buf, sizeof(buf)) > 0)
        ;
    look(arg);
}

static int watch_v1(struct oom *o, const char *dir, struct err *e)
{
    char line[64];
    o->file = mem_printf("%s/memory.oom_control", dir);
    o->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    auto_fd int control = open(o->file, O_RDONLY | O_CLOEXEC);
    if (o->fd < 0 || control < 0)
        return err_sys(e, "%s", o->file);
    (void)snprintf(line, sizeof(line), "%d %d", o->fd, control);
    int r = cgroup_write(dir, "cgroup.event_control", line);
    return r < 0 ? err_neg(e, r, "%s/cgroup.event_control", dir) : 0;
}

static int watch_v2(struct oom *o, const char *dir, struct err *e)
{
    o->file = mem_printf("%s/memory.events", dir);
    o->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (o->fd < 0 || inotify_add_watch(o->fd, o->file, IN_MODIFY) < 0)
        return err_sys(e, "%s", o->file);
    return 0;
}

struct oom *oom_watch(struct loop *loop, struct publisher *pub, const char *id,
                      const struct cgroup *cg)
{
    struct err e = {0};
    const char *dir = cgroup_path(cg, "memory");
    if (dir == NULL)
        return NULL;
    struct oom *o = mem_alloc(sizeof(*o));
    *o = (struct oom){.pub = pub, .id = id, .fd = -1};
    int r = cg->mode == CGROUP_V2 ? watch_v2(o, dir, &e) : watch_v1(o, dir, &e);
    if (r == 0) {
        (void)count(o, &o->kills); /* else 0 */
        o->every_time = cg->mode != CGROUP_V2;
        o->src = loop_add_fd(loop, o->fd, EPOLLIN, on_change, o, &e);
    }
    if (r < 0 || o->src == NULL) {
        log_warn("out-of-memory kills are not watched", "container", id, "error", e.msg, NULL);
        oom_free(o);
        return NULL;
    }
    return o;
}

void oom_free(struct oom *o)
{
    if (o == NULL)
        return;
    loop_del(o->src);
    fd_close(o->fd);
    free(o->file);
    free(o);
}
