/**
 * A map from strings to pointers that remembers the order of insertion. Keys are copied, values are
 * borrowed: who puts them in frees them.
 *
 *     struct map by_name = {0};
 *     map_put(&by_name, name, c);
 *     struct container *c = map_get(&by_name, name);
 *     map_each(ent, &by_name) { ... ent->key, ent->val ... }
 *
 * Removing the current entry inside map_each is allowed; adding is not.
 */
#ifndef HULL_BASE_MAP_H
#define HULL_BASE_MAP_H

#include "base/defs.h"

struct map_ent {
    char *key; /* NULL: a removed entry, skipped by map_each */
    void *val;
    uint64_t hash;
};

struct map {
    struct map_ent *v;   /* in order of insertion, with holes */
    size_t n, used, cap; /* n: live entries; used: v[0..used) incl. holes */
    uint32_t *index;     /* open addressing, index_cap slots: position in v + 1, or 0 */
    size_t index_cap;
};

/** Free keys and tables (not the values). */
void map_done(struct map *m);

/** The value, or NULL. */
void *map_get(const struct map *m, const char *key);
bool map_has(const struct map *m, const char *key);

/** Insert or replace; returns the value it replaced, or NULL. */
void *map_put(struct map *m, const char *key, void *val);

/** Remove; returns the value it had, or NULL. */
void *map_del(struct map *m, const char *key);

/** The live entries sorted by key (bytes): an array of m->n pointers, the caller frees the array.
 */
const struct map_ent **map_sorted(const struct map *m);

#define map_each(ent, map)                                                                   \
    for (struct map_ent *ent = (map)->v; ent != NULL && ent < (map)->v + (map)->used; ent++) \
        if (ent->key == NULL) {                                                              \
        } else

#endif
