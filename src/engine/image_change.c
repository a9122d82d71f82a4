/* Tagging and removing images: names move, content follows when nothing holds it. */
#include "base/log.h"
#include "base/time.h"
#include "engine/filters.h"
#include "engine/events.h"
#include "engine/image_commit.h"
#include "engine/image_store.h"
#include "engine/image_trust.h"
#include "engine/images.h"
#include "types/image.h"
#include "types/reference.h"

int image_tag(struct engine *g, const char *name, const char *repo, const char *tag, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    char full[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct ctd_image img, old;
    const char *stored;
    struct ref r;
    int had;

    TRY(ref_parse(repo, &r, e));
    if (r.digest[0] != '\0')
        return err_set(e, ERR_INVALID, "refusing to create a tag with a digest reference");
    if (tag != NULL && tag[0] != '\0')
        TRY(ref_parse(arena_printf(a, "%s:%s", repo, tag), &r, e));
    ref_default_tag(&r);
    ref_format(&r, full);
    ref_familiar(&r, familiar);
    TRY(image_find(g, name, a, &img, &stored, e));
    had = ctd_image_get(g->ctd, full, a, &old, e);
    TRY(had);
    if (had > 0 && strcmp(old.digest, img.digest) != 0)
        TRY(image_keep_dangling(g, full, e));
    img.name = full;
    img.labels = (struct strmap){0};
    TRY(ctd_image_put(g->ctd, &img, e));
    if (had > 0)
        image_drop_dangling(g, old.digest);
    image_drop_dangling(g, img.digest);
    image_event(g, "tag", img.digest, familiar);
    return 0;
}

/* ---- remove ---- */

struct removal {
    struct engine *g;
    struct arena *a;
    const char *digest;
    struct ctd_image *names; /* all of the image, dangling ones too */
    size_t n;
    bool lazy; /* the collector is called once, later */
    VEC(struct image_deleted) reply;
};

static const char *short_id(const char *digest, struct arena *a)
{
    return arena_printf(a, "%.12s", digest_hex(digest));
}

static int conflict(struct removal *r, const char *what, bool must, const char *why, struct err *e)
{
    (void)r;
    return err_set(e, ERR_CONFLICT, "conflict: unable to delete %s (%s) - %s", what,
                   must ? "must be forced" : "cannot be forced", why);
}

/* Forget one name; the last one takes the content along. */
static int forget(struct removal *r, const struct ctd_image *img, bool last, struct err *e)
{
    struct image_deleted *d;

    TRY(ctd_image_delete(r->g->ctd, img->name, last && !r->lazy, e));
    if (!image_name_is_dangling(img->name)) {
        d = vec_add_in(r->a, &r->reply);
        *d = (struct image_deleted){.untagged = image_familiar(img->name, r->a)};
        image_event(r->g, "untag", r->digest, r->digest);
    }
    if (last) {
        image_trust_forget(r->g, r->digest);
        image_cache_clear(r->g); /* the index may come back with other platforms */
        d = vec_add_in(r->a, &r->reply);
        *d = (struct image_deleted){.deleted = r->digest};
        image_event(r->g, "delete", r->digest, r->digest);
    }
    return 0;
}

static size_t count_visible(const struct removal *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++)
        n += !image_name_is_dangling(r->names[i].name);
    return n;
}

static int remove_by_id(struct removal *r, bool force, struct err *e)
{
    struct image_use use = image_used_by(r->g, r->digest);
    const char *id = short_id(r->digest, r->a);

    if (use.running > 0)
        return conflict(
            r, id, false,
            arena_printf(r->a, "image is being used by running container %.12s", use.running_id),
            e);
    if (!force && count_visible(r) > 1)
        return conflict(r, id, true, "image is referenced in multiple repositories", e);
    if (!force && use.stopped > 0)
        return conflict(
            r, id, true,
            arena_printf(r->a, "image is being used by stopped container %.12s", use.stopped_id),
            e);
    for (size_t i = 0; i < r->n; i++)
        TRY(forget(r, &r->names[i], i + 1 == r->n, e));
    return 0;
}

