/*
 * Reading and copying JSON documents by their field tables. json-c builds the tree; this file walks
 * tree and table together. The writer is in json_write.c.
 */
#include "base/json.h"

#include <json-c/json.h>
#include <math.h>
#include <strings.h>

#include "base/time.h"

#define MAX_DEPTH 64
#define PATH_MAX_LEN 256

/* Generic views of the typed arrays and map entries that the JSON_MEMBER macros declare. */
struct any_vec {
    char *v;
    size_t n, cap;
};
struct objent {
    const char *key;
    void *val;
};
struct u64ent {
    const char *key;
    uint64_t val;
};
struct vecent {
    const char *key;
    struct any_vec val;
};
_Static_assert(sizeof(struct any_vec) == sizeof(struct strv), "one layout for all arrays");

struct reader {
    struct arena *a;
    struct err *e;
    char path[PATH_MAX_LEN]; /* where we are, "HostConfig.Mounts[2]" */
    size_t path_n;
};

static int read_object(struct reader *r, const struct json_desc *d, char *out, json_object *o);

static size_t path_push(struct reader *r, const char *key, ssize_t i)
{
    size_t old = r->path_n, left = sizeof(r->path) - old;
    int n = key != NULL ? snprintf(r->path + old, left, "%s%s", old > 0 ? "." : "", key)
                        : snprintf(r->path + old, left, "[%zd]", i);
    if (n > 0)
        r->path_n = MIN(old + (size_t)n, sizeof(r->path) - 1);
    return old;
}

static void path_pop(struct reader *r, size_t old)
{
    r->path_n = old;
    r->path[old] = '\0';
}

static int mismatch(struct reader *r, const char *expected)
{
    return err_set(r->e, ERR_INVALID, "invalid JSON: %s%sexpected %s", r->path,
                   r->path_n > 0 ? ": " : "", expected);
}

/* Copy a string into the arena, each invalid byte replaced by U+FFFD. */
static int read_bytes(struct reader *r, const char *s, size_t n, const char **out)
{
    if (memchr(s, '\0', n) != NULL)
        return mismatch(r, "a string without NUL bytes");
    size_t bad = 0;
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0, len; i < n; i += len != 0 ? len : 1)
        if ((len = utf8_len(p + i, n - i)) == 0)
            bad++;
    char *to = arena_alloc(r->a, n + 2 * bad + 1);
    *out = to;
    if (bad == 0) {
        memcpy(to, s, n);
        return 0;
    }
    for (size_t i = 0; i < n;) {
        size_t len = utf8_len(p + i, n - i);
        memcpy(to, len != 0 ? s + i : "\xef\xbf\xbd", len != 0 ? len : 3);
        to += len != 0 ? len : 3;
        i += len != 0 ? len : 1;
    }
    return 0;
}

static int read_str(struct reader *r, json_object *o, const char **out)
{
    if (!json_object_is_type(o, json_type_string))
        return mismatch(r, "a string");
    return read_bytes(r, json_object_get_string(o), (size_t)json_object_get_string_len(o), out);
}

static int read_i64(struct reader *r, json_object *o, int64_t *out)
{
    if (!json_object_is_type(o, json_type_int))
        return mismatch(r, "an integer");
    if (json_object_get_int64(o) == INT64_MAX && json_object_get_uint64(o) > INT64_MAX)
        return mismatch(r, "an integer of 64 bits");
    *out = json_object_get_int64(o);
    return 0;
}

static int read_u64(struct reader *r, json_object *o, uint64_t *out)
{
    if (!json_object_is_type(o, json_type_int) || json_object_get_int64(o) < 0)
        return mismatch(r, "a non-negative integer");
    *out = json_object_get_uint64(o);
    return 0;
}

static int read_bool(struct reader *r, json_object *o, bool *out)
{
    if (!json_object_is_type(o, json_type_boolean))
        return mismatch(r, "a boolean");
    *out = json_object_get_boolean(o) != 0;
    return 0;
}

