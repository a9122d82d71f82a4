/**
 * One call of the client: the request on its way out, the answer on its way in. Internal to the
 * client's files.
 */
#ifndef HULL_RPC_HTTP_EXCHANGE_H
#define HULL_RPC_HTTP_EXCHANGE_H

#include "rpc/http_client.h"

/* Bytes of the request that are still to be sent. */
struct upload {
    enum { UPLOAD_BYTES, UPLOAD_FD, UPLOAD_FN } source;
    const char *p; /* UPLOAD_BYTES */
    size_t n, off;
    int fd;
    http_body_fn *fn;
    void *arg;
    struct buf wire; /* framed and due */
    size_t sent;     /* of wire */
    bool ended;      /* the source gave its last byte */
    bool broken;     /* the server takes no more; its answer may still come */
};

struct exchange {
    struct http_resp pub; /* what the caller sees; first */
    struct arena *arena;
    struct stream *s;
    struct upload up;
    struct http_head head;
    struct http_body body;
    struct buf text; /* of the head */
    char *doc;       /* the body made from call->doc */
};

/** Send what can be sent without waiting (a body function may wait). */
int exchange_send(struct exchange *x, struct err *e);

/** Wait until reading or sending may go on. wake_fd: CANCELLED when it is readable; -1: none. */
int exchange_wait(struct exchange *x, int wake_fd, struct err *e);

/** True when everything was sent. */
bool exchange_is_sent(const struct exchange *x);

/** Take back the stream for the next call, or close it (reuse false). */
void http_client_keep(struct http_client *c, struct stream *s, bool reuse);

#endif
