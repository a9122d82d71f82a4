/**
 * Capabilities by name, and the steps in which a process gives them up. Plain system calls: five
 * 64-bit sets, one table of names. Source: capabilities(7).
 */
#ifndef HULL_SYS_CAPS_H
#define HULL_SYS_CAPS_H

#include "base/defs.h"

/** The five sets as masks of 1 << number. */
struct caps {
    uint64_t bounding, effective, inheritable, permitted, ambient;
};

/** The number of "CAP_CHOWN" (any case, the prefix may be missing), or -1. */
int caps_number(const char *name);

/** "CAP_CHOWN", or NULL past the last one in the table. */
const char *caps_name(int number);

/** All capabilities that the running process has in its bounding set; needs no /proc. 0 or -errno.
 */
int caps_bounding(uint64_t *out);

/** Drop what is not in keep from the bounding set; needs CAP_SETPCAP. 0 or -errno. */
int caps_drop_bounding(uint64_t keep);

/** Keep the permitted set over a change of the user id (PR_SET_KEEPCAPS). 0 or -errno. */
int caps_keep(bool on);

/**
 * Set effective, permitted and inheritable, clear ambient and raise what is asked. An ambient
 * capability that cannot be raised is left out. 0 or -errno.
 */
int caps_apply(const struct caps *c);

#endif
