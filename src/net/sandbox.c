/*
 * Sandboxes: first memory (addresses, names, ports), then the kernel (namespace, links, routes),
 * then the packet filter; taken down in the opposite order. A failure at any step undoes the steps
 * before it.
 */
#include <errno.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/internal.h"

#define JOINS_MAX 64

/* ---- memory ---- */

static void sandbox_free(struct sandbox *sb)
{
    if (sb == NULL)
        return;
    arena_free(sb->arena);
    free(sb);
}

/* One address of a family for an endpoint; under net->lock. Nothing happens when the network has no
 * such family. */
static int take_address(struct network *w, int i, const char *want, struct arena *a,
                        const char **out, struct ip_addr *out_ip, struct err *e)
{
    struct ip_addr ip = {0, 0};
    char text[IP_TEXT_MAX];

    *out = "";
    if (want != NULL && want[0] != '\0') {
        if (!ip_parse(str_of(want), &ip))
            return err_set(e, ERR_INVALID, "invalid IP address: %s", want);
        if (strcmp(w->doc.name, "bridge") == 0)
            return err_set(e, ERR_INVALID,
                           "user specified IP address is supported on user defined networks only");
        if (!w->doc.user_subnet || w->pool[i] == NULL)
            return err_set(e, ERR_INVALID,
                           "user specified IP address is supported only when connecting to "
                           "networks with user configured subnets");
        TRY(ipam_take_this(w->pool[i], ip, e));
    } else if (w->pool[i] == NULL) {
        return 0;
    } else if (ipam_take(w->pool[i], &ip, e) < 0) {
        return -1;
    }
    *out = arena_strdup(a, ip_format(ip, text));
    *out_ip = ip;
    return 0;
}

static int choose_mac(const struct net_join *j, struct ip_addr ip, struct arena *a,
                      struct net_endpoint *ep, struct err *e)
{
    char text[MAC_TEXT_MAX];
    uint8_t mac[6];

    net_mac(ip, mac);
    if (j->mac != NULL && j->mac[0] != '\0' && (!mac_parse(str_of(j->mac), mac) || (mac[0] & 1)))
        return err_set(e, ERR_INVALID, "invalid MAC address: %s", j->mac);
    mac_format(mac, text);
    ep->mac = arena_strdup(a, text);
    return 0;
}

static const char *gateway_text(const struct network *w, int i, struct arena *a)
{
    char text[IP_TEXT_MAX];

    return w->doc.internal ? "" : arena_strdup(a, ip_format(w->gateway[i], text));
}

static void release_addresses(struct network *w, const struct net_endpoint *ep)
{
    struct ip_addr ip;

    if (w->pool[0] != NULL && ip_parse(str_of(ep->ip), &ip))
        ipam_release(w->pool[0], ip);
    if (w->pool[1] != NULL && ip_parse(str_of(ep->ip6), &ip))
        ipam_release(w->pool[1], ip);
}

/* Addresses and names of one endpoint; under net->lock. */
static int fill_endpoint(struct network *w, const struct net_join *j, size_t number,
                         struct arena *a, struct net_endpoint *ep, struct err *e)
{
    struct ip_addr ip = {0, 0};
    char id[NET_ID_MAX];

    net_id_new(id);
    *ep = (struct net_endpoint){.id = arena_strdup(a, id),
                                .network_id = w->doc.id,
                                .network = w->doc.name,
                                .ip = "",
                                .ip6 = "",
                                .mac = "",
                                .gateway = "",
                                .gateway6 = "",
                                .host_link = "",
                                .link = "",
                                .gw_priority = j->gw_priority};
    for (size_t i = 0; i < j->aliases.n; i++)
        vec_push_in(a, &ep->aliases, arena_strdup(a, j->aliases.v[i]));
    if (strcmp(w->doc.driver, "bridge") != 0)
        return 0;
    if (take_address(w, 1, j->ip6, a, &ep->ip6, &ip, e) < 0 ||
        take_address(w, 0, j->ip, a, &ep->ip, &ip, e) < 0 || choose_mac(j, ip, a, ep, e) < 0) {
        release_addresses(w, ep);
        return -1;
    }
    net_id_new(id);
    ep->prefix = w->pool[0] != NULL ? w->subnet[0].bits : 0;
    ep->prefix6 = w->pool[1] != NULL ? w->subnet[1].bits : 0;
    ep->gateway = gateway_text(w, 0, a);
    ep->gateway6 = gateway_text(w, 1, a);
    ep->host_link = arena_printf(a, "veth%.7s", id);
    ep->link = arena_printf(a, "eth%zu", number);
    return 0;
}

