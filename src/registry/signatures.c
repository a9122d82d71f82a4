/*
 * Collecting the signatures of an image: those that cosign keeps under a tag made of the digest,
 * and those that refer to the image (OCI 1.1). Whether they are worth anything others decide: what
 * cannot be read is none.
 */
#include "registry/source.h"

#include "base/base64.h"
#include "base/mem.h"

#define SIGNATURE_LAYER "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGNATURE_KEY "dev.cosignproject.cosign/signature"
#define SIGNATURE_ARTIFACT "application/vnd.dev.cosign.artifact.sig.v1+json"

enum { REFERRERS_MAX = 16 };

struct finding {
    struct image_source *src;
    struct arena *a;
    struct registry_answer *out;
};

/* A registry that fails is an error; something that is absent or broken is not. */
static int or_nothing(struct err *e)
{
    if (e->kind != ERR_NOT_FOUND && e->kind != ERR_INVALID && e->kind != ERR_PRECONDITION &&
        e->kind != ERR_TOO_LARGE)
        return -1;
    err_clear(e);
    return 0;
}

static int add_signature(struct finding *f, const struct oci_descriptor *layer, struct err *e)
{
    const char *signature = strmap_get(&layer->annotations, SIGNATURE_KEY);
    auto_buf struct buf payload = BUF_MAX(SIGNATURE_PAYLOAD_MAX),
                        text = BUF_MAX((size_t)2 * SIGNATURE_PAYLOAD_MAX);
    if (layer->media_type == NULL || strcmp(layer->media_type, SIGNATURE_LAYER) != 0 ||
        signature == NULL || strlen(signature) > (size_t)2 * SIGNATURE_BYTES_MAX ||
        !digest_is_sha256(layer->digest) || f->out->signatures.n >= SIGNATURES_MAX)
        return 0;
    if (source_read(f->src, layer, &payload, e) < 0)
        return or_nothing(e);
    base64_encode(payload.p, payload.n, &text);
    const struct image_signature s = {arena_strdup(f->a, buf_cstr(&text)), signature};
    vec_push_in(f->a, &f->out->signatures, s);
    return 0;
}

static int read_signatures(struct finding *f, const struct oci_descriptor *d, struct err *e)
{
    struct oci_manifest m;
    if (!oci_is_manifest(d->media_type))
        return 0;
    if (source_read_document(f->src, d, OCI_MANIFEST_MAX, &oci_manifest_json, &m, f->a, e) < 0)
        return or_nothing(e);
    vec_each(layer, &m.layers)
        TRY(add_signature(f, layer, e));
    return 0;
}

/* 1: *out is what the tag stands for. */
static int resolve_tag(struct finding *f, const char *digest, const char *suffix,
                       struct oci_descriptor *out, struct err *e)
{
    struct ref *ref = &CONTAINER_OF(f->src, struct session, source)->ref;
    ref->digest[0] = '\0';
    (void)snprintf(ref->tag, sizeof(ref->tag), "sha256-%s%s", digest_hex(digest), suffix);
    if (f->src->resolve(f->src, f->a, out, e) < 0)
        return or_nothing(e);
    return 1;
}

static int add_referrers(struct finding *f, const struct oci_index *index, struct err *e)
{
    size_t n = 0;
    vec_each(d, &index->manifests) {
        if (d->artifact_type == NULL || strcmp(d->artifact_type, SIGNATURE_ARTIFACT) != 0 ||
            d->media_type == NULL || !digest_is_sha256(d->digest) || n++ >= REFERRERS_MAX)
            continue;
        TRY(read_signatures(f, d, e));
    }
    return 0;
}

/* What refers to the digest: the registry's list, or one under a tag where it keeps none. */
static int find_referrers(struct finding *f, const char *digest, struct err *e)
{
    struct session *s = CONTAINER_OF(f->src, struct session, source);
    auto_reply struct http_reply r = {.length = -1};
    const struct session_call c = {.path =
                                       arena_printf(f->a, "/%s/referrers/%s", s->ref.path, digest),
                                   .can = HOST_RESOLVE,
                                   .first = true};
    struct http_request rq = session_request(s, "GET");
    struct oci_index index = {0};
    struct oci_descriptor d;
    TRY(session_do(s, &rq, &c, &r, e));
    if (r.status == 200 && oci_is_index(r.media_type)) {
        if (json_parse(&oci_index_json, &index, buf_cstr(&r.body), r.body.n, f->a, e) < 0)
            return or_nothing(e);
        return add_referrers(f, &index, e);
    }
    int there = resolve_tag(f, digest, "", &d, e);
    if (there <= 0 || !oci_is_index(d.media_type))
        return there < 0 ? -1 : 0;
    if (source_read_document(f->src, &d, OCI_MANIFEST_MAX, &oci_index_json, &index, f->a, e) < 0)
        return or_nothing(e);
    return add_referrers(f, &index, e);
}

static int find_all(struct finding *f, const char *digest, struct err *e)
{
    struct oci_descriptor d;
    int there = resolve_tag(f, digest, ".sig", &d, e);
    TRY(there);
    if (there > 0)
        TRY(read_signatures(f, &d, e));
    return find_referrers(f, digest, e);
}

/* The manifest of an index that this platform gets; "" for none. */
static int pick(struct finding *f, const char *platform, struct err *e)
{
    struct oci_platform wanted;
    struct oci_index index;
    f->out->manifest = "";
    if (!oci_is_index(f->out->descriptor->media_type))
        return 0;
    TRY(oci_platform_parse(platform, f->a, &wanted, e));
    TRY(source_read_document(f->src, f->out->descriptor, OCI_MANIFEST_MAX, &oci_index_json, &index,
                             f->a, e));
    const struct oci_descriptor *best = oci_index_pick(&index, &wanted);
    if (best != NULL && digest_is_sha256(best->digest))
        f->out->manifest = best->digest;
    return 0;
}

int registry_signatures(const struct ref *ref, const char *platform,
                        const struct registry_opts *opts, struct arena *a,
                        struct registry_answer *out, struct err *e)
{
    auto_registry_source struct image_source *src = NULL;
    TRY(registry_source_open(ref, opts, &src, e));
    struct finding f = {src, a, out};
    out->descriptor = ARENA_NEW(a, struct oci_descriptor);
    TRY(src->resolve(src, a, out->descriptor, e));
    TRY(pick(&f, platform, e));
    TRY(find_all(&f, out->descriptor->digest, e));
    return out->manifest[0] != '\0' ? find_all(&f, out->manifest, e) : 0;
}
