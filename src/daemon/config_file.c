/*
 * daemon.json. It is read key by key instead of as a document, because an unknown key must stop the
 * start: a misspelt option must not be silently without effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>

#include "base/log.h"
#include "daemon/config.h"
#include "sys/path.h"

#define DEFAULT_FILE "/etc/docker/daemon.json"
#define FILE_MAX (1u << 20)

static const char *key_of(const struct daemon_option *o)
{
    return o->key != NULL ? o->key : o->flag;
}

static const struct daemon_option *find_key(const char *key)
{
    for (size_t i = 0; i < n_daemon_options; i++)
        if ((daemon_options[i].where & OPT_FILE) != 0 &&
            strcmp(key, key_of(&daemon_options[i])) == 0)
            return &daemon_options[i];
    return NULL;
}

/* A flag that stands inside of an object in the file: those of "proxies". */
static const struct daemon_option *find_inner(const char *key)
{
    static const char *const keys[] = {"http-proxy", "https-proxy", "no-proxy"};
    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
        for (size_t i = 0; strcmp(key, keys[k]) == 0 && i < n_daemon_options; i++)
            if (strcmp(daemon_options[i].flag, key) == 0)
                return &daemon_options[i];
    return NULL;
}

static int bad_type(const struct daemon_option *o, const char *wanted, struct err *e)
{
    return err_set(e, ERR_INVALID, "%s: expected %s", key_of(o), wanted);
}

static int set_text(struct daemon_config *c, const struct daemon_option *o, const char *text,
                    struct err *e)
{
    return daemon_option_set(c, o, text, e) < 0 ? err_wrap(e, "%s", key_of(o)) : 0;
}

static const char *member(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
        return NULL;
    return json_object_get_string(v);
}

/* {"path": ...} is a program for our shim; {"runtimeType": ...} is another shim. */
static int set_runtime(struct daemon_config *c, const char *name, struct json_object *v,
                       struct err *e)
{
    struct json_object *args = NULL, *options = NULL;
    const char *path = member(v, "path"), *type = member(v, "runtimeType");

    if (json_object_object_get_ex(v, "runtimeArgs", &args) && json_object_array_length(args) > 0)
        return err_set(e, ERR_UNIMPLEMENTED, "runtimes.%.200s: runtimeArgs are not supported",
                       name);
    if ((path == NULL) == (type == NULL))
        return err_set(e, ERR_INVALID, "runtimes.%.200s: either path or runtimeType is needed",
                       name);
    struct engine_runtime r = {
        .name = arena_strdup(c->arena, name),
        .type = arena_strdup(c->arena, type != NULL ? type : "io.containerd.hull.v2"),
        .binary = arena_strdup(c->arena, path),
    };
    if (type != NULL && json_object_object_get_ex(v, "options", &options) &&
        json_object_is_type(options, json_type_object))
        r.binary = arena_strdup(c->arena, member(options, "BinaryName"));
    vec_push_in(c->arena, &c->runtimes, r);
    return 0;
}

static int set_pool(struct daemon_config *c, const struct daemon_option *o, struct json_object *v,
                    struct err *e)
{
    struct json_object *size = NULL;
    const char *base = member(v, "base");
    if (base == NULL || !json_object_object_get_ex(v, "size", &size) ||
        !json_object_is_type(size, json_type_int))
        return bad_type(o, "objects with base and size", e);
    return set_text(c, o,
                    arena_printf(c->arena, "base=%s,size=%d", base, json_object_get_int(size)), e);
}

static int set_array(struct daemon_config *c, const struct daemon_option *o, struct json_object *v,
                     struct err *e)
{
    if (!json_object_is_type(v, json_type_array))
        return bad_type(o, "an array", e);
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        struct json_object *item = json_object_array_get_idx(v, i);
        if (o->kind == OPT_POOLS) {
            if (!json_object_is_type(item, json_type_object))
                return bad_type(o, "an array of objects", e);
            TRY(set_pool(c, o, item, e));
            continue;
        }
        if (!json_object_is_type(item, json_type_string))
            return bad_type(o, "an array of strings", e);
        TRY(set_text(c, o, json_object_get_string(item), e));
    }
    return 0;
}

static int set_object(struct daemon_config *c, const struct daemon_option *o, struct json_object *v,
                      struct err *e)
{
    if (!json_object_is_type(v, json_type_object))
        return bad_type(o, "an object", e);
    struct json_object_iter it;
    json_object_object_foreachC(v, it)
    {
        if (o->kind == OPT_RUNTIMES) {
            if (!json_object_is_type(it.val, json_type_object))
                return bad_type(o, "an object of objects", e);
            TRY(set_runtime(c, it.key, it.val, e));
            continue;
        }
        if (!json_object_is_type(it.val, json_type_string))
            return bad_type(o, "an object of strings", e);
        TRY(set_text(c, o, arena_printf(c->arena, "%s=%s", it.key, json_object_get_string(it.val)),
                     e));
    }
    return 0;
}

static int set_proxies(struct daemon_config *c, const struct daemon_option *o,
                       struct json_object *v, struct err *e)
{
    if (!json_object_is_type(v, json_type_object))
        return bad_type(o, "an object", e);
    struct json_object_iter it;
    json_object_object_foreachC(v, it)
    {
        if (!json_object_is_type(it.val, json_type_string))
            return bad_type(o, "an object of strings", e);
        TRY(set_text(c, find_inner(it.key), json_object_get_string(it.val), e));
    }
    return 0;
}

