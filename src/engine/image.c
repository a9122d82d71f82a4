/* From names to images. */
#include "engine/image.h"

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/ref.h"
#include "engine/core.h"
#include "types/digest.h"
#include "types/reference.h"

enum { CACHE_MAX = 256 }; /* images; a full cache is emptied */

struct image_cache {
    pthread_mutex_t lock;
    struct map
        by_key; /* guarded by lock; "digest platform" -> struct image *, each with a reference */
};

void image_unref(struct image *i)
{
    if (i == NULL || !ref_drop(&i->refs))
        return;
    arena_free(i->arena);
    free(i);
}

static void cache_clear(struct image_cache *c)
{
    map_each(ent, &c->by_key)
        image_unref(ent->val);
    map_done(&c->by_key);
}

struct image_cache *image_cache_new(void)
{
    struct image_cache *c = mem_alloc(sizeof(*c));

    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void image_cache_free(struct image_cache *c)
{
    if (c == NULL)
        return;
    cache_clear(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct image *cache_get(struct image_cache *c, const char *key)
{
    struct image *i;

    pthread_mutex_lock(&c->lock);
    i = map_get(&c->by_key, key);
    if (i != NULL)
        atomic_fetch_add(&i->refs, 1);
    pthread_mutex_unlock(&c->lock);
    return i;
}

static void cache_put(struct image_cache *c, const char *key, struct image *i)
{
    atomic_fetch_add(&i->refs, 1);
    pthread_mutex_lock(&c->lock);
    if (c->by_key.n >= CACHE_MAX)
        cache_clear(c);
    image_unref(map_put(&c->by_key, key, i));
    pthread_mutex_unlock(&c->lock);
}

/* Read a JSON blob into a document. */
static int read_doc(struct engine *g, const char *digest, size_t max, const struct json_desc *desc,
                    void *out, struct arena *a, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(max);

    TRY(ctd_content_read(g->ctd, digest, max, &b, e));
    if (json_parse(desc, out, buf_cstr(&b), b.n, a, e) < 0)
        return err_wrap(e, "%s", digest);
    return 0;
}

void image_cache_clear(struct engine *g)
{
    pthread_mutex_lock(&g->images->lock);
    cache_clear(g->images);
    pthread_mutex_unlock(&g->images->lock);
}

/* The manifest of the platform, following an index. */
static int find_manifest(struct engine *g, const struct oci_platform *platform, struct image *i,
                         struct err *e)
{
    struct oci_index index;
    const struct oci_descriptor *d;

    i->manifest = (struct oci_descriptor){
        .media_type = i->target_type, .digest = i->id, .size = i->target_size};
    if (!oci_is_index(i->target_type))
        return 0;
    TRY(read_doc(g, i->id, OCI_MANIFEST_MAX, &oci_index_json, &index, i->arena, e));
    d = oci_index_pick(&index, platform);
    if (d == NULL)
        return err_set(e, ERR_NOT_FOUND, "no matching manifest for %s in the manifest list entries",
                       oci_platform_format(platform, i->arena));
    i->manifest = *d;
    return 0;
}

static int load(struct engine *g, const struct oci_platform *platform, struct image *i,
                struct err *e)
{
    struct arena *a = i->arena;

    TRY(find_manifest(g, platform, i, e));
    TRY(read_doc(g, i->manifest.digest, OCI_MANIFEST_MAX, &oci_manifest_json, &i->doc, a, e));
    TRY(read_doc(g, i->doc.config.digest, OCI_CONFIG_MAX, &oci_image_config_json, &i->oci, a, e));
    if (i->oci.config != NULL)
        TRY(json_parse(&container_config_json, &i->config, i->oci.config, strlen(i->oci.config), a,
                       e));
    i->chain_id = "";
    if (i->oci.rootfs.diff_ids.n > 0)
        i->chain_id = digest_chain(&i->oci.rootfs.diff_ids, i->oci.rootfs.diff_ids.n, a);
    i->content_size = i->manifest.size + i->doc.config.size;
    vec_each(l, &i->doc.layers)
        i->content_size += l->size;
    return 0;
}

int image_load_target(struct engine *g, const char *digest, const char *media_type, int64_t size,
                      const struct oci_platform *platform, struct image **out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_image struct image *i = NULL;
    struct oci_platform host;
    const char *key;

    if (platform == NULL) {
        TRY(oci_platform_parse("", a, &host, e));
        platform = &host;
    }
    key = arena_printf(a, "%s %s", digest, oci_platform_format(platform, a));
    *out = cache_get(g->images, key);
    if (*out != NULL)
        return 0;
    i = mem_alloc(sizeof(*i));
    atomic_init(&i->refs, 1);
    i->arena = arena_new();
    i->id = arena_strdup(i->arena, digest);
    i->target_type = arena_strdup(i->arena, media_type);
    i->target_size = size;
    TRY(load(g, platform, i, e));
    cache_put(g->images, key, i);
    *out = TAKE_PTR(i);
    return 0;
}

/* The index of an image whose own platform is not here; what of it is. */
static int load_any(struct engine *g, const struct ctd_image *found, struct image **out,
                    struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct oci_index index;
    struct err missing = *e;

    if (!oci_is_index(found->media_type) || missing.kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    TRY(read_doc(g, found->digest, OCI_MANIFEST_MAX, &oci_index_json, &index, a, e));
    vec_each(d, &index.manifests) {
        struct err ignored = {0};

        if (d->platform != NULL && strcmp(d->platform->os, "unknown") != 0 &&
            image_load_target(g, found->digest, found->media_type, found->size, d->platform, out,
                              &ignored) == 0)
            return 0;
    }
    *e = missing;
    return -1;
}

int image_load_variant(struct engine *g, const struct ctd_image *found, const char *name,
                       const struct oci_platform *platform, struct image **out, struct err *e)
{
    auto_image struct image *i = NULL;
    auto_arena struct arena *a = arena_new();

    if (platform == NULL)
        return image_load_target(g, found->digest, found->media_type, found->size, NULL, out, e) ==
                       0
                   ? 0
                   : load_any(g, found, out, e);
    if (image_load_target(g, found->digest, found->media_type, found->size, platform, &i, e) < 0 &&
        e->kind != ERR_NOT_FOUND)
        return -1;
    const struct oci_platform own = {.architecture = i != NULL ? i->oci.architecture : NULL,
                                     .os = i != NULL ? i->oci.os : NULL,
                                     .variant = i != NULL ? i->oci.variant : NULL};

    if (i == NULL || (!oci_is_index(i->target_type) && oci_platform_score(platform, &own) == 0))
        return err_set(e, ERR_NOT_FOUND,
                       "image with reference %s was found but does not provide the specified "
                       "platform (%s)",
                       name, oci_platform_format(platform, a));
    *out = TAKE_PTR(i);
    return 0;
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* By a prefix of the id: 1 found, 0 not. */
static int find_by_prefix(struct engine *g, const char *name, struct arena *a,
                          struct ctd_image *out, struct err *e)
{
    const char *hex = str_starts(str_of(name), "sha256:") ? name + 7 : name;
    struct ctd_image *v;
    size_t n;

    if (strlen(hex) < 4 || !str_all(hex, 64, is_hex))
        return 0;
    TRY(ctd_image_list(g->ctd, arena_printf(a, "target.digest~=|^sha256:%s|", hex), a, &v, &n, e));
    if (n == 0)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (strcmp(v[i].digest, v[0].digest) != 0)
            return err_set(e, ERR_NOT_FOUND, "ambiguous reference: %s", name);
    *out = v[0];
    return 1;
}

/* By name[:tag][@digest]: 1 found, 0 not. */
static int find_by_ref(struct engine *g, const struct ref *r, struct arena *a,
                       struct ctd_image *out, const char **out_name, struct err *e)
{
    struct ref plain = *r;
    char full[REF_TEXT_MAX];
    struct ctd_image *v;
    size_t n;

    ref_format(r, full);
    *out_name = arena_strdup(a, full);
    if (ctd_image_get(g->ctd, full, a, out, e) > 0)
        return 1;
    if (r->digest[0] == '\0')
        return 0;
    /* name@digest also finds an image of that repository that is stored under a tag */
    TRY(ctd_image_list(g->ctd, arena_printf(a, "target.digest==%s", r->digest), a, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        struct ref have;
        struct err ignored = {0};

        if (ref_parse_full(v[i].name, &have, &ignored) == 0 &&
            strcmp(have.domain, plain.domain) == 0 && strcmp(have.path, plain.path) == 0) {
            *out = v[i];
            *out_name = v[i].name;
            return 1;
        }
    }
    return 0;
}

int image_find(struct engine *g, const char *name, struct arena *a, struct ctd_image *out,
               const char **out_name, struct err *e)
{
    struct ref r;
    struct err bad = {0};
    char familiar[REF_TEXT_MAX];
    int found = 0;

    *out_name = "";
    if (digest_is_sha256(name) || (strlen(name) == 64 && str_all(name, 64, is_hex))) {
        found = find_by_prefix(g, name, a, out, e);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_NOT_FOUND, "No such image: %s", name);
        return 0;
    }
    if (ref_parse(name, &r, &bad) == 0) {
        ref_default_tag(&r);
        found = find_by_ref(g, &r, a, out, out_name, e);
        TRY(found);
        if (found > 0)
            return 0;
    }
    *out_name = "";
    found = find_by_prefix(g, name, a, out, e);
    TRY(found);
    if (found > 0)
        return 0;
    if (bad.kind != ERR_NONE) {
        *e = bad;
        return -1;
    }
    ref_familiar(&r, familiar);
    return err_set(e, ERR_NOT_FOUND, "No such image: %s", familiar);
}
