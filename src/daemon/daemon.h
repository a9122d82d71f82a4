/** hulld from start to stop. */
#ifndef HULL_DAEMON_DAEMON_H
#define HULL_DAEMON_DAEMON_H

#include "daemon/config.h"

/**
 * Serve until SIGTERM or SIGINT, which the caller has blocked; containers run on afterwards.
 *
 * Errors: what keeps it from starting.
 */
int daemon_run(const struct daemon_config *c, struct err *e);

#endif