/* The first free N of ethN. */
static size_t link_number(const struct net_sandbox *doc)
{
    size_t number = 0;
    char name[IFNAMSIZ];

    for (bool taken = true; taken; number += taken) {
        taken = false;
        snprintf(name, sizeof(name), "eth%zu", number);
        vec_each(ep, &doc->endpoints)
            taken |= strcmp(ep->link, name) == 0;
    }
    return number;
}

/* Add an endpoint to a document that is being made. */
static int join(struct net *n, struct net_sandbox *doc, const struct net_join *j, struct arena *a,
                struct err *e)
{
    struct net_endpoint ep;
    struct network *w;
    int r = 0;

    pthread_mutex_lock(&n->lock);
    w = network_lookup(n, j->network);
    if (w == NULL || w->busy)
        r = err_set(e, ERR_NOT_FOUND, "network %s not found", j->network);
    vec_each(other, &doc->endpoints) {
        if (r == 0 && strcmp(other->network_id, w->doc.id) == 0)
            r = err_set(e, ERR_FORBIDDEN, "endpoint with name %s already exists in network %s",
                        doc->container_name, w->doc.name);
    }
    if (r == 0)
        r = fill_endpoint(w, j, link_number(doc), a, &ep, e);
    if (r == 0) {
        ep.network = arena_strdup(a, ep.network); /* the network may go before the document */
        ep.network_id = arena_strdup(a, ep.network_id);
        vec_push_in(a, &doc->endpoints, ep);
        w->users++;
    }
    pthread_mutex_unlock(&n->lock);
    return r;
}

/* The opposite of join, for one endpoint. */
static void leave(struct net *n, const struct net_endpoint *ep)
{
    struct network *w;

    pthread_mutex_lock(&n->lock);
    w = map_get(&n->networks, ep->network_id);
    if (w != NULL) {
        release_addresses(w, ep);
        w->users--;
    }
    pthread_mutex_unlock(&n->lock);
}

/* ---- the kernel ---- */

/* What plugging needs of a network; it stays while endpoints use it. */
static const struct network *network_of(struct net *n, const struct net_endpoint *ep)
{
    const struct network *w;

    pthread_mutex_lock(&n->lock);
    w = map_get(&n->networks, ep->network_id);
    pthread_mutex_unlock(&n->lock);
    return w;
}

static int plug(struct net *n, const struct netns *ns, const struct net_endpoint *ep, struct err *e)
{
    const struct network *w = network_of(n, ep);
    struct ip_net net4 = {.bits = (int)ep->prefix}, net6 = {.bits = (int)ep->prefix6};
    struct nl_link link;
    uint8_t mac[6];

    if (w == NULL || w->bridge_index == 0)
        return 0;                          /* host and none */
    (void)mac_parse(str_of(ep->mac), mac); /* our own text */
    struct nl_veth veth = {.name = ep->host_link,
                           .master = w->bridge_index,
                           .mtu = (uint32_t)w->doc.mtu,
                           .isolated = w->no_icc,
                           .hairpin = bridge_is_filtered(),
                           .peer = ep->link,
                           .mac = mac,
                           .peer_ns = ns->fd};
    TRY(nl_veth_add(n->nl, &veth, e));
    TRY(nl_link_get(ns->nl, ep->link, &link, e));
    if (ip_parse(str_of(ep->ip6), &net6.addr)) {
        auto_free char *key = mem_printf("net/ipv6/conf/%s/disable_ipv6", ep->link);
        TRY(netns_sysctl(ns->fd, key, "0", e));
    }
    if (ip_parse(str_of(ep->ip), &net4.addr))
        TRY(nl_addr_add(ns->nl, link.index, net4, e));
    TRY(nl_link_up(ns->nl, link.index, e));
    return net6.addr.family != 0 ? nl_addr_add(ns->nl, link.index, net6, e) : 0;
}

