/**
 * gRPC over HTTP/2 on stream sockets: server and client. One thread owns each connection and its
 * HTTP/2 session; all functions here may be called from any thread.
 *
 * A server is a set of tables:
 *
 *     static int get_version(struct grpc_call *c, const void *req, struct err *e) {
 *         Version__VersionResponse r = VERSION__VERSION_RESPONSE__INIT;
 *         ...
 *         return grpc_call_reply(c, &r.base, e);
 *     }
 *     static const struct grpc_method methods[] = {
 *         {"containerd.services.version.v1.Version", "Version", &pb__empty__descriptor,
 *          &version__version_response__descriptor, GRPC_UNARY, 0, get_version},
 *     };
 *
 * Source: the gRPC project's "gRPC over HTTP2" protocol description; RFC 9113.
 */
#ifndef HULL_RPC_GRPC_H
#define HULL_RPC_GRPC_H

#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "rpc/grpc_status.h"
#include "rpc/pb.h"

/* ---- server ---- */

struct grpc_server;
struct grpc_call;

enum grpc_kind {
    GRPC_UNARY,         /* one request, one response */
    GRPC_SERVER_STREAM, /* one request, many responses */
    GRPC_CLIENT_STREAM, /* many requests, one response */
    GRPC_BIDI,          /* many requests, many responses */
};

enum grpc_method_flags {
    GRPC_SLOW = 1, /* the handler may block for long: it gets a thread of its own instead of one of
                      the pool */
};

/* What a handler may return besides 0 and -1. */
enum grpc_verdict {
    GRPC_LATER = 1, /* not answered yet: someone holds a reference and will call grpc_call_finish */
    GRPC_AGAIN =
        2, /* the send queue is full: call me again with the same arguments when it has drained */
};

/**
 * A handler. It runs in a thread of the pool (or its own, see GRPC_SLOW), never twice at a time for
 * the same call.
 *
 * Unary and server-streaming calls: once, with the request, which lives as long as the call.
 * Client-streaming and bidi calls: once for each message, in order (it lives until the handler
 * returns), then once with req NULL when the client has said that no more will come. While a
 * handler runs, or has not yet run for a message, the client is held back by flow control.
 *
 * Returns 0 when done with this message; unless it was a message of a request stream, the call must
 * be finished by then (else it is answered with INTERNAL). -1 finishes the call with e. GRPC_LATER
 * and GRPC_AGAIN as above.
 */
typedef int grpc_handler(struct grpc_call *call, const void *req, struct err *e);

struct grpc_method {
    const char *service; /* full name, "containerd.services.images.v1.Images" */
    const char *method;
    const ProtobufCMessageDescriptor *request, *response;
    enum grpc_kind kind;
    unsigned flags;
    grpc_handler *handler;
};

struct grpc_server_opts {
    void *ctx;           /* for grpc_call_ctx */
    int pool_threads;    /* 0: 4 */
    int max_connections; /* more are closed at once; 0: 256 */
    int max_calls;       /* at a time on one connection; 0: 1000 */
    int max_slow_calls;  /* threads of GRPC_SLOW calls at a time; more are answered EXHAUSTED; 0: 64
                          */
    void (*peer_gone)(void *ctx, int remaining_connections); /* a connection ended; may be NULL */
};

/** A server without methods and connections. opts may be NULL. INTERNAL when threads cannot be
 * made. */
int grpc_server_new(const struct grpc_server_opts *opts, struct grpc_server **out_server,
                    struct err *e);

/** Serve n more methods; the table is borrowed and must outlive the server. Only before the first
 * connection. */
void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t n);

/** Accept connections on a listening stream socket; takes listen_fd, also on failure. */
int grpc_server_listen(struct grpc_server *s, int listen_fd, struct err *e);

/** Serve one connected stream socket; takes fd, also on failure. The HTTP/2 preface is expected
 * next. */
int grpc_server_adopt(struct grpc_server *s, int fd, struct err *e);

/**
 * Stop: no new connections, no new calls; running ones have grace_ms to finish, then they are
 * cancelled and the connections closed. Returns when no handler runs any more; frees the server.
 * Calls that someone still holds stay valid until their last grpc_call_unref. NULL is fine.
 */
void grpc_server_free(struct grpc_server *s, int grace_ms);

/** The context of the server's options. */
void *grpc_call_ctx(const struct grpc_call *c);

/** The row of the table that the call was dispatched by. */
const struct grpc_method *grpc_call_method(const struct grpc_call *c);

/** Request metadata by its lower-case name ("containerd-namespace"), or NULL. The first one wins:
 * containerd's clients put what overrides in front. Lives as the call. */
const char *grpc_call_metadata(const struct grpc_call *c, const char *name);

/** Memory that lives as long as the call. Only for the handler while it runs. */
struct arena *grpc_call_arena(struct grpc_call *c);

/** When the call must be over, on time_mono_ns' clock; 0 without a deadline. The library enforces
 * it. */
int64_t grpc_call_deadline_ns(const struct grpc_call *c);

/** Who is at the other end; pid, uid and gid are -1 where the socket does not tell. */
struct ucred grpc_call_peer(const struct grpc_call *c);

/** A pointer of the handler's that stays with the call; done (may be NULL) is called with it when
 * the call is freed. */
void grpc_call_set_data(struct grpc_call *c, void *data, void (*done)(void *data));
void *grpc_call_data(const struct grpc_call *c);

/** References, for whoever finishes a call after its handler returned. NULL is fine for unref. */
struct grpc_call *grpc_call_ref(struct grpc_call *c);
void grpc_call_unref(struct grpc_call *c);

