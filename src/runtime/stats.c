/* The numbers of a cgroup: see stats.h. Tables say which file fills which member. */
#include "runtime/stats.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/cgroup_stat.h"

#define FILE_MAX ((size_t)1 << 20)
#define NS_PER_US 1000ULL

JSON_DESC(stats_cpu_usage, STATS_CPU_USAGE)
JSON_DESC(stats_throttling, STATS_THROTTLING)
JSON_DESC(stats_pressure_line, STATS_PRESSURE_LINE)
JSON_DESC(stats_pressure, STATS_PRESSURE)
JSON_DESC(stats_cpu, STATS_CPU)
JSON_DESC(stats_cpuset, STATS_CPUSET)
JSON_DESC(stats_memory_entry, STATS_MEMORY_ENTRY)
JSON_DESC(stats_memory, STATS_MEMORY)
JSON_DESC(stats_pids, STATS_PIDS)
JSON_DESC(stats_io_entry, STATS_IO_ENTRY)
JSON_DESC(stats_io, STATS_IO)
JSON_DESC(stats_huge, STATS_HUGE)
JSON_DESC(stats, STATS)

/* A member that is left out when it is all zero. */
#define UNLESS_ZERO(a, value)                                      \
    (memcmp(&(value), &(__typeof__(value)){0}, sizeof(value)) == 0 \
         ? NULL                                                    \
         : arena_dup(a, &(value), sizeof(value)))

/* ---- both --------------------------------------------------------------------------------- */

static void read_pids(const char *dir, struct stats_pids *out)
{
    uint64_t limit = cgroup_number(dir, "pids.max");
    out->current = cgroup_number(dir, "pids.current");
    out->limit = limit == UINT64_MAX ? 0 : limit;
}

static void read_memory_raw(const char *dir, struct arena *a, struct stats_memory *out)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    if (!cgroup_text(dir, "memory.stat", &text))
        return;
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ' ');
        uint64_t n = 0;
        if (!str_to_u64(value, 0, UINT64_MAX, &n))
            continue;
        __typeof__(out->raw.v) ent = vec_add_in(a, &out->raw);
        ent->key = arena_strndup(a, key.p, key.n);
        ent->val = n;
    }
}

static uint64_t raw_value(const struct stats_memory *m, const char *key)
{
    vec_each(ent, &m->raw)
        if (strcmp(ent->key, key) == 0)
            return ent->val;
    return 0;
}

/* A list of ids, "0-3,7". */
static void read_ids(const char *dir, const char *file, struct arena *a, struct i64v *out)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    if (!cgroup_text(dir, file, &text))
        return;
    struct str list = str_of(buf_cstr(&text));
    list = str_cut(&list, '\n');
    while (list.n > 0) {
        struct str last = str_cut(&list, ','), first = str_cut(&last, '-');
        uint64_t from, to;
        if (!str_to_u64(first, 0, UINT16_MAX, &from))
            continue;
        if (!str_to_u64(last, 0, UINT16_MAX, &to))
            to = from;
        for (; from <= to; from++)
            vec_push_in(a, out, (int64_t)from);
    }
}

static struct stats_huge *huge_entry(const char *dir, const char *prefix, bool v2, struct arena *a)
{
    static const struct cgroup_key failed[] = {{"max", offsetof(struct stats_huge, failcnt)}};
    struct stats_huge *h = ARENA_NEW(a, struct stats_huge);
    const char *usage = v2 ? "current" : "usage_in_bytes";
    const char *reserved = arena_printf(a, "%s.rsvd", prefix), *which = prefix;
    if (cgroup_has(dir, arena_printf(a, "%s.%s", reserved, usage)))
        which = reserved;
    h->usage = cgroup_number(dir, arena_printf(a, "%s.%s", which, usage));
    if (v2) {
        (void)cgroup_keys(dir, arena_printf(a, "%s.events", prefix), failed, ARRAY_LEN(failed), h);
    } else {
        h->max = cgroup_number(dir, arena_printf(a, "%s.max_usage_in_bytes", which));
        h->failcnt = cgroup_number(dir, arena_printf(a, "%s.failcnt", which));
    }
    return h;
}

/* Each size of pages that the cgroup has a file for. */
static void read_huge(const char *dir, bool v2, struct arena *a, struct stats *out)
{
    const char *limit = v2 ? "max" : "limit_in_bytes";
    DIR *d = dir != NULL ? opendir(dir) : NULL;
    if (d == NULL)
        return;
    for (struct dirent *ent; (ent = readdir(d)) != NULL;) { /* NOLINT(concurrency-mt-unsafe) */
        struct str size = str_of(ent->d_name), controller = str_cut(&size, '.');
        struct str name = str_cut(&size, '.');
        if (!str_eq(controller, "hugetlb") || !str_eq(size, limit))
            continue;
        __typeof__(out->hugetlb.v) to = vec_add_in(a, &out->hugetlb);
        to->key = arena_strndup(a, name.p, name.n);
        to->val = huge_entry(dir, arena_printf(a, "hugetlb.%s", to->key), v2, a);
    }
    closedir(d);
}

