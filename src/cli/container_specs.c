/* The little languages inside run's flags: ports, --mount, environment files. */
#include <fcntl.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/units.h"
#include "cli/container_opts.h"
#include "sys/path.h"

#define FILE_MAX (1u << 20)
#define PORT_RANGE_MAX 65535

struct range {
    int64_t first, last;
};

static bool range_parse(struct str s, struct range *out)
{
    struct str last = s, first = str_cut(&last, '-');
    if (!str_to_i64(first, 1, PORT_RANGE_MAX, &out->first))
        return false;
    out->last = out->first;
    if (str_index(s, '-') >= 0 && !str_to_i64(last, 1, PORT_RANGE_MAX, &out->last))
        return false;
    return out->last >= out->first;
}

static int add_binding(struct cli *cli, struct container_create *cfg, const char *port,
                       const struct port_binding *b)
{
    if (!strv_has(&cfg->config.exposed_ports, port))
        vec_push_in(cli->arena, &cfg->config.exposed_ports, (char *)(uintptr_t)port);
    vec_each(ent, &cfg->host->port_bindings) {
        if (strcmp(ent->key, port) == 0) {
            vec_push_in(cli->arena, &ent->val, *b);
            return 0;
        }
    }
    __typeof__(cfg->host->port_bindings.v) ent = vec_add_in(cli->arena, &cfg->host->port_bindings);
    ent->key = port;
    vec_push_in(cli->arena, &ent->val, *b);
    return 0;
}

