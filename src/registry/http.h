/**
 * One HTTP request to a registry, over a pool of libcurl handles. Private to the room.
 */
#ifndef HULL_REGISTRY_HTTP_H
#define HULL_REGISTRY_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "registry/registry.h"

struct http_pool;

struct http_pool *http_pool_new(void) __attribute__((returns_nonnull));
void http_pool_free(struct http_pool *p);

/* What a PUT sends: a file from its beginning, or memory. */
struct http_body {
    int fd; /* -1: memory at p */
    const void *p;
    int64_t n;                          /* bytes */
    void (*sent)(void *arg, int64_t n); /* how far it is, now and then; may be NULL */
    void *arg;
};

struct http_request {
    const char *method; /* GET, HEAD, POST, PUT */
    const char *url;
    const char *const *headers;  /* "Name: value", NULL-terminated; may be NULL */
    const char *form;            /* body of a POST; NULL: empty */
    const struct http_body *put; /* body of a PUT */
    const char *user, *password; /* basic auth; NULL: none */
    const char *authorization;   /* value of the header; NULL: none. Not sent on to other hosts */
    const char *ca;              /* PEM text of authorities beside the system's */
    const char *cert_file, *key_file; /* of the client */
    bool insecure;                    /* certificates are not checked */
    int64_t offset;                   /* Range: bytes from here on */
    int stall_ms, connect_ms, cancel_fd;
    const struct registry_proxies *proxies; /* NULL: the environment's */
    image_sink_fn *sink; /* gets the body of a 200 or 206; NULL: it goes into reply->body */
    int (*begin)(void *arg, int status,
                 struct err *e); /* before the first byte for sink; may be NULL */
    void *arg;
};

struct http_reply {
    int status;
    char media_type[256], digest[160];
    char challenge[4096]; /* WWW-Authenticate, a line each */
    int64_t length;       /* Content-Length, -1 unknown */
    int retry_after_s;
    char location[4096]; /* of a 201 or 202, absolute; "" when absent */
    char next[4096];     /* the next page (Link), absolute; "" when absent */
    struct buf body;     /* without sink, and of errors: at most 4 MiB */
};

/* Why there is no reply. */
enum http_failure {
    HTTP_FAIL_OTHER,
    HTTP_FAIL_CONNECT, /* nobody answers there, or not to the greeting of TLS */
    HTTP_FAIL_PLAIN,   /* it speaks HTTP without TLS */
    HTTP_FAIL_TRUST,   /* its certificate is not good */
};

/**
 * Do it. A reply of any status is a success. Errors: UNAVAILABLE (network; *out_why, which may be
 * NULL, says more), CANCELLED, or what the sink said.
 */
int http_do(struct http_pool *p, const struct http_request *rq, struct http_reply *out,
            enum http_failure *out_why, struct err *e);
void http_reply_done(struct http_reply *r);
#define auto_reply CLEANUP(http_reply_done)

#endif