/* ---- v1 ----------------------------------------------------------------------------------- */

static struct stats_memory_entry *memory_v1(const char *dir, const char *prefix, struct arena *a)
{
    struct stats_memory_entry m = {
        .limit = cgroup_number(dir, arena_printf(a, "%s.limit_in_bytes", prefix)),
        .usage = cgroup_number(dir, arena_printf(a, "%s.usage_in_bytes", prefix)),
        .max = cgroup_number(dir, arena_printf(a, "%s.max_usage_in_bytes", prefix)),
        .failcnt = cgroup_number(dir, arena_printf(a, "%s.failcnt", prefix)),
    };
    return UNLESS_ZERO(a, m);
}

/* Lines "cpu user system", the first of them these words. */
static void read_usage_all(const char *dir, struct arena *a, struct stats_cpu_usage *u)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    if (!cgroup_text(dir, "cpuacct.usage_all", &text))
        return;
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        uint64_t user, kernel;
        str_cut(&line, ' ');
        if (!str_to_u64(str_cut(&line, ' '), 0, INT64_MAX, &user) ||
            !str_to_u64(str_cut(&line, ' '), 0, INT64_MAX, &kernel))
            continue;
        vec_push_in(a, &u->percpu_user, (int64_t)user);
        vec_push_in(a, &u->percpu_kernel, (int64_t)kernel);
    }
}

static void read_cpu_v1(const struct cgroup *cg, struct arena *a, struct stats_cpu *out)
{
    static const struct cgroup_key ticks[] = {{"user", offsetof(struct stats_cpu_usage, user)},
                                              {"system", offsetof(struct stats_cpu_usage, kernel)}};
    static const struct cgroup_key throttling[] = {
        {"nr_periods", offsetof(struct stats_throttling, periods)},
        {"nr_throttled", offsetof(struct stats_throttling, throttled_periods)},
        {"throttled_time", offsetof(struct stats_throttling, throttled_time)},
    };
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    struct stats_cpu_usage u = {0};
    struct stats_throttling t = {0};
    const char *dir = cgroup_path(cg, "cpuacct");
    (void)cgroup_keys(dir, "cpuacct.stat", ticks, ARRAY_LEN(ticks), &u);
    u.user *= CGROUP_TICK_NS;
    u.kernel *= CGROUP_TICK_NS;
    u.total = cgroup_number(dir, "cpuacct.usage");
    if (cgroup_text(dir, "cpuacct.usage_percpu", &text)) {
        struct str rest = str_of(buf_cstr(&text));
        for (uint64_t ns; rest.n > 0;)
            if (str_to_u64(str_cut(&rest, ' '), 0, INT64_MAX, &ns))
                vec_push_in(a, &u.percpu, (int64_t)ns);
    }
    read_usage_all(dir, a, &u);
    out->usage = UNLESS_ZERO(a, u);
    (void)cgroup_keys(cgroup_path(cg, "cpu"), "cpu.stat", throttling, ARRAY_LEN(throttling), &t);
    out->throttling = UNLESS_ZERO(a, t);
}

static void read_cpuset_v1(const char *dir, struct arena *a, struct stats_cpuset *out)
{
    static const struct {
        const char *file;
        size_t off;
    } flags[] = {
        {"cpuset.cpu_exclusive", offsetof(struct stats_cpuset, cpu_exclusive)},
        {"cpuset.mem_hardwall", offsetof(struct stats_cpuset, mem_hardwall)},
        {"cpuset.mem_exclusive", offsetof(struct stats_cpuset, mem_exclusive)},
        {"cpuset.memory_migrate", offsetof(struct stats_cpuset, memory_migrate)},
        {"cpuset.memory_spread_page", offsetof(struct stats_cpuset, memory_spread_page)},
        {"cpuset.memory_spread_slab", offsetof(struct stats_cpuset, memory_spread_slab)},
        {"cpuset.memory_pressure", offsetof(struct stats_cpuset, memory_pressure)},
        {"cpuset.sched_load_balance", offsetof(struct stats_cpuset, sched_load_balance)},
    };
    char level[32];
    read_ids(dir, "cpuset.cpus", a, &out->cpus);
    read_ids(dir, "cpuset.mems", a, &out->mems);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        *(uint64_t *)(void *)((char *)out + flags[i].off) = cgroup_number(dir, flags[i].file);
    if (dir != NULL &&
        cgroup_read(dir, "cpuset.sched_relax_domain_level", level, sizeof(level)) == 0)
        (void)str_to_i64(str_of(level), INT64_MIN, INT64_MAX, &out->sched_relax_domain_level);
}

