/**
 * The bus of events: what shims forward and what the store does, to whoever subscribed, in the
 * order of publication. A subscriber that does not read is dropped, never waited for.
 */
#ifndef HULL_CONTAINERD_BUS_H
#define HULL_CONTAINERD_BUS_H

#include "rpc/grpc.h"
#include "store/store.h"

struct bus;

struct bus *bus_new(void) __attribute__((returns_nonnull));
/** After the gRPC server's end. NULL is fine. */
void bus_free(struct bus *b);
/** End all subscriptions, so that a server that stops need not wait for them. */
void bus_end(struct bus *b);

/**
 * Publish. Any thread; never blocks on a subscriber.
 *
 * any  the event, borrowed; NULL publishes an empty one.
 *
 * INVALID for a topic that is none ("/tasks/exit").
 */
int bus_publish(struct bus *b, const char *ns, const char *topic, int64_t when_ns,
                const Pb__Any *any, struct err *e);

/** As store_opts.event wants it: arg is the bus. */
void bus_store_event(void *arg, const struct store_event *ev);

/** Let a Subscribe call hear what its filters match, from now on until it is cancelled. */
int bus_subscribe(struct bus *b, struct grpc_call *c, const struct strv *filters, struct err *e);

#endif
