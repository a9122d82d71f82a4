/* The signature policy: which entry an image falls under, and which signatures satisfy it. */
#include "test.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/mem.h"
#include "trust/verify.h"

#define DIGEST "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define MANIFEST "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define OTHER "sha256:3333333333333333333333333333333333333333333333333333333333333333"

/* ---- reading ---- */

static void test_refused_files(void **state UNUSED)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "at byte 0"},
        {"[]", "expected an object"},
        {"{}", "the default requirements are missing"},
        {"{\"default\":[]}", "default: expected a list of requirements, at least one"},
        {"{\"default\":[{}]}", "a requirement must be an object with a type"},
        {"{\"default\":[{\"type\":\"hope\"}]}", "unknown type of requirement \"hope\""},
        {"{\"default\":[{\"type\":\"reject\",\"x\":1}]}", "unknown key x in reject"},
        {"{\"default\":[{\"type\":\"reject\"}],\"extra\":{}}", "unknown key extra"},
        {"{\"default\":[{\"type\":\"reject\"}],\"transports\":[]}", "transports: expected"},
        {"{\"default\":[{\"type\":\"reject\"}]} x", "at byte"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\"}]}", "exactly one of keyPath"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"k\"}]}", "must be absolute"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"\"}]}", "not empty"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\\u0000\"}]}", "not empty"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPaths\":[]}]}", "a list of keys"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"!\"}]}", "in base64"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"keyData\":\"aaaa\"}]}",
         "exactly one of keyPath"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"trust\":1}]}",
         "unknown key trust"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{}}]}",
         "with a type"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{"
         "\"type\":\"any\"}}]}",
         "unknown type of signedIdentity"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{"
         "\"type\":\"exactReference\",\"dockerReference\":\"a/b\"}}]}",
         "needs a tag or a digest"},
        {"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\",\"signedIdentity\":{"
         "\"type\":\"remapIdentity\",\"prefix\":\"a\"}}]}",
         "not complete"},
        {"{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"dir\":{\"\":[{\"type\":\"x\"}]}}}",
         "dir \"\": unknown type of requirement"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_arena struct arena *a = arena_new();
        struct trust_policy p;
        struct err e = {0};
        assert_err(trust_policy_parse(cases[i].text, strlen(cases[i].text), a, &p, &e), ERR_INVALID,
                   cases[i].why);
    }
}

static void test_most_specific(void **state UNUSED)
{
    static const char text[] =
        "{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker-daemon\":{\"\":[{\"type\":"
        "\"insecureAcceptAnything\"}]},\"docker\":{"
        "\"docker.io/library/busybox\":[{\"type\":\"reject\"}],"
        "\"docker.io/library\":[{\"type\":\"reject\"}],"
        "\"host:5000/team/app:1\":[{\"type\":\"reject\"}],"
        "\"host:5000/team/app@" DIGEST "\":[{\"type\":\"reject\"}],"
        "\"host:5000/team\":[{\"type\":\"reject\"}],"
        "\"*.example.com\":[{\"type\":\"reject\"}],"
        "\"*.b.example.com\":[{\"type\":\"reject\"}],"
        "\"c.b.example.com\":[{\"type\":\"signedBy\",\"whatever\":1}]}}}";
    static const struct {
        const char *name, *label;
    } cases[] = {
        {"busybox:1", "docker \"docker.io/library/busybox\""},
        {"alpine", "docker \"docker.io/library\""},
        {"other/alpine", "default"},
        {"host:5000/team/app:1", "docker \"host:5000/team/app:1\""},
        {"host:5000/team/app:2", "docker \"host:5000/team\""},
        {"host:5000/team/app:1@" DIGEST, "docker \"host:5000/team/app@" DIGEST "\""},
        {"host:5000/team/app:1@" OTHER, "docker \"host:5000/team/app:1\""},
        {"host:5000/teams/app:1", "default"},
        {"host:5000/team:1", "docker \"host:5000/team\""},
        {"a.example.com/x:1", "docker \"*.example.com\""},
        {"a.example.com:443/x:1", "docker \"*.example.com\""},
        {"example.com/x:1", "default"},
        {"a.b.example.com/x:1", "docker \"*.b.example.com\""},
        {"c.b.example.com/x:1", "docker \"c.b.example.com\""},
        {"c.b.example.com:1/x:1", "docker \"*.b.example.com\""},
    };
    auto_arena struct arena *a = arena_new();
    struct trust_policy p;
    struct err e = {0};
    assert_ok(trust_policy_parse(text, sizeof(text) - 1, a, &p, &e));
    assert_string_equal(trust_policy_find(&p, NULL)->label, "default");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ref name;
        assert_ok(ref_parse(cases[i].name, &name, &e));
        assert_string_equal(trust_policy_find(&p, &name)->label, cases[i].label);
    }
}

