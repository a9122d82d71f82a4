/*
 * The connection to the daemon: which one, over what, in which API version; and the requests of all
 * commands.
 */
#include "cli/cli.h"

#include <dlfcn.h>
#include <errno.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/config.h"
#include "rpc/tls.h"
#include "sys/path.h"
#include "types/oci_image.h"

#define HULL_SOCKET "/run/hull/hull.sock"
#define DOCKER_SOCKET "/var/run/docker.sock"
#define API_MIN "1.24"

/* Main has read the environment before any thread could exist; this program has one thread. */
static const char *env(const char *name)
{
    const char *v = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
    return v != NULL && *v != '\0' ? v : NULL;
}

static const char *default_host(void)
{
    return access(HULL_SOCKET, F_OK) == 0 ? "unix://" HULL_SOCKET : "unix://" DOCKER_SOCKET;
}

int cli_init(struct cli *c, struct err *e)
{
    c->arena = arena_new();
    bool host_given = c->host != NULL;
    if (c->config_dir == NULL)
        c->config_dir = env("DOCKER_CONFIG");
    if (c->config_dir == NULL)
        c->config_dir =
            arena_printf(c->arena, "%s/.docker", env("HOME") != NULL ? env("HOME") : "/root");
    c->config = config_load(c->config_dir);
    c->auth_config = env("DOCKER_AUTH_CONFIG");
    c->fixed_version = env("DOCKER_API_VERSION");
    if (c->fixed_version != NULL && *c->fixed_version == 'v')
        c->fixed_version++;
    c->tls_verify = c->tls_verify || env("DOCKER_TLS_VERIFY") != NULL;
    c->tls = c->tls || c->tls_verify || env("DOCKER_TLS") != NULL;
    if (host_given && c->context != NULL)
        return err_set(e, ERR_INVALID,
                       "conflicting options: cannot specify both --host and --context");
    if (c->host == NULL && c->context == NULL)
        c->host = env("DOCKER_HOST");
    if (c->host != NULL)
        c->context = "default";
    if (c->context == NULL)
        c->context = env("DOCKER_CONTEXT");
    if (c->context == NULL)
        c->context = cli_config_str(c, "currentContext");
    if (c->context == NULL)
        c->context = "default";
    if (c->host == NULL && strcmp(c->context, "default") != 0)
        TRY(context_load(c, e));
    if (c->host == NULL)
        c->host = default_host();
    const char *certs = env("DOCKER_CERT_PATH");
    if (certs == NULL)
        certs = c->config_dir;
    if (c->tls && c->tls_ca == NULL)
        c->tls_ca = arena_printf(c->arena, "%s/ca.pem", certs);
    if (c->tls && c->tls_cert == NULL)
        c->tls_cert = arena_printf(c->arena, "%s/cert.pem", certs);
    if (c->tls && c->tls_key == NULL)
        c->tls_key = arena_printf(c->arena, "%s/key.pem", certs);
    return 0;
}

void cli_done(struct cli *c)
{
    http_client_free(c->http);
    json_object_put(c->config);
    arena_free(c->arena);
}

/* "1.44" as 1044 */
static unsigned api_number(const char *v)
{
    struct str minor = str_of(v), major = str_cut(&minor, '.');
    uint64_t a = 0, b = 0;
    if (!str_to_u64(major, 0, 99, &a) || !str_to_u64(minor, 0, 999, &b))
        return 0;
    return (unsigned)(a * 1000 + b);
}

bool api_version_below(const char *a, const char *b)
{
    return api_number(a) < api_number(b);
}

typedef int tls_client_fn(const struct tls_opts *o, struct stream_wrap **out, struct err *e);

const char *cli_helper(struct cli *c, const char *name)
{
    auto_free char *path = path_helper(name);
    return access(path, R_OK) == 0 ? arena_strdup(c->arena, path) : NULL;
}

/* OpenSSL is loaded only for daemons behind TLS: it would triple the time that every other command
 * takes to start. */
static int tls_load(struct cli *c, tls_client_fn **out, struct err *e)
{
    const char *path = cli_helper(c, "hull-tls.so");
    void *lib = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
    if (path == NULL)
        return err_set(e, ERR_UNAVAILABLE, "TLS is not available: hull-tls.so is not installed");
    if (lib == NULL)
        return err_set(e, ERR_UNAVAILABLE, "TLS is not available: %s",
                       dlerror()); /* NOLINT(concurrency-mt-unsafe): one thread */
    void *fn = dlsym(lib, "tls_client_new");
    if (fn == NULL)
        return err_set(e, ERR_INTERNAL, "hull-tls.so has no tls_client_new");
    memcpy(out, &fn, sizeof(fn));
    return 0;
}

