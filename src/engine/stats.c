/* Stats: the supervisor's metrics of cgroup v1 or v2, the host's CPU time, and the interfaces of
 * the container. */
#include "engine/stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/time.h"
#include "engine/core.h"
#include "engine/stats_int.h"
#include "proto/cgroup1.pb-c.h"
#include "proto/cgroup2.pb-c.h"
#include "sys/path.h"

enum { SAMPLE_MS = 1000 };

static uint64_t mem_total(void)
{
    struct sysinfo s;

    return sysinfo(&s) == 0 ? (uint64_t)s.totalram * s.mem_unit : 0;
}

static void stat_add(struct stats_memory *m, const char *key, uint64_t v, struct arena *a)
{
    __typeof__(m->stats.v) s = vec_add_in(a, &m->stats);

    s->key = key;
    s->val = v;
}

/* Limits of no real size stand for the machine's memory. */
static uint64_t cap_limit(uint64_t limit)
{
    uint64_t total = mem_total();

    return limit == 0 || limit > total ? total : limit;
}

static void blkio_add(struct stats_blkio *b, uint64_t maj, uint64_t min, const char *op, uint64_t v,
                      struct arena *a)
{
    struct stats_blkio_entry *x = vec_add_in(a, &b->service_bytes);

    *x = (struct stats_blkio_entry){.major = maj, .minor = min, .op = op, .value = v};
}

/* clang-format off */
#define V2_STATS(X)                                                                               \
    X(anon)                                                                                       \
    X(file)                                                                                       \
    X(kernel_stack)                                                                               \
    X(slab)                                                                                       \
    X(sock)                                                                                       \
    X(shmem) X(file_mapped) X(file_dirty) X(file_writeback) X(anon_thp) X(inactive_anon)          \
        X(active_anon) X(inactive_file) X(active_file) X(unevictable) X(slab_reclaimable)         \
            X(slab_unreclaimable) X(pgfault) X(pgmajfault) X(workingset_refault)                  \
                X(workingset_activate) X(workingset_nodereclaim) X(pgrefill) X(pgscan) X(pgsteal) \
                    X(pgactivate) X(pgdeactivate) X(pglazyfree) X(pglazyfreed) X(thp_fault_alloc) \
                        X(thp_collapse_alloc)
/* clang-format on */

static void from_v2(const Cgroup2__Metrics *m, struct arena *a, struct container_stats *s)
{
    if (m->pids != NULL)
        s->pids = (struct stats_pids){.current = m->pids->current, .limit = m->pids->limit};
    if (m->cpu != NULL) {
        s->cpu.usage.total_ns = m->cpu->usage_usec * 1000;
        s->cpu.usage.kernel_ns = m->cpu->system_usec * 1000;
        s->cpu.usage.user_ns = m->cpu->user_usec * 1000;
        s->cpu.throttling =
            (struct stats_throttling){.periods = m->cpu->nr_periods,
                                      .throttled_periods = m->cpu->nr_throttled,
                                      .throttled_ns = m->cpu->throttled_usec * 1000};
    }
    if (m->memory != NULL) {
        s->memory.usage = m->memory->usage;
        s->memory.limit = cap_limit(m->memory->usage_limit);
#define X(name) stat_add(&s->memory, #name, m->memory->name, a);
        V2_STATS(X)
#undef X
    }
    if (m->memory_events != NULL)
        s->memory.failcnt = m->memory_events->oom;
    for (size_t i = 0; m->io != NULL && i < m->io->n_usage; i++) {
        blkio_add(&s->blkio, m->io->usage[i]->major, m->io->usage[i]->minor, "read",
                  m->io->usage[i]->rbytes, a);
        blkio_add(&s->blkio, m->io->usage[i]->major, m->io->usage[i]->minor, "write",
                  m->io->usage[i]->wbytes, a);
    }
}

