/**
 * Clocks, RFC 3339 times and Go durations. A time is int64_t nanoseconds since 1970 UTC; 0 stands
 * for "never", which Go prints as year 1.
 */
#ifndef HULL_BASE_TIME_H
#define HULL_BASE_TIME_H

#include "base/defs.h"
#include "base/str.h"

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL
#define TIME_TEXT_MAX 40 /* bytes that hold any formatted time */

/** Wall clock, UTC. */
int64_t time_now_ns(void);

/** Monotonic clock, for deadlines. */
int64_t time_mono_ns(void);

/** As Go's RFC3339Nano: trailing zeros of the fraction are left out; 0 gives
 * "0001-01-01T00:00:00Z". */
void time_format(int64_t ns, char out[static TIME_TEXT_MAX]);

/** Always nine digits of fraction, as in container logs. */
void time_format_fixed(int64_t ns, char out[static TIME_TEXT_MAX]);

/** An RFC 3339 time with any offset and up to nine digits of fraction; year 1 gives 0. */
bool time_parse(struct str s, int64_t *out_ns);

/** What API parameters since and until take: unix seconds ("1700000000.123456789"), or RFC 3339. */
bool time_parse_unix_or_rfc3339(struct str s, int64_t *out_ns);

/** A Go duration, "1h30m", "500ms", "1.5s", "-2m", "0". */
bool dur_parse(struct str s, int64_t *out_ns);

/** As Go prints a duration: "1h30m0s", "1.5s", "20ms", "0s". */
void dur_format(int64_t ns, char out[static TIME_TEXT_MAX]);

#endif
