/**
 * A connection to containerd (hull-containerd or the original) for one namespace. It connects on
 * the first call and again, with back-off, whenever the connection was lost; calls that were under
 * way then fail with UNAVAILABLE. All functions of this room may be called from any thread.
 *
 * Answers live in the arena that the caller passes. Errors carry containerd's text; kinds are those
 * of rpc/grpc_status.h (NOT_FOUND, EXISTS, INVALID, UNAVAILABLE, ...).
 */
#ifndef HULL_CLIENT_CTD_H
#define HULL_CLIENT_CTD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/vec.h"
#include "rpc/grpc.h"

struct ctd;

/* Options of one call. Start from CTD_OPTS: an absent fd is -1. */
struct ctd_opts {
    const char *lease;    /* the lease that owns what the call makes; NULL: none */
    const char *settings; /* REGISTRY_SETTINGS_KEY, for a supervisor of ours; NULL: none */
    int64_t timeout_ms;   /* 0: none */
    int cancel_fd;        /* readable means: give up; -1: none */
};

#define CTD_OPTS(...)                \
    {                                \
        .cancel_fd = -1, __VA_ARGS__ \
    }

/** A client of the containerd that listens at address (a path, "unix://" may stand before it). Does
 * not connect yet. */
struct ctd *ctd_new(const char *address, const char *ns);

/** Close and free; no call may be under way. NULL is fine. */
void ctd_free(struct ctd *c);

const char *ctd_address(const struct ctd *c);
const char *ctd_namespace(const struct ctd *c);

/**
 * Make one unary call. While nobody listens it tries again with a growing pause, for 10 s at most
 * (or the call's own time-out). A call that was sent is never repeated.
 *
 * path, response, out_msg: as grpc_unary. opts: NULL for none.
 */
int ctd_call(struct ctd *c, const char *path, const ProtobufCMessage *req,
             const struct ctd_opts *opts, const ProtobufCMessageDescriptor *response,
             struct arena *a, void *out_msg, struct err *e);

/** Start a streaming call; see grpc_stream_open. */
int ctd_stream(struct ctd *c, const char *path, const struct ctd_opts *opts,
               struct grpc_stream **out_stream, struct err *e);

/** Wait until the daemon answers health checks. TIMEOUT, or CANCELLED by cancel_fd (-1: none). */
int ctd_wait_ready(struct ctd *c, int timeout_ms, int cancel_fd, struct err *e);

/** Version and revision of the daemon, in the arena. */
int ctd_version(struct ctd *c, struct arena *a, const char **out_version, const char **out_revision,
                struct err *e);

/** True when the daemon offers the transfer service (containerd >= 2.0, hull-containerd). Asked
 * once a connection. */
int ctd_has_transfer(struct ctd *c, bool *out_has, struct err *e);

/** The host paths of the capabilities of plugin type/id, e.g. exports "root" of the overlayfs
 * snapshotter. NULL in *out_value when absent. */
int ctd_plugin_export(struct ctd *c, const char *type, const char *id, const char *key,
                      struct arena *a, const char **out_value, struct err *e);

/** Leases: what a call makes under one is kept until the lease is deleted or expires. */
int ctd_lease_create(struct ctd *c, const char *id, int64_t ttl_s, struct arena *a,
                     const char **out_id, struct err *e);
/** The ids of the leases that filter (containerd's language) selects. */
int ctd_lease_list(struct ctd *c, const char *filter, struct arena *a, struct strv *out,
                   struct err *e);
int ctd_lease_delete(struct ctd *c, const char *id, bool sync, struct err *e);

#endif
