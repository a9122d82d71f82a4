/**
 * Where a container's streams meet: what its outputs (pipes, FIFOs or a terminal) print goes to the
 * log and to all attached clients, what clients type goes to its input. Belongs to a loop; never
 * blocks. Used by the shim and by hull-logger.
 *
 * While a client has not taken what it was sent, the outputs are not read: that is the
 * back-pressure. A client that is gone is dropped.
 */
#ifndef HULL_STDIO_HUB_H
#define HULL_STDIO_HUB_H

#include "base/loop.h"
#include "stdio/log_uri.h"
#include "stdio/stream.h"

struct hub;

/**
 * A hub that writes the log of u and listens on its attach socket (mode 0600; a stale one is
 * replaced).
 *
 * terminal  the output is a terminal's: clients are told so.
 *
 * Errors: of the log file, of the socket, UNIMPLEMENTED (a driver that is not served in-process).
 */
int hub_new(struct loop *loop, const struct log_uri *u, bool terminal, struct hub **out,
            struct err *e);

/** Read fd (non-blocking) until it ends. Takes fd, also on failure. Twice at most. */
int hub_add_output(struct hub *h, int fd, enum stdio_stream stream, struct err *e);

/** Clients' input goes to fd (non-blocking). Takes fd. */
void hub_set_input(struct hub *h, int fd);

/** End the input. Nothing when there is none. */
void hub_close_input(struct hub *h);

/** Have fn(arg) called once from the loop when all outputs have ended and all clients have been
 * told. */
void hub_on_end(struct hub *h, void (*fn)(void *arg), void *arg);

/**
 * Time is up: read what the outputs hold at this moment, write unfinished lines, tell the clients
 * END (what they have not taken stays in their sockets), and close all. Nothing when it has ended.
 */
void hub_finish(struct hub *h);

/** hub_finish, remove the socket, free. NULL is fine. */
void hub_free(struct hub *h);

#endif
