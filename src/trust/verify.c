/*
 * Checking signatures: see verify.h. Of many signatures by many keys the one that came furthest
 * says why an image was refused.
 */
#include "trust/verify.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/base64.h"
#include "base/mem.h"
#include "sys/path.h"

#define PAYLOAD_TYPE "cosign container image signature"

enum { RSA_BITS_MIN = 2048, EC_BITS_MIN = 256 };

/* How far a signature came. */
enum progress { NOT_BY_KEY, BAD_PAYLOAD, OTHER_IMAGE, OTHER_NAME };
struct refusal {
    enum progress progress;
    char why[1200];
};

/* ---- payloads ---- */

#define PAYLOAD_IMAGE(T, F) F(T, str, digest, "docker-manifest-digest", 0)
JSON_TYPE(payload_image, PAYLOAD_IMAGE)
JSON_DESC(payload_image, PAYLOAD_IMAGE)
#define PAYLOAD_IDENTITY(T, F) F(T, str, reference, "docker-reference", 0)
JSON_TYPE(payload_identity, PAYLOAD_IDENTITY)
JSON_DESC(payload_identity, PAYLOAD_IDENTITY)
#define PAYLOAD_CRITICAL(T, F)                           \
    F(T, val, identity, "identity", 0, payload_identity) \
    F(T, val, image, "image", 0, payload_image)          \
    F(T, str, type, "type", 0)
JSON_TYPE(payload_critical, PAYLOAD_CRITICAL)
JSON_DESC(payload_critical, PAYLOAD_CRITICAL)
#define PAYLOAD(T, F) F(T, val, critical, "critical", 0, payload_critical)
JSON_TYPE(payload, PAYLOAD)
JSON_DESC(payload, PAYLOAD)

/* ---- keys ---- */

