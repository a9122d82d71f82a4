/* Names, uses and sizes of images. */
#include "engine/image_store.h"

#include "base/log.h"
#include "engine/events.h"
#include "types/digest.h"
#include "types/reference.h"

bool image_name_is_dangling(const char *name)
{
    return str_starts(str_of(name), DANGLING_PREFIX);
}

void image_names_of(const struct ctd_image *v, size_t n, const char *digest, struct arena *a,
                    struct strv *out_tags, struct strv *out_digests)
{
    *out_tags = *out_digests = (struct strv){0};
    for (size_t i = 0; i < n; i++) {
        char text[REF_TEXT_MAX];
        struct err ignored = {0};
        struct ref r;
        char *by_digest;

        if (strcmp(v[i].digest, digest) != 0 || image_name_is_dangling(v[i].name) ||
            ref_parse_full(v[i].name, &r, &ignored) < 0)
            continue;
        if (r.digest[0] == '\0') {
            ref_familiar(&r, text);
            vec_push_in(a, out_tags, arena_strdup(a, text));
        }
        ref_familiar_name(&r, text);
        by_digest = arena_printf(a, "%s@%s", text, digest);
        if (!strv_has(out_digests, by_digest))
            vec_push_in(a, out_digests, by_digest);
    }
}

const char *image_familiar(const char *stored, struct arena *a)
{
    char text[REF_TEXT_MAX];
    struct err ignored = {0};
    struct ref r;

    if (ref_parse_full(stored, &r, &ignored) < 0)
        return arena_strdup(a, stored);
    ref_familiar(&r, text);
    return arena_strdup(a, text);
}

int image_target_name(const char *repo, const char *tag, const char *digest_refused,
                      struct arena *a, const char **out_full, struct err *e)
{
    char full[REF_TEXT_MAX];
    struct ref r;

    *out_full = NULL;
    if (repo == NULL || repo[0] == '\0')
        return 0;
    if (tag != NULL && tag[0] != '\0')
        repo = arena_printf(a, "%s:%s", repo, tag);
    TRY(ref_parse(repo, &r, e));
    if (r.digest[0] != '\0')
        return err_set(e, ERR_INVALID, "%s", digest_refused);
    ref_default_tag(&r);
    ref_format(&r, full);
    *out_full = arena_strdup(a, full);
    return 0;
}

int image_names(struct engine *g, const char *digest, struct arena *a, struct strv *out_tags,
                struct strv *out_digests, struct err *e)
{
    struct ctd_image *v;
    size_t n;

    TRY(ctd_image_list(g->ctd, arena_printf(a, "target.digest==%s", digest), a, &v, &n, e));
    image_names_of(v, n, digest, a, out_tags, out_digests);
    return 0;
}

int image_keep_dangling(struct engine *g, const char *name, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_image img;
    int found = ctd_image_get(g->ctd, name, a, &img, e);

    TRY(found);
    if (found == 0)
        return 0;
    img.name = arena_printf(a, "%s%s", DANGLING_PREFIX, img.digest);
    img.labels = (struct strmap){0};
    return ctd_image_put(g->ctd, &img, e);
}

void image_drop_dangling(struct engine *g, const char *digest)
{
    auto_arena struct arena *a = arena_new();
    const char *name = arena_printf(a, "%s%s", DANGLING_PREFIX, digest);
    struct ctd_image *v = NULL;
    struct err e = {0};
    bool dangling = false, named = false;
    size_t n = 0;

    if (ctd_image_list(g->ctd, arena_printf(a, "target.digest==%s", digest), a, &v, &n, &e) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        dangling |= strcmp(v[i].name, name) == 0;
        named |= strcmp(v[i].name, name) != 0;
    }
    if (dangling && named && ctd_image_delete(g->ctd, name, false, &e) < 0 &&
        e.kind != ERR_NOT_FOUND)
        log_warn("cannot take back the name of an image", "image", digest, "error", e.msg, NULL);
}

int64_t image_unpacked_size(struct engine *g, const struct image *i)
{
    auto_arena struct arena *a = arena_new();
    int64_t sum = 0;

    for (size_t k = 1; k <= i->oci.rootfs.diff_ids.n; k++) {
        int64_t size = 0;
        struct err absent = {0};

        if (ctd_snapshot_usage(g->ctd, g->o.snapshotter,
                               digest_chain(&i->oci.rootfs.diff_ids, k, a), &size, &absent) == 0)
            sum += size;
    }
    return sum;
}

struct image_use image_used_by(struct engine *g, const char *digest)
{
    struct image_use u = {0};
    size_t n;
    struct container **all = containers_all(g, &n);

    for (size_t i = 0; i < n; i++) {
        auto_view struct view v = container_view(all[i]);

        if (strcmp(v.rec->image_id, digest) != 0)
            continue;
        if (v.state->running) {
            u.running++;
            memcpy(u.running_id, all[i]->id, sizeof(u.running_id));
        } else {
            u.stopped++;
            memcpy(u.stopped_id, all[i]->id, sizeof(u.stopped_id));
        }
    }
    containers_free(all, n);
    return u;
}

void image_event(struct engine *g, const char *action, const char *id, const char *name)
{
    event_raise(g, "image", action, id, "name", name, NULL);
}
