/** Numbers, times and texts as people read them. Source: the rules of docker's tables (go-units,
 * ellipsis). */
#ifndef HULL_CLI_HUMAN_H
#define HULL_CLI_HUMAN_H

#include "base/arena.h"

/** "3 minutes", "About an hour": how long ns nanoseconds are. In the arena. */
const char *human_duration(struct arena *a, int64_t ns);

/** "12.3MB": base 1000, `digits` significant. */
const char *human_size(struct arena *a, double bytes, int digits);

/** "12.3MiB": base 1024, 4 significant digits. */
const char *human_bytes(struct arena *a, double bytes);

/** Without "sha256:", the first 12 characters; no_trunc: as it is. */
const char *short_id(struct arena *a, const char *id, bool no_trunc);

/** At most n characters, the last an ellipsis. */
const char *ellipsis(struct arena *a, const char *s, size_t n);

/** In double quotes with Go's escapes. */
const char *go_quote(struct arena *a, const char *s);

/** Characters, not bytes. */
size_t text_width(const char *s);

/** "2006-01-02 15:04:05 -0700 MST" in the local zone. */
const char *local_time(struct arena *a, int64_t ns);

/** An image reference as people write it: without docker.io/ and library/. */
const char *familiar_name(struct arena *a, const char *ref);

/** Compare so that x2 comes before x10. */
int natural_compare(const char *a, const char *b);

#endif
