/* Looking at images: list, inspect, history. */
#include <fnmatch.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/filters.h"
#include "engine/image_shared.h"
#include "engine/image_store.h"
#include "engine/images.h"
#include "types/digest.h"
#include "types/image.h"
#include "types/reference.h"

static const char *const accepted[] = {"before",    "dangling", "label", "label!",
                                       "reference", "since",    "until", NULL};

struct selection {
    struct filters f;
    int64_t before_ns, since_ns, until_ns;
    bool dangling_given, dangling;
};

static int64_t created_of(const struct image *i)
{
    int64_t ns = 0;

    return i->oci.created != NULL && time_parse(str_of(i->oci.created), &ns) ? ns : 0;
}

static int created_of_name(struct engine *g, const struct filters *f, const char *key, int64_t *out,
                           struct err *e)
{
    const struct strv *v = filters_get(f, key);
    auto_arena struct arena *a = arena_new();
    auto_image struct image *i = NULL;
    struct ctd_image img;
    const char *name;

    *out = 0;
    if (v == NULL)
        return 0;
    TRY(image_find(g, v->v[0], a, &img, &name, e));
    TRY(image_load_target(g, img.digest, img.media_type, img.size, NULL, &i, e));
    *out = created_of(i);
    return 0;
}

static int select_prepare(struct engine *g, const char *filters, struct arena *a,
                          struct selection *s, struct err *e)
{
    TRY(filters_parse(filters, accepted, a, &s->f, e));
    TRY(filters_bool(&s->f, "dangling", &s->dangling_given, &s->dangling, e));
    TRY(filters_until(&s->f, &s->until_ns, e));
    TRY(created_of_name(g, &s->f, "before", &s->before_ns, e));
    return created_of_name(g, &s->f, "since", &s->since_ns, e);
}

/* The patterns against "name:tag" (or "name@digest") and "name". */
static bool matches_reference(const struct strv *patterns, const char *ref)
{
    const char *at = strchr(ref, '@'), *slash = strrchr(ref, '/');
    const char *end = at != NULL ? at : strrchr(slash != NULL ? slash : ref, ':');
    auto_free char *name = mem_strndup(ref, end != NULL ? (size_t)(end - ref) : strlen(ref));

    vec_each(p, patterns)
        if (fnmatch(*p, ref, FNM_PATHNAME) == 0 || fnmatch(*p, name, FNM_PATHNAME) == 0)
            return true;
    return false;
}

/* Of an image's names only those are shown that the filter means; false: none is. */
static bool keep_references(const struct filters *f, struct strv *tags, struct strv *digests)
{
    const struct strv *patterns = filters_get(f, "reference");
    struct strv *lists[] = {tags, digests};
    size_t kept = 0;

    if (patterns == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        size_t n = 0;

        vec_each(ref, lists[i])
            if (matches_reference(patterns, *ref))
                lists[i]->v[n++] = *ref;
        lists[i]->n = n;
        kept += n;
    }
    return kept > 0;
}

static bool selected(const struct selection *s, const struct image *i, const struct strv *tags)
{
    int64_t created = created_of(i);

    if (s->dangling_given && (tags->n == 0) != s->dangling)
        return false;
    if ((s->before_ns != 0 && created >= s->before_ns) ||
        (s->since_ns != 0 && created <= s->since_ns) ||
        (s->until_ns != 0 && created >= s->until_ns))
        return false;
    return filters_match_labels(&s->f, &i->config.labels);
}

static void summary_fill(struct engine *g, const struct image *i, const struct strv *tags,
                         const struct strv *digests, const struct image_list_opts *o,
                         struct arena *a, struct image_summary *out)
{
    struct image_use use = image_used_by(g, i->id);
    struct container_config *config = ARENA_NEW(a, struct container_config);

    json_copy(&container_config_json, config, &i->config, a);
    *out = (struct image_summary){
        .containers = o->api >= 51 || o->containers ? use.running + use.stopped : -1,
        .created_s = created_of(i) / NS_PER_S,
        .id = arena_strdup(a, i->id),
        .labels = config->labels,
        .parent_id = "",
        .repo_digests = *digests,
        .repo_tags = *tags,
        .shared_size = -1,
        .size = i->content_size + image_unpacked_size(g, i),
    };
    if (tags->n == 0 && o->api < 43) {
        out->repo_tags = out->repo_digests = (struct strv){0};
        vec_push_in(a, &out->repo_tags, (char *)"<none>:<none>");
        vec_push_in(a, &out->repo_digests, (char *)"<none>@<none>");
    }
    if (o->api >= 48) {
        out->descriptor = ARENA_NEW(a, struct oci_descriptor);
        *out->descriptor = (struct oci_descriptor){.media_type = arena_strdup(a, i->target_type),
                                                   .digest = out->id,
                                                   .size = i->target_size};
    }
}

static int newest_first(const void *a, const void *b)
{
    const struct image_summary *x = a, *y = b;

    return x->created_s < y->created_s   ? 1
           : x->created_s > y->created_s ? -1
                                         : strcmp(x->id, y->id);
}

/* Listed before, under another name. */
static bool is_repeated(const struct ctd_image *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(v[k].digest, v[i].digest) == 0)
            return true;
    return false;
}

/* How many bytes each image of the list has in common with any other that is here. */
static void fill_shared(struct engine *g, const struct ctd_image *v, size_t n,
                        struct image_summary *items, size_t n_items)
{
    auto_image_shared struct image_shared *s = image_shared_new(g);
    struct err gone = {0};

