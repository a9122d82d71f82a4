/**
 * A small world for tests of networks: a host, an outside machine and containers, all network
 * namespaces of the test.
 *
 *   outside (198.18.0.2, fd99::2) --- host (198.18.0.1, fd99::1) --- docker0 --- sandboxes
 *
 * Nothing outside knows the containers' addresses, so that only translation lets packets come back.
 * One world a program, a new `net` for each case; where namespaces can't be made the cases are
 * skipped.
 */
#ifndef HULL_TESTS_UNIT_NET_WORLD_H
#define HULL_TESTS_UNIT_NET_WORLD_H

#include "test.h"

#include "net/net.h"
#include "sys/netns.h"

extern bool own_ns;          /* the world is there */
extern char root[];          /* exec-root of net */
extern char *program;        /* hull-portd */
extern struct netns outside; /* the machine outside */
extern struct nl *nl;        /* netlink of the host */
extern struct net *net;      /* what is tested */
extern struct arena *arena;  /* lives as long as the program */
extern struct err e;

/** Group setup and teardown: the host and the machine outside. */
int world_make(void **state);
int world_end(void **state);
/** Setup and teardown of a case: opens net; in the end everything of ours must be gone: links,
 * rules, namespaces, hull-portd. */
int world_open(void **state);
int world_close(void **state);
#define IN_WORLD(fn) cmocka_unit_test_setup_teardown(fn, world_open, world_close)
/** First in each case. */
#define NEED_KERNEL() \
    do {              \
        (void)state;  \
        if (!own_ns)  \
            skip();   \
    } while (0)

/** Open net as a restarted daemon does: with the networks and sandboxes that it kept. */
void open_net(const struct net_network *saved, size_t n_saved, const struct net_sandbox *running,
              size_t n_running);
/** How many namespaces are named in net's folder. */
size_t count_files(void);

/** A sandbox on one network, with published ports. */
struct net_sandbox make(const char *name, const char *network, const struct net_publish *ports,
                        size_t n_ports);

/** A socket of type SOCK_STREAM or SOCK_DGRAM: a server's, bound (and listening), or a client's,
 * connected. where: a namespace's file, "outside", or "" for the host. Returns the descriptor, or
 * -errno. */
int sock_in(const char *where, const char *ip, uint16_t port, int type, bool server);
/** Connect from somewhere, have the server accept, pass a word both ways; peer: the client's
 * address as the server sees it, or NULL. */
void expect_reach(int server, const char *where, const char *ip, uint16_t port, const char *peer);
void expect_no_reach(const char *where, const char *ip, uint16_t port);
/** The port is held, but leads nowhere. */
void expect_closed(const char *where, const char *ip, uint16_t port);
/** A datagram there and back. */
void expect_echo(int server, const char *where, const char *ip, uint16_t port);

/** "10.0.0.1/8" */
struct ip_net net_of(const char *s);
/** Give a link of the namespace that `in` speaks to an address. */
void give_address(struct nl *in, const char *link, const char *addr);

#endif
