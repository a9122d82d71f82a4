/** Answering a registry's challenge. Private to the room. Source: distribution's token
 * authentication. */
#ifndef HULL_REGISTRY_AUTH_H
#define HULL_REGISTRY_AUTH_H

#include "base/err.h"
#include "base/vec.h"
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

/* What a token is wanted for. */
struct token_wish {
    const struct registry_creds *creds;
    const struct strv *scopes; /* "repository:x:pull"; beside the challenge's own */
    bool offline;              /* a refresh token as well: login */
};

/* What a token server gave; heap. */
struct token {
    char *bearer;
    char *refresh; /* NULL: none */
};
void token_done(struct token *t);
#define auto_token CLEANUP(token_done)

/**
 * Get a bearer token. how: a request with the options of the connection (url, form, credentials are
 * set here). Errors: UNAUTHORIZED, UNAVAILABLE.
 */
int auth_token(struct http_pool *pool, const struct http_request *how, const struct challenge *c,
               const struct token_wish *wish, struct token *out, struct err *e);

#endif
