/** `hull-containerd publish`: how shims publish events when they were told no ttrpc address. */
#ifndef HULL_CONTAINERD_PUBLISH_H
#define HULL_CONTAINERD_PUBLISH_H

#include "base/err.h"

/** argv: "publish", --topic T, --namespace N (and --address A), NULL. The event, an Any, is read
 * from stdin. */
int publish_command(char **argv, const char *address, struct err *e);

#endif
