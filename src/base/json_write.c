/* Writing JSON documents by their field tables, byte for byte as Go's encoding/json would. */
#include "base/json.h"

#include <math.h>

#include "base/mem.h"
#include "base/time.h"

struct any_vec {
    const char *v;
    size_t n, cap;
};

static void write_object(const struct json_desc *d, const char *doc, struct buf *out);

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static bool cont(const unsigned char *p, size_t n, size_t i)
{
    return i < n && (p[i] & 0xc0) == 0x80;
}

/* Length of a well-formed multi-byte sequence, or 0. */
static size_t multibyte(const unsigned char *p, size_t n)
{
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return cont(p, n, 1) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        bool ok = cont(p, n, 1) && cont(p, n, 2) && !(p[0] == 0xe0 && p[1] < 0xa0) &&
                  !(p[0] == 0xed && p[1] > 0x9f);
        return ok ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        bool ok = cont(p, n, 1) && cont(p, n, 2) && cont(p, n, 3) &&
                  !(p[0] == 0xf0 && p[1] < 0x90) && !(p[0] == 0xf4 && p[1] > 0x8f);
        return ok ? 4 : 0;
    }
    return 0;
}

/* Write the character at p; returns how many bytes it took. */
static size_t write_char(const unsigned char *p, size_t n, struct buf *out)
{
    const char *esc = short_escape(p[0]);
    if (esc != NULL) {
        buf_adds(out, esc);
    } else if (p[0] < 0x20 || p[0] == '<' || p[0] == '>' || p[0] == '&') {
        buf_printf(out, "\\u%04x", p[0]);
    } else if (p[0] < 0x80) {
        buf_addc(out, (char)p[0]);
    } else {
        size_t len = multibyte(p, n);
        bool separator = len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8;
        if (len == 0)
            buf_adds(out, "\\ufffd");
        else if (separator) /* U+2028 and U+2029, which JavaScript takes for line ends */
            buf_printf(out, "\\u202%c", p[2] == 0xa8 ? '8' : '9');
        else
            buf_add(out, p, len);
        return len == 0 ? 1 : len;
    }
    return 1;
}

void json_write_str(const char *s, size_t n, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)s;
    buf_addc(out, '"');
    for (size_t i = 0; i < n;)
        i += write_char(p + i, n - i, out);
    buf_addc(out, '"');
}

static void write_cstr(const char *s, struct buf *out)
{
    json_write_str(s, s == NULL ? 0 : strlen(s), out);
}

void json_write_f64(double v, struct buf *out)
{
    if (!isfinite(v)) { /* Go refuses to encode these; a document must never hold one */
        buf_addc(out, '0');
        return;
    }
    char sci[40], text[400];
    int prec = 0;
    do
        (void)snprintf(sci, sizeof(sci), "%.*e", prec, v);
    while (strtod(sci, NULL) != v && prec++ < 17);
    double a = fabs(v);
    if (a == 0 || (a >= 1e-6 && a < 1e21)) {
        int exponent = (int)strtol(strchr(sci, 'e') + 1, NULL, 10);
        (void)snprintf(text, sizeof(text), "%.*f", MAX(prec - exponent, 0), v);
        buf_adds(out, text);
        return;
    }
    /* e-09 becomes e-9 */
    char *e = strchr(sci, 'e');
    long exponent = strtol(e + 1, NULL, 10);
    buf_printf(out, "%.*se%c%0*ld", (int)(e - sci), sci, exponent < 0 ? '-' : '+',
               exponent < 0 ? 1 : 2, labs(exponent));
}

static void write_list(const struct json_desc *sub, const char *docs, size_t n, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        write_object(sub, docs + i * sub->size, out);
    }
    buf_addc(out, ']');
}

static void write_strv(const struct any_vec *l, struct buf *out)
{
    const char *const *s = (const void *)l->v;
    buf_addc(out, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        write_cstr(s[i], out); /* NOLINT(clang-analyzer-core.NullDereference): n is 0 then */
    }
    buf_addc(out, ']');
}

static void write_i64v(const struct any_vec *l, struct buf *out)
{
    const int64_t *v = (const void *)l->v;
    buf_addc(out, '[');
    for (size_t i = 0; i < l->n; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): n is 0 then */
        buf_printf(out, "%s%lld", i > 0 ? "," : "", (long long)v[i]);
    buf_addc(out, ']');
}

