/*
 * Pushing: the supervisor sends, here its reports become Docker's progress lines. An index whose
 * platforms are not all here cannot go out whole; then the platform that is here goes out alone,
 * under the same tag, and the client is told.
 */
#include "base/str.h"
#include "client/transfer.h"
#include "engine/image_store.h"
#include "engine/images.h"
#include "engine/progress.h"
#include "engine/registry.h"
#include "types/reference.h"

/* One layer, and the last status that was told of it. */
struct layer {
    const char *digest;
    bool waiting, done;
};

struct push {
    struct engine *g;
    const struct push_opts *o;
    const struct sink *sink;
    struct arena *a;
    const struct transfer_auth *auth;
    const char *host_dir;
    VEC(struct layer) layers; /* of the image that is going out */
};

/* ---- lines ---- */

static int say(struct push *p, const struct progress_line *l, struct err *e)
{
    return progress_write(p->sink, l, e);
}

static int say_aux(struct push *p, const struct json_desc *type, const void *doc, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(16384);
    struct progress_line l = {0};

    json_write(type, doc, &b);
    l.aux = buf_cstr(&b);
    return say(p, &l, e);
}

static int layer_line(struct push *p, const struct layer *l, const char *status, int64_t current,
                      int64_t total, struct err *e)
{
    struct progress_detail detail = {.current = current, .total = total};
    const struct progress_line line = {.status = status,
                                       .detail = &detail,
                                       .id = arena_printf(p->a, "%.12s", digest_hex(l->digest))};

    return say(p, &line, e);
}

static struct layer *layer_of(struct push *p, const char *digest)
{
    vec_each(l, &p->layers)
        if (strcmp(l->digest, digest) == 0)
            return l;
    struct layer *l = vec_add_in(p->a, &p->layers);

    l->digest = arena_strdup(p->a, digest);
    return l;
}

/* What the service calls the end of a part, and what Docker does. */
static const struct {
    const char *event, *status;
} ends[] = {
    {"complete", "Pushed"},
    {"done", "Pushed"},
    {"pushed", "Pushed"},
    {"already exists", "Layer already exists"},
    {"existing", "Layer already exists"},
    {"exists", "Layer already exists"},
};

static int on_progress(void *arg, const struct transfer_progress *t, struct err *e)
{
    static const char mounted[] = "mounted from ";
    struct push *p = arg;

    if (t->digest == NULL || !oci_is_layer(t->media_type))
        return 0;
    struct layer *l = layer_of(p, t->digest);

    if (l->done)
        return 0;
    if (!l->waiting)
        TRY(layer_line(p, l, "Waiting", 0, 0, e));
    l->waiting = true;
    if (strcmp(t->event, "uploading") == 0 || strcmp(t->event, "pushing") == 0)
        return layer_line(p, l, "Pushing", t->progress, t->total, e);
    if (strncmp(t->event, mounted, sizeof(mounted) - 1) == 0) {
        l->done = true;
        return layer_line(
            p, l, arena_printf(p->a, "Mounted from %s", t->event + sizeof(mounted) - 1), 0, 0, e);
    }
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (strcmp(t->event, ends[i].event) == 0) {
            l->done = true;
            return layer_line(p, l, ends[i].status, 0, 0, e);
        }
    return 0;
}

/* ---- one image ---- */

static int send_name(struct push *p, const char *reference, const char *stored, struct err *e)
{
    const struct transfer_pull t = {.reference = reference,
                                    .store_as = stored,
                                    .auth = p->auth,
                                    .host_dir = p->host_dir,
                                    .cancel_fd = p->o->cancel_fd,
                                    .progress = on_progress,
                                    .arg = p,
                                    .settings = p->g->o.registry};

    return ctd_push(p->g->ctd, &t, e);
}

/* The manifest of an index that is wanted (platform as in the query, NULL: this machine's). */
static int pick_manifest(struct push *p, const struct ctd_image *img, const char *platform,
                         struct ctd_image *out, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    struct oci_platform wanted;
    struct oci_index index;

    if (platform == NULL)
        TRY(oci_platform_parse("", p->a, &wanted, e));
    else if (json_parse(&oci_platform_json, &wanted, platform, strlen(platform), p->a, e) < 0)
        return err_wrap(e, "invalid platform");
    TRY(ctd_content_read(p->g->ctd, img->digest, OCI_MANIFEST_MAX, &b, e));
    TRY(json_parse(&oci_index_json, &index, buf_cstr(&b), b.n, p->a, e));
    const struct oci_descriptor *d = oci_index_pick(&index, &wanted);

    if (d == NULL || !digest_is_sha256(d->digest))
        return err_set(e, ERR_NOT_FOUND, "no suitable image manifest found for platform %s/%s",
                       wanted.os, wanted.architecture);
    *out = (struct ctd_image){.name = arena_printf(p->a, DANGLING_PREFIX "%s", d->digest),
                              .media_type = d->media_type,
                              .digest = d->digest,
                              .size = d->size};
    return 0;
}

/* The service sends what a name stands for, so the manifest gets one, that nobody sees. */
static int send_manifest(struct push *p, const char *reference, const struct ctd_image *m,
                         struct err *e)
{
    struct ctd_image old;
    struct err ignored = {0};
    int had = ctd_image_get(p->g->ctd, m->name, p->a, &old, e);

