/**
 * hull-containerd as its services see it: the store, the bus of events, and who the daemon is.
 * Services are tables of gRPC methods; their context (grpc_call_ctx) is a struct ctd.
 */
#ifndef HULL_CONTAINERD_CTD_H
#define HULL_CONTAINERD_CTD_H

#include "rpc/grpc.h"
#include "store/store.h"

struct bus;
struct tasks;
struct streams;

struct ctd {
    struct store *store;
    struct bus *bus;
    struct tasks *tasks;     /* running containers and their shims */
    struct streams *streams; /* Streaming service, for transfers */
    const char *address;     /* path of the gRPC socket */
    const char *ttrpc_address;
    const char *root, *state; /* directories */
    const char *self;         /* absolute path of this program (publish binary of shims) */
    const char *self_dir;     /* where it lies, and our shim beside it */
    const char *path;         /* PATH as it was at the start; NULL: none */
    char uuid[37];
};

/**
 * Namespace and lease of a call. Strings live as the call. PRECONDITION "namespace is required:
 * failed precondition" without one, INVALID for a name that cannot be one.
 */
int call_scope(struct grpc_call *c, struct scope *out, struct err *e);

/** Register the services; one function each, in files named after them. */
void service_meta_add(struct grpc_server *s); /* version, health, introspection, namespaces */
void service_containers_add(struct grpc_server *s);
void service_content_add(struct grpc_server *s);
void service_images_add(struct grpc_server *s);
void service_snapshots_add(struct grpc_server *s);
void service_leases_add(struct grpc_server *s);
void service_diff_add(struct grpc_server *s);
void service_events_add(struct grpc_server *s);

#endif
