/*
 * Flags and containerd's configuration file. The file is TOML, of which only the part that such
 * files use is read: tables, keys, strings, numbers, booleans, arrays over several lines. A key
 * that is not ours is skipped, since whoever starts containerd (dockerd, say) writes keys of its
 * plugins.
 */
#include "containerd/config.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/str.h"
#include "sys/path.h"

#define FILE_MAX ((size_t)1 << 20)
#define RUN_DIR "/run/containerd"
#define NESTING_MAX 16

struct key {
    const char *flag, *short_flag; /* NULL: not a flag */
    const char *key;               /* in the file; NULL: not there */
    size_t off;
};

static const struct key keys[] = {
    {"address", "a", "grpc.address", offsetof(struct config, address)},
    {NULL, NULL, "ttrpc.address", offsetof(struct config, ttrpc_address)},
    {"root", NULL, "root", offsetof(struct config, root)},
    {"state", NULL, "state", offsetof(struct config, state)},
    {"log-level", "l", "debug.level", offsetof(struct config, log_level)},
    {"helper-dir", NULL, NULL, offsetof(struct config, helper_dir)},
    {"config", "c", NULL, offsetof(struct config, file)},
};

static const char **member(struct config *c, const struct key *k)
{
    return (const char **)(void *)((char *)c + k->off);
}

/* ---- flags ---- */

static const struct key *find_flag(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].flag != NULL &&
            (str_eq(name, keys[i].flag) ||
             (keys[i].short_flag != NULL && str_eq(name, keys[i].short_flag))))
            return &keys[i];
    return NULL;
}

/* One flag at argv[0]. Returns how many arguments it took. */
static int take_flag(char **argv, struct config *c, struct err *e)
{
    struct str rest = str_of(argv[0] + (argv[0][1] == '-' ? 2 : 1)), name = str_cut(&rest, '=');
    bool has_value = strchr(argv[0], '=') != NULL;
    if (str_eq(name, "version") || str_eq(name, "v")) {
        c->version = true;
        return 1;
    }
    const struct key *k = find_flag(name);
    if (k == NULL)
        return err_set(e, ERR_INVALID, "flag provided but not defined: -%.*s", STR_ARG(name));
    if (!has_value && argv[1] == NULL)
        return err_set(e, ERR_INVALID, "flag needs an argument: -%.*s", STR_ARG(name));
    *member(c, k) = has_value ? rest.p : argv[1];
    return has_value ? 1 : 2;
}

/* ---- the file ---- */

struct toml {
    const char *p; /* what is left */
    int line;
    struct arena *a;
};

static int toml_error(const struct toml *t, const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "line %d: %s", t->line, what);
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

/* A dotted key, quoted parts and all: grpc . "address". */
static int read_key(struct toml *t, const char **out, struct err *e)
{
    const char *key = "";
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
        key = *key == '\0' ? part : arena_printf(t->a, "%s.%s", key, part);
        skip(t, false);
        if (*t->p != '.')
            break;
        t->p++;
    }
    *out = key;
    return 0;
}

static int read_value(struct toml *t, int depth, const char **out, struct err *e);

/* "KEY =" in an inline table. */
static int read_inline_key(struct toml *t, struct err *e)
{
    const char *ignored;
    TRY(read_key(t, &ignored, e));
    if (*t->p++ != '=')
        return toml_error(t, "expected '='", e);
    skip(t, false);
    return 0;
}

/* An array or an inline table: nothing of ours is in one. */
static int read_list(struct toml *t, int depth, struct err *e)
{
    const char *ignored;
    char close = *t->p++ == '[' ? ']' : '}';
    if (depth > NESTING_MAX)
        return toml_error(t, "values nested too deeply", e);
    for (skip(t, true); *t->p != close; skip(t, true)) {
        if (close == '}')
            TRY(read_inline_key(t, e));
        TRY(read_value(t, depth + 1, &ignored, e));
        skip(t, true);
        if (*t->p == ',')
            t->p++;
        else if (*t->p != close)
            return toml_error(t, "a list that does not end", e);
    }
    t->p++;
    return 0;
}

/* A value; *out is NULL unless it is a string. */
static int read_value(struct toml *t, int depth, const char **out, struct err *e)
{
    const char *start = t->p;
    *out = NULL;
    if (*t->p == '"' || *t->p == '\'')
        return read_quoted(t, out, e);
    if (*t->p == '[' || *t->p == '{')
        return read_list(t, depth, e);
    while (is_bare(*t->p) || *t->p == '.' || *t->p == '+' || *t->p == ':')
        t->p++;
    return t->p == start ? toml_error(t, "expected a value", e) : 0;
}

static void assign(struct config *c, const char *key, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (keys[i].key == NULL || strcmp(keys[i].key, key) != 0)
            continue;
        if (*member(c, &keys[i]) == NULL && value != NULL && *value != '\0')
            *member(c, &keys[i]) = value;
        return;
    }
    log_debug("configuration key without a meaning here", "key", key, NULL);
}

int config_parse_toml(const char *text, struct arena *a, struct config *io, struct err *e)
{
    struct toml t = {text, 1, a};
    const char *table = "", *key, *value;
    for (skip(&t, true); *t.p != '\0'; skip(&t, true)) {
        if (*t.p == '[') {
            bool many = t.p[1] == '[';
            t.p += 1 + many;
            TRY(read_key(&t, &table, e));
            if (strncmp(t.p, "]]", 1 + (size_t)many) != 0)
                return toml_error(&t, "expected ']'", e);
            t.p += 1 + many;
        } else {
            TRY(read_key(&t, &key, e));
            if (*t.p++ != '=')
                return toml_error(&t, "expected '='", e);
            skip(&t, false);
            TRY(read_value(&t, 0, &value, e));
            assign(io, *table == '\0' ? key : arena_printf(a, "%s.%s", table, key), value);
        }
        skip(&t, false);
        if (*t.p != '\n' && *t.p != '\0')
            return toml_error(&t, "expected the end of the line", e);
    }
    return 0;
}

static int read_file(struct config *c, struct arena *a, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    if (file_read(AT_FDCWD, c->file, &text, e) < 0)
        return err_wrap(e, "failed to load TOML");
    if (config_parse_toml(buf_cstr(&text), a, c, e) < 0)
        return err_wrap(e, "failed to load TOML: %s", c->file);
    return 0;
}

int config_read(int argc, char **argv, struct arena *a, struct config *out, struct err *e)
{
    int i = 1;
    *out = (struct config){0};
    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
        int took = take_flag(argv + i, out, e);
        TRY(took);
        i += took;
    }
    out->rest = argv + i;
    if (out->file != NULL)
        TRY(read_file(out, a, e));
    if (out->address == NULL)
        out->address = RUN_DIR "/containerd.sock";
    if (str_starts(str_of(out->address), "unix://"))
        out->address += strlen("unix://");
    if (out->ttrpc_address == NULL)
        out->ttrpc_address = arena_printf(a, "%s.ttrpc", out->address);
    if (out->root == NULL)
        out->root = "/var/lib/hull-containerd";
    if (out->state == NULL)
        out->state = RUN_DIR;
    if (out->log_level == NULL)
        out->log_level = "info";
    if (out->root[0] != '/' || out->state[0] != '/' || out->address[0] != '/')
        return err_set(e, ERR_INVALID, "root, state and address must be absolute paths");
    return 0;
}
