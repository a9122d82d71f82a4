/* Log URIs: one that is read and written again is read as the same. */
#include <assert.h>

#include "stdio/log_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct arena *a = arena_new();
    struct buf one = BUF_MAX(4 * LOG_URI_MAX), two = BUF_MAX(4 * LOG_URI_MAX);
    struct log_uri u, v;
    const char *text = arena_strndup(a, (const char *)data, size);
    int r = log_uri_parse(text, a, &u, &e);
    assert(r >= 0 || e.kind == ERR_INVALID);
    if (r == 1) {
        log_uri_write(&u, &one);
        assert(!one.over);
        if (one.n <= LOG_URI_MAX) {
            assert(log_uri_parse(one.p, a, &v, &e) == 1);
            log_uri_write(&v, &two);
            assert(strcmp(one.p, two.p) == 0);
        }
    }
    buf_done(&one);
    buf_done(&two);
    arena_free(a);
    return 0;
}
