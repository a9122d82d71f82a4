/**
 * TOML, as far as configuration files use it: tables, dotted and quoted keys, strings, numbers,
 * booleans, arrays over several lines, inline tables. Values are told one by one, in the file's
 * order; whoever reads keeps what it knows.
 *
 * Source: TOML 1.0. Not read: multi-line strings, escapes other than \" and \\.
 */
#ifndef HULL_BASE_TOML_H
#define HULL_BASE_TOML_H

#include "base/arena.h"
#include "base/err.h"

enum toml_kind {
    TOML_TABLE,  /* [path] or [[path]]: what follows is in it */
    TOML_STRING, /* text without its quotes */
    TOML_WORD,   /* number, boolean or time as it is written */
};

struct toml_item {
    enum toml_kind kind;
    const char *const *path; /* of table and key, in the arena: {"host", "https://x", "ca"} */
    size_t n_path;
    const char *text; /* in the arena; "" for tables */
    int depth;        /* 0: the key's value; n: an element of n arrays around it */
};

/** Called for each table and each value; -1 ends the reading with that error. */
typedef int toml_fn(void *arg, const struct toml_item *item, struct err *e);

/** Read a document. Errors: INVALID "line N: …", or what fn said. */
int toml_read(const char *text, struct arena *a, toml_fn *fn, void *arg, struct err *e);

/** The path as one dotted name, in the arena. */
const char *toml_name(const struct toml_item *item, struct arena *a);

#endif
