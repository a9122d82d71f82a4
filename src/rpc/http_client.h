/**
 * An HTTP/1.1 client for daemons: keeps a connection for reuse, uploads from memory, a descriptor
 * or a function while it already reads the answer, and hands the connection over on 101 or a bare
 * 200.
 *
 *     struct http_client *c = http_client_new_unix("/var/run/docker.sock");
 *     struct http_call call = {.method = "GET", .target = "/v1.51/version"};
 *     struct http_resp *r = NULL;
 *     TRY(http_client_call(c, &call, &r, e));
 *     TRY(http_resp_check(r, e));
 *     ... http_resp_read ...
 *     http_resp_free(r);
 *
 * A client and what comes from it belong to one thread.
 */
#ifndef HULL_RPC_HTTP_CLIENT_H
#define HULL_RPC_HTTP_CLIENT_H

#include "base/json.h"
#include "rpc/http.h"
#include "rpc/stream.h"

struct http_client;
struct http_resp;

/** A client for a unix socket. Nothing is dialled before the first call. */
struct http_client *http_client_new_unix(const char *path) __attribute__((returns_nonnull));

/** A client for host:port. tls: from tls_client_new, owned by the client from now on; NULL: plain.
 */
struct http_client *http_client_new_tcp(const char *host, const char *port, struct stream_wrap *tls)
    __attribute__((returns_nonnull));

/** A client that gets its connections from a function (ssh, tests): dial makes a new stream each
 * time it is called. host is what goes into the Host header. */
typedef int http_dial_fn(void *arg, struct stream **out, struct err *e);
struct http_client *http_client_new_dial(const char *host, http_dial_fn *dial, void *arg)
    __attribute__((returns_nonnull));

/** Close the kept connection and free. NULL is fine. */
void http_client_free(struct http_client *c);

struct http_call_header {
    const char *name, *value;
};

/** Gives up to n bytes of a body; 0 at its end, -1 with e. May block. */
typedef ssize_t http_body_fn(void *arg, void *p, size_t n, struct err *e);

/** One request. At most one of body, body_fd and body_fn; all are borrowed until http_resp_free. */
struct http_call {
    const char *method;
    const char *target; /* path and query, encoded */
    const struct http_call_header *headers;
    size_t n_headers;
    const char *type; /* Content-Type; NULL: none, or application/json when doc is set */
    const void *body;
    size_t n_body;
    const struct json_desc *doc_desc; /* body is this document as JSON */
    const void *doc;
    bool stream_fd; /* body comes from body_fd in chunks; it is polled */
    int body_fd;
    http_body_fn *body_fn; /* in chunks */
    void *body_arg;
    const char *upgrade; /* "tcp", "h2c": ask for the connection; see http_resp_hijack */
    int timeout_ms;      /* until the answer's head; 0: none */
};

/** An answer's head. */
struct http_resp {
    int status;
    const struct http_head *head;
    struct http_client *client;
};

/**
 * Send a request and wait for the head of its answer. 1xx answers are skipped, except 101. The rest
 * of a streamed body is sent while the answer is read. A kept connection that turns out closed
 * before any byte of the answer is dialled anew once, when the body can be sent again.
 *
 * Errors: as stream_dial_*; UNAVAILABLE when the server closes early; INVALID for a broken answer.
 */
int http_client_call(struct http_client *c, const struct http_call *call, struct http_resp **out,
                     struct err *e);

/** A header of the answer; "" when absent. Copied into the response. */
const char *http_resp_head(struct http_resp *r, const char *name);

/** 0 for a status below 400; else -1 with the server's {"message"} (or the raw text) and the kind
 * that belongs to the status. */
int http_resp_check(struct http_resp *r, struct err *e);

/** Up to n bytes of the body; 0 at its end. A body cut short is UNAVAILABLE. */
ssize_t http_resp_read(struct http_resp *r, void *p, size_t n, struct err *e);

/** As http_resp_read, but also wakes for another descriptor: returns -1 with kind CANCELLED when
 * wake_fd is readable first (nothing is lost: call again). */
ssize_t http_resp_read_or(struct http_resp *r, void *p, size_t n, int wake_fd, struct err *e);

/** The rest of the body; TOO_LARGE past out->max. */
int http_resp_read_all(struct http_resp *r, struct buf *out, struct err *e);

/** The body as a document in the arena. */
int http_resp_json(struct http_resp *r, const struct json_desc *desc, void *doc,
                   struct arena *arena, struct err *e);

/** The body as an array of documents. */
int http_resp_json_list(struct http_resp *r, const struct json_desc *desc, void **out_v,
                        size_t *out_n, struct arena *arena, struct err *e);

/** Take the connection after 101 or a bare 200: bytes behind the head come first. The caller owns
 * the stream; the response still wants http_resp_free. */
int http_resp_hijack(struct http_resp *r, struct stream **out, struct err *e);

/** Free; the connection is kept when the answer was read to its end, else closed. NULL is fine. */
void http_resp_free(struct http_resp *r);

static inline void http_resp_free_ptr(struct http_resp **r)
{
    http_resp_free(*r);
}
#define auto_http_resp CLEANUP(http_resp_free_ptr)

/** Call, check the status, and read a document (out_desc may be NULL: the body is dropped). in may
 * be NULL. */
int http_client_json(struct http_client *c, const char *method, const char *target,
                     const struct json_desc *in_desc, const void *in,
                     const struct json_desc *out_desc, void *out, struct arena *arena,
                     struct err *e);

#endif
