/*
 * Filters are parsed into a flat list of conditions; `last` marks the end of one AND group.
 * Matching walks the list once.
 */
#include "store/filter.h"

#include "base/buf.h"
#include "base/goregex.h"
#include "base/mem.h"
#include "base/str.h"

enum op { OP_PRESENT, OP_EQ, OP_NE, OP_MATCH };

struct condition {
    VEC(char *) path;
    enum op op;
    char *value;
    regex_t re;
    bool has_re, last;
};

struct filters {
    VEC(struct condition) v;
};

struct scan {
    const char *text, *p;
};

static int bad(const struct scan *s, struct err *e, const char *why)
{
    return err_set(e, ERR_INVALID, "filters: parse error: [%.200s >|%.40s|<]: %s: invalid argument",
                   s->text, s->p, why);
}

static void skip_blanks(struct scan *s)
{
    while (*s->p == ' ' || *s->p == '\t')
        s->p++;
}

static bool is_field_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *hex_digits = "0123456789abcdef";

/* What stands between two quotes (any of ", / and |), escapes undone. */
static int scan_quoted(struct scan *s, char **out, struct err *e)
{
    char quote = *s->p++;
    struct buf b = BUF_MAX(8192);
    while (*s->p != 0 && *s->p != quote) {
        char c = *s->p++;
        if (c == '\\' && *s->p != 0) {
            char next = *s->p++;
            const char *from = "nrt", *to = "\n\r\t", *at = strchr(from, next);
            const char *h1 = NULL, *h2 = NULL;
            if (next == quote || next == '\\') {
                c = next;
                if (quote != '"' && next == '\\') /* it is a regular expression: keep the escape */
                    buf_addc(&b, '\\');
            } else if (quote != '"') {
                buf_addc(&b, '\\');
                c = next;
            } else if (at != NULL) {
                c = to[at - from];
            } else if (next == 'x' && s->p[0] != 0 &&
                       (h1 = strchr(hex_digits, s->p[0] | 0x20)) != NULL && s->p[1] != 0 &&
                       (h2 = strchr(hex_digits, s->p[1] | 0x20)) != NULL) {
                c = (char)((h1 - hex_digits) * 16 + (h2 - hex_digits));
                s->p += 2;
            } else {
                buf_done(&b);
                return bad(s, e, "illegal escape");
            }
        }
        buf_addc(&b, c);
    }
    if (*s->p != quote || b.over) {
        buf_done(&b);
        return bad(s, e, "literal not terminated");
    }
    s->p++;
    *out = buf_take(&b);
    return 0;
}

static int scan_path(struct scan *s, struct condition *c, struct err *e)
{
    while (true) {
        char *part = NULL;
        if (*s->p == '"') {
            TRY(scan_quoted(s, &part, e));
        } else {
            const char *start = s->p;
            while (is_field_char(*s->p))
                s->p++;
            if (s->p == start)
                return bad(s, e, "expected field or quoted");
            part = mem_strndup(start, (size_t)(s->p - start));
        }
        vec_push(&c->path, part);
        if (*s->p != '.')
            return 0;
        s->p++;
    }
}

static int scan_op(struct scan *s, struct condition *c, struct err *e)
{
    static const struct {
        const char *text;
        enum op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"~=", OP_MATCH}};
    if (*s->p == 0 || *s->p == ',')
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (strncmp(s->p, ops[i].text, 2) == 0) {
            c->op = ops[i].op;
            s->p += 2;
            return 1;
        }
    }
    return bad(s, e, "unsupported operator");
}

static int scan_value(struct scan *s, struct condition *c, struct err *e)
{
    if (*s->p == '"' || (c->op == OP_MATCH && (*s->p == '|' || *s->p == '/')))
        return scan_quoted(s, &c->value, e);
    const char *start = s->p;
    while (*s->p != 0 && *s->p != ',' && *s->p != ' ' && *s->p != '"')
        s->p++;
    c->value = mem_strndup(start, (size_t)(s->p - start));
    return s->p == start ? bad(s, e, "expected value or quoted") : 0;
}