static int read_time(struct reader *r, json_object *o, int64_t *out)
{
    if (!json_object_is_type(o, json_type_string) ||
        !time_parse(str_of(json_object_get_string(o)), out))
        return mismatch(r, "an RFC 3339 time");
    return 0;
}

/* Room for n items of an array or map; v is never NULL afterwards, so that [] differs from null. */
static void make_room(struct reader *r, struct any_vec *vec, size_t n, size_t size)
{
    vec->v = arena_alloc_array(r->a, n > 0 ? n : 1, size);
    vec->n = 0;
    vec->cap = n > 0 ? n : 1;
}

static int read_list(struct reader *r, const struct json_desc *sub, struct any_vec *vec,
                     json_object *o)
{
    if (!json_object_is_type(o, json_type_array))
        return mismatch(r, "a list");
    size_t n = json_object_array_length(o);
    make_room(r, vec, n, sub->size);
    for (size_t i = 0; i < n; i++) {
        size_t old = path_push(r, NULL, (ssize_t)i);
        json_object *item = json_object_array_get_idx(o, i);
        if (item != NULL)
            TRY(read_object(r, sub, vec->v + i * sub->size, item));
        vec->n++;
        path_pop(r, old);
    }
    return 0;
}

static int read_strv(struct reader *r, unsigned flags, struct strv *out, json_object *o)
{
    bool one = (flags & JSON_ONE_OR_MANY) != 0 && json_object_is_type(o, json_type_string);
    if (!one && !json_object_is_type(o, json_type_array))
        return mismatch(r, "a list of strings");
    size_t n = one ? 1 : json_object_array_length(o);
    make_room(r, (struct any_vec *)out, n, sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        size_t old = path_push(r, NULL, (ssize_t)i);
        json_object *item = one ? o : json_object_array_get_idx(o, i);
        const char *s = "";
        if (item != NULL)
            TRY(read_str(r, item, &s));
        out->v[out->n++] = (char *)(uintptr_t)s;
        path_pop(r, old);
    }
    return 0;
}

static int read_i64v(struct reader *r, struct i64v *out, json_object *o)
{
    if (!json_object_is_type(o, json_type_array))
        return mismatch(r, "a list of integers");
    size_t n = json_object_array_length(o);
    make_room(r, (struct any_vec *)out, n, sizeof(int64_t));
    for (size_t i = 0; i < n; i++) {
        size_t old = path_push(r, NULL, (ssize_t)i);
        TRY(read_i64(r, json_object_array_get_idx(o, i), &out->v[out->n++]));
        path_pop(r, old);
    }
    return 0;
}

/* Strings of a set or keys of a map, in the order of the text. */
static int read_set(struct reader *r, struct strv *out, json_object *o)
{
    make_room(r, (struct any_vec *)out, (size_t)json_object_object_length(o), sizeof(char *));
    json_object_object_foreach(o, key, val)
    {
        (void)val;
        const char *s;
        TRY(read_bytes(r, key, strlen(key), &s));
        out->v[out->n++] = (char *)(uintptr_t)s;
    }
    return 0;
}

static int read_map_value(struct reader *r, const struct json_field *f, char *ent, json_object *val)
{
    if (val == NULL)
        return 0;
    switch (f->kind) {
    case JSON_MAP:
        return read_str(r, val, &((struct strmap_ent *)(void *)ent)->val);
    case JSON_MAPU64:
        return read_u64(r, val, &((struct u64ent *)(void *)ent)->val);
    case JSON_MAPOBJ: {
        struct objent *oe = (void *)ent;
        oe->val = arena_alloc(r->a, f->sub->size);
        return read_object(r, f->sub, oe->val, val);
    }
    case JSON_MAPLIST:
        return read_list(r, f->sub, &((struct vecent *)(void *)ent)->val, val);
    default:
        return read_strv(r, f->flags, (struct strv *)&((struct vecent *)(void *)ent)->val, val);
    }
}

