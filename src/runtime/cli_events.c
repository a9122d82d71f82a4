/*
 * `events`: statistics once or again and again, and a line for each kill of the kernel's
 * out-of-memory killer, until the container's cgroup has gone. See cli.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "runtime/cli.h"
#include "runtime/container.h"
#include "runtime/stats.h"
#include "sys/cgroup_oom.h"
#include "sys/fd.h"

#define INTERVAL_NS (5 * NS_PER_S)

#define EVENT(T, F)            \
    F(T, str, type, "type", 0) \
    F(T, str, id, "id", 0)     \
    F(T, obj, data, "data", JSON_OMITEMPTY, stats)
JSON_TYPE(event, EVENT)
JSON_DESC(event, EVENT)

static int print_event(const char *type, const char *id, struct stats *data, struct err *e)
{
    CLEANUP(buf_done) struct buf line = BUF_MAX(4 << 20);
    json_write(&event_json, &(struct event){type, id, data}, &line);
    buf_addc(&line, '\n');
    int rc = fd_write_all(STDOUT_FILENO, line.p, line.n);
    return rc < 0 ? err_neg(e, rc, "write the event") : 0;
}

static int print_stats(const struct container *c, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct stats s;
    stats_read(&c->cgroup, a, &s);
    return print_event("stats", c->record.id, &s, e);
}

static int follow(const struct container *c, struct cgroup_oom *oom, int64_t interval_ns,
                  struct err *e)
{
    int64_t next = time_mono_ns() + interval_ns;
    for (;;) {
        struct pollfd p = {.fd = oom->fd, .events = POLLIN};
        int64_t left_ms = (next - time_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        int r = poll(&p, 1, (int)MIN(MAX(left_ms, 0), (int64_t)INT32_MAX));
        if (r < 0 && errno != EINTR)
            return err_sys(e, "poll");
        unsigned news = r > 0 ? cgroup_oom_read(oom) : 0;
        if ((news & CGROUP_OOM_HAPPENED) != 0)
            TRY(print_event("oom", c->record.id, NULL, e));
        if ((news & CGROUP_OOM_END) != 0)
            return 0;
        if (time_mono_ns() >= next) {
            TRY(print_stats(c, e));
            next += interval_ns;
        }
    }
}

int cli_events(struct cli *c, struct cli_values *v, char **args, int n, struct err *e)
{
    auto_container struct container box = CONTAINER_NONE;
    CLEANUP(cgroup_oom_close) struct cgroup_oom oom = CGROUP_OOM_NONE;
    const char *text = cli_text(v, "interval");
    int64_t interval_ns = INTERVAL_NS;
    (void)n;
    TRY(container_load(&box, c->root, args[0], e));
    if (text != NULL && !dur_parse(str_of(text), &interval_ns))
        return err_set(e, ERR_INVALID, "invalid value \"%s\" for flag -interval: parse error",
                       text);
    if (interval_ns <= 0)
        return err_set(e, ERR_INVALID, "duration interval must be greater than 0");
    if (box.status == HULLRUN_STOPPED)
        return err_set(e, ERR_CONFLICT, "container with id %s is not running", args[0]);
    if (cli_bool(v, "stats"))
        return print_stats(&box, e);
    TRY(cgroup_oom_open(&box.cgroup, &oom, e));
    return follow(&box, &oom, interval_ns, e);
}
