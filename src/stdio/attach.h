/**
 * Attach: the output of a running container, and its input, over a unix stream socket that its shim
 * (or hull-logger) serves. Both sides send frames with Docker's header (type, three zero bytes,
 * length as 32 bits big endian, then the payload), so that output frames can be passed on as they
 * are.
 *
 * A client begins with one ATTACH frame that says what it wants, and is answered ATTACHED (or
 * ERROR) once it misses nothing that is printed from then on. Output follows; END says that the
 * streams have ended and all was sent. Closing the socket detaches. STDIN frames are input;
 * CLOSE_STDIN ends the container's input for everybody. A client that does not read holds up the
 * container once socket and pipe are full.
 *
 * This header is the client for programs with a thread per stream: nothing in it blocks but
 * attach_open; the caller polls attach_fd for attach_events and its own other side.
 */
#ifndef HULL_STDIO_ATTACH_H
#define HULL_STDIO_ATTACH_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "stdio/stream.h"

#define ATTACH_HEAD 8                       /* bytes before each payload */
#define ATTACH_FRAME_MAX ((size_t)64 << 10) /* bytes of a payload */

enum attach_type {
    ATTACH_T_STDIN = STDIO_IN,
    ATTACH_T_STDOUT = STDIO_OUT,
    ATTACH_T_STDERR = STDIO_ERR,
    ATTACH_T_ATTACH = 16,   /* client: version (1), then flags ATTACH_STDIN … of what it wants */
    ATTACH_T_ATTACHED = 17, /* server: version (1), then flags of what there is */
    ATTACH_T_ERROR = 18,    /* server: a message; it then closes */
    ATTACH_T_END = 19,      /* server: all streams have ended */
    ATTACH_T_CLOSE_STDIN = 20,
};

enum { ATTACH_STDIN = 1 << 0, ATTACH_STDOUT = 1 << 1, ATTACH_STDERR = 1 << 2, ATTACH_TTY = 1 << 3 };

struct attach;

struct attach_frame {
    enum attach_type type; /* STDOUT, STDERR, END or ERROR */
    struct str raw;        /* the frame with its header */
    struct str data;       /* the payload */
};

/**
 * Connect and attach. Blocks until attached, at most timeout_ms.
 *
 * path      of the socket, at most 107 bytes.
 * want      ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR.
 * out_have  flags of what the container has (ATTACH_TTY: stdout is a terminal's raw output); may
 * be NULL.
 *
 * Errors: NOT_FOUND (no such socket), UNAVAILABLE (nobody serves it any more), TIMEOUT, INVALID
 * (refused).
 */
int attach_open(const char *path, unsigned want, int timeout_ms, struct attach **out,
                unsigned *out_have, struct err *e);

/** The descriptor to poll, and the poll(2) events to wait for. */
int attach_fd(const struct attach *a);
short attach_events(const struct attach *a);

/**
 * The next frame; it is good until the next call. Returns 1, or 0 when none has come whole yet
 * (poll again). After END or ERROR nothing follows. Call it until it returns 0 before polling.
 * Errors: UNAVAILABLE (the other side went away without END), INVALID (not a frame).
 */
int attach_next(struct attach *a, struct attach_frame *out, struct err *e);

/**
 * Send input. Returns how many bytes were taken: 0 when what was taken before is not sent yet (poll
 * for POLLOUT, call attach_flush). Errors: UNAVAILABLE.
 */
ssize_t attach_stdin(struct attach *a, const void *p, size_t n, struct err *e);

/** End the container's input, after what was sent before. */
int attach_close_stdin(struct attach *a, struct err *e);

/** Send what waits; call it on POLLOUT. Returns 1 when all is sent, else 0. */
int attach_flush(struct attach *a, struct err *e);

/** Detach. NULL is fine. */
void attach_close(struct attach *a);

/** Append a frame to out. */
void attach_frame_write(enum attach_type type, const void *p, size_t n, struct buf *out);

/** Write a header. n is the length of the payload. */
void attach_head_write(enum attach_type type, size_t n, unsigned char head[static ATTACH_HEAD]);

/** Read a header; false when it is none (type unknown, padding not zero, too long). */
bool attach_head_read(const unsigned char head[static ATTACH_HEAD], enum attach_type *out_type,
                      size_t *out_n);

#endif
