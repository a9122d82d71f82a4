/**
 * A byte stream: one interface over a socket, a pair of descriptors, or TLS.
 *
 * Reads and writes block, up to the stream's deadline; the stream_try_* forms never do, and are
 * what a thread uses that pumps several streams at once. A stream belongs to one thread at a time
 * (an SSL * allows no more); only stream_abort may be called from another.
 */
#ifndef HULL_RPC_STREAM_H
#define HULL_RPC_STREAM_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct stream;

/* stream_try_read, stream_try_write: nothing can be done before the descriptor is ready */
#define STREAM_AGAIN (-2)

/** What a kind of stream does; rpc/tls.c is the other one. try_* return bytes moved, 0 at the end
 * (read), STREAM_AGAIN, or -1 with e filled; shut ends our direction and returns 0, STREAM_AGAIN or
 * -1; close frees what ops own. */
struct stream_ops {
    ssize_t (*try_read)(struct stream *s, void *p, size_t n, struct err *e);
    ssize_t (*try_write)(struct stream *s, const void *p, size_t n, struct err *e);
    int (*try_shut)(struct stream *s, struct err *e);
    size_t (*pending)(const struct stream *s);
    void (*close)(struct stream *s);
};

/** Embedded first in each kind. The fields below are for implementations and stream.c. */
struct stream {
    const struct stream_ops *ops;
    int rfd, wfd;         /* what to poll; the same for a socket */
    short want_r, want_w; /* poll events that end a STREAM_AGAIN of try_read, of try_write */
    struct buf ahead;     /* bytes given back, read before any others */
    atomic_bool aborted;
    int64_t deadline_ns; /* monotonic; 0: none */
};

/** A stream over a connected socket of any family, which it then owns. Never NULL. */
struct stream *stream_of_socket(int fd) __attribute__((returns_nonnull));

/**
 * A stream over two descriptors (pipes, FIFOs, a terminal), which it then owns; either may be -1:
 * reading then gives the end, writing fails. Descriptors that are not O_NONBLOCK are polled before
 * each call, so that stream_try_read never blocks; stream_try_write may then block for up to a
 * pipe's space.
 */
struct stream *stream_of_fds(int rfd, int wfd) __attribute__((returns_nonnull));

/** For implementations: fill the shared part. */
void stream_init(struct stream *s, const struct stream_ops *ops, int rfd, int wfd);

/** Connect to a unix socket. Errors: NOT_FOUND (no such path), UNAVAILABLE (nobody listens),
 * FORBIDDEN, INVALID (path too long). */
int stream_dial_unix(const char *path, struct stream **out, struct err *e);

/**
 * Connect to host (a name or an address, without brackets) and port; all addresses are tried in
 * turn.
 *
 * timeout_ms  for each address; 0 means 30,000.
 *
 * Errors: UNAVAILABLE, TIMEOUT.
 */
int stream_dial_tcp(const char *host, const char *port, int timeout_ms, struct stream **out,
                    struct err *e);

/** As stream_dial_tcp, giving the bare socket (for stream_wrap): the descriptor, or -1. */
int stream_dial_tcp_fd(const char *host, const char *port, int timeout_ms, struct err *e);

/** Up to n bytes; 0 at the end of the peer's direction, -1 on error (TIMEOUT past the deadline,
 * UNAVAILABLE when the peer is gone). */
ssize_t stream_read(struct stream *s, void *p, size_t n, struct err *e);

/** Exactly n bytes; an early end is UNAVAILABLE. */
int stream_read_all(struct stream *s, void *p, size_t n, struct err *e);

/** All n bytes. -1 as stream_read. */
int stream_write(struct stream *s, const void *p, size_t n, struct err *e);

/** As stream_read without waiting: bytes, 0 at the end, STREAM_AGAIN, or -1. */
ssize_t stream_try_read(struct stream *s, void *p, size_t n, struct err *e);

/** Part of n bytes without waiting: how many, STREAM_AGAIN, or -1. After STREAM_AGAIN the same
 * bytes must come again. */
ssize_t stream_try_write(struct stream *s, const void *p, size_t n, struct err *e);

/** End our direction; the peer's goes on (half-close). Twice is fine. */
int stream_shut(struct stream *s, struct err *e);

/** Bytes that stream_try_read gives at once, though poll may not say so: look here before poll. */
size_t stream_pending(const struct stream *s);

/** The descriptor and the events that stream_try_read, stream_try_write wait for after
 * STREAM_AGAIN. */
int stream_read_fd(const struct stream *s, short *out_events);
int stream_write_fd(const struct stream *s, short *out_events);

/** Wait until stream_try_read (stream_try_write) is worth another call, at most to the deadline. */
int stream_wait_read(struct stream *s, struct err *e);
int stream_wait_write(struct stream *s, struct err *e);

/** Give bytes back: the next reads see them first. */
void stream_unread(struct stream *s, const void *p, size_t n);

/** Blocking calls fail with TIMEOUT from this moment on (monotonic ns, time_mono_ns()); 0: never.
 */
void stream_set_deadline(struct stream *s, int64_t mono_ns);

/** From another thread, for sockets: reads and writes fail from now on (no clean end: the peer
 * did not say that it is done). The stream stays open. */
void stream_abort(struct stream *s);

/** Close and free. NULL is fine. */
void stream_close(struct stream *s);

static inline void stream_close_ptr(struct stream **s)
{
    stream_close(*s);
}
#define auto_stream CLEANUP(stream_close_ptr)

/**
 * Move bytes between two streams in both directions until both have ended, from this one thread,
 * and pass each half-close on.
 *
 * a, b       neither blocks the other direction: a full receiver stops only what flows to it.
 * cancel_fd  ends the pump with CANCELLED when readable; -1: none.
 *
 * Returns 0 when b has ended (also while a could still send), -1 on an error of either. This is
 * what a proxy between a client (a) and a process (b) needs: input may end before output does.
 */
int stream_pump(struct stream *a, struct stream *b, int cancel_fd, struct err *e);

/**
 * How plain sockets become encrypted ones, so that HTTP needs no TLS library: rpc/tls.h makes them.
 * The functions own fd in every case. Both shake hands and return by the deadline (monotonic ns).
 */
struct stream_wrap {
    int (*server)(struct stream_wrap *w, int fd, int64_t deadline_ns, struct stream **out,
                  struct err *e);
    int (*client)(struct stream_wrap *w, int fd, const char *host, int64_t deadline_ns,
                  struct stream **out, struct err *e);
    void (*free)(struct stream_wrap *w);
};

/** Free what tls_server_new or tls_client_new made. NULL is fine. */
static inline void stream_wrap_free(struct stream_wrap *w)
{
    if (w != NULL)
        w->free(w);
}

#endif