    for (size_t i = 0; i < n; i++) {
        auto_image struct image *img = NULL;

        if (!is_repeated(v, i) &&
            image_load_target(g, v[i].digest, v[i].media_type, v[i].size, NULL, &img, &gone) == 0)
            image_shared_add(s, img);
    }
    for (size_t i = 0; i < n; i++) {
        auto_image struct image *img = NULL;

        if (is_repeated(v, i) ||
            image_load_target(g, v[i].digest, v[i].media_type, v[i].size, NULL, &img, &gone) < 0)
            continue;
        for (size_t k = 0; k < n_items; k++)
            if (strcmp(items[k].id, img->id) == 0)
                items[k].shared_size = image_shared_bytes(s, img);
    }
}

int image_list(struct engine *g, const struct image_list_opts *o, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    VEC(struct image_summary) items = {0};
    struct selection s = {0};
    struct ctd_image *v;
    size_t n;

    TRY(select_prepare(g, o->filters, a, &s, e));
    TRY(ctd_image_list(g->ctd, NULL, a, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        auto_image struct image *img = NULL;
        struct strv tags, digests;
        struct err why = {0};

        if (is_repeated(v, i))
            continue;
        if (image_load_variant(g, &v[i], v[i].name, NULL, &img, &why) < 0) {
            log_debug("image is left out of the list", "image", v[i].name, "error", why.msg, NULL);
            continue;
        }
        image_names_of(v, n, v[i].digest, a, &tags, &digests);
        if (selected(&s, img, &tags) && keep_references(&s.f, &tags, &digests))
            summary_fill(g, img, &tags, &digests, o, a, vec_add_in(a, &items));
    }
    if (o->shared_size)
        fill_shared(g, v, n, items.v, items.n);
    if (items.n > 0)
        qsort(items.v, items.n, sizeof(*items.v), newest_first);
    json_write_list(&image_summary_json, items.v, items.n, out);
    return 0;
}

int image_inspect(struct engine *g, const char *name, const struct oci_platform *platform, int api,
                  struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_image struct image *i = NULL;
    struct image_inspect d;
    struct oci_descriptor target;
    struct ctd_image img;
    const char *stored;

    TRY(image_find(g, name, a, &img, &stored, e));
    TRY(image_load_variant(g, &img, name, platform, &i, e));
    target = platform != NULL ? i->manifest
                              : (struct oci_descriptor){.media_type = i->target_type,
                                                        .digest = i->id,
                                                        .size = i->target_size};
    d = (struct image_inspect){
        .id = target.digest,
        .parent = "",
        .comment = i->oci.comment,
        .created = i->oci.created,
        .docker_version = "",
        .author = i->oci.author,
        .config = &i->config,
        .architecture = i->oci.architecture,
        .variant = i->oci.variant,
        .os = i->oci.os,
        .os_version = i->oci.os_version,
        .size = i->content_size + image_unpacked_size(g, i),
        .graph_driver = {.name = g->o.snapshotter},
        .rootfs = {.type = "layers", .layers = i->oci.rootfs.diff_ids},
        .metadata = {.last_tag_ns = img.updated_ns},
        .descriptor = api >= 48 ? &target : NULL,
    };
    TRY(image_names(g, i->id, a, &d.repo_tags, &d.repo_digests, e));
    json_write(&image_inspect_json, &d, out);
    return 0;
}

/* Bytes of one layer as it is unpacked. */
static int64_t layer_size(struct engine *g, const struct image *i, size_t layer, struct arena *a)
{
    int64_t size = 0;
    struct err absent = {0};

    if (layer < i->oci.rootfs.diff_ids.n)
        (void)ctd_snapshot_usage(g->ctd, g->o.snapshotter,
                                 digest_chain(&i->oci.rootfs.diff_ids, layer + 1, a), &size,
                                 &absent);
    return size;
}

int image_history(struct engine *g, const char *name, const struct oci_platform *platform,
                  struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_image struct image *i = NULL;
    VEC(struct image_history) items = {0};
    struct image_history *reversed;
    struct strv tags, digests;
    struct ctd_image img;
    const char *stored;
    size_t layer = 0;

    TRY(image_find(g, name, a, &img, &stored, e));
    TRY(image_load_variant(g, &img, name, platform, &i, e));
    TRY(image_names(g, i->id, a, &tags, &digests, e));
    vec_each(h, &i->oci.history) {
        struct image_history *x = vec_add_in(a, &items);
        int64_t ns = 0;

        *x = (struct image_history){
            .comment = h->comment, .created_by = h->created_by, .id = "<missing>"};
        if (h->created != NULL && time_parse(str_of(h->created), &ns))
            x->created_s = ns / NS_PER_S;
        if (!h->empty_layer)
            x->size = layer_size(g, i, layer++, a);
    }
    for (; layer < i->oci.rootfs.diff_ids.n;
         layer++) { /* layers that the history does not tell about */
        struct image_history *x = vec_add_in(a, &items);

        *x = (struct image_history){.id = "<missing>", .size = layer_size(g, i, layer, a)};
    }
    reversed = arena_alloc_array(a, items.n + 1, sizeof(*reversed));
    for (size_t k = 0; k < items.n; k++)
        reversed[k] = items.v[items.n - 1 - k];
    if (items.n > 0) {
        reversed[0].id = i->id;
        reversed[0].tags = tags;
    }
    json_write_list(&image_history_json, reversed, items.n, out);
    return 0;
}
