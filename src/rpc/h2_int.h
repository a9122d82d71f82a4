/** A connection's inside: what its thread (h2.c) and its session (h2_session.c) share. Private to
 * both. */
#ifndef HULL_RPC_H2_INT_H
#define HULL_RPC_H2_INT_H

#include "base/buf.h"
#include "rpc/h2.h"

struct h2_conn {
    const struct h2_ops *ops;
    void *owner;
    int fd, wake_fd, max_streams;
    atomic_int refs;
    pthread_t thread;

    /* its own thread only */
    nghttp2_session *h;
    struct list streams;
    size_t n_streams;
    size_t partial; /* bytes of incomplete messages */
    struct buf out;
    size_t out_pos;
    int64_t next_expiry_ns; /* no stream expires earlier; 0: none does */
    bool said_goaway;
    struct err why; /* why it is over */

    pthread_mutex_t lock;
    struct list posted; /* guarded by lock */
    bool woken, dead;   /* guarded by lock */
    bool closing;       /* guarded by lock: no new streams */
    bool stop;          /* guarded by lock */
    int64_t stop_ns;    /* guarded by lock */
};

/* All of these: the connection's thread only. */

int h2_session_new(struct h2_conn *c, struct err *e);

/** The stream is the connection's from now on. */
void h2_stream_enter(struct h2_conn *c, struct h2_stream *s);

/** The session has forgotten the stream, or the connection ends. Drops the session's reference. */
void h2_stream_closed(struct h2_stream *s, struct err *why);

/** Bring the session in line with what other threads have left in the stream. */
void h2_look_at(struct h2_conn *c, struct h2_stream *s);

#endif
