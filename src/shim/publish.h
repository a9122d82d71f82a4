/**
 * Events on their way to containerd: one queue, sent one after the other, so that they arrive in
 * the order in which they were published. While containerd is away they wait.
 */
#ifndef HULL_SHIM_PUBLISH_H
#define HULL_SHIM_PUBLISH_H

#include "rpc/pb.h"
#include "shim/reaper.h"

struct publisher;

struct publisher_opts {
    struct loop *loop;
    struct reaper *reaper;
    const char *ns;
    const char *ttrpc;   /* socket of containerd's ttrpc; NULL: use binary */
    const char *binary;  /* containerd, for its "publish" command */
    const char *address; /* of containerd's gRPC, for binary */
};

/** o's strings are borrowed for good. */
struct publisher *publisher_new(const struct publisher_opts *o);

/** Events that are not sent yet. */
size_t publisher_waiting(const struct publisher *p);

void publisher_free(struct publisher *p);

/** Called when the event has arrived, or cannot be delivered for now (it is tried again). */
typedef void published_fn(void *arg);

/** Publish; msg is copied. fn may be NULL; it is called from the loop, exactly once. */
void publish(struct publisher *p, const char *topic, const ProtobufCMessage *msg, published_fn *fn,
             void *arg);

#endif