static const char *readable_or_null(const char *path)
{
    return path != NULL && access(path, R_OK) == 0 ? path : NULL;
}

static int dial_tcp(struct cli *c, const char *rest, struct http_client **out, struct err *e)
{
    struct str host = str_of(rest);
    struct str addr = str_cut(&host, '/'), port = STR("");
    if (str_index(addr, ']') >= 0 ? !str_ends(addr, "]") : str_index(addr, ':') >= 0)
        port = str_cut_last(&addr, ':');
    if (str_starts(addr, "[") && str_ends(addr, "]"))
        addr = (struct str){addr.p + 1, addr.n - 2};
    auto_free char *h = str_dup(addr.n > 0 ? addr : STR("localhost"));
    auto_free char *p = str_dup(port.n > 0 ? port : c->tls ? STR("2376") : STR("2375"));
    struct stream_wrap *wrap = NULL;
    if (c->tls) {
        tls_client_fn *tls_new = NULL;
        struct tls_opts o = {.ca = c->tls_verify ? c->tls_ca : readable_or_null(c->tls_ca),
                             .cert = readable_or_null(c->tls_cert),
                             .key = readable_or_null(c->tls_key),
                             .verify = c->tls_verify};
        TRY(tls_load(c, &tls_new, e));
        TRY(tls_new(&o, &wrap, e));
    }
    *out = http_client_new_tcp(h, p, wrap);
    return 0;
}

int cli_connection(struct cli *c, struct http_client **out, struct err *e)
{
    struct str host = str_of(c->host);
    if (str_starts(host, "unix://")) {
        *out = http_client_new_unix(c->host + strlen("unix://"));
        return 0;
    }
    if (str_starts(host, "tcp://"))
        return dial_tcp(c, c->host + strlen("tcp://"), out, e);
    if (str_starts(host, "ssh://"))
        return err_set(e, ERR_UNIMPLEMENTED, "ssh:// hosts are not supported by hull yet");
    return err_set(e, ERR_INVALID, "unable to parse docker host `%s`", c->host);
}

/* What the user sees when nobody answers. */
static int unreachable(struct cli *c, struct err *e)
{
    if (e->kind == ERR_FORBIDDEN)
        return err_set(
            e, ERR_FORBIDDEN,
            "permission denied while trying to connect to the Docker daemon socket at %s", c->host);
    if (e->kind == ERR_NOT_FOUND || e->kind == ERR_UNAVAILABLE)
        return err_set(e, ERR_UNAVAILABLE,
                       "Cannot connect to the Docker daemon at %s. Is the docker daemon running?",
                       c->host);
    return err_wrap(e, "error during connect");
}

int cli_connect(struct cli *c, struct err *e)
{
    if (c->http != NULL)
        return 0;
    TRY(cli_connection(c, &c->http, e));
    auto_http_resp struct http_resp *r = NULL;
    struct http_call ping = {.method = "GET", .target = "/_ping"};
    if (http_client_call(c->http, &ping, &r, e) < 0) {
        http_client_free(c->http);
        c->http = NULL;
        return unreachable(c, e);
    }
    auto_buf struct buf body = BUF_MAX(65536);
    const char *version = http_resp_head(r, "Api-Version");
    (void)snprintf(c->server_version, sizeof(c->server_version), "%s",
                   *version != '\0' ? version : API_MIN);
    TRY(http_resp_read_all(r, &body, e));
    const char *speak = c->fixed_version;
    if (speak == NULL)
        speak = api_version_below(c->server_version, CLI_API_MAX) ? c->server_version : CLI_API_MAX;
    (void)snprintf(c->version, sizeof(c->version), "%s", speak);
    return 0;
}

int cli_call(struct cli *c, const struct cli_req *rq, struct http_resp **out, struct err *e)
{
    TRY(cli_connect(c, e));
    auto_http_resp struct http_resp *r = NULL;
    struct http_call call = {.method = rq->method,
                             .target = arena_printf(c->arena, "/v%s%s", c->version, rq->path),
                             .headers = rq->headers,
                             .n_headers = rq->n_headers,
                             .type = rq->type,
                             .doc_desc = rq->doc_desc,
                             .doc = rq->doc,
                             .stream_fd = rq->stream_fd,
                             .body_fd = rq->body_fd,
                             .upgrade = rq->upgrade};
    if (http_client_call(rq->via != NULL ? rq->via : c->http, &call, &r, e) < 0)
        return unreachable(c, e);
    if (http_resp_check(r, e) < 0)
        return err_wrap(e, "Error response from daemon");
    *out = TAKE_PTR(r);
    return 0;
}

