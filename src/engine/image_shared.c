/* A table of parts: how large each is, and how many images have it. */
#include "engine/image_shared.h"

#include "engine/core.h"
#include "types/digest.h"

struct part {
    int64_t bytes;
    int images;
};

struct image_shared {
    struct engine *g;
    struct arena *a;
    struct map parts; /* digest, or chain id behind "chain ": struct part * */
};

struct image_shared *image_shared_new(struct engine *g)
{
    struct image_shared *s = mem_alloc(sizeof(*s));

    s->g = g;
    s->a = arena_new();
    return s;
}

void image_shared_free(struct image_shared *s)
{
    if (s == NULL)
        return;
    map_done(&s->parts);
    arena_free(s->a);
    free(s);
}

static const char *chain_key(const struct image *i, size_t layer, struct arena *a)
{
    return arena_printf(a, "chain %s", digest_chain(&i->oci.rootfs.diff_ids, layer + 1, a));
}

/* The part of this key, made when new. */
static struct part *part_of(struct image_shared *s, const char *key, bool *out_fresh)
{
    struct part *p = map_get(&s->parts, key);

    *out_fresh = p == NULL;
    if (p == NULL) {
        p = ARENA_NEW(s->a, struct part);
        map_put(&s->parts, key, p);
    }
    return p;
}

static void add_blob(struct image_shared *s, const char *digest, int64_t size)
{
    bool fresh;
    struct part *p = part_of(s, digest, &fresh);

    p->bytes = size;
    p->images++;
}

void image_shared_add(struct image_shared *s, const struct image *i)
{
    add_blob(s, i->doc.config.digest, i->doc.config.size);
    vec_each(l, &i->doc.layers)
        add_blob(s, l->digest, l->size);
    for (size_t k = 0; k < i->oci.rootfs.diff_ids.n; k++) {
        const char *key = chain_key(i, k, s->a);
        struct err absent = {0};
        bool fresh;
        struct part *p = part_of(s, key, &fresh);

        p->images++;
        if (fresh)
            (void)ctd_snapshot_usage(s->g->ctd, s->g->o.snapshotter, key + strlen("chain "),
                                     &p->bytes, &absent); /* not unpacked: 0 */
    }
}

static int64_t shared(const struct image_shared *s, const char *key)
{
    const struct part *p = map_get(&s->parts, key);

    return p != NULL && p->images > 1 ? p->bytes : 0;
}

int64_t image_shared_bytes(const struct image_shared *s, const struct image *i)
{
    auto_arena struct arena *a = arena_new();
    int64_t sum = shared(s, i->doc.config.digest);

    vec_each(l, &i->doc.layers)
        sum += shared(s, l->digest);
    for (size_t k = 0; k < i->oci.rootfs.diff_ids.n; k++)
        sum += shared(s, chain_key(i, k, a));
    return sum;
}