/**
 * Queue one message for the client; never blocks. Nothing goes out after finish.
 *
 * Errors: CANCELLED (client gone, call cancelled, deadline over, or finished), EXHAUSTED (16 MiB
 * are queued already, or the message is too long): look at grpc_call_writable before sending much.
 */
int grpc_call_send(struct grpc_call *c, const ProtobufCMessage *msg, struct err *e);

/** True while less than 256 KiB wait in the send queue: the time to send more of a long answer. */
bool grpc_call_writable(struct grpc_call *c);

/** End the call: with NULL or an err of kind NONE in success, else with the code of e's kind and
 * its text. The first one counts. */
void grpc_call_finish(struct grpc_call *c, const struct err *e);

/** Send msg and finish in success: how unary handlers end. Returns 0 or -1 as grpc_call_send does.
 */
int grpc_call_reply(struct grpc_call *c, const ProtobufCMessage *msg, struct err *e);

/** As grpc_call_reply with a google.protobuf.Empty. */
int grpc_call_reply_empty(struct grpc_call *c, struct err *e);

/** True when nobody waits for the answer any more: client gone, RST_STREAM, deadline over, server
 * stopping. */
bool grpc_call_cancelled(struct grpc_call *c);

/** An eventfd that becomes readable when the call is cancelled; made by the first use, lives as the
 * call. Only poll it. */
int grpc_call_cancel_fd(struct grpc_call *c);

/**
 * Have fn(arg) called once when the call is cancelled, at once if it is already; not after it has
 * been finished. A second registration replaces the first; NULL takes it back.
 *
 * fn runs in the connection's thread (or the caller's) and must be short. While it runs,
 * grpc_call_finish, grpc_call_reply and grpc_call_on_cancel wait for it, so that after them nobody
 * uses arg any more. fn may therefore take only locks that are not held around those three; sending
 * under such a lock is fine.
 */
void grpc_call_on_cancel(struct grpc_call *c, void (*fn)(void *arg), void *arg);

/* ---- client ---- */

struct grpc_client;
struct grpc_stream;

struct grpc_md {
    const char *name; /* lower case */
    const char *value;
};

/* Options of one call. Start from GRPC_OPTS: an absent fd is -1. */
struct grpc_opts {
    const struct grpc_md *metadata;
    size_t n_metadata;
    int64_t timeout_ms; /* for the whole call, sent to the server and kept by ourselves; 0: none */
    int cancel_fd;      /* readable means: give up; -1: none */
};

#define GRPC_OPTS(...)               \
    {                                \
        .cancel_fd = -1, __VA_ARGS__ \
    }

/** Connect to a unix socket. UNAVAILABLE when nobody listens there or within timeout_ms (0: 10,000)
 * nobody accepts. */
int grpc_client_connect(const char *path, int timeout_ms, struct grpc_client **out_client,
                        struct err *e);

/** Speak gRPC as the client on a connected stream socket; takes fd, also on failure. */
int grpc_client_adopt(int fd, struct grpc_client **out_client, struct err *e);

/** References; the last one closes the connection. NULL is fine for unref. */
struct grpc_client *grpc_client_ref(struct grpc_client *c);
void grpc_client_unref(struct grpc_client *c);

/** False once the connection is lost or the server is going away: new calls fail with UNAVAILABLE;
 * connect anew. */
bool grpc_client_alive(struct grpc_client *c);

/**
 * Make one unary call and wait for its answer.
 *
 * path      "/containerd.services.images.v1.Images/Get".
 * opts      NULL: no metadata, no deadline.
 * response  type of the answer; out_msg is the address of a pointer to its struct, living in the
 * arena a.
 *
 * Errors: what the server said, by grpc_kind_of; UNAVAILABLE (connection), TIMEOUT (deadline),
 * CANCELLED (cancel_fd).
 */
int grpc_unary(struct grpc_client *c, const char *path, const ProtobufCMessage *req,
               const struct grpc_opts *opts, const ProtobufCMessageDescriptor *response,
               struct arena *a, void *out_msg, struct err *e);

/** Start a call of any kind. metadata is copied; cancel_fd must stay open while the stream lives.
 */
int grpc_stream_open(struct grpc_client *c, const char *path, const struct grpc_opts *opts,
                     struct grpc_stream **out_stream, struct err *e);

/**
 * Send one message; waits while more than 1 MiB of earlier ones is queued.
 * Errors: as grpc_unary. When the server has ended the call already: its status, or CANCELLED if
 * that was success.
 */
int grpc_stream_send(struct grpc_stream *s, const ProtobufCMessage *msg, struct err *e);

/** Say that no more messages will be sent. */
void grpc_stream_close_send(struct grpc_stream *s);

/** Wait for the next message. 1: *out_msg is set, as in grpc_unary; 0: the call ended in success;
 * -1: e. */
int grpc_stream_recv(struct grpc_stream *s, const ProtobufCMessageDescriptor *response,
                     struct arena *a, void *out_msg, struct err *e);

/** An fd that is readable when grpc_stream_recv would not wait. Only poll it; lives as the stream.
 */
int grpc_stream_fd(const struct grpc_stream *s);

/** End the stream, cancelling the call if it is not over; frees it. No other thread may be using
 * it. NULL is fine. */
void grpc_stream_free(struct grpc_stream *s);

/** Cancel the call from any thread; a waiting recv or send returns CANCELLED. */
void grpc_stream_cancel(struct grpc_stream *s);

#endif
