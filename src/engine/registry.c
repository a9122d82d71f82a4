/* Questions to registries: a job of hull-registry each, see registry.h. */
#include "engine/registry.h"

#include "base/base64.h"
#include "base/str.h"
#include "client/transfer.h"
#include "engine/core.h"
#include "engine/filters.h"
#include "sys/job.h"
#include "types/reference.h"

enum { AUTH_MAX = 64 << 10, ASK_MS = 5 * 60 * 1000, SEARCH_DEFAULT = 25, SEARCH_MAX = 100 };

static const char *given(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : NULL;
}

const struct transfer_auth *registry_auth_read(const char *header, struct arena *a)
{
    auto_buf struct buf b = BUF_MAX(AUTH_MAX);
    struct auth_config c;
    struct transfer_auth *t;
    struct err ignored = {0};

    if (given(header) == NULL || !base64_decode(header, &b) ||
        json_parse(&auth_config_json, &c, buf_cstr(&b), b.n, a, &ignored) < 0)
        return NULL;
    t = ARENA_NEW(a, struct transfer_auth);
    *t = (struct transfer_auth){given(c.username), given(c.password), given(c.identity_token),
                                given(c.registry_token)};
    return t->username != NULL || t->identity_token != NULL || t->registry_token != NULL ? t : NULL;
}

int registry_ask(struct engine *g, struct registry_job *job, const char *domain,
                 const struct transfer_auth *auth, int cancel_fd, struct arena *a,
                 struct registry_answer *out, struct err *e)
{
    auto_buf struct buf doc = BUF_MAX(1 << 20), answer = BUF_MAX(JOB_DOC_MAX);

    TRY(registry_host_dir(g, domain, a, &job->host_dir, e));
    job->settings = (struct registry_settings *)(uintptr_t)g->o.registry; /* only written out */
    if (auth != NULL) {
        job->username = auth->username;
        job->password = auth->password;
        job->identity_token = auth->identity_token;
        job->registry_token = auth->registry_token;
    }
    json_write(&registry_job_json, job, &doc);
    if (doc.over)
        return err_set(e, ERR_TOO_LARGE, "the question to the registry is too long");
    const struct job_opts o = {.program = arena_printf(a, "%s/hull-registry", g->o.helper_dir),
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .timeout_ms = ASK_MS,
                               .cancel_fd = cancel_fd};
    TRY(job_run(&o, &answer, e));
    return json_parse(&registry_answer_json, out, buf_cstr(&answer), answer.n, a, e);
}

/* ---- login ---- */

/* "https://index.docker.io/v1/" is docker.io, "https://host:5000/v2/" is host:5000. */
static const char *domain_of(const char *server, struct arena *a)
{
    struct str rest = str_of(server != NULL ? server : "");

    for (const char *const *p = (const char *const[]){"https://", "http://", NULL}; *p != NULL; p++)
        if (str_starts(rest, *p)) {
            rest.p += strlen(*p);
            rest.n -= strlen(*p);
        }
    struct str host = str_cut(&rest, '/');

    if (host.n == 0 || str_eq(host, "index.docker.io") || str_eq(host, "registry-1.docker.io"))
        return "docker.io";
    return arena_strndup(a, host.p, host.n);
}

int engine_login(struct engine *g, const struct auth_config *c, int cancel_fd, struct buf *out,
                 struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const struct transfer_auth auth = {given(c->username), given(c->password),
                                       given(c->identity_token), given(c->registry_token)};
    const char *domain = domain_of(c->server_address, a);
    struct registry_job job = {.op = "login", .reference = domain};
    struct registry_answer answer;

    if (registry_ask(g, &job, domain, &auth, cancel_fd, a, &answer, e) < 0) {
        if (e->kind == ERR_UNAVAILABLE)
            e->kind = ERR_INTERNAL;
        return -1;
    }
    const struct auth_reply reply = {"Login Succeeded", answer.token != NULL ? answer.token : ""};

    json_write(&auth_reply_json, &reply, out);
    return 0;
}

/* ---- distribution ---- */

#define DISTRIBUTION(T, F)                                 \
    F(T, obj, descriptor, "Descriptor", 0, oci_descriptor) \
    F(T, list, platforms, "Platforms", JSON_EMPTY, oci_platform)
JSON_TYPE(distribution, DISTRIBUTION)
JSON_DESC(distribution, DISTRIBUTION)

int engine_distribution(struct engine *g, const char *name, const char *auth, int cancel_fd,
                        struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    char full[REF_TEXT_MAX];
    struct registry_job job = {.op = "inspect", .reference = full};
    struct registry_answer answer;
    struct ref ref;

    TRY(ref_parse(name, &ref, e));
    ref_default_tag(&ref);
    ref_format(&ref, full);
    TRY(registry_ask(g, &job, ref.domain, registry_auth_read(auth, a), cancel_fd, a, &answer, e));
    struct distribution d = {.descriptor = answer.descriptor};

    d.platforms.v = answer.platforms.v;
    d.platforms.n = answer.platforms.n;
    json_write(&distribution_json, &d, out);
    return 0;
}

/* ---- search ---- */

struct wanted {
    bool official_given, official;
    int64_t stars;
};

static int read_wanted(const char *filters, struct arena *a, struct wanted *out, struct err *e)
{
    static const char *const accepted[] = {"is-official", "is-automated", "stars", NULL};
    struct filters f;
    const struct strv *stars;

    TRY(filters_parse(filters, accepted, a, &f, e));
    TRY(filters_bool(&f, "is-official", &out->official_given, &out->official, e));
    stars = filters_get(&f, "stars");
    if (stars != NULL)
        vec_each(s, stars) {
            int64_t n;

            if (!str_to_i64(str_of(*s), 0, INT32_MAX, &n))
                return err_set(e, ERR_INVALID, "invalid filter 'stars=%.100s'", *s);
            out->stars = MAX(out->stars, n);
        }
    return 0;
}

int engine_search(struct engine *g, const struct search_opts *o, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct registry_job job = {
        .op = "search", .term = o->term, .limit = o->limit == 0 ? SEARCH_DEFAULT : o->limit};
    struct registry_answer answer;
    struct wanted w = {0};
    bool first = true;

    if (given(o->term) == NULL)
        return err_set(e, ERR_INVALID, "a search term is needed");
    if (job.limit < 1 || job.limit > SEARCH_MAX)
        return err_set(e, ERR_INVALID, "Limit %d is outside the range of [1, %d]", o->limit,
                       SEARCH_MAX);
    TRY(read_wanted(o->filters, a, &w, e));
    size_t host = ref_host_len(o->term); /* else the words are for the Hub */
    const char *domain = host > 0 ? arena_strndup(a, o->term, host) : "docker.io";

    TRY(registry_ask(g, &job, domain, registry_auth_read(o->auth, a), o->cancel_fd, a, &answer, e));
    buf_addc(out, '[');
    vec_each(r, &answer.results) {
        if ((w.official_given && r->is_official != w.official) || r->star_count < w.stars)
            continue;
        buf_adds(out, first ? "" : ",");
        json_write(&search_result_json, r, out);
        first = false;
    }
    buf_addc(out, ']');
    return 0;
}