/* clang-format off */
#define V1_STATS(X)                                                                             \
    X(cache)                                                                                    \
    X(rss)                                                                                      \
    X(rss_huge)                                                                                 \
    X(mapped_file)                                                                              \
    X(dirty)                                                                                    \
    X(writeback) X(inactive_anon) X(active_anon) X(inactive_file) X(active_file) X(unevictable) \
        X(hierarchical_memory_limit) X(total_cache) X(total_rss) X(total_rss_huge)              \
            X(total_mapped_file) X(total_dirty) X(total_writeback) X(total_inactive_anon)       \
                X(total_active_anon) X(total_inactive_file) X(total_active_file)                \
                    X(total_unevictable)
/* clang-format on */

static void from_v1(const Cgroup1__Metrics *m, struct arena *a, struct container_stats *s)
{
    if (m->pids != NULL)
        s->pids = (struct stats_pids){.current = m->pids->current, .limit = m->pids->limit};
    if (m->cpu != NULL && m->cpu->usage != NULL) {
        s->cpu.usage.total_ns = m->cpu->usage->total;
        s->cpu.usage.kernel_ns = m->cpu->usage->kernel;
        s->cpu.usage.user_ns = m->cpu->usage->user;
        for (size_t i = 0; i < m->cpu->usage->n_per_cpu; i++)
            vec_push_in(a, &s->cpu.usage.percpu_ns, (int64_t)m->cpu->usage->per_cpu[i]);
    }
    if (m->cpu != NULL && m->cpu->throttling != NULL)
        s->cpu.throttling =
            (struct stats_throttling){.periods = m->cpu->throttling->periods,
                                      .throttled_periods = m->cpu->throttling->throttled_periods,
                                      .throttled_ns = m->cpu->throttling->throttled_time};
    if (m->memory != NULL) {
        if (m->memory->usage != NULL) {
            s->memory.usage = m->memory->usage->usage;
            s->memory.max_usage = m->memory->usage->max;
            s->memory.failcnt = m->memory->usage->failcnt;
            s->memory.limit = cap_limit(m->memory->usage->limit);
        }
#define X(name) stat_add(&s->memory, #name, m->memory->name, a);
        V1_STATS(X)
#undef X
    }
    for (size_t i = 0; m->blkio != NULL && i < m->blkio->n_io_service_bytes_recursive; i++)
        blkio_add(&s->blkio, m->blkio->io_service_bytes_recursive[i]->major,
                  m->blkio->io_service_bytes_recursive[i]->minor,
                  m->blkio->io_service_bytes_recursive[i]->op,
                  m->blkio->io_service_bytes_recursive[i]->value, a);
}