static int compile(const struct scan *s, struct condition *c, struct err *e)
{
    struct err ignored = {0};
    if (go_regex_compile(c->value, &c->re, &ignored) < 0)
        return bad(s, e, "invalid regular expression");
    c->has_re = true;
    return 0;
}

static int parse_one(struct filters *f, const char *text, struct err *e)
{
    struct scan s = {text, text};
    if (strlen(text) > 4096)
        return err_set(e, ERR_INVALID, "filters: filter too long: invalid argument");
    skip_blanks(&s);
    while (*s.p != 0) {
        struct condition *c = vec_add(&f->v);
        TRY(scan_path(&s, c, e));
        skip_blanks(&s);
        int has_op = scan_op(&s, c, e);
        TRY(has_op);
        skip_blanks(&s);
        if (has_op)
            TRY(scan_value(&s, c, e));
        if (c->op == OP_MATCH)
            TRY(compile(&s, c, e));
        skip_blanks(&s);
        if (*s.p == 0)
            break;
        if (*s.p != ',')
            return bad(&s, e, "expected a separator ,");
        s.p++;
        skip_blanks(&s);
        if (*s.p == 0)
            return bad(&s, e, "unexpected end of filter");
    }
    if (f->v.n > 0)
        f->v.v[f->v.n - 1].last = true;
    return 0;
}

int filters_parse(const struct strv *texts, struct filters **out, struct err *e)
{
    struct filters *f = mem_alloc(sizeof(*f));
    bool any_empty = false;
    for (size_t i = 0; texts != NULL && i < texts->n; i++) {
        if (i >= 64) {
            filters_free(f);
            return err_set(e, ERR_INVALID, "too many filters: invalid argument");
        }
        size_t before = f->v.n;
        if (parse_one(f, texts->v[i], e) < 0) {
            filters_free(f);
            return -1;
        }
        any_empty = any_empty || f->v.n == before;
    }
    if (any_empty) { /* an empty filter matches all, and the list is an OR */
        filters_free(f);
        f = mem_alloc(sizeof(*f));
    }
    *out = f;
    return 0;
}

void filters_free(struct filters *f)
{
    if (f == NULL)
        return;
    vec_each(c, &f->v) {
        vec_each(part, &c->path) {
            free(*part);
        }
        vec_done(&c->path);
        free(c->value);
        if (c->has_re)
            regfree(&c->re);
    }
    vec_done(&f->v);
    free(f);
}

static bool holds(const struct condition *c, filter_field_fn *field, const void *obj)
{
    const char *val = field(obj, (const char *const *)c->path.v, c->path.n);
    switch (c->op) {
    case OP_PRESENT:
        return val != NULL && val[0] != 0;
    case OP_EQ:
        return val != NULL && strcmp(val, c->value) == 0;
    case OP_NE:
        return val == NULL || strcmp(val, c->value) != 0;
    default:
        return val != NULL && regexec(&c->re, val, 0, NULL, 0) == 0;
    }
}

bool filters_match(const struct filters *f, filter_field_fn *field, const void *obj)
{
    bool all = true;
    if (f == NULL || f->v.n == 0)
        return true;
    for (size_t i = 0; i < f->v.n; i++) {
        all = all && holds(&f->v.v[i], field, obj);
        if (f->v.v[i].last) {
            if (all)
                return true;
            all = true;
        }
    }
    return false;
}

const char *filter_label(const struct strmap *labels, const char *const *path, size_t n)
{
    struct buf key = BUF_MAX(8192);
    for (size_t i = 1; i < n; i++)
        buf_printf(&key, "%s%s", i > 1 ? "." : "", path[i]);
    const char *val = strmap_get(labels, buf_cstr(&key));
    buf_done(&key);
    return val;
}
