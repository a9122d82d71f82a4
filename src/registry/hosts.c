/*
 * From a registry's name to the list of hosts: see hosts.h. A host that may be reached without TLS
 * is two entries, https first; every other rule is in the tables of its file.
 */
#include "registry/hosts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "base/time.h"
#include "base/toml.h"
#include "sys/path.h"
#include "types/reference.h"

#define HUB "docker.io"
#define HUB_HOST "registry-1.docker.io"
#define HOSTS_FILE_MAX (1u << 20)
#define CA_MAX (4u << 20)

enum { HOSTS_MAX = 32 };

/* One server as a file describes it. */
struct server {
    const char *url; /* as written: "https://x", "x:5000", "http://x/path" */
    unsigned can;
    int dial_ms; /* 0: not given */
    bool can_given, skip_verify, override_path, tls_given;
    struct strv ca, client; /* client: certificate, key, certificate, key ... */
    struct strv headers;
};

struct reading {
    struct arena *a;
    const char *dir;    /* paths in the file are relative to it */
    struct server root; /* the file's own table: the registry itself */
    VEC(struct server) hosts;
};

/* ---- hosts.toml ---- */

static struct server *server_of(struct reading *r, const char *url)
{
    vec_each(s, &r->hosts)
        if (strcmp(s->url, url) == 0)
            return s;
    struct server *s = vec_add_in(r->a, &r->hosts);
    s->url = url;
    s->can = HOST_ALL;
    return s;
}

static int set_bool(const struct toml_item *item, bool *out, struct err *e)
{
    *out = strcmp(item->text, "true") == 0;
    if (item->kind == TOML_WORD && (*out || strcmp(item->text, "false") == 0))
        return 0;
    return err_set(e, ERR_INVALID, "%s: expected true or false", item->path[item->n_path - 1]);
}

static int set_dial_timeout(struct server *s, const char *text, struct err *e)
{
    int64_t ns;
    if (!dur_parse(str_of(text), &ns) || ns < 0 || ns / NS_PER_MS > INT_MAX)
        return err_set(e, ERR_INVALID, "dial_timeout: invalid duration \"%.100s\"", text);
    s->dial_ms = (int)((ns + NS_PER_MS - 1) / NS_PER_MS);
    return 0;
}

static int add_capability(struct server *s, const char *name, struct err *e)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"pull", HOST_PULL}, {"resolve", HOST_RESOLVE}, {"push", HOST_PUSH}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].name, name) == 0) {
            s->can |= known[i].bit;
            return 0;
        }
    return err_set(e, ERR_INVALID, "unknown capability \"%.100s\"", name);
}

static char *in_dir(struct reading *r, const char *path)
{
    return path[0] == '/' ? arena_strdup(r->a, path) : arena_printf(r->a, "%s/%s", r->dir, path);
}

/* client = "both.pem", ["both.pem"] or [["cert", "key"]] */
static void add_client(struct reading *r, struct server *s, const struct toml_item *item)
{
    char *path = item->text[0] != '\0' ? in_dir(r, item->text) : NULL;
    vec_push_in(r->a, &s->client, path);
    if (item->depth < 2)
        vec_push_in(r->a, &s->client, path);
}

static int set_key(struct reading *r, struct server *s, const char *key,
                   const struct toml_item *item, struct err *e)
{
    if (strcmp(key, "capabilities") == 0) {
        if (!s->can_given)
            s->can = 0; /* the list replaces the default */
        s->can_given = true;
        return add_capability(s, item->text, e);
    }
    if (strcmp(key, "skip_verify") == 0) {
        s->tls_given = true;
        return set_bool(item, &s->skip_verify, e);
    }
    if (strcmp(key, "override_path") == 0)
        return set_bool(item, &s->override_path, e);
    if (strcmp(key, "dial_timeout") == 0)
        return set_dial_timeout(s, item->text, e);
    if (strcmp(key, "ca") == 0) {
        s->tls_given = true;
        vec_push_in(r->a, &s->ca, in_dir(r, item->text));
    } else if (strcmp(key, "client") == 0) {
        s->tls_given = true;
        add_client(r, s, item);
    }
    return 0; /* of later versions */
}

