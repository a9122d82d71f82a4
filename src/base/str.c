/* Views of strings: see str.h. */
#include "base/str.h"

#include <strings.h>

#include "base/mem.h"

struct str str_of(const char *s)
{
    return s == NULL ? (struct str){"", 0} : (struct str){s, strlen(s)};
}

ptrdiff_t str_index(struct str s, char c)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return at == NULL ? -1 : at - s.p;
}

struct str str_cut(struct str *s, char sep)
{
    struct str head = *s;
    ptrdiff_t at = str_index(*s, sep);
    if (at < 0) {
        s->p += s->n;
        s->n = 0;
        return head;
    }
    head.n = (size_t)at;
    s->p += at + 1;
    s->n -= (size_t)at + 1;
    return head;
}

struct str str_cut_last(struct str *s, char sep)
{
    const char *at = s->n > 0 ? memrchr(s->p, sep, s->n) : NULL;
    struct str tail = *s;
    if (at == NULL) {
        s->n = 0;
        return tail;
    }
    tail.p = at + 1;
    tail.n = s->n - (size_t)(at + 1 - s->p);
    s->n = (size_t)(at - s->p);
    return tail;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_eq(struct str a, const char *b)
{
    return strlen(b) == a.n && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}

bool str_ieq(struct str a, const char *b)
{
    return strlen(b) == a.n && (a.n == 0 || strncasecmp(a.p, b, a.n) == 0);
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return n == 0 || (n <= s.n && memcmp(s.p, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return n == 0 || (n <= s.n && memcmp(s.p + s.n - n, suffix, n) == 0);
}

char *str_dup(struct str s)
{
    return mem_strndup(s.p, s.n);
}

bool str_to_u64(struct str s, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (v < min || v > max)
        return false;
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    if (negative || (s.n > 0 && s.p[0] == '+')) {
        s.p++;
        s.n--;
    }
    uint64_t magnitude;
    if (!str_to_u64(s, 0, (uint64_t)INT64_MAX + (negative ? 1 : 0), &magnitude))
        return false;
    int64_t v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (v < min || v > max)
        return false;
    *out = v;
    return true;
}

int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void str_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

bool str_all(const char *s, size_t max, bool (*ok)(unsigned char c))
{
    size_t n = strlen(s);
    if (n == 0 || n > max)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!ok((unsigned char)s[i]))
            return false;
    return true;
}

size_t utf8_len(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    static const struct {
        unsigned char mask, lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t len = 1; len <= 4 && len <= n; len++) {
        if ((p[0] & forms[len - 1].mask) != forms[len - 1].lead)
            continue;
        uint32_t c = p[0] & (unsigned char)~forms[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return 0;
            c = (c << 6) | (p[i] & 0x3f);
        }
        return c < forms[len - 1].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
    }
    return 0;
}
