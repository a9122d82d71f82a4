/*
 * The published ports of a sandbox. A host port is taken three times over: in our table (so that
 * our own conflicts get Docker's words), as a socket of hull-portd's (so that nobody else has it),
 * and as an element of the packet filter.
 */
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/internal.h"
#include "sys/conntrack.h"

#define BINDINGS_MAX 16384

int net_publish_check(const struct net_publish *p, struct err *e)
{
    struct port_ask ask;

    return port_ask_parse(p, &ask, e);
}

/* Docker's order: priority, not internal, both families, name. */
static bool is_better(const struct net_endpoint *a, const struct network *wa,
                      const struct net_endpoint *b, const struct network *wb)
{
    bool dual_a = wa->pool[0] != NULL && wa->pool[1] != NULL,
         dual_b = wb->pool[0] != NULL && wb->pool[1] != NULL;

    if (a->gw_priority != b->gw_priority)
        return a->gw_priority > b->gw_priority;
    if (dual_a != dual_b)
        return dual_a;
    return strcmp(wa->doc.name, wb->doc.name) < 0;
}

struct net_endpoint *publish_gateway(struct net *n, const struct net_sandbox *doc)
{
    const struct network *best_net = NULL;
    struct net_endpoint *best = NULL;

    vec_each(ep, &doc->endpoints) {
        const struct network *w = map_get(&n->networks, ep->network_id);
        if (w == NULL || w->doc.internal || strcmp(w->doc.driver, "bridge") != 0)
            continue;
        if (best == NULL || is_better(ep, w, best, best_net)) {
            best = ep;
            best_net = w;
        }
    }
    return best;
}

/* The container's address for connections that come in by a host address of this family; IPv6 also
 * leads to IPv4. */
static struct ip_addr target(const struct net_endpoint *ep, int family)
{
    struct ip_addr a = {0, 0};

    if (ep == NULL)
        return a;
    if (family == 6 && ip_parse(str_of(ep->ip6), &a))
        return a;
    if (!ip_parse(str_of(ep->ip), &a) && family == 4)
        (void)ip_parse(str_of(ep->ip6), &a); /* only IPv6 inside: hull-portd relays */
    return a;
}

/* The key of a document's port; a document that is not ours gives family 0. */
static struct port_key key_of(const struct net_port *p)
{
    struct port_key key = {.proto = port_proto(str_of(p->proto)), .port = (uint16_t)p->host_port};

    (void)ip_parse(str_of(p->host_ip), &key.ip);
    return key;
}

void publish_rules(struct net *n, const struct net_sandbox *doc, struct rule_ports *out)
{
    const struct net_endpoint *ep = publish_gateway(n, doc);

    vec_each(p, &doc->ports) {
        struct rule_port rule = {.key = key_of(p), .to_port = (uint16_t)p->port};
        rule.to = target(ep, rule.key.ip.family);
        if (rule.key.ip.family != 0 && rule.to.family == rule.key.ip.family)
            vec_push(out, rule);
    }
}

void publish_held(struct net *n, const struct net_sandbox *doc, struct portd_ports *out)
{
    const struct net_endpoint *ep = publish_gateway(n, doc);

    vec_each(p, &doc->ports) {
        struct portd_port held = {.key = key_of(p), .to_port = (uint16_t)p->port};
        if (!n->o.no_portd)
            held.to = target(ep, held.key.ip.family);
        if (held.key.ip.family != 0)
            vec_push(out, held);
    }
}

/* ---- taking ---- */

/* How ports reach a sandbox: the endpoint, and the host address of bindings that name none (family
 * 0: all). */
struct way_in {
    const struct net_endpoint *ep;
    struct ip_addr host_ip;
};

/* The host addresses that a binding means: one, or all of both families. Returns their number. */
static size_t addresses(const struct net *n, const struct way_in *way, const struct port_ask *ask,
                        struct ip_addr out[static 2])
{
    if (ask->host_ip.family != 0) {
        out[0] = ask->host_ip;
        return 1;
    }
    if (way->host_ip.family != 0) {
        out[0] = way->host_ip;
        return 1;
    }
    out[0] = (struct ip_addr){4, 0};
    out[1] = (struct ip_addr){6, 0};
    return n->ipv6 ? 2 : 1;
}

static void give_back(struct net *n, int proto, const struct ip_addr *ips, size_t count,
                      uint16_t port)
{
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < count; i++)
        ports_release(&n->ports, (struct port_key){proto, ips[i], port});
    pthread_mutex_unlock(&n->lock);
}

/* Have hull-portd hold a port on all addresses, or on none. */
static int hold_all(struct net *n, const struct way_in *way, const struct port_ask *ask,
                    const struct ip_addr *ips, size_t count, uint16_t port, struct err *e)
{
    struct err ignored;

    for (size_t i = 0; i < count; i++) {
        struct portd_port held = {.key = {ask->proto, ips[i], port}, .to_port = ask->port};
        if (!n->o.no_portd)
            held.to = target(way->ep, ips[i].family);
        if (portd_hold(n->portd, &held, e) == 0)
            continue;
        while (i-- > 0)
            (void)portd_release(n->portd, (struct port_key){ask->proto, ips[i], port}, &ignored);
        return -1;
    }
    return 0;
}

/* One binding: candidates until the kernel agrees. */
static int take_one(struct net *n, const struct way_in *way, const struct port_ask *ask,
                    struct net_sandbox *doc, struct arena *a, struct err *e)
{
    struct ip_addr ips[2];
    size_t count = addresses(n, way, ask, ips);
    char text[IP_TEXT_MAX];
    unsigned tried = 0;
    struct err refused = {0};
    uint16_t port = 0;
    int r;

    for (;;) {
        pthread_mutex_lock(&n->lock);
        r = ports_pick(&n->ports, ask, ips, count, &tried, &port, e);
        pthread_mutex_unlock(&n->lock);
        if (r < 0 && refused.kind != ERR_NONE && ask->first == ask->last && ask->first != 0)
            *e = refused;
        TRY(r);
        if (hold_all(n, way, ask, ips, count, port, e) == 0)
            break;
        give_back(n, ask->proto, ips, count, port);
        if (e->kind != ERR_CONFLICT)
            return -1;
        refused = *e;
    }
    for (size_t i = 0; i < count; i++) {
        struct net_port *p = vec_add_in(a, &doc->ports);
        p->proto = port_proto_name(ask->proto);
        p->port = ask->port;
        p->host_ip = arena_strdup(a, ip_format(ips[i], text));
        p->host_port = port;
    }
    return 0;
}

static bool find_way(struct net *n, const struct net_sandbox *doc, struct way_in *out)
{
    pthread_mutex_lock(&n->lock);
    out->ep = publish_gateway(n, doc);
    out->host_ip = n->host_ip;
    if (out->ep != NULL) {
        const struct network *w = map_get(&n->networks, out->ep->network_id);
        if (w->host_ip.family != 0)
            out->host_ip = w->host_ip;
    }
    pthread_mutex_unlock(&n->lock);
    return out->ep != NULL;
}

int publish_take(struct net *n, const struct net_sandbox_rq *rq, struct net_sandbox *doc,
                 struct arena *a, struct err *e)
{
    struct way_in way;
    struct port_ask ask;

    if (rq->n_ports > BINDINGS_MAX)
        return err_set(e, ERR_INVALID, "more than %d published ports", BINDINGS_MAX);
    for (size_t i = 0; i < rq->n_ports; i++)
        TRY(port_ask_parse(&rq->ports[i], &ask, e));
    if (!find_way(n, doc, &way) || rq->n_ports == 0)
        return 0; /* as Docker: without a way out there is nothing to publish */
    for (size_t i = 0; i < rq->n_ports; i++) {
        (void)port_ask_parse(&rq->ports[i], &ask, e); /* checked above */
        if (take_one(n, &way, &ask, doc, a, e) < 0) {
            publish_release(n, doc);
            doc->ports.n = 0;
            e->kind = ERR_INTERNAL; /* Docker answers 500 */
            return err_wrap(e,
                            "failed to set up container networking: driver failed programming "
                            "external connectivity on endpoint %s (%s)",
                            rq->container_name, way.ep->id);
        }
    }
    return 0;
}

void publish_release(struct net *n, const struct net_sandbox *doc)
{
    struct err e;

    vec_each(p, &doc->ports) {
        struct port_key key = key_of(p);
        if (portd_release(n->portd, key, &e) < 0)
            log_warn("port is still held", "error", e.msg, NULL);
        pthread_mutex_lock(&n->lock);
        ports_release(&n->ports, key);
        pthread_mutex_unlock(&n->lock);
    }
}

void publish_forget(const struct net_sandbox *doc, const struct net_endpoint *ep)
{
    const char *const addresses_of[] = {ep->ip, ep->ip6};
    struct ip_addr ip;
    bool udp = false;
    struct err e;

    vec_each(p, &doc->ports)
        udp |= strcmp(p->proto, "udp") == 0;
    for (size_t i = 0; udp && i < ARRAY_LEN(addresses_of); i++) {
        if (ip_parse(str_of(addresses_of[i]), &ip) && conntrack_forget(ip, PORT_UDP, NULL, &e) < 0)
            log_debug("tracked connections stay until they time out", "error", e.msg, NULL);
    }
}
