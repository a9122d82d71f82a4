/**
 * A logging program as containerd's binary:// URIs name it: it gets the container's output on its
 * descriptors 3 and 4, and closes 5 when it is ready. It ends by itself when the outputs have.
 */
#ifndef HULL_SHIM_LOGGER_H
#define HULL_SHIM_LOGGER_H

#include "shim/reaper.h"

struct logger;

struct logger_opts {
    struct loop *loop;
    struct reaper *reaper;
    const char *uri;
    bool is_ours;          /* it writes a byte to 5 first, so that dying is not mistaken for it */
    const char *id, *ns;   /* for its environment */
    void (*fn)(void *arg); /* it has ended */
    void *arg;
};

/** Start it. INVALID (the URI), NOT_FOUND (no such program). */
int logger_start(const struct logger_opts *o, struct logger **out, struct err *e);

/** The end that stream 1 or 2 is to be written to; the caller's from now on. */
int logger_take_fd(struct logger *l, int stream);

/** Call fn(arg) when it is ready, or not after ten seconds or when it has ended (e says which). */
void logger_when_ready(struct logger *l, void (*fn)(void *arg, const struct err *e), void *arg);

bool logger_ended(const struct logger *l);

/** Forget it; it runs on until it has read all. NULL is fine. */
void logger_free(struct logger *l);

#endif
