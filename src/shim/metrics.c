/*
 * Numbers of a cgroup: see metrics.h. Most are lines "key value" of one file that go into members
 * of one struct: tables say which.
 */
#include "shim/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"
#include "proto/cgroup1.pb-c.h"
#include "proto/cgroup2.pb-c.h"
#include "sys/cgroup_stat.h"
#include "sys/path.h"

#define FILE_MAX ((size_t)256 << 10)

/* ---- where */

int cgroup_of(pid_t pid, struct arena *a, struct cgroup *out, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    struct cgroup_host host = {0};
    TRY(cgroup_host_read(a, &host, e));
    TRY(file_read(AT_FDCWD, arena_printf(a, "/proc/%d/cgroup", (int)pid), &text, e));
    *out = (struct cgroup){.mode = host.mode};
    struct str rest = {text.p, text.n};
    while (rest.n > 0) {
        struct str path = str_cut(&rest, '\n');
        (void)str_cut(&path, ':');
        struct str controllers = str_cut(&path, ':');
        vec_each(h, &host.hiers) {
            struct stat st;
            if (!str_eq(controllers, h->controllers))
                continue;
            const char *dir = arena_printf(a, "%s%.*s", h->mount, STR_ARG(path));
            if (stat(dir, &st) == 0)
                vec_push_in(a, &out->dirs, ((struct cgroup_dir){h->controllers, dir, h->mount}));
        }
    }
    return 0;
}

/* ---- v1 */

#define M1(name, member)                            \
    {                                               \
        name, offsetof(Cgroup1__MemoryStat, member) \
    }
#define M1_TOTAL(name, member) M1(name, member), M1("total_" name, total_##member)
static const struct cgroup_key memory1_keys[] = {
    M1_TOTAL("cache", cache),
    M1_TOTAL("rss", rss),
    M1_TOTAL("rss_huge", rss_huge),
    M1_TOTAL("mapped_file", mapped_file),
    M1_TOTAL("dirty", dirty),
    M1_TOTAL("writeback", writeback),
    M1_TOTAL("pgpgin", pg_pg_in),
    M1_TOTAL("pgpgout", pg_pg_out),
    M1_TOTAL("pgfault", pg_fault),
    M1_TOTAL("pgmajfault", pg_maj_fault),
    M1_TOTAL("inactive_anon", inactive_anon),
    M1_TOTAL("active_anon", active_anon),
    M1_TOTAL("inactive_file", inactive_file),
    M1_TOTAL("active_file", active_file),
    M1_TOTAL("unevictable", unevictable),
    M1("hierarchical_memory_limit", hierarchical_memory_limit),
    M1("hierarchical_memsw_limit", hierarchical_swap_limit),
};

static Cgroup1__MemoryEntry *memory1_entry(const char *dir, const char *prefix, struct arena *a)
{
    static const Cgroup1__MemoryEntry init = CGROUP1__MEMORY_ENTRY__INIT;
    Cgroup1__MemoryEntry *m = arena_dup(a, &init, sizeof(init));
    m->limit = cgroup_number(dir, arena_printf(a, "%s.limit_in_bytes", prefix));
    m->usage = cgroup_number(dir, arena_printf(a, "%s.usage_in_bytes", prefix));
    m->max = cgroup_number(dir, arena_printf(a, "%s.max_usage_in_bytes", prefix));
    m->failcnt = cgroup_number(dir, arena_printf(a, "%s.failcnt", prefix));
    return m;
}

