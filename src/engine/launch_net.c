/* The network of a start, and the files about names. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/events.h"
#include "engine/launch.h"
#include "net/resolv.h"
#include "sys/fd.h"
#include "sys/path.h"

static const struct endpoint_settings *settings_of(const struct container_record *rec,
                                                   const char *network)
{
    vec_each(n, &rec->networking.endpoints)
        if (strcmp(n->key, network) == 0)
            return n->val;
    return NULL;
}

static struct net_join join_of(const struct container_record *rec, const char *network,
                               const struct endpoint_settings *s)
{
    struct net_join j = {.network = network, .ip = "", .ip6 = "", .mac = ""};

    if (rec->config.mac_address != NULL)
        j.mac = rec->config.mac_address;
    if (s == NULL)
        return j;
    if (s->mac_address != NULL && s->mac_address[0] != '\0')
        j.mac = s->mac_address;
    if (s->ipam != NULL) {
        j.ip = s->ipam->ipv4_address != NULL ? s->ipam->ipv4_address : "";
        j.ip6 = s->ipam->ipv6_address != NULL ? s->ipam->ipv6_address : "";
    }
    j.aliases = s->aliases;
    j.gw_priority = s->gw_priority;
    return j;
}

struct publish_list {
    struct net_publish *v;
    size_t n, cap;
};

static void add_port(struct publish_list *l, const char *port, const char *ip, const char *host,
                     struct arena *a)
{
    struct net_publish *p = vec_add_in(a, l);

    *p = (struct net_publish){
        .port = port, .host_ip = ip != NULL ? ip : "", .host_port = host != NULL ? host : ""};
}

static struct publish_list ports_of(const struct container_record *rec, struct arena *a)
{
    struct publish_list l = {0};

    vec_each(p, &rec->host.port_bindings) {
        if (p->val.n == 0)
            add_port(&l, p->key, NULL, NULL, a);
        vec_each(b, &p->val)
            add_port(&l, p->key, b->host_ip, b->host_port, a);
    }
    if (rec->host.publish_all_ports)
        vec_each(x, &rec->config.exposed_ports) {
            bool bound = false;

            vec_each(p, &rec->host.port_bindings)
                bound |= strcmp(p->key, *x) == 0;
            if (!bound)
                add_port(&l, *x, NULL, NULL, a);
        }
    return l;
}

static int open_sandbox(struct launch *l, const char *mode, struct err *e)
{
    VEC(struct net_join) joins = {0};
    struct publish_list ports = ports_of(l->rec, l->a);
    struct net_sandbox_rq rq = {.container_id = l->rec->id, .container_name = l->rec->name};

    if (strcmp(mode, "none") != 0) {
        vec_push_in(l->a, &joins, join_of(l->rec, mode, settings_of(l->rec, mode)));
        vec_each(n, &l->rec->networking.endpoints)
            if (strcmp(n->key, mode) != 0 && strcmp(n->key, "default") != 0)
                vec_push_in(l->a, &joins, join_of(l->rec, n->key, n->val));
        rq.ports = ports.v;
        rq.n_ports = ports.n;
    }
    rq.joins = joins.v;
    rq.n_joins = joins.n;
    rq.userns = record_maps(l->rec);
    rq.userns_join = l->userns;
    TRY(net_sandbox_open(l->g->net, &rq, l->a, &l->sandbox, e));
    l->has_sandbox = true;
    l->netns = l->sandbox.key;
    if (l->userns == NULL)
        l->userns = l->sandbox.user_key;
    return 0;
}

/* Another container's network; it must run. */
static int join_container(struct launch *l, const char *id, struct err *e)
{
    auto_container struct container *other = NULL;

    TRY(container_find(l->g, id, &other, e));
    auto_view struct view v = container_view(other);
    if (!v.state->running || v.state->restarting)
        return err_set(e, ERR_CONFLICT,
                       "cannot join network namespace of a non running container: %s", id);
    TRY(launch_share_userns(l, &v, e));
    l->netns = arena_printf(l->a, "/proc/%lld/ns/net", (long long)v.state->pid);
    l->hostname = arena_strdup(l->a, v.rec->config.hostname);
    l->hosts = container_path(other, l->a, "hosts");
    l->resolv_conf = container_path(other, l->a, "resolv.conf");
    l->hostname_file = container_path(other, l->a, "hostname");
    return 0;
}

int launch_network(struct launch *l, struct err *e)
{
    const char *mode = l->rec->host.network_mode;

    l->hostname = l->rec->config.hostname;
    l->netns = "";
    if (strcmp(mode, "host") == 0)
        return 0;
    if (strncmp(mode, "container:", 10) == 0)
        return join_container(l, mode + 10, e);
    return open_sandbox(l, mode, e);
}

