/** What happened: a ring of the last 256 events and those who listen. */
#ifndef HULL_ENGINE_EVENTS_H
#define HULL_ENGINE_EVENTS_H

#include "engine/engine.h"

struct events_opts {
    const char *since, *until; /* unix seconds or RFC 3339; NULL, "" */
    const char *filters;       /* the query's JSON, or NULL */
    int api;
};

/** INVALID for bad filters or times: to be asked before the head of the answer is sent. */
int events_check(const struct events_opts *o, struct err *e);

/** Write one JSON object and newline for each event until `until` or the client hangs up. flushed
 * is called once the subscription stands, before the first write; may be NULL. */
int events_stream(struct engine *g, const struct events_opts *o, const struct sink *sink,
                  int cancel_fd, void (*flushed)(void *arg), void *arg, struct err *e);

/** Raise an event; attributes are pairs of strings, ended by NULL; copied. */
void event_raise(struct engine *g, const char *type, const char *action, const char *id,
                 const struct strmap *labels, ...) __attribute__((sentinel));

#endif
