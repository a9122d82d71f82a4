/**
 * Networks and sandboxes: what `hulld` asks for when it starts and stops containers.
 *
 * A sandbox is the network of one running container: a network namespace (named by a file), a link
 * in each of its networks, and the ports it publishes. Everything is done by the kernel (bridge,
 * veth, one nft table); the only helper process is hull-portd, which holds the published ports'
 * sockets and outlives the daemon. Documents go out, the caller keeps them, and gives them back to
 * net_open after a restart; traffic flows on meanwhile.
 *
 * Thread-safe unless said otherwise. Facts: Docker Engine API, networks.
 */
#ifndef HULL_NET_NET_H
#define HULL_NET_NET_H

#include "net/state.h"
#include "sys/userns.h"

struct net;

/** An address pool that networks without a subnet of their own are cut from. */
struct net_base_pool {
    const char *base; /* "172.17.0.0/16" */
    int size;         /* prefix length of each network */
};

struct net_opts {
    const char *exec_root;  /* "/run/hull": netns/ and portd.sock go below it; made if missing */
    const char *portd_path; /* the program hull-portd */
    const char *table;      /* name of the nft table, letters, digits and '_'; NULL: "hull" */
    const char *bridge;     /* --bridge: use this link; "none": no default network; NULL: docker0 if
                               free, else hull0 */
    const char *bip;  /* --bip: address and prefix of the default bridge; NULL: first free pool */
    const char *bip6; /* --bip6 */
    const char *fixed_cidr;  /* --fixed-cidr; NULL */
    const char *fixed_cidr6; /* --fixed-cidr-v6 */
    const char *gateway;     /* --default-gateway */
    const char *host_ip;     /* --ip: where ports go that name no address; NULL: 0.0.0.0 and [::] */
    int64_t mtu;             /* --mtu; 0: that of the default route's link */
    bool ipv6;               /* --ipv6: the default bridge gets v6 too */
    bool no_icc;             /* --icc=false */
    bool no_masq;            /* --ip-masq=false */
    bool no_rules;           /* --iptables=false: no nft table at all */
    bool no_forward;         /* --ip-forward=false */
    bool forward_no_drop; /* --ip-forward-no-drop: where we turn forwarding on, others' packets are
                             forwarded too */
    bool no_portd; /* --userland-proxy=false: only NAT serves ports; they are still reserved */
    bool foreign_respect;              /* never insert into the tables of other firewalls */
    const struct net_base_pool *pools; /* NULL: Docker's 172.17.0.0/16 ... 192.168.0.0/20 */
    size_t n_pools;
    size_t warm;               /* namespaces kept ready; 0: none */
    const char *sandbox_path;  /* the program hull-sandbox; NULL: no user namespaces */
    struct userns_maps userns; /* those kept ready belong to user namespaces with these mappings */
};

/**
 * Open the room: read what the last daemon left (saved documents, borrowed), make the default
 * networks, write the nft table in one transaction and bring hull-portd up to date when a port is
 * published.
 *
 * saved, n_saved        networks as net_networks gave them last time (none at the very first
 * start). running, n_running    sandboxes of containers that still run; every other namespace file
 * and veth of ours is removed.
 *
 * Once, at the program's start, before descriptors reach number 1024 (libnftables uses select).
 * Errors: INVALID (options), INTERNAL.
 */
int net_open(const struct net_opts *o, const struct net_network *saved, size_t n_saved,
             const struct net_sandbox *running, size_t n_running, struct net **out, struct err *e);

/** Forget all memory; the kernel keeps networks, sandboxes and rules. NULL is fine. */
void net_close(struct net *n);

/** Remove what net_open made: bridges without sandboxes, the nft table, marked jumps. For
 * uninstalling and tests. */
void net_teardown(struct net *n);

/** What a client asks of a new network; strings borrowed. name and driver as given, "" driver is
 * bridge. */
struct net_create {
    const char *name, *driver;
    bool internal, attachable, ipv6;
    bool *ipv4; /* NULL: true */
    const struct net_pool *pools;
    size_t n_pools;
    const char *ipam_driver;
    struct strmap ipam_options, options, labels;
};

/**
 * Make a network. out: its document in arena, for the caller to keep (and then to answer 201).
 * Errors, in Docker's words: FORBIDDEN (predefined name, pool overlaps), CONFLICT (name taken),
 * INVALID (subnet, options), NOT_FOUND (driver), UNIMPLEMENTED (driver that Hull does not have
 * yet).
 */
