/**
 * The trash folder: what has lost its row loses its name at once, its bytes a little later.
 *
 *     trash_put(s, s->snapshots_fd, "17");   // a rename
 *     TRY(trash_empty(s, e));                // several threads; returns when nothing is left
 *
 * A crash in between is mended by the next start, which empties the folder first.
 */
#ifndef HULL_STORE_TRASH_H
#define HULL_STORE_TRASH_H

#include "store/store.h"

/** Move a file or tree out of its folder, which no row may own any more. When there is no room for
 * a name in the trash folder it is removed where it is. What is not there is no error. */
void trash_put(struct store *s, int dir_fd, const char *name);

/**
 * Remove all that was put there before the call, also what another thread is removing.
 *
 * Blocks until the file system has given the room back; any thread.
 * Errors: the first one met, after all else was removed; the next call tries again.
 */
int trash_empty(struct store *s, struct err *e);

#endif
