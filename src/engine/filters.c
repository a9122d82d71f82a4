/* Filters: a small map from keys to lists of values, read from either of its two JSON forms. */
#include "engine/filters.h"

#include <json-c/json.h>
#include "base/goregex.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

enum { FILTERS_MAX = 64 << 10, VALUES_MAX = 1000 };

static int read_values(struct json_object *o, struct arena *a, struct strv *out)
{
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o) && i < VALUES_MAX; i++) {
            struct json_object *s = json_object_array_get_idx(o, i);

            if (!json_object_is_type(s, json_type_string))
                return -1;
            vec_push_in(a, out, arena_strdup(a, json_object_get_string(s)));
        }
        return 0;
    }
    if (!json_object_is_type(o, json_type_object))
        return -1;
    json_object_object_foreach(o, key, val)
    {
        if (!json_object_is_type(val, json_type_boolean) || out->n >= VALUES_MAX)
            return -1;
        vec_push_in(a, out, arena_strdup(a, key));
    }
    return 0;
}

static bool is_accepted(const char *const *accepted, const char *key)
{
    if (accepted == NULL)
        return true;
    for (; *accepted != NULL; accepted++)
        if (strcmp(*accepted, key) == 0)
            return true;
    return false;
}

static int read_all(struct json_object *root, const char *const *accepted, struct arena *a,
                    struct filters *out, struct err *e)
{
    if (!json_object_is_type(root, json_type_object))
        return err_set(e, ERR_INVALID, "invalid filter");
    json_object_object_foreach(root, key, val)
    {
        struct filter *f;

        if (!is_accepted(accepted, key))
            return err_set(e, ERR_INVALID, "invalid filter '%s'", key);
        f = vec_add_in(a, out);
        f->key = arena_strdup(a, key);
        if (read_values(val, a, &f->values) < 0)
            return err_set(e, ERR_INVALID, "invalid filter");
    }
    return 0;
}

int filters_parse(const char *json, const char *const *accepted, struct arena *a,
                  struct filters *out, struct err *e)
{
    struct json_tokener *tok;
    struct json_object *root;
    size_t n = json != NULL ? strlen(json) : 0;
    int r;

    *out = (struct filters){0};
    if (n == 0)
        return 0;
    if (n > FILTERS_MAX)
        return err_set(e, ERR_INVALID, "invalid filter");
    tok = json_tokener_new_ex(8);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    root = json_tokener_parse_ex(tok, json, (int)n + 1);
    r = json_tokener_get_error(tok) == json_tokener_success
            ? read_all(root, accepted, a, out, e)
            : err_set(e, ERR_INVALID, "invalid filter");
    json_object_put(root);
    json_tokener_free(tok);
    return r;
}

const struct strv *filters_get(const struct filters *f, const char *key)
{
    vec_each(i, f)
        if (strcmp(i->key, key) == 0 && i->values.n > 0)
            return &i->values;
    return NULL;
}

bool filters_match(const struct filters *f, const char *key, const char *s)
{
    const struct strv *v = filters_get(f, key);

    return v == NULL || strv_has(v, s);
}

bool filters_match_start(const struct filters *f, const char *key, const char *s)
{
    const struct strv *v = filters_get(f, key);

    if (v == NULL)
        return true;
    vec_each(value, v)
        if (strncmp(s, *value, strlen(*value)) == 0)
            return true;
    return false;
}

static bool regex_found(const char *pattern, const char *s)
{
    struct err ignored = {0};
    regex_t re;
    bool found;

    if (go_regex_compile(pattern, &re, &ignored) < 0)
        return false;
    found = regexec(&re, s, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

bool filters_match_name(const struct filters *f, const char *key, const char *s)
{
    const struct strv *v = filters_get(f, key);

    if (v == NULL || strv_has(v, s))
        return true;
    vec_each(value, v)
        if (regex_found(*value, s))
            return true;
    return false;
}

static bool label_holds(const char *want, const struct strmap *labels)
{
    struct str value = str_of(want), key = str_cut(&value, '=');
    bool with_value = strchr(want, '=') != NULL;

    vec_each(l, labels)
        if (str_eq(key, l->key))
            return !with_value || str_eq(value, l->val);
    return false;
}

bool filters_match_labels(const struct filters *f, const struct strmap *labels)
{
    const struct strv *all = filters_get(f, "label"), *none = filters_get(f, "label!");
    bool excluded = none != NULL;

    if (all != NULL)
        vec_each(l, all)
            if (!label_holds(*l, labels))
                return false;
    if (none != NULL)
        vec_each(l, none)
            if (!label_holds(*l, labels))
                excluded = false;
    return !excluded;
}

int filters_bool(const struct filters *f, const char *key, bool *out_given, bool *out,
                 struct err *e)
{
    const struct strv *v = filters_get(f, key);
    bool yes = false, no = false;

    *out_given = v != NULL;
    *out = false;
    if (v == NULL)
        return 0;
    vec_each(s, v) {
        bool t = strcmp(*s, "1") == 0 || strcmp(*s, "true") == 0;
        bool n = strcmp(*s, "0") == 0 || strcmp(*s, "false") == 0;

        if (!t && !n)
            return err_set(e, ERR_INVALID, "invalid filter '%s=[%s]'", key, *s);
        yes |= t;
        no |= n;
    }
    if (yes && no)
        return err_set(e, ERR_INVALID, "invalid filter '%s=[%s %s]'", key, v->v[0], v->v[1]);
    *out = yes;
    return 0;
}

int filters_until(const struct filters *f, int64_t *out_ns, struct err *e)
{
    const struct strv *v = filters_get(f, "until");
    int64_t dur;

    *out_ns = 0;
    if (v == NULL)
        return 0;
    if (v->n > 1)
        return err_set(e, ERR_INVALID, "more than one until filter specified");
    if (dur_parse(str_of(v->v[0]), &dur)) {
        *out_ns = time_now_ns() - dur;
        return 0;
    }
    if (!time_parse_unix_or_rfc3339(str_of(v->v[0]), out_ns))
        return err_set(e, ERR_INVALID, "invalid until filter: %s", v->v[0]);
    return 0;
}
