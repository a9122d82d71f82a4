/** Answering a registry's challenge. Private to the room. Source: distribution's token
 * authentication. */
#ifndef HULL_REGISTRY_AUTH_H
#define HULL_REGISTRY_AUTH_H

#include "base/err.h"
#include "registry/http.h"
#include "registry/registry.h"

/* A WWW-Authenticate value in parts; strings in the arena, "" when absent. */
struct challenge {
    const char *scheme; /* "bearer", "basic", lower case */
    const char *realm, *service, *scope, *error;
};

/** Read the first Bearer, else the first Basic challenge of the header lines. False: there is none.
 */
bool challenge_parse(const char *lines, struct arena *a, struct challenge *out);

/**
 * Get a bearer token. how: a request with the options of the connection (url, form, credentials are
 * set here). out_token: heap. Errors: UNAUTHORIZED, UNAVAILABLE.
 */
int auth_token(struct http_pool *pool, const struct http_request *how, const struct challenge *c,
               const struct registry_creds *creds, const char *path, char **out_token,
               struct err *e);

#endif
