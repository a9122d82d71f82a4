/**
 * The documents of the network room: what the engine keeps in its database so that a daemon that
 * was killed finds its networks and running sandboxes again (net_open, net_restore). Names follow
 * the Engine API where it has them.
 */
#ifndef HULL_NET_STATE_H
#define HULL_NET_STATE_H

#include "base/json.h"

/* One address pool of a network. */
#define NET_POOL(T, F)                            \
    F(T, str, subnet, "Subnet", JSON_OMITEMPTY)   \
    F(T, str, range, "IPRange", JSON_OMITEMPTY)   \
    F(T, str, gateway, "Gateway", JSON_OMITEMPTY) \
    F(T, map, aux, "AuxiliaryAddresses", JSON_OMITEMPTY)
JSON_TYPE(net_pool, NET_POOL)

/* A network. driver is bridge, host or null; bridge is the kernel's link of a bridge network;
 * user_subnet: its pools were chosen by the user. */
#define NET_NETWORK(T, F)                                 \
    F(T, str, name, "Name", 0)                            \
    F(T, str, id, "Id", 0)                                \
    F(T, time, created_ns, "Created", 0)                  \
    F(T, str, driver, "Driver", 0)                        \
    F(T, bool, ipv4, "EnableIPv4", 0)                     \
    F(T, bool, ipv6, "EnableIPv6", 0)                     \
    F(T, bool, internal, "Internal", 0)                   \
    F(T, bool, attachable, "Attachable", 0)               \
    F(T, map, ipam_options, "IPAMOptions", 0)             \
    F(T, list, pools, "Pools", JSON_EMPTY, net_pool)      \
    F(T, map, options, "Options", JSON_EMPTY)             \
    F(T, map, labels, "Labels", JSON_EMPTY)               \
    F(T, bool, user_subnet, "UserSubnet", JSON_OMITEMPTY) \
    F(T, str, bridge, "Bridge", JSON_OMITEMPTY)           \
    F(T, i64, mtu, "MTU", JSON_OMITEMPTY)
JSON_TYPE(net_network, NET_NETWORK)

/* One published port as it is in the kernel. host_ip "" never occurs: 0.0.0.0, ::, or an address.
 */
#define NET_PORT(T, F)              \
    F(T, str, proto, "Proto", 0)    \
    F(T, i64, port, "Port", 0)      \
    F(T, str, host_ip, "HostIp", 0) \
    F(T, i64, host_port, "HostPort", 0)
JSON_TYPE(net_port, NET_PORT)

/* A sandbox's place in one network. Addresses without prefix length; "" when the network has no
 * such family. */
#define NET_ENDPOINT(T, F)                         \
    F(T, str, id, "EndpointID", 0)                 \
    F(T, str, network_id, "NetworkID", 0)          \
    F(T, str, network, "Network", 0)               \
    F(T, str, mac, "MacAddress", 0)                \
    F(T, str, ip, "IPAddress", 0)                  \
    F(T, i64, prefix, "IPPrefixLen", 0)            \
    F(T, str, gateway, "Gateway", 0)               \
    F(T, str, ip6, "GlobalIPv6Address", 0)         \
    F(T, i64, prefix6, "GlobalIPv6PrefixLen", 0)   \
    F(T, str, gateway6, "IPv6Gateway", 0)          \
    F(T, str, host_link, "HostLink", 0)            \
    F(T, str, link, "Link", 0)                     \
    F(T, strv, aliases, "Aliases", JSON_OMITEMPTY) \
    F(T, i64, gw_priority, "GwPriority", JSON_OMITEMPTY)
JSON_TYPE(net_endpoint, NET_ENDPOINT)

/* The network of one running container. key is the file of its network namespace, "" in host mode;
 * user_key that of the user namespace that this one belongs to, NULL: the host's. */
#define NET_SANDBOX(T, F)                                        \
    F(T, str, id, "SandboxID", 0)                                \
    F(T, str, key, "SandboxKey", 0)                              \
    F(T, str, user_key, "UserKey", JSON_OMITEMPTY)               \
    F(T, str, container_id, "ContainerID", 0)                    \
    F(T, str, container_name, "ContainerName", 0)                \
    F(T, list, endpoints, "Endpoints", JSON_EMPTY, net_endpoint) \
    F(T, list, ports, "Ports", JSON_EMPTY, net_port)
JSON_TYPE(net_sandbox, NET_SANDBOX)

#endif
