/*
 * Every option of dockerd, and what becomes of it here; then how a text becomes a value.
 *
 * An option that only tunes a mechanism we do not have is accepted and does nothing, so that a
 * daemon.json can stay as it is; one whose absence would make containers less isolated or leave out
 * what was asked for is refused.
 */
#include "daemon/config.h"

#include <limits.h>

#include "base/units.h"

#define AT(member) offsetof(struct daemon_config, member)
#define BOTH (OPT_FLAG | OPT_FILE)
#define WORKS(flag, key, kind, member, help)                  \
    {                                                         \
        flag, 0, key, kind, OPT_WORKS, BOTH, AT(member), help \
    }
#define SHORT(flag, c, key, kind, where, member, help)         \
    {                                                          \
        flag, c, key, kind, OPT_WORKS, where, AT(member), help \
    }
#define IDLE(flag, key)                                \
    {                                                  \
        flag, 0, key, OPT_ANY, OPT_IDLE, BOTH, 0, NULL \
    }
#define MISSING(flag, key)                                \
    {                                                     \
        flag, 0, key, OPT_ANY, OPT_MISSING, BOTH, 0, NULL \
    }
#define IDLE_BOOL(flag)                                  \
    {                                                    \
        flag, 0, NULL, OPT_BOOL, OPT_IDLE, BOTH, 0, NULL \
    }
#define MISSING_BOOL(flag)                                  \
    {                                                       \
        flag, 0, NULL, OPT_BOOL, OPT_MISSING, BOTH, 0, NULL \
    }

