/**
 * A container that our terminal is attached to: attach first, ask for its exit, then start or watch
 * it. Shared by run, start and attach.
 */
#ifndef HULL_CLI_ATTACHED_H
#define HULL_CLI_ATTACHED_H

#include "cli/cli.h"
#include "cli/session.h"

struct attached {
    struct cli *cli;
    const char *id;
    struct session session;
    struct http_client *stream_client, *wait_client;
    struct http_resp *stream_resp, *wait_resp;
    bool resize; /* a terminal on both sides: follow its size */
    bool proxy;  /* pass signals on */
};

/** Open the stream. detach_keys also goes to the daemon; may be NULL. Fill session.in/out/err and
 * tty before. */
int attached_open(struct attached *a, const char *detach_keys, struct err *e);

/** Ask for the exit: condition "next-exit", "removed" or "not-running". Returns once the daemon has
 * taken note. */
int attached_wait_begin(struct attached *a, const char *condition, struct err *e);

/** Pump to the end with the terminal in raw mode when tty. */
int attached_run(struct attached *a, enum session_end *out, struct err *e);

/** The exit code, passing signals on while waiting. INTERNAL with the daemon's text when the wait
 * itself failed. */
int attached_exit_code(struct attached *a, int *out, struct err *e);

/** Tell the daemon at path (".../resize") our terminal's size, with so many rows and columns more
 * (to make programs repaint). */
void cli_resize(struct cli *c, const char *path, unsigned extra);

/** cli_resize for the container. */
void attached_resize(struct attached *a, unsigned extra);

void attached_done(struct attached *a);
#define auto_attached CLEANUP(attached_done)

#endif
