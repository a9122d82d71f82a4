/**
 * Networks and the endpoints of containers on them, as the Engine API writes them.
 * Source: Engine API 1.51, Network, IPAM, EndpointSettings.
 */
#ifndef HULL_TYPES_ENDPOINT_H
#define HULL_TYPES_ENDPOINT_H

#include "base/json.h"

#define ENDPOINT_IPAM(T, F)                                \
    F(T, str, ipv4_address, "IPv4Address", JSON_OMITEMPTY) \
    F(T, str, ipv6_address, "IPv6Address", JSON_OMITEMPTY) \
    F(T, strv, link_local_ips, "LinkLocalIPs", JSON_OMITEMPTY)
JSON_TYPE(endpoint_ipam, ENDPOINT_IPAM)

#define ENDPOINT_SETTINGS(T, F)                                 \
    F(T, obj, ipam, "IPAMConfig", 0, endpoint_ipam)             \
    F(T, strv, links, "Links", 0)                               \
    F(T, strv, aliases, "Aliases", 0)                           \
    F(T, str, mac_address, "MacAddress", 0)                     \
    F(T, map, driver_opts, "DriverOpts", 0)                     \
    F(T, i64, gw_priority, "GwPriority", 0)                     \
    F(T, str, network_id, "NetworkID", 0)                       \
    F(T, str, endpoint_id, "EndpointID", 0)                     \
    F(T, str, gateway, "Gateway", 0)                            \
    F(T, str, ip_address, "IPAddress", 0)                       \
    F(T, i64, ip_prefix_len, "IPPrefixLen", 0)                  \
    F(T, str, ipv6_gateway, "IPv6Gateway", 0)                   \
    F(T, str, global_ipv6_address, "GlobalIPv6Address", 0)      \
    F(T, i64, global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0) \
    F(T, strv, dns_names, "DNSNames", 0)
JSON_TYPE(endpoint_settings, ENDPOINT_SETTINGS)

#define IPAM_POOL(T, F)                            \
    F(T, str, subnet, "Subnet", JSON_OMITEMPTY)    \
    F(T, str, ip_range, "IPRange", JSON_OMITEMPTY) \
    F(T, str, gateway, "Gateway", JSON_OMITEMPTY)  \
    F(T, map, aux_addresses, "AuxiliaryAddresses", JSON_OMITEMPTY)
JSON_TYPE(ipam_pool, IPAM_POOL)

#define NETWORK_IPAM(T, F)           \
    F(T, str, driver, "Driver", 0)   \
    F(T, map, options, "Options", 0) \
    F(T, list, config, "Config", 0, ipam_pool)
JSON_TYPE(network_ipam, NETWORK_IPAM)

#define NETWORK_CONFIG_FROM(T, F) F(T, str, network, "Network", 0)
JSON_TYPE(network_config_from, NETWORK_CONFIG_FROM)

#define NETWORK_ENDPOINT(T, F)                \
    F(T, str, name, "Name", 0)                \
    F(T, str, endpoint_id, "EndpointID", 0)   \
    F(T, str, mac_address, "MacAddress", 0)   \
    F(T, str, ipv4_address, "IPv4Address", 0) \
    F(T, str, ipv6_address, "IPv6Address", 0)
JSON_TYPE(network_endpoint, NETWORK_ENDPOINT)

/* GET /networks/{id} and, without containers, the items of GET /networks */
#define NETWORK_INSPECT(T, F)                                            \
    F(T, str, name, "Name", 0)                                           \
    F(T, str, id, "Id", 0)                                               \
    F(T, time, created_ns, "Created", 0)                                 \
    F(T, str, scope, "Scope", 0)                                         \
    F(T, str, driver, "Driver", 0)                                       \
    F(T, bool, enable_ipv4, "EnableIPv4", 0)                             \
    F(T, bool, enable_ipv6, "EnableIPv6", 0)                             \
    F(T, val, ipam, "IPAM", 0, network_ipam)                             \
    F(T, bool, internal, "Internal", 0)                                  \
    F(T, bool, attachable, "Attachable", 0)                              \
    F(T, bool, ingress, "Ingress", 0)                                    \
    F(T, val, config_from, "ConfigFrom", 0, network_config_from)         \
    F(T, bool, config_only, "ConfigOnly", 0)                             \
    F(T, mapobj, containers, "Containers", JSON_EMPTY, network_endpoint) \
    F(T, map, options, "Options", JSON_EMPTY)                            \
    F(T, map, labels, "Labels", JSON_EMPTY)
JSON_TYPE(network_inspect, NETWORK_INSPECT)

/* POST /networks/create */
#define NETWORK_CREATE(T, F)                                                  \
    F(T, str, name, "Name", 0)                                                \
    F(T, str, driver, "Driver", 0)                                            \
    F(T, str, scope, "Scope", 0)                                              \
    F(T, opt_bool, enable_ipv4, "EnableIPv4", JSON_OMITEMPTY)                 \
    F(T, opt_bool, enable_ipv6, "EnableIPv6", JSON_OMITEMPTY)                 \
    F(T, obj, ipam, "IPAM", JSON_OMITEMPTY, network_ipam)                     \
    F(T, bool, internal, "Internal", 0)                                       \
    F(T, bool, attachable, "Attachable", 0)                                   \
    F(T, bool, ingress, "Ingress", 0)                                         \
    F(T, bool, config_only, "ConfigOnly", 0)                                  \
    F(T, obj, config_from, "ConfigFrom", JSON_OMITEMPTY, network_config_from) \
    F(T, map, options, "Options", 0)                                          \
    F(T, map, labels, "Labels", 0)
JSON_TYPE(network_create, NETWORK_CREATE)

#define NETWORK_CREATED(T, F) \
    F(T, str, id, "Id", 0)    \
    F(T, str, warning, "Warning", 0)
JSON_TYPE(network_created, NETWORK_CREATED)

#define NETWORK_CONNECT(T, F)            \
    F(T, str, container, "Container", 0) \
    F(T, obj, endpoint, "EndpointConfig", JSON_OMITEMPTY, endpoint_settings)
JSON_TYPE(network_connect, NETWORK_CONNECT)

#define NETWORK_DISCONNECT(T, F)         \
    F(T, str, container, "Container", 0) \
    F(T, bool, force, "Force", 0)
JSON_TYPE(network_disconnect, NETWORK_DISCONNECT)

#define NETWORKS_PRUNED(T, F) F(T, strv, deleted, "NetworksDeleted", 0)
JSON_TYPE(networks_pruned, NETWORKS_PRUNED)

#endif
