/** hulld's listeners, from the texts of --host. */
#ifndef HULL_DAEMON_LISTEN_H
#define HULL_DAEMON_LISTEN_H

#include "daemon/config.h"
#include "rpc/http_server.h"

/** "unix:///run/x.sock", "tcp://127.0.0.1:2375", "tcp://" and "fd://" taken apart; in the arena. */
struct listen_addr {
    enum { LISTEN_UNIX, LISTEN_TCP, LISTEN_FD } kind;
    const char *path; /* UNIX */
    const char *host; /* TCP; "": all addresses */
    const char *port;
};

/** tls: decides the default port. INVALID "invalid bind address format: x". */
int listen_parse(const char *host, bool tls, struct arena *a, struct listen_addr *out,
                 struct err *e);

/**
 * Open all listeners of the configuration. Nothing is accepted yet.
 *
 * out_tls  the TCP listeners' certificates, NULL without TLS; free it after the server.
 */
int listen_open(struct http_server *s, const struct daemon_config *c, struct stream_wrap **out_tls,
                struct err *e);

#endif
