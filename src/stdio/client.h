/**
 * The attached clients of a hub, and the socket they come from: the server's side of attach.h.
 * Belongs to a loop. Used by hub.c only.
 */
#ifndef HULL_STDIO_CLIENT_H
#define HULL_STDIO_CLIENT_H

#include "base/loop.h"
#include "stdio/attach.h"

struct clients;

struct clients_opts {
    unsigned have; /* flags for ATTACHED */
    /* input has come; returns false when no more is wanted now: clients are not read until
     * clients_resume_input */
    bool (*input)(void *arg, const char *p, size_t n);
    void (*close_input)(void *arg);
    /* some client has output waiting (true), or none has any more */
    void (*full)(void *arg, bool full);
    void *arg;
};

/** Listen on path (mode 0600; replaces what is there). */
int clients_listen(struct loop *loop, const char *path, const struct clients_opts *o,
                   struct clients **out, struct err *e);

/** Send output to all who want it. Never fails: who is gone is dropped. */
void clients_send(struct clients *c, enum stdio_stream stream, const char *p, size_t n);

/** Tell all END, and everyone who comes later. */
void clients_end(struct clients *c);

/** Some client has not taken all yet. */
bool clients_waiting(const struct clients *c);

/** The input has room again. */
void clients_resume_input(struct clients *c);

/** What still waits goes into the sockets' own buffers, which outlive us; close all and remove the
 * socket. NULL is fine. */
void clients_free(struct clients *c);

#endif
