/*
 * One record of a json-file log: see jsonlog_reader.h. A small scanner instead of the document
 * reader, because logs of gigabytes go through it: no tree, no allocation, the text is unescaped
 * straight into its place.
 */
#include "stdio/jsonlog_reader.h"

#include "base/time.h"

#define DEPTH_MAX 32

struct scan {
    const char *p, *end;
};

static void spaces(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool accept(struct scan *s, char c)
{
    spaces(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* A string as it stands between its quotes. */
static bool string(struct scan *s, struct str *out)
{
    if (!accept(s, '"'))
        return false;
    const char *start = s->p;
    while (s->p < s->end && *s->p != '"')
        s->p += *s->p == '\\' && s->end - s->p > 1 ? 2 : 1;
    if (s->p == s->end)
        return false;
    *out = (struct str){start, (size_t)(s->p - start)};
    s->p++;
    return true;
}

/* Any value; brackets are only counted, which is enough for what is skipped or passed on. */
static bool skip_value(struct scan *s, struct str *out)
{
    struct str ignored;
    int depth = 0;
    spaces(s);
    const char *start = s->p;
    do {
        spaces(s);
        if (s->p == s->end || depth > DEPTH_MAX)
            return false;
        char c = *s->p;
        if (c == '"') {
            if (!string(s, &ignored))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            s->p++;
        } else if (c == '}' || c == ']') {
            if (depth-- == 0)
                return false;
            s->p++;
        } else if (c == ',' || c == ':') {
            if (depth == 0)
                return false;
            s->p++;
        } else {
            static const char ends[] = " \t\r,:[]{}\"";
            while (s->p < s->end && memchr(ends, *s->p, sizeof(ends) - 1) == NULL)
                s->p++;
        }
    } while (depth > 0);
    *out = (struct str){start, (size_t)(s->p - start)};
    return true;
}

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static size_t put_utf8(uint32_t c, char *w)
{
    if (c < 0x80) {
        w[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        w[0] = (char)(0xc0 | c >> 6);
        w[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        w[0] = (char)(0xe0 | c >> 12);
        w[1] = (char)(0x80 | (c >> 6 & 63));
        w[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    w[0] = (char)(0xf0 | c >> 18);
    w[1] = (char)(0x80 | (c >> 12 & 63));
    w[2] = (char)(0x80 | (c >> 6 & 63));
    w[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* \uXXXX at p (behind the u), with its second half where it is one of a pair. Bytes read, or 0. */
static size_t unicode(const char *p, const char *end, uint32_t *out)
{
    int c = hex4(p, end);
    if (c < 0)
        return 0;
    *out = c >= 0xd800 && c < 0xe000 ? 0xfffd : (uint32_t)c;
    if (c < 0xd800 || c >= 0xdc00 || end - p < 10 || p[4] != '\\' || p[5] != 'u')
        return 4;
    int low = hex4(p + 6, end);
    if (low < 0xdc00 || low >= 0xe000)
        return 4;
    *out = 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 10;
}

static bool unescape(struct str raw, char *scratch, struct str *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = raw.p, *end = raw.p + raw.n;
    char *w = scratch;
    while (p < end) {
        const char *bs = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((bs != NULL ? bs : end) - p);
        memcpy(w, p, plain);
        w += plain;
        p += plain;
        if (bs == NULL)
            break;
        if (end - p < 2)
            return false;
        const char *at = p[1] == '\0' ? NULL : strchr(from, p[1]);
        if (at != NULL) {
            *w++ = to[at - from];
            p += 2;
            continue;
        }
        uint32_t c = 0;
        size_t n = p[1] == 'u' ? unicode(p + 2, end, &c) : 0;
        if (n == 0)
            return false;
        w += put_utf8(c, w);
        p += 2 + n;
    }
    *out = (struct str){scratch, (size_t)(w - scratch)};
    return true;
}

bool jsonlog_parse(struct str text, char *scratch, struct jsonlog_record *out)
{
    struct scan s = {text.p, text.p + text.n};
    struct jsonlog_record rec = {.stream = STDIO_OUT};
    bool has_log = false, has_time = false;
    if (!accept(&s, '{'))
        return false;
    do {
        struct str key, value;
        if (!string(&s, &key) || !accept(&s, ':'))
            return false;
        bool ok = true;
        if (str_eq(key, "log")) {
            ok = !has_log && string(&s, &value) && unescape(value, scratch, &rec.line);
            has_log = true;
        } else if (str_eq(key, "time")) {
            ok = string(&s, &value) && time_parse(value, &rec.time_ns);
            has_time = true;
        } else if (str_eq(key, "stream")) {
            ok = string(&s, &value);
            rec.stream = ok && str_eq(value, "stderr") ? STDIO_ERR : STDIO_OUT;
        } else {
            ok = skip_value(&s, &value);
            if (ok && str_eq(key, "attrs") && value.n > 1 && value.p[0] == '{')
                rec.attrs = value;
        }
        if (!ok)
            return false;
    } while (accept(&s, ','));
    bool closed = accept(&s, '}');
    spaces(&s);
    if (!closed || s.p != s.end || !has_log || !has_time)
        return false;
    *out = rec;
    return true;
}
