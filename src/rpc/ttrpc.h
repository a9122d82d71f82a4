/**
 * ttrpc, the protocol between containerd and its shims: unary calls over one stream socket, many at
 * a time, answered in any order. Everything here belongs to a base/loop, never blocks, and is used
 * from that loop's thread only. For programs with many threads see rpc/ttrpc_hub.h, which runs such
 * a loop in a thread of its own.
 *
 *     static int task_kill(struct ttrpc_call *call, const void *req, struct err *e) {
 *         ...
 *         return ttrpc_call_reply_empty(call);
 *     }
 *     static const struct ttrpc_method methods[] = {
 *         {"containerd.task.v2.Task", "Kill", &shim__kill_request__descriptor, task_kill},
 *     };
 *
 * Source: containerd/ttrpc PROTOCOL.md (unary calls; streams are refused with UNIMPLEMENTED).
 */
#ifndef HULL_RPC_TTRPC_H
#define HULL_RPC_TTRPC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/loop.h"
#include "rpc/grpc_status.h"
#include "rpc/pb.h"

#define TTRPC_MAX_PAYLOAD ((size_t)4 << 20) /* of one frame, either way */

/* ---- server ---- */

struct ttrpc_server;
struct ttrpc_call;

#define TTRPC_LATER 1 /* a handler returns it when it keeps the call and answers later */

/**
 * A handler. req (of the type in the table) lives as long as the call. Returns 0 when it has
 * answered with ttrpc_call_reply, -1 to answer with e, TTRPC_LATER to answer later. Every call must
 * be answered exactly once, even when its client is gone: that is what frees it.
 */
typedef int ttrpc_handler(struct ttrpc_call *call, const void *req, struct err *e);

struct ttrpc_method {
    const char *service; /* full name */
    const char *method;
    const ProtobufCMessageDescriptor *request;
    ttrpc_handler *handler;
};

/** A server on loop; methods is borrowed and must outlive it; ctx is for ttrpc_call_ctx. */
struct ttrpc_server *ttrpc_server_new(struct loop *loop, const struct ttrpc_method *methods,
                                      size_t n, void *ctx);

/** Accept connections on a listening socket, which is made non-blocking; takes listen_fd, also on
 * failure. */
int ttrpc_server_listen(struct ttrpc_server *s, int listen_fd, struct err *e);

/** Serve one connected socket; takes fd, also on failure. */
int ttrpc_server_adopt(struct ttrpc_server *s, int fd, struct err *e);

/** Connections that are open. */
int ttrpc_server_connections(const struct ttrpc_server *s);

/** Bytes of answers that the sockets have not taken yet: 0 means that everything was sent. */
size_t ttrpc_server_unsent(const struct ttrpc_server *s);

/** Close all connections and listeners; kept calls stay valid until they are answered (into
 * nothing). NULL is fine. */
void ttrpc_server_free(struct ttrpc_server *s);

/** The server's ctx; NULL after ttrpc_server_free. */
void *ttrpc_call_ctx(const struct ttrpc_call *c);

/** The row of the table that the call was dispatched by. */
const struct ttrpc_method *ttrpc_call_method(const struct ttrpc_call *c);

/** Request metadata ("containerd-namespace-ttrpc"), or NULL; the first one wins. Lives as the call.
 */
const char *ttrpc_call_metadata(const struct ttrpc_call *c, const char *key);

/** Memory that lives as long as the call: for building the answer. */
struct arena *ttrpc_call_arena(struct ttrpc_call *c);

/** True when the client is gone or its time-out is over: the answer will go nowhere, but is still
 * owed. */
bool ttrpc_call_cancelled(const struct ttrpc_call *c);

/** Have fn(arg) called from the loop when the client goes away or its time-out is over; NULL takes
 * it back. fn may answer the call. */
void ttrpc_call_on_cancel(struct ttrpc_call *c, void (*fn)(void *arg), void *arg);

/** Answer; the call is gone afterwards. Returns 0, so that handlers can end with it. A message that
 * is too long becomes EXHAUSTED. */
int ttrpc_call_reply(struct ttrpc_call *c, const ProtobufCMessage *msg);
int ttrpc_call_reply_empty(struct ttrpc_call *c);

/** Answer with an error; the call is gone afterwards. */
void ttrpc_call_fail(struct ttrpc_call *c, const struct err *e);

/* ---- client ---- */

struct ttrpc_client;

struct ttrpc_request {
    const char *service, *method;
    const ProtobufCMessage *msg;
    const ProtobufCMessageDescriptor *response;
    const char *ns;     /* metadata containerd-namespace-ttrpc; NULL: none */
    int64_t timeout_ms; /* 0: none */
};

/**
 * Called once when a call is over: with the response (good until it returns) and e NULL, or with
 * resp NULL and e. It may start other calls and free the client.
 */
typedef void ttrpc_done(void *arg, const void *resp, const struct err *e);

/** Connect to a unix socket without waiting. UNAVAILABLE when nobody listens or the backlog is
 * full. */
int ttrpc_client_connect(struct loop *loop, const char *path, struct ttrpc_client **out_client,
                         struct err *e);

/** A client on a connected socket; takes fd, also on failure. */
int ttrpc_client_adopt(struct loop *loop, int fd, struct ttrpc_client **out_client, struct err *e);

/**
 * Start a call. done comes later from the loop, never before this returns: with the server's error,
 * UNAVAILABLE (connection lost: "ttrpc: closed"), TIMEOUT or CANCELLED (client freed). Everything
 * in r is copied.
 *
 * out_id  for ttrpc_client_cancel; may be NULL.
 *
 * Errors (done is not called): UNAVAILABLE (closed already), EXHAUSTED (message too long, 16 MiB
 * unsent, 4096 calls under way).
 */
int ttrpc_client_call(struct ttrpc_client *c, const struct ttrpc_request *r, ttrpc_done *done,
                      void *arg, uint32_t *out_id, struct err *e);

/** Forget a call that is under way: its done is called with CANCELLED before this returns. Nothing
 * if it is over. */
void ttrpc_client_cancel(struct ttrpc_client *c, uint32_t id);

/** False once the connection is lost. */
bool ttrpc_client_alive(const struct ttrpc_client *c);

/** Have fn(arg) called from the loop when the connection is lost, after all done callbacks; fn may
 * free the client. */
void ttrpc_client_on_close(struct ttrpc_client *c, void (*fn)(void *arg), void *arg);

/** Close; calls under way end with CANCELLED before this returns. NULL is fine. */
void ttrpc_client_free(struct ttrpc_client *c);

#endif