static void free_key(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
#define auto_key CLEANUP(free_key)

static int check_strength(EVP_PKEY *k, const char *name, struct err *e)
{
    int bits = EVP_PKEY_get_bits(k);
    if (EVP_PKEY_is_a(k, "ED25519") || (EVP_PKEY_is_a(k, "EC") && bits >= EC_BITS_MIN) ||
        (EVP_PKEY_is_a(k, "RSA") && bits >= RSA_BITS_MIN))
        return 0;
    return err_set(e, ERR_INTERNAL,
                   "key %s: only ECDSA (P-256 and longer), RSA (2048 bits and longer) and Ed25519 "
                   "are taken, this is %s with %d bits",
                   name, EVP_PKEY_get0_type_name(k), bits);
}

static const char *key_name(const struct trust_key *k)
{
    return k->path != NULL ? k->path : "of the policy (keyData)";
}

static int open_key(const struct trust_key *k, EVP_PKEY **out, struct err *e)
{
    auto_buf struct buf file = BUF_MAX(TRUST_KEY_BYTES_MAX);
    if (k->path != NULL && file_read(AT_FDCWD, k->path, &file, e) < 0) {
        e->kind = ERR_INTERNAL; /* NOT_FOUND is for images */
        return err_wrap(e, "key %s", k->path);
    }
    const char *pem = k->path != NULL ? buf_cstr(&file) : k->pem;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    *out = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    if (*out == NULL)
        return err_set(e, ERR_INTERNAL, "key %s: expected a public key in PEM", key_name(k));
    return check_strength(*out, key_name(k), e);
}

static bool signed_by(EVP_PKEY *k, const struct buf *payload, const struct buf *signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *hash = EVP_PKEY_is_a(k, "ED25519") ? NULL : "SHA256"; /* Ed25519 has its own */
    bool good = ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, hash, NULL, NULL, k, NULL) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature->p, signature->n,
                                 (const unsigned char *)payload->p, payload->n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

/* ---- names ---- */

static bool same_repository(const struct ref *a, const struct ref *b)
{
    return strcmp(a->domain, b->domain) == 0 && strcmp(a->path, b->path) == 0;
}

static bool same_reference(const struct ref *a, const struct ref *b)
{
    return same_repository(a, b) && strcmp(a->tag, b->tag) == 0 &&
           strcmp(a->digest, b->digest) == 0 && (a->tag[0] != '\0' || a->digest[0] != '\0');
}

/* The tag must be that of the image; of name@digest, which the digest has settled, any will do. */
static bool digest_or_exact(const struct ref *image, const struct ref *signed_for)
{
    struct ref plain = *image;
    if (image->tag[0] == '\0')
        return same_repository(image, signed_for);
    plain.digest[0] = '\0';
    return same_reference(&plain, signed_for);
}

/* The image's name with the prefix replaced, where it has that prefix. */
static int remap(const struct trust_requirement *q, const struct ref *image, struct ref *out,
                 struct err *e)
{
    size_t n = strlen(q->prefix);
    auto_free char *name = mem_printf("%s/%s", image->domain, image->path);
    *out = *image;
    if (strncmp(name, q->prefix, n) != 0 || (name[n] != '/' && name[n] != '\0'))
        return 0;
    auto_free char *text = mem_printf("%s%s", q->value, name + n);
    struct ref there;
    TRY(ref_parse_full(text, &there, e));
    memcpy(out->domain, there.domain, sizeof(out->domain));
    memcpy(out->path, there.path, sizeof(out->path));
    return 0;
}

static bool name_matches(const struct trust_requirement *q, const struct ref *image,
                         const char *signed_name)
{
    struct err ignored = {0};
    struct ref have, want;
    bool by_value =
        q->identity == TRUST_ID_EXACT_REFERENCE || q->identity == TRUST_ID_EXACT_REPOSITORY;
    if (signed_name == NULL || ref_parse(signed_name, &have, &ignored) < 0 ||
        (image == NULL && !by_value) || (by_value && ref_parse(q->value, &want, &ignored) < 0))
        return false;
    switch (q->identity) {
    case TRUST_ID_REPO_DIGEST_OR_EXACT:
        return digest_or_exact(image, &have);
    case TRUST_ID_EXACT:
        return same_reference(image, &have);
    case TRUST_ID_REPOSITORY:
        return same_repository(image, &have);
    case TRUST_ID_EXACT_REFERENCE:
        return same_reference(&want, &have);
    case TRUST_ID_EXACT_REPOSITORY:
        return same_repository(&want, &have);
    case TRUST_ID_REMAP:
        return remap(q, image, &want, &ignored) == 0 && digest_or_exact(&want, &have);
    }
    return false;
}

/* ---- one signature, one requirement ---- */

static void refuse(struct refusal *r, enum progress progress, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void refuse(struct refusal *r, enum progress progress, const char *fmt, ...)
{
    va_list ap;
    if (r->why[0] != '\0' && progress < r->progress)
        return;
    r->progress = progress;
    va_start(ap, fmt);
    (void)vsnprintf(r->why, sizeof(r->why), fmt, ap);
    va_end(ap);
}

/* What a signer that we trust has said. */
static bool payload_accepts(const struct trust_requirement *q, const struct trust_subject *s,
                            const struct buf *text, const char *key, struct refusal *r)
{
    auto_arena struct arena *a = arena_new();
    struct err e = {0};
    struct payload p;
    if (json_parse(&payload_json, &p, buf_cstr(text), text->n, a, &e) < 0) {
        refuse(r, BAD_PAYLOAD, "the signature by %s is for something unreadable: %.200s", key,
               e.msg);
        return false;
    }
    const char *digest = p.critical.image.digest, *type = p.critical.type,
               *name = p.critical.identity.reference;
    if (type == NULL || strcmp(type, PAYLOAD_TYPE) != 0) {
        refuse(r, BAD_PAYLOAD, "the signature by %s is for \"%.100s\", not for an image", key,
               type != NULL ? type : "");
        return false;
    }
    if (!digest_is_sha256(digest) || (strcmp(digest, s->digest) != 0 &&
                                      (s->manifest == NULL || strcmp(digest, s->manifest) != 0))) {
        refuse(r, OTHER_IMAGE, "the signature by %s is for another digest (%.100s)", key,
               digest != NULL ? digest : "none");
        return false;
    }
    if (!name_matches(q, s->name, name)) {
        refuse(r, OTHER_NAME,
               "the signature by %s is for the name \"%.300s\", which %s does not accept%s", key,
               name != NULL ? name : "", q->identity_type,
               q->identity == TRUST_ID_REPO_DIGEST_OR_EXACT
                   ? " (cosign signs for a repository: see matchRepository)"
                   : "");
        return false;
    }
    return true;
}

static bool signature_accepts(const struct trust_requirement *q, const struct trust_subject *s,
                              const struct image_signature *sig, EVP_PKEY *k, const char *key,
                              struct refusal *r)
{
    auto_buf struct buf payload = BUF_MAX(SIGNATURE_PAYLOAD_MAX);
    auto_buf struct buf bytes = BUF_MAX(SIGNATURE_BYTES_MAX);
    if (sig->payload == NULL || sig->signature == NULL || !base64_decode(sig->payload, &payload) ||
        !base64_decode(sig->signature, &bytes) || payload.n == 0 || bytes.n == 0 ||
        !signed_by(k, &payload, &bytes)) {
        refuse(r, NOT_BY_KEY, "none of its %zu signatures was made by the key %s", s->n_sigs, key);
        return false;
    }
    return payload_accepts(q, s, &payload, key, r);
}

/* Any signature by any of the keys will do. */
static int check_signed(const struct trust_requirement *q, const struct trust_subject *s,
                        bool *used, struct refusal *r, struct err *e)
{
    bool good = false;
    if (s->n_sigs == 0)
        refuse(r, NOT_BY_KEY, "%s", s->none);
    for (size_t i = 0; i < q->keys.n && s->n_sigs > 0; i++) {
        auto_key EVP_PKEY *k = NULL;
        const char *name = key_name(&q->keys.v[i]);
        TRY(open_key(&q->keys.v[i], &k, e));
        for (size_t j = 0; j < s->n_sigs; j++) {
            if (!signature_accepts(q, s, &s->sigs[j], k, name, r))
                continue;
            good = true;
            if (used != NULL)
                used[j] = true;
        }
    }
    return good;
}

static int check_requirement(const struct trust_requirement *q, const struct trust_subject *s,
                             bool *used, struct refusal *r, struct err *e)
{
    switch (q->kind) {
    case TRUST_ACCEPT:
        return 1;
    case TRUST_REJECT:
        refuse(r, NOT_BY_KEY, "no image is accepted there");
        return 0;
    case TRUST_NOT_DONE:
        refuse(r, NOT_BY_KEY, "%s is not supported",
               q->not_done != NULL ? q->not_done : "this kind of signature");
        return 0;
    case TRUST_SIGNED:
        return check_signed(q, s, used, r, e);
    }
    return 0;
}

bool trust_wants_signatures(const struct trust_entry *t)
{
    bool wants = false;
    vec_each(q, &t->requirements) {
        if (q->kind == TRUST_REJECT || q->kind == TRUST_NOT_DONE)
            return false; /* no signature would help */
        wants = wants || q->kind == TRUST_SIGNED;
    }
    return wants;
}

int trust_check(const struct trust_policy *p, const struct trust_entry *t,
                const struct trust_subject *s, bool *used, struct err *e)
{
    char name[REF_TEXT_MAX] = "the image";
    if (s->name != NULL)
        ref_familiar(s->name, name);
    vec_each(q, &t->requirements) {
        struct refusal r = {.progress = NOT_BY_KEY};
        int good = check_requirement(q, s, used, &r, e);
        if (good < 0)
            return err_wrap(e, "signature policy %s, %s", p->path, t->label);
        if (good == 0)
            return err_set(e, ERR_FORBIDDEN,
                           "%s%s%s%s is refused by the signature policy %s, %s, %s: %s", name,
                           s->digest[0] != '\0' ? " (" : "", s->digest,
                           s->digest[0] != '\0' ? ")" : "", p->path, t->label, q->type, r.why);
    }
    return 0;
}
