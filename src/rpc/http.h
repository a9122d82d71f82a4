/**
 * What HTTP/1.1 server and client share: heads, header lists, query parameters, status lines.
 *
 * Heads are parsed in place: the result is slices into the caller's bytes. Limits and refusals
 * follow RFC 9112, taken strictly where two readings of one head could differ (request smuggling).
 */
#ifndef HULL_RPC_HTTP_H
#define HULL_RPC_HTTP_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "rpc/stream.h"

#define HTTP_HEAD_MAX (64u << 10) /* bytes of a head, its empty line included */
#define HTTP_HEADERS_MAX 100
#define HTTP_PARAMS_MAX 1000

struct http_header {
    struct str name, value; /* value without spaces around it */
};

/* How the body behind a head is framed. */
enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH, /* exactly head.length bytes */
    HTTP_BODY_CHUNKED,
    HTTP_BODY_CLOSE, /* responses only: until the peer closes */
};

struct http_head {
    struct str method, target; /* requests */
    int status;                /* responses; 0 in a request */
    struct str reason;
    int minor; /* HTTP/1.minor: 0 or 1 */
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t n_headers;
    enum http_framing framing;
    uint64_t length; /* HTTP_BODY_LENGTH */
    bool keep_alive; /* as version and Connection say */
    bool expect_continue;
};

/**
 * The length of the head at the front of p: bytes up to and with its empty line, 0 when more bytes
 * are needed, -1 when what is there cannot become a head (bare LF, NUL, over HTTP_HEAD_MAX:
 * TOO_LARGE). seen: in and out, how many bytes were looked at before; start with 0.
 */
ssize_t http_head_find(const char *p, size_t n, size_t *seen, struct err *e);

/** Parse the n bytes of a request's head. INVALID says what is wrong; UNIMPLEMENTED for an unknown
 * Transfer-Encoding; TOO_LARGE for too many headers. */
int http_head_parse_request(const char *p, size_t n, struct http_head *out, struct err *e);

/** Parse a response's head. method: of the request it answers (HEAD has no body). */
int http_head_parse_response(const char *p, size_t n, const char *method, struct http_head *out,
                             struct err *e);

/** The first header of that name (any case); {NULL, 0} when absent. */
struct str http_head_get(const struct http_head *h, const char *name);

/** True when a comma-separated header (Connection, Upgrade, ...) has this word, any case. */
bool http_head_has_token(const struct http_head *h, const char *name, const char *token);

/** A body in chunks, decoded in place as its bytes arrive. Zeroed is the start. */
struct http_chunks {
    int state;
    uint64_t left;   /* of the current chunk */
    size_t line;     /* bytes of the current size or trailer line */
    size_t trailers; /* bytes of all trailer lines */
    bool digits;
};

/**
 * Decode n bytes at p. *out_used: bytes consumed, *out_n: bytes of body, now at p (moved down).
 * Returns 1 when the body has ended (bytes behind it are not consumed), 0 for more, -1 INVALID.
 */
int http_chunks_decode(struct http_chunks *c, char *p, size_t n, size_t *out_used, size_t *out_n,
                       struct err *e);

/** The bytes behind a head, as a reader of what its framing says. */
struct http_body {
    enum http_framing framing;
    uint64_t left; /* HTTP_BODY_LENGTH */
    struct http_chunks chunks;
    bool ended;
};

/** The body that head announces. */
struct http_body http_body_of(const struct http_head *head);

/** Up to n > 0 bytes of the body without waiting: bytes, 0 at its end, STREAM_AGAIN, or -1
 * (INVALID: bad framing; UNAVAILABLE: cut short). What comes behind the body stays in the stream.
 */
ssize_t http_body_try(struct http_body *b, struct stream *s, void *p, size_t n, struct err *e);

/** Read towards a whole head, without waiting: its length once head holds it (and nothing more), 0
 * at a clean end before its first byte, STREAM_AGAIN, or -1. seen: as http_head_find. */
ssize_t http_head_try(struct stream *s, struct buf *head, size_t *seen, struct err *e);

/** Decoded query or form parameters in order of appearance. */
struct http_param {
    const char *key, *val;
};
struct http_params {
    struct http_param *v;
    size_t n, cap;
};

/** Decode "a=b&c=%20+d" into the arena and append. INVALID for bad escapes, NUL, or more than
 * HTTP_PARAMS_MAX. */
int http_params_parse(struct str text, struct arena *a, struct http_params *out, struct err *e);

/** The first value, or NULL. */
const char *http_params_get(const struct http_params *ps, const char *key);

/** Percent-decode a path (no '+'); INVALID for bad escapes and NUL. In the arena. */
int http_path_decode(struct str text, struct arena *a, const char **out, struct err *e);

/** Append s percent-encoded for a query value (query true) or for a path, where '/' stays. */
void http_encode_query(struct buf *out, const char *s);
void http_encode_path(struct buf *out, const char *s);

/** "Not Found" for 404; "Status" when unknown. */
const char *http_reason(int status);

#endif
