/* The signature policy at pull and run: see image_trust.h. The file is read each time, so that what
 * an administrator writes holds from the next pull or run on. */
#include "engine/image_trust.h"

#include "base/log.h"
#include "client/transfer.h"
#include "engine/core.h"
#include "engine/image_store.h"
#include "engine/registry.h"
#include "trust/verify.h"
#include "types/reference.h"

enum { DOC_MAX = 8 << 20, KEPT_MAX = SIGNATURES_MAX };

int image_trust_start(struct engine *g, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct trust_policy p;

    if (g->o.signature_policy == NULL)
        return 0;
    if (g->o.signature_policy[0] != '/')
        return err_set(e, ERR_INVALID, "signature-policy: expected an absolute path");
    return trust_policy_read(g->o.signature_policy, a, &p, e);
}

/* ---- pull ---- */

static int ask_signatures(struct engine *g, const struct trust_question *q, struct arena *a,
                          struct registry_answer *out, struct err *e)
{
    char full[REF_TEXT_MAX];
    struct registry_job job = {.op = "signatures", .reference = full, .platform = q->platform};

    ref_format(q->ref, full);
    TRY(registry_ask(g, &job, q->ref->domain, q->auth, q->cancel_fd, a, out, e));
    if (out->descriptor == NULL || !digest_is_sha256(out->descriptor->digest))
        return err_set(e, ERR_INTERNAL, "hull-registry answered without a digest");
    return 0;
}

int image_trust_pull(struct engine *g, const struct trust_question *q, struct arena *a,
                     struct trust_grant *out, struct err *e)
{
    struct registry_answer answer = {0};
    const struct trust_entry *entry;
    struct trust_policy p;

    *out = (struct trust_grant){0};
    if (g->o.signature_policy == NULL)
        return 0;
    TRY(trust_policy_read(g->o.signature_policy, a, &p, e));
    entry = trust_policy_find(&p, q->ref);
    struct trust_subject s = {
        .name = q->ref, .digest = q->ref->digest, .none = "it has no signature in the registry"};
    if (!trust_wants_signatures(entry))
        return trust_check(&p, entry, &s, NULL, e);
    TRY(ask_signatures(g, q, a, &answer, e));
    s.digest = answer.descriptor->digest;
    s.manifest = answer.manifest;
    s.sigs = answer.signatures.v;
    s.n_sigs = answer.signatures.n;
    bool *used = arena_alloc_array(a, s.n_sigs + 1, sizeof(*used));

    TRY(trust_check(&p, entry, &s, used, e));
    out->digest = s.digest;
    for (size_t i = 0; i < s.n_sigs; i++)
        if (used[i])
            vec_push_in(a, &out->verified.signatures, s.sigs[i]);
    return 0;
}

/* ---- what is kept ---- */

static int kept(struct engine *g, const char *digest, struct arena *a, struct image_signatures *out,
                struct err *e)
{
    struct state_row row;
    int there = state_get(g->state, STATE_SIGNATURES, digest, a, &row, e);

    *out = (struct image_signatures){0};
    TRY(there);
    if (there == 0)
        return 0;
    return json_parse(&image_signatures_json, out, row.doc, strlen(row.doc), a, e) < 0
               ? err_wrap(e, "signatures of %s", digest)
               : 0;
}

static bool has(const struct image_signatures *s, const struct image_signature *one)
{
    vec_each(x, &s->signatures)
        if (strcmp(x->payload, one->payload) == 0 && strcmp(x->signature, one->signature) == 0)
            return true;
    return false;
}

int image_trust_keep(struct engine *g, const struct trust_grant *grant, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf doc = BUF_MAX(DOC_MAX);
    struct image_signatures all = {0}, before;

    if (grant->digest == NULL)
        return 0;
    TRY(kept(g, grant->digest, a, &before, e));
    vec_each(s, &grant->verified.signatures)
        vec_push_in(a, &all.signatures, *s);
    vec_each(s, &before.signatures) /* of other names, say; the oldest go first */
        if (!has(&all, s) && all.signatures.n < KEPT_MAX)
            vec_push_in(a, &all.signatures, *s);
    json_write(&image_signatures_json, &all, &doc);
    const struct state_row row = {.id = grant->digest, .doc = buf_cstr(&doc)};

    return state_put(g->state, STATE_SIGNATURES, &row, true, e);
}

void image_trust_forget(struct engine *g, const char *digest)
{
    struct err e = {0};

    if (state_del(g->state, STATE_SIGNATURES, digest, false, &e) < 0)
        log_warn("cannot forget signatures", "image", digest, "error", e.msg, NULL);
}

/* The rows before the images: a pull makes its image first. */
void image_trust_sweep(struct engine *g)
{
    auto_arena struct arena *a = arena_new();
    struct ctd_image *v;
    struct state_row *rows;
    struct err ignored = {0}; /* the next sweep will do */
    size_t n_rows, n;

    if (state_list(g->state, STATE_SIGNATURES, a, &rows, &n_rows, &ignored) < 0 || n_rows == 0 ||
        ctd_image_list(g->ctd, NULL, a, &v, &n, &ignored) < 0)
        return;
    for (size_t i = 0; i < n_rows; i++) {
        bool there = false;

        for (size_t j = 0; j < n && !there; j++)
            there = strcmp(v[j].digest, rows[i].id) == 0;
        if (!there)
            image_trust_forget(g, rows[i].id);
    }
}

/* ---- run ---- */

static int check_name(const struct trust_policy *p, const struct ref *name, const struct image *i,
                      const struct image_signatures *sigs, struct err *e)
{
    const struct trust_subject s = {.name = name,
                                    .digest = i->id,
                                    .manifest = i->manifest.digest,
                                    .sigs = sigs->signatures.v,
                                    .n_sigs = sigs->signatures.n,
                                    .none =
                                        "no signature of it was verified by a pull of this engine"};

    return trust_check(p, trust_policy_find(p, name), &s, NULL, e);
}

/* An id means any name of the image; one without a name is for the default to judge. */
static int check_id(struct engine *g, const struct trust_policy *p, const struct image *i,
                    const struct image_signatures *sigs, struct arena *a, struct err *e)
{
    struct ctd_image *v;
    bool named = false;
    size_t n;

    TRY(ctd_image_list(g->ctd, arena_printf(a, "target.digest==%s", i->id), a, &v, &n, e));
    for (size_t k = 0; k < n; k++) {
        struct err ignored = {0};
        struct ref name;

        if (image_name_is_dangling(v[k].name) || ref_parse_full(v[k].name, &name, &ignored) < 0)
            continue;
        named = true;
        err_clear(e);
        if (check_name(p, &name, i, sigs, e) == 0)
            return 0;
    }
    return named ? -1 : check_name(p, NULL, i, sigs, e);
}

int image_trust_run(struct engine *g, const char *typed, bool by_id, const struct image *i,
                    struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct image_signatures sigs;
    struct trust_policy p;
    struct ref name;

    if (g->o.signature_policy == NULL)
        return 0;
    TRY(trust_policy_read(g->o.signature_policy, a, &p, e));
    TRY(kept(g, i->id, a, &sigs, e));
    if (by_id)
        return check_id(g, &p, i, &sigs, a, e);
    TRY(ref_parse(typed, &name, e));
    ref_default_tag(&name);
    return check_name(&p, &name, i, &sigs, e);
}