const struct daemon_option daemon_options[] = {
    SHORT("help", 'h', NULL, OPT_BOOL, OPT_FLAG, help, "print this"),
    SHORT("version", 'v', NULL, OPT_BOOL, OPT_FLAG, version, "print the version"),
    SHORT("validate", 0, NULL, OPT_BOOL, OPT_FLAG, validate, "check the configuration and stop"),
    SHORT("config-file", 0, NULL, OPT_STR, OPT_FLAG, config_file,
          "configuration file (/etc/docker/daemon.json)"),
    SHORT("host", 'H', "hosts", OPT_LIST, BOTH, hosts,
          "where to listen: unix://PATH, tcp://HOST:PORT, fd://"),
    SHORT("group", 'G', NULL, OPT_STR, BOTH, group, "group of the unix socket (docker)"),
    SHORT("pidfile", 'p', NULL, OPT_STR, BOTH, pidfile,
          "file with our process id (/run/hulld.pid)"),
    WORKS("data-root", NULL, OPT_STR, data_root, "folder of lasting state (/var/lib/hull)"),
    WORKS("exec-root", NULL, OPT_STR, exec_root, "folder of running state (/run/hull)"),
    WORKS("containerd", NULL, OPT_STR, containerd,
          "socket of another containerd (start hull-containerd)"),
    WORKS("containerd-namespace", NULL, OPT_STR, containerd_namespace,
          "containerd's namespace (moby)"),
    SHORT("debug", 'D', NULL, OPT_BOOL, BOTH, debug, "log everything"),
    SHORT("log-level", 'l', NULL, OPT_STR, BOTH, log_level,
          "debug, info, warn, error, fatal (info)"),
    WORKS("shutdown-timeout", NULL, OPT_INT, shutdown_timeout_s,
          "seconds that requests get to finish (15)"),
    SHORT("min-api-version", 0, NULL, OPT_STR, OPT_FILE, min_api_version, NULL),
    WORKS("experimental", NULL, OPT_BOOL, experimental, "say that experimental features are on"),

    WORKS("tls", NULL, OPT_BOOL, tls, "TLS on TCP, any client"),
    WORKS("tlsverify", NULL, OPT_BOOL, tlsverify,
          "TLS on TCP, clients must have a certificate of our CA"),
    WORKS("tlscacert", NULL, OPT_STR, tls_ca, "certificate authority (~/.docker/ca.pem)"),
    WORKS("tlscert", NULL, OPT_STR, tls_cert, "our certificate (~/.docker/cert.pem)"),
    WORKS("tlskey", NULL, OPT_STR, tls_key, "its key (~/.docker/key.pem)"),

    WORKS("add-runtime", "runtimes", OPT_RUNTIMES, runtimes, "NAME=PATH of another OCI runtime"),
    WORKS("default-runtime", NULL, OPT_STR, default_runtime,
          "runtime of containers that name none (hull)"),
    WORKS("cgroup-parent", NULL, OPT_STR, cgroup_parent,
          "parent cgroup of all containers (/docker)"),
    WORKS("log-driver", NULL, OPT_STR, log_driver, "default log driver (json-file)"),
    WORKS("log-opt", "log-opts", OPT_MAP, log_opts, "KEY=VALUE for the default log driver"),
    WORKS("default-shm-size", NULL, OPT_SIZE, shm_bytes, "default size of /dev/shm (64m)"),
    WORKS("default-stop-timeout", NULL, OPT_INT, stop_timeout_s,
          "seconds between stop signal and kill (10)"),
    WORKS("no-new-privileges", NULL, OPT_BOOL, no_new_privileges,
          "set no-new-privileges by default"),
    WORKS("seccomp-profile", NULL, OPT_STR, seccomp_profile,
          "default seccomp profile, a file (built in)"),
    WORKS("userns-remap", NULL, OPT_STR, userns_remap,
          "USER[:GROUP] whose subordinate ids containers run with; default: dockremap"),
    WORKS("label", "labels", OPT_LIST, labels, "KEY=VALUE labels of this daemon"),
    WORKS("insecure-registry", "insecure-registries", OPT_LIST, insecure_registries,
          "registries without verified TLS"),
    WORKS("signature-policy", NULL, OPT_STR, signature_policy,
          "policy file: which images need which signatures (none do)"),
    WORKS("registry-mirror", "registry-mirrors", OPT_LIST, registry_mirrors,
          "URLs that are asked before Docker Hub"),

    WORKS("max-concurrent-downloads", NULL, OPT_INT, registry.downloads,
          "layers of a pull that come at a time (3)"),
    WORKS("max-concurrent-uploads", NULL, OPT_INT, registry.uploads,
          "layers of a push that go at a time (5)"),
    WORKS("max-download-attempts", NULL, OPT_INT, registry.attempts, "tries of each download (5)"),
    SHORT("http-proxy", 0, NULL, OPT_STR, OPT_FLAG, registry.http_proxy,
          "proxy for registries over HTTP"),
    SHORT("https-proxy", 0, NULL, OPT_STR, OPT_FLAG, registry.https_proxy,
          "proxy for registries over HTTPS"),
    SHORT("no-proxy", 0, NULL, OPT_STR, OPT_FLAG, registry.no_proxy,
          "hosts that are asked without a proxy, with commas"),
    SHORT("proxies", 0, NULL, OPT_PROXIES, OPT_FILE, registry, NULL),

    SHORT("bridge", 'b', NULL, OPT_STR, BOTH, bridge,
          "bridge of the default network; none: no network"),
    WORKS("bip", NULL, OPT_STR, bip, "address and prefix of the default bridge"),
    WORKS("fixed-cidr", NULL, OPT_STR, fixed_cidr, "range of its containers' addresses"),
    WORKS("ip", NULL, OPT_STR, host_ip, "where published ports go without an address (0.0.0.0)"),
    WORKS("default-address-pool", "default-address-pools", OPT_POOLS, address_pools,
          "base=CIDR,size=PREFIX for new networks"),
    WORKS("dns", NULL, OPT_LIST, dns, "DNS servers of containers"),
    WORKS("dns-search", NULL, OPT_LIST, dns_search, "DNS search domains"),
    WORKS("dns-opt", "dns-opts", OPT_LIST, dns_opts, "DNS options"),
    WORKS("mtu", NULL, OPT_INT, mtu, "MTU of the default network (as the default route)"),
    WORKS("icc", NULL, OPT_BOOL, icc, "containers of the default bridge reach each other (true)"),
    WORKS("ip-masq", NULL, OPT_BOOL, ip_masq, "containers reach the world by NAT (true)"),
    WORKS("ip-forward", NULL, OPT_BOOL, ip_forward, "turn on net.ipv4.ip_forward (true)"),
    WORKS("iptables", NULL, OPT_BOOL, iptables, "write packet filter rules (true)"),
    WORKS("respect-foreign-firewall", NULL, OPT_BOOL, respect_firewalls,
          "never add to other firewalls' tables"),

    IDLE_BOOL("allow-direct-routing"),
    IDLE_BOOL("bridge-accept-fwmark"),
    IDLE("cdi-spec-dir", "cdi-spec-dirs"),
    IDLE("containerd-plugins-namespace", NULL),
    IDLE_BOOL("cri-containerd"),
    IDLE("default-network-opt", "default-network-opts"),
    IDLE("feature", "features"),
    IDLE("firewall-backend", NULL),
    IDLE("init-path", NULL),
    IDLE_BOOL("ip-forward-no-drop"),
    IDLE_BOOL("ip6tables"),
    IDLE_BOOL("live-restore"), /* containers always live on */
    IDLE("log-format", NULL),
    IDLE_BOOL("raw-logs"),
    IDLE("network-control-plane-mtu", NULL),
    IDLE("network-diagnostic-port", NULL),
    IDLE("nri-opts", NULL),
    IDLE_BOOL("restart"),
    IDLE("swarm-default-advertise-addr", NULL),
    IDLE_BOOL("userland-proxy"),
    IDLE("userland-proxy-path", NULL),
    {"builder", 0, NULL, OPT_ANY, OPT_IDLE, OPT_FILE, 0, NULL},
    {"deprecated-key-path", 0, NULL, OPT_ANY, OPT_IDLE, OPT_FILE, 0, NULL},
    {"allow-nondistributable-artifacts", 0, NULL, OPT_ANY, OPT_IDLE, OPT_FILE, 0, NULL},

    MISSING("authorization-plugin", "authorization-plugins"),
    MISSING("bip6", NULL),
    MISSING("cpu-rt-period", NULL),
    MISSING("cpu-rt-runtime", NULL),
    MISSING("default-cgroupns-mode", NULL),
    MISSING("default-gateway", NULL),
    MISSING("default-gateway-v6", NULL),
    MISSING("default-ipc-mode", NULL),
    MISSING("default-ulimit", "default-ulimits"),
    MISSING("exec-opt", "exec-opts"),
    MISSING("fixed-cidr-v6", NULL),
    MISSING("host-gateway-ip", "host-gateway-ips"),
    MISSING_BOOL("init"),
    MISSING_BOOL("ipv6"),
    MISSING("metrics-addr", NULL),
    MISSING("node-generic-resource", "node-generic-resources"),
    MISSING_BOOL("rootless"),
    MISSING_BOOL("selinux-enabled"),
    {"storage-driver", 's', NULL, OPT_ANY, OPT_MISSING, BOTH, 0, NULL},
    MISSING("storage-opt", "storage-opts"),
};
const size_t n_daemon_options = ARRAY_LEN(daemon_options);
_Static_assert(ARRAY_LEN(daemon_options) <= DAEMON_OPTIONS_MAX, "raise DAEMON_OPTIONS_MAX");