/* The first line of /proc/stat: all CPU time in ticks, guest time being part of user time. */
uint64_t stats_system_ns(const char *proc_stat)
{
    struct str line = str_of(proc_stat), word;
    uint64_t sum = 0, n;
    int columns = 0;

    line = str_cut(&line, '\n');
    (void)str_cut(&line, ' ');
    while (line.n > 0 && columns < 7) {
        word = str_cut(&line, ' ');
        if (!str_to_u64(word, 0, UINT64_MAX, &n))
            continue;
        sum += n;
        columns++;
    }
    return sum * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void host_fill(struct container_stats *s)
{
    auto_buf struct buf b = BUF_MAX(4 << 20);
    struct err ignored = {0};

    s->cpu.online_cpus = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (file_read(AT_FDCWD, "/proc/stat", &b, &ignored) == 0)
        s->cpu.system_ns = stats_system_ns(buf_cstr(&b));
}

/* "  eth0: 1 2 3 ..." of /proc/PID/net/dev */
bool stats_net_line(struct str line, struct arena *a, const char **out_name,
                    struct stats_network *out)
{
    struct str name = str_cut(&line, ':');
    uint64_t v[16] = {0};
    size_t n = 0;

    name = str_trim(name);
    if (line.n == 0 || name.n == 0 || str_eq(name, "lo"))
        return false;
    while (line.n > 0 && n < ARRAY_LEN(v)) {
        struct str word = str_cut(&line, ' ');

        if (word.n > 0 && str_to_u64(word, 0, UINT64_MAX, &v[n]))
            n++;
    }
    if (n < ARRAY_LEN(v))
        return false;
    *out_name = arena_strndup(a, name.p, name.n);
    *out = (struct stats_network){.rx_bytes = v[0],
                                  .rx_packets = v[1],
                                  .rx_errors = v[2],
                                  .rx_dropped = v[3],
                                  .tx_bytes = v[8],
                                  .tx_packets = v[9],
                                  .tx_errors = v[10],
                                  .tx_dropped = v[11]};
    return true;
}

static void networks_fill(const struct view *v, struct arena *a, struct container_stats *s)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    struct err ignored = {0};
    struct str rest;

    if (v->state->sandbox == NULL || v->state->sandbox->endpoints.n == 0)
        return;
    if (file_read(AT_FDCWD, arena_printf(a, "/proc/%lld/net/dev", (long long)v->state->pid), &b,
                  &ignored) < 0)
        return;
    rest = str_of(buf_cstr(&b));
    while (rest.n > 0) {
        struct stats_network net;
        const char *name;

        if (!stats_net_line(str_cut(&rest, '\n'), a, &name, &net))
            continue;
        __typeof__(s->networks.v) n = vec_add_in(a, &s->networks);
        n->key = name;
        n->val = arena_dup(a, &net, sizeof(net));
    }
}

/* One sample; a container that does not run has zeros. */
static int sample(struct container *c, struct arena *a, struct container_stats *s, struct err *e)
{
    auto_view struct view v = container_view(c);
    Pb__Any *any;
    int64_t when = 0;

    *s = (struct container_stats){.id = c->id, .name = arena_printf(a, "/%s", v.rec->name)};
    if (!v.state->running || v.state->restarting)
        return 0;
    if (ctd_task_metrics(c->g->ctd, c->id, a, &when, &any, e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    s->read_ns = time_now_ns();
    if (pb_any_is(any, &cgroup1__metrics__descriptor)) {
        Cgroup1__Metrics *m;

        TRY(pb_any_unpack(any, &cgroup1__metrics__descriptor, a, &m, e));
        from_v1(m, a, s);
    } else {
        Cgroup2__Metrics *m;

        TRY(pb_any_unpack(any, &cgroup2__metrics__descriptor, a, &m, e));
        from_v2(m, a, s);
    }
    host_fill(s);
    networks_fill(&v, a, s);
    return 0;
}

static int write_stats(const struct container_stats *s, const struct sink *sink, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);

    json_write(&container_stats_json, s, &b);
    buf_addc(&b, '\n');
    return sink->write(sink->arg, b.p, b.n, e);
}

int container_stats(struct container *c, bool stream, bool one_shot, int api,
                    const struct sink *sink, int cancel_fd, struct err *e)
{
    struct stats_cpu last = {0};
    int64_t last_ns = 0;
    bool first = true;

    (void)api;
    for (;;) {
        auto_arena struct arena *a = arena_new();
        struct container_stats s;
        bool gone;

        TRY(sample(c, a, &s, e));
        s.precpu = last;
        s.preread_ns = last_ns;
        s.precpu.usage.percpu_ns = (struct i64v){0};
        if (stream || one_shot || !first || s.read_ns == 0)
            TRY(write_stats(&s, sink, e));
        pthread_mutex_lock(&c->lock);
        gone = c->gone;
        pthread_mutex_unlock(&c->lock);
        if (gone || (!stream && (one_shot || !first || s.read_ns == 0)))
            return 0;
        last = s.cpu;
        last.usage.percpu_ns = (struct i64v){0}; /* lives in this turn's arena */
        last_ns = s.read_ns;
        first = false;
        if (wait_readable(c->g->stop_fd, cancel_fd, SAMPLE_MS, e) != 0)
            return e->kind == ERR_CANCELLED ? -1 : 0;
    }
}
