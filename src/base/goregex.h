/** Regular expressions as Go writes them, which users of Docker's interfaces type, on top of POSIX'
 * extended ones. */
#ifndef HULL_BASE_GOREGEX_H
#define HULL_BASE_GOREGEX_H

#include <regex.h>

#include "base/err.h"

/**
 * Compile for a yes-or-no match anywhere in a text; release it with regfree.
 *
 * Errors: INVALID, "error parsing regexp: …" in Go's words where there are such: not an expression,
 * or one that POSIX has no words for (Unicode classes, flags, look-around), or one whose
 * repetitions would make it huge.
 */
int go_regex_compile(const char *pattern, regex_t *out, struct err *e);

#endif
