/*
 * A registry as a source of one image: see registry.h. What it is about is told by the first
 * request; blobs are fetched by as many threads as the store likes.
 */
#include <curl/curl.h>

#include "base/mem.h"
#include "registry/source.h"
#include "types/digest.h"

static const char *const manifest_accept[] = {"Accept: " OCI_INDEX, "Accept: " OCI_MANIFEST,
                                              "Accept: " DOCKER_INDEX, "Accept: " DOCKER_MANIFEST,
                                              NULL};

void registry_global_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- errors in Docker's words ---- */

static int refused(struct session *s, const struct http_reply *r, bool is_blob, struct err *e)
{
    char name[REF_TEXT_MAX], full[REF_TEXT_MAX], why[640];
    ref_familiar_name(&s->ref, name);
    ref_familiar(&s->ref, full);
    switch (r->status) {
    case 401:
    case 403:
        session_describe(r, "denied: requested access to the resource is denied", why, sizeof(why));
        if (r->status == 401 && session_has_user(s))
            return err_set(e, ERR_UNAUTHORIZED, "unauthorized: incorrect username or password");
        return err_set(e, ERR_NOT_FOUND,
                       "pull access denied for %s, repository does not exist or may require "
                       "'docker login': %s",
                       name, why);
    case 404:
        if (is_blob)
            return err_set(e, ERR_NOT_FOUND, "blob of %s not found in the registry", full);
        session_describe(r, "manifest unknown: manifest unknown", why, sizeof(why));
        if (strncmp(why, "name unknown", 12) == 0)
            return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", name, why);
        return err_set(e, ERR_NOT_FOUND, "manifest for %s not found: %s", full, why);
    default:
        return session_refused(r, e);
    }
}

/* ---- resolve ---- */

static int ask_manifest(struct session *s, const char *method, struct http_reply *out,
                        struct err *e)
{
    const char *what = s->ref.digest[0] != 0 ? s->ref.digest : s->ref.tag;
    auto_free char *path = mem_printf("/%s/manifests/%s", s->ref.path, what);
    const struct session_call c = {.path = path, .can = HOST_RESOLVE, .first = true};
    struct http_request rq = session_request(s, method);
    rq.headers = manifest_accept;
    return session_do(s, &rq, &c, out, e);
}

static int resolve(struct image_source *base, struct arena *a, struct oci_descriptor *out,
                   struct err *e)
{
    struct session *s = CONTAINER_OF(base, struct session, source);
    auto_reply struct http_reply r = {.length = -1};
    char digest[DIGEST_MAX];
    TRY(ask_manifest(s, "HEAD", &r, e));
    if (r.status == 200 && digest_is_sha256(r.digest) && r.length >= 0 && r.media_type[0] != 0) {
        memcpy(digest, r.digest, sizeof(digest));
    } else { /* an error's text is only in the body, and some registries know no HEAD */
        http_reply_done(&r);
        TRY(ask_manifest(s, "GET", &r, e));
        if (r.status != 200)
            return refused(s, &r, false, e);
        digest_of(buf_cstr(&r.body), r.body.n, digest);
        r.length = (int64_t)r.body.n;
    }
    if (s->ref.digest[0] != 0 && strcmp(s->ref.digest, digest) != 0)
        return err_set(e, ERR_PRECONDITION, "manifest verification failed for digest %s",
                       s->ref.digest);
    if (strcmp(r.media_type, DOCKER_SCHEMA1) == 0 ||
        strcmp(r.media_type, "application/vnd.docker.distribution.manifest.v1+json") == 0)
        return err_set(e, ERR_INVALID,
                       "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest "
                       "version 2, schema 1 support has been removed");
    if (!oci_is_index(r.media_type) && !oci_is_manifest(r.media_type))
        return err_set(e, ERR_INVALID, "unsupported manifest media type: %.100s", r.media_type);
    *out = (struct oci_descriptor){.media_type = arena_strdup(a, r.media_type),
                                   .digest = arena_strdup(a, digest),
                                   .size = r.length};
    return 0;
}

/* ---- fetch ---- */

struct fetch {
    int64_t offset, size;
    image_sink_fn *sink;
    int (*restart)(void *arg, struct err *e);
    void *arg;
};

