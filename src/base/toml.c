/* A reader of TOML that tells what it finds and keeps nothing: see toml.h. */
#include "base/toml.h"

#include "base/vec.h"

enum { NESTING_MAX = 16, PATH_MAX_PARTS = 32 };

/* The parts of a table's or a key's name. */
struct path {
    const char *v[PATH_MAX_PARTS];
    size_t n;
};

struct toml {
    const char *p; /* what is left */
    int line;
    struct arena *a;
    toml_fn *fn;
    void *arg;
};

static int toml_error(const struct toml *t, const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "line %d: %s", t->line, what);
}

static int tell(struct toml *t, enum toml_kind kind, const struct path *path, const char *text,
                int depth, struct err *e)
{
    const struct toml_item item = {kind, arena_dup(t->a, path->v, path->n * sizeof(path->v[0])),
                                   path->n, text, depth};
    return t->fn(t->arg, &item, e);
}

/* Skip blanks and, where they mean nothing, newlines and comments. */
static void skip(struct toml *t, bool lines)
{
    for (; *t->p != '\0'; t->p++) {
        if (*t->p == '#') {
            t->p += strcspn(t->p, "\n");
            t->p--;
        } else if (*t->p == '\n') {
            if (!lines)
                return;
            t->line++;
        } else if (*t->p != ' ' && *t->p != '\t' && *t->p != '\r') {
            return;
        }
    }
}

/* A string in quotes; "..." knows the escapes \" and \\, which paths may need. */
static int read_quoted(struct toml *t, const char **out, struct err *e)
{
    char quote = *t->p++;
    char *s = arena_alloc(t->a, strlen(t->p) + 1), *w = s;
    for (; *t->p != quote; t->p++) {
        if (*t->p == '\0' || *t->p == '\n')
            return toml_error(t, "a string that does not end", e);
        if (*t->p == '\\' && quote == '"' && (*++t->p != '"' && *t->p != '\\'))
            return toml_error(t, "an escape that is not supported", e);
        *w++ = *t->p;
    }
    t->p++;
    *out = s;
    return 0;
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* A dotted key, quoted parts and all, behind what path holds: grpc . "address". */
static int read_key(struct toml *t, struct path *path, struct err *e)
{
    for (;;) {
        const char *part, *start;
        skip(t, false);
        start = t->p;
        if (*t->p == '"' || *t->p == '\'') {
            TRY(read_quoted(t, &part, e));
        } else {
            while (is_bare(*t->p))
                t->p++;
            part = arena_strndup(t->a, start, (size_t)(t->p - start));
        }
        if (t->p == start)
            return toml_error(t, "expected a key", e);
        if (path->n == PATH_MAX_PARTS)
            return toml_error(t, "a key of too many parts", e);
        path->v[path->n++] = part;
        skip(t, false);
        if (*t->p != '.')
            return 0;
        t->p++;
    }
}

static int read_value(struct toml *t, const struct path *path, int depth, int nesting,
                      struct err *e);

/* key = value */
static int read_pair(struct toml *t, const struct path *table, int nesting, struct err *e)
{
    struct path path = *table;
    TRY(read_key(t, &path, e));
    if (*t->p++ != '=')
        return toml_error(t, "expected '='", e);
    skip(t, false);
    return read_value(t, &path, 0, nesting, e);
}

/* An array or an inline table. */
static int read_list(struct toml *t, const struct path *path, int depth, int nesting, struct err *e)
{
    char close = *t->p++ == '[' ? ']' : '}';
    if (nesting > NESTING_MAX)
        return toml_error(t, "values nested too deeply", e);
    for (skip(t, true); *t->p != close; skip(t, true)) {
        if (close == '}')
            TRY(read_pair(t, path, nesting + 1, e));
        else
            TRY(read_value(t, path, depth + 1, nesting + 1, e));
        skip(t, true);
        if (*t->p == ',')
            t->p++;
        else if (*t->p != close)
            return toml_error(t, "a list that does not end", e);
    }
    t->p++;
    return 0;
}

static int read_value(struct toml *t, const struct path *path, int depth, int nesting,
                      struct err *e)
{
    const char *start = t->p, *text;
    if (*t->p == '"' || *t->p == '\'') {
        TRY(read_quoted(t, &text, e));
        return tell(t, TOML_STRING, path, text, depth, e);
    }
    if (*t->p == '[' || *t->p == '{')
        return read_list(t, path, depth, nesting, e);
    while (is_bare(*t->p) || *t->p == '.' || *t->p == '+' || *t->p == ':')
        t->p++;
    if (t->p == start)
        return toml_error(t, "expected a value", e);
    text = arena_strndup(t->a, start, (size_t)(t->p - start));
    return tell(t, TOML_WORD, path, text, depth, e);
}

static int read_table(struct toml *t, struct path *table, struct err *e)
{
    bool many = t->p[1] == '[';
    t->p += 1 + many;
    table->n = 0;
    TRY(read_key(t, table, e));
    if (strncmp(t->p, "]]", 1 + (size_t)many) != 0)
        return toml_error(t, "expected ']'", e);
    t->p += 1 + many;
    return tell(t, TOML_TABLE, table, "", 0, e);
}

int toml_read(const char *text, struct arena *a, toml_fn *fn, void *arg, struct err *e)
{
    struct toml t = {text, 1, a, fn, arg};
    struct path table = {.n = 0};
    for (skip(&t, true); *t.p != '\0'; skip(&t, true)) {
        if (*t.p == '[')
            TRY(read_table(&t, &table, e));
        else
            TRY(read_pair(&t, &table, 0, e));
        skip(&t, false);
        if (*t.p != '\n' && *t.p != '\0')
            return toml_error(&t, "expected the end of the line", e);
    }
    return 0;
}

const char *toml_name(const struct toml_item *item, struct arena *a)
{
    const char *name = item->n_path > 0 ? item->path[0] : "";
    for (size_t i = 1; i < item->n_path; i++)
        name = arena_printf(a, "%s.%s", name, item->path[i]);
    return name;
}
