/**
 * TLS over OpenSSL, for the daemon's TCP listeners and for clients of them: certificates of one's
 * own authority on both sides, TLS 1.2 and up.
 */
#ifndef HULL_RPC_TLS_H
#define HULL_RPC_TLS_H

#include "rpc/stream.h"

/** Files in PEM. A server needs cert and key. */
struct tls_opts {
    const char *ca; /* who may have signed the peer's certificate; NULL: the system's authorities */
    const char *cert; /* our certificate, with its chain behind it; NULL: none (clients) */
    const char *key;  /* its private key */
    bool verify;      /* server: a client must show a certificate signed by ca; client: the server's
                         certificate must be signed by ca and name the host */
};

/**
 * A server's side. The result is shared by all its listeners and threads; free it with
 * stream_wrap_free after the last stream is closed.
 *
 * Errors: INVALID naming the file; NOT_FOUND.
 */
int tls_server_new(const struct tls_opts *o, struct stream_wrap **out, struct err *e);

/** A client's side. */
int tls_client_new(const struct tls_opts *o, struct stream_wrap **out, struct err *e);

#endif
