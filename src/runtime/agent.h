/**
 * The seccomp agent: a program of the user's that decides about the system calls that the profile
 * marks SCMP_ACT_NOTIFY.
 */
#ifndef HULL_RUNTIME_AGENT_H
#define HULL_RUNTIME_AGENT_H

#include "runtime/launch.h"
#include "runtime/record.h"

/**
 * Answer SYNC_LISTENER of a child: fetch its listener, send it to the profile's listenerPath with
 * the container process state, let the child go on.
 *
 * state  of the container, as runtime-spec config-linux.md "The Container Process State" wants it.
 *
 * Errors: UNAVAILABLE "failed to connect with seccomp agent specified in the seccomp profile: ..."
 */
int agent_introduce(const struct oci_seccomp *profile, const struct oci_state *state,
                    const struct child *child, int listener, struct err *e);

#endif
