/*
 * A registry as a source of one image: see registry.h. Every request goes through `attempt` (one
 * try, with the answer to a challenge) and `persist` (tries again, resuming, until it is hopeless).
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "registry/auth.h"
#include "types/digest.h"

enum { DEFAULT_ATTEMPTS = 5, FIRST_PAUSE_MS = 250, MAX_PAUSE_MS = 30000 };

struct registry {
    struct image_source base;
    struct ref ref;
    const struct registry_opts *o;
    struct http_pool *pool;
    struct strv urls;     /* base URLs to try, in order */
    bool loose;           /* plain HTTP and unchecked certificates are fine */
    pthread_mutex_t lock; /* guards what follows */
    size_t url;           /* the one in use */
    char *authorization;
    struct registry_creds creds;
    bool asked;
};

static const char *const manifest_accept[] = {"Accept: " OCI_INDEX, "Accept: " OCI_MANIFEST,
                                              "Accept: " DOCKER_INDEX, "Accept: " DOCKER_MANIFEST,
                                              NULL};

void registry_global_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- errors in Docker's words ---- */

#define REGISTRY_ERROR(T, F)   \
    F(T, str, code, "code", 0) \
    F(T, str, message, "message", 0)
JSON_TYPE(registry_error, REGISTRY_ERROR)
JSON_DESC(registry_error, REGISTRY_ERROR)
#define REGISTRY_ERRORS(T, F) F(T, list, errors, "errors", 0, registry_error)
JSON_TYPE(registry_errors, REGISTRY_ERRORS)
JSON_DESC(registry_errors, REGISTRY_ERRORS)

/* "manifest unknown: <message>" of the body, or of what the status means. */
static void describe(const struct http_reply *r, const char *fallback, char *out, size_t size)
{
    auto_arena struct arena *a = arena_new();
    struct registry_errors doc = {0};
    struct err ignored = {0};
    (void)snprintf(out, size, "%s", fallback);
    if (json_parse(&registry_errors_json, &doc, buf_cstr(&r->body), r->body.n, a, &ignored) < 0 ||
        doc.errors.n == 0 || doc.errors.v[0].code == NULL || doc.errors.v[0].code[0] == 0)
        return;
    char code[64];
    (void)snprintf(code, sizeof(code), "%s", doc.errors.v[0].code);
    for (char *c = code; *c != 0; c++)
        *c = *c == '_' ? ' ' : *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    const char *message = doc.errors.v[0].message;
    (void)snprintf(out, size, "%s: %.500s", code,
                   message != NULL && message[0] != 0 ? message : code);
}

static int refused(struct registry *g, const struct http_reply *r, bool is_blob, struct err *e)
{
    char name[REF_TEXT_MAX], full[REF_TEXT_MAX], why[640];
    ref_familiar_name(&g->ref, name);
    ref_familiar(&g->ref, full);
    switch (r->status) {
    case 401:
    case 403:
        describe(r, "denied: requested access to the resource is denied", why, sizeof(why));
        if (r->status == 401 && g->creds.username != NULL && g->creds.username[0] != 0)
            return err_set(e, ERR_UNAUTHORIZED, "unauthorized: incorrect username or password");
        return err_set(e, ERR_NOT_FOUND,
                       "pull access denied for %s, repository does not exist or may require "
                       "'docker login': %s",
                       name, why);
    case 404:
        if (is_blob)
            return err_set(e, ERR_NOT_FOUND, "blob of %s not found in the registry", full);
        describe(r, "manifest unknown: manifest unknown", why, sizeof(why));
        if (strncmp(why, "name unknown", 12) == 0)
            return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", name, why);
        return err_set(e, ERR_NOT_FOUND, "manifest for %s not found: %s", full, why);
    case 429:
        describe(r, "toomanyrequests: too many requests", why, sizeof(why));
        return err_set(e, ERR_UNAVAILABLE, "%s", why);
    default:
        describe(r, "unexpected answer of the registry", why, sizeof(why));
        return err_set(e, r->status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID, "%s (status %d)", why,
                       r->status);
    }
}