static void memory1(const char *dir, struct arena *a, Cgroup1__Metrics *out)
{
    static const Cgroup1__MemoryStat init = CGROUP1__MEMORY_STAT__INIT;
    static const Cgroup1__MemoryOomControl oom_init = CGROUP1__MEMORY_OOM_CONTROL__INIT;
    static const struct cgroup_key oom_keys[] = {
        {"oom_kill_disable", offsetof(Cgroup1__MemoryOomControl, oom_kill_disable)},
        {"under_oom", offsetof(Cgroup1__MemoryOomControl, under_oom)},
        {"oom_kill", offsetof(Cgroup1__MemoryOomControl, oom_kill)},
    };
    Cgroup1__MemoryStat *m = arena_dup(a, &init, sizeof(init));
    if (!cgroup_keys(dir, "memory.stat", memory1_keys, ARRAY_LEN(memory1_keys), m))
        return;
    m->usage = memory1_entry(dir, "memory", a);
    m->swap = cgroup_has(dir, "memory.memsw.usage_in_bytes") ? memory1_entry(dir, "memory.memsw", a)
                                                             : NULL;
    m->kernel = memory1_entry(dir, "memory.kmem", a);
    m->kernel_tcp = memory1_entry(dir, "memory.kmem.tcp", a);
    out->memory = m;
    Cgroup1__MemoryOomControl *o = arena_dup(a, &oom_init, sizeof(oom_init));
    if (cgroup_keys(dir, "memory.oom_control", oom_keys, ARRAY_LEN(oom_keys), o))
        out->memory_oom_control = o;
}

static void cpu1(const struct cgroup *cg, struct arena *a, Cgroup1__Metrics *out)
{
    static const Cgroup1__CPUStat init = CGROUP1__CPUSTAT__INIT;
    static const Cgroup1__CPUUsage usage_init = CGROUP1__CPUUSAGE__INIT;
    static const Cgroup1__Throttle throttle_init = CGROUP1__THROTTLE__INIT;
    static const struct cgroup_key ticks[] = {{"user", offsetof(Cgroup1__CPUUsage, user)},
                                              {"system", offsetof(Cgroup1__CPUUsage, kernel)}};
    static const struct cgroup_key throttle[] = {
        {"nr_periods", offsetof(Cgroup1__Throttle, periods)},
        {"nr_throttled", offsetof(Cgroup1__Throttle, throttled_periods)},
        {"throttled_time", offsetof(Cgroup1__Throttle, throttled_time)},
    };
    const char *acct = cgroup_path(cg, "cpuacct");
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    if (acct == NULL)
        return;
    Cgroup1__CPUStat *cpu = arena_dup(a, &init, sizeof(init));
    Cgroup1__CPUUsage *u = arena_dup(a, &usage_init, sizeof(usage_init));
    Cgroup1__Throttle *t = arena_dup(a, &throttle_init, sizeof(throttle_init));
    (void)cgroup_keys(acct, "cpuacct.stat", ticks, ARRAY_LEN(ticks), u); /* zeros when absent */
    u->user *= CGROUP_TICK_NS;
    u->kernel *= CGROUP_TICK_NS;
    u->total = cgroup_number(acct, "cpuacct.usage");
    if (cgroup_text(acct, "cpuacct.usage_percpu", &text)) {
        struct str rest = str_trim((struct str){text.p, text.n > 0 ? text.n - 1 : 0});
        VEC(uint64_t) per_cpu = {0};
        while (rest.n > 0) {
            uint64_t v = 0;
            (void)str_to_u64(str_cut(&rest, ' '), 0, UINT64_MAX, &v);
            vec_push_in(a, &per_cpu, v);
        }
        u->per_cpu = per_cpu.v;
        u->n_per_cpu = per_cpu.n;
    }
    (void)cgroup_keys(cgroup_path(cg, "cpu"), "cpu.stat", throttle, ARRAY_LEN(throttle), t);
    cpu->usage = u;
    cpu->throttling = t;
    out->cpu = cpu;
}

/* Lines "8:0 Read 4096"; the line "Total N" has no device. */
static void blkio1(const char *dir, struct arena *a, const char *file, size_t *out_n,
                   Cgroup1__BlkIOEntry ***out_v)
{
    static const Cgroup1__BlkIOEntry init = CGROUP1__BLK_IOENTRY__INIT;
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    VEC(Cgroup1__BlkIOEntry *) v = {0};
    if (!cgroup_text(dir, file, &text))
        return;
    struct str rest = {text.p, text.n};
    while (rest.n > 0) {
        struct cgroup_blkio line;
        if (!cgroup_blkio_parse(str_cut(&rest, '\n'), &line))
            continue;
        Cgroup1__BlkIOEntry *b = arena_dup(a, &init, sizeof(init));
        b->major = line.major;
        b->minor = line.minor;
        b->value = line.value;
        b->op = arena_strndup(a, line.op.p, line.op.n);
        vec_push_in(a, &v, b); // NOLINT(bugprone-sizeof-expression): an array of pointers
    }
    *out_n = v.n;
    *out_v = v.v;
}

