/**
 * A registry client for pulling, over libcurl: challenge and token, basic auth, redirects, resume,
 * retries. Implements struct image_source.
 *
 * Source: OCI distribution-spec 1.1; Docker's token authentication.
 */
#ifndef HULL_REGISTRY_REGISTRY_H
#define HULL_REGISTRY_REGISTRY_H

#include "types/image_source.h"
#include "types/reference.h"

struct registry_creds {
    const char *username, *password;
    const char *identity_token; /* a refresh token, instead of a password */
    const char *registry_token; /* a bearer token, sent as it is */
};

struct registry_opts {
    struct registry_creds creds; /* for the reference's own registry only */
    /** Asked once when a registry wants credentials and creds is empty; strings stay valid until
     * the source is closed. 0 with fields NULL: anonymous. May be NULL. */
    int (*ask)(void *arg, const char *host, const char *challenge, struct registry_creds *out,
               struct err *e);
    void *ask_arg;
    bool plain_http;             /* http only */
    const char *const *insecure; /* NULL-terminated "host[:port]" or CIDR-less hosts: http
                                    after https failed, certificates unchecked; may be NULL */
    const char *const *mirrors;  /* NULL-terminated base URLs, for docker.io only; may be NULL */
    const char *ca_file;         /* PEM; NULL: the system's */
    int stall_ms;                /* 0: 60,000 without a byte ends an attempt */
    int connect_ms;              /* 0: 30,000 */
    int attempts;                /* 0: 5 */
    int cancel_fd;               /* 0 or -1: none */
    /** Extra request headers "Name: value", NULL-terminated; may be NULL. */
    const char *const *headers;
};

/** In main, before any thread. */
void registry_global_init(void);

/**
 * A source for one reference (tag or digest; a tag "latest" is not added). Loopback registries
 * (127.0.0.0/8, ::1, localhost) fall back to plain HTTP by themselves.
 *
 * opts  borrowed until registry_source_close.
 *
 * resolve's errors: NOT_FOUND `manifest for x:y not found: manifest unknown: …` and `pull access
 * denied for x, repository does not exist or may require 'docker login'`, UNAUTHORIZED,
 * UNAVAILABLE.
 */
int registry_source_open(const struct ref *ref, const struct registry_opts *opts,
                         struct image_source **out, struct err *e);
void registry_source_close(struct image_source *s);

static inline void registry_source_close_ptr(struct image_source **s)
{
    registry_source_close(*s);
}
#define auto_registry_source CLEANUP(registry_source_close_ptr)

#endif
