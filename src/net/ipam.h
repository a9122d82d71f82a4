/**
 * Address management: which subnet a new network gets, and which addresses of it are taken. Pure
 * memory; the documents of networks and sandboxes are what is kept, and a restart takes the same
 * addresses again.
 *
 * Not thread-safe: guarded by whoever owns the pools.
 */
#ifndef HULL_NET_IPAM_H
#define HULL_NET_IPAM_H

#include "base/err.h"
#include "net/net.h"
#include "sys/ipaddr.h"

/** The addresses of one subnet. */
struct ipam;

/**
 * subnet  its base; the first and (IPv4, up to /30) the last address are never given out.
 * range   dynamic addresses come from here; family 0: from all of the subnet.
 */
struct ipam *ipam_new(struct ip_net subnet, struct ip_net range) __attribute__((returns_nonnull));
void ipam_free(struct ipam *p);

struct ip_net ipam_subnet(const struct ipam *p);

/** The lowest free address. FORBIDDEN: `no available IPv4 addresses on this network's address
 * pools`. */
int ipam_take(struct ipam *p, struct ip_addr *out, struct err *e);

/** This address. FORBIDDEN: `Address already in use`, or not an address of the subnet that a
 * container can have. */
int ipam_take_this(struct ipam *p, struct ip_addr want, struct err *e);

/** Give back; an address that is not taken is fine. */
void ipam_release(struct ipam *p, struct ip_addr a);

/** How many are taken. */
size_t ipam_taken(const struct ipam *p);

/** Docker's pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in pieces of /20. */
extern const struct net_base_pool ipam_default_pools[];
extern const size_t ipam_default_pools_n;

/** Check the values of default-address-pools. INVALID in Docker's words. */
int ipam_check_pools(const struct net_base_pool *pools, size_t n, struct err *e);

/**
 * The first subnet of the pools that overlaps none of `used` (networks, routes, name servers).
 * FORBIDDEN: `all predefined address pools have been fully subnetted`.
 */
int ipam_choose(const struct net_base_pool *pools, size_t n_pools, const struct ip_net *used,
                size_t n_used, struct ip_net *out, struct err *e);

/** The unique local /64 that belongs to a network's id (64 hex digits): the same one each time. */
struct ip_net ipam_ula(const char *network_id);

#endif