int net_create(struct net *n, const struct net_create *rq, struct arena *a, struct net_network *out,
               struct err *e);

/** Remove a network by name, id or prefix of the id. Errors: NOT_FOUND, FORBIDDEN (predefined,
 * active endpoints). */
int net_remove(struct net *n, const char *name, struct err *e);

/** Find by name, id, or unique prefix of the id: full name first, as Docker. Copy in arena.
 * NOT_FOUND: "network x not found". */
int net_find(struct net *n, const char *name, struct arena *a, struct net_network *out,
             struct err *e);

/** All networks, oldest first, in arena: *out is an array of *out_n. */
void net_networks(struct net *n, struct arena *a, struct net_network **out, size_t *out_n);

/** One attached sandbox as network inspect shows it. */
struct net_attached {
    const char *container_id, *container_name;
    struct net_endpoint endpoint;
};

/** The sandboxes in a network (by id), in arena. */
void net_attached(struct net *n, const char *network_id, struct arena *a, struct net_attached **out,
                  size_t *out_n);

/** The address that `host-gateway` in extra hosts stands for: the default bridge's; "" without one.
 * In arena. */
const char *net_host_gateway(struct net *n, struct arena *a);

/**
 * With foreign_respect: the chain of another firewall that drops forwarded packets, "ip filter
 * FORWARD", for `info`; "" when there is none. In arena.
 */
const char *net_forward_blocker(struct net *n, struct arena *a);

/** Join this network; addresses "" are chosen by us. Borrowed. */
struct net_join {
    const char *network; /* name or id */
    const char *ip, *ip6, *mac;
    struct strv aliases;
    int64_t gw_priority;
};

/** One binding as the user asked for it: "80/tcp" to host_ip (""), host_port ("", "0", "8080",
 * "8000-8010"). */
struct net_publish {
    const char *port;
    const char *host_ip, *host_port;
};

struct net_sandbox_rq {
    const char *container_id, *container_name; /* name without the slash */
    const struct net_join *joins;              /* none: only loopback (network mode none) */
    size_t n_joins;
    const struct net_publish *ports;
    size_t n_ports;
    struct userns_maps
        userns;              /* the namespace belongs to a new user namespace with these mappings */
    const char *userns_join; /* ...or to the one of this file; NULL: to the host's */
};

/**
 * Make a sandbox: namespace, links, addresses, default route, published ports. All or nothing.
 *
 * out  the document in arena: keep it before the container is created; key is what the OCI spec
 * joins.
 *
 * A few milliseconds. Errors, in Docker's words: NOT_FOUND (network), INVALID (address), FORBIDDEN
 * (address not in subnet), CONFLICT-free INTERNAL "failed to set up container networking: driver
 * failed programming external connectivity on endpoint NAME (ID): Bind for 0.0.0.0:80 failed: port
 * is already allocated" as Docker answers 500 for it.
 */
int net_sandbox_open(struct net *n, const struct net_sandbox_rq *rq, struct arena *a,
                     struct net_sandbox *out, struct err *e);

/**
 * Take a sandbox down: ports, addresses and names are free when it returns; the kernel's own
 * clean-up (veth, namespace) goes on behind. Unknown ids are fine. Fails only when the kernel
 * refuses; memory is released in any case.
 */
int net_sandbox_close(struct net *n, const char *sandbox_id, struct err *e);

/** The sandbox as it is now (endpoints change by connect), copied into arena; NOT_FOUND. */
int net_sandbox_get(struct net *n, const char *sandbox_id, struct arena *a, struct net_sandbox *out,
                    struct err *e);

/** Rename the container of a sandbox (for texts and network inspect). */
void net_sandbox_rename(struct net *n, const char *sandbox_id, const char *container_name);

/** Connect a running sandbox to one more network; out: its new document. Errors as
 * net_sandbox_open, FORBIDDEN when it is in it. */
int net_connect(struct net *n, const char *sandbox_id, const struct net_join *join, struct arena *a,
                struct net_sandbox *out, struct err *e);

/** The opposite; NOT_FOUND when it is not in that network. Published ports of the sandbox move to
 * another endpoint or end. */
int net_disconnect(struct net *n, const char *sandbox_id, const char *network, struct arena *a,
                   struct net_sandbox *out, struct err *e);

/** Check the port syntax of a binding without doing anything, for container create. INVALID in
 * Docker's words. */
int net_publish_check(const struct net_publish *p, struct err *e);

#endif