static Pb__Any *metrics1(const struct cgroup *cg, struct arena *a)
{
    Cgroup1__Metrics m = CGROUP1__METRICS__INIT;
    Cgroup1__PidsStat pids = CGROUP1__PIDS_STAT__INIT;
    Cgroup1__BlkIOStat blkio = CGROUP1__BLK_IOSTAT__INIT;
    const char *dir = cgroup_path(cg, "pids");
    if (dir != NULL) {
        pids.current = cgroup_number(dir, "pids.current");
        pids.limit = cgroup_number(dir, "pids.max");
        pids.limit = pids.limit == UINT64_MAX ? 0 : pids.limit;
        m.pids = &pids;
    }
    if (cgroup_path(cg, "memory") != NULL)
        memory1(cgroup_path(cg, "memory"), a, &m);
    cpu1(cg, a, &m);
    dir = cgroup_path(cg, "blkio");
    if (dir != NULL) {
        blkio1(dir, a, "blkio.throttle.io_service_bytes_recursive",
               &blkio.n_io_service_bytes_recursive, &blkio.io_service_bytes_recursive);
        blkio1(dir, a, "blkio.throttle.io_serviced_recursive", &blkio.n_io_serviced_recursive,
               &blkio.io_serviced_recursive);
        m.blkio = &blkio;
    }
    return pb_any_new(&m.base, a);
}

/* ---- v2 */

#define M2(member)                                     \
    {                                                  \
#member, offsetof(Cgroup2__MemoryStat, member) \
    }
static const struct cgroup_key memory2_keys[] = {
    M2(anon),
    M2(file),
    M2(kernel_stack),
    M2(slab),
    M2(sock),
    M2(shmem),
    M2(file_mapped),
    M2(file_dirty),
    M2(file_writeback),
    {"anon_thp", offsetof(Cgroup2__MemoryStat, anon_thp)},
    M2(inactive_anon),
    M2(active_anon),
    M2(inactive_file),
    M2(active_file),
    M2(unevictable),
    M2(slab_reclaimable),
    M2(slab_unreclaimable),
    M2(pgfault),
    M2(pgmajfault),
    {"workingset_refault_file", offsetof(Cgroup2__MemoryStat, workingset_refault)},
    {"workingset_activate_file", offsetof(Cgroup2__MemoryStat, workingset_activate)},
    M2(workingset_nodereclaim),
    M2(pgrefill),
    M2(pgscan),
    M2(pgsteal),
    M2(pgactivate),
    M2(pgdeactivate),
    M2(pglazyfree),
    M2(pglazyfreed),
    {"thp_fault_alloc", offsetof(Cgroup2__MemoryStat, thp_fault_alloc)},
    {"thp_collapse_alloc", offsetof(Cgroup2__MemoryStat, thp_collapse_alloc)},
};

static const struct cgroup_key cpu2_keys[] = {
    {"usage_usec", offsetof(Cgroup2__CPUStat, usage_usec)},
    {"user_usec", offsetof(Cgroup2__CPUStat, user_usec)},
    {"system_usec", offsetof(Cgroup2__CPUStat, system_usec)},
    {"nr_periods", offsetof(Cgroup2__CPUStat, nr_periods)},
    {"nr_throttled", offsetof(Cgroup2__CPUStat, nr_throttled)},
    {"throttled_usec", offsetof(Cgroup2__CPUStat, throttled_usec)},
    {"nr_bursts", offsetof(Cgroup2__CPUStat, nr_bursts)},
    {"burst_usec", offsetof(Cgroup2__CPUStat, burst_usec)},
};

static const struct cgroup_key events2_keys[] = {
    {"low", offsetof(Cgroup2__MemoryEvents, low)},
    {"high", offsetof(Cgroup2__MemoryEvents, high)},
    {"max", offsetof(Cgroup2__MemoryEvents, max)},
    {"oom", offsetof(Cgroup2__MemoryEvents, oom)},
    {"oom_kill", offsetof(Cgroup2__MemoryEvents, oom_kill)},
    {"oom_group_kill", offsetof(Cgroup2__MemoryEvents, oom_group_kill)},
};

/* Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" */
static void io2(const char *dir, struct arena *a, Cgroup2__IOStat *out)
{
    static const Cgroup2__IOEntry init = CGROUP2__IOENTRY__INIT;
    static const struct cgroup_key keys[] = {{"rbytes", offsetof(Cgroup2__IOEntry, rbytes)},
                                             {"wbytes", offsetof(Cgroup2__IOEntry, wbytes)},
                                             {"rios", offsetof(Cgroup2__IOEntry, rios)},
                                             {"wios", offsetof(Cgroup2__IOEntry, wios)}};
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    VEC(Cgroup2__IOEntry *) v = {0};
    if (!cgroup_text(dir, "io.stat", &text))
        return;
    struct str rest = {text.p, text.n};
    while (rest.n > 0) {
        struct str words = str_cut(&rest, '\n'), minor = str_cut(&words, ' '),
                   major = str_cut(&minor, ':');
        Cgroup2__IOEntry *b = arena_dup(a, &init, sizeof(init));
        if (!str_to_u64(major, 0, UINT64_MAX, &b->major) ||
            !str_to_u64(minor, 0, UINT64_MAX, &b->minor))
            continue;
        while (words.n > 0) {
            struct str value = str_cut(&words, ' '), key = str_cut(&value, '=');
            for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                if (str_eq(key, keys[i].name))
                    (void)str_to_u64(value, 0, UINT64_MAX,
                                     (uint64_t *)(void *)((char *)b + keys[i].off));
        }
        vec_push_in(a, &v, b); // NOLINT(bugprone-sizeof-expression): an array of pointers
    }
    out->usage = v.v;
    out->n_usage = v.n;
}

static Pb__Any *metrics2(const struct cgroup *cg, struct arena *a)
{
    Cgroup2__Metrics m = CGROUP2__METRICS__INIT;
    Cgroup2__PidsStat pids = CGROUP2__PIDS_STAT__INIT;
    Cgroup2__CPUStat cpu = CGROUP2__CPUSTAT__INIT;
    Cgroup2__MemoryStat memory = CGROUP2__MEMORY_STAT__INIT;
    Cgroup2__MemoryEvents events = CGROUP2__MEMORY_EVENTS__INIT;
    Cgroup2__IOStat io = CGROUP2__IOSTAT__INIT;
    const char *dir = cgroup_path(cg, "");
    if (cgroup_has(dir, "pids.current")) {
        pids.current = cgroup_number(dir, "pids.current");
        pids.limit = cgroup_number(dir, "pids.max");
        pids.limit = pids.limit == UINT64_MAX ? 0 : pids.limit;
        m.pids = &pids;
    }
    if (cgroup_keys(dir, "cpu.stat", cpu2_keys, ARRAY_LEN(cpu2_keys), &cpu))
        m.cpu = &cpu;
    if (cgroup_keys(dir, "memory.stat", memory2_keys, ARRAY_LEN(memory2_keys), &memory)) {
        memory.usage = cgroup_number(dir, "memory.current");
        memory.usage_limit = cgroup_number(dir, "memory.max");
        memory.swap_usage = cgroup_number(dir, "memory.swap.current");
        memory.swap_limit = cgroup_number(dir, "memory.swap.max");
        memory.max_usage = cgroup_number(dir, "memory.peak");
        m.memory = &memory;
    }
    if (cgroup_keys(dir, "memory.events", events2_keys, ARRAY_LEN(events2_keys), &events))
        m.memory_events = &events;
    if (cgroup_has(dir, "io.stat")) {
        io2(dir, a, &io);
        m.io = &io;
    }
    return pb_any_new(&m.base, a);
}

int metrics_read(const struct cgroup *cg, struct arena *a, Pb__Any **out, struct err *e)
{
    struct stat st;
    if (cg->dirs.n == 0 || stat(cg->dirs.v[0].path, &st) < 0)
        return err_set(e, ERR_NOT_FOUND, "cgroup does not exist");
    *out = cg->mode == CGROUP_V2 ? metrics2(cg, a) : metrics1(cg, a);
    return 0;
}