typedef __typeof__(((struct stats_io *)0)->serviced) io_list;

static bool read_blkio(const char *dir, const char *file, struct arena *a, void *list)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    io_list *out = list;
    if (!cgroup_text(dir, file, &text))
        return false;
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct cgroup_blkio line;
        if (!cgroup_blkio_parse(str_cut(&rest, '\n'), &line))
            continue;
        struct stats_io_entry *io = vec_add_in(a, out);
        *io = (struct stats_io_entry){line.major, line.minor,
                                      arena_strndup(a, line.op.p, line.op.n), line.value};
    }
    return out->n > 0;
}

/* The schedulers' files first, then the throttle's, the first set that has something. */
static void read_blkio_v1(const char *dir, struct arena *a, struct stats_io *out)
{
    static const char *const prefixes[] = {"blkio.bfq.", "blkio.", "blkio.throttle."};
    static const struct {
        const char *file;
        size_t off;
    } files[] = {
        {"io_serviced_recursive", offsetof(struct stats_io, serviced)},
        {"io_service_bytes_recursive", offsetof(struct stats_io, service_bytes)},
        {"sectors_recursive", offsetof(struct stats_io, sectors)},
        {"io_service_time_recursive", offsetof(struct stats_io, service_time)},
        {"io_wait_time_recursive", offsetof(struct stats_io, wait_time)},
        {"io_merged_recursive", offsetof(struct stats_io, merged)},
        {"io_queued_recursive", offsetof(struct stats_io, queued)},
        {"time_recursive", offsetof(struct stats_io, time)},
    };
    bool found = false;
    for (size_t p = 0; p < ARRAY_LEN(prefixes) && !found; p++)
        for (size_t i = 0; i < ARRAY_LEN(files); i++)
            found |= read_blkio(dir, arena_printf(a, "%s%s", prefixes[p], files[i].file), a,
                                (char *)out + files[i].off);
    if (found)
        return;
    (void)read_blkio(dir, "blkio.throttle.io_serviced", a, &out->serviced);
    (void)read_blkio(dir, "blkio.throttle.io_service_bytes", a, &out->service_bytes);
}

static void read_v1(const struct cgroup *cg, struct arena *a, struct stats *out)
{
    const char *memory = cgroup_path(cg, "memory");
    read_cpu_v1(cg, a, &out->cpu);
    read_cpuset_v1(cgroup_path(cg, "cpuset"), a, &out->cpuset);
    read_memory_raw(memory, a, &out->memory);
    out->memory.cache = raw_value(&out->memory, "cache");
    out->memory.usage = memory_v1(memory, "memory", a);
    out->memory.swap = memory_v1(memory, "memory.memsw", a);
    out->memory.kernel = memory_v1(memory, "memory.kmem", a);
    out->memory.kernel_tcp = memory_v1(memory, "memory.kmem.tcp", a);
    read_pids(cgroup_path(cg, "pids"), &out->pids);
    read_blkio_v1(cgroup_path(cg, "blkio"), a, &out->blkio);
    read_huge(cgroup_path(cg, "hugetlb"), false, a, out);
}

/* ---- v2 ----------------------------------------------------------------------------------- */

static struct stats_pressure *read_pressure(const char *dir, const char *file, struct arena *a)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    if (!cgroup_text(dir, file, &text)) /* an old kernel, or switched off */
        return NULL;
    struct stats_pressure *p = ARENA_NEW(a, struct stats_pressure);
    p->some = ARENA_NEW(a, struct stats_pressure_line);
    p->full = ARENA_NEW(a, struct stats_pressure_line);
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str words = str_cut(&rest, '\n'), kind = str_cut(&words, ' ');
        struct stats_pressure_line *l = str_eq(kind, "full") ? p->full : p->some;
        while (words.n > 0) {
            struct str value = str_cut(&words, ' '), key = str_cut(&value, '=');
            double *avg = str_eq(key, "avg10")    ? &l->avg10
                          : str_eq(key, "avg60")  ? &l->avg60
                          : str_eq(key, "avg300") ? &l->avg300
                                                  : NULL;
            if (avg != NULL)
                *avg = strtod(value.p, NULL); /* the text goes on with a space or the end */
            else if (str_eq(key, "total"))
                (void)str_to_u64(value, 0, UINT64_MAX, &l->total);
        }
    }
    return p;
}

