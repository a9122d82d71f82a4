/* Percent-encoding: query and form parameters, paths. RFC 3986 section 2.1 and Go's net/url. */
#include "base/vec.h"
#include "rpc/http.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* plus_is_space: as in queries and forms. */
static int decode(struct str t, bool plus_is_space, struct arena *a, const char **out,
                  struct err *e)
{
    char *text = arena_alloc(a, t.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '%') {
            int hi = t.n - i > 2 ? hex_value(t.p[i + 1]) : -1;
            int lo = t.n - i > 2 ? hex_value(t.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return err_set(e, ERR_INVALID, "invalid URL escape \"%.*s\"", (int)MIN(t.n - i, 3),
                               t.p + i);
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return err_set(e, ERR_INVALID, "NUL in the request");
        text[n++] = c;
    }
    *out = text;
    return 0;
}

int http_params_parse(struct str text, struct arena *a, struct http_params *out, struct err *e)
{
    while (text.n > 0) {
        struct str val = str_cut(&text, '&'), key = str_cut(&val, '=');
        if (key.n == 0 && val.n == 0)
            continue;
        if (out->n == HTTP_PARAMS_MAX)
            return err_set(e, ERR_INVALID, "more than %d parameters", HTTP_PARAMS_MAX);
        struct http_param p;
        TRY(decode(key, true, a, &p.key, e));
        TRY(decode(val, true, a, &p.val, e));
        vec_push_in(a, out, p);
    }
    return 0;
}

const char *http_params_get(const struct http_params *ps, const char *key)
{
    for (size_t i = 0; i < ps->n; i++)
        if (strcmp(ps->v[i].key, key) == 0)
            return ps->v[i].val;
    return NULL;
}

int http_path_decode(struct str text, struct arena *a, const char **out, struct err *e)
{
    return decode(text, false, a, out, e);
}

static void encode(struct buf *out, const char *s, const char *keep)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (plain || strchr(keep, c) != NULL)
            buf_addc(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void http_encode_query(struct buf *out, const char *s)
{
    encode(out, s, "-_.~");
}

void http_encode_path(struct buf *out, const char *s)
{
    encode(out, s, "-_.~/:@");
}
