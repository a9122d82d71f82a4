/*
 * Log URIs: see log_uri.h. One table says which parameters have a member of their own; reading from
 * a URI, reading from arguments and writing all go through it.
 */
#include "stdio/log_uri.h"

#include "base/mem.h"
#include "base/str.h"

#define SCHEME "binary://"
#define PATH_MAX_BYTES 4095
#define PARAMS_MAX 64

enum param_kind { PARAM_TEXT, PARAM_PATH, PARAM_NUMBER, PARAM_FLAG, PARAM_ATTRS };

struct param {
    const char *name;
    size_t off;
    enum param_kind kind;
    int64_t min, max; /* NUMBER: the values; PATH: max is the longest */
};

#define AT(member) offsetof(struct log_uri, member)

static const struct param params[] = {
    {"driver", AT(driver), PARAM_TEXT, 0, 64},
    {"path", AT(path), PARAM_PATH, 0, PATH_MAX_BYTES},
    {"max-size", AT(max_size), PARAM_NUMBER, -1, INT64_MAX},
    {"max-file", AT(max_file), PARAM_NUMBER, 1, 1000},
    {"compress", AT(compress), PARAM_FLAG, 0, 1},
    {"max-buffer-size", AT(max_buffer_size), PARAM_NUMBER, 0, INT64_MAX},
    {"attrs", AT(attrs), PARAM_ATTRS, 0, (int64_t)LOG_ATTRS_MAX},
    {"attach", AT(attach), PARAM_PATH, 0, LOG_ATTACH_MAX},
    {"stdin", AT(open_stdin), PARAM_FLAG, 0, 1},
};

static int set_text(const struct param *p, const char *value, const char **member, struct err *e)
{
    if (value[0] == '\0' || strlen(value) > (size_t)p->max)
        return err_set(e, ERR_INVALID, "log parameter %s: must be 1 to %lld bytes long", p->name,
                       (long long)p->max);
    if (p->kind == PARAM_PATH && value[0] != '/')
        return err_set(e, ERR_INVALID, "log parameter %s: \"%s\" is not an absolute path", p->name,
                       value);
    *member = value;
    return 0;
}

/* attrs are pasted into every record: they are parsed and written anew, so that nothing else gets
 * in */
static int set_attrs(const struct param *p, const char *value, const char **member,
                     struct arena *arena, struct err *e)
{
    static const struct json_field fields[] = {{"a", 0, 0, JSON_MAP, NULL}};
    static const struct json_desc object = {"attrs", sizeof(struct strmap), 0, NULL};
    static const struct json_desc desc = {"attrs", sizeof(struct strmap), 1, fields};
    struct strmap map = {0};
    auto_buf struct buf doc = BUF_MAX(4 * LOG_ATTRS_MAX);
    TRY(set_text(p, value, member, e));
    buf_printf(&doc, "{\"a\":%s}", value);
    if (json_parse(&object, &map, value, strlen(value), arena, e) < 0 ||
        json_parse(&desc, &map, doc.p, doc.n, arena, e) < 0)
        return err_wrap(e, "log parameter %s", p->name);
    buf_reset(&doc);
    json_write(&desc, &map, &doc);
    if (doc.over || doc.n < strlen("{\"a\":}"))
        return err_set(e, ERR_INVALID, "log parameter %s: too long", p->name);
    *member = map.n == 0 ? NULL : arena_strndup(arena, doc.p + 5, doc.n - 6);
    return 0;
}

static int set_param(struct log_uri *u, const char *name, const char *value, struct arena *arena,
                     struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        const struct param *p = &params[i];
        void *member = (char *)u + p->off;
        int64_t number = 0;
        if (strcmp(name, p->name) != 0)
            continue;
        if (p->kind == PARAM_TEXT || p->kind == PARAM_PATH)
            return set_text(p, value, member, e);
        if (p->kind == PARAM_ATTRS)
            return set_attrs(p, value, member, arena, e);
        if (!str_to_i64(str_of(value), p->min, p->max, &number))
            return err_set(e, ERR_INVALID,
                           "log parameter %s: \"%s\" is not a number from %lld to %lld", name,
                           value, (long long)p->min, (long long)p->max);
        if (p->kind == PARAM_FLAG)
            *(bool *)member = number != 0;
        else
            *(int64_t *)member = number;
        return 0;
    }
    strmap_set(&u->opts, arena, name, value);
    return 0;
}

struct seen {
    const char *v[PARAMS_MAX];
    size_t n;
};

