/*
 * Resource limits: see limits.h. One function a controller and cgroup version appends writes; zero
 * and absent mean "not set", as in the specification.
 */
#include "runtime/limits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "sys/cgroup_stat.h"

struct plan {
    struct arena *a;
    struct limits *out;
};

static void put(struct plan *p, const char *controller, const char *file, const char *value,
                unsigned flags)
{
    struct limit *l = vec_add_in(p->a, &p->out->writes);
    *l = (struct limit){controller, file, value, flags};
}

static void put_i64(struct plan *p, const char *controller, const char *file, int64_t value,
                    unsigned flags)
{
    put(p, controller, file, arena_printf(p->a, "%lld", (long long)value), flags);
}

static void put_u64(struct plan *p, const char *controller, const char *file, uint64_t value,
                    unsigned flags)
{
    put(p, controller, file, arena_printf(p->a, "%llu", (unsigned long long)value), flags);
}

static bool given_i64(const int64_t *v)
{
    return v != NULL && *v != 0;
}

static bool given_u64(const uint64_t *v)
{
    return v != NULL && *v != 0;
}

static bool given(const char *s)
{
    return s != NULL && *s != '\0';
}

/* ---- conversions -------------------------------------------------------------------------- */

/* A curve through 2 -> 1, 1024 -> 100, 262144 -> 10000, quadratic in log2. */
uint64_t limits_cpu_weight(uint64_t shares)
{
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    double l = log2((double)shares);
    return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

uint64_t limits_io_weight(uint64_t weight)
{
    return 1 + (weight - 10) * 9999 / 990;
}

/* ---- v1 ----------------------------------------------------------------------------------- */

static int plan_memory_v1(const struct oci_memory *m, struct plan *p, struct err *e)
{
    int64_t limit = m->limit != NULL ? *m->limit : 0, swap = m->swap != NULL ? *m->swap : 0;
    bool unlimited = limit == -1 && swap == 0;
    if (limit > 0 && swap > 0 && swap < limit)
        return err_set(e, ERR_INVALID, "memory+swap limit should be >= memory limit");
    if (limit != 0)
        put_i64(p, "memory", "memory.limit_in_bytes", limit, LIMIT_TOGETHER);
    if (unlimited)
        put(p, "memory", "memory.memsw.limit_in_bytes", "-1", LIMIT_OPTIONAL | LIMIT_TOGETHER);
    else if (swap != 0)
        put_i64(p, "memory", "memory.memsw.limit_in_bytes", swap, LIMIT_TOGETHER);
    if (given_i64(m->reservation))
        put_i64(p, "memory", "memory.soft_limit_in_bytes", *m->reservation, 0);
    if (m->disable_oom_killer != NULL && *m->disable_oom_killer)
        put(p, "memory", "memory.oom_control", "1", 0);
    if (m->swappiness != NULL && *m->swappiness != -1) {
        if (*m->swappiness < 0 || *m->swappiness > 100)
            return err_set(e, ERR_INVALID,
                           "invalid memory swappiness value: %lld (valid range is 0-100)",
                           (long long)*m->swappiness);
        put_i64(p, "memory", "memory.swappiness", *m->swappiness, 0);
    }
    return 0;
}

static void plan_cpu_v1(const struct oci_cpu *c, struct plan *p)
{
    if (given_u64(c->shares))
        put_u64(p, "cpu", "cpu.shares", *c->shares, LIMIT_READ_BACK);
    if (given_u64(c->period))
        put_u64(p, "cpu", "cpu.cfs_period_us", *c->period, LIMIT_TOGETHER);
    if (c->burst != NULL)
        put_u64(p, "cpu", "cpu.cfs_burst_us", *c->burst, LIMIT_OPTIONAL | LIMIT_TOGETHER);
    if (given_i64(c->quota))
        put_i64(p, "cpu", "cpu.cfs_quota_us", *c->quota, LIMIT_TOGETHER);
    if (c->idle != NULL)
        put_i64(p, "cpu", "cpu.idle", *c->idle, 0);
    if (given_u64(c->realtime_period))
        put_u64(p, "cpu", "cpu.rt_period_us", *c->realtime_period, LIMIT_TOGETHER);
    if (given_i64(c->realtime_runtime))
        put_i64(p, "cpu", "cpu.rt_runtime_us", *c->realtime_runtime, LIMIT_TOGETHER);
    if (given(c->cpus))
        put(p, "cpuset", "cpuset.cpus", c->cpus, 0);
    if (given(c->mems))
        put(p, "cpuset", "cpuset.mems", c->mems, 0);
}

#define PUT_DEVICES(p, controller, file, list, format)                               \
    vec_each(dev_, list)                                                             \
    put(p, controller, file,                                                         \
        arena_printf((p)->a, format, (long long)dev_->major, (long long)dev_->minor, \
                     (unsigned long long)dev_->rate),                                \
        0)

static void plan_block_io_v1(const struct oci_block_io *b, struct plan *p)
{
    if (given_u64(b->weight))
        put_u64(p, "blkio", "blkio.bfq.weight|blkio.weight", *b->weight, 0);
    if (given_u64(b->leaf_weight))
        put_u64(p, "blkio", "blkio.leaf_weight", *b->leaf_weight, 0);
    vec_each(d, &b->weight_device) {
        if (given_u64(d->weight))
            put(p, "blkio", "blkio.bfq.weight_device|blkio.weight_device",
                arena_printf(p->a, "%lld:%lld %llu", (long long)d->major, (long long)d->minor,
                             (unsigned long long)*d->weight),
                0);
        if (given_u64(d->leaf_weight))
            put(p, "blkio", "blkio.leaf_weight_device",
                arena_printf(p->a, "%lld:%lld %llu", (long long)d->major, (long long)d->minor,
                             (unsigned long long)*d->leaf_weight),
                0);
    }
    PUT_DEVICES(p, "blkio", "blkio.throttle.read_bps_device", &b->read_bps, "%lld:%lld %llu");
    PUT_DEVICES(p, "blkio", "blkio.throttle.write_bps_device", &b->write_bps, "%lld:%lld %llu");
    PUT_DEVICES(p, "blkio", "blkio.throttle.read_iops_device", &b->read_iops, "%lld:%lld %llu");
    PUT_DEVICES(p, "blkio", "blkio.throttle.write_iops_device", &b->write_iops, "%lld:%lld %llu");
}

static void plan_network_v1(const struct oci_network *n, struct plan *p)
{
    if (n->class_id != NULL)
        put_u64(p, "net_cls", "net_cls.classid", *n->class_id, 0);
    vec_each(prio, &n->priorities)
        put(p, "net_prio", "net_prio.ifpriomap",
            arena_printf(p->a, "%s %llu", prio->name, (unsigned long long)prio->priority), 0);
}

/* ---- v2 ----------------------------------------------------------------------------------- */

static const char *or_max(struct plan *p, int64_t v)
{
    return v < 0 ? "max" : arena_printf(p->a, "%lld", (long long)v);
}

static int plan_memory_v2(const struct oci_memory *m, struct plan *p, struct err *e)
{
    int64_t limit = m->limit != NULL ? *m->limit : 0, swap = m->swap != NULL ? *m->swap : 0;
    if (limit == 0 && swap > 0)
        return err_set(e, ERR_INVALID, "unable to set swap limit without memory limit");
    if (limit > 0 && swap > 0 && swap < limit)
        return err_set(e, ERR_INVALID, "memory+swap limit should be >= memory limit");
    if (limit == -1 && swap == 0)
        swap = -1;
    if (m->check_before_update != NULL && *m->check_before_update) {
        p->out->check_memory = limit;
        p->out->check_swap = swap;
    }
    if (swap != 0) {
        const char *value = or_max(p, swap < 0 ? -1 : swap - MAX(limit, 0));
        bool lenient = strcmp(value, "max") == 0 || strcmp(value, "0") == 0;
        put(p, "", "memory.swap.max", value, lenient ? LIMIT_OPTIONAL : 0);
    }
    if (limit != 0)
        put(p, "", "memory.max", or_max(p, limit), 0);
    if (given_i64(m->reservation))
        put(p, "", "memory.low", or_max(p, *m->reservation), 0);
    return 0;
}

/* An idle cgroup has no weight: the kernel refuses one. It may have been asked for by either name.
 */
static bool is_idle(const struct oci_resources *r)
{
    const char *unified = strmap_get(&r->unified, "cpu.idle");
    return (r->cpu != NULL && given_i64(r->cpu->idle)) ||
           (unified != NULL && strcmp(unified, "0") != 0);
}

static void plan_cpu_v2(const struct oci_resources *r, struct plan *p)
{
    const struct oci_cpu *c = r->cpu;
    if (c->idle != NULL)
        put_i64(p, "", "cpu.idle", *c->idle, 0);
    if (given_u64(c->shares) && !is_idle(r))
        put_u64(p, "", "cpu.weight", limits_cpu_weight(*c->shares), 0);
    if (c->burst != NULL)
        put_u64(p, "", "cpu.max.burst", *c->burst, LIMIT_TOGETHER);
    if (given_i64(c->quota) || given_u64(c->period)) {
        const char *quota = given_i64(c->quota) ? or_max(p, *c->quota) : "max";
        uint64_t period = given_u64(c->period) ? *c->period : 100000;
        put(p, "", "cpu.max", arena_printf(p->a, "%s %llu", quota, (unsigned long long)period),
            LIMIT_TOGETHER);
    }
    if (given(c->cpus))
        put(p, "", "cpuset.cpus", c->cpus, 0);
    if (given(c->mems))
        put(p, "", "cpuset.mems", c->mems, 0);
}

static void plan_block_io_v2(const struct oci_block_io *b, struct plan *p)
{
    if (given_u64(b->weight)) /* io.bfq.weight takes v1's range, io.weight its own */
        put(p, "", "io.bfq.weight|io.weight",
            arena_printf(p->a, "%llu|%llu", (unsigned long long)*b->weight,
                         (unsigned long long)limits_io_weight(*b->weight)),
            0);
    vec_each(d, &b->weight_device)
        if (given_u64(d->weight))
            put(p, "", "io.bfq.weight",
                arena_printf(p->a, "%lld:%lld %llu", (long long)d->major, (long long)d->minor,
                             (unsigned long long)*d->weight),
                LIMIT_OPTIONAL);
    PUT_DEVICES(p, "", "io.max", &b->read_bps, "%lld:%lld rbps=%llu");
    PUT_DEVICES(p, "", "io.max", &b->write_bps, "%lld:%lld wbps=%llu");
    PUT_DEVICES(p, "", "io.max", &b->read_iops, "%lld:%lld riops=%llu");
    PUT_DEVICES(p, "", "io.max", &b->write_iops, "%lld:%lld wiops=%llu");
}

static int plan_unified(const struct oci_resources *r, struct plan *p, struct err *e)
{
    for (size_t i = 0; i < r->unified.n; i++) {
        const char *key = r->unified.v[i].key;
        if (strchr(key, '/') != NULL)
            return err_set(e, ERR_INVALID,
                           "unified resource \"%s\" must be a file name (no slashes)", key);
        if (key[0] == '.' || strchr(key, '.') == NULL)
            return err_set(e, ERR_INVALID,
                           "unified resource \"%s\" must be in the form CONTROLLER.PARAMETER", key);
        if (strcmp(key, "cpu.weight") == 0 && is_idle(r))
            continue;
        for (struct str rest = str_of(r->unified.v[i].val); rest.n > 0;) {
            struct str line = str_cut(&rest, '\n');
            put(p, "", key, arena_strndup(p->a, line.p, line.n), 0);
        }
    }
    return 0;
}

/* ---- both --------------------------------------------------------------------------------- */

static void plan_pids(const struct oci_pids *pids, bool v2, struct plan *p)
{
    if (pids->limit == NULL)
        return;
    const char *value = *pids->limit < 0 ? "max" : or_max(p, MAX(*pids->limit, 1));
    put(p, v2 ? "" : "pids", "pids.max", value, 0);
}

static void plan_huge(const struct oci_resources *r, bool v2, struct plan *p)
{
    const char *controller = v2 ? "" : "hugetlb", *end = v2 ? "max" : "limit_in_bytes";
    vec_each(h, &r->hugepage_limits) {
        put_u64(p, controller, arena_printf(p->a, "hugetlb.%s.%s", h->page_size, end), h->limit, 0);
        put_u64(p, controller, arena_printf(p->a, "hugetlb.%s.rsvd.%s", h->page_size, end),
                h->limit, LIMIT_OPTIONAL);
    }
}

static void plan_rdma(const struct oci_resources *r, bool v2, struct plan *p)
{
    vec_each(d, &r->rdma) {
        const char *line = d->key;
        if (d->val->hca_handles != NULL)
            line = arena_printf(p->a, "%s hca_handle=%llu", line,
                                (unsigned long long)*d->val->hca_handles);
        if (d->val->hca_objects != NULL)
            line = arena_printf(p->a, "%s hca_object=%llu", line,
                                (unsigned long long)*d->val->hca_objects);
        put(p, v2 ? "" : "rdma", "rdma.max", line, 0);
    }
}

int limits_plan(const struct oci_resources *r, enum cgroup_mode mode, struct arena *a,
                struct limits *out, struct err *e)
{
    struct plan p = {a, out};
    bool v2 = mode == CGROUP_V2;
    memset(out, 0, sizeof(*out));
    if (r == NULL)
        return 0;
    if (r->unified.n > 0 && !v2)
        return err_set(e, ERR_INVALID, "invalid configuration: cannot use unified on cgroup v1");
    if (r->pids != NULL)
        plan_pids(r->pids, v2, &p);
    if (r->memory != NULL)
        TRY((v2 ? plan_memory_v2 : plan_memory_v1)(r->memory, &p, e));
    if (r->block_io != NULL)
        (v2 ? plan_block_io_v2 : plan_block_io_v1)(r->block_io, &p);
    if (r->cpu != NULL && v2)
        plan_cpu_v2(r, &p);
    else if (r->cpu != NULL)
        plan_cpu_v1(r->cpu, &p);
    plan_huge(r, v2, &p);
    plan_rdma(r, v2, &p);
    if (r->network != NULL && !v2)
        plan_network_v1(r->network, &p);
    return plan_unified(r, &p, e);
}

/* "a|b": the first file that exists; the value may have two halves likewise. */
static int write_one(const char *dir, const struct limit *l)
{
    struct str files = str_of(l->file), values = str_of(l->value);
    bool both = strchr(l->value, '|') != NULL;
    int r = -ENOENT;
    while (files.n > 0 && r == -ENOENT) {
        char file[128], value[4096];
        struct str f = str_cut(&files, '|'), v = both ? str_cut(&values, '|') : values;
        (void)snprintf(file, sizeof(file), "%.*s", STR_ARG(f));
        int n = snprintf(value, sizeof(value), "%.*s", STR_ARG(v));
        if (n < 0 || (size_t)n >= sizeof(value))
            return -E2BIG;
        r = cgroup_write(dir, file, value);
    }
    return r;
}

static int read_back(const char *dir, const struct limit *l, struct err *e)
{
    char now[64];
    uint64_t got, want;
    if (cgroup_read(dir, l->file, now, sizeof(now)) < 0 ||
        !str_to_u64(str_of(now), 0, UINT64_MAX, &got) ||
        !str_to_u64(str_of(l->value), 0, UINT64_MAX, &want) || got == want)
        return 0;
    return err_set(e, ERR_INVALID, "the %s allowed cpu-shares is %llu",
                   want > got ? "maximum" : "minimum", (unsigned long long)got);
}

static int limit_failed(const struct limit *l, const char *dir, int r, struct err *e)
{
    if (r == -EBUSY && strcmp(l->file, "memory.limit_in_bytes") == 0) {
        char usage[32] = "?", peak[32] = "?";
        (void)cgroup_read(dir, "memory.usage_in_bytes", usage, sizeof(usage));
        (void)cgroup_read(dir, "memory.max_usage_in_bytes", peak, sizeof(peak));
        return err_set(e, ERR_INVALID,
                       "unable to set memory limit to %s (current usage: %s, peak usage: %s)",
                       l->value, usage, peak);
    }
    if (r == -ENOENT && strchr(l->file, '.') != NULL && *l->controller == '\0')
        return err_set(e, ERR_INVALID,
                       "unified resource \"%s\" can't be set: controller \"%.*s\" not available",
                       l->file, (int)strcspn(l->file, "."), l->file);
    return err_neg(e, r, "failed to write \"%s\": write %s/%s", l->value, dir, l->file);
}

static int apply_one(const struct limit *w, const char *dir, struct err *e)
{
    int r = write_one(dir, w);
    if (r == -ENOENT && (w->flags & LIMIT_OPTIONAL) != 0)
        return 0;
    if (r < 0)
        return limit_failed(w, dir, r, e);
    return (w->flags & LIMIT_READ_BACK) != 0 ? read_back(dir, w, e) : 0;
}

/* Writes that bound each other: one that the kernel calls invalid gets its turn again after each
 * other that went through. */
static int apply_together(const struct limit *w, size_t n, const char *dir, struct err *e)
{
    uint64_t left = n < 64 ? (1ULL << n) - 1 : UINT64_MAX;
    while (left != 0) {
        uint64_t before = left;
        for (size_t i = 0; i < n; i++) {
            if ((left & (1ULL << i)) == 0)
                continue;
            err_clear(e);
            if (apply_one(&w[i], dir, e) == 0)
                left &= ~(1ULL << i);
            else if (e->sys != EINVAL)
                return -1;
        }
        if (left == before)
            return -1; /* e tells of the last */
    }
    err_clear(e);
    return 0;
}

static size_t together(const struct limits *l, size_t at)
{
    const struct limit *first = &l->writes.v[at];
    size_t n = 1;
    while ((first->flags & LIMIT_TOGETHER) != 0 && at + n < l->writes.n && n < 63 &&
           (first[n].flags & LIMIT_TOGETHER) != 0 &&
           strcmp(first[n].controller, first->controller) == 0)
        n++;
    return n;
}

/* Best effort, as the usage may change at any time. */
int limits_check(const struct limits *l, const struct cgroup *cg, struct err *e)
{
    const char *dir = cgroup_path(cg, "");
    if ((l->check_memory <= 0 && l->check_swap <= 0) || !cgroup_has(dir, "memory.current"))
        return 0;
    uint64_t usage = cgroup_number(dir, "memory.current");
    if (l->check_swap > 0 && (uint64_t)l->check_swap <= usage)
        return err_set(e, ERR_CONFLICT, "rejecting memory+swap limit %lld <= usage %llu",
                       (long long)l->check_swap, (unsigned long long)usage);
    if (l->check_memory > 0 && (uint64_t)l->check_memory <= usage)
        return err_set(e, ERR_CONFLICT, "rejecting memory limit %lld <= usage %llu",
                       (long long)l->check_memory, (unsigned long long)usage);
    return 0;
}

int limits_apply(const struct limits *l, const struct cgroup *cg, struct err *e)
{
    TRY(limits_check(l, cg, e));
    for (size_t i = 0, n; i < l->writes.n; i += n) {
        const struct limit *w = &l->writes.v[i];
        const char *dir = cgroup_path(cg, w->controller);
        n = together(l, i);
        if (dir == NULL && (w->flags & LIMIT_OPTIONAL) != 0)
            continue;
        if (dir == NULL)
            return err_set(e, ERR_INVALID,
                           "cannot set %s limit: container could not join or create cgroup",
                           w->controller);
        TRY(n > 1 ? apply_together(w, n, dir, e) : apply_one(w, dir, e));
    }
    return 0;
}
