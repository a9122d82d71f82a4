/**
 * Work under way that a second caller waits for instead of doing it again: a blob being fetched, a
 * layer being unpacked. Private to the room.
 */
#ifndef HULL_STORE_FLIGHT_H
#define HULL_STORE_FLIGHT_H

#include "store/state.h"

struct flight;

/**
 * Claim the work called key. 1: it is ours, *out must be given to flight_end. 0: somebody did it
 * meanwhile. In both cases look again whether it is still to be done: another may have ended it
 * between the look and the claim. -1: CANCELLED while waiting: cancel_fd or stop_fd became readable
 * (0 or -1: none). Who may wait while he holds another piece needs one that others' failures reach:
 * two who have failed must not wait for each other.
 */
int flight_begin(struct store *s, const char *key, int cancel_fd, int stop_fd, struct flight **out,
                 struct err *e);
void flight_end(struct flight *f);

static inline void flight_end_ptr(struct flight **f)
{
    flight_end(*f);
}
#define auto_flight CLEANUP(flight_end_ptr)

#endif
