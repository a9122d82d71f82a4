/**
 * A terminal session: standard input, output and error joined to a hijacked stream of attach or
 * exec, with detach keys, half-close and signals, from one thread.
 */
#ifndef HULL_CLI_SESSION_H
#define HULL_CLI_SESSION_H

#include "cli/cli.h"

#define DETACH_MAX 16

struct session {
    struct stream *stream; /* borrowed */
    bool tty;              /* the stream is raw in both directions; else output comes in frames */
    bool in, out, err;     /* which of ours take part */
    unsigned char detach[DETACH_MAX]; /* watched for when tty and in */
    size_t n_detach;
    int signal_fd; /* from session_signals; -1: none */
    void (*on_signal)(int signo, void *arg);
    void *arg;
};

enum session_end { SESSION_ENDED, SESSION_DETACHED };

/** Pump until the other side has ended or the detach keys were typed. -1 on a broken stream. */
int session_run(struct session *s, enum session_end *out, struct err *e);

/**
 * Read "ctrl-p,ctrl-q" or "a,b,c" into s->detach. INVALID "invalid detach keys (…): …". keys NULL
 * or "": docker's default, ctrl-p,ctrl-q.
 */
int session_detach_keys(struct session *s, const char *keys, struct err *e);

/** Block the signals that are passed on to containers (SIGWINCH too) and return a signalfd for
 * them, or -1 with e. */
int session_signals(struct err *e);

/** The next signal from such a descriptor without waiting; 0: none. */
int session_next_signal(int signal_fd);

/** "TERM" for SIGTERM; NULL for numbers without a name. */
const char *signal_name(int signo);

/** Terminal helpers: true for a terminal; its size in rows and columns (0, 0 when unknown). */
bool term_is(int fd);
void term_size(int fd, unsigned *rows, unsigned *cols);

struct term_saved;
/** Put fd into raw mode; NULL when it is no terminal. Give the result to term_restore (which takes
 * NULL). */
struct term_saved *term_raw(int fd);
void term_restore(struct term_saved *saved);

static inline void term_restore_ptr(struct term_saved **saved)
{
    term_restore(*saved);
    *saved = NULL;
}
#define auto_term CLEANUP(term_restore_ptr)

/** Copy a response of framed (or, with tty, raw) output to ours until its end; logs. */
int session_copy(struct http_resp *r, bool tty, struct err *e);

#endif