int cli_send_json(struct cli *c, const char *method, const char *path,
                  const struct json_desc *in_desc, const void *in, const struct json_desc *desc,
                  void *doc, struct err *e)
{
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = method, .path = path, .doc_desc = in_desc, .doc = in};
    TRY(cli_call(c, &rq, &r, e));
    if (desc != NULL)
        return http_resp_json(r, desc, doc, c->arena, e);
    auto_buf struct buf drop = BUF_MAX(CLI_BODY_MAX);
    return http_resp_read_all(r, &drop, e);
}

int cli_json(struct cli *c, const char *method, const char *path, const struct json_desc *desc,
             void *doc, struct err *e)
{
    return cli_send_json(c, method, path, NULL, NULL, desc, doc, e);
}

int cli_raw(struct cli *c, const char *path, struct buf *out, struct err *e)
{
    auto_http_resp struct http_resp *r = NULL;
    struct cli_req rq = {.method = "GET", .path = path};
    TRY(cli_call(c, &rq, &r, e));
    return http_resp_read_all(r, out, e);
}

const char *cli_path(struct cli *c, const char *fmt, ...)
{
    auto_buf struct buf b = BUF_MAX(65536);
    va_list ap;
    va_start(ap, fmt);
    for (; *fmt != '\0'; fmt++) {
        if (fmt[0] == '%' && fmt[1] == 's') {
            http_encode_path(&b, va_arg(ap, const char *));
            fmt++;
        } else {
            buf_addc(&b, *fmt);
        }
    }
    va_end(ap);
    return arena_strdup(c->arena, buf_cstr(&b));
}

const char *cli_query(struct cli *c, const char *path, const char *key, const char *value)
{
    if (value == NULL)
        return path;
    auto_buf struct buf b = BUF_MAX(1 << 20);
    buf_printf(&b, "%s%c%s=", path, strchr(path, '?') == NULL ? '?' : '&', key);
    http_encode_query(&b, value);
    return arena_strdup(c->arena, buf_cstr(&b));
}

int cli_platform(struct cli *cli, const char *text, const char **out, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(4096);
    struct oci_platform p;
    *out = NULL;
    if (text == NULL)
        return 0;
    TRY(oci_platform_parse(text, cli->arena, &p, e));
    json_write(&oci_platform_json, &p, &b);
    *out = arena_strdup(cli->arena, buf_cstr(&b));
    return 0;
}

int cli_filters(struct cli *c, const struct strv *words, const char **out, struct err *e)
{
    *out = NULL;
    if (words->n == 0)
        return 0;
    struct json_object *all = json_object_new_object();
    int rc = 0;
    for (size_t i = 0; i < words->n && rc == 0; i++) {
        struct str value = str_of(words->v[i]);
        if (str_index(value, '=') < 0) {
            rc = err_set(e, ERR_INVALID,
                         "invalid argument \"%s\" for \"-f, --filter\" flag: invalid filter '%s': "
                         "must be in format KEY=VALUE",
                         words->v[i], words->v[i]);
            break;
        }
        auto_free char *key = str_dup(str_trim(str_cut(&value, '=')));
        auto_free char *val = str_dup(str_trim(value));
        struct json_object *values = json_object_object_get(all, key);
        if (values == NULL) {
            values = json_object_new_object();
            json_object_object_add(all, key, values);
        }
        json_object_object_add(values, val, json_object_new_boolean(1));
    }
    if (rc == 0)
        *out = arena_strdup(c->arena,
                            json_object_to_json_string_ext(
                                all, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(all);
    return rc;
}

int cli_moment(struct cli *c, const char *text, const char **out, struct err *e)
{
    int64_t ns, ago;
    *out = NULL;
    if (text == NULL || *text == '\0')
        return 0;
    struct str s = str_of(text);
    const char *day =
        s.n == strlen("2006-01-02") ? arena_printf(c->arena, "%sT00:00:00Z", text) : text;
    if (dur_parse(s, &ago) && strchr("0123456789", s.p[s.n - 1]) == NULL)
        ns = time_now_ns() - ago;
    else if (!time_parse_unix_or_rfc3339(s, &ns) && !time_parse(str_of(day), &ns))
        return err_set(e, ERR_INVALID,
                       "invalid value for \"since\" or \"until\": failed to parse value as time or "
                       "duration: \"%s\"",
                       text);
    *out = arena_printf(c->arena, "%lld.%09lld", (long long)(ns / NS_PER_S),
                        (long long)(ns % NS_PER_S));
    return 0;
}

void cli_words_map(struct cli *c, struct strmap *m, const struct strv *words)
{
    for (size_t i = 0; i < words->n; i++) {
        struct str val = str_of(words->v[i]), key = str_cut(&val, '=');
        auto_free char *k = str_dup(key), *v = str_dup(val);
        strmap_set(m, c->arena, k, v);
    }
}
