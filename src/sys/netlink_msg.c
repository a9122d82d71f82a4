/*
 * Route netlink messages as bytes. Every attribute that is read is checked for its length first:
 * the kernel is trusted, but a newer one may send what we do not expect.
 */
#include "sys/netlink_msg.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

static struct nlmsghdr *request(void *buf, uint16_t type, unsigned flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    return h;
}

static void put_up(struct ifinfomsg *i)
{
    i->ifi_family = AF_UNSPEC;
    i->ifi_change = IFF_UP;
    i->ifi_flags = IFF_UP;
}

struct nlmsghdr *nl_msg_bridge(void *buf, const char *name, uint32_t mtu, const uint8_t *mac)
{
    struct nlmsghdr *h = request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    if (mtu != 0)
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    if (mac != NULL)
        mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_str(h, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(h, info);
    return h;
}

/* Both ends in one request: created, named, joined to the bridge, moved and brought up by the
 * kernel at once. */
struct nlmsghdr *nl_msg_veth(void *buf, const struct nl_veth *v)
{
    struct nlmsghdr *h = request(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

    put_up(mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg)));
    mnl_attr_put_strz(h, IFLA_IFNAME, v->name);
    if (v->mtu != 0)
        mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
    if (v->master != 0)
        mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)v->master);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_str(h, IFLA_INFO_KIND, "veth");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, v->peer);
    if (v->mtu != 0)
        mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
    if (v->mac != NULL)
        mnl_attr_put(h, IFLA_ADDRESS, 6, v->mac);
    if (v->peer_ns >= 0)
        mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)v->peer_ns);
    mnl_attr_nest_end(h, peer);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    return h;
}

struct nlmsghdr *nl_msg_link(void *buf, uint16_t type, int index, const char *name, unsigned flags,
                             uint32_t mtu)
{
    struct nlmsghdr *h = request(buf, type, 0);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

    i->ifi_family = AF_UNSPEC;
    i->ifi_index = index;
    i->ifi_change = flags;
    i->ifi_flags = flags;
    if (name != NULL)
        mnl_attr_put_strz(h, IFLA_IFNAME, name);
    if (mtu != 0)
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    return h;
}

struct nlmsghdr *nl_msg_alias(void *buf, const char *name, const char *alias)
{
    struct nlmsghdr *h = nl_msg_link(buf, RTM_SETLINK, 0, name, 0, 0);

    mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
    return h;
}

static struct nlmsghdr *bridge_port(void *buf, int index)
{
    struct nlmsghdr *h = request(buf, RTM_SETLINK, 0);
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

    i->ifi_family = PF_BRIDGE;
    i->ifi_index = index;
    return h;
}

struct nlmsghdr *nl_msg_port_flags(void *buf, int index, bool isolated, bool hairpin)
{
    struct nlmsghdr *h = bridge_port(buf, index);
    struct nlattr *port = mnl_attr_nest_start(h, IFLA_PROTINFO);

    mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, isolated);
    mnl_attr_put_u8(h, IFLA_BRPORT_MODE, hairpin);
    mnl_attr_nest_end(h, port);
    return h;
}

struct nlmsghdr *nl_msg_port_off(void *buf, int index)
{
    struct nlmsghdr *h = bridge_port(buf, index);
    struct nlattr *port = mnl_attr_nest_start(h, IFLA_PROTINFO);

    mnl_attr_put_u8(h, IFLA_BRPORT_STATE, BR_STATE_DISABLED);
    mnl_attr_put(h, IFLA_BRPORT_FLUSH, 0, NULL);
    mnl_attr_nest_end(h, port);
    return h;
}

static void put_ip(struct nlmsghdr *h, uint16_t type, struct ip_addr a)
{
    uint8_t b[16];
    size_t n = ip_bytes(a, b);

    mnl_attr_put(h, type, n, b);
}

static uint8_t family_of(struct ip_addr a)
{
    return a.family == 4 ? AF_INET : AF_INET6;
}

struct nlmsghdr *nl_msg_addr(void *buf, uint16_t type, int index, struct ip_net addr)
{
    struct nlmsghdr *h = request(buf, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));

    a->ifa_family = family_of(addr.addr);
    a->ifa_prefixlen = (uint8_t)addr.bits;
    a->ifa_scope = RT_SCOPE_UNIVERSE;
    a->ifa_index = (uint32_t)index;
    put_ip(h, IFA_LOCAL, addr.addr);
    put_ip(h, IFA_ADDRESS, addr.addr);
    if (addr.addr.family == 4 && addr.bits < 31)
        put_ip(h, IFA_BROADCAST, ip_net_last(addr));
    if (addr.addr.family == 6)
        mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD);
    return h;
}

struct nlmsghdr *nl_msg_route(void *buf, uint16_t type, struct ip_net dst, struct ip_addr gateway,
                              int index)
{
    struct nlmsghdr *h = request(buf, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0);
    struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof(*r));

    r->rtm_family = family_of(dst.addr);
    r->rtm_dst_len = (uint8_t)dst.bits;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_BOOT;
    r->rtm_scope = gateway.family != 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    r->rtm_type = RTN_UNICAST;
    if (dst.bits > 0)
        put_ip(h, RTA_DST, ip_net_base(dst).addr);
    if (gateway.family != 0)
        put_ip(h, RTA_GATEWAY, gateway);
    mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
    return h;
}

struct nlmsghdr *nl_msg_dump(void *buf, uint16_t type)
{
    struct nlmsghdr *h = request(buf, type, NLM_F_DUMP);

    h->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
    if (type == RTM_GETLINK)
        mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    else if (type == RTM_GETADDR)
        mnl_nlmsg_put_extra_header(h, sizeof(struct ifaddrmsg));
    else
        mnl_nlmsg_put_extra_header(h, sizeof(struct rtmsg));
    return h;
}

/* ---- reading ---- */

bool nl_msg_ok(const struct nlmsghdr *h, int left)
{
    return left >= (int)sizeof(*h) && h->nlmsg_len >= sizeof(*h) && h->nlmsg_len <= (unsigned)left;
}

/* The attributes of a message behind its header of `extra` bytes, by type (0..max); false when
 * lengths do not fit. */
static bool read_attrs(const struct nlmsghdr *h, size_t extra, const struct nlattr **out,
                       uint16_t max)
{
    const struct nlattr *at;
    const char *end = (const char *)h + h->nlmsg_len;

    memset(out, 0, sizeof(struct nlattr *) * (max + 1u));
    if (mnl_nlmsg_get_payload_len(h) < MNL_ALIGN(extra))
        return false;
    mnl_attr_for_each(at, h, extra)
    {
        /* libmnl rounds the end up to 4 bytes: the last attribute may claim 3 too many */
        if ((const char *)at + at->nla_len > end)
            return false;
        if (mnl_attr_get_type(at) <= max)
            out[mnl_attr_get_type(at)] = at;
    }
    return true;
}

static bool attr_u32(const struct nlattr *at, uint32_t *out)
{
    if (at == NULL || mnl_attr_get_payload_len(at) < sizeof(uint32_t))
        return false;
    memcpy(out, mnl_attr_get_payload(at), sizeof(*out));
    return true;
}

static void attr_text(const struct nlattr *at, char *out, size_t n)
{
    size_t len;

    out[0] = '\0';
    if (at == NULL)
        return;
    len = strnlen(mnl_attr_get_payload(at), mnl_attr_get_payload_len(at));
    len = MIN(len, n - 1);
    memcpy(out, mnl_attr_get_payload(at), len);
    out[len] = '\0';
}

static struct ip_addr attr_ip(const struct nlattr *at)
{
    return at == NULL ? (struct ip_addr){0}
                      : ip_of_bytes(mnl_attr_get_payload(at), mnl_attr_get_payload_len(at));
}

bool nl_read_link(const struct nlmsghdr *h, struct nl_link *out)
{
    const struct nlattr *at[IFLA_IFALIAS + 1], *nested;
    const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
    struct nl_link link = {0};
    uint32_t master;

    if (h->nlmsg_type != RTM_NEWLINK || !read_attrs(h, sizeof(*i), at, IFLA_IFALIAS))
        return false;
    link.index = i->ifi_index;
    link.flags = i->ifi_flags;
    attr_text(at[IFLA_IFNAME], link.name, sizeof(link.name));
    attr_text(at[IFLA_IFALIAS], link.alias, sizeof(link.alias));
    (void)attr_u32(at[IFLA_MTU], &link.mtu); /* absent: 0 */
    if (attr_u32(at[IFLA_MASTER], &master))
        link.master = (int)master;
    if (at[IFLA_ADDRESS] != NULL && mnl_attr_get_payload_len(at[IFLA_ADDRESS]) == sizeof(link.mac))
        memcpy(link.mac, mnl_attr_get_payload(at[IFLA_ADDRESS]), sizeof(link.mac));
    if (at[IFLA_LINKINFO] != NULL) {
        mnl_attr_for_each_nested(nested, at[IFLA_LINKINFO])
        {
            if (mnl_attr_get_type(nested) == IFLA_INFO_KIND)
                attr_text(nested, link.kind, sizeof(link.kind));
        }
    }
    *out = link;
    return true;
}

bool nl_read_addr(const struct nlmsghdr *h, struct nl_addr *out)
{
    const struct nlattr *at[IFA_LOCAL + 1];
    const struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);
    struct nl_addr addr = {0};

    if (h->nlmsg_type != RTM_NEWADDR || !read_attrs(h, sizeof(*a), at, IFA_LOCAL))
        return false;
    addr.index = (int)a->ifa_index;
    addr.net.addr = attr_ip(at[IFA_LOCAL] != NULL ? at[IFA_LOCAL] : at[IFA_ADDRESS]);
    addr.net.bits = a->ifa_prefixlen;
    if (addr.net.addr.family == 0 || addr.net.bits > ip_width(addr.net.addr))
        return false;
    *out = addr;
    return true;
}

bool nl_read_route(const struct nlmsghdr *h, struct nl_route *out)
{
    const struct nlattr *at[RTA_TABLE + 1];
    const struct rtmsg *r = mnl_nlmsg_get_payload(h);
    struct nl_route route = {0};
    uint32_t index;

    if (h->nlmsg_type != RTM_NEWROUTE || !read_attrs(h, sizeof(*r), at, RTA_TABLE))
        return false;
    if (r->rtm_family != AF_INET && r->rtm_family != AF_INET6)
        return false;
    route.dst.bits = r->rtm_dst_len;
    route.dst.addr = attr_ip(at[RTA_DST]);
    if (route.dst.addr.family == 0)
        route.dst.addr.family = r->rtm_family == AF_INET ? 4 : 6;
    route.gateway = attr_ip(at[RTA_GATEWAY]);
    route.table = r->rtm_table;
    (void)attr_u32(at[RTA_TABLE], &route.table);
    (void)attr_u32(at[RTA_PRIORITY], &route.metric);
    if (attr_u32(at[RTA_OIF], &index))
        route.index = (int)index;
    route.type = r->rtm_type;
    if (route.dst.bits > ip_width(route.dst.addr))
        return false;
    *out = route;
    return true;
}

int nl_read_error(const struct nlmsghdr *h, char *text, size_t n)
{
    const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
    const struct nlattr *at;
    size_t skip = sizeof(*err);

    text[0] = '\0';
    if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof(*err) ||
        err->error > 0)
        return -EBADMSG;
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return err->error;
    if (!(h->nlmsg_flags & NLM_F_CAPPED)) { /* the request stands between */
        if (err->msg.nlmsg_len < sizeof(struct nlmsghdr) || err->msg.nlmsg_len > h->nlmsg_len)
            return -EBADMSG;
        skip += MNL_ALIGN(err->msg.nlmsg_len) - sizeof(struct nlmsghdr);
    }
    if (mnl_nlmsg_get_payload_len(h) < skip)
        return -EBADMSG;
    mnl_attr_for_each(at, h, skip)
    {
        if (mnl_attr_get_type(at) == NLMSGERR_ATTR_MSG)
            attr_text(at, text, n);
    }
    return err->error;
}
