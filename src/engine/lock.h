/**
 * The order of locks in hulld. Who holds one may take only those below it:
 *
 *     engine     engine->lock        the tables of containers, names, execs and images' cache
 *     container  container->lock     the document, the state, the lists of those who wait
 *     network    inside src/net      the tables of networks and endpoints, ports
 *     events     events->lock        ring and subscribers
 *     store      state->lock         the SQLite connection
 *
 * A lock is held to look or to change memory, never across a call to containerd, a spawn, a netlink
 * request or a wait; the store's own lock is the exception that makes it a queue of transactions.
 *
 * What takes longer is ordered by gates (struct gate): a gate belongs to one object, has one holder
 * at a time, and those who want it wait in poll on an eventfd that also watches their client.
 * Start, the handling of an exit, rename, update and remove hold the container's gate; kill, stop,
 * inspect and everything that only looks do not, so a container that does not answer never blocks
 * them.
 */
#ifndef HULL_ENGINE_LOCK_H
#define HULL_ENGINE_LOCK_H

#include <pthread.h>

#include "base/err.h"
#include "base/list.h"

struct gate {
    pthread_mutex_t *lock; /* guards the two below: the object's own lock */
    bool held;
    struct list waiting;
};

void gate_init(struct gate *g, pthread_mutex_t *lock);

/**
 * Become the holder; the gate's lock is not held by the caller.
 *
 * cancel_fd  readable means: give up with CANCELLED; -1: wait for ever.
 */
int gate_enter(struct gate *g, int cancel_fd, struct err *e);

/** Become the holder if nobody is: true. */
bool gate_try(struct gate *g);

/** Let the next one in. */
void gate_leave(struct gate *g);

static inline void gate_leave_ptr(struct gate **g)
{
    if (*g != NULL)
        gate_leave(*g);
}
/** A gate that is left when its scope ends. */
#define auto_gate CLEANUP(gate_leave_ptr)

/** Wait until fd is readable: 1; 0 after timeout_ms (-1: never); CANCELLED when cancel_fd (-1:
 * none) is readable. */
int wait_readable(int fd, int cancel_fd, int timeout_ms, struct err *e);

#endif
