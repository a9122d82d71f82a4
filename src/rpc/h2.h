/**
 * An HTTP/2 connection that carries gRPC messages: what gRPC's server and client share. One thread
 * owns the socket and the nghttp2 session. Other threads never touch these: they change a stream's
 * queues under its lock and call h2_post, and the connection's thread brings the session in line
 * with what it finds there.
 */
#ifndef HULL_RPC_H2_H
#define HULL_RPC_H2_H

#include <pthread.h>
#include <stdatomic.h>

#include <nghttp2/nghttp2.h>

#include "base/err.h"
#include "base/list.h"
#include "rpc/grpc_wire.h"

#define H2_QUEUE_MAX \
    ((size_t)16 << 20) /* unsent bytes of a stream beyond which no message is taken */
#define H2_QUEUE_LOW ((size_t)256 << 10) /* below it a stream is writable */
#define H2_HEADERS_MAX 64                /* header fields of one block */

struct h2_conn;
struct h2_stream;

enum h2_event {
    H2_HEADERS, /* a header block is complete */
    H2_MESSAGE, /* a message was queued in `in` */
    H2_END,     /* the other side sends no more */
    H2_DRAINED, /* the unsent queue fell below H2_QUEUE_LOW */
    H2_EXPIRED, /* the deadline is over */
    H2_BAD,     /* what came is not a gRPC message; no more of it is read */
    H2_CLOSED,  /* the stream is gone from the session; always the last one */
};

/* What the owner of a connection provides. All run in the connection's thread, without locks. */
struct h2_ops {
    bool server;
    struct h2_stream *(*open)(
        struct h2_conn *c); /* server: a new stream with one reference, or NULL: refuse */
    int (*header)(struct h2_stream *s, struct str name,
                  struct str value); /* -1: reset the stream */
    void (*event)(struct h2_stream *s, enum h2_event what,
                  struct err *e); /* e: why, with H2_BAD and H2_CLOSED */
    void (*start)(struct h2_stream *s, nghttp2_session *h,
                  nghttp2_data_provider *body); /* submit headers */
    void (*trailers)(struct h2_stream *s,
                     nghttp2_session *h); /* submit trailers; NULL: end with the data */
    void (*free)(struct h2_stream *s);    /* after the last reference */
    void (*gone)(void *owner);            /* the connection's thread is about to end; or NULL */
};

/* The part of a call that the connection knows; embedded first in the call. */
struct h2_stream {
    struct h2_conn *conn; /* referenced */
    atomic_int refs;

    /* the connection's thread only */
    struct list link;
    int32_t id; /* 0: not in the session */
    bool started, ended, truncated, bad;
    size_t unread;  /* bytes that flow control has not given back */
    size_t partial; /* bytes of the message that is being read */
    struct grpc_deframer deframer;
    int64_t expires_ns; /* 0: never */

    struct list post_link; /* guarded by conn's lock */

    pthread_mutex_t lock;
    /* guarded by lock */
    struct list in;  /* struct grpc_msg, without prefix */
    struct list out; /* struct grpc_msg, with prefix */
    size_t unsent;   /* bytes in out */
    bool in_end;     /* nothing comes after what is in `in` */
    bool out_end;    /* nothing comes after what is in `out` */
    bool want_drained;
    bool closed;
    int reset; /* -1: no; else the HTTP/2 error code to reset the stream with */
};

/**
 * Start a connection's thread on a connected stream socket; takes fd, also on failure. One
 * reference is the caller's. owner is for ops->gone and h2_owner.
 */
int h2_conn_new(int fd, const struct h2_ops *ops, int max_streams, void *owner,
                struct h2_conn **out_conn, struct err *e);
struct h2_conn *h2_conn_ref(struct h2_conn *c);
void h2_conn_unref(struct h2_conn *c);

void *h2_owner(const struct h2_conn *c);
int h2_fd(const struct h2_conn *c);

/** False once no new streams can be opened on it. */
bool h2_conn_alive(struct h2_conn *c);

/** Refuse new streams, let those that are open end until grace_ms are over, then end the thread. */
void h2_conn_stop(struct h2_conn *c, int grace_ms);

/** A client's connection: wait until its thread has ended. Once, and not from it. A server's thread
 * is detached. */
void h2_conn_join(struct h2_conn *c);

/** Initialise a stream with one reference; it takes a reference to conn. */
void h2_stream_init(struct h2_stream *s, struct h2_conn *conn);
struct h2_stream *h2_stream_ref(struct h2_stream *s);
void h2_stream_unref(struct h2_stream *s);

/** Have the connection's thread look at the stream. False when the connection is over. Any thread,
 * no lock of s held. */
bool h2_post(struct h2_stream *s);

/** Have H2_EXPIRED come at when_ns (time_mono_ns' clock). The connection's thread only. */
void h2_expire_at(struct h2_stream *s, int64_t when_ns);

/** Take the next received message, or NULL. Caller holds s->lock, frees the message, and posts when
 * it was the last one. */
struct grpc_msg *h2_take(struct h2_stream *s);

#endif
