/** Base64, standard and for URLs. Source: RFC 4648, sections 4 and 5. */
#ifndef HULL_BASE_BASE64_H
#define HULL_BASE_BASE64_H

#include "base/buf.h"

/** Append n bytes in the standard alphabet, padded. Overflow: out->over. */
void base64_encode(const void *p, size_t n, struct buf *out);

/** As base64_encode in the alphabet for URLs and headers ('-' and '_'), padded. */
void base64_encode_url(const void *p, size_t n, struct buf *out);

/**
 * Append what text stands for, in either alphabet; it ends at its first '=', padding may be absent.
 * False when it holds any other character, or when it does not fit into out; what was decoded so
 * far is then in out.
 */
bool base64_decode(const char *text, struct buf *out);

#endif
