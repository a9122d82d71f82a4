/*
 * daemon.json's words about registries as containerd's hosts.toml: that is what both supervisors
 * read, so that nothing has to be told twice. A file is written when it is needed, below the exec
 * root.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/core.h"
#include "engine/registry.h"
#include "sys/fd.h"
#include "sys/path.h"

#define HUB "docker.io"
#define HUB_SERVER "https://registry-1.docker.io"

enum { HOSTS_MAX_BYTES = 64 << 10 };

/* ---- is it insecure? ---- */

static bool in_network(const unsigned char *ip, const unsigned char *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(ip, net, whole) == 0 &&
           (rest == 0 || (ip[whole] ^ net[whole]) >> (8 - rest) == 0);
}

/* "10.0.0.0/8" or "fd00::/8" with one of the host's addresses in it. */
static bool host_in_cidr(const char *host, const char *cidr)
{
    struct str rest = str_of(cidr), base = str_cut(&rest, '/');
    auto_free char *text = str_dup(base);
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned char net[16];
    uint64_t bits;
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *found = NULL;
    bool in = false;

    if (!str_to_u64(rest, 0, family == AF_INET ? 32 : 128, &bits) ||
        inet_pton(family, text, net) != 1 || getaddrinfo(host, NULL, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *i = found; i != NULL && !in; i = i->ai_next)
        in = in_network(family == AF_INET
                            ? (const void *)&((struct sockaddr_in *)(void *)i->ai_addr)->sin_addr
                            : (const void *)&((struct sockaddr_in6 *)(void *)i->ai_addr)->sin6_addr,
                        net, (unsigned)bits);
    freeaddrinfo(found);
    return in;
}

/* "host" or "[::1]" of "host:5000". */
static const char *host_part(const char *domain, struct arena *a)
{
    if (domain[0] == '[')
        return arena_strndup(a, domain + 1, strcspn(domain + 1, "]"));
    return arena_strndup(a, domain, strcspn(domain, ":"));
}

static bool is_insecure(struct engine *g, const char *domain, struct arena *a)
{
    const char *host = host_part(domain, a);

    if (g->o.insecure_registries == NULL)
        return false;
    vec_each(x, g->o.insecure_registries)
        if (strcmp(*x, domain) == 0 || strcmp(*x, host) == 0 ||
            (strchr(*x, '/') != NULL && host_in_cidr(host, *x)))
            return true;
    return false;
}

/* ---- the file ---- */

static void add_quoted(struct buf *b, const char *s)
{
    buf_addc(b, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *s);
    }
    buf_addc(b, '"');
}

/* The files of certs.d/NAME that end so, each told to say. */
static void add_files(struct buf *b, const char *dir, const struct strv *names, const char *suffix,
                      const char *pair, struct arena *a)
{
    vec_each(n, names) {
        if (!str_ends(str_of(*n), suffix))
            continue;
        int stem = (int)(strlen(*n) - strlen(suffix));

        buf_adds(b, pair != NULL ? "[" : "");
        add_quoted(b, arena_printf(a, "%s/%s", dir, *n));
        if (pair != NULL) {
            buf_adds(b, ", ");
            add_quoted(b, arena_printf(a, "%s/%.*s%s", dir, stem, *n, pair));
        }
        buf_adds(b, pair != NULL ? "], " : ", ");
    }
}

/* The keys for one server: what certs.d has for it. */
static void add_tls(struct buf *b, const char *name, struct arena *a)
{
    const char *dir = arena_printf(a, REGISTRY_CERTS_DIR "/%s", name);
    auto_strv struct strv names = {0};
    struct err ignored = {0};

    if (path_list(dir, &names, &ignored) < 0)
        return;
    buf_adds(b, "ca = [");
    add_files(b, dir, &names, ".crt", NULL, a);
    buf_adds(b, "]\nclient = [");
    add_files(b, dir, &names, ".cert", ".key", a);
    buf_adds(b, "]\n");
}

static void add_mirror(struct engine *g, struct buf *b, const char *url, struct arena *a)
{
    bool tls = strncmp(url, "https://", 8) == 0;
    struct str rest = str_of(url + (tls ? 8 : 7)), host = str_cut(&rest, '/');
    const char *name = arena_strndup(a, host.p, host.n);
    size_t n = strlen(url);

    while (n > 0 && url[n - 1] == '/')
        n--;
    buf_adds(b, "[host.");
    add_quoted(b, arena_strndup(a, url, n));
    buf_adds(b, "]\ncapabilities = [\"pull\", \"resolve\"]\n");
    if (tls && is_insecure(g, name, a))
        buf_adds(b, "skip_verify = true\n");
    else if (tls)
        add_tls(b, name, a);
}

static bool has_dir(const char *domain, const char *file, struct arena *a)
{
    return access(arena_printf(a, REGISTRY_CERTS_DIR "/%s%s", domain, file), F_OK) == 0;
}

static int write_file(struct engine *g, const char *domain, const struct buf *text, struct arena *a,
                      const char **out, struct err *e)
{
    const char *root = arena_printf(a, "%s/registry", g->o.exec_root);
    const char *dir = arena_printf(a, "%s/%s", root, domain);

    if (text->over)
        return err_set(e, ERR_TOO_LARGE, "too many registry mirrors");
    TRY(path_mkdirs(dir, 0700, e));
    auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, "open %s", dir);
    TRY(file_replace(fd, "hosts.toml", text->p, text->n, 0600, e));
    *out = root;
    return 0;
}

int registry_host_dir(struct engine *g, const char *domain, struct arena *a, const char **out,
                      struct err *e)
{
    auto_buf struct buf b = BUF_MAX(HOSTS_MAX_BYTES);
    bool hub = strcmp(domain, HUB) == 0, insecure = is_insecure(g, domain, a);
    bool mirrored = hub && g->o.registry_mirrors != NULL && g->o.registry_mirrors->n > 0;

    *out = NULL;
    if (has_dir(domain, "/hosts.toml", a) || (!mirrored && !insecure && has_dir(domain, "", a))) {
        *out = REGISTRY_CERTS_DIR;
        return 0;
    }
    if (!mirrored && !insecure)
        return 0;
    /* http with TLS keys means: TLS if it is spoken there, else without */
    buf_adds(&b, "server = ");
    add_quoted(&b, hub        ? HUB_SERVER
                   : insecure ? arena_printf(a, "http://%s", domain)
                              : arena_printf(a, "https://%s", domain));
    buf_adds(&b, "\n");
    if (insecure)
        buf_adds(&b, "skip_verify = true\n");
    else
        add_tls(&b, domain, a);
    if (mirrored)
        vec_each(m, g->o.registry_mirrors)
            add_mirror(g, &b, *m, a);
    return write_file(g, domain, &b, a, out, e);
}
