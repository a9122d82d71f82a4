/**
 * Connection tracking: forgetting what the kernel remembers of an address that has gone. A UDP peer
 * that keeps sending would else be translated to the old container for as long as it sends.
 */
#ifndef HULL_SYS_CONNTRACK_H
#define HULL_SYS_CONNTRACK_H

#include "base/err.h"
#include "sys/ipaddr.h"

/**
 * Delete the connections of a protocol (17: UDP) whose answers come from an address: those that are
 * translated or routed to it.
 *
 * proto    IP protocol number; 0: all.
 * out_n    how many were deleted; may be NULL.
 *
 * In the calling thread's network namespace. Looks through the whole table of the address's family.
 */
int conntrack_forget(struct ip_addr address, int proto, size_t *out_n, struct err *e);

#endif
