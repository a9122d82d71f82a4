/* Chunked bodies: decoding in pieces of any size gives the same bytes and the same verdict. */
#include <assert.h>

#include "rpc/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    char *body;
    size_t n;
    int end; /* as http_chunks_decode */
    size_t used;
};

static struct result decode(const uint8_t *data, size_t size, size_t step)
{
    struct http_chunks c = {0};
    struct err e = {0};
    struct result r = {.body = malloc(size + 1)};

    assert(r.body != NULL);
    while (r.end == 0 && r.used < size) {
        size_t len = step < size - r.used ? step : size - r.used, used, got;
        char *part = malloc(len);
        assert(part != NULL);
        memcpy(part, data + r.used, len);
        r.end = http_chunks_decode(&c, part, len, &used, &got, &e);
        if (r.end >= 0) {
            assert(used <= len && got <= used && (r.end == 1 || used == len));
            memcpy(r.body + r.n, part, got);
            r.n += got;
            r.used += used;
        }
        free(part);
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct result whole = decode(data + 1, size - 1, size),
                  parts = decode(data + 1, size - 1, 1u + data[0] % 16);
    assert(whole.end == parts.end);
    if (whole.end >= 0)
        assert(whole.n == parts.n && whole.used == parts.used &&
               memcmp(whole.body, parts.body, whole.n) == 0);
    free(whole.body);
    free(parts.body);
    return 0;
}