static int by_key(const void *a, const void *b)
{
    return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

/* The entries of a map or set sorted by their keys, which come first in each: pointers to them;
 * caller frees. */
static const char *const **sorted_entries(const struct any_vec *m, size_t size)
{
    const char *const **ents = mem_alloc_array(m->n, sizeof(*ents));
    for (size_t i = 0; i < m->n; i++)
        ents[i] = (const void *)(m->v + i * size);
    if (m->n > 1)
        qsort(ents, m->n, sizeof(*ents), by_key);
    return ents;
}

static size_t entry_size(enum json_kind kind)
{
    switch (kind) {
    case JSON_SET:
        return sizeof(char *);
    case JSON_MAP:
    case JSON_MAPOBJ:
    case JSON_MAPU64:
        return 2 * sizeof(char *);
    default:
        return sizeof(char *) + sizeof(struct any_vec);
    }
}

static void write_entry(const struct json_field *f, const char *const *ent, struct buf *out)
{
    switch (f->kind) {
    case JSON_SET:
        buf_adds(out, "{}");
        return;
    case JSON_MAP:
        write_cstr(ent[1], out);
        return;
    case JSON_MAPU64:
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)(const void *)(ent + 1));
        return;
    case JSON_MAPOBJ:
        if (ent[1] == NULL)
            buf_adds(out, "null");
        else
            write_object(f->sub, ent[1], out);
        return;
    default: {
        const struct any_vec *l = (const void *)(ent + 1);
        if (l->v == NULL)
            buf_adds(out, "null");
        else if (f->kind == JSON_MAPLIST)
            write_list(f->sub, l->v, l->n, out);
        else
            write_strv(l, out);
    }
    }
}

static void write_map(const struct json_field *f, const struct any_vec *m, struct buf *out)
{
    auto_free const char *const **ents = sorted_entries(m, entry_size(f->kind));
    buf_addc(out, '{');
    for (size_t i = 0; i < m->n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        write_cstr(ents[i][0], out);
        buf_addc(out, ':');
        write_entry(f, ents[i], out);
    }
    buf_addc(out, '}');
}

static bool is_empty(const struct json_field *f, const char *at)
{
    const void *p = at;
    switch (f->kind) {
    case JSON_BOOL:
        return !*(const bool *)p;
    case JSON_I64:
        return *(const int64_t *)p == 0;
    case JSON_U64:
        return *(const uint64_t *)p == 0;
    case JSON_F64:
        return *(const double *)p == 0;
    case JSON_STR: {
        const char *s = *(const char *const *)p;
        return s == NULL || *s == '\0';
    }
    case JSON_OBJ:
    case JSON_RAW:
    case JSON_OPT_BOOL:
    case JSON_OPT_I64:
    case JSON_OPT_U64:
        return *(const void *const *)p == NULL;
    case JSON_TIME:
    case JSON_VAL:
    case JSON_EMB:
        return false; /* Go never omits a struct */
    default:
        return ((const struct any_vec *)p)->n == 0;
    }
}

static void write_time(int64_t ns, struct buf *out)
{
    char text[TIME_TEXT_MAX];
    time_format(ns, text);
    buf_printf(out, "\"%s\"", text);
}

static void write_array(const struct json_field *f, const struct any_vec *l, struct buf *out)
{
    bool map = f->kind == JSON_MAP || f->kind == JSON_SET ||
               (f->kind >= JSON_MAPOBJ && f->kind <= JSON_MAPU64);
    if (l->v == NULL && l->n == 0) {
        buf_adds(out, (f->flags & JSON_EMPTY) == 0 ? "null" : map ? "{}" : "[]");
        return;
    }
    if (map)
        write_map(f, l, out);
    else if (f->kind == JSON_LIST)
        write_list(f->sub, l->v, l->n, out);
    else if (f->kind == JSON_STRV)
        write_strv(l, out);
    else
        write_i64v(l, out);
}

/* Values that are reached through a pointer, which is not NULL. */
static void write_pointed(const struct json_field *f, const void *p, struct buf *out)
{
    switch (f->kind) {
    case JSON_OBJ:
        write_object(f->sub, p, out);
        return;
    case JSON_RAW:
        buf_adds(out, p);
        return;
    case JSON_OPT_BOOL:
        buf_adds(out, *(const bool *)p ? "true" : "false");
        return;
    case JSON_OPT_I64:
        buf_printf(out, "%lld", (long long)*(const int64_t *)p);
        return;
    default:
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)p);
    }
}

