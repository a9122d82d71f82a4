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

/* The attributes of an event that is about to be raised; everything borrowed. */
struct event_attrs {
    const struct strmap *labels; /* of the object; may be NULL */
    struct strmap_ent v[12];
    size_t n;
};

static inline void event_attr(struct event_attrs *a, const char *key, const char *val)
{
    if (a->n < ARRAY_LEN(a->v))
        a->v[a->n++] = (struct strmap_ent){key, val};
}

/** Raise an event: into the ring and to those who listen. Everything is copied. */
void event_raise_attrs(struct engine *g, const char *type, const char *action, const char *id,
                       const struct event_attrs *attrs);

/** The same with the attributes as pairs of strings, ended by NULL. */
void event_raise(struct engine *g, const char *type, const char *action, const char *id, ...)
    __attribute__((sentinel));

/** How many listen now, for info. */
int events_listeners(struct engine *g);

#endif