/* The link is silent and its address free when this returns; the kernel or the reaper removes it.
 */
static void unplug(struct net *n, const struct net_endpoint *ep, bool namespace_goes)
{
    struct err e;

    if (ep->host_link == NULL || ep->host_link[0] == '\0')
        return;
    if (nl_port_off(n->nl, ep->host_link, &e) < 0)
        log_warn("link of a closed sandbox is not silenced", "link", ep->host_link, "error", e.msg,
                 NULL);
    if (namespace_goes)
        reaper_add(n->reaper, ep->host_link);
    else if (nl_link_del(n->nl, ep->host_link, &e) < 0)
        log_warn("link of a disconnected sandbox stays", "link", ep->host_link, "error", e.msg,
                 NULL);
}

typedef int route_fn(struct nl *nl, struct ip_net dst, struct ip_addr gateway, int index,
                     struct err *e);

/* Add or remove the default routes of an endpoint. */
static int default_route(const struct netns *ns, const struct net_endpoint *ep, route_fn *fn,
                         struct err *e)
{
    struct ip_net all4 = {{4, 0}, 0}, all6 = {{6, 0}, 0};
    struct ip_addr gateway;
    struct nl_link link;

    if (ep == NULL)
        return 0;
    TRY(nl_link_get(ns->nl, ep->link, &link, e));
    if (ip_parse(str_of(ep->gateway), &gateway))
        TRY(fn(ns->nl, all4, gateway, link.index, e));
    if (ip_parse(str_of(ep->gateway6), &gateway) && ep->ip6[0] != '\0')
        TRY(fn(ns->nl, all6, gateway, link.index, e));
    return 0;
}

static struct net_endpoint *gateway_endpoint(struct net *n, const struct net_sandbox *doc)
{
    struct net_endpoint *ep;

    pthread_mutex_lock(&n->lock);
    ep = publish_gateway(n, doc);
    pthread_mutex_unlock(&n->lock);
    return ep;
}

static bool same_maps(const struct userns_maps *a, const struct userns_maps *b)
{
    return (a->uid == NULL) == (b->uid == NULL) &&
           (a->uid == NULL || (strcmp(a->uid, b->uid) == 0 && strcmp(a->gid, b->gid) == 0));
}

/* A ready one where it fits, else made as asked for. */
static int take_namespace(struct net *n, const struct net_sandbox_rq *rq, struct netns *out,
                          struct err *e)
{
    const struct userns_rq in = {
        .helper = n->o.sandbox_path, .maps = rq->userns, .join = rq->userns_join, .net = true};

    if (in.join == NULL && same_maps(&in.maps, &n->userns.maps))
        return netns_pool_take(n->spaces, out, e);
    return in.join == NULL && in.maps.uid == NULL ? netns_new(out, e) : netns_new_in(&in, out, e);
}

static int build(struct net *n, const struct net_sandbox_rq *rq, const struct net_sandbox *doc,
                 struct err *e)
{
    auto_netns struct netns ns = NETNS_NONE;

    TRY(take_namespace(n, rq, &ns, e));
    TRY(netns_name(&ns, doc->key, e));
    if (doc->user_key != NULL)
        TRY(netns_name_user(&ns, doc->user_key, e));
    vec_each(ep, &doc->endpoints)
        TRY(plug(n, &ns, ep, e));
    return default_route(&ns, gateway_endpoint(n, doc), nl_route_add, e);
}

/* ---- the packet filter ---- */

static int translate(struct net *n, const char *verb, const struct net_sandbox *doc, struct err *e)
{
    struct rule_ports rules = {0};
    int r;

    pthread_mutex_lock(&n->lock);
    publish_rules(n, doc, &rules);
    pthread_mutex_unlock(&n->lock);
    r = firewall_ports(n, verb, rules.v, rules.n, e);
    vec_done(&rules);
    return r;
}

/* ---- open and close ---- */

/* Undo everything of a sandbox that is not in the table (any more). Steps that were never done do
 * no harm. */
static int demolish(struct net *n, struct net_sandbox *doc, bool has_rules, struct err *e)
{
    int r = 0;

    if (has_rules)
        r = translate(n, "delete", doc, e);
    publish_release(n, doc);
    vec_each(ep, &doc->endpoints) {
        unplug(n, ep, true);
        publish_forget(doc, ep);
    }
    if (doc->key[0] != '\0' && netns_unname(doc->key, e) < 0)
        r = -1;
    if (doc->user_key != NULL && netns_unname(doc->user_key, e) < 0)
        r = -1;
    vec_each(ep, &doc->endpoints)
        leave(n, ep);
    return r;
}

static int check_request(struct net *n, const struct net_sandbox_rq *rq, bool *out_host,
                         struct err *e)
{
    *out_host = false;
    if (rq->n_joins > JOINS_MAX)
        return err_set(e, ERR_INVALID, "more than %d networks", JOINS_MAX);
    for (size_t i = 0; i < rq->n_joins; i++) {
        bool alone = false, host = false;
        pthread_mutex_lock(&n->lock);
        const struct network *w = network_lookup(n, rq->joins[i].network);
        if (w != NULL) {
            host = strcmp(w->doc.driver, "host") == 0;
            alone = host || strcmp(w->doc.driver, "null") == 0;
        }
        pthread_mutex_unlock(&n->lock);
        if (alone && rq->n_joins > 1)
            return err_set(e, ERR_INVALID,
                           host
                               ? "container cannot be connected to host network with other networks"
                               : "container cannot be connected to multiple networks with one of "
                                 "the networks in private (none) mode");
        *out_host |= host;
    }
    return 0;
}

static void insert(struct net *n, struct sandbox *sb)
{
    pthread_mutex_lock(&n->lock);
    (void)map_put(&n->sandboxes, sb->doc.id, sb);
    pthread_mutex_unlock(&n->lock);
}