/* All maps but sets: an array of entries that begin with their key. */
static int read_map(struct reader *r, const struct json_field *f, struct any_vec *out,
                    json_object *o)
{
    if (!json_object_is_type(o, json_type_object))
        return mismatch(r, "an object");
    if (f->kind == JSON_SET)
        return read_set(r, (struct strv *)out, o);
    size_t size = f->kind == JSON_MAP      ? sizeof(struct strmap_ent)
                  : f->kind == JSON_MAPOBJ ? sizeof(struct objent)
                  : f->kind == JSON_MAPU64 ? sizeof(struct u64ent)
                                           : sizeof(struct vecent);
    make_room(r, out, (size_t)json_object_object_length(o), size);
    json_object_object_foreach(o, key, val)
    {
        size_t old = path_push(r, key, -1);
        char *ent = out->v + out->n++ * size;
        TRY(read_bytes(r, key, strlen(key), (const char **)(void *)ent));
        if (f->kind == JSON_MAP)
            ((struct strmap_ent *)(void *)ent)->val = "";
        TRY(read_map_value(r, f, ent, val));
        path_pop(r, old);
    }
    return 0;
}

static int read_obj(struct reader *r, const struct json_field *f, char **to, json_object *o)
{
    *to = arena_alloc(r->a, f->sub->size);
    return read_object(r, f->sub, *to, o);
}

