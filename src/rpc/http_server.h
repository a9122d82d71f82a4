/**
 * An HTTP/1.1 server for APIs that stream: a thread per connection, blocking, so that a handler
 * reads from top to bottom. What a web framework would refuse is plain here: answering while the
 * body still arrives, and taking the connection over (101, or the bare 200 of Docker's attach).
 *
 *     static void handle(struct http_req *rq, void *arg)
 *     {
 *         http_req_header(rq, "Api-Version", "1.51");
 *         http_req_reply(rq, 200, "text/plain; charset=utf-8", "OK", 2);
 *     }
 *
 * Functions on a request are for the handler's thread, during the call of the handler.
 */
#ifndef HULL_RPC_HTTP_SERVER_H
#define HULL_RPC_HTTP_SERVER_H

#include <sys/socket.h>

#include "base/json.h"
#include "rpc/http.h"
#include "rpc/stream.h"

struct http_server;
struct http_conn;

/** One request. Everything here lives in its arena and is read-only for the handler. */
struct http_req {
    struct arena *arena;
    const char *method;
    const char *path;         /* percent-decoded, begins with '/' */
    struct http_params query; /* decoded */
    struct http_head *head;
    struct http_conn *conn;
    void *user; /* the handler's own */
};

/** Answers one request. When it returns without an answer, the client gets 500. */
typedef void http_handler_fn(struct http_req *rq, void *arg);

struct http_server_opts {
    http_handler_fn *handler;
    void *arg;
    unsigned max_conns;   /* more are told 503 and closed; 0: 4,096 */
    int head_timeout_ms;  /* from a head's first byte to its last, and for TLS hands; 0: 30,000 */
    int idle_timeout_ms;  /* keep-alive without a request; 0: for ever (local clients), TCP 300,000
                           */
    int write_timeout_ms; /* a client that takes no byte for this long is dropped; 0: never */
};

struct http_server *http_server_new(const struct http_server_opts *o)
    __attribute__((returns_nonnull));

/**
 * Listen on a unix socket. A socket file that nobody listens on is replaced, one in use is an
 * error.
 *
 * mode  of the file, e.g. 0660; gid  its group, (gid_t)-1: ours.
 *
 * Errors: EXISTS (in use), INVALID (path too long), INTERNAL.
 */
int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode, gid_t gid,
                            struct err *e);

/**
 * Listen on TCP.
 *
 * host  address or name; NULL or "": all addresses. port  "0": any free one.
 * tls   from tls_server_new, borrowed until http_server_free; NULL: plain.
 * out_port  the port in use; may be NULL.
 */
int http_server_listen_tcp(struct http_server *s, const char *host, const char *port,
                           struct stream_wrap *tls, int *out_port, struct err *e);

/** Serve a listening socket made by someone else (socket activation); the server owns it. */
void http_server_listen_fd(struct http_server *s, int fd, struct stream_wrap *tls);

/** Serve one connected socket (tests); the server owns it. After http_server_start. */
int http_server_serve_fd(struct http_server *s, int fd, struct err *e);

/** Begin to accept. */
int http_server_start(struct http_server *s, struct err *e);

/** Connections open now. */
unsigned http_server_conns(struct http_server *s);

/**
 * Stop: no new connections; idle and hijacked ones are cut, what waits in http_req_wait or on
 * http_req_gone_fd is cancelled, other requests get grace_ms to end before they are cut. Returns
 * when all threads are gone; unix sockets are unlinked.
 */
void http_server_stop(struct http_server *s, int grace_ms);

/** Stop without grace and free. NULL is fine. */
void http_server_free(struct http_server *s);

/* ---- the request ---- */

/** Header and parameter by name; NULL when absent. Headers: any case; the string is in the arena.
 */
const char *http_req_head(struct http_req *rq, const char *name);
const char *http_req_query(const struct http_req *rq, const char *key);

/** True when a body is announced (also one of length 0 in chunks). */
bool http_req_has_body(const struct http_req *rq);

