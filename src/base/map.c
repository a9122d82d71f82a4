/*
 * Maps: an array of entries in order of insertion and a separate open-addressing index of 32-bit
 * positions. The hash is seeded per process, so that nobody outside can choose colliding keys.
 */
#include "base/map.h"

#include <stdatomic.h>
#include <sys/random.h>

#include "base/mem.h"

static uint64_t seed(void)
{
    static _Atomic uint64_t value;
    uint64_t s = atomic_load_explicit(&value, memory_order_relaxed);
    if (s == 0) {
        uint64_t fresh = 0, none = 0;
        if (getrandom(&fresh, sizeof(fresh), GRND_NONBLOCK) != (ssize_t)sizeof(fresh))
            fresh = (uint64_t)(uintptr_t)&value ^ (uint64_t)time(NULL);
        fresh |= 1;
        s = atomic_compare_exchange_strong(&value, &none, fresh) ? fresh : none;
    }
    return s;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    h ^= h >> 32;
    return h;
}

static uint64_t hash_of(const char *key)
{
    uint64_t h = seed();
    for (size_t n = strlen(key); n > 0;) {
        uint64_t word = 0;
        size_t take = MIN(n, sizeof(word));
        memcpy(&word, key, take);
        h = mix(h ^ word) * 0x9e3779b97f4a7c15ULL;
        key += take;
        n -= take;
    }
    return mix(h);
}

void map_done(struct map *m)
{
    for (size_t i = 0; i < m->used; i++)
        free(m->v[i].key);
    free(m->v);
    free(m->index);
    *m = (struct map){0};
}

/* Build the index anew, dropping the holes of v first. */
static void reindex(struct map *m)
{
    size_t live = 0;
    for (size_t i = 0; i < m->used; i++)
        if (m->v[i].key != NULL)
            m->v[live++] = m->v[i];
    m->used = live;
    size_t cap = 8;
    while (cap < live * 2 + 2)
        cap *= 2;
    if (cap != m->index_cap) {
        free(m->index);
        m->index = mem_alloc_array(cap, sizeof(*m->index));
        m->index_cap = cap;
    } else {
        memset(m->index, 0, cap * sizeof(*m->index));
    }
    for (size_t i = 0; i < live; i++) {
        size_t slot = m->v[i].hash & (cap - 1);
        while (m->index[slot] != 0)
            slot = (slot + 1) & (cap - 1);
        m->index[slot] = (uint32_t)i + 1;
    }
}

static struct map_ent *find(const struct map *m, const char *key, uint64_t hash)
{
    if (m->index_cap == 0)
        return NULL;
    for (size_t slot = hash & (m->index_cap - 1); m->index[slot] != 0;
         slot = (slot + 1) & (m->index_cap - 1)) {
        struct map_ent *ent = &m->v[m->index[slot] - 1];
        if (ent->key != NULL && ent->hash == hash && strcmp(ent->key, key) == 0)
            return ent;
    }
    return NULL;
}

void *map_get(const struct map *m, const char *key)
{
    const struct map_ent *ent = m->n > 0 ? find(m, key, hash_of(key)) : NULL;
    return ent == NULL ? NULL : ent->val;
}

bool map_has(const struct map *m, const char *key)
{
    return m->n > 0 && find(m, key, hash_of(key)) != NULL;
}

void *map_put(struct map *m, const char *key, void *val)
{
    uint64_t hash = hash_of(key);
    struct map_ent *ent = find(m, key, hash);
    if (ent != NULL) {
        void *old = ent->val;
        ent->val = val;
        return old;
    }
    if ((m->used + 1) * 2 > m->index_cap)
        reindex(m);
    if (m->used == m->cap) {
        m->cap = m->cap < 4 ? 4 : m->cap * 2;
        m->v = mem_resize(m->v, m->cap, sizeof(*m->v));
    }
    m->v[m->used] = (struct map_ent){mem_strdup(key), val, hash};
    size_t slot = hash & (m->index_cap - 1);
    while (m->index[slot] != 0)
        slot = (slot + 1) & (m->index_cap - 1);
    m->index[slot] = (uint32_t)++m->used;
    m->n++;
    return NULL;
}

void *map_del(struct map *m, const char *key)
{
    struct map_ent *ent = m->n > 0 ? find(m, key, hash_of(key)) : NULL;
    if (ent == NULL)
        return NULL;
    void *old = ent->val;
    free(ent->key);
    ent->key = NULL; /* its index slot stays taken until the next reindex, so that probing goes on
                        past it */
    ent->val = NULL;
    m->n--;
    return old;
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct map_ent *const *)a)->key,
                  (*(const struct map_ent *const *)b)->key);
}

const struct map_ent **map_sorted(const struct map *m)
{
    const struct map_ent **list = mem_alloc_array(m->n, sizeof(const struct map_ent *));
    size_t n = 0;
    map_each(ent, m)
        list[n++] = ent;
    if (n > 1)
        qsort(list, n, sizeof(list[0]), by_key);
    return list;
}
