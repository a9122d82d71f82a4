/*
 * SHA-256 over libcrypto. The algorithm is fetched once: an implicit fetch takes a lock and a
 * look-up each time.
 */
#include "types/digest.h"

#include <pthread.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "base/str.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *algorithm; /* set once, never freed: it lives as long as the program */

static void fetch_algorithm(void)
{
    algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (algorithm == NULL)
        abort(); /* a libcrypto without SHA-256 cannot be worked with */
}

struct sha256 *sha256_new(void)
{
    pthread_once(&fetch_once, fetch_algorithm);
    struct sha256 *s = mem_alloc(sizeof(*s));
    s->ctx = EVP_MD_CTX_new();
    if (s->ctx == NULL)
        abort();
    sha256_reset(s);
    return s;
}

void sha256_free(struct sha256 *s)
{
    if (s == NULL)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha256_reset(struct sha256 *s)
{
    if (EVP_DigestInit_ex2(s->ctx, algorithm, NULL) != 1)
        abort();
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
    if (EVP_DigestUpdate(s->ctx, p, n) != 1)
        abort();
}

void sha256_peek(const struct sha256 *s, char out[static DIGEST_MAX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy == NULL || EVP_MD_CTX_copy_ex(copy, s->ctx) != 1 ||
        EVP_DigestFinal_ex(copy, sum, &n) != 1)
        abort();
    EVP_MD_CTX_free(copy);
    memcpy(out, "sha256:", 7);
    str_hex(sum, 32, out + 7);
}

void digest_of(const void *p, size_t n, char out[static DIGEST_MAX])
{
    auto_sha256 struct sha256 *s = sha256_new();
    sha256_add(s, p, n);
    sha256_peek(s, out);
}

char *digest_chain(const struct strv *diff_ids, size_t n, struct arena *a)
{
    char *chain = arena_strdup(a, diff_ids->v[0]);
    for (size_t i = 1; i < n; i++) {
        const char *both = arena_printf(a, "%s %s", chain, diff_ids->v[i]);
        chain = arena_alloc(a, DIGEST_MAX);
        digest_of(both, strlen(both), chain);
    }
    return chain;
}
