/**
 * A typed array that grows.
 *
 *     VEC(struct mount) mounts = {0};
 *     vec_push(&mounts, m);
 *     vec_each(m, &mounts) { ... m is struct mount * ... }
 *     vec_done(&mounts);
 *
 * vec_push and vec_done are for arrays on the heap; arrays of an arena document grow with
 * vec_push_in and are never freed by themselves. An array must not mix both.
 */
#ifndef HULL_BASE_VEC_H
#define HULL_BASE_VEC_H

#include "base/arena.h"
#include "base/defs.h"

#define VEC(type)      \
    struct {           \
        type *v;       \
        size_t n, cap; \
    }

/* A list of strings, by name, where it must be passed to functions. */
struct strv {
    char **v;
    size_t n, cap;
};

/* used by the macros only */
void *vec_grow_heap(void *v, size_t n, size_t *cap, size_t size);
void *vec_grow_arena(struct arena *a, void *v, size_t n, size_t *cap, size_t size);

#define vec_push(vec, item)                                                               \
    do {                                                                                  \
        if ((vec)->n == (vec)->cap)                                                       \
            (vec)->v = vec_grow_heap((vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v)); \
        (vec)->v[(vec)->n++] = (item);                                                    \
    } while (0)

#define vec_push_in(arena, vec, item)                                                        \
    do {                                                                                     \
        if ((vec)->n == (vec)->cap)                                                          \
            (vec)->v =                                                                       \
                vec_grow_arena((arena), (vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v)); \
        (vec)->v[(vec)->n++] = (item);                                                       \
    } while (0)

/** A zeroed new last element on the heap; a pointer to it, good until the next push. */
#define vec_add(vec)                                                                      \
    __extension__({                                                                       \
        if ((vec)->n == (vec)->cap)                                                       \
            (vec)->v = vec_grow_heap((vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v)); \
        memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v));                                \
        &(vec)->v[(vec)->n++];                                                            \
    })

/** As vec_add, in an arena. */
#define vec_add_in(arena, vec)                                                               \
    __extension__({                                                                          \
        if ((vec)->n == (vec)->cap)                                                          \
            (vec)->v =                                                                       \
                vec_grow_arena((arena), (vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v)); \
        memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v));                                   \
        &(vec)->v[(vec)->n++];                                                               \
    })

/** Free the array itself (not what its elements point to). */
#define vec_done(vec)              \
    do {                           \
        free((vec)->v);            \
        (vec)->v = NULL;           \
        (vec)->n = (vec)->cap = 0; \
    } while (0)

/** Remove element i, keeping the order. */
#define vec_remove(vec, i)                                \
    do {                                                  \
        size_t vec_i_ = (i);                              \
        (vec)->n--;                                       \
        memmove(&(vec)->v[vec_i_], &(vec)->v[vec_i_ + 1], \
                ((vec)->n - vec_i_) * sizeof(*(vec)->v)); \
    } while (0)

/* adding 0 to NULL is undefined, hence the condition */
#define vec_each(item, vec)                                                                  \
    for (__typeof__(*(vec)->v) *item = (vec)->v,                                             \
                               *item##_end_ = (vec)->n > 0 ? (vec)->v + (vec)->n : (vec)->v; \
         item != NULL && item < item##_end_; item++)

/** Free the strings and the array of a heap list of strings. */
void strv_done(struct strv *l);
#define auto_strv CLEANUP(strv_done)

/** True when s is in the list. */
bool strv_has(const struct strv *l, const char *s);

#endif
