/* Field tables of networks and endpoints: see endpoint.h. */
#include "types/endpoint.h"

JSON_DESC(endpoint_ipam, ENDPOINT_IPAM)
JSON_DESC(endpoint_settings, ENDPOINT_SETTINGS)
JSON_DESC(ipam_pool, IPAM_POOL)
JSON_DESC(network_ipam, NETWORK_IPAM)
JSON_DESC(network_config_from, NETWORK_CONFIG_FROM)
JSON_DESC(network_endpoint, NETWORK_ENDPOINT)
JSON_DESC(network_inspect, NETWORK_INSPECT)
JSON_DESC(network_create, NETWORK_CREATE)
JSON_DESC(network_created, NETWORK_CREATED)
JSON_DESC(network_connect, NETWORK_CONNECT)
JSON_DESC(network_disconnect, NETWORK_DISCONNECT)
JSON_DESC(networks_pruned, NETWORKS_PRUNED)
