/*
 * A session with a registry: see session.h. Every request goes through `attempt` (one try, with the
 * answer to a challenge) and session_do (other hosts, other tries).
 */
#include "registry/session.h"

#include <poll.h>
#include <sys/random.h>

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "registry/auth.h"

enum { DEFAULT_ATTEMPTS = 5, FIRST_PAUSE_MS = 250, MAX_PAUSE_MS = 30000 };

/* ---- open and close ---- */

int session_open(struct session *s, const struct ref *ref, const struct registry_opts *o,
                 const char *access, struct err *e)
{
    struct registry_hosts hosts = {0};
    const char *token = o->creds.registry_token;
    *s = (struct session){.ref = *ref, .o = o, .arena = arena_new()};
    if (registry_hosts_find(ref->domain, o, s->arena, &hosts, e) < 0) {
        arena_free(s->arena);
        return -1;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->answering, NULL);
    s->pool = http_pool_new();
    s->peers = arena_alloc_array(s->arena, hosts.n, sizeof(*s->peers));
    s->n_peers = hosts.n;
    for (size_t i = 0; i < hosts.n; i++) {
        struct peer *p = &s->peers[i];
        p->host = &hosts.v[i];
        if (!p->host->origin)
            continue; /* a mirror never gets what was given for the registry */
        p->creds = o->creds;
        if (token != NULL && token[0] != 0)
            p->authorization = mem_printf("Bearer %s", token);
    }
    if (access != NULL)
        vec_push_in(s->arena, &s->scopes,
                    arena_printf(s->arena, "repository:%s:%s", ref->path, access));
    return 0;
}

void session_done(struct session *s)
{
    if (s->arena == NULL)
        return;
    for (size_t i = 0; i < s->n_peers; i++)
        free(s->peers[i].authorization);
    free(s->refresh);
    http_pool_free(s->pool);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->answering);
    arena_free(s->arena);
    s->arena = NULL;
}

struct session *session_new(const struct ref *ref, const struct registry_opts *o,
                            const char *access, struct err *e)
{
    struct session *s = mem_alloc(sizeof(*s));
    if (session_open(s, ref, o, access, e) == 0)
        return s;
    free(s);
    return NULL;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    session_done(s);
    free(s);
}

/* ---- errors ---- */

#define REGISTRY_ERROR(T, F)   \
    F(T, str, code, "code", 0) \
    F(T, str, message, "message", 0)
JSON_TYPE(registry_error, REGISTRY_ERROR)
JSON_DESC(registry_error, REGISTRY_ERROR)
#define REGISTRY_ERRORS(T, F) F(T, list, errors, "errors", 0, registry_error)
JSON_TYPE(registry_errors, REGISTRY_ERRORS)
JSON_DESC(registry_errors, REGISTRY_ERRORS)

void session_describe(const struct http_reply *r, const char *fallback, char *out, size_t size)
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

int session_refused(const struct http_reply *r, struct err *e)
{
    char why[640];
    if (r->status == 429) {
        session_describe(r, "toomanyrequests: too many requests", why, sizeof(why));
        return err_set(e, ERR_UNAVAILABLE, "%s", why);
    }
    session_describe(r, "unexpected answer of the registry", why, sizeof(why));
    return err_set(e, r->status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID, "%s (status %d)", why,
                   r->status);
}

/* ---- who is asked, and what it has granted ---- */

static struct peer *pick(struct session *s, unsigned can)
{
    struct peer *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_peers && found == NULL; i++)
        if (!s->peers[i].out && (s->peers[i].host->can & can) != 0)
            found = &s->peers[i];
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Another host serves from now on; false when there is none. with_twin: the same host without TLS
 * is none either. */
static bool leave(struct session *s, struct peer *p, unsigned can, bool with_twin)
{
    bool more = false;
    size_t next = (size_t)(p - s->peers) + 1 + (with_twin && p->host->tls_maybe);
    pthread_mutex_lock(&s->lock);
    for (size_t i = next; i < s->n_peers && !more; i++)
        more = !s->peers[i].out && (s->peers[i].host->can & can) != 0;
    for (size_t i = (size_t)(p - s->peers); more && i < next; i++)
        s->peers[i].out = true;
    pthread_mutex_unlock(&s->lock);
    return more;
}