/* ---- one attempt ---- */

static char *current_url(struct registry *g, const char *rest)
{
    pthread_mutex_lock(&g->lock);
    char *out = mem_printf("%s/v2/%s/%s", g->urls.v[g->url], g->ref.path, rest);
    pthread_mutex_unlock(&g->lock);
    return out;
}

static char *current_authorization(struct registry *g)
{
    pthread_mutex_lock(&g->lock);
    char *out = mem_strdup(g->authorization);
    pthread_mutex_unlock(&g->lock);
    return out;
}

static void set_authorization(struct registry *g, char *value)
{
    pthread_mutex_lock(&g->lock);
    free(g->authorization);
    g->authorization = value;
    pthread_mutex_unlock(&g->lock);
}

static char *basic_value(const struct registry_creds *c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    auto_free char *plain =
        mem_printf("%s:%s", c->username, c->password != NULL ? c->password : "");
    struct buf b = BUF_MAX(65536);
    size_t n = strlen(plain);
    buf_adds(&b, "Basic ");
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)plain[i] << 16;
        v |= i + 1 < n ? (unsigned)(unsigned char)plain[i + 1] << 8 : 0;
        v |= i + 2 < n ? (unsigned char)plain[i + 2] : 0;
        buf_addc(&b, digits[v >> 18]);
        buf_addc(&b, digits[v >> 12 & 63]);
        buf_addc(&b, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_addc(&b, i + 2 < n ? digits[v & 63] : '=');
    }
    return buf_take(&b);
}

static int ask_for_creds(struct registry *g, const char *challenge, struct err *e)
{
    const struct registry_creds *c = &g->creds;
    if (g->asked || g->o->ask == NULL || (c->username != NULL && c->username[0] != 0) ||
        (c->identity_token != NULL && c->identity_token[0] != 0))
        return 0;
    g->asked = true;
    return g->o->ask(g->o->ask_arg, g->ref.domain, challenge, &g->creds, e);
}

/* Answer a 401. 1: try again. */
static int answer_challenge(struct registry *g, const struct http_request *rq,
                            const struct http_reply *r, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct challenge c;
    char *token = NULL;
    if (!challenge_parse(r->challenge, a, &c))
        return 0;
    TRY(ask_for_creds(g, r->challenge, e));
    bool has_user = g->creds.username != NULL && g->creds.username[0] != 0;
    if (strcmp(c.scheme, "basic") == 0) {
        if (!has_user)
            return err_set(e, ERR_UNAUTHORIZED, "Get \"%s\": no basic auth credentials", rq->url);
        set_authorization(g, basic_value(&g->creds));
        return 1;
    }
    TRY(auth_token(g->pool, rq, &c, &g->creds, g->ref.path, &token, e));
    set_authorization(g, mem_printf("Bearer %s", token));
    free(token);
    return 1;
}

/* One request; a challenge is answered once. */
static int attempt(struct registry *g, struct http_request *rq, struct http_reply *out,
                   bool *out_no_tls, struct err *e)
{
    for (int round = 0;; round++) {
        auto_free char *authorization = current_authorization(g);
        rq->authorization = authorization;
        int r = http_do(g->pool, rq, out, out_no_tls, e);
        rq->authorization = NULL;
        TRY(r);
        if (out->status != 401 || round > 0)
            return 0;
        int again = answer_challenge(g, rq, out, e);
        if (again <= 0)
            return again;
        http_reply_done(out);
    }
}

/* ---- again and again ---- */

static int pause_before_retry(struct registry *g, int n, int retry_after_s, struct err *e)
{
    unsigned char dice = 0;
    if (getrandom(&dice, 1, 0) != 1)
        dice = 0; /* without luck all retry at the same time: no harm */
    int64_t ms = retry_after_s > 0 ? retry_after_s * 1000LL : (FIRST_PAUSE_MS << MIN(n, 7)) + dice;
    struct pollfd p = {.fd = g->o->cancel_fd > 0 ? g->o->cancel_fd : -1, .events = POLLIN};
    if (poll(&p, 1, (int)MIN(ms, (int64_t)MAX_PAUSE_MS)) > 0)
        return err_set(e, ERR_CANCELLED, "context canceled");
    return 0;
}