static int add_param(struct log_uri *u, struct seen *seen, const char *name, const char *value,
                     struct arena *arena, struct err *e)
{
    if (name[0] == '\0')
        return err_set(e, ERR_INVALID, "log parameter without a name");
    for (size_t i = 0; i < seen->n; i++)
        if (strcmp(seen->v[i], name) == 0)
            return err_set(e, ERR_INVALID, "log parameter %s is there twice", name);
    if (seen->n == PARAMS_MAX)
        return err_set(e, ERR_INVALID, "more than %d log parameters", PARAMS_MAX);
    seen->v[seen->n++] = name;
    return set_param(u, name, value, arena, e);
}

static int check(const struct log_uri *u, struct err *e)
{
    if (strcmp(u->driver, "json-file") == 0 && u->path == NULL)
        return err_set(e, ERR_INVALID, "log parameter path is missing");
    if (u->open_stdin && u->attach == NULL)
        return err_set(e, ERR_INVALID, "log parameter stdin needs the parameter attach");
    return 0;
}

/* As Go's url.QueryUnescape; NUL bytes are refused, for everything here ends in C strings. */
static int unescape(struct str s, bool plus_is_space, struct arena *arena, const char **out,
                    struct err *e)
{
    char *p = arena_alloc(arena, s.n + 1), *w = p;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return err_set(e, ERR_INVALID, "log URI: bad escape \"%.*s\"", (int)MIN(s.n - i, 3),
                               s.p + i);
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (c == '\0')
            return err_set(e, ERR_INVALID, "log URI: NUL byte");
        *w++ = c;
    }
    *out = p;
    return 0;
}

int log_uri_parse(const char *text, struct arena *arena, struct log_uri *out, struct err *e)
{
    struct log_uri u = LOG_URI_DEFAULT;
    struct seen seen = {.n = 0};
    struct str s = str_of(text);
    if (!str_starts(s, SCHEME "/"))
        return 0;
    if (s.n > LOG_URI_MAX)
        return err_set(e, ERR_INVALID, "log URI: longer than %zu bytes", LOG_URI_MAX);
    s.p += strlen(SCHEME);
    s.n -= strlen(SCHEME);
    struct str path = str_cut(&s, '?');
    TRY(unescape(path, false, arena, &u.program, e));
    if (!str_ends(str_of(u.program), "/" LOG_PROGRAM))
        return 0;
    while (s.n > 0) {
        struct str value = str_cut(&s, '&'), name = str_cut(&value, '=');
        const char *n = NULL, *v = NULL;
        TRY(unescape(name, true, arena, &n, e));
        TRY(unescape(value, true, arena, &v, e));
        TRY(add_param(&u, &seen, n, v, arena, e));
    }
    TRY(check(&u, e));
    *out = u;
    return 1;
}

int log_uri_parse_args(int argc, char *const *argv, struct arena *arena, struct log_uri *out,
                       struct err *e)
{
    struct log_uri u = LOG_URI_DEFAULT;
    struct seen seen = {.n = 0};
    if (argc % 2 != 0)
        return err_set(e, ERR_INVALID, "log parameter %s has no value", argv[argc - 1]);
    for (int i = 0; i < argc; i += 2)
        TRY(add_param(&u, &seen, arena_strdup(arena, argv[i]), arena_strdup(arena, argv[i + 1]),
                      arena, e));
    TRY(check(&u, e));
    *out = u;
    return 0;
}

static void escape(const char *s, const char *also, struct buf *out)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     strchr("-._~/", c) != NULL || strchr(also, c) != NULL;
        if (plain)
            buf_addc(out, *s);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static void write_param(const char *name, const char *value, char *sep, struct buf *out)
{
    buf_addc(out, *sep);
    *sep = '&';
    escape(name, "", out);
    buf_addc(out, '=');
    escape(value, ":", out);
}

void log_uri_write(const struct log_uri *u, struct buf *out)
{
    static const struct log_uri defaults = LOG_URI_DEFAULT;
    char sep = '?';
    buf_adds(out, SCHEME);
    escape(u->program, "", out);
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        const struct param *p = &params[i];
        const void *member = (const char *)u + p->off, *normal = (const char *)&defaults + p->off;
        char number[24];
        if (p->kind == PARAM_FLAG || p->kind == PARAM_NUMBER) {
            int64_t v = p->kind == PARAM_FLAG ? *(const bool *)member : *(const int64_t *)member;
            int64_t d = p->kind == PARAM_FLAG ? *(const bool *)normal : *(const int64_t *)normal;
            (void)snprintf(number, sizeof(number), "%lld", (long long)v);
            if (v != d)
                write_param(p->name, number, &sep, out);
        } else if (*(const char *const *)member != NULL) {
            write_param(p->name, *(const char *const *)member, &sep, out);
        }
    }
    for (size_t i = 0; i < u->opts.n; i++)
        write_param(u->opts.v[i].key, u->opts.v[i].val, &sep, out);
}

bool log_uri_in_process(const struct log_uri *u)
{
    return strcmp(u->driver, "json-file") == 0 || strcmp(u->driver, "none") == 0;
}
