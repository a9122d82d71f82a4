/** Which capabilities a container gets. */
#ifndef HULL_ENGINE_CAPS_H
#define HULL_ENGINE_CAPS_H

#include "base/err.h"
#include "base/vec.h"

/**
 * The capabilities after --cap-add and --cap-drop ("NET_ADMIN", "cap_net_admin", "ALL"), as
 * "CAP_..." in the order of their numbers; in the arena. privileged: all that this kernel has.
 * Errors: INVALID `invalid CapAdd: unknown capability: "CAP_X"`.
 */
int caps_resolve(const struct strv *add, const struct strv *drop, bool privileged, struct arena *a,
                 struct strv *out, struct err *e);

#endif