static void read_cpu_v2(const char *dir, struct arena *a, struct stats_cpu *out)
{
    static const struct cgroup_key usage[] = {
        {"usage_usec", offsetof(struct stats_cpu_usage, total)},
        {"user_usec", offsetof(struct stats_cpu_usage, user)},
        {"system_usec", offsetof(struct stats_cpu_usage, kernel)},
    };
    static const struct cgroup_key throttling[] = {
        {"nr_periods", offsetof(struct stats_throttling, periods)},
        {"nr_throttled", offsetof(struct stats_throttling, throttled_periods)},
        {"throttled_usec", offsetof(struct stats_throttling, throttled_time)},
    };
    struct stats_cpu_usage u = {0};
    struct stats_throttling t = {0};
    (void)cgroup_keys(dir, "cpu.stat", usage, ARRAY_LEN(usage), &u);
    (void)cgroup_keys(dir, "cpu.stat", throttling, ARRAY_LEN(throttling), &t);
    u.total *= NS_PER_US;
    u.user *= NS_PER_US;
    u.kernel *= NS_PER_US;
    t.throttled_time *= NS_PER_US;
    out->usage = UNLESS_ZERO(a, u);
    out->throttling = UNLESS_ZERO(a, t);
    out->psi = read_pressure(dir, "cpu.pressure", a);
}

/* As v1 counts: swap is memory and swap together. */
static void read_memory_v2(const char *dir, struct arena *a, struct stats_memory *out)
{
    struct stats_memory_entry memory = {.limit = cgroup_number(dir, "memory.max"),
                                        .usage = cgroup_number(dir, "memory.current"),
                                        .max = cgroup_number(dir, "memory.peak")};
    struct stats_memory_entry swap = {.limit = cgroup_number(dir, "memory.swap.max"),
                                      .usage = cgroup_number(dir, "memory.swap.current")};
    if (cgroup_has(dir, "memory.current")) {
        swap.usage += memory.usage;
        swap.limit =
            MAX(memory.limit, swap.limit) == UINT64_MAX ? UINT64_MAX : memory.limit + swap.limit;
    }
    read_memory_raw(dir, a, out);
    out->cache = raw_value(out, "file");
    out->usage = UNLESS_ZERO(a, memory);
    out->swap = UNLESS_ZERO(a, swap);
    out->psi = read_pressure(dir, "memory.pressure", a);
}

/* One word of io.stat, "rbytes=1", for the device of io. */
static void add_io_value(struct str word, struct stats_io_entry io, struct arena *a,
                         struct stats_io *out)
{
    static const struct {
        const char *key, *op;
        size_t off;
    } keys[] = {
        {"rbytes", "Read", offsetof(struct stats_io, service_bytes)},
        {"wbytes", "Write", offsetof(struct stats_io, service_bytes)},
        {"rios", "Read", offsetof(struct stats_io, serviced)},
        {"wios", "Write", offsetof(struct stats_io, serviced)},
    };
    struct str value = word, key = str_cut(&value, '=');
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!str_eq(key, keys[i].key) || !str_to_u64(value, 0, UINT64_MAX, &io.value))
            continue;
        io.op = keys[i].op;
        vec_push_in(a, (io_list *)(void *)((char *)out + keys[i].off), io);
    }
}

/* Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." */
static void read_io_v2(const char *dir, struct arena *a, struct stats_io *out)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(FILE_MAX);
    out->psi = read_pressure(dir, "io.pressure", a);
    if (!cgroup_text(dir, "io.stat", &text))
        return;
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0;) {
        struct str words = str_cut(&rest, '\n'), minor = str_cut(&words, ' '),
                   major = str_cut(&minor, ':');
        struct stats_io_entry io = {0};
        if (!str_to_u64(major, 0, UINT64_MAX, &io.major) ||
            !str_to_u64(minor, 0, UINT64_MAX, &io.minor))
            continue;
        while (words.n > 0)
            add_io_value(str_cut(&words, ' '), io, a, out);
    }
}

static void read_v2(const struct cgroup *cg, struct arena *a, struct stats *out)
{
    const char *dir = cgroup_path(cg, "");
    read_cpu_v2(dir, a, &out->cpu);
    read_memory_v2(dir, a, &out->memory);
    read_pids(dir, &out->pids);
    read_io_v2(dir, a, &out->blkio);
    read_huge(dir, true, a, out);
}

void stats_read(const struct cgroup *cg, struct arena *a, struct stats *out)
{
    memset(out, 0, sizeof(*out));
    out->intel_rdt = "{}";
    (cg->mode == CGROUP_V2 ? read_v2 : read_v1)(cg, a, out);
}
