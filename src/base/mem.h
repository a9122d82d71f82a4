/**
 * Memory from the heap. Out of memory aborts: containers live in their shims, and every input has a
 * limit at the door, so running out is either a bug or a machine that cannot go on.
 */
#ifndef HULL_BASE_MEM_H
#define HULL_BASE_MEM_H

#include "base/defs.h"

/** Zeroed memory of n bytes; never NULL. Free with free(). */
void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));

/** Zeroed array of n items of size bytes; aborts when the product overflows. Free with free(). */
void *mem_alloc_array(size_t n, size_t size) __attribute__((malloc, returns_nonnull));

/** realloc() to n items of size bytes that never fails; new bytes are not zeroed. */
void *mem_resize(void *p, size_t n, size_t size) __attribute__((returns_nonnull));

/** Copy of n bytes. Free with free(). */
void *mem_dup(const void *p, size_t n) __attribute__((returns_nonnull));

/** Copy of s; NULL gives NULL. Free with free(). */
char *mem_strdup(const char *s);

/** Copy of the first n bytes of s, terminated. Free with free(). */
char *mem_strndup(const char *s, size_t n) __attribute__((returns_nonnull));

/** A formatted string. Free with free(). */
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

static inline void mem_free_ptr(void *p)
{
    free(*(void **)p);
}

/** A pointer that is freed when its scope ends: auto_free char *s = NULL; */
#define auto_free CLEANUP(mem_free_ptr)

/** Move a pointer out of an auto_ variable. */
#define TAKE_PTR(p)                \
    __extension__({                \
        __typeof__(p) take_ = (p); \
        (p) = NULL;                \
        take_;                     \
    })

#endif
