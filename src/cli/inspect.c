/*
 * hull inspect and its typed forms: what the daemon says of things, as it says it: the answer's own
 * bytes, only indented anew, so that fields this client has never heard of survive.
 */
#include <json-c/json.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/table.h"

#define EXIT_TEMPLATE 64 /* what docker exits with for a bad template here */

struct inspect_opts {
    const char *format, *type, *platform;
    bool size, verbose;
};

/* where each type is asked for, in the order that plain inspect tries */
static const struct kind {
    const char *type, *before, *behind; /* the path around the name */
} kinds[] = {
    {"container", "/containers/", "/json"},
    {"image", "/images/", "/json"},
    {"network", "/networks/", ""},
    {"volume", "/volumes/", ""},
};

static int fetch(struct call *c, const struct kind *k, const char *name, struct buf *out,
                 struct err *e)
{
    const struct inspect_opts *o = c->opts;
    const char *path =
        arena_printf(c->cli->arena, "%s%s%s", k->before, cli_path(c->cli, "%s", name), k->behind);
    if (k == &kinds[0])
        path = cli_query(c->cli, path, "size", o->size ? "1" : NULL);
    const char *platform;
    TRY(cli_platform(c->cli, o->platform, &platform, e));
    path = cli_query(c->cli, path, "platform", platform);
    return cli_raw(c->cli, path, out, e);
}

/* The first type that knows the name. */
static int find(struct call *c, const struct kind *only, const char *name, struct buf *out,
                struct err *e)
{
    if (only != NULL)
        return fetch(c, only, name, out, e);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        buf_reset(out);
        if (fetch(c, &kinds[i], name, out, e) == 0)
            return 0;
        /* a daemon without that kind of thing does not have this one either */
        if (e->kind != ERR_NOT_FOUND && e->kind != ERR_UNIMPLEMENTED)
            return -1;
    }
    return err_set(e, ERR_NOT_FOUND, "error: no such object: %s", name);
}

static int print_template(struct call *c, const struct template *t, const struct buf *text,
                          struct err *e)
{
    auto_buf struct buf out = BUF_MAX(CLI_BODY_MAX);
    struct template_opts o = {.missing_error = true};
    struct json_object *data = json_tokener_parse(buf_cstr(text));
    int rc = template_exec(t, data, &o, &out, e);
    json_object_put(data);
    if (rc < 0) {
        c->status = EXIT_TEMPLATE;
        return err_wrap(e, "template parsing error");
    }
    put_line("%s", buf_cstr(&out));
    return 0;
}

static void print_all(const struct buf *list, bool compact)
{
    auto_buf struct buf out = BUF_MAX(CLI_BODY_MAX);
    json_indent(list->p, list->n, compact ? NULL : "    ", &out);
    put_line("%s", buf_cstr(&out));
}

static int inspect_each(struct call *c, const struct kind *only, struct err *e)
{
    const struct inspect_opts *o = c->opts;
    auto_template struct template *t = NULL;
    bool json = o->format != NULL && strcmp(o->format, "json") == 0;
    if (o->format != NULL && *o->format != '\0' && !json && template_parse(o->format, &t, e) < 0) {
        c->status = EXIT_TEMPLATE;
        return err_wrap(e, "template parsing error");
    }
    auto_buf struct buf list = BUF_MAX(CLI_BODY_MAX), errors = BUF_MAX(1 << 20);
    size_t found = 0;
    buf_addc(&list, '[');
    for (size_t i = 0; i < c->args.n; i++) {
        auto_buf struct buf one = BUF_MAX(CLI_BODY_MAX);
        if (find(c, only, c->args.v[i], &one, e) < 0) {
            buf_printf(&errors, "%s%s", errors.n > 0 ? "\n" : "", e->msg);
            continue;
        }
        found++;
        if (t != NULL)
            TRY(print_template(c, t, &one, e));
        buf_printf(&list, "%s%s", found > 1 ? "," : "", buf_cstr(&one));
    }
    buf_addc(&list, ']');
    if (t == NULL)
        print_all(&list, json);
    else if (found == 0)
        put("\n");
    if (errors.n == 0)
        return 0;
    warn_line("%s", buf_cstr(&errors));
    c->silent = true;
    return -1;
}

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

static int inspect_run(struct call *c, struct err *e)
{
    const struct inspect_opts *o = c->opts;
    const struct kind *only = NULL;
    if (o->type != NULL && *o->type != '\0' && (only = kind_of(o->type)) == NULL)
        return err_set(
            e, ERR_INVALID,
            "\"%s\" is not a valid value for --type; valid are container, image, network, volume",
            o->type);
    return inspect_each(c, only, e);
}

static int container_inspect_run(struct call *c, struct err *e)
{
    return inspect_each(c, &kinds[0], e);
}

static int image_inspect_run(struct call *c, struct err *e)
{
    return inspect_each(c, &kinds[1], e);
}

static int network_inspect_run(struct call *c, struct err *e)
{
    return inspect_each(c, &kinds[2], e);
}

static int volume_inspect_run(struct call *c, struct err *e)
{
    return inspect_each(c, &kinds[3], e);
}

#define OPT(name, letter, kind, member, help)                                        \
    {                                                                                \
        name, letter, FLAG_##kind, offsetof(struct inspect_opts, member), NULL, help \
    }
static const struct flag table[] = {
    OPT("format", 'f', STR, format, "Format output using a custom template: 'json' or 'TEMPLATE'"),
    OPT("size", 's', BOOL, size, "Display total file sizes if the type is container"),
    OPT("type", 0, STR, type, "Only inspect objects of the given type"),
};
static const struct flag image_table[] = {
    OPT("format", 'f', STR, format, "Format output using a custom template: 'json' or 'TEMPLATE'"),
    OPT("platform", 0, STR, platform,
        "Inspect a specific platform of the multi-platform image. If the image or the server is "
        "not "
        "multi-platform capable, the command will error out if the platform does not match. "
        "'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"),
};
static const struct flag plain_table[] = {
    OPT("format", 'f', STR, format, "Format output using a custom template: 'json' or 'TEMPLATE'"),
    OPT("size", 's', BOOL, size, NULL),
    OPT("verbose", 'v', BOOL, verbose, NULL),
};
static const struct flag_set flags = FLAGS(table), plain_flags = FLAGS(plain_table),
                             image_flags = FLAGS(image_table);

#define INSPECT(ident, words, arg, set, what)      \
    const struct command cmd_##ident = {           \
        .name = words,                             \
        .usage = "[OPTIONS] " arg " [" arg "...]", \
        .help = what,                              \
        .min_args = 1,                             \
        .max_args = -1,                            \
        .opts_size = sizeof(struct inspect_opts),  \
        .flags = set,                              \
        .run = ident##_run,                        \
    };
INSPECT(inspect, "inspect", "NAME|ID", &flags, "Return low-level information on objects")
INSPECT(container_inspect, "container inspect", "CONTAINER", &plain_flags,
        "Display detailed information on one or more containers")
INSPECT(image_inspect, "image inspect", "IMAGE", &image_flags,
        "Display detailed information on one or more images")
INSPECT(network_inspect, "network inspect", "NETWORK", &plain_flags,
        "Display detailed information on one or more networks")
INSPECT(volume_inspect, "volume inspect", "VOLUME", &plain_flags,
        "Display detailed information on one or more volumes")
