/** Transfer and Streaming: images pulled, imported, exported and tagged by the daemon itself, with
 * progress to the client. */
#ifndef HULL_CONTAINERD_TRANSFER_H
#define HULL_CONTAINERD_TRANSFER_H

#include "containerd/ctd.h"

struct streams;

/** The streams that clients have opened by name, waiting to be used by a transfer. */
struct streams *streams_new(void) __attribute__((returns_nonnull));
void streams_free(struct streams *s);

/** Register the Transfer and Streaming services. */
void service_transfer_add(struct grpc_server *s);

#endif