static struct http_request request(struct registry *g, const char *method)
{
    return (struct http_request){.method = method,
                                 .ca_file = g->o->ca_file,
                                 .insecure = g->loose,
                                 .stall_ms = g->o->stall_ms,
                                 .connect_ms = g->o->connect_ms,
                                 .cancel_fd = g->o->cancel_fd};
}

/* Go on with the next base URL; false when there is none. */
static bool next_url(struct registry *g)
{
    pthread_mutex_lock(&g->lock);
    bool more = g->url + 1 < g->urls.n;
    g->url += more;
    pthread_mutex_unlock(&g->lock);
    if (more)
        set_authorization(g, NULL);
    return more;
}

static bool worth_retrying(int r, const struct http_reply *reply, const struct err *e)
{
    if (r < 0)
        return e->kind == ERR_UNAVAILABLE;
    return reply->status == 429 || reply->status == 408 || reply->status >= 500;
}

/*
 * Ask for `rest` until there is an answer that counts. resume: called before each further try, sets
 * rq->offset. On success the status is 2xx, or (for_resolve) one that means "not here".
 */
static int persist(struct registry *g, struct http_request *rq, const char *rest, bool for_resolve,
                   void (*resume)(struct http_request *rq), struct http_reply *out, struct err *e)
{
    int attempts = g->o->attempts > 0 ? g->o->attempts : DEFAULT_ATTEMPTS;
    for (int n = 0;; n++) {
        auto_free char *url = current_url(g, rest);
        bool no_tls = false;
        rq->url = url;
        if (resume != NULL)
            resume(rq);
        int r = attempt(g, rq, out, &no_tls, e);
        rq->url = NULL;
        if (r == 0 && out->status / 100 == 2)
            return 0;
        bool elsewhere =
            for_resolve &&
            (r < 0 ? e->kind == ERR_UNAVAILABLE && (no_tls || g->url + 1 < g->urls.n) : true);
        if (elsewhere && (r < 0 || !g->loose) && next_url(g)) {
            if (r == 0)
                http_reply_done(out);
            err_clear(e);
            n = -1;
            continue;
        }
        if (!worth_retrying(r, out, e) || n + 1 >= attempts)
            return r;
        int after = r == 0 ? out->retry_after_s : 0;
        log_debug("trying the registry again", "url", url, "why", r < 0 ? e->msg : "status", NULL);
        http_reply_done(out);
        err_clear(e);
        if (pause_before_retry(g, n, after, e) < 0)
            return -1;
    }
}

/* ---- resolve ---- */

static int whole_manifest(struct registry *g, const char *rest, struct http_reply *out,
                          struct err *e)
{
    struct http_request rq = request(g, "GET");
    rq.headers = manifest_accept;
    return persist(g, &rq, rest, true, NULL, out, e);
}

