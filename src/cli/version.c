/* hull version. */
#include <json-c/json.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/table.h"
#include "types/oci_image.h"
#include "types/system.h"

struct version_opts {
    const char *format;
};

static void add(struct json_object *o, const char *key, const char *val)
{
    json_object_object_add(o, key, json_object_new_string(val));
}

static struct json_object *client_json(struct cli *cli, const char *api)
{
    struct json_object *o = json_object_new_object(), *platform = json_object_new_object();
    add(platform, "Name", "Hull");
    json_object_object_add(o, "Platform", platform);
    add(o, "Version", HULL_VERSION);
    add(o, "ApiVersion", api);
    add(o, "DefaultAPIVersion", CLI_API_MAX);
    add(o, "Os", "linux");
    add(o, "Arch", oci_host_architecture(cli->arena));
    add(o, "Context", cli->context);
    return o;
}

static void line(struct buf *b, const char *label, const char *value)
{
    if (value != NULL)
        buf_printf(b, " %s:\t%s\n", label, value);
}

static void client_text(struct cli *cli, const char *api, struct buf *b)
{
    buf_adds(b, "Client: Hull\n");
    line(b, "Version", HULL_VERSION);
    if (api_version_below(api, CLI_API_MAX))
        buf_printf(b, " API version:\t%s (downgraded from %s)\n", api, CLI_API_MAX);
    else
        line(b, "API version", api);
    buf_printf(b, " OS/Arch:\tlinux/%s\n", oci_host_architecture(cli->arena));
    line(b, "Context", cli->context);
}

static const struct {
    const char *key, *label;
} engine_details[] = {
    {"GoVersion", "Go version"}, {"GitCommit", "Git commit"}, {"BuildTime", "Built"}};

static void engine_text(const struct version_component *c, struct buf *b)
{
    const struct strmap *d = &c->details;
    const char *os = strmap_get(d, "Os"), *machine = strmap_get(d, "Arch"),
               *api = strmap_get(d, "ApiVersion"), *min = strmap_get(d, "MinAPIVersion"),
               *experimental = strmap_get(d, "Experimental");
    buf_printf(b, "  Version:\t%s\n", c->version);
    buf_printf(b, "  API version:\t%s (minimum version %s)\n", api ? api : "", min ? min : "");
    for (size_t i = 0; i < ARRAY_LEN(engine_details); i++) {
        const char *v = strmap_get(d, engine_details[i].key);
        if (v != NULL && *v != '\0')
            buf_printf(b, "  %s:\t%s\n", engine_details[i].label, v);
    }
    buf_printf(b, "  OS/Arch:\t%s/%s\n", os ? os : "", machine ? machine : "");
    buf_printf(b, "  Experimental:\t%s\n", experimental ? experimental : "false");
}

static void server_text(const struct system_version *v, struct buf *b)
{
    bool named = v->platform.name != NULL && *v->platform.name != '\0';
    buf_printf(b, "\nServer:%s%s\n", named ? " " : "", named ? v->platform.name : "");
    for (size_t i = 0; i < v->components.n; i++) {
        const struct version_component *c = &v->components.v[i];
        buf_printf(b, " %s:\n", c->name);
        if (strcmp(c->name, "Engine") == 0) {
            engine_text(c, b);
            continue;
        }
        buf_printf(b, "  Version:\t%s\n", c->version);
        vec_each(d, &c->details)
            buf_printf(b, "  %s:\t%s\n", d->key, d->val);
    }
}

static int show_template(struct call *c, const char *format, const char *raw, struct err *e)
{
    struct json_object *data = json_object_new_object();
    json_object_object_add(data, "Client", client_json(c->cli, c->cli->version));
    json_object_object_add(data, "Server", raw != NULL ? json_tokener_parse(raw) : NULL);
    int rc = print_object(c, format, data, e);
    json_object_put(data);
    return rc;
}

static int version_run(struct call *c, struct err *e)
{
    const struct version_opts *o = c->opts;
    auto_buf struct buf raw = BUF_MAX(CLI_BODY_MAX), text = BUF_MAX(1 << 20),
                        laid = BUF_MAX(1 << 20);
    struct system_version v;
    int rc = cli_raw(c->cli, "/version", &raw, e);
    if (o->format != NULL) {
        if (rc == 0)
            return show_template(c, o->format, raw.p, e);
        struct err later = {0};
        TRY(show_template(c, o->format, NULL, &later));
        return -1;
    }
    client_text(c->cli, c->cli->version[0] != '\0' ? c->cli->version : CLI_API_MAX, &text);
    if (rc == 0)
        rc = json_parse(&system_version_json, &v, buf_cstr(&raw), raw.n, c->cli->arena, e);
    if (rc == 0)
        server_text(&v, &text);
    tab_layout(buf_cstr(&text), 20, &laid);
    put(buf_cstr(&laid));
    return rc;
}

static const struct flag table[] = {
    {"format", 'f', FLAG_STR, offsetof(struct version_opts, format), NULL,
     "Format output using a custom template: 'json' or 'TEMPLATE'"},
};
static const struct flag_set flags = FLAGS(table);

const struct command cmd_version = {
    .name = "version",
    .usage = "[OPTIONS]",
    .help = "Show the Hull version information",
    .opts_size = sizeof(struct version_opts),
    .flags = &flags,
    .run = version_run,
};
