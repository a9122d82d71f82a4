/*
 * Arenas: a list of chunks that double in size up to 64 KiB; larger requests get a chunk of their
 * own. Under ASan the unused rest of a chunk is poisoned, so that running over the end of an object
 * is reported.
 */
#include "base/arena.h"

#include <stdarg.h>

#include "base/mem.h"

#if HULL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define RED_ZONE 16
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE 0
#endif

#define ALIGN _Alignof(max_align_t)
#define FIRST_CHUNK 2048
#define LAST_CHUNK 65536

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(max_align_t) char bytes[];
};

struct arena {
    struct chunk *head; /* the chunk that is being filled */
    size_t next_size, used;
};

struct arena *arena_new(void)
{
    struct arena *a = mem_alloc(sizeof(*a));
    a->next_size = FIRST_CHUNK;
    return a;
}

void arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    for (struct chunk *c = a->head, *next; c != NULL; c = next) {
        next = c->next;
        UNPOISON(c->bytes, c->size);
        free(c);
    }
    free(a);
}

static struct chunk *chunk_new(size_t size)
{
    struct chunk *c = mem_alloc(sizeof(*c) + size);
    c->size = size;
    POISON(c->bytes, size);
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        abort();
    size_t need = ((n > 0 ? n : 1) + RED_ZONE + ALIGN - 1) & ~(ALIGN - 1);
    struct chunk *c = a->head;
    if (c == NULL || c->size - c->used < need) {
        if (need > a->next_size / 2 && c != NULL) {
            /* a large object: its own full chunk, behind the one that is being filled */
            struct chunk *own = chunk_new(need);
            own->next = c->next;
            c->next = own;
            own->used = need;
            a->used += n;
            UNPOISON(own->bytes, n);
            return own->bytes;
        }
        size_t size = MAX(need, a->next_size);
        a->next_size = MIN(a->next_size * 2, (size_t)LAST_CHUNK);
        struct chunk *fresh = chunk_new(size);
        fresh->next = c;
        a->head = c = fresh;
    }
    void *p = c->bytes + c->used;
    c->used += need;
    a->used += n;
    UNPOISON(p, n);
    return p;
}

void *arena_alloc_array(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        abort();
    return arena_alloc(a, total);
}

void *arena_dup(struct arena *a, const void *p, size_t n)
{
    void *q = arena_alloc(a, n);
    if (n > 0)
        memcpy(q, p, n);
    return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_dup(a, s, strlen(s) + 1);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *q = arena_alloc(a, n + 1);
    if (n > 0)
        memcpy(q, s, n);
    return q;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    char *s = arena_alloc(a, (size_t)n + 1);
    (void)vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
