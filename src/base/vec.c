/* Growing arrays: see vec.h. */
#include "base/vec.h"

#include "base/mem.h"

static size_t next_cap(size_t cap)
{
    return cap < 4 ? 4 : cap + cap / 2;
}

void *vec_grow_heap(void *v, size_t n, size_t *cap, size_t size)
{
    (void)n;
    *cap = next_cap(*cap);
    return mem_resize(v, *cap, size);
}

void *vec_grow_arena(struct arena *a, void *v, size_t n, size_t *cap, size_t size)
{
    *cap = next_cap(MAX(*cap, n));
    void *bigger = arena_alloc_array(a, *cap, size);
    if (n > 0)
        memcpy(bigger, v, n * size);
    return bigger;
}

void strv_done(struct strv *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    vec_done(l);
}

bool strv_has(const struct strv *l, const char *s)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], s) == 0)
            return true;
    return false;
}
