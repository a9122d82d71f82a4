/*
 * The network room's start and end. A start after a crash reads the engine's documents, mends what
 * the kernel lost (a reboot loses all), removes what no document names, and writes the packet
 * filter in one transaction: connections that run notice nothing.
 */
#include "net/net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/internal.h"
#include "sys/fd.h"
#include "sys/path.h"

void net_id_new(char out[static NET_ID_MAX])
{
    uint8_t bytes[32];
    ssize_t n = getrandom(bytes, sizeof(bytes), 0); /* up to 256 bytes never fail nor come short */

    (void)n;
    str_hex(bytes, sizeof(bytes), out);
}

void net_mac(struct ip_addr ip, uint8_t out[static 6])
{
    const uint8_t mac[6] = {
        2, 0x42, (uint8_t)(ip.v >> 24), (uint8_t)(ip.v >> 16), (uint8_t)(ip.v >> 8), (uint8_t)ip.v};

    memcpy(out, mac, sizeof(mac));
}

/* ---- options ---- */

static const char *dup_or_null(struct arena *a, const char *s)
{
    return s != NULL && s[0] != '\0' ? arena_strdup(a, s) : NULL;
}

static void copy_options(struct net *n, const struct net_opts *o)
{
    struct net_base_pool *pools;

    n->o = *o;
    n->o.exec_root = arena_strdup(n->arena, o->exec_root);
    n->o.portd_path = arena_strdup(n->arena, o->portd_path);
    n->o.bridge = dup_or_null(n->arena, o->bridge);
    n->o.bip = dup_or_null(n->arena, o->bip);
    n->o.bip6 = dup_or_null(n->arena, o->bip6);
    n->o.fixed_cidr = dup_or_null(n->arena, o->fixed_cidr);
    n->o.fixed_cidr6 = dup_or_null(n->arena, o->fixed_cidr6);
    n->o.gateway = dup_or_null(n->arena, o->gateway);
    n->o.host_ip = dup_or_null(n->arena, o->host_ip);
    n->o.sandbox_path = dup_or_null(n->arena, o->sandbox_path);
    n->o.userns.uid = dup_or_null(n->arena, o->userns.uid);
    n->o.userns.gid = dup_or_null(n->arena, o->userns.gid);
    n->table = o->table != NULL ? arena_strdup(n->arena, o->table) : "hull";
    n->o.pools = ipam_default_pools;
    n->o.n_pools = ipam_default_pools_n;
    if (o->n_pools == 0)
        return;
    pools = arena_alloc_array(n->arena, o->n_pools, sizeof(*pools));
    for (size_t i = 0; i < o->n_pools; i++)
        pools[i] =
            (struct net_base_pool){arena_strdup(n->arena, o->pools[i].base), o->pools[i].size};
    n->o.pools = pools;
    n->o.n_pools = o->n_pools;
}

