/* Questions to a registry that are neither a pull nor a push: see registry.h. */
#include "base/mem.h"
#include "base/str.h"
#include "registry/source.h"

#define HUB "docker.io"
#define HUB_INDEX "https://index.docker.io/v1/search"

enum { PAGES_MAX = 1000, TAGS_MAX = 100000 };

static struct ref repository(const char *domain)
{
    struct ref r = {0};
    (void)snprintf(r.domain, sizeof(r.domain), "%s", domain);
    return r;
}

/* Only the registry itself knows accounts and has an index. */
static void leave_mirrors(struct session *s)
{
    for (size_t i = 0; i < s->n_peers; i++)
        s->peers[i].out = !s->peers[i].host->origin;
}

/* ---- login ---- */

static int try_login(struct session *s, struct http_reply *r, struct err *e)
{
    const struct session_call c = {.path = "/", .can = HOST_ALL, .first = true};
    struct http_request rq = session_request(s, "GET");
    struct peer *p;
    int done = session_do(s, &rq, &c, r, e);
    for (p = s->peers; p < s->peers + s->n_peers - 1 && p->out; p++)
        continue;
    if (done < 0)
        return e->kind == ERR_UNAUTHORIZED ? err_wrap(e, "Get \"%s/\"", p->host->base) : -1;
    if (r->status / 100 == 2)
        return 0;
    return err_set(e, r->status == 401 || r->status == 403 ? ERR_UNAUTHORIZED : ERR_UNAVAILABLE,
                   "login attempt to %s/ failed with status: %d%s", p->host->base, r->status,
                   r->status == 401   ? " Unauthorized"
                   : r->status == 403 ? " Forbidden"
                   : r->status == 404 ? " Not Found"
                                      : "");
}

int registry_login(const char *domain, const struct registry_opts *opts, struct arena *a,
                   const char **out_token, struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    struct ref ref = repository(domain);
    struct session s;
    TRY(session_open(&s, &ref, opts, NULL, e));
    leave_mirrors(&s);
    s.offline = true;
    int done = try_login(&s, &r, e);
    *out_token = arena_strdup(a, s.refresh != NULL ? s.refresh : "");
    session_done(&s);
    return done;
}

/* ---- tags ---- */

#define TAGS_DOC(T, F) F(T, strv, tags, "tags", 0)
JSON_TYPE(tags_doc, TAGS_DOC)
JSON_DESC(tags_doc, TAGS_DOC)

static int tags_refused(const struct session *s, const struct http_reply *r, struct err *e)
{
    char name[REF_TEXT_MAX], why[640];
    ref_familiar_name(&s->ref, name);
    session_describe(r, "denied: requested access to the resource is denied", why, sizeof(why));
    if (r->status == 401 || r->status == 403)
        return err_set(e, ERR_NOT_FOUND,
                       "pull access denied for %s, repository does not exist or may require "
                       "'docker login': %s",
                       name, why);
    if (r->status == 404)
        return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", name, why);
    return err_set(e, ERR_UNAVAILABLE, "%s (status %d)", why, r->status);
}

/* One page; *io_next: where it is, and then where the next is (NULL: the first, the last). */
static int read_page(struct session *s, struct arena *a, const char **io_next, struct strv *out,
                     struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    const char *path = arena_printf(a, "/%s/tags/list?n=1000", s->ref.path);
    const struct session_call c = {
        .path = path, .url = *io_next, .can = HOST_RESOLVE, .first = *io_next == NULL};
    struct http_request rq = session_request(s, "GET");
    struct tags_doc doc;
    TRY(session_do(s, &rq, &c, &r, e));
    if (r.status / 100 != 2)
        return tags_refused(s, &r, e);
    TRY(json_parse(&tags_doc_json, &doc, buf_cstr(&r.body), r.body.n, a, e));
    vec_each(t, &doc.tags)
        vec_push_in(a, out, *t);
    *io_next = r.next[0] != '\0' ? arena_strdup(a, r.next) : NULL;
    return 0;
}

int registry_tags(const struct ref *ref, const struct registry_opts *opts, struct arena *a,
                  struct strv *out, struct err *e)
{
    const char *next = NULL;
    struct session s;
    int r = 0;
    TRY(session_open(&s, ref, opts, "pull", e));
    for (int page = 0; r == 0 && (page == 0 || next != NULL); page++)
        r = page < PAGES_MAX && out->n < TAGS_MAX
                ? read_page(&s, a, &next, out, e)
                : err_set(e, ERR_TOO_LARGE, "%s has too many tags", ref->path);
    session_done(&s);
    return r;
}