static int read_raw(struct reader *r, json_object *o, const char **out)
{
    *out = arena_strdup(r->a, json_object_to_json_string_ext(
                                  o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    return 0;
}

static int read_value(struct reader *r, const struct json_field *f, char *to, json_object *o)
{
    void *p = to;
    switch (f->kind) {
    case JSON_BOOL:
        return read_bool(r, o, p);
    case JSON_I64:
        return read_i64(r, o, p);
    case JSON_U64:
        return read_u64(r, o, p);
    case JSON_F64:
        if (!json_object_is_type(o, json_type_double) && !json_object_is_type(o, json_type_int))
            return mismatch(r, "a number");
        *(double *)p = json_object_get_double(o);
        return 0;
    case JSON_STR:
        return read_str(r, o, p);
    case JSON_TIME:
        return read_time(r, o, p);
    case JSON_OBJ:
        return read_obj(r, f, p, o);
    case JSON_VAL:
    case JSON_EMB:
        return read_object(r, f->sub, to, o);
    case JSON_LIST:
        return read_list(r, f->sub, p, o);
    case JSON_STRV:
        return read_strv(r, f->flags, p, o);
    case JSON_I64V:
        return read_i64v(r, p, o);
    case JSON_MAP:
    case JSON_SET:
    case JSON_MAPOBJ:
    case JSON_MAPLIST:
    case JSON_MAPSTRV:
    case JSON_MAPU64:
        return read_map(r, f, p, o);
    case JSON_RAW:
        return read_raw(r, o, p);
    case JSON_OPT_BOOL:
        return read_bool(r, o, *(bool **)p = arena_alloc(r->a, sizeof(bool)));
    case JSON_OPT_I64:
        return read_i64(r, o, *(int64_t **)p = arena_alloc(r->a, sizeof(int64_t)));
    case JSON_OPT_U64:
        return read_u64(r, o, *(uint64_t **)p = arena_alloc(r->a, sizeof(uint64_t)));
    }
    return 0;
}

/* The field for a key, looking into embedded structs; *base moves to the struct that holds it. */
static const struct json_field *field_find(const struct json_desc *d, const char *key, char **base)
{
    char *outer = *base;
    for (size_t i = 0; i < d->n; i++) {
        const struct json_field *f = &d->fields[i];
        if (f->kind != JSON_EMB && strcasecmp(f->key, key) == 0)
            return f;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct json_field *f = &d->fields[i];
        if (f->kind != JSON_EMB)
            continue;
        *base = outer + f->off;
        const struct json_field *inner = field_find(f->sub, key, base);
        if (inner != NULL)
            return inner;
    }
    return NULL;
}

static int read_object(struct reader *r, const struct json_desc *d, char *out, json_object *o)
{
    if (!json_object_is_type(o, json_type_object))
        return mismatch(r, "an object");
    json_object_object_foreach(o, key, val)
    {
        char *base = out;
        const struct json_field *f = field_find(d, key, &base);
        if (f == NULL || val == NULL)
            continue;
        size_t old = path_push(r, f->key, -1);
        TRY(read_value(r, f, base + f->off, val));
        path_pop(r, old);
    }
    return 0;
}

static json_object *parse_tree(const char *text, size_t len, struct err *e)
{
    if (len > INT32_MAX) {
        err_set(e, ERR_TOO_LARGE, "invalid JSON: document too large");
        return NULL;
    }
    json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);
    if (tok == NULL)
        abort();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    json_object *o = json_tokener_parse_ex(tok, text, (int)len);
    enum json_tokener_error why = json_tokener_get_error(tok);
    if (why == json_tokener_continue) { /* a number at the very end needs to see what follows */
        json_object_put(o);
        o = json_tokener_parse_ex(tok, "", 1);
        why = json_tokener_get_error(tok);
    } else {
        for (size_t i = json_tokener_get_parse_end(tok); i < len && why == json_tokener_success;
             i++)
            if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
                why = json_tokener_error_parse_unexpected;
    }
    json_tokener_free(tok);
    if (why == json_tokener_success)
        return o;
    json_object_put(o);
    if (len == 0)
        err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
    else if (why == json_tokener_continue || why == json_tokener_error_parse_eof)
        err_set(e, ERR_INVALID, "invalid JSON: unexpected end of JSON input");
    else
        err_set(e, ERR_INVALID, "invalid JSON: %s", json_tokener_error_desc(why));
    return NULL;
}

int json_parse(const struct json_desc *desc, void *out, const char *text, size_t len,
               struct arena *arena, struct err *e)
{
    err_clear(e);
    memset(out, 0, desc->size);
    json_object *o = parse_tree(text, len, e);
    if (o == NULL) /* the document may be a plain null, which Go accepts */
        return e->kind == ERR_NONE ? 0 : -1;
    struct reader r = {.a = arena, .e = e};
    int rc = read_object(&r, desc, out, o);
    json_object_put(o);
    return rc;
}

int json_parse_list(const struct json_desc *desc, void **out_v, size_t *out_n, const char *text,
                    size_t len, struct arena *arena, struct err *e)
{
    err_clear(e);
    struct any_vec vec = {0};
    json_object *o = parse_tree(text, len, e);
    if (o == NULL && e->kind != ERR_NONE)
        return -1;
    struct reader r = {.a = arena, .e = e};
    int rc = o == NULL ? 0 : read_list(&r, desc, &vec, o);
    json_object_put(o);
    if (rc == 0) {
        *out_v = vec.v;
        *out_n = vec.n;
    }
    return rc;
}

const char *strmap_get(const struct strmap *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].key, key) == 0)
            return m->v[i].val;
    return NULL;
}

void strmap_set(struct strmap *m, struct arena *arena, const char *key, const char *val)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].key, key) == 0) {
            m->v[i].val = arena_strdup(arena, val);
            return;
        }
    struct strmap_ent ent = {arena_strdup(arena, key), arena_strdup(arena, val)};
    vec_push_in(arena, m, ent);
}

/* ---- deep copy ---- */

static void copy_object(const struct json_desc *d, char *dst, const char *src, struct arena *a);

static void copy_vec(struct any_vec *dst, const struct any_vec *src, size_t size, struct arena *a)
{
    *dst = (struct any_vec){0};
    if (src->v == NULL)
        return;
    dst->cap = src->n > 0 ? src->n : 1;
    dst->n = src->n;
    dst->v = arena_alloc_array(a, dst->cap, size);
    if (src->n > 0)
        memcpy(dst->v, src->v, src->n * size);
}

