/**
 * What the files of the network room share: the tables in memory and who guards them. Not for other
 * rooms.
 *
 * Lock order: rules_lock, then lock. Neither is held while a namespace is made or hull-portd is
 * asked; rules_lock is held for one nft transaction.
 */
#ifndef HULL_NET_INTERNAL_H
#define HULL_NET_INTERNAL_H

#include <pthread.h>

#include "base/map.h"
#include "net/ipam.h"
#include "net/net.h"
#include "net/portd.h"
#include "net/ports.h"
#include "net/resolv.h"
#include "net/rules.h"
#include "sys/netns.h"
#include "sys/nft.h"

#define NET_ID_MAX 65 /* 64 hex digits and the end */

/* A network. doc is immutable once the network is ready; pools and users are guarded by net->lock.
 */
struct network {
    struct arena *arena;
    struct net_network doc;
    struct ipam *pool[2]; /* IPv4, IPv6; NULL: none */
    struct ip_addr gateway[2];
    struct ip_net subnet[2];
    bool gateway_own[2]; /* the gateway is an address of our bridge */
    struct ip_addr
        host_ip; /* where its ports go that name no address; family 0: the daemon's choice */
    bool masquerade, no_icc;
    bool bridge_given; /* --bridge: the link is the user's, not ours to remove */
    bool busy;         /* being made or removed: not to be joined */
    bool gone;         /* being removed: no part of the packet filter any more */
    int bridge_index;
    size_t users; /* endpoints */
};

/* A sandbox; doc changes under net->lock by being replaced together with its arena. */
struct sandbox {
    struct arena *arena;
    struct net_sandbox doc;
    bool busy; /* a connect, disconnect or close is under way */
};

struct reaper;

struct net {
    pthread_mutex_t lock;   /* guards the tables below and what is in them */
    pthread_cond_t changed; /* a sandbox is not busy any more, or gone */
    struct map networks;    /* id -> struct network */
    struct map sandboxes;   /* id -> struct sandbox */
    struct ports ports;

    pthread_mutex_t rules_lock; /* one change of the packet filter at a time */
    struct nft *nft;            /* NULL: no rules are wanted */
    int64_t foreign_checked_ns; /* guarded by rules_lock */
    struct rule_stop stop;      /* guarded by rules_lock */
    bool rules_written;         /* guarded by rules_lock: the table is ours, of this run */

    /* set by net_open, then only read */
    struct arena *arena;
    struct net_opts o;
    char *netns_dir, *portd_socket;
    const char *table;
    struct ip_addr host_ip; /* family 0: all addresses */
    bool ipv6;              /* the kernel has it */
    struct nl *nl;
    struct userns_rq userns;   /* what the namespaces of `spaces` belong to; no mappings: to ours */
    struct netns_pool *spaces; /* ready ones */
    struct portd *portd;
    struct reaper *reaper;
};

/** 64 random hex digits. */
void net_id_new(char out[static NET_ID_MAX]);

/**
 * The MAC address that belongs to an IP address. Whoever gets an address again gets its MAC address
 * too, so that no neighbour table on a bridge ever points to a container that is gone; and a bridge
 * keeps its own whatever ports come and go.
 */
void net_mac(struct ip_addr ip, uint8_t out[static 6]);

/* ---- networks: network.c, bridge.c ---- */

/** A network's memory from its document: addresses parsed, pools made, gateway taken. INVALID, when
 * saved bytes are not ours. */
int network_new(const struct net_network *doc, struct network **out, struct err *e);
void network_free(struct network *w);
/** By name, id, or unique prefix of it; under net->lock. NULL: none. Busy ones too. */
struct network *network_lookup(struct net *n, const char *name);
/** The default bridge, or NULL; under net->lock. */
struct network *network_default(struct net *n);
/** Make the three predefined networks that saved documents do not have. */
int networks_predefine(struct net *n, struct err *e);
/** What the packet filter should know of it; false: nothing (host, none). */
bool network_rule(const struct network *w, struct rule_net *out);
/** Subnets that a new network must not overlap: ours, routes and addresses of the host, name
 * servers. On the heap. */
