/* Out of memory: see oom.h. */
#include "shim/oom.h"

#include <sys/epoll.h>

#include "base/log.h"
#include "base/mem.h"
#include "proto/event.pb-c.h"
#include "sys/cgroup_oom.h"

struct oom {
    struct publisher *pub;
    const char *id;
    struct cgroup_oom watch;
    struct source *src;
};

static void tell(struct oom *o)
{
    Event__TaskOOM ev = EVENT__TASK_OOM__INIT;
    ev.container_id = (char *)(uintptr_t)o->id;
    publish(o->pub, "/tasks/oom", &ev.base, NULL, NULL);
}

void oom_check(struct oom *o)
{
    if (o != NULL && cgroup_oom_check(&o->watch))
        tell(o);
}

static void on_change(struct source *s, int fd, uint32_t events, void *arg)
{
    struct oom *o = arg;
    (void)s;
    (void)fd;
    (void)events;
    if ((cgroup_oom_read(&o->watch) & CGROUP_OOM_HAPPENED) != 0)
        tell(o);
}

struct oom *oom_watch(struct loop *loop, struct publisher *pub, const char *id,
                      const struct cgroup *cg)
{
    struct err e = {0};
    if (cgroup_path(cg, "memory") == NULL)
        return NULL;
    struct oom *o = mem_alloc(sizeof(*o));
    *o = (struct oom){.pub = pub, .id = id, .watch = CGROUP_OOM_NONE};
    if (cgroup_oom_open(cg, &o->watch, &e) == 0)
        o->src = loop_add_fd(loop, o->watch.fd, EPOLLIN, on_change, o, &e);
    if (o->src == NULL) {
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
    cgroup_oom_close(&o->watch);
    free(o);
}