static bool is_word(unsigned char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int check_options(struct net *n, struct err *e)
{
    const struct net_opts *o = &n->o;
    struct ip_net net;

    if (!str_all(n->table, 32, is_word))
        return err_set(e, ERR_INVALID, "invalid name of nft table: \"%s\"", n->table);
    if (o->bridge != NULL && (o->bip != NULL || o->bip6 != NULL))
        return err_set(
            e, ERR_INVALID,
            "you specified -b & --bip, mutually exclusive options. Please specify only one");
    const char *const cidrs[] = {o->bip, o->bip6, o->fixed_cidr, o->fixed_cidr6};
    for (size_t i = 0; i < ARRAY_LEN(cidrs); i++) {
        if (cidrs[i] != NULL && !ip_net_parse(str_of(cidrs[i]), &net))
            return err_set(e, ERR_INVALID, "invalid CIDR address: %s", cidrs[i]);
    }
    if (o->host_ip != NULL && !ip_parse(str_of(o->host_ip), &n->host_ip))
        return err_set(e, ERR_INVALID, "invalid IP address: %s", o->host_ip);
    if (ip_is_unspecified(n->host_ip) && n->host_ip.family == 4)
        n->host_ip.family = 0; /* 0.0.0.0 is the default: IPv6 too */
    if (o->mtu < 0 || (o->mtu > 0 && o->mtu < 68) || o->mtu > 65535)
        return err_set(e, ERR_INVALID, "invalid default MTU: %lld", (long long)o->mtu);
    return ipam_check_pools(o->pools, o->n_pools, e);
}

/* ---- the default networks ---- */

static void add_pool(struct net_network *doc, struct arena *a, struct ip_net with_gateway,
                     const char *range)
{
    struct net_pool *p = vec_add_in(a, &doc->pools);
    struct ip_net base = ip_net_base(with_gateway);
    char text[IP_TEXT_MAX];

    p->subnet = arena_strdup(a, ip_net_format(base, text));
    if (ip_eq(base.addr, with_gateway.addr))
        with_gateway.addr = ip_add(base.addr, 1);
    p->gateway = arena_strdup(a, ip_format(with_gateway.addr, text));
    p->range = range;
}

/* The first address of a link in a family, if it has one. */
static bool link_address(struct net *n, const char *name, int family, struct ip_net *out)
{
    struct nl_addrs addrs = {0};
    struct nl_link link;
    bool found = false;
    struct err e;

    if (nl_link_get(n->nl, name, &link, &e) == 0 && nl_addrs(n->nl, &addrs, &e) == 0) {
        vec_each(a, &addrs) {
            bool local = family == 6 && a->net.addr.v >> 118 == 0x3fa; /* fe80::/10 */
            if (found || a->index != link.index || a->net.addr.family != family || local)
                continue;
            *out = a->net;
            found = true;
        }
    }
    vec_done(&addrs);
    return found;
}

static int default_pools(struct net *n, struct net_network *doc, struct arena *a, struct err *e)
{
    struct ip_nets used = {0};
    struct ip_net net = {{0, 0}, 0};
    int r = 0;

    if (n->o.bip != NULL) {
        (void)ip_net_parse(str_of(n->o.bip), &net); /* checked at the start */
    } else if (!link_address(n, doc->bridge, 4, &net)) {
        r = networks_used(n, &used, e) < 0
                ? -1
                : ipam_choose(n->o.pools, n->o.n_pools, used.v, used.n, &net, e);
        vec_done(&used);
    }
    TRY(r);
    add_pool(doc, a, net, n->o.fixed_cidr);
    if (!n->o.ipv6 && n->o.bip6 == NULL)
        return 0;
    doc->ipv6 = true;
    if (n->o.bip6 != NULL)
        (void)ip_net_parse(str_of(n->o.bip6), &net);
    else if (n->o.fixed_cidr6 != NULL)
        (void)ip_net_parse(str_of(n->o.fixed_cidr6), &net);
    else if (!link_address(n, doc->bridge, 6, &net))
        net = ipam_ula(doc->id);
    add_pool(doc, a, net, n->o.fixed_cidr6);
    return 0;
}

static void default_options(struct net *n, struct net_network *doc, struct arena *a)
{
    strmap_set(&doc->options, a, "com.docker.network.bridge.default_bridge", "true");
    strmap_set(&doc->options, a, "com.docker.network.bridge.enable_icc",
               n->o.no_icc ? "false" : "true");
    strmap_set(&doc->options, a, "com.docker.network.bridge.enable_ip_masquerade",
               n->o.no_masq ? "false" : "true");
    strmap_set(&doc->options, a, "com.docker.network.bridge.host_binding_ipv4",
               n->o.host_ip != NULL ? n->o.host_ip : "0.0.0.0");
    strmap_set(&doc->options, a, "com.docker.network.bridge.name", doc->bridge);
    strmap_set(&doc->options, a, "com.docker.network.driver.mtu",
               arena_printf(a, "%lld", (long long)doc->mtu));
}

static int predefine(struct net *n, const char *name, const char *driver, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct net_network doc = {
        .name = name, .driver = driver, .ipv4 = true, .created_ns = time_now_ns()};
    struct network *w = NULL;
    char id[NET_ID_MAX];

    net_id_new(id);
    doc.id = id;
    if (strcmp(driver, "bridge") == 0) {
        doc.bridge = n->o.bridge != NULL              ? n->o.bridge
                     : bridge_name_free(n, "docker0") ? "docker0"
                                                      : "hull0";
        doc.mtu = n->o.mtu != 0 ? n->o.mtu : bridge_route_mtu(n);
        TRY(default_pools(n, &doc, a, e));
        default_options(n, &doc, a);
    }
    TRY(network_new(&doc, &w, e));
    (void)map_put(&n->networks, w->doc.id, w);
    return 0;
}

int networks_predefine(struct net *n, struct err *e)
{
    static const char *const names[][2] = {
        {"bridge", "bridge"}, {"host", "host"}, {"none", "null"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct network *w = network_lookup(n, names[i][0]);
        if (w != NULL && strcmp(w->doc.name, names[i][0]) == 0)
            continue;
        if (i == 0 && n->o.bridge != NULL && strcmp(n->o.bridge, "none") == 0)
            continue;
        TRY(predefine(n, names[i][0], names[i][1], e));
    }
    return 0;
}

/* ---- what the last daemon left ---- */

/* The default bridge is described by our flags: a saved one that says otherwise is made anew, if
 * nobody runs on it. */
static bool outdated(struct net *n, const struct net_network *doc,
                     const struct net_sandbox *running, size_t n_running)
{
    struct ip_net want, have;

    if (strcmp(doc->name, "bridge") != 0)
        return false;
    for (size_t i = 0; i < n_running; i++) {
        vec_each(ep, &running[i].endpoints) {
            if (strcmp(ep->network_id, doc->id) == 0)
                return false;
        }
    }
    if (n->o.bridge != NULL && strcmp(n->o.bridge, doc->bridge) != 0)
        return true;
    if (n->o.bridge == NULL && !bridge_name_free(n, doc->bridge))
        return true; /* someone else has the name now */
    if (n->o.bip != NULL && ip_net_parse(str_of(n->o.bip), &want)) {
        if (doc->pools.n == 0 || !ip_net_parse(str_of(doc->pools.v[0].subnet), &have))
            return true;
        struct ip_addr gateway = {0, 0};
        (void)ip_parse(str_of(doc->pools.v[0].gateway), &gateway);
        return !ip_eq(ip_net_base(want).addr, have.addr) || want.bits != have.bits ||
               !ip_eq(gateway, want.addr);
    }
    return doc->ipv6 != (n->o.ipv6 || n->o.bip6 != NULL);
}

static int restore_networks(struct net *n, const struct net_network *saved, size_t n_saved,
                            const struct net_sandbox *running, size_t n_running, struct err *e)
{
    struct network *w;

    for (size_t i = 0; i < n_saved; i++) {
        if (outdated(n, &saved[i], running, n_running))
            continue;
        if (network_new(&saved[i], &w, e) < 0)
            return err_wrap(e, "network %s", saved[i].name);
        (void)map_put(&n->networks, w->doc.id, w);
    }
    return 0;
}

/* Take again what a running sandbox has. Addresses that are not in their pool any more are left
 * alone. */
static void restore_sandbox(struct net *n, const struct net_sandbox *doc)
{
    struct sandbox *sb = mem_alloc(sizeof(*sb));
    struct ip_addr a;
    struct err e;

    sb->arena = arena_new();
    json_copy(&net_sandbox_json, &sb->doc, doc, sb->arena);
    vec_each(ep, &sb->doc.endpoints) {
        struct network *w = map_get(&n->networks, ep->network_id);
        if (w == NULL)
            continue;
        w->users++;
        if (w->pool[0] != NULL && ip_parse(str_of(ep->ip), &a))
            (void)ipam_take_this(w->pool[0], a, &e);
        if (w->pool[1] != NULL && ip_parse(str_of(ep->ip6), &a))
            (void)ipam_take_this(w->pool[1], a, &e);
    }
    vec_each(p, &sb->doc.ports) {
        struct port_key key = {.proto = port_proto(str_of(p->proto)),
                               .port = (uint16_t)p->host_port};
        if (ip_parse(str_of(p->host_ip), &key.ip))
            (void)ports_take(&n->ports, key, &e);
    }
    (void)map_put(&n->sandboxes, sb->doc.id, sb);
}

static bool is_running(struct net *n, const char *netns_path, const char *link)
{
    map_each(ent, &n->sandboxes) {
        const struct sandbox *sb = ent->val;
        if (netns_path != NULL &&
            (strcmp(sb->doc.key, netns_path) == 0 ||
             (sb->doc.user_key != NULL && strcmp(sb->doc.user_key, netns_path) == 0)))
            return true;
        vec_each(ep, &sb->doc.endpoints) {
            if (link != NULL && ep->host_link != NULL && strcmp(ep->host_link, link) == 0)
                return true;
        }
    }
    return false;
}

/* Namespaces that no document names. */
static int sweep_namespaces(struct net *n, struct err *e)
{
    DIR *d = opendir(n->netns_dir);
    const struct dirent *ent;
    struct err err;

    if (d == NULL)
        return err_sys(e, "open %s", n->netns_dir);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    while ((ent = readdir(d)) != NULL) {
        auto_free char *path = mem_printf("%s/%s", n->netns_dir, ent->d_name);
        if (ent->d_name[0] == '.' || is_running(n, path, NULL))
            continue;
        if (netns_unname(path, &err) < 0)
            log_warn("old network namespace stays", "error", err.msg, NULL);
    }
    closedir(d);
    return 0;
}

/* Links on our bridges that no document names. */
static int sweep_links(struct net *n, struct err *e)
{
    struct nl_links links = {0};

    if (nl_links(n->nl, &links, e) < 0) {
        vec_done(&links);
        return -1;
    }
    vec_each(l, &links) {
        if (l->master == 0 || strcmp(l->kind, "veth") != 0 || is_running(n, NULL, l->name))
            continue;
        map_each(ent, &n->networks) {
            const struct network *w = ent->val;
            if (w->bridge_index == l->master && !w->bridge_given)
                reaper_add(n->reaper, l->name);
        }
    }
    vec_done(&links);
    return 0;
}

static int bring_up(struct net *n, struct err *e)
{
    map_each(ent, &n->networks) {
        struct network *w = ent->val;
        if (strcmp(w->doc.driver, "bridge") != 0)
            continue;
        w->bridge_given = n->o.bridge != NULL && strcmp(w->doc.name, "bridge") == 0;
        if (w->bridge_given && n->o.gateway != NULL &&
            ip_parse(str_of(n->o.gateway), &w->gateway[0]))
            w->gateway_own[0] = false;
        if (bridge_up(n, w, e) < 0)
            return err_wrap(e, "network %s", w->doc.name);
    }
    return 0;
}

static int sync_ports(struct net *n, struct err *e)
{
    struct portd_ports held = {0};
    int r;

    map_each(ent, &n->sandboxes)
        publish_held(n, &((const struct sandbox *)ent->val)->doc, &held);
    r = portd_sync(n->portd, held.v, held.n, e);
    vec_done(&held);
    return r;
}

static void read_ranges(struct net *n)
{
    auto_buf struct buf range = BUF_MAX(4096), reserved = BUF_MAX(1 << 20);
    struct err e;

    /* absent files leave the fallback */
    (void)file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", &range, &e);
    (void)file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_reserved_ports", &reserved, &e);
    ports_range(&n->ports, buf_cstr(&range), buf_cstr(&reserved));
}

static int open_parts(struct net *n, struct err *e)
{
    TRY(check_options(n, e));
    TRY(path_mkdirs(n->netns_dir, 0755, e));
    TRY(firewall_open(n, e));
    TRY(nl_open(&n->nl, e));
    n->ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
    read_ranges(n);
    n->userns = (struct userns_rq){.helper = n->o.sandbox_path, .maps = n->o.userns, .net = true};
    n->spaces = netns_pool_new(n->o.warm, n->o.userns.uid != NULL ? &n->userns : NULL);
    n->reaper = reaper_new(n->nl);
    n->portd = portd_new(n->o.portd_path, n->portd_socket);
    return 0;
}

int net_open(const struct net_opts *o, const struct net_network *saved, size_t n_saved,
             const struct net_sandbox *running, size_t n_running, struct net **out, struct err *e)
{
    struct net *n = mem_alloc(sizeof(*n));
    int r;

    pthread_mutex_init(&n->lock, NULL);
    pthread_mutex_init(&n->rules_lock, NULL);
    pthread_cond_init(&n->changed, NULL);
    n->arena = arena_new();
    copy_options(n, o);
    n->netns_dir = mem_printf("%s/netns", n->o.exec_root);
    n->portd_socket = mem_printf("%s/portd.sock", n->o.exec_root);
    r = open_parts(n, e);
    if (r == 0)
        r = restore_networks(n, saved, n_saved, running, n_running, e);
    if (r == 0)
        r = networks_predefine(n, e);
    if (r == 0)
        r = bring_up(n, e);
    for (size_t i = 0; r == 0 && i < n_running; i++)
        restore_sandbox(n, &running[i]);
    if (r < 0 || firewall_rebuild(n, e) < 0 || sync_ports(n, e) < 0 || sweep_namespaces(n, e) < 0 ||
        sweep_links(n, e) < 0) {
        net_close(n);
        return err_wrap(e, "failed to start networking");
    }
    foreign_pass(n, true);
    *out = n;
    return 0;
}

static void free_tables(struct net *n)
{
    map_each(ent, &n->sandboxes) {
        struct sandbox *sb = ent->val;
        arena_free(sb->arena);
        free(sb);
    }
    map_each(ent, &n->networks)
        network_free(ent->val);
    map_done(&n->sandboxes);
    map_done(&n->networks);
    ports_done(&n->ports);
}

void net_close(struct net *n)
{
    if (n == NULL)
        return;
    reaper_free(n->reaper);
    netns_pool_free(n->spaces);
    portd_free(n->portd);
    firewall_close(n, false);
    nl_close(n->nl);
    free_tables(n);
    free(n->netns_dir);
    free(n->portd_socket);
    arena_free(n->arena);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->rules_lock);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

void net_teardown(struct net *n)
{
    struct err e;

    reaper_flush(n->reaper);
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        if (w->users == 0 && bridge_down(n, w, &e) < 0)
            log_warn("bridge stays", "error", e.msg, NULL);
    }
    if (n->sandboxes.n == 0) {
        foreign_remove(n);
        firewall_close(n, true);
        (void)unlink(n->portd_socket); /* its owner ends with its last port */
        (void)rmdir(n->netns_dir);
    }
}
