/**
 * --userns-remap: from a user's and a group's name to the ids that they may map, as /etc/subuid and
 * /etc/subgid say.
 */
#ifndef HULL_DAEMON_REMAP_H
#define HULL_DAEMON_REMAP_H

#include "base/json.h"
#include "sys/userns.h"

/** The user and group that "default" stands for; made at the first use. */
#define REMAP_DEFAULT_USER "dockremap"

/**
 * Resolve "default", "user", "user:group", with names or numbers.
 *
 * out  texts in arena; no mapping for NULL, "" and for root itself (with a warning).
 *
 * Errors: INVALID in dockerd's words.
 */
int remap_resolve(const char *spec, struct arena *a, struct userns_maps *out, struct err *e);

/* ---- for tests ---- */

/**
 * The ranges of one user ("name:start:count" lines; the user's name or number) as a mapping from 0
 * on.
 * "" when there are none. Lines of another form are skipped.
 */
const char *subid_ranges(const char *text, const char *name, unsigned id, struct arena *a);

/** The first start at or above 100000 where 65536 ids are free of all ranges of the text. */
uint32_t subid_free(const char *text);

#endif
