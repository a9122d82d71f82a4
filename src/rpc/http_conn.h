/**
 * One connection of the server, as its parts see it: http_server.c accepts it, http_conn.c serves
 * its requests one after the other, http_req.c reads a request, http_reply.c answers it. Not for
 * users.
 */
#ifndef HULL_RPC_HTTP_CONN_H
#define HULL_RPC_HTTP_CONN_H

#include "base/list.h"
#include "rpc/http_server.h"

#define HTTP_DRAIN_MAX (256u << 10) /* unread body that is skipped to keep a connection */
#define HTTP_OUT_MAX (32u << 10)    /* a chunk */

enum http_conn_state {
    CONN_IDLE,
    CONN_BUSY,     /* a request is in work */
    CONN_HIJACKED, /* raw bytes: no request that could be brought to its end */
};

struct http_conn {
    struct http_server *server;
    struct list link; /* guarded by the server's lock, as are state and s for other threads */
    enum http_conn_state state;
    int fd; /* of the stream; open as long as the connection is in the list */
    struct stream_wrap *wrap;
    struct stream *s; /* NULL until hands are shaken */
    bool local;       /* unix socket */

    /* the request in work */
    struct http_req *rq;
    struct http_body body;
    bool continue_due; /* the client waits for 100 */
    int gone_fd;       /* epoll that is readable once the client has gone; -1: not asked for */

    /* its answer */
    struct buf headers; /* lines added by the handler */
    struct buf wire;    /* bytes to send: the head, then chunks; the last one may be open */
    size_t chunk_at;    /* where the open chunk's bytes begin in wire */
    bool chunk_open;
    bool started, streaming, flushed, chunked, counted, head_only, hijacked;
    uint64_t left; /* counted: bytes still to come */
    bool keep;     /* the next request may follow */
    bool failed;   /* the client is gone, or must see that the answer is not whole */
};

/** Serve one connection until it ends; then leave the server's list and free c. The thread's main.
 */
void *http_conn_main(void *c);

/** The server's options. */
const struct http_server_opts *http_server_options(const struct http_server *s);

/** Say what the connection does now; false when the server is stopping. */
bool http_server_set_state(struct http_server *s, struct http_conn *c, enum http_conn_state state);

/** Make the stream known to the server; false when it is stopping. */
bool http_server_set_stream(struct http_server *s, struct http_conn *c, struct stream *stream);

/** An eventfd that is readable once the server stops: what waits for a client ends then too. */
int http_server_stop_fd(const struct http_server *s);

/** Take c out of the list; the server may be gone afterwards. */
void http_server_leave(struct http_server *s, struct http_conn *c);

/** Send p, or remember that the client has gone. */
int http_conn_send(struct http_conn *c, const void *p, size_t n);

/** Bring the answer to its end. */
void http_reply_finish(struct http_conn *c);

/** Skip what is left of the request's body; false when that is too much. */
bool http_req_drain(struct http_conn *c);

#endif
