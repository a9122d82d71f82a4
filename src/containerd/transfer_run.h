/** What the ways of a transfer share. Private to transfer*.c. */
#ifndef HULL_CONTAINERD_TRANSFER_RUN_H
#define HULL_CONTAINERD_TRANSFER_RUN_H

#include "containerd/transfer.h"
#include "proto/transfer_types.pb-c.h"

/* What a transfer works with. */
struct transfer {
    struct ctd *d;
    struct scope sc;
    struct grpc_call *call;
    struct arena *a;
    struct stream *progress; /* NULL: nobody listens */
    struct stream *auth;     /* NULL: no credentials */
    const char *reference;   /* of the registry */
    int64_t reported_ns;     /* when a report that may be left out last went out */
};

struct transfer_report {
    const char *event, *name, *digest, *media_type;
    int64_t current, total;
};

/** Tell the client, if it listens. */
void transfer_report(struct transfer *x, const struct transfer_report *r);

/** "linux/arm64"; NULL for none. */
const char *transfer_platform(struct arena *a, const Types__Platform *p);

/** All unpackings that a destination wants are for our snapshotter. */
int transfer_check_unpacks(const Transfer__ImageStore *to, struct err *e);

/** Registry to store. */
int transfer_pull(struct transfer *x, const void *source, const void *destination, struct err *e);
/** Store to registry. */
int transfer_push(struct transfer *x, const void *source, const void *destination, struct err *e);

#endif
