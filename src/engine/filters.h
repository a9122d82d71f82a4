/** The `filters` parameter of list, prune and events. */
#ifndef HULL_ENGINE_FILTERS_H
#define HULL_ENGINE_FILTERS_H

#include "base/json.h"

struct filter {
    const char *key;
    struct strv values;
};
struct filters {
    struct filter *v;
    size_t n, cap;
};

/**
 * Read the query's JSON: {"key":{"value":true}} or {"key":["value"]}; NULL and "" are none.
 *
 * accepted  NULL-terminated list of keys; NULL: every key.
 * Errors: INVALID "invalid filter", "invalid filter 'x'".
 */
int filters_parse(const char *json, const char *const *accepted, struct arena *a,
                  struct filters *out, struct err *e);

/** The values of key, or NULL when it is not given. */
const struct strv *filters_get(const struct filters *f, const char *key);

/** True when key is not given, or one of its values is exactly s. */
bool filters_match(const struct filters *f, const char *key, const char *s);

/** True when key is not given, or s begins with one of its values. */
bool filters_match_start(const struct filters *f, const char *key, const char *s);

/** True when key is not given, or one of its values is s, or is (as a regular expression) found in
 * s. */
bool filters_match_name(const struct filters *f, const char *key, const char *s);

/** True when all values of "label" hold ("k" or "k=v"), and not all of "label!". */
bool filters_match_labels(const struct filters *f, const struct strmap *labels);

/** A boolean filter: *out_given, *out. INVALID for other values or a contradiction. */
int filters_bool(const struct filters *f, const char *key, bool *out_given, bool *out,
                 struct err *e);

/** "until": the moment before which things are meant; 0 when it is not given. INVALID. */
int filters_until(const struct filters *f, int64_t *out_ns, struct err *e);

#endif