struct ip_nets {
    struct ip_net *v;
    size_t n, cap;
};
int networks_used(struct net *n, struct ip_nets *out, struct err *e);

/** Make the kernel's bridge of a network as its document says (address, MTU, sysctls); one that is
 * there is mended. */
int bridge_up(struct net *n, struct network *w, struct err *e);
/**
 * True when this kernel shows bridged frames to the IP packet filter (br_netfilter): a frame that
 * is translated to a container of the same bridge is then bridged instead of routed, and one that
 * leads back to its sender needs a hairpin port.
 */
bool bridge_is_filtered(void);
/** Remove it. */
int bridge_down(struct net *n, const struct network *w, struct err *e);
/** The MTU of the link that the default route leaves by; 1500 without one. */
int64_t bridge_route_mtu(struct net *n);
/** True: no link of that name, or one that an earlier hulld made. */
bool bridge_name_free(struct net *n, const char *name);

/* ---- the packet filter: firewall.c ---- */

int firewall_open(struct net *n, struct err *e);
/** Write everything anew from memory. */
int firewall_rebuild(struct net *n, struct err *e);
/** Add or remove ("add", "delete") elements; memory is changed already. Falls back to a rebuild. */
int firewall_network(struct net *n, const char *verb, const struct network *w, struct err *e);
int firewall_ports(struct net *n, const char *verb, const struct rule_port *ports, size_t count,
                   struct err *e);
/** Remove all of it. */
void firewall_close(struct net *n, bool remove);
/**
 * Let the kernel forward packets, unless --ip-forward=false. Where it did not before, it goes on
 * not forwarding between links that are not ours: a host must not become a router because it runs
 * containers.
 */
int firewall_forward(struct net *n, bool ipv6, struct err *e);

/* ---- firewalls of others: foreign.c ---- */

/** Let our bridges pass a FORWARD chain whose policy is drop. rewrite: our bridges have changed;
 * else a quick look now and then. */
void foreign_pass(struct net *n, bool rewrite);
/** Take our jump and chain out again. */
void foreign_remove(struct net *n);

/* ---- ports of sandboxes: publish.c ---- */

struct rule_ports {
    struct rule_port *v;
    size_t n, cap;
};
/** What the kernel translates for a sandbox, under net->lock; on the heap, appended. */
void publish_rules(struct net *n, const struct net_sandbox *doc, struct rule_ports *out);
/** Where hull-portd relays to; on the heap, appended. */
struct portd_ports {
    struct portd_port *v;
    size_t n, cap;
};
void publish_held(struct net *n, const struct net_sandbox *doc, struct portd_ports *out);
/** Get the host ports of a request: doc->ports is filled in a. Nothing is kept after an error. */
int publish_take(struct net *n, const struct net_sandbox_rq *rq, struct net_sandbox *doc,
                 struct arena *a, struct err *e);
/** Forget tracked UDP connections to this endpoint, when the sandbox publishes UDP ports: their
 * peers may go on sending. */
void publish_forget(const struct net_sandbox *doc, const struct net_endpoint *ep);
/** Give all of them back. */
void publish_release(struct net *n, const struct net_sandbox *doc);
/** The endpoint that default route and ports go through, under net->lock; NULL: none. */
struct net_endpoint *publish_gateway(struct net *n, const struct net_sandbox *doc);

/* ---- links to remove later: reaper.c ---- */

struct reaper *reaper_new(struct nl *nl) __attribute__((returns_nonnull));
/** Delete a link in a while, unless the kernel did it by itself with its namespace. */
void reaper_add(struct reaper *r, const char *link);
/** Delete all that are waiting, now. */
void reaper_flush(struct reaper *r);
void reaper_free(struct reaper *r);

#endif
