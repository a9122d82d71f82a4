/* Resources over time: see resources.h. The rules are what callers of `runc update` rely on. */
#include "runtime/resources.h"

#include "base/mem.h"

#define OR_NEW(a, type, have) ((have) != NULL ? (have) : ARENA_NEW(a, struct type))
#define TAKE(to, from, member)             \
    do {                                   \
        if ((from)->member != NULL)        \
            (to)->member = (from)->member; \
    } while (0)

static bool is_set(const void *number)
{
    return number != NULL && *(const uint64_t *)number != 0;
}

static void merge_memory(struct oci_memory *m, const struct oci_memory *change)
{
    static const int64_t none = 0;
    TAKE(m, change, limit);
    TAKE(m, change, reservation);
    TAKE(m, change, swap);
    TAKE(m, change, check_before_update);
    if (change->limit != NULL && *change->limit == -1 && change->swap == NULL)
        m->swap = (int64_t *)(uintptr_t)&none; /* no memory limit: none on swap either */
}

static void merge_cpu(struct oci_cpu *c, const struct oci_cpu *change)
{
    TAKE(c, change, shares);
    if (change->idle != NULL && change->shares == NULL)
        c->shares = NULL; /* the kernel gives an idle group its weight */
    if (is_set(change->period) == is_set(change->quota)) {
        c->period = change->period;
        c->quota = change->quota;
    } else if (is_set(change->period)) {
        c->period = change->period;
    } else {
        c->quota = change->quota;
    }
    TAKE(c, change, realtime_period);
    TAKE(c, change, realtime_runtime);
    c->burst = change->burst;
    c->idle = change->idle;
    c->cpus = change->cpus;
    c->mems = change->mems;
}

/* Lists of devices: a known one gets the new value, another is added. */
#define MERGE_DEVICES(a, list, change, take)                                      \
    do {                                                                          \
        vec_each(new_, change) {                                                  \
            bool known_ = false;                                                  \
            vec_each(have_, list)                                                 \
                if (have_->major == new_->major && have_->minor == new_->minor) { \
                    take(have_, new_);                                            \
                    known_ = true;                                                \
                }                                                                 \
            if (!known_)                                                          \
                vec_push_in(a, list, *new_);                                      \
        }                                                                         \
    } while (0)

static void take_weights(struct oci_weight_device *d, const struct oci_weight_device *change)
{
    TAKE(d, change, weight);
    TAKE(d, change, leaf_weight);
}

static void take_rate(struct oci_throttle_device *d, const struct oci_throttle_device *change)
{
    d->rate = change->rate;
}

static void merge_block_io(struct oci_block_io *b, const struct oci_block_io *change,
                           struct arena *a)
{
    TAKE(b, change, weight);
    TAKE(b, change, leaf_weight);
    MERGE_DEVICES(a, &b->weight_device, &change->weight_device, take_weights);
    MERGE_DEVICES(a, &b->read_bps, &change->read_bps, take_rate);
    MERGE_DEVICES(a, &b->write_bps, &change->write_bps, take_rate);
    MERGE_DEVICES(a, &b->read_iops, &change->read_iops, take_rate);
    MERGE_DEVICES(a, &b->write_iops, &change->write_iops, take_rate);
}

struct oci_resources *resources_merge(const struct oci_resources *was,
                                      const struct oci_resources *change, struct arena *a)
{
    static const struct oci_memory no_memory;
    static const struct oci_cpu no_cpu;
    static const struct oci_block_io no_block_io;
    struct oci_resources *r = ARENA_NEW(a, struct oci_resources);
    if (was != NULL)
        json_copy(&oci_resources_json, r, was, a);
    r->memory = OR_NEW(a, oci_memory, r->memory);
    r->cpu = OR_NEW(a, oci_cpu, r->cpu);
    r->block_io = OR_NEW(a, oci_block_io, r->block_io);
    merge_memory(r->memory, change->memory != NULL ? change->memory : &no_memory);
    merge_cpu(r->cpu, change->cpu != NULL ? change->cpu : &no_cpu);
    merge_block_io(r->block_io, change->block_io != NULL ? change->block_io : &no_block_io, a);
    r->pids = change->pids;
    r->unified = change->unified;
    return r;
}