bool session_has_user(struct session *s)
{
    struct peer *p = pick(s, HOST_ALL);
    return p != NULL && p->creds.username != NULL && p->creds.username[0] != 0;
}

void session_add_scope(struct session *s, const char *scope)
{
    pthread_mutex_lock(&s->lock);
    if (!strv_has(&s->scopes, scope)) {
        vec_push_in(s->arena, &s->scopes, arena_strdup(s->arena, scope));
        for (size_t i = 0; i < s->n_peers; i++)
            if (s->peers[i].authorization != NULL &&
                strncmp(s->peers[i].authorization, "Bearer ", 7) == 0)
                free(TAKE_PTR(s->peers[i].authorization));
    }
    pthread_mutex_unlock(&s->lock);
}

static char *authorization_of(struct session *s, const struct peer *p)
{
    pthread_mutex_lock(&s->lock);
    char *out = mem_strdup(p->authorization);
    pthread_mutex_unlock(&s->lock);
    return out;
}

static void set_authorization(struct session *s, struct peer *p, char *value)
{
    pthread_mutex_lock(&s->lock);
    free(p->authorization);
    p->authorization = value;
    pthread_mutex_unlock(&s->lock);
}

static char *basic_value(const struct registry_creds *c)
{
    auto_free char *plain =
        mem_printf("%s:%s", c->username, c->password != NULL ? c->password : "");
    struct buf b = BUF_MAX(65536);
    buf_adds(&b, "Basic ");
    base64_encode(plain, strlen(plain), &b);
    return buf_take(&b);
}

static bool has_creds(const struct registry_creds *c)
{
    return (c->username != NULL && c->username[0] != 0) ||
           (c->identity_token != NULL && c->identity_token[0] != 0);
}

