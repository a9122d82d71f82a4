/**
 * Containers of ordinary users: what is refused to us is then no failure where the container does
 * not depend on it.
 */
#ifndef HULL_RUNTIME_ROOTLESS_H
#define HULL_RUNTIME_ROOTLESS_H

#include <sys/types.h>

#include "runtime/runtime.h"

/** Whether we are in a user namespace that does not have all ids. */
bool rootless_in_userns(void);

/** Whether e is a refusal by the kernel that an ordinary user, or root of a user namespace, has to
 * expect (mode AUTO looks which of them we are). */
bool rootless_forgives(enum hullrun_rootless mode, const struct err *e);

/** Our user id as the parent user namespace sees it: who owns what we make. */
uid_t rootless_owner(void);

/** What a container of an ordinary user must be like. INVALID in runc's words. */
int rootless_check(const struct oci_spec *s, struct err *e);

#endif
