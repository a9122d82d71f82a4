/**
 * What hull-portd does with a published port: hold its socket, so that nobody else gets the port,
 * and carry what the kernel's translation does not take (connections to [::1], IPv6 for containers
 * that have none) to the container.
 *
 * One thread, one loop. Memory per connection is bounded, and so is the number of connections.
 */
#ifndef HULL_NET_RELAY_H
#define HULL_NET_RELAY_H

#include "base/loop.h"
#include "net/ports.h"

struct relay;

#define RELAY_CONNS_MAX 4096    /* TCP connections of all ports together; more are closed at once */
#define RELAY_SESSIONS_MAX 1024 /* UDP peers of one port; the longest silent one makes room */
#define RELAY_UDP_IDLE_MS 90000 /* a UDP peer is forgotten after this silence */

/** Bind (and for streams listen); the port is held from here on. 0, or the errno of the kernel as
 * -errno. */
int relay_open(struct loop *l, struct port_key key, struct relay **out);

/** Where connections go from now on; family 0 closes them. Those that run stay. */
void relay_target(struct relay *r, struct ip_addr to, uint16_t to_port);

/** Let go of the port and its connections. NULL is fine. */
void relay_close(struct relay *r);

#endif