static int set_value(struct daemon_config *c, const struct daemon_option *o, struct json_object *v,
                     struct err *e)
{
    switch (o->kind) {
    case OPT_BOOL:
        if (!json_object_is_type(v, json_type_boolean))
            return bad_type(o, "true or false", e);
        return set_text(c, o, json_object_get_boolean(v) ? "true" : "false", e);
    case OPT_STR:
        if (!json_object_is_type(v, json_type_string))
            return bad_type(o, "a string", e);
        return set_text(c, o, json_object_get_string(v), e);
    case OPT_INT:
        if (!json_object_is_type(v, json_type_int))
            return bad_type(o, "a number", e);
        return set_text(c, o, json_object_get_string(v), e);
    case OPT_SIZE:
        if (!json_object_is_type(v, json_type_int) && !json_object_is_type(v, json_type_string))
            return bad_type(o, "a size", e);
        return set_text(c, o, json_object_get_string(v), e);
    case OPT_LIST:
    case OPT_POOLS:
        return set_array(c, o, v, e);
    case OPT_MAP:
    case OPT_RUNTIMES:
        return set_object(c, o, v, e);
    case OPT_PROXIES:
        return set_proxies(c, o, v, e);
    default:
        return 0;
    }
}

typedef void each_key_fn(struct buf *out, const struct daemon_option *o, const char *key,
                         struct json_object *val, const char *const *from_flag);

/* All keys, those of "proxies" in its place, as dockerd reads them. o: NULL if unknown. */
static void each_key(struct json_object *doc, each_key_fn *fn, const char *const *from_flag,
                     struct buf *out)
{
    struct json_object_iter it, inner;
    json_object_object_foreachC(doc, it)
    {
        const struct daemon_option *o = find_key(it.key);
        if (o == NULL || o->kind != OPT_PROXIES || !json_object_is_type(it.val, json_type_object)) {
            fn(out, o, it.key, it.val, from_flag);
            continue;
        }
        json_object_object_foreachC(it.val, inner)
        {
            fn(out, find_inner(inner.key), inner.key, inner.val, from_flag);
        }
    }
}

static void tell_unknown(struct buf *out, const struct daemon_option *o, const char *key,
                         struct json_object *val UNUSED, const char *const *from_flag UNUSED)
{
    if (o == NULL)
        buf_printf(out, "%s%s", out->n > 0 ? ", " : "", key);
}

/* All unknown keys in one message. */
static int check_keys(struct json_object *doc, struct err *e)
{
    auto_buf struct buf unknown = BUF_MAX(1000);
    each_key(doc, tell_unknown, NULL, &unknown);
    if (unknown.n == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "the following directives don't match any configuration option: %s",
                   buf_cstr(&unknown));
}

static void tell_twice(struct buf *out, const struct daemon_option *o, const char *key,
                       struct json_object *val, const char *const *from_flag)
{
    auto_arena struct arena *a = arena_new();
    const char *flag = from_flag[o - daemon_options], *file = json_object_get_string(val);
    if (flag == NULL || o->kind == OPT_RUNTIMES)
        return;
    if (find_inner(key) != NULL) {
        flag = registry_proxy_shown(flag, a);
        file = registry_proxy_shown(file, a);
    }
    buf_printf(out, "%s%s: (from flag: %s, from file: %s)", out->n > 0 ? ", " : "", key, flag,
               file);
}

/* Nothing may be said twice; runtimes are put together. */
static int check_twice(struct json_object *doc, const char *const *from_flag, struct err *e)
{
    auto_buf struct buf twice = BUF_MAX(1000);
    each_key(doc, tell_twice, from_flag, &twice);
    if (twice.n == 0)
        return 0;
    return err_set(e, ERR_INVALID,
                   "the following directives are specified both as a flag and in the configuration "
                   "file: %s",
                   buf_cstr(&twice));
}

static int read_document(struct daemon_config *c, struct json_object *doc,
                         const char *const *from_flag, struct err *e)
{
    if (!json_object_is_type(doc, json_type_object))
        return err_set(e, ERR_INVALID, "expected an object");
    TRY(check_keys(doc, e));
    TRY(check_twice(doc, from_flag, e));
    struct json_object_iter it;
    json_object_object_foreachC(doc, it)
    {
        const struct daemon_option *o = find_key(it.key);
        if (o->state == OPT_MISSING)
            return err_set(e, ERR_UNIMPLEMENTED, "%s is not supported", it.key);
        if (o->state == OPT_WORKS)
            TRY(set_value(c, o, it.val, e));
        else
            log_warn("this option has no effect", "option", it.key, NULL);
    }
    return 0;
}

static int parse(struct daemon_config *c, const struct buf *text, const char *const *from_flag,
                 struct err *e)
{
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *doc = json_tokener_parse_ex(tok, buf_cstr(text), (int)text->n + 1);
    int r = json_tokener_get_error(tok) != json_tokener_success
                ? err_set(e, ERR_INVALID, "%s at byte %zu",
                          json_tokener_error_desc(json_tokener_get_error(tok)),
                          json_tokener_get_parse_end(tok))
                : read_document(c, doc, from_flag, e);
    json_object_put(doc);
    json_tokener_free(tok);
    return r;
}

int daemon_config_load(struct daemon_config *c, const char *const *from_flag, struct err *e)
{
    const char *path = c->config_file != NULL ? c->config_file : DEFAULT_FILE;
    auto_buf struct buf text = BUF_MAX(FILE_MAX);

    if (file_read(AT_FDCWD, path, &text, e) < 0) {
        if (e->kind == ERR_NOT_FOUND && c->config_file == NULL) {
            err_clear(e);
            return 0; /* only a file that was named must be there */
        }
    } else if (str_trim((struct str){text.p, text.n}).n == 0 ||
               parse(c, &text, from_flag, e) == 0) {
        return 0; /* dockerd takes an empty file as well */
    }
    return err_wrap(e, "unable to configure the Docker daemon with file %s", path);
}