/* The owner is asked at most once a host. */
static int ask_for_creds(struct session *s, struct peer *p, const char *challenge,
                         struct registry_creds *out, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    bool ask = !p->asked && s->o->ask != NULL && !has_creds(&p->creds);
    p->asked = p->asked || ask;
    *out = p->creds;
    pthread_mutex_unlock(&s->lock);
    if (!ask)
        return 0;
    TRY(s->o->ask(s->o->ask_arg, p->host->name, challenge, out, e));
    pthread_mutex_lock(&s->lock);
    p->creds = *out;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Answer a 401 that nobody has answered yet. 1: try again. */
static int answer_challenge(struct session *s, struct peer *p, const struct http_request *rq,
                            const struct http_reply *r, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_token struct token token = {0};
    struct registry_creds creds;
    struct strv scopes = {0};
    struct challenge c;
    if (!challenge_parse(r->challenge, a, &c))
        return 0;
    TRY(ask_for_creds(s, p, r->challenge, &creds, e));
    if (creds.registry_token != NULL && creds.registry_token[0] != 0) {
        set_authorization(s, p, mem_printf("Bearer %s", creds.registry_token));
        return 1;
    }
    if (strcmp(c.scheme, "basic") == 0) {
        if (creds.username == NULL || creds.username[0] == 0)
            return err_set(e, ERR_UNAUTHORIZED, "Get \"%s\": no basic auth credentials", rq->url);
        set_authorization(s, p, basic_value(&creds));
        return 1;
    }
    pthread_mutex_lock(&s->lock);
    vec_each(scope, &s->scopes)
        vec_push_in(a, &scopes, *scope);
    pthread_mutex_unlock(&s->lock);
    const struct token_wish wish = {.creds = &creds, .scopes = &scopes, .offline = s->offline};
    TRY(auth_token(s->pool, rq, &c, &wish, &token, e));
    set_authorization(s, p, mem_printf("Bearer %s", token.bearer));
    if (token.refresh != NULL) {
        pthread_mutex_lock(&s->lock);
        free(s->refresh);
        s->refresh = TAKE_PTR(token.refresh);
        pthread_mutex_unlock(&s->lock);
    }
    return 1;
}

/* Answer a 401 to a request that was sent with `used`; who comes later finds what the first got. */
static int get_granted(struct session *s, struct peer *p, const struct http_request *rq,
                       const struct http_reply *r, const char *used, struct err *e)
{
    pthread_mutex_lock(&s->answering);
    auto_free char *now = authorization_of(s, p);
    int again = now != NULL && (used == NULL || strcmp(now, used) != 0)
                    ? 1
                    : answer_challenge(s, p, rq, r, e);
    pthread_mutex_unlock(&s->answering);
    return again;
}

/* ---- one attempt ---- */

struct http_request session_request(const struct session *s, const char *method)
{
    return (struct http_request){.method = method,
                                 .stall_ms = s->o->stall_ms,
                                 .connect_ms = s->o->connect_ms,
                                 .proxies = &s->o->proxies,
                                 .cancel_fd = s->o->cancel_fd};
}

/* The URL's scheme and host are this host's: what it has granted may be sent there. */
static bool same_host(const char *url, const struct registry_host *h)
{
    size_t n = (size_t)(strstr(h->base, "://") + 3 - h->base);
    n += strcspn(h->base + n, "/");
    return strncasecmp(url, h->base, n) == 0 && (url[n] == '/' || url[n] == '?');
}

/* The caller's headers, the client's and the host's. */
static const char *const *all_headers(const struct session *s, const struct peer *p,
                                      const char *const *own, struct arena *a)
{
    struct strv all = {0};
    for (size_t i = 0; own != NULL && own[i] != NULL; i++)
        vec_push_in(a, &all, (char *)(uintptr_t)own[i]);
    for (size_t i = 0; s->o->headers != NULL && s->o->headers[i] != NULL; i++)
        vec_push_in(a, &all, (char *)(uintptr_t)s->o->headers[i]);
    vec_each(h, &p->host->headers)
        vec_push_in(a, &all, *h);
    vec_push_in(a, &all, NULL);
    return (const char *const *)all.v;
}

/* One request; a challenge is answered once. */
static int attempt(struct session *s, struct peer *p, const struct http_request *wanted,
                   struct http_reply *out, enum http_failure *out_why, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const struct registry_host *h = p->host;
    bool ours = same_host(wanted->url, h);
    struct http_request rq = *wanted;
    rq.ca = h->ca;
    if (h->connect_ms > 0)
        rq.connect_ms = h->connect_ms;
    rq.insecure = h->insecure || strncmp(h->base, "http://", 7) == 0;
    if (ours) {
        rq.cert_file = h->cert_file;
        rq.key_file = h->key_file;
        rq.headers = all_headers(s, p, wanted->headers, a);
    }
    for (int round = 0;; round++) {
        auto_free char *authorization = ours ? authorization_of(s, p) : NULL;
        rq.authorization = authorization;
        TRY(http_do(s->pool, &rq, out, out_why, e));
        if (out->status != 401 || round > 0 || !ours)
            return 0;
        int again = get_granted(s, p, &rq, out, authorization, e);
        if (again <= 0)
            return again;
        http_reply_done(out);
    }
}

/* ---- again and again ---- */

int session_attempts(const struct session *s)
{
    return s->o->attempts > 0 ? s->o->attempts : DEFAULT_ATTEMPTS;
}

int session_pause(struct session *s, int n, int retry_after_s, struct err *e)
{
    unsigned char dice = 0;
    if (getrandom(&dice, 1, 0) != 1)
        dice = 0; /* without luck all retry at the same time: no harm */
    int64_t ms = retry_after_s > 0 ? retry_after_s * 1000LL : (FIRST_PAUSE_MS << MIN(n, 7)) + dice;
    struct pollfd p = {.fd = s->o->cancel_fd > 0 ? s->o->cancel_fd : -1, .events = POLLIN};
    if (poll(&p, 1, (int)MIN(ms, (int64_t)MAX_PAUSE_MS)) > 0)
        return err_set(e, ERR_CANCELLED, "context canceled");
    return 0;
}

/* What came of a try, and what to do then. */
struct outcome {
    int r;
    const struct http_reply *reply;
    const struct err *e;
    enum http_failure why;
    bool last;
};
enum verdict { DONE, AGAIN, ELSEWHERE };

static enum verdict judge(struct session *s, struct peer *p, const struct session_call *c,
                          const struct outcome *t)
{
    int status = t->reply->status;
    bool refused = t->r < 0 && (t->why == HTTP_FAIL_PLAIN || t->why == HTTP_FAIL_TRUST);
    bool may_pass = t->r < 0 ? t->e->kind == ERR_UNAVAILABLE && !refused
                             : status == 429 || status == 408 || status >= 500;
    enum verdict stay = may_pass && !t->last ? AGAIN : DONE;
    if (t->r == 0 && status / 100 == 2)
        return DONE;
    if (c->url != NULL)
        return stay;
    if (t->r < 0 && !may_pass && !refused && t->e->kind != ERR_UNAUTHORIZED)
        return DONE; /* cancelled, or the sink's own error */
    if (t->r < 0 && (t->why == HTTP_FAIL_CONNECT || t->why == HTTP_FAIL_PLAIN) &&
        p->host->tls_maybe && leave(s, p, c->can, false))
        return ELSEWHERE;
    if ((c->first || t->last || !may_pass) && leave(s, p, c->can, true))
        return ELSEWHERE;
    return stay;
}

/* A host that serves for another registry is told for which, as containerd does. */
static char *ns_of(const struct session *s, const struct registry_host *h,
                   const struct http_request *rq)
{
    const char *colon = strchr(s->ref.domain, ':'), *name = s->ref.domain;
    bool reads = strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0;
    if (!reads || strcmp(h->name, name) == 0 ||
        (strcmp(name, "docker.io") == 0 && strcmp(h->name, "registry-1.docker.io") == 0))
        return mem_strdup("");
    return colon == NULL ? mem_printf("ns=%s", name)
                         : mem_printf("ns=%.*s%%3A%s", (int)(colon - name), name, colon + 1);
}

static char *url_of(const struct session *s, const struct registry_host *h,
                    const struct http_request *rq, const struct session_call *c)
{
    int n = (int)strlen(h->base);
    if (c->url != NULL)
        return mem_strdup(c->url);
    if (c->v1 && str_ends(str_of(h->base), "/v2"))
        return mem_printf("%.*s1%s", n - 1, h->base, c->path);
    auto_free char *ns = ns_of(s, h, rq);
    const char *mark = ns[0] == 0 ? "" : strchr(c->path, '?') != NULL ? "&" : "?";
    return mem_printf("%s%s%s%s", h->base, c->path, mark, ns);
}

int session_do(struct session *s, struct http_request *rq, const struct session_call *c,
               struct http_reply *out, struct err *e)
{
    int attempts = c->once ? 1 : session_attempts(s);
    for (int n = 0;; n++) {
        struct peer *p = pick(s, c->can);
        enum http_failure why = HTTP_FAIL_OTHER;
        if (p == NULL)
            return err_set(e, ERR_UNAVAILABLE, "no host of %s does this", s->ref.domain);
        auto_free char *url = url_of(s, p->host, rq, c);
        rq->url = url;
        if (c->resume != NULL)
            c->resume(rq);
        int r = attempt(s, p, rq, out, &why, e);
        rq->url = NULL;
        const struct outcome t = {r, out, e, why, n + 1 >= attempts};
        enum verdict v = judge(s, p, c, &t);
        if (v == DONE)
            return r;
        int after = r == 0 ? out->retry_after_s : 0;
        log_debug("trying the registry again", "url", url, "why", r < 0 ? e->msg : "status", NULL);
        http_reply_done(out);
        err_clear(e);
        if (v == ELSEWHERE)
            n = -1;
        else
            TRY(session_pause(s, n, after, e));
    }
}