static int bad_value(const struct daemon_option *o, const char *text, const char *wanted,
                     struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid argument \"%.200s\" for \"--%s\" flag: expected %s",
                   text, o->flag, wanted);
}

static int parse_bool(const struct daemon_option *o, const char *text, bool *out, struct err *e)
{
    return bool_parse(text, out) ? 0 : bad_value(o, text, "true or false", e);
}

static int parse_size(const struct daemon_option *o, const char *text, int64_t *out, struct err *e)
{
    return bytes_parse(text, out) ? 0 : bad_value(o, text, "a size like 64m", e);
}

static int add_pair(struct daemon_config *c, const struct daemon_option *o, struct strmap *m,
                    const char *text, struct err *e)
{
    struct str val = str_of(text), key = str_cut(&val, '=');
    if (key.n == 0 || strchr(text, '=') == NULL)
        return bad_value(o, text, "KEY=VALUE", e);
    struct strmap_ent ent = {arena_strndup(c->arena, key.p, key.n),
                             arena_strndup(c->arena, val.p, val.n)};
    vec_push_in(c->arena, m, ent);
    return 0;
}

/* A runtime given by its program runs under our shim, which calls it as runc is called. */
static int add_runtime(struct daemon_config *c, const struct daemon_option *o, const char *text,
                       struct err *e)
{
    struct str path = str_of(text), name = str_cut(&path, '=');
    if (name.n == 0 || path.n == 0)
        return bad_value(o, text, "NAME=PATH", e);
    struct engine_runtime r = {
        .name = arena_strndup(c->arena, name.p, name.n),
        .type = "io.containerd.hull.v2",
        .binary = arena_strndup(c->arena, path.p, path.n),
    };
    vec_push_in(c->arena, &c->runtimes, r);
    return 0;
}

int daemon_option_set(struct daemon_config *c, const struct daemon_option *o, const char *text,
                      struct err *e)
{
    void *at = (char *)c + o->off;
    bool ignored;

    if (o->state != OPT_WORKS)
        return o->kind == OPT_BOOL ? parse_bool(o, text, &ignored, e) : 0;
    switch (o->kind) {
    case OPT_BOOL:
        return parse_bool(o, text, at, e);
    case OPT_STR:
        *(const char **)at = arena_strdup(c->arena, text);
        return 0;
    case OPT_INT:
        return str_to_i64(str_of(text), INT_MIN + 1, INT_MAX, at)
                   ? 0
                   : bad_value(o, text, "a number", e);
    case OPT_SIZE:
        return parse_size(o, text, at, e);
    case OPT_LIST:
    case OPT_POOLS:
        vec_push_in(c->arena, (struct strv *)at, arena_strdup(c->arena, text));
        return 0;
    case OPT_MAP:
        return add_pair(c, o, at, text, e);
    case OPT_RUNTIMES:
        return add_runtime(c, o, text, e);
    default:
        return 0;
    }
}

void daemon_config_help(struct buf *out)
{
    buf_adds(
        out,
        "Usage: hulld [OPTIONS]\n\nA container engine with the Docker Engine API.\n\nOptions:\n");
    for (size_t i = 0; i < n_daemon_options; i++) {
        const struct daemon_option *o = &daemon_options[i];
        if (o->state != OPT_WORKS || (o->where & OPT_FLAG) == 0)
            continue;
        if (o->shorthand != 0)
            buf_printf(out, "  -%c, --%-26s %s\n", o->shorthand, o->flag, o->help);
        else
            buf_printf(out, "      --%-26s %s\n", o->flag, o->help);
    }
}
