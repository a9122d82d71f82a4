/**
 * hulld's side of hull-portd, the one process that holds the sockets of published ports. It
 * outlives the daemon: a restarted daemon finds it by its socket and tells it what should be held.
 * It is started with the first port and ends by itself after the last.
 *
 * Thread-safe; calls queue on one lock, held for one exchange over a local socket.
 */
#ifndef HULL_NET_PORTD_H
#define HULL_NET_PORTD_H

#include "net/ports.h"

/* One message each way, as JSON in a packet. */
#define PORTD_MESSAGE(T, F)                      \
    F(T, str, op, "Op", JSON_OMITEMPTY)          \
    F(T, str, proto, "Proto", JSON_OMITEMPTY)    \
    F(T, str, ip, "Ip", JSON_OMITEMPTY)          \
    F(T, i64, port, "Port", JSON_OMITEMPTY)      \
    F(T, str, to, "To", JSON_OMITEMPTY)          \
    F(T, i64, to_port, "ToPort", JSON_OMITEMPTY) \
    F(T, bool, more, "More", JSON_OMITEMPTY)     \
    F(T, i64, error, "Error", JSON_OMITEMPTY)
JSON_TYPE(portd_message, PORTD_MESSAGE)
#define PORTD_MESSAGE_MAX 4096
#define PORTD_LISTEN_FD 3 /* the listening socket that hull-portd is started with */

struct portd;

/** A port to hold, and where its connections go (family 0: they are closed). */
struct portd_port {
    struct port_key key;
    struct ip_addr to;
    uint16_t to_port;
};

/** program: path of hull-portd; socket: where it listens or will. Both copied. Nothing is started
 * yet. */
struct portd *portd_new(const char *program, const char *socket) __attribute__((returns_nonnull));
/** Disconnect; hull-portd goes on as long as it holds ports. NULL is fine. */
void portd_free(struct portd *p);

/**
 * Hold a port, or change where a held one leads.
 * Errors: CONFLICT `failed to bind host port 0.0.0.0:80/tcp: address already in use` (and other
 * words of the kernel, errno in sys), INTERNAL when hull-portd cannot be started.
 */
int portd_hold(struct portd *p, const struct portd_port *port, struct err *e);

/** Let go; one that is not held is fine. */
int portd_release(struct portd *p, struct port_key key, struct err *e);

/** Make what is held exactly these n ports (the restart). Ports that cannot be had are logged and
 * left out. */
int portd_sync(struct portd *p, const struct portd_port *ports, size_t n, struct err *e);

#endif
