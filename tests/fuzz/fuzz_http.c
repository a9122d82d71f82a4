/* Heads: the first byte chooses request or response; whatever is parsed must lie inside the input.
 */
#include <assert.h>

#include "rpc/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_slice(struct str s, const char *p, size_t n)
{
    assert(s.n == 0 || (s.p >= p && s.p + s.n <= p + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    static struct http_head h;
    size_t seen = 0;

    if (size < 1)
        return 0;
    /* a copy of the exact size, so that reading behind it is seen */
    size_t n = size - 1;
    char *p = malloc(n + 1);
    assert(p != NULL);
    memcpy(p, data + 1, n);
    p[n] = '\0';
    ssize_t len = http_head_find(p, n, &seen, &e);
    assert(len <= (ssize_t)n && (len >= 0 || e.kind != ERR_NONE));
    if (len > 0) {
        int r = data[0] % 2 == 0 ? http_head_parse_request(p, (size_t)len, &h, &e)
                                 : http_head_parse_response(p, (size_t)len, "GET", &h, &e);
        assert(r == 0 || e.kind != ERR_NONE);
        for (size_t i = 0; r == 0 && i < h.n_headers; i++) {
            check_slice(h.headers[i].name, p, (size_t)len);
            check_slice(h.headers[i].value, p, (size_t)len);
        }
        if (r == 0 && data[0] % 2 == 0) {
            struct arena *a = arena_new();
            struct http_params ps = {0};
            const char *path;
            (void)http_path_decode(h.target, a, &path, &e); /* only crashes count */
            (void)http_params_parse(h.target, a, &ps, &e);
            arena_free(a);
        }
    }
    free(p);
    return 0;
}