static int remove_by_name(struct removal *r, const char *stored, bool force, struct err *e)
{
    struct image_use use = image_used_by(r->g, r->digest);
    const struct ctd_image *img = NULL, *dangling = NULL;
    bool last = count_visible(r) <= 1, used = use.running + use.stopped > 0;

    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->names[i].name, stored) == 0)
            img = &r->names[i];
        else if (image_name_is_dangling(r->names[i].name))
            dangling = &r->names[i];
    }
    if (img == NULL)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", stored);
    if (last && used && !force)
        return conflict(r, image_familiar(stored, r->a), true,
                        arena_printf(r->a, "container %.12s is using its referenced image %s",
                                     use.running > 0 ? use.running_id : use.stopped_id,
                                     short_id(r->digest, r->a)),
                        e);
    if (last && used) { /* forced: the name goes, the image stays as long as the container */
        TRY(image_keep_dangling(r->g, stored, e));
        return forget(r, img, false, e);
    }
    if (last && dangling != NULL)
        TRY(forget(r, dangling, false, e));
    return forget(r, img, last, e);
}

static int removal_of(struct engine *g, const char *digest, struct arena *a, struct removal *r,
                      struct err *e)
{
    *r = (struct removal){.g = g, .a = a, .digest = digest};
    return ctd_image_list(g->ctd, arena_printf(a, "target.digest==%s", digest), a, &r->names, &r->n,
                          e);
}

/* Have the supervisor collect garbage, and wait for it: the end of a lease does that. */
static int collect(struct engine *g, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char *id = arena_printf(a, "prune-%lld", (long long)time_mono_ns());

    TRY(ctd_lease_create(g->ctd, id, 60, a, &id, e));
    return ctd_lease_delete(g->ctd, id, true, e);
}

/* The manifest of one platform; what only it refers to goes with it. */
static int remove_platform(struct removal *r, const char *name, const struct ctd_image *img,
                           const struct oci_platform *platform, struct err *e)
{
    auto_image struct image *i = NULL;
    struct image_deleted *d;

    if (image_load_variant(r->g, img, name, platform, &i, e) < 0)
        return e->kind != ERR_NOT_FOUND
                   ? -1
                   : err_set(e, ERR_NOT_FOUND,
                             "failed to delete platform %s for image %s: image with reference %s "
                             "was found but does not provide any platform",
                             oci_platform_format(platform, r->a), img->digest, name);
    TRY(ctd_content_delete(r->g->ctd, i->manifest.digest, e));
    image_cache_clear(r->g);
    d = vec_add_in(r->a, &r->reply);
    *d = (struct image_deleted){.deleted = arena_strdup(r->a, i->manifest.digest)};
    image_event(r->g, "delete", i->manifest.digest, i->manifest.digest);
    return 0;
}

static int remove_platforms(struct removal *r, const char *name, const struct ctd_image *img,
                            const struct image_remove_opts *o, struct err *e)
{
    if (!o->force)
        return err_set(e, ERR_INVALID,
                       "Content will be removed from all images referencing this variant. Use "
                       "\xe2\x80\x94-force to force delete.");
    for (size_t k = 0; k < o->n_platforms; k++)
        TRY(remove_platform(r, name, img, &o->platforms[k], e));
    return collect(r->g, e);
}

int image_remove(struct engine *g, const char *name, const struct image_remove_opts *o,
                 struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct removal r;
    struct ctd_image img;
    const char *stored;

    TRY(image_find(g, name, a, &img, &stored, e));
    TRY(removal_of(g, img.digest, a, &r, e));
    if (o->n_platforms > 0)
        TRY(remove_platforms(&r, name, &img, o, e));
    else if (stored[0] != '\0')
        TRY(remove_by_name(&r, stored, o->force, e));
    else
        TRY(remove_by_id(&r, o->force, e));
    json_write_list(&image_deleted_json, r.reply.v, r.reply.n, out);
    return 0;
}

