/** Ids and names of containers. */
#ifndef HULL_ENGINE_NAMES_H
#define HULL_ENGINE_NAMES_H

#include "base/err.h"

/** 64 random hex digits, of which the first 12 are not all decimal; out has 65 bytes. */
int id_generate(char out[static 65], struct err *e);

/** `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, a slash may stand before it. INVALID in Docker's words. */
int name_check(const char *name, struct err *e);

/** A name like "quiet_noether"; from the second try on with a digit. out has 64 bytes. */
void name_generate(int tries, char out[static 64]);

#endif
