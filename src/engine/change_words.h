/** Changes of an image's configuration in Dockerfile words, as import and commit take them. */
#ifndef HULL_ENGINE_CHANGE_WORDS_H
#define HULL_ENGINE_CHANGE_WORDS_H

#include "types/container.h"

/**
 * Apply one change: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME
 * WORKDIR. Everything goes into the arena. INVALID "X is not a valid change command".
 */
int change_apply(const char *text, struct container_config *c, struct arena *a, struct err *e);

#endif
