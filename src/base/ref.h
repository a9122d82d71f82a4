/** A counter of references that threads share; a plain atomic_int, made with atomic_init. */
#ifndef HULL_BASE_REF_H
#define HULL_BASE_REF_H

#include <stdatomic.h>
#include <stdbool.h>

/** Give one reference up. True: it was the last, and what it was to is the caller's to free. */
static inline bool ref_drop(atomic_int *refs)
{
#ifdef __clang_analyzer__ /* it cannot count: every reference would be the last one to it */
    atomic_fetch_sub(refs, 1);
    return false;
#else
    return atomic_fetch_sub(refs, 1) == 1;
#endif
}

#endif
