/** SHA-256 of a short text (FIPS 180-4), for the names of sockets: not worth loading a library for.
 */
#ifndef HULL_SHIM_SHA256_H
#define HULL_SHIM_SHA256_H

#include "base/defs.h"

/** 64 hex digits and a terminator. */
void sha256_hex(const void *p, size_t n, char out[static 65]);

#endif
