/**
 * One error value: made once where the fact is known, wrapped where the caller knows something new,
 * answered or logged once. No heap: it can be copied, kept, and sent to another process as bytes.
 *
 *     TRY(image_find(s, name, &img, e));
 *     if (mount(...) < 0)
 *         return err_sys(e, "mount %s on %s", src, dst);
 */
#ifndef HULL_BASE_ERR_H
#define HULL_BASE_ERR_H

#include <stdarg.h>

#include "base/defs.h"

/* kind, HTTP status that the Engine API answers with */
#define ERR_KINDS(X)      \
    X(INVALID, 400)       \
    X(UNAUTHORIZED, 401)  \
    X(FORBIDDEN, 403)     \
    X(NOT_FOUND, 404)     \
    X(CONFLICT, 409)      \
    X(EXISTS, 409)        \
    X(PRECONDITION, 409)  \
    X(NOT_MODIFIED, 304)  \
    X(TOO_LARGE, 413)     \
    X(OUT_OF_RANGE, 400)  \
    X(UNIMPLEMENTED, 501) \
    X(UNAVAILABLE, 503)   \
    X(TIMEOUT, 504)       \
    X(EXHAUSTED, 503)     \
    X(ABORTED, 500)       \
    X(CANCELLED, 500)     \
    X(DATA_LOSS, 500)     \
    X(UNKNOWN, 500)       \
    X(INTERNAL, 500)

enum err_kind {
    ERR_NONE,
#define X(name, status) ERR_##name,
    ERR_KINDS(X)
#undef X
};

/** An error. Zeroed means "none". sys is the errno it came from, or 0. msg is always terminated. */
struct err {
    enum err_kind kind;
    int sys;
    char msg[2040];
};

/** Leave the current function with -1 when call failed; call must have filled the err it was given.
 */
#define TRY(call)       \
    do {                \
        if ((call) < 0) \
            return -1;  \
    } while (0)

/** Fill e. A text that is too long is cut at its end. Returns -1. */
int(err_set)(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** Fill e from errno: "<text>: <strerror>", its first letter small as in Go, kind INTERNAL. Returns
 * -1. */
int(err_sys)(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** As err_sys, from a negative errno as thin sys/ wrappers return it. Returns -1. */
int(err_neg)(struct err *e, int neg_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/**
 * Put "<text>: " before the message; kind and sys stay. When both do not fit, the text in front is
 * what gets cut, never the cause. Returns -1.
 */
int(err_wrap)(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The compiler must see that these give -1, or it takes every result behind TRY for uninitialized.
 */
static inline int err_failed(int always_minus_one)
{
    (void)always_minus_one;
    return -1;
}
#define err_set(...) err_failed((err_set)(__VA_ARGS__))
#define err_sys(...) err_failed((err_sys)(__VA_ARGS__))
#define err_neg(...) err_failed((err_neg)(__VA_ARGS__))
#define err_wrap(...) err_failed((err_wrap)(__VA_ARGS__))

/** Forget the error. */
void err_clear(struct err *e);

/** The HTTP status of a kind; 500 for NONE. */
int err_http_status(enum err_kind kind);

/** The kind that an HTTP error status stands for; INTERNAL when it is not in the table. */
enum err_kind err_kind_of_http(int status);

#endif