/** Up to n bytes of the body; 0 at its end. Answers "Expect: 100-continue" first. INVALID when the
 * framing is broken, UNAVAILABLE when the client goes away before its end. */
ssize_t http_req_read(struct http_req *rq, void *p, size_t n, struct err *e);

/** The whole body in the arena, terminated by a NUL that *out_n does not count. TOO_LARGE over max.
 */
int http_req_read_all(struct http_req *rq, size_t max, const char **out, size_t *out_n,
                      struct err *e);

/** Pid, uid and gid of a client on a unix socket; false for others. */
bool http_req_peer(const struct http_req *rq, struct ucred *out);

/** True for unix sockets, and TLS with a verified client. */
bool http_req_is_local(const struct http_req *rq);
bool http_req_is_tls(const struct http_req *rq);

/** A descriptor that polls readable once the client has gone, for functions that take a cancel fd.
 * Borrowed; -1 when the kernel gives none. A client that only ends its direction counts as gone. It
 * is readable as well once the server stops. */
int http_req_gone_fd(struct http_req *rq);

/** Wait until fd is readable: 1, 0 after timeout_ms (-1: for ever), or -1 CANCELLED when the client
 * has gone. */
int http_req_wait(struct http_req *rq, int fd, int timeout_ms, struct err *e);

/* ---- the answer ---- */

/** Add a header to the answer, before it begins. Values with control characters lose them. */
void http_req_header(struct http_req *rq, const char *name, const char *value);

/** Forget the headers added so far. */
void http_req_clear_headers(struct http_req *rq);

/** Answer with a body of n bytes. type NULL: no Content-Type. HEAD sends the head only, 1xx, 204
 * and 304 too. -1 when the client has gone: nothing is left to do then. */
int http_req_reply(struct http_req *rq, int status, const char *type, const void *p, size_t n);

/** Answer with a status alone. */
int http_req_status(struct http_req *rq, int status);

/** Answer with a document as Go encodes it: application/json, a newline at the end. */
int http_req_json(struct http_req *rq, int status, const struct json_desc *desc, const void *doc);

/** As http_req_json, an array of n documents. */
int http_req_json_list(struct http_req *rq, int status, const struct json_desc *desc,
                       const void *docs, size_t n);

/** Answer {"message": e->msg} with the status of e's kind; 304 has no body. When an answer has
 * begun: cut the connection, so that the client sees it is not whole. */
int http_req_error(struct http_req *rq, const struct err *err);

/** Begin a streamed answer: in chunks, or until close for HTTP/1.0. Sent with the first flush. */
int http_req_begin(struct http_req *rq, int status, const char *type);

/** Begin a streamed answer of exactly length bytes. */
int http_req_begin_length(struct http_req *rq, int status, const char *type, uint64_t length);

/** Add to a streamed answer; collected to up to 32 KiB. -1 when the client has gone. */
int http_req_write(struct http_req *rq, const void *p, size_t n);

/** Send what was collected, with the head if it is still due. */
int http_req_flush(struct http_req *rq);

/** Cut the connection after this request without ending the streamed answer: the client sees a
 * failure. */
void http_req_fail(struct http_req *rq);

/** True once an answer has begun. */
bool http_req_started(const struct http_req *rq);

struct http_hijack {
    const char *proto;         /* answer to Upgrade: "tcp", "h2c" */
    const char *upgraded_type; /* Content-Type with 101; NULL: none */
    const char *bare_type; /* Content-Type with 200 when the client did not ask for an upgrade */
};

/**
 * Take the connection over: 101 UPGRADED when the client sent Upgrade, else a bare 200 without
 * framing; then raw bytes both ways. Headers added before are sent too.
 *
 * out  the connection, bytes that came behind the head first; borrowed, closed after the handler.
 */
int http_req_hijack(struct http_req *rq, const struct http_hijack *h, struct stream **out,
                    struct err *e);

/** Answer without framing and close: a status line, the type, the text and "\r\n" (how Docker's
 * attach fails). */
int http_req_reply_bare(struct http_req *rq, int status, const char *type, const char *text);

#endif