static void write_value(const struct json_field *f, const char *at, struct buf *out)
{
    const void *p = at;
    switch (f->kind) {
    case JSON_BOOL:
        buf_adds(out, *(const bool *)p ? "true" : "false");
        return;
    case JSON_I64:
        buf_printf(out, "%lld", (long long)*(const int64_t *)p);
        return;
    case JSON_U64:
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)p);
        return;
    case JSON_F64:
        json_write_f64(*(const double *)p, out);
        return;
    case JSON_STR:
        if (*(const char *const *)p == NULL && (f->flags & JSON_NULL) != 0)
            buf_adds(out, "null");
        else
            write_cstr(*(const char *const *)p, out);
        return;
    case JSON_TIME:
        write_time(*(const int64_t *)p, out);
        return;
    case JSON_VAL:
    case JSON_EMB:
        write_object(f->sub, at, out);
        return;
    case JSON_OBJ:
    case JSON_RAW:
    case JSON_OPT_BOOL:
    case JSON_OPT_I64:
    case JSON_OPT_U64:
        if (*(const void *const *)p == NULL)
            buf_adds(out, "null");
        else
            write_pointed(f, *(const void *const *)p, out);
        return;
    default:
        write_array(f, p, out);
    }
}

static void write_fields(const struct json_desc *d, const char *doc, bool *first, struct buf *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct json_field *f = &d->fields[i];
        if (f->kind == JSON_EMB) {
            write_fields(f->sub, doc + f->off, first, out);
            continue;
        }
        if ((f->flags & JSON_OMITEMPTY) != 0 && is_empty(f, doc + f->off))
            continue;
        if (!*first)
            buf_addc(out, ',');
        *first = false;
        write_cstr(f->key, out);
        buf_addc(out, ':');
        write_value(f, doc + f->off, out);
    }
}

static void write_object(const struct json_desc *d, const char *doc, struct buf *out)
{
    bool first = true;
    buf_addc(out, '{');
    write_fields(d, doc, &first, out);
    buf_addc(out, '}');
}

void json_write(const struct json_desc *desc, const void *doc, struct buf *out)
{
    write_object(desc, doc, out);
}

void json_write_list(const struct json_desc *desc, const void *docs, size_t n, struct buf *out)
{
    write_list(desc, docs, n, out);
}

static void new_line(struct buf *out, const char *indent, size_t depth)
{
    if (indent == NULL)
        return;
    buf_addc(out, '\n');
    for (size_t i = 0; i < depth; i++)
        buf_adds(out, indent);
}

/* Copy the string literal that begins at text[i]; returns the index behind it. */
static size_t copy_literal(const char *text, size_t len, size_t i, struct buf *out)
{
    size_t end = i + 1;
    while (end < len && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
    end = MIN(end + 1, len);
    buf_add(out, text + i, end - i);
    return end;
}

void json_indent(const char *text, size_t len, const char *indent, struct buf *out)
{
    size_t depth = 0;
    bool opened = false; /* just behind [ or {: an empty one is closed on the same line */
    for (size_t i = 0; i < len;) {
        char c = text[i];
        if (strchr(" \t\r\n", c) != NULL) {
            i++;
            continue;
        }
        bool closing = c == ']' || c == '}';
        if (opened && !closing)
            new_line(out, indent, ++depth);
        if (closing && !opened && depth > 0)
            new_line(out, indent, --depth);
        opened = c == '[' || c == '{';
        if (c == '"') {
            i = copy_literal(text, len, i, out);
            continue;
        }
        buf_addc(out, c);
        if (c == ',')
            new_line(out, indent, depth);
        if (c == ':' && indent != NULL)
            buf_addc(out, ' ');
        i++;
    }
}

void json_unescape_html(struct buf *text)
{
    static const struct {
        const char *escape;
        char plain;
    } pairs[] = {{"\\u003c", '<'}, {"\\u003e", '>'}, {"\\u0026", '&'}};
    size_t to = 0;
    for (size_t i = 0; i < text->n;) {
        size_t skip = text->p[i] == '\\' && i + 1 < text->n ? 2 : 1;
        char plain = '\0';
        for (size_t k = 0; k < ARRAY_LEN(pairs) && skip == 2 && text->n - i >= 6; k++)
            if (memcmp(text->p + i, pairs[k].escape, 6) == 0)
                plain = pairs[k].plain;
        if (plain != '\0') {
            text->p[to++] = plain;
            i += 6;
            continue;
        }
        memmove(text->p + to, text->p + i,
                skip); /* an escaped backslash goes with what it escapes */
        to += skip;
        i += skip;
    }
    text->n = to;
    if (text->p != NULL)
        text->p[to] = '\0';
}