static int resolve(struct image_source *base, struct arena *a, struct oci_descriptor *out,
                   struct err *e)
{
    struct registry *g = CONTAINER_OF(base, struct registry, base);
    auto_reply struct http_reply r = {.length = -1};
    const char *what = g->ref.digest[0] != 0 ? g->ref.digest : g->ref.tag;
    auto_free char *rest = mem_printf("manifests/%s", what);
    struct http_request rq = request(g, "HEAD");
    char digest[DIGEST_MAX];
    rq.headers = manifest_accept;
    TRY(persist(g, &rq, rest, true, NULL, &r, e));
    if (r.status == 200 && digest_is_sha256(r.digest) && r.length >= 0 && r.media_type[0] != 0) {
        memcpy(digest, r.digest, sizeof(digest));
    } else { /* an error's text is only in the body, and some registries know no HEAD */
        http_reply_done(&r);
        TRY(whole_manifest(g, rest, &r, e));
        if (r.status != 200)
            return refused(g, &r, false, e);
        digest_of(buf_cstr(&r.body), r.body.n, digest);
        r.length = (int64_t)r.body.n;
    }
    if (g->ref.digest[0] != 0 && strcmp(g->ref.digest, digest) != 0)
        return err_set(e, ERR_PRECONDITION, "manifest verification failed for digest %s",
                       g->ref.digest);
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
    struct registry *g = CONTAINER_OF(base, struct registry, base);
    struct fetch f = {
        .offset = offset, .size = d->size, .sink = sink, .restart = restart, .arg = arg};
    bool is_manifest = oci_is_index(d->media_type) || oci_is_manifest(d->media_type);
    auto_free char *rest = mem_printf("%s/%s", is_manifest ? "manifests" : "blobs", d->digest);
    auto_free char *accept = mem_printf("Accept: %s", is_manifest ? d->media_type : "*/*");
    const char *const headers[] = {accept, NULL};
    int short_rounds = 0;
    while (f.offset < f.size) {
        auto_reply struct http_reply r = {.length = -1};
        struct http_request rq = request(g, "GET");
        int64_t before = f.offset;
        rq.headers = headers;
        rq.sink = fetch_sink;
        rq.begin = fetch_begin;
        rq.arg = &f;
        TRY(persist(g, &rq, rest, false, fetch_resume, &r, e));
        if (r.status != 200 && r.status != 206)
            return refused(g, &r, !is_manifest, e);
        if (f.offset < f.size && (f.offset <= before || ++short_rounds > 3))
            return err_set(e, ERR_PRECONDITION,
                           "the registry sent %lld of the announced %lld bytes of %s",
                           (long long)f.offset, (long long)f.size, d->digest);
    }
    return 0;
}

/* ---- open and close ---- */

static bool is_loopback(const char *domain)
{
    struct str s = str_of(domain);
    if (str_starts(s, "[::1]"))
        return true;
    struct str host = str_cut(&s, ':');
    return str_eq(host, "localhost") || str_starts(host, "127.");
}

static bool is_listed(const char *const *list, const char *domain)
{
    struct str s = str_of(domain), host = str_cut(&s, ':');
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, domain) == 0 || str_eq(host, *list))
            return true;
    return false;
}

int registry_source_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_source **out, struct err *e)
{
    if (ref->tag[0] == 0 && ref->digest[0] == 0)
        return err_set(e, ERR_INVALID, "reference has neither tag nor digest");
    struct registry *g = mem_alloc(sizeof(*g));
    bool hub = strcmp(ref->domain, "docker.io") == 0;
    const char *host = hub ? "registry-1.docker.io" : ref->domain;
    g->ref = *ref;
    g->o = opts;
    g->creds = opts->creds;
    g->pool = http_pool_new();
    g->loose =
        opts->plain_http || is_loopback(ref->domain) || is_listed(opts->insecure, ref->domain);
    g->base = (struct image_source){
        .resolve = resolve, .fetch = fetch, .origin = g->ref.domain, .repo = g->ref.path};
    pthread_mutex_init(&g->lock, NULL);
    for (size_t i = 0; hub && opts->mirrors != NULL && opts->mirrors[i] != NULL; i++) {
        char *url = mem_strdup(opts->mirrors[i]);
        if (url[0] != 0 && url[strlen(url) - 1] == '/')
            url[strlen(url) - 1] = 0;
        vec_push(&g->urls, url);
    }
    if (!opts->plain_http)
        vec_push(&g->urls, mem_printf("https://%s", host));
    if (g->loose)
        vec_push(&g->urls, mem_printf("http://%s", host));
    if (opts->creds.registry_token != NULL && opts->creds.registry_token[0] != 0)
        g->authorization = mem_printf("Bearer %s", opts->creds.registry_token);
    *out = &g->base;
    return 0;
}

void registry_source_close(struct image_source *s)
{
    if (s == NULL)
        return;
    struct registry *g = CONTAINER_OF(s, struct registry, base);
    http_pool_free(g->pool);
    strv_done(&g->urls);
    free(g->authorization);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
