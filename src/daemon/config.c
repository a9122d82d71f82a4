/* Flags on the command line, and what holds when nothing was said. */
#include "daemon/config.h"

#include "base/log.h"

struct parser {
    struct daemon_config *c;
    const char *given[DAEMON_OPTIONS_MAX]; /* the flag's text, by option; NULL: not given */
};

static const struct daemon_option *find_long(struct str name)
{
    for (size_t i = 0; i < n_daemon_options; i++)
        if ((daemon_options[i].where & OPT_FLAG) != 0 && str_eq(name, daemon_options[i].flag))
            return &daemon_options[i];
    return NULL;
}

static const struct daemon_option *find_short(char c)
{
    for (size_t i = 0; i < n_daemon_options; i++)
        if (c != '\0' && daemon_options[i].shorthand == c)
            return &daemon_options[i];
    return NULL;
}

static int take(struct parser *p, const struct daemon_option *o, const char *text, struct err *e)
{
    if (o->state == OPT_MISSING)
        return err_set(e, ERR_UNIMPLEMENTED, "--%s is not supported", o->flag);
    if (o->state == OPT_IDLE)
        log_warn("this option has no effect", "option", o->flag, NULL);
    p->given[o - daemon_options] = text;
    return daemon_option_set(p->c, o, text, e);
}

/* "--name", "--name=value", "--name value". Returns how many arguments it took. */
static int take_long(struct parser *p, char **argv, struct err *e)
{
    struct str value = str_of(argv[0] + 2), name = str_cut(&value, '=');
    const struct daemon_option *o = find_long(name);
    bool has_value = strchr(argv[0], '=') != NULL;

    if (o == NULL)
        return err_set(e, ERR_INVALID, "unknown flag: --%.*s", (int)MIN(name.n, 200), name.p);
    if (has_value)
        return take(p, o, value.p, e) < 0 ? -1 : 1;
    if (o->kind == OPT_BOOL)
        return take(p, o, "true", e) < 0 ? -1 : 1;
    if (argv[1] == NULL)
        return err_set(e, ERR_INVALID, "flag needs an argument: --%s", o->flag);
    return take(p, o, argv[1], e) < 0 ? -1 : 2;
}

/* "-D", "-H value", "-Hvalue", "-H=value", and "-DH value". */
static int take_short(struct parser *p, char **argv, struct err *e)
{
    for (const char *at = argv[0] + 1; *at != '\0'; at++) {
        const struct daemon_option *o = find_short(*at);
        if (o == NULL)
            return err_set(e, ERR_INVALID, "unknown shorthand flag: '%c' in %.200s", *at, argv[0]);
        const char *rest = at[1] == '=' ? at + 2 : at + 1;
        if (o->kind == OPT_BOOL && at[1] != '=') {
            TRY(take(p, o, "true", e));
            continue;
        }
        if (at[1] != '\0')
            return take(p, o, rest, e) < 0 ? -1 : 1;
        if (argv[1] == NULL)
            return err_set(e, ERR_INVALID, "flag needs an argument: '%c' in -%c", *at, *at);
        return take(p, o, argv[1], e) < 0 ? -1 : 2;
    }
    return 1;
}

static int parse_flags(struct parser *p, int argc, char **argv, struct err *e)
{
    for (int i = 1; i < argc;) {
        const char *a = argv[i];
        int took = strncmp(a, "--", 2) == 0 && a[2] != '\0' ? take_long(p, argv + i, e)
                   : a[0] == '-' && a[1] != '\0' && a[1] != '-'
                       ? take_short(p, argv + i, e)
                       : err_set(e, ERR_INVALID, "\"hulld\" accepts no arguments: %.200s", a);
        if (took < 0)
            return -1;
        i += took;
    }
    return 0;
}

static const char *or_else(const char *given, const char *fallback)
{
    return given != NULL && given[0] != '\0' ? given : fallback;
}

static void set_defaults(struct daemon_config *c)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): main, no other thread yet */
    const char *verify = getenv("DOCKER_TLS_VERIFY");
    c->tlsverify = verify != NULL && verify[0] != '\0';
    c->icc = c->ip_masq = c->ip_forward = c->iptables = true;
    c->stop_timeout_s = 10;
    c->shutdown_timeout_s = 15;
    c->shm_bytes = 64 << 20;
}

