/* The packet filter as text; see rules.h for what it says. Tried with nft 1.0.6 and kernel 6.1 and
 * later. */
#include "net/rules.h"

/*
 * Sets and maps first, then the chains. The order inside `publish` matters: an exact address wins
 * over "any address". Translation on output is needed for the host's own connections; ::1 cannot be
 * translated by the kernel (a packet from ::1 may not leave), so that hull-portd serves it.
 */
static const char table_text[] =
    "    set bridges { type ifname; }\n"
    "    set talk { type ifname . ifname; }\n"
    "    set internal { type ifname; }\n"
    "    set hair4 { type ipv4_addr . ipv4_addr; flags interval; }\n"
    "    set hair6 { type ipv6_addr . ipv6_addr; flags interval; }\n"
    "    set nets4 { type ipv4_addr; flags interval; }\n"
    "    set nets6 { type ipv6_addr; flags interval; }\n"
    "    map addr4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }\n"
    "    map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }\n"
    "    map addr6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }\n"
    "    map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }\n"
    "    chain publish {\n"
    "        dnat ip to meta l4proto . ip daddr . th dport map @addr4\n"
    "        meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4\n"
    "        dnat ip6 to meta l4proto . ip6 daddr . th dport map @addr6\n"
    "        meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6\n"
    "    }\n"
    "    chain prerouting {\n"
    "        type nat hook prerouting priority -100; policy accept;\n"
    "        ip daddr 127.0.0.0/8 return\n"
    "        fib daddr type local jump publish\n"
    "    }\n"
    "    chain output {\n"
    "        type nat hook output priority -100; policy accept;\n"
    "        ip6 daddr ::1 return\n"
    "        fib daddr type local jump publish\n"
    "    }\n"
    "    chain postrouting {\n"
    "        type nat hook postrouting priority 100; policy accept;\n"
    "        oifname @bridges ct status dnat ip saddr 127.0.0.0/8 masquerade\n"
    "        ct status dnat ip saddr . ip daddr @hair4 masquerade\n"
    "        ct status dnat ip6 saddr . ip6 daddr @hair6 masquerade\n"
    "        oifname != @bridges ip saddr @nets4 masquerade\n"
    "        oifname != @bridges ip6 saddr @nets6 masquerade\n"
    "    }\n"
    "    chain guard {\n"
    "        type filter hook prerouting priority -300; policy accept;\n"
    "        iifname @bridges ip daddr 127.0.0.0/8 drop\n"
    "    }\n"
    "    chain forward {\n"
    "        type filter hook forward priority 0; policy accept;\n"
    "        iifname != @bridges oifname != @bridges goto others\n"
    "        iifname . oifname @talk accept\n"
    "        iifname @internal drop\n"
    "        oifname @internal drop\n"
    "        ct state established,related accept\n"
    "        oifname @bridges ct status dnat accept\n"
    "        oifname @bridges drop\n"
    "    }\n";

static void element(const char *table, const char *verb, const char *set, struct buf *out)
{
    (void)buf_printf(out, "%s element inet %s %s ", verb, table, set);
}

/* What a container reaches in its own subnet by a published port must come back through us: hair.
 */
static void rules_subnet(const char *table, const char *verb, struct ip_net subnet, bool masquerade,
                         struct buf *out)
{
    char text[IP_TEXT_MAX], set[8];

    if (subnet.addr.family == 0)
        return;
    (void)ip_net_format(subnet, text);
    snprintf(set, sizeof(set), "hair%d", subnet.addr.family);
    element(table, verb, set, out);
    (void)buf_printf(out, "{ %s . %s }\n", text, text);
    if (!masquerade)
        return;
    snprintf(set, sizeof(set), "nets%d", subnet.addr.family);
    element(table, verb, set, out);
    (void)buf_printf(out, "{ %s }\n", text);
}

void rules_net(const char *table, const char *verb, const struct rule_net *net, struct buf *out)
{
    element(table, verb, "bridges", out);
    (void)buf_printf(out, "{ \"%s\" }\n", net->bridge);
    if (!net->no_icc) {
        element(table, verb, "talk", out);
        (void)buf_printf(out, "{ \"%s\" . \"%s\" }\n", net->bridge, net->bridge);
    }
    if (net->internal) {
        element(table, verb, "internal", out);
        (void)buf_printf(out, "{ \"%s\" }\n", net->bridge);
    }
    if (!net->internal) {
        rules_subnet(table, verb, net->subnet4, net->masquerade, out);
        rules_subnet(table, verb, net->subnet6, net->masquerade, out);
    }
}

void rules_port(const char *table, const char *verb, const struct rule_port *port, struct buf *out)
{
    bool any = ip_is_unspecified(port->key.ip);
    char set[8], host[IP_TEXT_MAX], to[IP_TEXT_MAX];

    snprintf(set, sizeof(set), "%s%d", any ? "any" : "addr", port->key.ip.family);
    element(table, verb, set, out);
    (void)buf_printf(out, "{ %s . ", port_proto_name(port->key.proto));
    if (!any)
        (void)buf_printf(out, "%s . ", ip_format(port->key.ip, host));
    (void)buf_printf(out, "%u : %s . %u }\n", port->key.port, ip_format(port->to, to),
                     port->to_port);
}

struct rule_stop rules_stop_of(const char *listing)
{
    return (struct rule_stop){.ip4 = strstr(listing, "\"stop 4\"") != NULL,
                              .ip6 = strstr(listing, "\"stop 6\"") != NULL};
}

void rules_none(const char *table, struct buf *out)
{
    /* adding first makes the deletion of a table that is not there no error */
    (void)buf_printf(out, "add table inet %s\ndelete table inet %s\n", table, table);
}

void rules_all(const char *table, struct rule_stop stop, const struct rule_net *nets, size_t n_nets,
               const struct rule_port *ports, size_t n_ports, struct buf *out)
{
    rules_none(table, out);
    (void)buf_printf(out, "table inet %s {\n    chain others {\n%s%s    }\n%s}\n", table,
                     stop.ip4 ? "        meta nfproto ipv4 counter drop comment \"stop 4\"\n" : "",
                     stop.ip6 ? "        meta nfproto ipv6 counter drop comment \"stop 6\"\n" : "",
                     table_text);
    for (size_t i = 0; i < n_nets; i++)
        rules_net(table, "add", &nets[i], out);
    for (size_t i = 0; i < n_ports; i++)
        rules_port(table, "add", &ports[i], out);
}