/* [ip:][host[-host]:]container[-container][/proto]; ip may stand in brackets */
int port_spec_add(struct cli *cli, const char *spec, struct container_create *cfg, struct err *e)
{
    struct str proto = str_of(spec), addr = str_cut(&proto, '/');
    struct str inside_s = str_cut_last(&addr, ':'), host_s = STR(""), ip = STR("");
    struct range inside, host = {0, 0};
    if (addr.n > 0 || str_of(spec).p[0] == ':') {
        host_s = addr;
        ptrdiff_t colon = -1;
        if (!str_ends(addr, "]"))
            for (size_t i = addr.n; i > 0 && colon < 0; i--)
                if (addr.p[i - 1] == ':')
                    colon = (ptrdiff_t)i - 1;
        if (colon >= 0) {
            ip = (struct str){addr.p, (size_t)colon};
            host_s = (struct str){addr.p + colon + 1, addr.n - (size_t)colon - 1};
        }
    }
    if (ip.n > 1 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
        ip = (struct str){ip.p + 1, ip.n - 2};
    if (proto.n == 0)
        proto = STR("tcp");
    if (!str_ieq(proto, "tcp") && !str_ieq(proto, "udp") && !str_ieq(proto, "sctp"))
        return err_set(e, ERR_INVALID, "invalid proto: %.*s", STR_ARG(proto));
    if (inside_s.n == 0)
        return err_set(e, ERR_INVALID, "no port specified: %s<empty>", spec);
    if (!range_parse(inside_s, &inside))
        return err_set(e, ERR_INVALID, "invalid containerPort: %.*s", STR_ARG(inside_s));
    if (host_s.n > 0 && !range_parse(host_s, &host))
        return err_set(e, ERR_INVALID, "invalid hostPort: %.*s", STR_ARG(host_s));
    int64_t n_in = inside.last - inside.first, n_host = host.last - host.first;
    if (host_s.n > 0 && n_in != n_host && n_in != 0)
        return err_set(e, ERR_INVALID,
                       "invalid ranges specified for container and host Ports: %.*s and %.*s",
                       STR_ARG(inside_s), STR_ARG(host_s));
    for (int64_t i = 0; i <= n_in; i++) {
        const char *port =
            arena_printf(cli->arena, "%lld/%.*s", (long long)inside.first + i, STR_ARG(proto));
        struct port_binding b = {.host_ip = arena_strndup(cli->arena, ip.p, ip.n), .host_port = ""};
        if (host_s.n > 0 && n_in == n_host)
            b.host_port = arena_printf(cli->arena, "%lld", (long long)host.first + i);
        else if (host_s.n > 0) /* one port inside, a range outside: any free one of it */
            b.host_port = arena_strndup(cli->arena, host_s.p, host_s.n);
        add_binding(cli, cfg, port, &b);
    }
    return 0;
}

static bool true_word(struct str v)
{
    return v.n == 0 || str_eq(v, "true") || str_eq(v, "1");
}

struct mount_key {
    const char *name;
    void (*set)(struct cli *cli, struct mount_spec *m, const char *value);
};

static void set_type(struct cli *cli, struct mount_spec *m, const char *v)
{
    (void)cli;
    m->type = v;
}

static void set_source(struct cli *cli, struct mount_spec *m, const char *v)
{
    m->source = v;
    if (v[0] == '.') {
        auto_free char *full = realpath(v, NULL);
        if (full != NULL)
            m->source = arena_strdup(cli->arena, full);
    }
}

static void set_target(struct cli *cli, struct mount_spec *m, const char *v)
{
    (void)cli;
    m->target = v;
}

static void set_readonly(struct cli *cli, struct mount_spec *m, const char *v)
{
    (void)cli;
    m->read_only = true_word(str_of(v));
}

static struct mount_bind_options *bind_of(struct cli *cli, struct mount_spec *m)
{
    if (m->bind == NULL)
        m->bind = ARENA_NEW(cli->arena, struct mount_bind_options);
    return m->bind;
}

static struct mount_volume_options *volume_of(struct cli *cli, struct mount_spec *m)
{
    if (m->volume == NULL)
        m->volume = ARENA_NEW(cli->arena, struct mount_volume_options);
    return m->volume;
}

static struct mount_tmpfs_options *tmpfs_of(struct cli *cli, struct mount_spec *m)
{
    if (m->tmpfs == NULL)
        m->tmpfs = ARENA_NEW(cli->arena, struct mount_tmpfs_options);
    return m->tmpfs;
}

static void set_propagation(struct cli *cli, struct mount_spec *m, const char *v)
{
    bind_of(cli, m)->propagation = v;
}

static void set_create(struct cli *cli, struct mount_spec *m, const char *v)
{
    bind_of(cli, m)->create_mountpoint = true_word(str_of(v));
}

static void set_nocopy(struct cli *cli, struct mount_spec *m, const char *v)
{
    volume_of(cli, m)->no_copy = true_word(str_of(v));
}

static void set_subpath(struct cli *cli, struct mount_spec *m, const char *v)
{
    volume_of(cli, m)->subpath = v;
}

static void set_label(struct cli *cli, struct mount_spec *m, const char *v)
{
    struct str val = str_of(v), key = str_cut(&val, '=');
    auto_free char *k = str_dup(key), *x = str_dup(val);
    strmap_set(&volume_of(cli, m)->labels, cli->arena, k, x);
}

static struct mount_driver *driver_of(struct cli *cli, struct mount_spec *m)
{
    if (volume_of(cli, m)->driver == NULL)
        m->volume->driver = ARENA_NEW(cli->arena, struct mount_driver);
    return m->volume->driver;
}

static void set_driver(struct cli *cli, struct mount_spec *m, const char *v)
{
    driver_of(cli, m)->name = v;
}

static void set_driver_opt(struct cli *cli, struct mount_spec *m, const char *v)
{
    struct str val = str_of(v), key = str_cut(&val, '=');
    auto_free char *k = str_dup(key), *x = str_dup(val);
    strmap_set(&driver_of(cli, m)->options, cli->arena, k, x);
}

static void set_size(struct cli *cli, struct mount_spec *m, const char *v)
{
    if (!bytes_parse(v, &tmpfs_of(cli, m)->size_bytes))
        m->tmpfs->size_bytes = -1; /* refused below */
}

static void set_mode(struct cli *cli, struct mount_spec *m, const char *v)
{
    char *end;
    tmpfs_of(cli, m)->mode = (int64_t)strtoul(v, &end, 8);
    if (*end != '\0' || *v == '\0')
        m->tmpfs->mode = -1;
}

static const struct mount_key mount_keys[] = {
    {"type", set_type},
    {"source", set_source},
    {"src", set_source},
    {"target", set_target},
    {"dst", set_target},
    {"destination", set_target},
    {"readonly", set_readonly},
    {"ro", set_readonly},
    {"bind-propagation", set_propagation},
    {"bind-create-mountpoint", set_create},
    {"volume-nocopy", set_nocopy},
    {"volume-subpath", set_subpath},
    {"volume-label", set_label},
    {"volume-driver", set_driver},
    {"volume-opt", set_driver_opt},
    {"tmpfs-size", set_size},
    {"tmpfs-mode", set_mode},
};

int mount_spec_parse(struct cli *cli, const char *text, struct mount_spec *out, struct err *e)
{
    *out = (struct mount_spec){.type = "volume"};
    for (struct str rest = str_of(text); rest.n > 0;) {
        struct str field = str_cut(&rest, ','), val = field, key = str_cut(&val, '=');
        size_t i = 0;
        while (i < ARRAY_LEN(mount_keys) && !str_ieq(key, mount_keys[i].name))
            i++;
        if (i == ARRAY_LEN(mount_keys))
            return err_set(
                e, ERR_INVALID,
                "invalid argument \"%s\" for \"--mount\" flag: unexpected key '%.*s' in '%.*s'",
                text, STR_ARG(key), STR_ARG(field));
        mount_keys[i].set(cli, out, arena_strndup(cli->arena, val.p, val.n));
    }
    if (out->target == NULL || *out->target == '\0')
        return err_set(e, ERR_INVALID,
                       "invalid argument \"%s\" for \"--mount\" flag: target is required", text);
    if (out->tmpfs != NULL && (out->tmpfs->size_bytes < 0 || out->tmpfs->mode < 0))
        return err_set(e, ERR_INVALID,
                       "invalid argument \"%s\" for \"--mount\" flag: invalid value for tmpfs-%s",
                       text, out->tmpfs->mode < 0 ? "mode" : "size");
    bool tmpfs = strcmp(out->type, "tmpfs") == 0, bind = strcmp(out->type, "bind") == 0;
    if ((out->bind != NULL && !bind) || (out->tmpfs != NULL && !tmpfs) ||
        (out->volume != NULL && (bind || tmpfs)))
        return err_set(e, ERR_INVALID, "cannot mix '%s-*' options with mount type '%s'",
                       out->bind != NULL    ? "bind"
                       : out->tmpfs != NULL ? "tmpfs"
                                            : "volume",
                       out->type);
    return 0;
}

/* NAME=value as it is; a bare NAME gets the client's value, or stays bare */
static void env_add(struct cli *cli, const char *line, bool keep_bare, struct strv *out)
{
    if (strchr(line, '=') == NULL) {
        const char *own = getenv(line); /* NOLINT(concurrency-mt-unsafe): one thread */
        if (own != NULL)
            line = arena_printf(cli->arena, "%s=%s", line, own);
        else if (!keep_bare)
            return;
    }
    vec_push_in(cli->arena, out, arena_strdup(cli->arena, line));
}

static int env_file(struct cli *cli, const char *path, struct strv *out, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(FILE_MAX);
    if (file_read(AT_FDCWD, path, &text, e) < 0)
        return err_set(e, ERR_INVALID, "open %s: no such file or directory", path);
    struct str rest = str_of(buf_cstr(&text));
    if (str_starts(rest, "\xef\xbb\xbf"))
        rest = (struct str){rest.p + 3, rest.n - 3};
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        while (line.n > 0 && strchr(" \t", line.p[0]) != NULL)
            line = (struct str){line.p + 1, line.n - 1};
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        struct str val = line, name = str_cut(&val, '=');
        if (name.n == 0)
            return err_set(e, ERR_INVALID,
                           "invalid environment file: %s: no variable name on line '%.*s'", path,
                           STR_ARG(line));
        if (memchr(name.p, ' ', name.n) != NULL || memchr(name.p, '\t', name.n) != NULL)
            return err_set(e, ERR_INVALID,
                           "invalid environment file: %s: variable '%.*s' contains whitespaces",
                           path, STR_ARG(name));
        auto_free char *copy = str_dup(line);
        env_add(cli, copy, false, out);
    }
    return 0;
}

int env_read(struct cli *cli, const struct strv *files, const struct strv *vars, struct strv *out,
             struct err *e)
{
    for (size_t i = 0; i < files->n; i++)
        TRY(env_file(cli, files->v[i], out, e));
    for (size_t i = 0; i < vars->n; i++) {
        if (vars->v[i][0] == '=' || vars->v[i][0] == '\0')
            return err_set(e, ERR_INVALID, "invalid environment variable: %s", vars->v[i]);
        env_add(cli, vars->v[i], true, out);
    }
    return 0;
}
