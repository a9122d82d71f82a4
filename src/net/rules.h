/**
 * The packet filter as text in nft's language: one table with maps and sets, so that a port or a
 * network is an element and never a rule. Text out, nothing is done here.
 *
 * What the table says: published ports are translated where packets come in and where the host
 * itself sends them; what leaves a network for the outside gets the host's address; networks do not
 * reach each other except through published ports; nobody outside reaches a container's address
 * directly; loopback addresses never come in over a bridge.
 */
#ifndef HULL_NET_RULES_H
#define HULL_NET_RULES_H

#include "base/buf.h"
#include "net/ports.h"

/** A bridge network as the table sees it. */
struct rule_net {
    const char *bridge;
    struct ip_net subnet4, subnet6;    /* family 0: none */
    bool masquerade, internal, no_icc; /* no_icc: containers may not talk to each other */
};

/** A published port that the kernel translates: both addresses are of one family. */
struct rule_port {
    struct port_key key;
    struct ip_addr to;
    uint16_t to_port;
};

/** Families (4, 6) for which packets between links that are not ours are dropped: where we turned
 * forwarding on. */
struct rule_stop {
    bool ip4, ip6;
};

/** The whole table with all its elements, replacing what is there in one transaction. */
void rules_all(const char *table, struct rule_stop stop, const struct rule_net *nets, size_t n_nets,
               const struct rule_port *ports, size_t n_ports, struct buf *out);

/** Add ("add") or remove ("delete") one network's elements, one port's element. */
void rules_net(const char *table, const char *verb, const struct rule_net *net, struct buf *out);
void rules_port(const char *table, const char *verb, const struct rule_port *port, struct buf *out);

/** What the chain `others`, as nft lists it, stops: how the next daemon remembers. */
struct rule_stop rules_stop_of(const char *listing);

/** Remove the whole table; fine when it is not there. */
void rules_none(const char *table, struct buf *out);

#endif
