/**
 * An arena: what is born together dies together (a request and its answer, a parsed document).
 * Memory is zeroed, aligned for any type, and freed all at once. Not for use by two threads at a
 * time.
 */
#ifndef HULL_BASE_ARENA_H
#define HULL_BASE_ARENA_H

#include "base/defs.h"

struct arena;

/** A new, empty arena; the first chunk comes with the first allocation. */
struct arena *arena_new(void) __attribute__((returns_nonnull));

/** Free the arena and all that was allocated in it. NULL is fine. */
void arena_free(struct arena *a);

/** Zeroed memory of n bytes. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));

/** Zeroed array; aborts when n * size overflows. */
void *arena_alloc_array(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));

/** Copies. arena_strdup gives NULL for NULL. */
void *arena_dup(struct arena *a, const void *p, size_t n) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n) __attribute__((returns_nonnull));
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3)
    __attribute__((returns_nonnull));

/** Bytes handed out so far, for limits and tests. */
size_t arena_used(const struct arena *a);

static inline void arena_free_ptr(struct arena **a)
{
    arena_free(*a);
}
#define auto_arena CLEANUP(arena_free_ptr)

/** A zeroed struct in the arena. */
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif
