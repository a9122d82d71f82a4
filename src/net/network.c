/*
 * Networks in memory: found, listed, made and removed. A network that is being made or removed is
 * in the table but busy, so that its name is taken while the kernel works without any lock of ours.
 */
#include "net/internal.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/path.h"

#define ID_SHOWN 12

void network_free(struct network *w)
{
    if (w == NULL)
        return;
    ipam_free(w->pool[0]);
    ipam_free(w->pool[1]);
    arena_free(w->arena);
    free(w);
}

static bool option_off(const struct net_network *doc, const char *key)
{
    const char *v = strmap_get(&doc->options, key);

    return v != NULL && (strcmp(v, "false") == 0 || strcmp(v, "0") == 0);
}

/* One address pool of a document: i is 0 for IPv4, 1 for IPv6. The gateway and reserved addresses
 * are taken. */
static int read_pool(struct network *w, const struct net_pool *p, struct err *e)
{
    struct ip_net subnet, range = {{0, 0}, 0};
    struct ip_addr a;
    int i;

    if (!ip_net_parse(str_of(p->subnet), &subnet))
        return err_set(e, ERR_INVALID, "invalid subnet %s", p->subnet);
    if (p->range != NULL && p->range[0] != '\0' && !ip_net_parse(str_of(p->range), &range))
        return err_set(e, ERR_INVALID, "invalid ip-range %s", p->range);
    i = subnet.addr.family == 4 ? 0 : 1;
    if (w->pool[i] != NULL)
        return err_set(e, ERR_UNIMPLEMENTED, "a network with two IPv%d subnets is not supported",
                       subnet.addr.family);
    w->subnet[i] = ip_net_base(subnet);
    w->pool[i] = ipam_new(subnet, range);
    if (p->gateway != NULL && p->gateway[0] != '\0') {
        if (!ip_parse(str_of(p->gateway), &w->gateway[i]))
            return err_set(e, ERR_INVALID, "invalid gateway address \"%s\"", p->gateway);
        if (ipam_take_this(w->pool[i], w->gateway[i], e) < 0)
            return err_set(e, ERR_INVALID, "invalid gateway address \"%s\"", p->gateway);
    }
    for (size_t k = 0; k < p->aux.n; k++) {
        if (!ip_parse(str_of(p->aux.v[k].val), &a) || ipam_take_this(w->pool[i], a, e) < 0)
            return err_set(e, ERR_INVALID, "invalid auxiliary address %s", p->aux.v[k].val);
    }
    return 0;
}

int network_new(const struct net_network *doc, struct network **out, struct err *e)
{
    const char *host_ip = strmap_get(&doc->options, "com.docker.network.bridge.host_binding_ipv4");
    struct network *w = mem_alloc(sizeof(*w));

    w->arena = arena_new();
    json_copy(&net_network_json, &w->doc, doc, w->arena);
    w->gateway_own[0] = w->gateway_own[1] = true;
    w->masquerade = !option_off(doc, "com.docker.network.bridge.enable_ip_masquerade");
    w->no_icc = option_off(doc, "com.docker.network.bridge.enable_icc");
    if (host_ip != NULL && ip_parse(str_of(host_ip), &w->host_ip) && ip_is_unspecified(w->host_ip))
        w->host_ip.family = 0;
    for (size_t i = 0; i < doc->pools.n; i++) {
        if (read_pool(w, &doc->pools.v[i], e) < 0) {
            network_free(w);
            return -1;
        }
    }
    *out = w;
    return 0;
}

struct network *network_lookup(struct net *n, const char *name)
{
    struct network *found = NULL;
    size_t len = strlen(name);

    found = map_get(&n->networks, name);
    if (found != NULL)
        return found;
    map_each(ent, &n->networks) {
        struct network *w = ent->val;
        if (strcmp(w->doc.name, name) == 0)
            return w;
    }
    map_each(ent, &n->networks) {
        if (len == 0 || strncmp(ent->key, name, len) != 0)
            continue;
        if (found != NULL)
            return NULL; /* more than one */
        found = ent->val;
    }
    return found;
}

struct network *network_default(struct net *n)
{
    struct network *w = network_lookup(n, "bridge");

    return w != NULL && strcmp(w->doc.name, "bridge") == 0 ? w : NULL;
}

bool network_rule(const struct network *w, struct rule_net *out)
{
    if (strcmp(w->doc.driver, "bridge") != 0 || w->bridge_index == 0)
        return false;
    *out = (struct rule_net){.bridge = w->doc.bridge,
                             .subnet4 = w->subnet[0],
                             .subnet6 = w->subnet[1],
                             .masquerade = w->masquerade,
                             .internal = w->doc.internal,
                             .no_icc = w->no_icc};
    return true;
}

int networks_used(struct net *n, struct ip_nets *out, struct err *e)
{
    auto_buf struct buf host = BUF_MAX(RESOLV_TEXT_MAX), servers = BUF_MAX(RESOLV_TEXT_MAX);
    const struct resolv_opts plain = {.internal = true};
    struct nl_routes routes = {0};
    struct nl_addrs addrs = {0};
    struct err ignored;
    int r = nl_routes(n->nl, &routes, e) < 0 || nl_addrs(n->nl, &addrs, e) < 0 ? -1 : 0;

    vec_each(route, &routes) {
        if (route->dst.bits > 0)
            vec_push(out, route->dst);
    }
    vec_each(addr, &addrs)
        vec_push(out, ip_net_base(addr->net));
    vec_done(&routes);
    vec_done(&addrs);
    if (resolv_host_read(&host, &ignored) == 0) {
        resolv_write(buf_cstr(&host), host.n, &plain, &servers);
        struct str text = str_of(buf_cstr(&servers));
        while (text.n > 0) {
            struct str line = str_cut(&text, '\n'), key = str_cut(&line, ' ');
            struct ip_net one = {.bits = 32};
            if (str_eq(key, "nameserver") && ip_parse(line, &one.addr) && one.addr.family == 4)
                vec_push(out, one);
        }
    }
    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        for (int i = 0; i < 2; i++) {
            if (w->pool[i] != NULL)
                vec_push(out, w->subnet[i]);
        }
    }
    pthread_mutex_unlock(&n->lock);
    return r;
}

/* ---- what is asked of a new network ---- */

static int check_name_and_driver(const struct net_create *rq, struct err *e)
{
    static const char *const predefined[] = {"bridge", "host", "none", "default"};
    const char *driver = rq->driver;

    if (str_trim(str_of(rq->name)).n == 0)
        return err_set(e, ERR_INVALID, "invalid network name: name is empty");
    for (size_t i = 0; i < ARRAY_LEN(predefined); i++) {
        if (strcmp(rq->name, predefined[i]) == 0)
            return err_set(e, ERR_FORBIDDEN, "operation is not permitted on predefined %s network ",
                           rq->name);
    }
    if (driver == NULL || driver[0] == '\0' || strcmp(driver, "bridge") == 0)
        return 0;
    if (strcmp(driver, "host") == 0 || strcmp(driver, "null") == 0)
        return err_set(e, ERR_FORBIDDEN, "only one instance of \"%s\" network is allowed", driver);
    if (strcmp(driver, "overlay") == 0)
        return err_set(e, ERR_FORBIDDEN,
                       "This node is not a swarm manager. Use \"docker swarm init\" or \"docker "
                       "swarm join\" to connect this node to "
                       "swarm and try again.");
    if (strcmp(driver, "macvlan") == 0 || strcmp(driver, "ipvlan") == 0)
        return err_set(e, ERR_UNIMPLEMENTED, "network driver \"%s\" is not supported yet", driver);
    return err_set(e, ERR_NOT_FOUND, "plugin \"%s\" not found", driver);
}

static int check_options(const struct net_create *rq, struct err *e)
{
    for (size_t i = 0; i < rq->options.n; i++) {
        const char *key = rq->options.v[i].key, *val = rq->options.v[i].val;
        if (strncmp(key, "com.docker.network.bridge.gateway_mode_ipv", 42) == 0 &&
            strcmp(val, "nat") != 0)
            return err_set(e, ERR_UNIMPLEMENTED, "%s=%s is not supported yet", key, val);
        if (strcmp(key, "com.docker.network.driver.mtu") == 0 &&
            !str_to_u64(str_of(val), 68, 65535, &(uint64_t){0}))
            return err_set(e, ERR_INVALID, "invalid value for %s: %s", key, val);
    }
    if (rq->ipv4 != NULL && !*rq->ipv4 && !rq->ipv6)
        return err_set(e, ERR_INVALID, "IPv4 or IPv6 must be enabled");
    return 0;
}

/* One pool as asked for, checked: subnet without host bits, gateway inside. */
static int check_pool(const struct net_pool *p, struct err *e)
{
    char want[IP_TEXT_MAX], inner_text[IP_TEXT_MAX];
    struct ip_net subnet, inner;
    struct ip_addr gateway;

    if (!ip_net_parse(str_of(p->subnet), &subnet))
        return err_set(e, ERR_INVALID,
                       "invalid network config:\ninvalid subnet %s: invalid CIDR block notation",
                       p->subnet);
    if (!ip_eq(ip_net_base(subnet).addr, subnet.addr))
        return err_set(e, ERR_INVALID,
                       "invalid network config:\ninvalid subnet %s: it should be %s", p->subnet,
                       ip_net_format(ip_net_base(subnet), want));
    if (p->range != NULL && p->range[0] != '\0') {
        if (!ip_net_parse(str_of(p->range), &inner) || inner.bits < subnet.bits ||
            !ip_net_has(subnet, inner.addr))
            return err_set(e, ERR_INVALID,
                           "invalid network config:\ninvalid ip-range %s: parent subnet is %s",
                           p->range, p->subnet);
        if (!ip_eq(ip_net_base(inner).addr, inner.addr))
            return err_set(e, ERR_INVALID,
                           "invalid network config:\ninvalid ip-range %s: it should be %s",
                           p->range, ip_net_format(ip_net_base(inner), inner_text));
    }
    if (p->gateway != NULL && p->gateway[0] != '\0' &&
        (!ip_parse(str_of(p->gateway), &gateway) || !ip_net_has(subnet, gateway)))
        return err_set(e, ERR_INVALID,
                       "invalid network config:\ninvalid gateway %s: parent subnet is %s",
                       p->gateway, p->subnet);
    return 0;
}

/* The pool of one family, completed: subnet chosen when none was given, gateway its first address.
 */
static void complete_pool(struct net_pool *p, struct ip_net subnet, struct arena *a)
{
    char text[IP_TEXT_MAX];

    p->subnet = arena_strdup(a, ip_net_format(ip_net_base(subnet), text));
    if (p->gateway == NULL || p->gateway[0] == '\0') {
        struct ip_net base = ip_net_base(subnet);
        bool tiny = base.bits >= ip_width(base.addr) - 1;
        p->gateway = arena_strdup(a, ip_format(ip_add(base.addr, tiny ? 0 : 1), text));
    }
}

static int check_overlap(struct net *n, struct ip_net subnet, struct err *e)
{
    int r = 0;

    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        for (int i = 0; i < 2 && r == 0; i++) {
            if (w->pool[i] != NULL && ip_net_overlaps(w->subnet[i], subnet))
                r = err_set(
                    e, ERR_FORBIDDEN,
                    "invalid pool request: Pool overlaps with other one on this address space");
        }
    }
    pthread_mutex_unlock(&n->lock);
    return r;
}

/* doc->pools from the request. */
static int choose_pools(struct net *n, const struct net_create *rq, struct arena *a,
                        struct net_network *doc, struct err *e)
{
    struct ip_nets used = {0};
    bool have4 = false, have6 = false;
    struct ip_net subnet;
    int r;

    for (size_t i = 0; i < rq->n_pools; i++) {
        struct net_pool *p;
        if (rq->pools[i].subnet == NULL || rq->pools[i].subnet[0] == '\0')
            continue; /* only options without a subnet: one is chosen below */
        TRY(check_pool(&rq->pools[i], e));
        (void)ip_net_parse(str_of(rq->pools[i].subnet), &subnet); /* just checked */
        TRY(check_overlap(n, subnet, e));
        p = vec_add_in(a, &doc->pools);
        json_copy(&net_pool_json, p, &rq->pools[i], a);
        complete_pool(p, subnet, a);
        have4 |= subnet.addr.family == 4;
        have6 |= subnet.addr.family == 6;
    }
    doc->ipv6 |= have6;
    if (doc->ipv4 && !have4) {
        r = networks_used(n, &used, e) < 0
                ? -1
                : ipam_choose(n->o.pools, n->o.n_pools, used.v, used.n, &subnet, e);
        vec_done(&used);
        TRY(r);
        complete_pool(vec_add_in(a, &doc->pools), subnet, a);
    }
    if (doc->ipv6 && !have6)
        complete_pool(vec_add_in(a, &doc->pools), ipam_ula(doc->id), a);
    return 0;
}

static int fill_doc(struct net *n, const struct net_create *rq, struct arena *a,
                    struct net_network *doc, struct err *e)
{
    char id[NET_ID_MAX];
    const char *name = strmap_get(&rq->options, "com.docker.network.bridge.name");
    const char *mtu = strmap_get(&rq->options, "com.docker.network.driver.mtu");
    uint64_t given_mtu;

    net_id_new(id);
    doc->name = arena_strdup(a, rq->name);
    doc->id = arena_strdup(a, id);
    doc->created_ns = time_now_ns();
    doc->driver = "bridge";
    doc->ipv4 = rq->ipv4 == NULL || *rq->ipv4;
    doc->ipv6 = rq->ipv6;
    doc->internal = rq->internal;
    doc->attachable = rq->attachable;
    doc->user_subnet = rq->n_pools > 0;
    for (size_t i = 0; i < rq->options.n; i++)
        strmap_set(&doc->options, a, rq->options.v[i].key, rq->options.v[i].val);
    for (size_t i = 0; i < rq->labels.n; i++)
        strmap_set(&doc->labels, a, rq->labels.v[i].key, rq->labels.v[i].val);
    for (size_t i = 0; i < rq->ipam_options.n; i++)
        strmap_set(&doc->ipam_options, a, rq->ipam_options.v[i].key, rq->ipam_options.v[i].val);
    doc->bridge = name != NULL ? arena_strdup(a, name) : arena_printf(a, "br-%.*s", ID_SHOWN, id);
    doc->mtu = mtu != NULL && str_to_u64(str_of(mtu), 68, 65535, &given_mtu) ? (int64_t)given_mtu
                                                                             : bridge_route_mtu(n);
    return choose_pools(n, rq, a, doc, e);
}

/* Put a busy network into the table, if its name, pools and link are free. */
static int insert(struct net *n, struct network *w, struct err *e)
{
    int r = 0;

    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        const struct network *other = ent->val;
        if (strcmp(other->doc.name, w->doc.name) == 0)
            r = err_set(e, ERR_CONFLICT, "network with name %s already exists", w->doc.name);
        else if (other->doc.bridge != NULL && strcmp(other->doc.bridge, w->doc.bridge) == 0)
            r = err_set(e, ERR_FORBIDDEN, "bridge name %s is in use by network %s", w->doc.bridge,
                        other->doc.name);
        for (int i = 0; i < 2 && r == 0;
             i++) { /* again: two requests may have chosen the same subnet */
            if (w->pool[i] != NULL && other->pool[i] != NULL &&
                ip_net_overlaps(w->subnet[i], other->subnet[i]))
                r = err_set(
                    e, ERR_FORBIDDEN,
                    "invalid pool request: Pool overlaps with other one on this address space");
        }
        if (r < 0)
            break;
    }
    if (r == 0)
        (void)map_put(&n->networks, w->doc.id, w);
    pthread_mutex_unlock(&n->lock);
    return r;
}

static void drop(struct net *n, struct network *w)
{
    pthread_mutex_lock(&n->lock);
    (void)map_del(&n->networks, w->doc.id);
    pthread_mutex_unlock(&n->lock);
    network_free(w);
}

static void set_ready(struct net *n, struct network *w)
{
    pthread_mutex_lock(&n->lock);
    w->busy = w->gone = false;
    pthread_mutex_unlock(&n->lock);
}

int net_create(struct net *n, const struct net_create *rq, struct arena *a, struct net_network *out,
               struct err *e)
{
    struct net_network doc = {0};
    struct network *w = NULL;
    struct err undo;

    TRY(check_name_and_driver(rq, e));
    TRY(check_options(rq, e));
    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->networks) {
        if (strcmp(((const struct network *)ent->val)->doc.name, rq->name) == 0)
            w = ent->val;
    }
    pthread_mutex_unlock(&n->lock);
    if (w != NULL)
        return err_set(e, ERR_CONFLICT, "network with name %s already exists", rq->name);
    TRY(fill_doc(n, rq, a, &doc, e));
    if (!bridge_name_free(n, doc.bridge))
        return err_set(e, ERR_FORBIDDEN, "link %s exists and is not ours", doc.bridge);
    TRY(network_new(&doc, &w, e));
    w->busy = true;
    if (insert(n, w, e) < 0) {
        network_free(w);
        return -1;
    }
    if (bridge_up(n, w, e) < 0 || firewall_network(n, "add", w, e) < 0) {
        (void)bridge_down(n, w, &undo); /* the first error is the one to tell */
        drop(n, w);
        return -1;
    }
    foreign_pass(n, true);
    set_ready(n, w);
    *out = doc;
    return 0;
}

/* `error while removing network: network x has active endpoints (name:"web" id:"12hex")`; under
 * net->lock. */
static int has_endpoints(struct net *n, const struct network *w, struct err *e)
{
    auto_buf struct buf list = BUF_MAX(1024);

    map_each(ent, &n->sandboxes) {
        const struct sandbox *sb = ent->val;
        vec_each(ep, &sb->doc.endpoints) {
            if (strcmp(ep->network_id, w->doc.id) == 0)
                (void)buf_printf(&list, "%sname:\"%s\" id:\"%.12s\"", list.n > 0 ? ", " : "",
                                 sb->doc.container_name, ep->id);
        }
    }
    return err_set(e, ERR_FORBIDDEN,
                   "error while removing network: network %s has active endpoints (%s)",
                   w->doc.name, buf_cstr(&list));
}

static bool is_predefined(const struct network *w)
{
    return strcmp(w->doc.driver, "host") == 0 || strcmp(w->doc.driver, "null") == 0 ||
           strcmp(w->doc.name, "bridge") == 0;
}

int net_remove(struct net *n, const char *name, struct err *e)
{
    struct network *w;
    int r = 0;

    pthread_mutex_lock(&n->lock);
    w = network_lookup(n, name);
    if (w == NULL)
        r = err_set(e, ERR_NOT_FOUND, "network %s not found", name);
    else if (is_predefined(w))
        r = err_set(e, ERR_FORBIDDEN, "%s is a pre-defined network and cannot be removed",
                    w->doc.name);
    else if (w->busy)
        r = err_set(e, ERR_CONFLICT, "network %s is being made or removed", name);
    else if (w->users > 0)
        r = has_endpoints(n, w, e);
    else
        w->busy = w->gone = true;
    pthread_mutex_unlock(&n->lock);
    TRY(r);
    if (firewall_network(n, "delete", w, e) < 0 || bridge_down(n, w, e) < 0) {
        set_ready(n, w);
        return err_wrap(e, "error while removing network");
    }
    foreign_pass(n, true);
    drop(n, w);
    return 0;
}

int net_find(struct net *n, const char *name, struct arena *a, struct net_network *out,
             struct err *e)
{
    struct network *w;

    pthread_mutex_lock(&n->lock);
    w = network_lookup(n, name);
    if (w != NULL)
        json_copy(&net_network_json, out, &w->doc, a);
    pthread_mutex_unlock(&n->lock);
    return w != NULL ? 0 : err_set(e, ERR_NOT_FOUND, "network %s not found", name);
}

void net_networks(struct net *n, struct arena *a, struct net_network **out, size_t *out_n)
{
    size_t i = 0;

    pthread_mutex_lock(&n->lock);
    *out = arena_alloc_array(a, n->networks.n, sizeof(**out));
    map_each(ent, &n->networks) {
        const struct network *w = ent->val;
        if (!w->busy)
            json_copy(&net_network_json, &(*out)[i++], &w->doc, a);
    }
    *out_n = i;
    pthread_mutex_unlock(&n->lock);
}

void net_attached(struct net *n, const char *network_id, struct arena *a, struct net_attached **out,
                  size_t *out_n)
{
    VEC(struct net_attached) list = {0};

    pthread_mutex_lock(&n->lock);
    map_each(ent, &n->sandboxes) {
        const struct sandbox *sb = ent->val;
        vec_each(ep, &sb->doc.endpoints) {
            if (strcmp(ep->network_id, network_id) != 0)
                continue;
            struct net_attached *at = vec_add_in(a, &list);
            at->container_id = arena_strdup(a, sb->doc.container_id);
            at->container_name = arena_strdup(a, sb->doc.container_name);
            json_copy(&net_endpoint_json, &at->endpoint, ep, a);
        }
    }
    pthread_mutex_unlock(&n->lock);
    *out = list.v;
    *out_n = list.n;
}

const char *net_host_gateway(struct net *n, struct arena *a)
{
    char text[IP_TEXT_MAX] = "";
    const struct network *w;

    pthread_mutex_lock(&n->lock);
    w = network_default(n);
    if (w != NULL)
        (void)ip_format(w->gateway[0].family != 0 ? w->gateway[0] : w->gateway[1], text);
    pthread_mutex_unlock(&n->lock);
    return arena_strdup(a, text);
}