    TRY(had);
    if (had == 0)
        TRY(ctd_image_put(p->g->ctd, m, e));
    int r = send_name(p, reference, m->name, e);

    if (had == 0)
        (void)ctd_image_delete(p->g->ctd, m->name, false, &ignored); /* `image prune` finds it */
    return r;
}

/* What img stands for, or the one platform that was asked for or is here. */
static int send_best(struct push *p, const char *reference, const struct ctd_image *img,
                     struct ctd_image *out_sent, struct err *e)
{
    const char *platform =
        p->o->platform != NULL && p->o->platform[0] != '\0' ? p->o->platform : NULL;
    bool index = oci_is_index(img->media_type);

    *out_sent = *img;
    if (!index || platform == NULL) {
        if (send_name(p, reference, img->name, e) == 0)
            return 0;
        if (!index || e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
    }
    TRY(pick_manifest(p, img, platform, out_sent, e));
    TRY(send_manifest(p, reference, out_sent, e));
    if (platform != NULL)
        return 0;
    const struct pushed_instead note = {
        .instead = true,
        .index = {.media_type = img->media_type, .digest = img->digest, .size = img->size},
        .manifest = {.media_type = out_sent->media_type,
                     .digest = out_sent->digest,
                     .size = out_sent->size}};

    return say_aux(p, &pushed_instead_json, &note, e);
}

static int push_one(struct push *p, const struct ref *ref, const struct ctd_image *img,
                    struct err *e)
{
    char full[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct ctd_image sent;
    const char *what = ref->tag[0] != '\0' ? ref->tag : ref->digest;

    ref_format(ref, full);
    ref_familiar(ref, familiar);
    p->layers.n = 0;
    TRY(send_best(p, full, img, &sent, e));
    const struct progress_line done = {.status =
                                           arena_printf(p->a, "%s: digest: %s size: %lld", what,
                                                        sent.digest, (long long)sent.size)};
    const struct pushed aux = {what, sent.digest, sent.size};

    TRY(say(p, &done, e));
    TRY(say_aux(p, &pushed_json, &aux, e));
    image_event(p->g, "push", familiar, familiar);
    return 0;
}

/* ---- which images ---- */

static bool same_repository(const struct ref *a, const struct ref *b)
{
    return strcmp(a->domain, b->domain) == 0 && strcmp(a->path, b->path) == 0;
}

static int push_tags(struct push *p, const struct ref *repo, struct err *e)
{
    struct ctd_image *all;
    size_t n, pushed = 0;
    char familiar[REF_TEXT_MAX];

    TRY(ctd_image_list(p->g->ctd, NULL, p->a, &all, &n, e));
    for (size_t i = 0; i < n; i++) {
        struct err ignored = {0};
        struct ref ref;

        if (ref_parse_full(all[i].name, &ref, &ignored) < 0 || !same_repository(&ref, repo) ||
            ref.tag[0] == '\0')
            continue;
        TRY(push_one(p, &ref, &all[i], e));
        pushed++;
    }
    ref_familiar_name(repo, familiar);
    return pushed > 0 ? 0
                      : err_set(e, ERR_NOT_FOUND,
                                "An image does not exist locally with the tag: %s", familiar);
}

static int push_named(struct push *p, const struct ref *ref, struct err *e)
{
    char full[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
    struct ctd_image img;
    int there;

    if (ref->tag[0] == '\0' && ref->digest[0] == '\0')
        return push_tags(p, ref, e);
    ref_format(ref, full);
    ref_familiar(ref, familiar);
    there = ctd_image_get(p->g->ctd, full, p->a, &img, e);
    TRY(there);
    if (there == 0)
        return err_set(e, ERR_NOT_FOUND, "tag does not exist: %s", familiar);
    return push_one(p, ref, &img, e);
}

static int push_begin(struct push *p, const struct ref *ref, struct err *e)
{
    const struct progress_line head = {
        .status =
            arena_printf(p->a, "The push refers to repository [%s/%s]", ref->domain, ref->path)};

    TRY(registry_host_dir(p->g, ref->domain, p->a, &p->host_dir, e));
    return say(p, &head, e);
}

int image_push(struct engine *g, const struct push_opts *o, const struct sink *sink, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct push p = {.g = g, .o = o, .sink = sink, .a = a, .auth = registry_auth_read(o->auth, a)};
    struct err why = {0};
    struct ref ref;
    bool has;

    TRY(ref_parse(o->name, &ref, e));
    if (o->tag != NULL && o->tag[0] != '\0') {
        char name[REF_TEXT_MAX];

        ref_familiar_name(&ref, name);
        TRY(ref_parse(arena_printf(a, "%s:%s", name, o->tag), &ref, e));
    }
    TRY(ctd_has_transfer(g->ctd, &has, e));
    if (!has)
        return err_set(
            e, ERR_UNIMPLEMENTED,
            "push needs a containerd with the transfer service (2.0 or newer, or hull-containerd)");
    TRY(push_begin(&p, &ref, e));
    if (push_named(&p, &ref, &why) < 0)
        progress_fail(sink, &why);
    return 0;
}