/* daemon.json and flags come before the environment, as in dockerd. */
static void fill_in_proxies(struct registry_settings *r)
{
    const char **const values[] = {&r->http_proxy, &r->https_proxy, &r->no_proxy};
    static const char *const names[][2] = {
        {"HTTP_PROXY", "http_proxy"}, {"HTTPS_PROXY", "https_proxy"}, {"NO_PROXY", "no_proxy"}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        for (size_t k = 0; k < 2 && *values[i] == NULL; k++)
            *values[i] = getenv(names[i][k]); /* NOLINT(concurrency-mt-unsafe): main, as below */
}

/* What depends on what was given. */
static void fill_in(struct daemon_config *c)
{
    c->data_root = or_else(c->data_root, "/var/lib/hull");
    c->exec_root = or_else(c->exec_root, "/run/hull");
    c->pidfile = or_else(c->pidfile, "/run/hulld.pid");
    c->containerd_namespace = or_else(c->containerd_namespace, "moby");
    c->log_level = c->debug ? "debug" : or_else(c->log_level, "info");
    if (c->hosts.n == 0)
        vec_push_in(c->arena, &c->hosts, arena_strdup(c->arena, "unix:///var/run/docker.sock"));
    if (c->tlsverify)
        c->tls = true;
    fill_in_proxies(&c->registry);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): main, no other thread yet */
    const char *min = getenv("DOCKER_MIN_API_VERSION");
    c->min_api_version = or_else(min, c->min_api_version);
}

static int check_mirror(const char *url, struct err *e)
{
    const char *end = strstr(url, "://"), *rest = end != NULL ? end + 3 : url;
    if (end == NULL)
        return err_set(e, ERR_INVALID, "invalid mirror: no scheme specified for \"%.200s\"", url);
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return err_set(e, ERR_INVALID, "invalid mirror: unsupported scheme \"%.*s\" in \"%.200s\"",
                       (int)(end - url), url, url);
    if (rest[0] == '\0' || strpbrk(rest, "?#@\" ") != NULL)
        return err_set(e, ERR_INVALID, "invalid mirror: \"%.200s\" is not a valid URI", url);
    return 0;
}

static int check_registry(const struct registry_settings *r, struct err *e)
{
    const struct {
        const char *what;
        int64_t value;
    } numbers[] = {{"concurrent downloads", r->downloads},
                   {"concurrent uploads", r->uploads},
                   {"download attempts", r->attempts}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].value < 0)
            return err_set(e, ERR_INVALID, "invalid max %s: %lld", numbers[i].what,
                           (long long)numbers[i].value);
    return 0;
}

static int check(const struct daemon_config *c, struct err *e)
{
    TRY(check_registry(&c->registry, e));
    vec_each(m, &c->registry_mirrors)
        TRY(check_mirror(*m, e));
    enum log_level level;
    if (!log_level_parse(c->log_level, &level))
        return err_set(e, ERR_INVALID, "invalid logging level: %.200s", c->log_level);
    if (c->mtu < 0)
        return err_set(e, ERR_INVALID, "invalid default MTU: %lld", (long long)c->mtu);
    if (c->shutdown_timeout_s < 0)
        return err_set(e, ERR_INVALID, "invalid shutdown timeout: %lld",
                       (long long)c->shutdown_timeout_s);
    if (c->bip != NULL && c->bridge != NULL)
        return err_set(
            e, ERR_INVALID,
            "you specified -b & --bip, mutually exclusive options. Please specify only one");
    if (!c->iptables && !c->icc)
        return err_set(
            e, ERR_INVALID,
            "you specified --iptables=false with --icc=false. ICC=false uses iptables to "
            "function. Please set --icc or --iptables to true");
    return 0;
}

int daemon_config_read(int argc, char **argv, struct daemon_config *out, struct err *e)
{
    struct parser p = {.c = out};

    *out = (struct daemon_config){.arena = arena_new()};
    set_defaults(out);
    TRY(parse_flags(&p, argc, argv, e));
    if (out->help || out->version)
        return 0;
    TRY(daemon_config_load(out, p.given, e));
    fill_in(out);
    return check(out, e);
}

void daemon_config_done(struct daemon_config *c)
{
    arena_free(c->arena);
    c->arena = NULL;
}
