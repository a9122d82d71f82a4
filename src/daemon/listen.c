/* Where the API is served: unix sockets, TCP with and without TLS, sockets from systemd. */
#include "daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/tls.h"
#include "sys/path.h"

#define SOCKET_MODE 0660
#define FIRST_PASSED_FD 3 /* sd_listen_fds(3) */

static int bad_address(const char *host, struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid bind address format: %.200s", host);
}

/* "[::1]:2375", "0.0.0.0:2375", ":2375", "" */
static int parse_tcp(const char *host, struct str at, bool tls, struct arena *a,
                     struct listen_addr *out, struct err *e)
{
    uint64_t port = tls ? 2376 : 2375;
    struct str name = at, num = {0};

    if (at.n == 0)
        name = STR("localhost");
    else if (str_index(at, ':') >= 0 && !str_ends(at, "]"))
        num = str_cut_last(&name, ':');
    if (num.n > 0 && !str_to_u64(num, 0, 65535, &port))
        return bad_address(host, e);
    if (str_starts(name, "[") && str_ends(name, "]"))
        name = (struct str){name.p + 1, name.n - 2};
    if (str_index(name, '/') >= 0)
        return bad_address(host, e);
    out->kind = LISTEN_TCP;
    out->host = arena_strndup(a, name.p == NULL ? "" : name.p, name.n);
    out->port = arena_printf(a, "%u", (unsigned)port);
    return 0;
}

int listen_parse(const char *host, bool tls, struct arena *a, struct listen_addr *out,
                 struct err *e)
{
    struct str s = str_of(host);
    *out = (struct listen_addr){0};
    if (str_starts(s, "unix://")) {
        out->kind = LISTEN_UNIX;
        out->path = arena_strdup(a, s.n > 7 ? host + 7 : "/var/run/docker.sock");
        return out->path[0] == '/' ? 0 : bad_address(host, e);
    }
    if (str_starts(s, "tcp://"))
        return parse_tcp(host, (struct str){s.p + 6, s.n - 6}, tls, a, out, e);
    if (str_starts(s, "fd://")) {
        out->kind = LISTEN_FD;
        return 0;
    }
    if (s.n > 0 && strstr(host, "://") == NULL) /* dockerd takes a bare address for TCP */
        return parse_tcp(host, s, tls, a, out, e);
    return bad_address(host, e);
}

/* The group of unix sockets: one that was named must exist, "docker" only may. */
static int find_group(const char *name, gid_t *out, struct err *e)
{
    char mem[4096];
    struct group g, *found = NULL;
    uint64_t gid;

    *out = (gid_t)-1;
    if (name != NULL && str_to_u64(str_of(name), 0, UINT32_MAX - 1, &gid)) {
        *out = (gid_t)gid;
        return 0;
    }
    const char *wanted = name == NULL ? "docker" : name;
    int no = wanted[0] == '\0' ? 0 : getgrnam_r(wanted, &g, mem, sizeof(mem), &found);
    if (found != NULL)
        *out = g.gr_gid;
    else if (no == 0 && (name == NULL || name[0] == '\0' || strcmp(name, "docker") == 0))
        *out = 0;
    else
        return err_set(e, ERR_INVALID, "group %.200s not found", wanted);
    return 0;
}

static int listen_unix(struct http_server *s, const char *path, gid_t gid, struct err *e)
{
    auto_free char *dir = mem_strdup(path);
    char *slash = strrchr(dir, '/');
    if (slash != dir) {
        *slash = '\0';
        TRY(path_mkdirs(dir, 0755, e));
    }
    return http_server_listen_unix(s, path, SOCKET_MODE, gid, e);
}

static void warn_insecure(const struct listen_addr *a, const struct daemon_config *c)
{
    if (c->tlsverify)
        return;
    log_warn("Binding to IP address without --tlsverify is insecure and gives root access on this "
             "machine to everyone who has access to your network.",
             "host", a->host, "port", a->port, NULL);
}

/* LISTEN_PID and LISTEN_FDS as systemd sets them; read here, in main's thread, before any other. */
static int listen_passed(struct http_server *s, struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): main, no other thread yet */
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t p = 0, n = 0;
    if (pid == NULL || fds == NULL || !str_to_u64(str_of(pid), 1, INT32_MAX, &p) ||
        p != (uint64_t)getpid() || !str_to_u64(str_of(fds), 1, 1000, &n))
        return err_set(e, ERR_INVALID,
                       "no sockets found via socket activation: make sure the service "
                       "was started by systemd");
    for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + (int)n; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return err_sys(e, "socket %d from systemd", fd);
        http_server_listen_fd(s, fd, NULL);
    }
    return 0;
}

/* The files of --tlscacert and so on, or those in DOCKER_CERT_PATH or ~/.docker. */
static int load_tls(const struct daemon_config *c, struct stream_wrap **out, struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): main, no other thread yet */
    const char *home = getenv("HOME"), *certs = getenv("DOCKER_CERT_PATH");
    auto_free char *dir = certs != NULL && certs[0] != '\0'
                              ? mem_strdup(certs)
                              : mem_printf("%s/.docker", home == NULL ? "/root" : home);
    auto_free char *ca = mem_printf("%s/ca.pem", dir), *cert = mem_printf("%s/cert.pem", dir),
                   *key = mem_printf("%s/key.pem", dir);
    struct tls_opts o = {
        .ca = c->tls_ca != NULL ? c->tls_ca : ca,
        .cert = c->tls_cert != NULL ? c->tls_cert : cert,
        .key = c->tls_key != NULL ? c->tls_key : key,
        .verify = c->tlsverify,
    };
    return tls_server_new(&o, out, e) < 0 ? err_wrap(e, "invalid TLS configuration") : 0;
}

static int open_one(struct http_server *s, const struct daemon_config *c, const char *host,
                    gid_t gid, struct stream_wrap *tls, struct err *e)
{
    struct listen_addr a;
    TRY(listen_parse(host, c->tls, c->arena, &a, e));
    if (a.kind == LISTEN_UNIX)
        return listen_unix(s, a.path, gid, e);
    if (a.kind == LISTEN_FD)
        return listen_passed(s, e);
    warn_insecure(&a, c);
    return http_server_listen_tcp(s, a.host, a.port, tls, NULL, e);
}

int listen_open(struct http_server *s, const struct daemon_config *c, struct stream_wrap **out_tls,
                struct err *e)
{
    gid_t gid;
    *out_tls = NULL;
    TRY(find_group(c->group, &gid, e));
    if (c->tls)
        TRY(load_tls(c, out_tls, e));
    vec_each(host, &c->hosts) {
        if (open_one(s, c, *host, gid, *out_tls, e) < 0)
            return err_wrap(e, "failed to load listeners");
        log_info("API listen on", "host", *host, NULL);
    }
    return 0;
}
