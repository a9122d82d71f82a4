/**
 * Route netlink: links, addresses and routes of one network namespace, each call one request with
 * its answer. Errors carry the kernel's own sentence (extended ack).
 *
 * A handle belongs to the namespace of the thread that opened it, for ever; to work in another one
 * open it there (netns_run). Thread-safe: requests of one handle queue on its lock, which is held
 * for one exchange with the kernel.
 */
#ifndef HULL_SYS_NETLINK_H
#define HULL_SYS_NETLINK_H

#include <net/if.h>

#include "base/err.h"
#include "base/vec.h"
#include "sys/ipaddr.h"

struct nl;

/** Open in the calling thread's network namespace; close with nl_close (NULL is fine). */
int nl_open(struct nl **out, struct err *e);
void nl_close(struct nl *nl);

/** A link as the kernel tells it. */
struct nl_link {
    int index, master; /* master 0: none */
    unsigned flags;    /* IFF_UP ... */
    uint32_t mtu;
    uint8_t mac[6];
    char name[IFNAMSIZ];
    char kind[IFNAMSIZ]; /* "bridge", "veth", "" */
    char alias[64];
};

struct nl_addr {
    int index;
    struct ip_net net;
};

struct nl_route {
    struct ip_net dst; /* bits 0: default route */
    struct ip_addr gateway;
    int index;      /* outgoing link, 0: none */
    uint32_t table; /* 254: main */
    uint32_t metric;
    uint8_t type; /* RTN_UNICAST ... */
};

/** A link by name. NOT_FOUND. */
int nl_link_get(struct nl *nl, const char *name, struct nl_link *out, struct err *e);

/** All links, addresses, routes (main table, both families). The array is on the heap: vec_done. */
struct nl_links {
    struct nl_link *v;
    size_t n, cap;
};
struct nl_addrs {
    struct nl_addr *v;
    size_t n, cap;
};
struct nl_routes {
    struct nl_route *v;
    size_t n, cap;
};
int nl_links(struct nl *nl, struct nl_links *out, struct err *e);
int nl_addrs(struct nl *nl, struct nl_addrs *out, struct err *e);
int nl_routes(struct nl *nl, struct nl_routes *out, struct err *e);

/**
 * A new bridge, down.
 *
 * mtu    0: the kernel's.
 * mac    6 bytes; NULL: the kernel's, which then changes with the ports (and stations lose it for a
 * while). alias  a note on the link, at most 63 bytes; NULL: none.
 *
 * EXISTS when the name is taken.
 */
int nl_bridge_add(struct nl *nl, const char *name, uint32_t mtu, const uint8_t *mac,
                  const char *alias, struct err *e);

/** A pair of links: one here, in a bridge and up, the other in another namespace, down. */
struct nl_veth {
    const char *name;   /* ours */
    int master;         /* index of the bridge; 0: none */
    uint32_t mtu;       /* of both; 0: the kernel's */
    bool isolated;      /* bridge port isolation: may not talk to other isolated ports */
    bool hairpin;       /* the bridge may send back through the port that a frame came from */
    const char *peer;   /* name there */
    const uint8_t *mac; /* of the peer, 6 bytes; NULL: random */
    int peer_ns;        /* descriptor of the namespace; -1: ours */
};
/** EXISTS when one of the names is taken. */
int nl_veth_add(struct nl *nl, const struct nl_veth *v, struct err *e);

/** Delete a link by name; one that is gone is no error. */
int nl_link_del(struct nl *nl, const char *name, struct err *e);

/** Silence a bridge port: it forwards nothing and the bridge forgets what it learned from it. One
 * that is gone is no error. */
int nl_port_off(struct nl *nl, const char *name, struct err *e);

/** Bring a link up. */
int nl_link_up(struct nl *nl, int index, struct err *e);
/** Set the MTU. */
int nl_link_mtu(struct nl *nl, int index, uint32_t mtu, struct err *e);

/** Add an address (IPv6 without duplicate detection); one that is there already is no error. */
int nl_addr_add(struct nl *nl, int index, struct ip_net addr, struct err *e);

/** Remove it; one that is gone is no error. */
int nl_addr_del(struct nl *nl, int index, struct ip_net addr, struct err *e);

/** Add a route through a gateway (family none: direct) on a link; one that is there already is no
 * error. */
int nl_route_add(struct nl *nl, struct ip_net dst, struct ip_addr gateway, int index,
                 struct err *e);
/** Delete it; one that is gone is no error. */
int nl_route_del(struct nl *nl, struct ip_net dst, struct ip_addr gateway, int index,
                 struct err *e);

#endif
