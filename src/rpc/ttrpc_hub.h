/**
 * ttrpc for programs with many threads: one thread runs a loop with all connections, so that a
 * supervisor with hundreds of shims has one thread for them, and a shim that does not answer costs
 * nothing but its own calls. Functions here may be called from any thread unless they say
 * otherwise.
 */
#ifndef HULL_RPC_TTRPC_HUB_H
#define HULL_RPC_TTRPC_HUB_H

#include "rpc/ttrpc.h"

struct ttrpc_hub;  /* the thread */
struct ttrpc_link; /* one connection to a server, in a hub */

/** Start the thread. */
int ttrpc_hub_new(struct ttrpc_hub **out_hub, struct err *e);

/** End the thread: calls under way end with CANCELLED, links are dead afterwards. Not from the
 * hub's thread. NULL is fine. */
void ttrpc_hub_free(struct ttrpc_hub *h);

/** Serve methods on a listening socket; handlers run in the hub's thread and must be short. Takes
 * listen_fd. */
int ttrpc_hub_serve(struct ttrpc_hub *h, int listen_fd, const struct ttrpc_method *methods,
                    size_t n, void *ctx, struct err *e);

/** Connect to a unix socket. Waits at most timeout_ms for room in its backlog. UNAVAILABLE when
 * nobody listens. */
int ttrpc_link_open(struct ttrpc_hub *h, const char *path, int timeout_ms,
                    struct ttrpc_link **out_link, struct err *e);

/** References; the last one closes the connection. NULL is fine for unref. */
struct ttrpc_link *ttrpc_link_ref(struct ttrpc_link *l);
void ttrpc_link_unref(struct ttrpc_link *l);

/** Close now; calls under way end with CANCELLED. */
void ttrpc_link_close(struct ttrpc_link *l);

/** False once the connection is lost or closed. */
bool ttrpc_link_alive(struct ttrpc_link *l);

/** Have fn(arg) called once, from the hub's thread, when the connection is lost; at once if it
 * already is. Set it once. */
void ttrpc_link_on_close(struct ttrpc_link *l, void (*fn)(void *arg), void *arg);

/**
 * Start a call; done comes from the hub's thread (never before this returns there) and must be
 * short. Everything in r is copied. Errors of done: as ttrpc_client_call's, incl. those that it
 * returns at once. Fails only (-1) when the message is too long.
 */
int ttrpc_link_start(struct ttrpc_link *l, const struct ttrpc_request *r, ttrpc_done *done,
                     void *arg, struct err *e);

/**
 * Make a call and wait for its answer. Not from the hub's thread.
 *
 * cancel_fd  readable means: give up with CANCELLED; -1: none.
 * out_msg    address of a pointer to the response's struct; it lives as long as arena a.
 */
int ttrpc_link_call(struct ttrpc_link *l, const struct ttrpc_request *r, int cancel_fd,
                    struct arena *a, void *out_msg, struct err *e);

#endif
