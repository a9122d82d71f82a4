/**
 * IPv4 and IPv6 addresses and prefixes as values: parsed, printed, compared and counted with. What
 * netlink, nft and address management share.
 */
#ifndef HULL_SYS_IPADDR_H
#define HULL_SYS_IPADDR_H

#include <sys/socket.h>

#include "base/defs.h"
#include "base/str.h"

#define IP_TEXT_MAX 64 /* holds any address or prefix as text */

/** family 4 or 6, 0 for none. v is the address as a number (host order). */
struct ip_addr {
    int family;
    unsigned __int128 v;
};

/** An address with a prefix length: a network when its host bits are zero (ip_net_base). */
struct ip_net {
    struct ip_addr addr;
    int bits;
};

/** "10.0.0.1", "fe80::1" (no zone). False, and *out untouched, for anything else. */
bool ip_parse(struct str s, struct ip_addr *out);
/** "10.0.0.1/8"; the host bits stay. A prefix length is needed. */
bool ip_net_parse(struct str s, struct ip_net *out);

/** As text; "" for none. */
const char *ip_format(struct ip_addr a, char out[static IP_TEXT_MAX]);
const char *ip_net_format(struct ip_net n, char out[static IP_TEXT_MAX]);

/** The 4 or 16 bytes on the wire; returns their number. */
size_t ip_bytes(struct ip_addr a, uint8_t out[static 16]);
/** From wire bytes: n is 4 or 16, else none. */
struct ip_addr ip_of_bytes(const void *p, size_t n);

/** To and from socket addresses. Returns the length of the socket address. */
socklen_t ip_to_sockaddr(struct ip_addr a, uint16_t port, struct sockaddr_storage *out);
struct ip_addr ip_of_sockaddr(const struct sockaddr_storage *sa, uint16_t *out_port);

/** 32 or 128. */
int ip_width(struct ip_addr a);
bool ip_eq(struct ip_addr a, struct ip_addr b);
bool ip_is_loopback(struct ip_addr a);
bool ip_is_unspecified(struct ip_addr a);
struct ip_addr ip_add(struct ip_addr a, unsigned __int128 n);

/** The network: host bits cleared. */
struct ip_net ip_net_base(struct ip_net n);
/** The last address (broadcast in IPv4). */
struct ip_addr ip_net_last(struct ip_net n);
bool ip_net_has(struct ip_net n, struct ip_addr a);
bool ip_net_overlaps(struct ip_net a, struct ip_net b);

/** "02:42:ac:11:00:02" (6 bytes). mac_parse also takes upper case and '-'. */
#define MAC_TEXT_MAX 18
void mac_format(const uint8_t mac[static 6], char out[static MAC_TEXT_MAX]);
bool mac_parse(struct str s, uint8_t out[static 6]);

#endif