static int on_item(void *arg, const struct toml_item *item, struct err *e)
{
    struct reading *r = arg;
    bool host = strcmp(item->path[0], "host") == 0;
    size_t at = host ? 2 : 0; /* where the server's own keys begin */
    if (host && item->n_path < 2)
        return 0;
    struct server *s = host ? server_of(r, item->path[1]) : &r->root;
    if (item->kind == TOML_TABLE || item->n_path == at)
        return 0;
    if (!host && strcmp(item->path[0], "server") == 0) {
        s->url = item->text;
        return 0;
    }
    if (strcmp(item->path[at], "header") == 0 && item->n_path == at + 2) {
        vec_push_in(r->a, &s->headers,
                    arena_printf(r->a, "%s: %s", item->path[at + 1], item->text));
        return 0;
    }
    return item->n_path == at + 1 ? set_key(r, s, item->path[at], item, e) : 0;
}

/* ---- a directory as Docker has them ---- */

static bool ends(const char *name, const char *suffix)
{
    return str_ends(str_of(name), suffix);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_pair(struct reading *r, const struct strv *names, const char *name, const char *from,
                    const char *to, struct err *e)
{
    int stem = (int)(strlen(name) - strlen(from));
    char *other = arena_printf(r->a, "%.*s%s", stem, name, to);
    bool is_cert = strcmp(from, ".cert") == 0;
    if (!strv_has(names, other))
        return is_cert ? err_set(e, ERR_INVALID,
                                 "missing key %s for client certificate %s. CA certificates must "
                                 "use the extension .crt",
                                 other, name)
                       : err_set(e, ERR_INVALID, "missing client certificate %s for key %s", other,
                                 name);
    if (is_cert) {
        vec_push_in(r->a, &r->root.client, in_dir(r, name));
        vec_push_in(r->a, &r->root.client, in_dir(r, other));
    }
    return 0;
}

static int read_certs(struct reading *r, struct err *e)
{
    auto_strv struct strv names = {0};
    TRY(path_list(r->dir, &names, e));
    if (names.n > 1)
        qsort(names.v, names.n, sizeof(names.v[0]), by_name);
    vec_each(name, &names) {
        if (ends(*name, ".crt"))
            vec_push_in(r->a, &r->root.ca, in_dir(r, *name));
        else if (ends(*name, ".cert"))
            TRY(add_pair(r, &names, *name, ".cert", ".key", e));
        else if (ends(*name, ".key"))
            TRY(add_pair(r, &names, *name, ".key", ".cert", e));
    }
    r->root.tls_given = r->root.ca.n > 0 || r->root.client.n > 0;
    return 0;
}

/* ---- the directory of a registry ---- */

/* "host_5000_" (what containerd writes), "host:5000" (what Docker writes), "_default". */
static const char *dir_of(const char *root, const char *domain, struct arena *a)
{
    const char *colon = strrchr(domain, ':');
    const char *tries[] = {colon != NULL ? arena_printf(a, "%s/%.*s_%s_", root,
                                                        (int)(colon - domain), domain, colon + 1)
                                         : NULL,
                           arena_printf(a, "%s/%s", root, domain),
                           arena_printf(a, "%s/_default", root)};
    for (size_t i = 0; i < ARRAY_LEN(tries); i++)
        if (tries[i] != NULL && access(tries[i], F_OK) == 0)
            return tries[i];
    return NULL;
}

static int read_dir(struct reading *r, struct err *e)
{
    auto_buf struct buf text = BUF_MAX(HOSTS_FILE_MAX);
    const char *file = arena_printf(r->a, "%s/hosts.toml", r->dir);
    if (file_read(AT_FDCWD, file, &text, e) == 0)
        return toml_read(buf_cstr(&text), r->a, on_item, r, e) < 0 ? err_wrap(e, "%s", file) : 0;
    if (e->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    return read_certs(r, e);
}

/* ---- from servers to hosts ---- */

static int read_ca(const struct server *s, struct arena *a, const char **out, struct err *e)
{
    auto_buf struct buf all = BUF_MAX(CA_MAX);
    vec_each(path, &s->ca) {
        if (file_read(AT_FDCWD, *path, &all, e) < 0)
            return err_wrap(e, "certificate authority %s", *path);
        buf_addc(&all, '\n');
    }
    *out = s->ca.n > 0 ? arena_strdup(a, buf_cstr(&all)) : NULL;
    return 0;
}

static void add_host(struct registry_hosts *out, struct arena *a, const struct registry_host *like,
                     const char *scheme, const char *rest)
{
    if (out->n >= HOSTS_MAX)
        return;
    struct registry_host *h = vec_add_in(a, out);
    *h = *like;
    h->base = arena_printf(a, "%s://%s", scheme, rest);
}

/* A server as one host, or as two where TLS is not a must: https first. */
static int add_server(const struct server *s, bool origin, struct arena *a,
                      struct registry_hosts *out, struct err *e)
{
    struct str rest = str_of(s->url);
    bool http = str_starts(rest, "http://"), https = str_starts(rest, "https://");
    rest.p += http ? 7 : https ? 8 : 0;
    rest.n -= http ? 7 : https ? 8 : 0;
    while (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    struct str path = rest, name = str_cut(&path, '/');
    bool whole = s->override_path || str_ends(rest, "/v2");
    const char *text = arena_printf(a, whole ? "%.*s" : "%.*s/v2", STR_ARG(rest));
    if (name.n == 0)
        return err_set(e, ERR_INVALID, "invalid registry host \"%.200s\"", s->url);
    struct registry_host h = {.name = arena_strndup(a, name.p, name.n),
                              .can = s->can,
                              .origin = origin,
                              .insecure = s->skip_verify,
                              .connect_ms = s->dial_ms,
                              .headers = s->headers};
    TRY(read_ca(s, a, &h.ca, e));
    if (s->client.n >= 2) {
        h.cert_file = s->client.v[0];
        h.key_file = s->client.v[1];
    }
    h.tls_maybe = http && s->tls_given;
    if (!http || h.tls_maybe)
        add_host(out, a, &h, "https", text);
    h.tls_maybe = false;
    if (http)
        add_host(out, a, &h, "http", text);
    return 0;
}

/* What a registry is when no file says otherwise. */
static void add_defaults(struct server *s, const char *domain, const struct registry_opts *o,
                         struct arena *a)
{
    bool hub = strcmp(domain, HUB) == 0;
    if (s->url != NULL)
        return;
    bool loose = ref_domain_is_loopback(domain) && s->ca.n == 0;
    s->url = arena_printf(a, "%s://%s", o->plain_http || loose ? "http" : "https",
                          hub ? HUB_HOST : domain);
    if (loose && !o->plain_http && !s->tls_given)
        s->skip_verify = s->tls_given = true;
}

int registry_hosts_find(const char *domain, const struct registry_opts *o, struct arena *a,
                        struct registry_hosts *out, struct err *e)
{
    struct reading r = {.a = a, .root = {.can = HOST_ALL}};
    if (o->host_dir != NULL && o->host_dir[0] != '\0')
        r.dir = dir_of(o->host_dir, domain, a);
    if (r.dir != NULL)
        TRY(read_dir(&r, e));
    add_defaults(&r.root, domain, o, a);
    vec_each(s, &r.hosts)
        TRY(add_server(s, false, a, out, e));
    return add_server(&r.root, true, a, out, e);
}
