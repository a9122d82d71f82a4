/**
 * Field masks of updates: an empty mask replaces all that may change; "labels" replaces all labels,
 * "labels.KEY" one of them (KEY may hold dots; an empty value deletes it).
 */
#ifndef HULL_STORE_MASK_H
#define HULL_STORE_MASK_H

#include "base/json.h"

/** True when the mask is empty or names field. */
bool mask_has(const struct strv *mask, const char *field);

/**
 * Apply the paths of a mask that concern the map `field` ("labels", "annotations"). *io is what was
 * there and becomes what is to be there, built in the arena.
 */
void mask_map(const struct strv *mask, const char *field, const struct strmap *given,
              struct strmap *io, struct arena *a);

/**
 * INVALID for a path that is none of the fields (NULL-terminated list) nor "<field>.KEY" of one
 * whose name ends in '.' in the list: {"labels.", "image", NULL}.
 */
int mask_check(const struct strv *mask, const char *const *fields, const char *what, struct err *e);

#endif
