/** Words of command lines and options that stand for values, as Docker's programs read them. */
#ifndef HULL_BASE_UNITS_H
#define HULL_BASE_UNITS_H

#include "base/defs.h"

/**
 * "64m", "1.5 GiB" → bytes: a number, then one of bkmgtp in either case, with "b" or "ib" behind it
 * or not. False (and *out untouched): something else, a negative number for example.
 *
 * bytes_parse means 1024 by a k, bytes_parse_decimal 1000 (go-units' RAMInBytes and FromHumanSize).
 */
bool bytes_parse(const char *s, int64_t *out);
bool bytes_parse_decimal(const char *s, int64_t *out);

/** "true", "1", "f" …, as Go's strconv.ParseBool. False (and *out untouched): something else. */
bool bool_parse(const char *s, bool *out);

#endif
