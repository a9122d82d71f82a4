/**
 * Talking to one registry about one repository: which host, with which token, again and again until
 * it is hopeless. Private to the room; source.c pulls with it, target.c pushes.
 */
#ifndef HULL_REGISTRY_SESSION_H
#define HULL_REGISTRY_SESSION_H

#include <pthread.h>

#include "registry/hosts.h"
#include "registry/http.h"
#include "types/image_source.h"
#include "types/image_target.h"
#include "types/reference.h"

/* One host and what it has granted. */
struct peer {
    const struct registry_host *host;
    char *authorization; /* guarded by the session's lock, as all below */
    struct registry_creds creds;
    bool asked; /* the owner was asked for credentials */
    bool out;   /* it has failed: others serve the rest of the session */
};

struct session {
    struct ref ref;
    const struct registry_opts *o;
    struct arena *arena; /* hosts and scopes */
    struct http_pool *pool;
    struct peer *peers;
    size_t n_peers;
    struct strv scopes; /* for every token; guarded by lock */
    bool offline;       /* a refresh token is wanted as well */
    char *refresh;      /* the last one that was given; guarded by lock; NULL: none */
    pthread_mutex_t lock;
    pthread_mutex_t answering; /* held while a challenge is answered: the others need that answer */
    union {                    /* as the store sees it, when source.c or target.c has made it */
        struct image_source source;
        struct image_target target;
    };
};

/** access: of the scope, "pull" or "pull,push"; NULL: no scope of our own. */
int session_open(struct session *s, const struct ref *ref, const struct registry_opts *o,
                 const char *access, struct err *e);
void session_done(struct session *s);

/** As session_open, on the heap. NULL on failure. */
struct session *session_new(const struct ref *ref, const struct registry_opts *o,
                            const char *access, struct err *e);
void session_free(struct session *s);

/** Tokens from now on shall cover this scope too. What was granted before is forgotten once. */
void session_add_scope(struct session *s, const char *scope);

struct session_call {
    const char *path; /* behind the host's base: "/library/x/manifests/latest" */
    const char *url;  /* instead: as a host has named it; no other host is asked */
    bool v1;          /* behind /v1 instead of /v2 */
    unsigned can;     /* what the host must be good for: HOST_PULL ... */
    bool first;       /* nothing was promised yet: a host that refuses is not asked twice */
    bool once;        /* no second try: the caller begins anew */
    void (*resume)(struct http_request *rq); /* before each try: sets offset; may be NULL */
};

/** A request of this session; url and the connection's options are set by session_do. */
struct http_request session_request(const struct session *s, const char *method);

/** Do it. Any status that is not worth another try is a success. Errors: UNAVAILABLE, CANCELLED,
 * UNAUTHORIZED, or the sink's. */
int session_do(struct session *s, struct http_request *rq, const struct session_call *c,
               struct http_reply *out, struct err *e);

/** Wait before try n + 1, as long as a host wishes, else longer each time. CANCELLED. */
int session_pause(struct session *s, int n, int retry_after_s, struct err *e);

/** How many tries. */
int session_attempts(const struct session *s);

/** "manifest unknown: <message>" from an answer's body, or the fallback. */
void session_describe(const struct http_reply *r, const char *fallback, char *out, size_t size);

/** The error of an answer that is nobody's special case: UNAVAILABLE or INVALID. */
int session_refused(const struct http_reply *r, struct err *e);

/** True when credentials were sent to the host in use. */
bool session_has_user(struct session *s);

#endif
