/**
 * Route netlink messages as bytes: building requests and reading what the kernel sends, without any
 * socket, so that both can be tested and fuzzed.
 */
#ifndef HULL_SYS_NETLINK_MSG_H
#define HULL_SYS_NETLINK_MSG_H

#include <libmnl/libmnl.h>

#include "sys/netlink.h"

#define NL_REQUEST_MAX 1024 /* bytes that hold any request of ours */

/** Start a request of type RTM_*; flags beside REQUEST and ACK. buf holds NL_REQUEST_MAX bytes. */
struct nlmsghdr *nl_msg_bridge(void *buf, const char *name, uint32_t mtu, const uint8_t *mac);
/** RTM_SETLINK: a note on a link; the kernel ignores it in the request that makes one. */
struct nlmsghdr *nl_msg_alias(void *buf, const char *name, const char *alias);
struct nlmsghdr *nl_msg_veth(void *buf, const struct nl_veth *v);
struct nlmsghdr *nl_msg_link(void *buf, uint16_t type, int index, const char *name, unsigned flags,
                             uint32_t mtu);
struct nlmsghdr *nl_msg_addr(void *buf, uint16_t type, int index, struct ip_net addr);
struct nlmsghdr *nl_msg_route(void *buf, uint16_t type, struct ip_net dst, struct ip_addr gateway,
                              int index);
struct nlmsghdr *nl_msg_dump(void *buf, uint16_t type);
/** RTM_SETLINK for a bridge port: its flags; or disabled and forgotten. */
struct nlmsghdr *nl_msg_port_flags(void *buf, int index, bool isolated, bool hairpin);
struct nlmsghdr *nl_msg_port_off(void *buf, int index);

/**
 * True when a whole message lies in the next left bytes (mnl_nlmsg_ok compares as signed numbers,
 * and takes a length of 4 GiB for a negative one). mnl_nlmsg_next goes on from there.
 */
bool nl_msg_ok(const struct nlmsghdr *h, int left);

/** Read one message of a dump. False: it is of another kind, or broken. */
bool nl_read_link(const struct nlmsghdr *h, struct nl_link *out);
bool nl_read_addr(const struct nlmsghdr *h, struct nl_addr *out);
bool nl_read_route(const struct nlmsghdr *h, struct nl_route *out);

/**
 * Read an NLMSG_ERROR message: the negative errno (0 is an ack), and the kernel's sentence in text
 * ("" without one; NUL-terminated, cut to n). A broken message is -EBADMSG.
 */
int nl_read_error(const struct nlmsghdr *h, char *text, size_t n);

#endif
