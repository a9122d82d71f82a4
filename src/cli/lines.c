/* Streams of lines: see lines.h. */
#include "cli/lines.h"

int lines_next(struct lines *l, const char **out, size_t *out_n, struct err *e)
{
    buf_consume(&l->pending, l->seen);
    l->seen = 0;
    for (;;) {
        char *nl = l->pending.n > 0 ? memchr(l->pending.p, '\n', l->pending.n) : NULL;
        if (nl != NULL) {
            *out = l->pending.p;
            *out_n = (size_t)(nl - l->pending.p);
            l->seen = *out_n + 1;
            return 1;
        }
        char bytes[16384];
        ssize_t n = http_resp_read(l->resp, bytes, sizeof(bytes), e);
        if (n < 0)
            return -1;
        if (n == 0 && l->pending.n == 0)
            return 0;
        if (n == 0)
            n = (bytes[0] = '\n', 1); /* the last document had no line end */
        if (buf_add(&l->pending, bytes, (size_t)n) < 0)
            return err_set(e, ERR_TOO_LARGE, "the daemon sent a document of more than %zu bytes",
                           l->pending.max);
    }
}

void lines_done(struct lines *l)
{
    buf_done(&l->pending);
}