/* ---- signatures ---- */

struct world {
    struct arena *a;
    EVP_PKEY *p256, *rsa, *ed25519, *p384, *weak;
};

static int setup(void **state)
{
    struct world *w = mem_alloc(sizeof(*w));
    w->a = arena_new();
    w->p256 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    w->p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    w->rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    w->weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    w->ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    EVP_PKEY *const keys[] = {w->p256, w->p384, w->rsa, w->weak, w->ed25519};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        EVP_PKEY_free(keys[i]);
    arena_free(w->a);
    free(w);
    return 0;
}

static char *base64(struct world *w, const void *p, size_t n)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    base64_encode(p, n, &b);
    return arena_strdup(w->a, buf_cstr(&b));
}

static char *key_data(struct world *w, EVP_PKEY *k)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, k), 1);
    long n = BIO_get_mem_data(bio, &p);
    char *out = base64(w, p, (size_t)n);
    BIO_free(bio);
    return out;
}

static struct image_signature sign(struct world *w, EVP_PKEY *k, const char *payload)
{
    unsigned char bytes[1024];
    size_t n = sizeof(bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *hash = EVP_PKEY_is_a(k, "ED25519") ? NULL : "SHA256";
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, hash, NULL, NULL, k, NULL), 1);
    assert_int_equal(
        EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)payload, strlen(payload)), 1);
    EVP_MD_CTX_free(ctx);
    return (struct image_signature){base64(w, payload, strlen(payload)), base64(w, bytes, n)};
}

static char *payload_of(struct world *w, const char *name, const char *digest)
{
    return arena_printf(w->a,
                        "{\"critical\":{\"identity\":{\"docker-reference\":\"%s\"},\"image\":{"
                        "\"docker-manifest-digest\":\"%s\"},\"type\":\"cosign container image "
                        "signature\"},\"optional\":null}",
                        name, digest);
}

/* One requirement, one image, its signatures. */
struct trial {
    EVP_PKEY *key;
    const char *identity; /* JSON; NULL: the default */
    const char *image;    /* NULL: x.example/app:1 */
    const struct image_signature *sigs;
    size_t n;
    bool *used;
};

static int try(struct world *w, const struct trial *t, struct err *e)
{
    struct trust_policy p;
    struct ref name;
    const char *text =
        arena_printf(w->a, "{\"default\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"%s\"%s%s}]}",
                     key_data(w, t->key), t->identity != NULL ? ",\"signedIdentity\":" : "",
                     t->identity != NULL ? t->identity : "");
    TRY(trust_policy_parse(text, strlen(text), w->a, &p, e));
    p.path = "/policy.json";
    TRY(ref_parse(t->image != NULL ? t->image : "x.example/app:1", &name, e));
    const struct trust_entry *entry = trust_policy_find(&p, &name);
    assert_true(trust_wants_signatures(entry));
    const struct trust_subject s = {.name = &name,
                                    .digest = DIGEST,
                                    .manifest = MANIFEST,
                                    .sigs = t->sigs,
                                    .n_sigs = t->n,
                                    .none = "it has no signature"};
    return trust_check(&p, entry, &s, t->used, e);
}

static void test_kinds_of_keys(void **state)
{
    struct world *w = *state;
    EVP_PKEY *const keys[] = {w->p256, w->p384, w->rsa, w->ed25519};
    const char *payload = payload_of(w, "x.example/app:1", DIGEST);
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct image_signature s = sign(w, keys[i], payload);
        const struct trial own = {.key = keys[i], .sigs = &s, .n = 1};
        assert_ok(try(w, &own, &e));
        const struct trial other = {.key = keys[(i + 1) % ARRAY_LEN(keys)], .sigs = &s, .n = 1};
        assert_err(try(w, &other, &e), ERR_FORBIDDEN,
                   "x.example/app:1 (" DIGEST ") is refused by the signature policy /policy.json, "
                   "default, sigstoreSigned: none of its 1 signatures was made by the key");
    }
    struct image_signature s = sign(w, w->weak, payload);
    const struct trial weak = {.key = w->weak, .sigs = &s, .n = 1};
    assert_err(try(w, &weak, &e), ERR_INTERNAL, "this is RSA with 1024 bits");
}