static void copy_strings(struct any_vec *dst, const struct any_vec *src, size_t per,
                         struct arena *a)
{
    copy_vec(dst, src, per * sizeof(char *), a);
    const char **s = (void *)dst->v;
    for (size_t i = 0; i < dst->n * per; i++)
        s[i] = arena_strdup(a, s[i]);
}

static void copy_list(const struct json_desc *sub, struct any_vec *dst, const struct any_vec *src,
                      struct arena *a)
{
    copy_vec(dst, src, sub->size, a);
    for (size_t i = 0; i < src->n; i++)
        copy_object(sub, dst->v + i * sub->size, src->v + i * sub->size, a);
}

static void copy_map(const struct json_field *f, struct any_vec *dst, const struct any_vec *src,
                     struct arena *a)
{
    bool objs = f->kind == JSON_MAPOBJ, numbers = f->kind == JSON_MAPU64;
    size_t size = objs      ? sizeof(struct objent)
                  : numbers ? sizeof(struct u64ent)
                            : sizeof(struct vecent);
    copy_vec(dst, src, size, a);
    for (size_t i = 0; i < dst->n; i++) {
        struct vecent *to = (void *)(dst->v + i * size);
        const struct vecent *from = (const void *)(src->v + i * size);
        to->key = arena_strdup(a, from->key);
        if (numbers)
            continue;
        if (objs) {
            struct objent *oe = (void *)to;
            const struct objent *os = (const void *)from;
            oe->val = os->val == NULL ? NULL : arena_alloc(a, f->sub->size);
            if (os->val != NULL)
                copy_object(f->sub, oe->val, os->val, a);
        } else if (f->kind == JSON_MAPLIST) {
            copy_list(f->sub, &to->val, &from->val, a);
        } else {
            copy_strings(&to->val, &from->val, 1, a);
        }
    }
}

static void copy_value(const struct json_field *f, char *to, const char *from, struct arena *a)
{
    void *dst = to;
    const void *src = from;
    switch (f->kind) {
    case JSON_STR:
    case JSON_RAW:
        *(char **)dst = arena_strdup(a, *(const char *const *)src);
        return;
    case JSON_OBJ: {
        const void *sub = *(const void *const *)src;
        *(void **)dst = sub == NULL ? NULL : arena_alloc(a, f->sub->size);
        if (sub != NULL)
            copy_object(f->sub, *(void **)dst, sub, a);
        return;
    }
    case JSON_VAL:
    case JSON_EMB:
        copy_object(f->sub, to, from, a);
        return;
    case JSON_LIST:
        copy_list(f->sub, dst, src, a);
        return;
    case JSON_STRV:
    case JSON_SET:
        copy_strings(dst, src, 1, a);
        return;
    case JSON_MAP:
        copy_strings(dst, src, 2, a);
        return;
    case JSON_I64V:
        copy_vec(dst, src, sizeof(int64_t), a);
        return;
    case JSON_MAPOBJ:
    case JSON_MAPLIST:
    case JSON_MAPSTRV:
    case JSON_MAPU64:
        copy_map(f, dst, src, a);
        return;
    case JSON_OPT_BOOL:
        if (*(void *const *)src != NULL)
            *(void **)dst = arena_dup(a, *(const void *const *)src, sizeof(bool));
        return;
    case JSON_OPT_I64:
    case JSON_OPT_U64:
        if (*(void *const *)src != NULL)
            *(void **)dst = arena_dup(a, *(const void *const *)src, sizeof(int64_t));
        return;
    case JSON_BOOL:
    case JSON_I64:
    case JSON_U64:
    case JSON_F64:
    case JSON_TIME:
        return; /* came over with the struct itself */
    }
}

static void copy_object(const struct json_desc *d, char *dst, const char *src, struct arena *a)
{
    memcpy(dst, src, d->size);
    for (size_t i = 0; i < d->n; i++)
        copy_value(&d->fields[i], dst + d->fields[i].off, src + d->fields[i].off, a);
}

void json_copy(const struct json_desc *desc, void *dst, const void *src, struct arena *arena)
{
    copy_object(desc, dst, src, arena);
}
