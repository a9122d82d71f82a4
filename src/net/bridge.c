/*
 * The kernel's side of a bridge network: one bridge link with the gateway's address. A link that we
 * made carries a note (ifalias), so that after a restart, also with a lost database, ours can be
 * told from those of others.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/internal.h"
#include "sys/path.h"

#define NOTE "hull"

bool bridge_name_free(struct net *n, const char *name)
{
    struct nl_link link;
    struct err e;

    if (nl_link_get(n->nl, name, &link, &e) < 0)
        return e.kind == ERR_NOT_FOUND;
    return strcmp(link.kind, "bridge") == 0 && strcmp(link.alias, NOTE) == 0;
}

int64_t bridge_route_mtu(struct net *n)
{
    struct nl_routes routes = {0};
    struct nl_links links = {0};
    const struct nl_route *best = NULL;
    int64_t mtu = 1500;
    struct err e;

    if (nl_routes(n->nl, &routes, &e) == 0 && nl_links(n->nl, &links, &e) == 0) {
        vec_each(r, &routes) {
            if (r->dst.bits == 0 && r->dst.addr.family == 4 &&
                (best == NULL || r->metric < best->metric))
                best = r;
        }
        vec_each(l, &links) {
            if (best != NULL && l->index == best->index && l->mtu >= 68 && l->mtu <= 65535)
                mtu = l->mtu;
        }
    }
    vec_done(&routes);
    vec_done(&links);
    return mtu;
}

/* A sysctl of the link; a kernel without it is told in the log. */
static void link_sysctl(const char *family, const char *link, const char *key, const char *value)
{
    auto_free char *path = mem_printf("/proc/sys/net/%s/conf/%s/%s", family, link, key);
    int r = file_put(AT_FDCWD, path, value);

    if (r < 0 && r != -ENOENT)
        log_warn("sysctl not set", "path", path, "error", strerrordesc_np(-r), NULL);
}

static int own_address(struct net *n, const struct network *w, int i, struct err *e)
{
    if (w->pool[i] == NULL || !w->gateway_own[i] || w->gateway[i].family == 0)
        return 0;
    return nl_addr_add(n->nl, w->bridge_index, (struct ip_net){w->gateway[i], w->subnet[i].bits},
                       e);
}

/* Addresses of earlier settings on a bridge of ours. */
static int drop_old_addresses(struct net *n, const struct network *w, struct err *e)
{
    struct nl_addrs addrs = {0};
    int r = nl_addrs(n->nl, &addrs, e);

    for (size_t i = 0; r == 0 && i < addrs.n; i++) {
        const struct nl_addr *a = &addrs.v[i];
        int k = a->net.addr.family == 4 ? 0 : 1;
        bool link_local = k == 1 && a->net.addr.v >> 118 == 0x3fa; /* fe80::/10 */
        bool wanted = ip_eq(a->net.addr, w->gateway[k]) && a->net.bits == w->subnet[k].bits;
        if (a->index == w->bridge_index && !link_local && !wanted)
            r = nl_addr_del(n->nl, a->index, a->net, e);
    }
    vec_done(&addrs);
    return r;
}

int bridge_up(struct net *n, struct network *w, struct err *e)
{
    const char *name = w->doc.bridge;
    struct nl_link link;
    uint8_t mac[6];

    if (nl_link_get(n->nl, name, &link, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        if (w->bridge_given)
            return err_set(e, ERR_INVALID,
                           "bridge device with non default name %s must be created manually", name);
        net_mac(w->gateway[0].family != 0 ? w->gateway[0] : w->gateway[1], mac);
        TRY(nl_bridge_add(n->nl, name, (uint32_t)w->doc.mtu, mac, NOTE, e));
        TRY(nl_link_get(n->nl, name, &link, e));
    } else if (strcmp(link.kind, "bridge") != 0) {
        return err_set(e, ERR_FORBIDDEN, "existing interface %s is not a bridge", name);
    }
    w->bridge_index = link.index;
    if (!w->bridge_given && link.mtu != (uint32_t)w->doc.mtu)
        TRY(nl_link_mtu(n->nl, link.index, (uint32_t)w->doc.mtu, e));
    if (w->pool[1] != NULL) {
        /* addresses here are ours alone; while one is being tested for duplicates nobody would ask
         * for a container's MAC address */
        link_sysctl("ipv6", name, "accept_dad", "0");
        link_sysctl("ipv6", name, "disable_ipv6", "0");
    } else {
        link_sysctl("ipv6", name, "accept_ra", "0");
    }
    if (!w->bridge_given)
        TRY(drop_old_addresses(n, w, e));
    TRY(own_address(n, w, 0, e));
    TRY(own_address(n, w, 1, e));
    TRY(nl_link_up(n->nl, link.index, e));
    if (!n->o.no_rules) /* published ports answer on 127.0.0.1; the guard chain keeps such packets
                           from coming in here */
        link_sysctl("ipv4", name, "route_localnet", "1");
    return w->doc.internal ? 0 : firewall_forward(n, w->pool[1] != NULL, e);
}

bool bridge_is_filtered(void)
{
    auto_buf struct buf now = BUF_MAX(16);
    struct err e;

    return file_read(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", &now, &e) == 0 &&
           buf_cstr(&now)[0] == '1';
}

int bridge_down(struct net *n, const struct network *w, struct err *e)
{
    if (w->doc.bridge == NULL || w->doc.bridge[0] == '\0' || w->bridge_given)
        return 0;
    return nl_link_del(n->nl, w->doc.bridge, e);
}