/* ---- prune ---- */

static bool prunable(struct engine *g, const struct ctd_image *img, const struct filters *f,
                     int64_t until_ns)
{
    auto_image struct image *i = NULL;
    struct image_use use = image_used_by(g, img->digest);
    struct err ignored = {0};
    int64_t created = 0;

    if (use.running + use.stopped > 0)
        return false;
    if (image_load_variant(g, img, img->name, NULL, &i, &ignored) < 0)
        return filters_get(f, "label") == NULL && until_ns == 0; /* broken: of no use to anybody */
    if (i->oci.created != NULL)
        (void)time_parse(str_of(i->oci.created), &created);
    return filters_match_labels(f, &i->config.labels) && (until_ns == 0 || created < until_ns);
}

/* What interrupted pulls left to be resumed, and commits that could not tidy up; what is being
 * transferred now is left alone. */
static void forget_interrupted(struct engine *g)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_blob *blobs;
    struct strv leases;
    struct err busy = {0};
    size_t n;

    if (ctd_lease_list(g->ctd, "id~=|^resumable-|", a, &leases, &busy) == 0)
        vec_each(id, &leases)
            (void)ctd_lease_delete(g->ctd, *id, false, &busy);
    if (ctd_lease_list(g->ctd, "id~=|^" COMMIT_LEASE "|", a, &leases, &busy) == 0 &&
        !container_commit_runs()) /* asked in this order: one that began since is not listed */
        vec_each(id, &leases)
            (void)ctd_lease_delete(g->ctd, *id, false, &busy);
    if (ctd_content_list(g->ctd, a, &blobs, &n, &busy) == 0)
        for (size_t i = 0; i < n; i++)
            if (blobs[i].ref != NULL)
                (void)ctd_content_abort(g->ctd, blobs[i].ref, &busy);
}

int image_prune(struct engine *g, const char *filters, struct buf *out, struct err *e)
{
    static const char *const accepted[] = {"dangling", "label", "label!", "until", NULL};
    auto_arena struct arena *a = arena_new();
    struct images_pruned reply = {0};
    struct filters f;
    struct ctd_image *v;
    int64_t until_ns, before = images_disk_size(g);
    bool given, dangling;
    size_t n;

    TRY(filters_parse(filters, accepted, a, &f, e));
    TRY(filters_until(&f, &until_ns, e));
    TRY(filters_bool(&f, "dangling", &given, &dangling, e));
    dangling |= !given;
    TRY(ctd_image_list(g->ctd, NULL, a, &v, &n, e));
    for (size_t i = 0; i < n; i++) {
        struct removal r;
        struct err why = {0};

        if (removal_of(g, v[i].digest, a, &r, &why) < 0 || r.n == 0 ||
            (dangling && count_visible(&r) > 0) || !prunable(g, &v[i], &f, until_ns))
            continue;
        r.lazy = true;
        if (remove_by_id(&r, true, &why) < 0) {
            log_warn("cannot prune an image", "image", v[i].digest, "error", why.msg, NULL);
            continue;
        }
        vec_each(d, &r.reply)
            vec_push_in(a, &reply.deleted, *d);
    }
    if (!dangling && until_ns == 0 && filters_get(&f, "label") == NULL &&
        filters_get(&f, "label!") == NULL)
        forget_interrupted(g);
    TRY(collect(g, e));
    image_trust_sweep(g);
    reply.space_reclaimed = (uint64_t)MAX(before - images_disk_size(g), (int64_t)0);
    event_raise(g, "image", "prune", "", "reclaimed",
                arena_printf(a, "%llu", (unsigned long long)reply.space_reclaimed), NULL);
    json_write(&images_pruned_json, &reply, out);
    return 0;
}
