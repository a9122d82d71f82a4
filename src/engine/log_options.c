/* Options of logs: see log_options.h. */
#include "engine/log_options.h"

#include <json-c/json.h>
#include <unistd.h>

#include "base/goregex.h"
#include "base/str.h"
#include "base/units.h"
#include "template/template.h"

enum { SHORT_ID = 12, FILES_MAX = 1000, BUFFER_DEFAULT = 1 << 20 };

/* ---- at create ---- */

static const char *const json_file_opts[] = {"max-size",       "max-file",
                                             "compress",       "labels",
                                             "labels-regex",   "env",
                                             "env-regex",      "tag",
                                             "mode",           "max-buffer-size",
                                             "cache-disabled", "cache-max-size",
                                             "cache-max-file", "cache-compress"};

/* out_buffer: as log_uri's max_buffer_size. */
static int read_mode(const struct strmap *o, int64_t *out_buffer, struct err *e)
{
    const char *mode = strmap_get(o, "mode"), *size = strmap_get(o, "max-buffer-size");
    bool waits = mode == NULL || mode[0] == '\0' || strcmp(mode, "blocking") == 0;
    int64_t bytes = BUFFER_DEFAULT;

    if (!waits && strcmp(mode, "non-blocking") != 0)
        return err_set(e, ERR_INVALID, "logger: logging mode not supported: %s", mode);
    if (size != NULL && waits)
        return err_set(e, ERR_INVALID,
                       "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    if (size != NULL && !bytes_parse(size, &bytes))
        return err_set(e, ERR_INVALID, "error parsing option max-buffer-size: invalid size: '%s'",
                       size);
    *out_buffer = waits ? 0 : MAX(bytes, (int64_t)1);
    return 0;
}

int log_options_check(const struct log_config *l, struct err *e)
{
    const char *cache = strmap_get(&l->config, "cache-disabled");
    int64_t buffer;
    bool ignored;

    if (strcmp(l->type, "none") == 0)
        return 0;
    if (strcmp(l->type, "json-file") != 0)
        return err_set(e, ERR_INVALID, "logger: no log driver named '%s' is registered", l->type);
    vec_each(o, &l->config) {
        bool known = false;

        for (size_t i = 0; i < ARRAY_LEN(json_file_opts); i++)
            known |= strcmp(o->key, json_file_opts[i]) == 0;
        if (!known)
            return err_set(e, ERR_INVALID, "unknown log opt '%s' for json-file log driver", o->key);
    }
    if (cache != NULL && !bool_parse(cache, &ignored))
        return err_set(e, ERR_INVALID, "invalid value for option cache-disabled: %s", cache);
    return read_mode(&l->config, &buffer, e);
}

/* ---- the attributes of records ---- */

#define LOG_ATTRIBUTES(T, F) F(T, map, v, "v", 0)
JSON_TYPE(log_attributes, LOG_ATTRIBUTES)
JSON_DESC(log_attributes, LOG_ATTRIBUTES)

/* What a tag's template may name: the methods and the fields of moby's logger.Info. */
#define LOG_INFO(T, F)                                       \
    F(T, str, id, "ID", 0)                                   \
    F(T, str, full_id, "FullID", 0)                          \
    F(T, str, name, "Name", 0)                               \
    F(T, str, image_id, "ImageID", 0)                        \
    F(T, str, image_full_id, "ImageFullID", 0)               \
    F(T, str, image_name, "ImageName", 0)                    \
    F(T, str, command, "Command", 0)                         \
    F(T, str, daemon_name, "DaemonName", 0)                  \
    F(T, str, hostname, "Hostname", 0)                       \
    F(T, str, container_id, "ContainerID", 0)                \
    F(T, str, container_name, "ContainerName", 0)            \
    F(T, str, entrypoint, "ContainerEntrypoint", 0)          \
    F(T, strv, args, "ContainerArgs", JSON_EMPTY)            \
    F(T, str, container_image, "ContainerImageID", 0)        \
    F(T, str, container_image_name, "ContainerImageName", 0) \
    F(T, strv, env, "ContainerEnv", JSON_EMPTY)              \
    F(T, map, labels, "ContainerLabels", JSON_EMPTY)         \
    F(T, str, log_path, "LogPath", 0)                        \
    F(T, map, config, "Config", JSON_EMPTY)
JSON_TYPE(log_info, LOG_INFO)
JSON_DESC(log_info, LOG_INFO)

static struct json_object *tag_data(const struct container_record *rec, struct arena *a)
{
    char host[256] = "";
    auto_buf struct buf command = BUF_MAX(LOG_ATTRS_MAX), text = BUF_MAX(1 << 20);
    struct log_info i = {
        .id = arena_strndup(a, rec->id, SHORT_ID),
        .full_id = rec->id,
        .name = rec->name,
        .image_id = arena_strndup(a, rec->image_id, SHORT_ID),
        .image_full_id = rec->image_id,
        .image_name = rec->config.image,
        .daemon_name = "docker",
        .hostname = host,
        .container_id = rec->id,
        .container_name = arena_printf(a, "/%s", rec->name),
        .entrypoint = rec->args.n > 0 ? rec->args.v[0] : "",
        .container_image = rec->image_id,
        .container_image_name = rec->config.image,
        .env = rec->config.env,
        .labels = rec->config.labels,
        .log_path = rec->log_path,
        .config = rec->host.log.config,
    };

    (void)gethostname(host, sizeof(host) - 1); /* empty then */
    vec_each(word, &rec->args) {
        if (word > rec->args.v) {
            vec_push_in(a, &i.args, *word);
            buf_addc(&command, ' ');
        }
        buf_adds(&command, *word);
    }
    i.command = arena_strdup(a, buf_cstr(&command));
    json_write(&log_info_json, &i, &text);
    return text.over ? NULL : json_tokener_parse(buf_cstr(&text));
}

static int add_tag(const struct container_record *rec, struct strmap *attrs, struct arena *a,
                   struct err *e)
{
    static const struct template_opts strict = {.missing_error = true};
    const char *text = strmap_get(&rec->host.log.config, "tag");
    auto_template struct template *t = NULL;
    auto_buf struct buf out = BUF_MAX(LOG_ATTRS_MAX);

    if (text == NULL || text[0] == '\0')
        return 0;
    TRY(template_parse(text, &t, e));
    struct json_object *data = tag_data(rec, a);
    int r = template_exec(t, data, &strict, &out, e);
    json_object_put(data);
    TRY(r);
    if (out.n > 0)
        strmap_set(attrs, a, "tag", buf_cstr(&out));
    return 0;
}

/* "a,b" names keys; the expression finds others. */
struct chosen {
    const char *names;
    regex_t re;
    bool has_re;
};

static int chosen_init(struct chosen *c, const struct strmap *o, const char *names, const char *re,
                       struct err *e)
{
    const char *pattern = strmap_get(o, re);

    *c = (struct chosen){.names = strmap_get(o, names)};
    if (pattern == NULL || pattern[0] == '\0')
        return 0;
    TRY(go_regex_compile(pattern, &c->re, e));
    c->has_re = true;
    return 0;
}

static bool is_chosen(const struct chosen *c, const char *key)
{
    for (struct str rest = str_of(c->names); rest.n > 0;)
        if (str_eq(str_trim(str_cut(&rest, ',')), key))
            return true;
    return c->has_re && regexec(&c->re, key, 0, NULL, 0) == 0;
}

static void chosen_done(struct chosen *c)
{
    if (c->has_re)
        regfree(&c->re);
}

static int add_labels(const struct container_record *rec, struct strmap *attrs, struct arena *a,
                      struct err *e)
{
    struct chosen c;

    TRY(chosen_init(&c, &rec->host.log.config, "labels", "labels-regex", e));
    vec_each(l, &rec->config.labels)
        if (is_chosen(&c, l->key))
            strmap_set(attrs, a, l->key, l->val);
    chosen_done(&c);
    return 0;
}

static int add_env(const struct container_record *rec, struct strmap *attrs, struct arena *a,
                   struct err *e)
{
    struct chosen c;

    TRY(chosen_init(&c, &rec->host.log.config, "env", "env-regex", e));
    vec_each(v, &rec->config.env) {
        struct str value = str_of(*v), name = str_cut(&value, '=');
        const char *key = arena_strndup(a, name.p, name.n);

        if (is_chosen(&c, key))
            strmap_set(attrs, a, key, value.n > 0 ? value.p : "");
    }
    chosen_done(&c);
    return 0;
}

static int read_attrs(const struct container_record *rec, struct arena *a, const char **out,
                      struct err *e)
{
    struct log_attributes attrs = {0};
    auto_buf struct buf text = BUF_MAX(LOG_ATTRS_MAX);

    TRY(add_labels(rec, &attrs.v, a, e));
    TRY(add_env(rec, &attrs.v, a, e));
    TRY(add_tag(rec, &attrs.v, a, e));
    if (attrs.v.n == 0)
        return 0;
    json_write(&log_attributes_json, &attrs, &text);
    if (text.over)
        return err_set(e, ERR_TOO_LARGE, "the attributes of each record exceed %zu bytes",
                       LOG_ATTRS_MAX);
    *out = arena_strndup(a, text.p + strlen("{\"v\":"), text.n - strlen("{\"v\":}"));
    return 0;
}

/* ---- at start ---- */

static int read_rotation(const struct strmap *o, struct log_uri *out, struct err *e)
{
    const char *size = strmap_get(o, "max-size"), *files = strmap_get(o, "max-file"),
               *compress = strmap_get(o, "compress");

    if (size != NULL && !bytes_parse_decimal(size, &out->max_size))
        return err_set(e, ERR_INVALID, "invalid size: '%s'", size);
    if (out->max_size == 0)
        return err_set(e, ERR_INVALID, "max-size must be a positive number");
    if (files != NULL && !str_to_i64(str_of(files), INT64_MIN, INT64_MAX, &out->max_file))
        return err_set(e, ERR_INVALID, "strconv.Atoi: parsing \"%s\": invalid syntax", files);
    if (out->max_file < 1)
        return err_set(e, ERR_INVALID, "max-file cannot be less than 1");
    if (out->max_file > FILES_MAX)
        return err_set(e, ERR_INVALID, "max-file cannot be more than %d", FILES_MAX);
    if (compress != NULL && !bool_parse(compress, &out->compress))
        return err_set(e, ERR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax",
                       compress);
    if (out->compress && (out->max_file < 2 || out->max_size < 0))
        return err_set(e, ERR_INVALID,
                       "compress cannot be true when max-file is less than 2 or max-size is not "
                       "set");
    return 0;
}

int log_options_read(const struct container_record *rec, struct arena *a, struct log_uri *out,
                     struct err *e)
{
    const struct log_config *l = &rec->host.log;

    out->driver = l->type;
    if (strcmp(l->type, "json-file") != 0)
        return 0;
    out->path = rec->log_path;
    if (read_rotation(&l->config, out, e) < 0 ||
        read_mode(&l->config, &out->max_buffer_size, e) < 0 ||
        read_attrs(rec, a, &out->attrs, e) < 0)
        return err_wrap(e, "failed to initialize logging driver");
    return 0;
}
