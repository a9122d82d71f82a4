/** What attach and exec share: frames for the client, and the keys that detach. */
#ifndef HULL_ENGINE_PUMP_H
#define HULL_ENGINE_PUMP_H

#include "rpc/stream.h"

enum { KEYS_MAX = 16 };

/* A sequence of keys that detaches, and how much of it has been seen. */
struct detach_keys {
    unsigned char seq[KEYS_MAX];
    size_t n, seen;
};

/** "ctrl-p,ctrl-q", "a,ctrl-c"; NULL or "": the default. INVALID. */
int detach_keys_parse(const char *text, struct detach_keys *out, struct err *e);

/**
 * Look at n typed bytes. Returns how many of out (room for n + KEYS_MAX) are to be passed on; sets
 * *detached when the sequence is complete (what came behind it is dropped).
 */
size_t detach_keys_filter(struct detach_keys *k, const unsigned char *in, size_t n,
                          unsigned char *out, bool *detached);

/** Write output to a client: framed as stream (1 or 2), or raw when stream is 0. -1: the client is
 * gone. */
int pump_write(struct stream *client, int stream, const void *p, size_t n, struct err *e);

#endif
