/**
 * containerd's filters: `name==x,labels."a/b"~=^v`. Comma is AND, a list of filters is OR, an empty
 * list matches all. Operators ==, !=, ~= (regular expression), and a bare field (present and not
 * empty). Values bare or quoted with ", / or |. Blanks around commas are skipped.
 *
 * Go's regular expressions are matched by POSIX extended ones, after translating \d \w \s \b and
 * (?:…); other Go-only syntax is refused. Source: containerd pkg/filters.
 */
#ifndef HULL_STORE_FILTER_H
#define HULL_STORE_FILTER_H

#include "base/err.h"
#include "base/json.h"

struct filters;

/**
 * The value of a field of the object, or NULL when it has none. path[0..n) are the parts between
 * dots, unquoted: {"labels", "com.example/x"}.
 */
typedef const char *filter_field_fn(const void *obj, const char *const *path, size_t n);

/** Parse. INVALID with the text and the place; at most 64 filters of 4 KiB. */
int filters_parse(const struct strv *texts, struct filters **out, struct err *e);
bool filters_match(const struct filters *f, filter_field_fn *field, const void *obj);
void filters_free(struct filters *f);

static inline void filters_free_ptr(struct filters **f)
{
    filters_free(*f);
}
#define auto_filters CLEANUP(filters_free_ptr)

/** The label that path[1..n) names, joined with dots; for filter_field_fn of objects with labels.
 */
const char *filter_label(const struct strmap *labels, const char *const *path, size_t n);

#endif