static void test_payloads(void **state)
{
    struct world *w = *state;
    static const char not_an_image[] =
        "{\"critical\":{\"identity\":{\"docker-reference\":\"x.example/app:1\"},\"image\":{"
        "\"docker-manifest-digest\":\"" DIGEST "\"},\"type\":\"atomic container signature\"}}";
    const struct {
        const char *payload, *why; /* why NULL: accepted */
    } cases[] = {
        {payload_of(w, "x.example/app:1", DIGEST), NULL},
        {payload_of(w, "x.example/app:1", MANIFEST), NULL},
        {payload_of(w, "x.example/app:1", OTHER), "is for another digest (" OTHER ")"},
        {payload_of(w, "x.example/app:1", ""), "is for another digest ()"},
        {payload_of(w, "x.example/app:2", DIGEST), "is for the name \"x.example/app:2\""},
        {payload_of(w, "x.example/app", DIGEST), "see matchRepository"},
        {payload_of(w, "../app", DIGEST), "is for the name \"../app\""},
        {not_an_image, "is for \"atomic container signature\", not for an image"},
        {"garbage", "is for something unreadable"},
        {"{\"critical\":7}", "is for something unreadable"},
        {"{}", "is for \"\", not for an image"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image_signature s = sign(w, w->p256, cases[i].payload);
        const struct trial t = {.key = w->p256, .sigs = &s, .n = 1};
        struct err e = {0};
        if (cases[i].why == NULL)
            assert_ok(try(w, &t, &e));
        else
            assert_err(try(w, &t, &e), ERR_FORBIDDEN, cases[i].why);
    }
}

static void test_identities(void **state)
{
    struct world *w = *state;
#define REPO "{\"type\":\"matchRepository\"}"
#define EXACT "{\"type\":\"matchExact\"}"
#define REFERENCE "{\"type\":\"exactReference\",\"dockerReference\":\"y.example/z:9\"}"
#define REPOSITORY "{\"type\":\"exactRepository\",\"dockerRepository\":\"y.example/z\"}"
#define REMAP                                                      \
    "{\"type\":\"remapIdentity\",\"prefix\":\"x.example/mirror\"," \
    "\"signedPrefix\":\"vendor.example\"}"
    static const struct {
        const char *identity, *image, *signed_for;
        bool good;
    } cases[] = {
        {NULL, "x.example/app@" DIGEST, "x.example/app", true},
        {NULL, "x.example/app@" DIGEST, "x.example/app:7", true},
        {NULL, "x.example/app@" DIGEST, "x.example/other", false},
        {NULL, "x.example/app:1@" DIGEST, "x.example/app:1", true},
        {NULL, "busybox:1", "docker.io/library/busybox:1", true},
        {EXACT, "x.example/app:1", "x.example/app:1", true},
        {EXACT, "x.example/app@" DIGEST, "x.example/app:1", false},
        {EXACT, "x.example/app@" DIGEST, "x.example/app@" DIGEST, true},
        {REPO, "x.example/app:1", "x.example/app", true},
        {REPO, "x.example/app:1", "x.example/app:other", true},
        {REPO, "x.example/app:1", "x.example/app2", false},
        {REFERENCE, "x.example/app:1", "y.example/z:9", true},
        {REFERENCE, "x.example/app:1", "y.example/z:8", false},
        {REPOSITORY, "x.example/app:1", "y.example/z:8", true},
        {REPOSITORY, "x.example/app:1", "x.example/app:1", false},
        {REMAP, "x.example/mirror/a:1", "vendor.example/a:1", true},
        {REMAP, "x.example/mirror/a:1", "x.example/mirror/a:1", false},
        {REMAP, "x.example/mirrors/a:1", "x.example/mirrors/a:1", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image_signature s = sign(w, w->p256, payload_of(w, cases[i].signed_for, DIGEST));
        const struct trial t = {.key = w->p256,
                                .identity = cases[i].identity,
                                .image = cases[i].image,
                                .sigs = &s,
                                .n = 1};
        struct err e = {0};
        if ((try(w, &t, &e) == 0) != cases[i].good)
            fail_msg("%s for %s: %s", cases[i].signed_for, cases[i].image, e.msg);
    }
}

static void test_several_signatures(void **state)
{
    struct world *w = *state;
    const char *good = payload_of(w, "x.example/app:1", DIGEST);
    const struct image_signature sigs[] = {
        {"", ""},
        {NULL, NULL},
        {"not base64!", "*"},
        sign(w, w->rsa, good),
        sign(w, w->p256, payload_of(w, "x.example/app:1", OTHER)),
        {sign(w, w->p256, "other").payload, sign(w, w->p256, good).signature},
        sign(w, w->p256, good),
    };
    bool used[ARRAY_LEN(sigs)] = {false};
    struct trial t = {.key = w->p256, .sigs = sigs, .n = ARRAY_LEN(sigs), .used = used};
    struct err e = {0};
    assert_ok(try(w, &t, &e));
    for (size_t i = 0; i < ARRAY_LEN(sigs); i++)
        assert_int_equal(used[i], i + 1 == ARRAY_LEN(sigs));
    t.n--; /* the one that came furthest is told */
    assert_err(try(w, &t, &e), ERR_FORBIDDEN, "is for another digest");
    t.n = 0;
    assert_err(try(w, &t, &e), ERR_FORBIDDEN, "it has no signature");
}

/* Every requirement of an entry must hold; a key's file is read when it is needed. */
static void test_requirements(void **state)
{
    struct world *w = *state;
    struct image_signature s[] = {sign(w, w->p256, payload_of(w, "x.example/app:1", DIGEST)),
                                  sign(w, w->rsa, payload_of(w, "x.example/app:1", DIGEST))};
    const char *text = arena_printf(
        w->a,
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}],\"transports\":{\"docker\":{"
        "\"x.example\":[{\"type\":\"sigstoreSigned\",\"keyDatas\":[\"%s\",\"%s\"]},"
        "{\"type\":\"sigstoreSigned\",\"keyData\":\"%s\"}],"
        "\"gone.example\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/nonexistent/k\"}],"
        "\"gpg.example\":[{\"type\":\"signedBy\",\"keyPath\":\"/k\"}],"
        "\"fulcio.example\":[{\"type\":\"sigstoreSigned\",\"fulcio\":{}}],"
        "\"no.example\":[{\"type\":\"reject\"}]}}}",
        key_data(w, w->p384), key_data(w, w->p256), key_data(w, w->rsa));
    const struct {
        const char *name;
        size_t n;
        enum err_kind kind;
        const char *why; /* NULL: accepted */
    } cases[] = {
        {"free.example/app:1", 0, ERR_NONE, NULL},
        {"x.example/app:1", 2, ERR_NONE, NULL},
        {"x.example/app:1", 1, ERR_FORBIDDEN, "none of its 1 signatures was made by the key"},
        {"gone.example/app:1", 1, ERR_INTERNAL, "key /nonexistent/k"},
        {"gpg.example/app:1", 1, ERR_FORBIDDEN,
         "signedBy: this kind of signature is not supported"},
        {"fulcio.example/app:1", 1, ERR_FORBIDDEN, "sigstoreSigned: fulcio is not supported"},
        {"no.example/app:1", 1, ERR_FORBIDDEN,
         "docker \"no.example\", reject: no image is accepted"},
    };
    struct trust_policy p;
    struct err e = {0};
    assert_ok(trust_policy_parse(text, strlen(text), w->a, &p, &e));
    p.path = "/policy.json";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ref name;
        assert_ok(ref_parse(cases[i].name, &name, &e));
        const struct trust_subject subject = {
            .name = &name, .digest = DIGEST, .sigs = s, .n_sigs = cases[i].n, .none = "none"};
        const struct trust_entry *entry = trust_policy_find(&p, &name);
        if (cases[i].why == NULL)
            assert_ok(trust_check(&p, entry, &subject, NULL, &e));
        else
            assert_err(trust_check(&p, entry, &subject, NULL, &e), cases[i].kind, cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_most_specific),
        cmocka_unit_test_setup_teardown(test_kinds_of_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_payloads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identities, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_signatures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requirements, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
