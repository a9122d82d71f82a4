/**
 * A view into someone else's bytes: what parsers use. Never owns, is not terminated.
 *
 *     struct str line = str_of(text), word = str_cut(&line, ' ');
 */
#ifndef HULL_BASE_STR_H
#define HULL_BASE_STR_H

#include "base/defs.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* for printf: printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) ((int)(s).n), ((s).p)

/** A view of a C string; NULL gives an empty one. */
struct str str_of(const char *s);

/** Take what stands before the first sep off the front of *s (and sep itself). Without a sep: all
 * of it. */
struct str str_cut(struct str *s, char sep);

/** As str_cut, but at the last sep, taking the part behind it; *s keeps what is before. Without
 * one: all of it. */
struct str str_cut_last(struct str *s, char sep);

/** Without the spaces and tabs at both ends. */
struct str str_trim(struct str s);

bool str_eq(struct str a, const char *b);
bool str_ieq(struct str a, const char *b); /* ASCII, without case */
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
/** strstr for a view: -1, or the offset of c. */
ptrdiff_t str_index(struct str s, char c);

/** A terminated copy; free with free(). */
char *str_dup(struct str s) __attribute__((returns_nonnull));

/** The whole of s as a decimal number within [min, max]; false (and *out untouched) otherwise. No
 * sign for u64, no spaces. */
bool str_to_u64(struct str s, uint64_t min, uint64_t max, uint64_t *out);
bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out);

/** The value of a hex digit of either case, or -1. */
int hex_digit(char c);

/** n bytes as 2n lower-case hex digits and a terminator at out. */
void str_hex(const void *bytes, size_t n, char *out);

/** True when C string s is made only of characters for which ok() holds and is 1..max bytes long.
 */
bool str_all(const char *s, size_t max, bool (*ok)(unsigned char c));

/** Length of the valid UTF-8 sequence that n bytes at p begin with, 1 to 4; 0 when there is none.
 */
size_t utf8_len(const void *p, size_t n);

#endif
