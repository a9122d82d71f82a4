/* The network room's documents; see state.h. */
#include "net/state.h"

JSON_DESC(net_pool, NET_POOL)
JSON_DESC(net_network, NET_NETWORK)
JSON_DESC(net_port, NET_PORT)
JSON_DESC(net_endpoint, NET_ENDPOINT)
JSON_DESC(net_sandbox, NET_SANDBOX)