static void take_out(struct net *n, const char *id)
{
    pthread_mutex_lock(&n->lock);
    (void)map_del(&n->sandboxes, id);
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

static int open_steps(struct net *n, const struct net_sandbox_rq *rq, bool host, struct sandbox *sb,
                      bool *out_rules, struct err *e)
{
    for (size_t i = 0; i < rq->n_joins; i++)
        TRY(join(n, &sb->doc, &rq->joins[i], sb->arena, e));
    if (!host) {
        TRY(publish_take(n, rq, &sb->doc, sb->arena, e));
        if (build(n, rq, &sb->doc, e) < 0)
            return err_wrap(e, "failed to set up container networking");
    }
    insert(n, sb);
    *out_rules = true;
    if (translate(n, "add", &sb->doc, e) < 0) {
        take_out(n, sb->doc.id);
        return err_wrap(e, "failed to set up container networking");
    }
    return 0;
}

int net_sandbox_open(struct net *n, const struct net_sandbox_rq *rq, struct arena *a,
                     struct net_sandbox *out, struct err *e)
{
    struct sandbox *sb;
    bool host, has_rules = false;
    char id[NET_ID_MAX];
    struct err undo;

    TRY(check_request(n, rq, &host, e));
    net_id_new(id);
    sb = mem_alloc(sizeof(*sb));
    sb->arena = arena_new();
    sb->doc.id = arena_strdup(sb->arena, id);
    sb->doc.container_id = arena_strdup(sb->arena, rq->container_id);
    sb->doc.container_name = arena_strdup(sb->arena, rq->container_name);
    sb->doc.key = host ? "" : arena_printf(sb->arena, "%s/%.12s", n->netns_dir, id);
    if (!host && (rq->userns.uid != NULL || rq->userns_join != NULL))
        sb->doc.user_key = arena_printf(sb->arena, "%s.user", sb->doc.key);
    if (open_steps(n, rq, host, sb, &has_rules, e) < 0) {
        (void)demolish(n, &sb->doc, has_rules, &undo); /* the first error is the one to tell */
        sandbox_free(sb);
        return -1;
    }
    foreign_pass(n, false);
    pthread_mutex_lock(&n->lock);
    json_copy(&net_sandbox_json, out, &sb->doc, a);
    pthread_mutex_unlock(&n->lock);
    return 0;
}

/* Find a sandbox and keep others off it; waits for a change that is under way (a few milliseconds).
 */
static int claim(struct net *n, const char *id, struct sandbox **out, struct err *e)
{
    struct sandbox *sb;

    pthread_mutex_lock(&n->lock);
    while ((sb = map_get(&n->sandboxes, id)) != NULL && sb->busy)
        pthread_cond_wait(&n->changed, &n->lock);
    if (sb != NULL)
        sb->busy = true;
    pthread_mutex_unlock(&n->lock);
    if (sb == NULL)
        return err_set(e, ERR_NOT_FOUND, "sandbox %s not found", id);
    *out = sb;
    return 0;
}

static void unclaim(struct net *n, struct sandbox *sb)
{
    pthread_mutex_lock(&n->lock);
    sb->busy = false;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

int net_sandbox_close(struct net *n, const char *sandbox_id, struct err *e)
{
    struct sandbox *sb;
    int r;

    if (claim(n, sandbox_id, &sb, e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    take_out(n, sandbox_id);
    r = demolish(n, &sb->doc, true, e);
    sandbox_free(sb);
    return r;
}

int net_sandbox_get(struct net *n, const char *sandbox_id, struct arena *a, struct net_sandbox *out,
                    struct err *e)
{
    const struct sandbox *sb;

    pthread_mutex_lock(&n->lock);
    sb = map_get(&n->sandboxes, sandbox_id);
    if (sb != NULL)
        json_copy(&net_sandbox_json, out, &sb->doc, a);
    pthread_mutex_unlock(&n->lock);
    return sb != NULL ? 0 : err_set(e, ERR_NOT_FOUND, "sandbox %s not found", sandbox_id);
}

void net_sandbox_rename(struct net *n, const char *sandbox_id, const char *container_name)
{
    struct sandbox *sb;

    pthread_mutex_lock(&n->lock);
    sb = map_get(&n->sandboxes, sandbox_id);
    if (sb != NULL)
        sb->doc.container_name = arena_strdup(sb->arena, container_name);
    pthread_mutex_unlock(&n->lock);
}

/* ---- connect and disconnect ---- */

static bool same_endpoint(const struct net_endpoint *a, const struct net_endpoint *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a->id, b->id) == 0);
}

/*
 * Replace a sandbox's document; default route and ports follow when another endpoint is the way out
 * now. The old document's links still exist, or the new one's exist already.
 */
static int replace(struct net *n, struct sandbox *sb, const struct netns *ns,
                   const struct net_sandbox *next, struct arena *next_arena, struct err *e)
{
    const struct net_endpoint *was = gateway_endpoint(n, &sb->doc), *is = gateway_endpoint(n, next);
    bool moves = !same_endpoint(was, is);
    struct arena *old_arena = sb->arena;
    struct portd_ports held = {0};
    int r = 0;

    if (moves) {
        TRY(default_route(ns, was, nl_route_del, e));
        TRY(default_route(ns, is, nl_route_add, e));
        TRY(translate(n, "delete", &sb->doc, e));
    }
    pthread_mutex_lock(&n->lock);
    sb->doc = *next;
    sb->arena = next_arena;
    publish_held(n, &sb->doc, &held);
    pthread_mutex_unlock(&n->lock);
    if (moves)
        r = translate(n, "add", &sb->doc, e);
    for (size_t i = 0; moves && r == 0 && i < held.n; i++)
        r = portd_hold(n->portd, &held.v[i], e);
    vec_done(&held);
    arena_free(old_arena);
    return r;
}

/* A running sandbox with a namespace of its own, in a bridge network or two. */
static int open_space(const struct sandbox *sb, struct netns *out, struct err *e)
{
    if (sb->doc.key[0] == '\0')
        return err_set(e, ERR_INVALID,
                       "container sharing network namespace with another container or host cannot "
                       "be connected to any other network");
    return netns_open(sb->doc.key, out, e);
}

static int connect_claimed(struct net *n, struct sandbox *sb, const struct net_join *j,
                           struct err *e)
{
    struct arena *next_arena = arena_new();
    auto_netns struct netns ns = NETNS_NONE;
    struct net_sandbox next;
    struct net_endpoint *ep;
    bool joined = false;

    json_copy(&net_sandbox_json, &next, &sb->doc, next_arena);
    if (open_space(sb, &ns, e) == 0 && join(n, &next, j, next_arena, e) == 0) {
        joined = true;
        ep = &next.endpoints.v[next.endpoints.n - 1];
        if (plug(n, &ns, ep, e) == 0 && replace(n, sb, &ns, &next, next_arena, e) == 0)
            return 0;
        if (sb->arena == next_arena) /* connected, but a port did not follow */
            return -1;
    }
    if (joined) {
        unplug(n, &next.endpoints.v[next.endpoints.n - 1], false);
        leave(n, &next.endpoints.v[next.endpoints.n - 1]);
    }
    arena_free(next_arena);
    return -1;
}

static int check_private(struct net *n, const struct sandbox *sb, const char *network,
                         struct err *e)
{
    const struct network *w;
    bool none;

    pthread_mutex_lock(&n->lock);
    w = network_lookup(n, network);
    none = w != NULL && strcmp(w->doc.driver, "bridge") != 0;
    vec_each(ep, &sb->doc.endpoints) {
        w = map_get(&n->networks, ep->network_id);
        none |= w != NULL && strcmp(w->doc.driver, "bridge") != 0;
    }
    pthread_mutex_unlock(&n->lock);
    if (none)
        return err_set(e, ERR_INVALID,
                       "container cannot be connected to multiple networks with one of the "
                       "networks in private (none) mode");
    return 0;
}

int net_connect(struct net *n, const char *sandbox_id, const struct net_join *j, struct arena *a,
                struct net_sandbox *out, struct err *e)
{
    struct sandbox *sb;
    int r;

    TRY(claim(n, sandbox_id, &sb, e));
    r = check_private(n, sb, j->network, e);
    if (r == 0)
        r = connect_claimed(n, sb, j, e);
    unclaim(n, sb);
    return r < 0 ? -1 : net_sandbox_get(n, sandbox_id, a, out, e);
}

/* The index of the endpoint in a network, or -1 (NOT_FOUND). */
static ptrdiff_t find_endpoint(struct net *n, const struct sandbox *sb, const char *network,
                               struct err *e)
{
    const struct network *w;
    ptrdiff_t at = -1;

    pthread_mutex_lock(&n->lock);
    w = network_lookup(n, network);
    for (size_t i = 0; w != NULL && i < sb->doc.endpoints.n; i++) {
        if (strcmp(sb->doc.endpoints.v[i].network_id, w->doc.id) == 0)
            at = (ptrdiff_t)i;
    }
    pthread_mutex_unlock(&n->lock);
    if (w == NULL)
        (void)err_set(e, ERR_NOT_FOUND, "network %s not found", network);
    else if (at < 0)
        (void)err_set(e, ERR_FORBIDDEN, "container %s is not connected to network %s",
                      sb->doc.container_id, network);
    return at;
}

static int disconnect_claimed(struct net *n, struct sandbox *sb, size_t at, struct err *e)
{
    struct arena *next_arena = arena_new();
    auto_arena struct arena *scratch = arena_new();
    auto_netns struct netns ns = NETNS_NONE;
    struct net_endpoint gone;
    struct net_sandbox next;

    json_copy(&net_endpoint_json, &gone, &sb->doc.endpoints.v[at], scratch);
    json_copy(&net_sandbox_json, &next, &sb->doc, next_arena);
    vec_remove(&next.endpoints, at);
    if (open_space(sb, &ns, e) < 0 ||
        (replace(n, sb, &ns, &next, next_arena, e) < 0 && sb->arena != next_arena)) {
        arena_free(next_arena);
        return -1;
    }
    unplug(n, &gone, false);
    publish_forget(&sb->doc, &gone);
    leave(n, &gone);
    return 0;
}

int net_disconnect(struct net *n, const char *sandbox_id, const char *network, struct arena *a,
                   struct net_sandbox *out, struct err *e)
{
    struct sandbox *sb;
    ptrdiff_t at;
    int r = -1;

    TRY(claim(n, sandbox_id, &sb, e));
    at = find_endpoint(n, sb, network, e);
    if (at >= 0)
        r = disconnect_claimed(n, sb, (size_t)at, e);
    unclaim(n, sb);
    return r < 0 ? -1 : net_sandbox_get(n, sandbox_id, a, out, e);
}