/* ---- search ---- */

#define SEARCH_DOC(T, F) F(T, list, results, "results", 0, search_result)
JSON_TYPE(search_doc, SEARCH_DOC)
JSON_DESC(search_doc, SEARCH_DOC)

/* "host/words" is a search at that host, "words" one at the Hub. */
static const char *split_term(const char *term, struct ref *out)
{
    size_t n = ref_host_len(term);
    *out = repository(HUB);
    if (n == 0 || n > REF_NAME_MAX)
        return term;
    *out = repository("");
    memcpy(out->domain, term, n);
    return term + n + 1;
}

static void add_query(struct buf *b, const char *words, int limit)
{
    buf_printf(b, "?n=%d&q=", limit);
    for (; *words != '\0'; words++) {
        unsigned char c = (unsigned char)*words;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.';
        buf_printf(b, plain ? "%c" : "%%%02X", c);
    }
}

static int ask_index(struct session *s, const char *words, int limit, struct arena *a,
                     struct registry_answer *out, struct err *e)
{
    auto_reply struct http_reply r = {.length = -1};
    auto_buf struct buf query = BUF_MAX(4096);
    bool hub = strcmp(s->ref.domain, HUB) == 0;
    struct search_doc doc;
    add_query(&query, words, limit);
    if (query.over)
        return err_set(e, ERR_INVALID, "the search term is too long");
    const struct session_call c = {.path = arena_printf(a, "/search%s", buf_cstr(&query)),
                                   .url = hub ? arena_printf(a, HUB_INDEX "%s", buf_cstr(&query))
                                              : NULL,
                                   .v1 = true,
                                   .can = HOST_ALL,
                                   .first = true};
    struct http_request rq = session_request(s, "GET");
    TRY(session_do(s, &rq, &c, &r, e));
    if (r.status == 404 || r.status == 405)
        return err_set(e, ERR_NOT_FOUND, "Unexpected status code %d: the registry %s has no search",
                       r.status, s->ref.domain);
    if (r.status != 200)
        return err_set(e, r.status == 401 ? ERR_UNAUTHORIZED : ERR_UNAVAILABLE,
                       "Unexpected status code %d", r.status);
    if (json_parse(&search_doc_json, &doc, buf_cstr(&r.body), r.body.n, a, e) < 0)
        return err_wrap(e, "the search of %s", s->ref.domain);
    vec_each(x, &doc.results)
        vec_push_in(a, &out->results, *x);
    return 0;
}

int registry_search(const char *term, int limit, const struct registry_opts *opts, struct arena *a,
                    struct registry_answer *out, struct err *e)
{
    struct session s;
    struct ref ref;
    const char *words = split_term(term, &ref);
    TRY(session_open(&s, &ref, opts, NULL, e));
    leave_mirrors(&s);
    int r = ask_index(&s, words, limit, a, out, e);
    session_done(&s);
    return r;
}

/* ---- inspect ---- */

static int add_platforms(struct image_source *src, const struct oci_descriptor *d, struct arena *a,
                         struct registry_answer *out, struct err *e)
{
    struct oci_index index;
    struct oci_manifest m;
    struct oci_image_config c;
    if (oci_is_index(d->media_type)) {
        TRY(source_read_document(src, d, OCI_MANIFEST_MAX, &oci_index_json, &index, a, e));
        vec_each(x, &index.manifests)
            if (x->platform != NULL)
                vec_push_in(a, &out->platforms, *x->platform);
        return 0;
    }
    TRY(source_read_document(src, d, OCI_MANIFEST_MAX, &oci_manifest_json, &m, a, e));
    if (!oci_is_config(m.config.media_type) || !digest_is_sha256(m.config.digest))
        return 0; /* no image that runs */
    TRY(source_read_document(src, &m.config, OCI_CONFIG_MAX, &oci_image_config_json, &c, a, e));
    const struct oci_platform p = {.architecture = c.architecture,
                                   .os = c.os,
                                   .os_version = c.os_version,
                                   .os_features = c.os_features,
                                   .variant = c.variant};
    vec_push_in(a, &out->platforms, p);
    return 0;
}

int registry_inspect(const struct ref *ref, const struct registry_opts *opts, struct arena *a,
                     struct registry_answer *out, struct err *e)
{
    auto_registry_source struct image_source *src = NULL;
    out->descriptor = ARENA_NEW(a, struct oci_descriptor);
    TRY(registry_source_open(ref, opts, &src, e));
    TRY(src->resolve(src, a, out->descriptor, e));
    return add_platforms(src, out->descriptor, a, out, e);
}
