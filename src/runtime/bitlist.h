/** Sets of CPUs or memory nodes as the kernel writes them: "0-3,7". */
#ifndef HULL_RUNTIME_BITLIST_H
#define HULL_RUNTIME_BITLIST_H

#include "base/err.h"

/**
 * Add the members of a list to a mask.
 *
 * text    NULL or "" adds none; empty parts ("0,,2") are passed over.
 * n_bits  the mask's size; a multiple of the bits of its words.
 *
 * INVALID in runc's words.
 */
int bitlist_parse(const char *text, unsigned long *mask, size_t n_bits, struct err *e);

#endif