void launch_network_events(struct container *c, const struct net_sandbox *s, const char *action)
{
    vec_each(n, &s->endpoints)
        event_raise(c->g, "network", action, n->network_id, "container", c->id, "name", n->network,
                    "type", "bridge", NULL);
}

/* ---- files ---- */

/* The files live in the container's folder and are written in place: a bind mount keeps the inode.
 */
static int write_file(struct launch *l, const char *name, const struct buf *text,
                      const char **out_path, struct err *e)
{
    const char *path = container_path(l->c, l->a, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    int r;

    if (fd < 0)
        return err_sys(e, "open %s", path);
    if (fchown(fd, l->root_uid, l->root_gid) < 0 || fchmod(fd, 0644) < 0)
        return err_sys(e, "set the owner of %s", path);
    r = fd_write_all(fd, text->n > 0 ? text->p : "", text->n);
    if (r < 0)
        return err_neg(e, r, "write %s", path);
    *out_path = path;
    return 0;
}

static int write_hosts(struct launch *l, bool host_mode, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);
    VEC(struct hosts_line) own = {0};
    const char *domain = l->rec->config.domainname;
    const char *names = l->hostname;

    if (host_mode) {
        struct err ignored = {0};

        (void)file_read(AT_FDCWD, "/etc/hosts", &b,
                        &ignored); /* a host without one has none to copy */
        vec_each(x, &l->rec->host.extra_hosts) {
            struct str ip = str_of(*x), name;
            size_t at = strcspn(*x, "=:");

            name = (struct str){ip.p, at};
            ip.p += at + (ip.p[at] != '\0');
            ip.n = strlen(ip.p);
            buf_printf(&b, "%.*s\t%.*s\n", STR_ARG(ip), STR_ARG(name));
        }
        return write_file(l, "hosts", &b, &l->hosts, e);
    }
    if (domain != NULL && domain[0] != '\0')
        names = arena_printf(l->a, "%s.%s %s", l->hostname, domain, l->hostname);
    vec_each(n, &l->sandbox.endpoints) {
        if (n->ip != NULL && n->ip[0] != '\0')
            vec_push_in(l->a, &own, ((struct hosts_line){n->ip, names}));
        if (n->ip6 != NULL && n->ip6[0] != '\0')
            vec_push_in(l->a, &own, ((struct hosts_line){n->ip6, names}));
    }
    TRY(hosts_write(own.v, own.n, &l->rec->host.extra_hosts, net_host_gateway(l->g->net, l->a), &b,
                    e));
    return write_file(l, "hosts", &b, &l->hosts, e);
}

static bool has_ipv6(const struct net_sandbox *s)
{
    vec_each(n, &s->endpoints)
        if (n->ip6 != NULL && n->ip6[0] != '\0')
            return true;
    return false;
}

static int write_resolv_conf(struct launch *l, bool host_mode, struct err *e)
{
    auto_buf struct buf host = BUF_MAX(RESOLV_TEXT_MAX), b = BUF_MAX(4 * RESOLV_TEXT_MAX);
    const struct host_config *h = &l->rec->host;
    const struct engine_opts *o = &l->g->o;
    struct resolv_opts ro = {
        .servers = h->dns.n > 0 ? &h->dns : o->dns,
        .search = h->dns_search.n > 0 ? &h->dns_search : o->dns_search,
        .options = h->dns_options.n > 0 ? &h->dns_options : o->dns_opts,
        .ipv6 = has_ipv6(&l->sandbox),
    };
    bool given = (ro.servers != NULL && ro.servers->n > 0) ||
                 (ro.search != NULL && ro.search->n > 0) ||
                 (ro.options != NULL && ro.options->n > 0);
    struct err ignored = {0};

    if (host_mode && !given) {
        (void)file_read(AT_FDCWD, "/etc/resolv.conf", &b, &ignored);
        return write_file(l, "resolv.conf", &b, &l->resolv_conf, e);
    }
    (void)resolv_host_read(&host,
                           &ignored); /* without a file of its own the host names no servers */
    resolv_write(buf_cstr(&host), host.n, &ro, &b);
    return write_file(l, "resolv.conf", &b, &l->resolv_conf, e);
}

int launch_files(struct launch *l, struct err *e)
{
    auto_buf struct buf name = BUF_MAX(4096);
    bool host_mode = strcmp(l->rec->host.network_mode, "host") == 0;

    if (l->hosts != NULL)
        return 0; /* another container's */
    buf_printf(&name, "%s\n", l->hostname);
    TRY(write_file(l, "hostname", &name, &l->hostname_file, e));
    TRY(write_hosts(l, host_mode, e));
    return write_resolv_conf(l, host_mode, e);
}
