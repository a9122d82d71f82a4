/** Lines of progress streams, as Docker's clients read them. */
#ifndef HULL_ENGINE_PROGRESS_H
#define HULL_ENGINE_PROGRESS_H

#include "engine/engine.h"
#include "types/image.h"

/** One line, ended by \r\n. -1 when the client is gone. */
int progress_write(const struct sink *sink, const struct progress_line *l, struct err *e);

/** An error once lines have gone out: into the stream. */
void progress_fail(const struct sink *sink, const struct err *why);

#endif