static int fetch_begin(void *arg, int status, struct err *e)
{
    struct fetch *f = arg;
    if (status == 206 || f->offset == 0)
        return 0;
    f->offset = 0; /* ranges are not known here: everything again */
    return f->restart(f->arg, e);
}

static int fetch_sink(void *arg, const void *p, size_t n, struct err *e)
{
    struct fetch *f = arg;
    if ((int64_t)n > f->size - f->offset)
        return err_set(e, ERR_PRECONDITION, "the registry sends more than the announced %lld bytes",
                       (long long)f->size);
    TRY(f->sink(f->arg, p, n, e));
    f->offset += (int64_t)n;
    return 0;
}

static void fetch_resume(struct http_request *rq)
{
    rq->offset = ((struct fetch *)rq->arg)->offset;
}

static int fetch(struct image_source *base, const struct oci_descriptor *d, int64_t offset,
                 image_sink_fn *sink, int (*restart)(void *arg, struct err *e), void *arg,
                 struct err *e)
{
    struct session *s = CONTAINER_OF(base, struct session, source);
    struct fetch f = {
        .offset = offset, .size = d->size, .sink = sink, .restart = restart, .arg = arg};
    bool is_manifest = oci_is_index(d->media_type) || oci_is_manifest(d->media_type);
    auto_free char *path =
        mem_printf("/%s/%s/%s", s->ref.path, is_manifest ? "manifests" : "blobs", d->digest);
    auto_free char *accept = mem_printf("Accept: %s", is_manifest ? d->media_type : "*/*");
    const char *const headers[] = {accept, NULL};
    const struct session_call c = {.path = path, .can = HOST_PULL, .resume = fetch_resume};
    int short_rounds = 0;
    while (f.offset < f.size) {
        auto_reply struct http_reply r = {.length = -1};
        struct http_request rq = session_request(s, "GET");
        int64_t before = f.offset;
        rq.headers = headers;
        rq.sink = fetch_sink;
        rq.begin = fetch_begin;
        rq.arg = &f;
        TRY(session_do(s, &rq, &c, &r, e));
        if (r.status != 200 && r.status != 206)
            return refused(s, &r, !is_manifest, e);
        if (f.offset < f.size && (f.offset <= before || ++short_rounds > 3))
            return err_set(e, ERR_PRECONDITION,
                           "the registry sent %lld of the announced %lld bytes of %s",
                           (long long)f.offset, (long long)f.size, d->digest);
    }
    return 0;
}

/* ---- small documents ---- */

static int to_buf(void *arg, const void *p, size_t n, struct err *e)
{
    return buf_add(arg, p, n) == 0 ? 0 : err_set(e, ERR_TOO_LARGE, "the document is too large");
}

static int from_start(void *arg, struct err *e UNUSED)
{
    buf_reset(arg);
    return 0;
}

int source_read(struct image_source *src, const struct oci_descriptor *d, struct buf *out,
                struct err *e)
{
    char digest[DIGEST_MAX];
    TRY(src->fetch(src, d, 0, to_buf, from_start, out, e));
    digest_of(buf_cstr(out), out->n, digest);
    if (strcmp(digest, d->digest) != 0)
        return err_set(e, ERR_PRECONDITION, "the registry sent other bytes for %s", d->digest);
    return 0;
}

int source_read_document(struct image_source *src, const struct oci_descriptor *d, size_t max,
                         const struct json_desc *type, void *doc, struct arena *a, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(max);
    TRY(source_read(src, d, &b, e));
    return json_parse(type, doc, buf_cstr(&b), b.n, a, e) < 0 ? err_wrap(e, "%s", d->digest) : 0;
}

/* ---- open and close ---- */

int registry_source_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_source **out, struct err *e)
{
    if (ref->tag[0] == 0 && ref->digest[0] == 0)
        return err_set(e, ERR_INVALID, "reference has neither tag nor digest");
    struct session *s = session_new(ref, opts, "pull", e);
    if (s == NULL)
        return -1;
    s->source = (struct image_source){
        .resolve = resolve, .fetch = fetch, .origin = s->ref.domain, .repo = s->ref.path};
    *out = &s->source;
    return 0;
}

void registry_source_close(struct image_source *base)
{
    session_free(base != NULL ? CONTAINER_OF(base, struct session, source) : NULL);
}
