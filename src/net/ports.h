/**
 * Published ports as memory: what bindings ask for (parsed), and which host ports are given out.
 * The sockets are hull-portd's, the translation the kernel's.
 *
 * Not thread-safe: guarded by whoever owns the table.
 */
#ifndef HULL_NET_PORTS_H
#define HULL_NET_PORTS_H

#include "base/err.h"
#include "base/vec.h"
#include "net/net.h"
#include "sys/ipaddr.h"

enum { PORT_TCP = 6, PORT_UDP = 17, PORT_SCTP = 132 }; /* IP protocol numbers */

/** "tcp", "udp", "sctp"; 0 for anything else. And back. */
int port_proto(struct str name);
const char *port_proto_name(int proto);

/** A binding, parsed. host_ip family 0: all addresses; first 0: an ephemeral port, else the first
 * free of first..last. */
struct port_ask {
    int proto;
    uint16_t port, first, last;
    struct ip_addr host_ip;
};

/** Parse one binding. INVALID: `invalid port specification: "x"`, `invalid IP address: x`. */
int port_ask_parse(const struct net_publish *p, struct port_ask *out, struct err *e);

/** One host port that is given out. */
struct port_key {
    int proto;
    struct ip_addr ip;
    uint16_t port;
};

/** All that are given out. Zero to start; ports_done frees. */
struct ports {
    VEC(struct port_key) taken; /* sorted by protocol, port, family, address */
    uint16_t first, last;       /* ephemeral range */
    uint16_t next;              /* where the search for an ephemeral one goes on */
    VEC(uint16_t) reserved;     /* never given out as ephemeral ones */
};
void ports_done(struct ports *t);

/** Read the ephemeral range and the reserved ports as the two sysctl files show them
 * ("32768\t60999", "8080,9000-9010"). */
void ports_range(struct ports *t, const char *range, const char *reserved);

/** True when the key, or one that covers it (0.0.0.0 covers all IPv4 addresses), is given out. */
bool ports_busy(const struct ports *t, struct port_key key);

/** Take a key; CONFLICT: `Bind for 0.0.0.0:80 failed: port is already allocated`. */
int ports_take(struct ports *t, struct port_key key, struct err *e);
void ports_release(struct ports *t, struct port_key key);

/**
 * The next candidate of a binding after `tried` candidates were refused by the kernel: takes it for
 * all n addresses of ips. Errors: CONFLICT, for a single port as ports_take, for a range or the
 * ephemeral one `all ports are allocated`.
 */
int ports_pick(struct ports *t, const struct port_ask *ask, const struct ip_addr *ips, size_t n,
               unsigned *tried, uint16_t *out, struct err *e);

#endif
