/**
 * A growing byte buffer that always has a maximum and is always NUL-terminated.
 *
 *     struct buf b = BUF_MAX(1 << 20);
 *     buf_printf(&b, "%s=%d", key, n);
 *     if (b.over) ...        // something did not fit: what is in it is cut
 *
 * Going over the maximum adds nothing, sets `over` (which stays set until buf_reset) and returns
 * -1, so that a long series of additions is checked once at its end.
 */
#ifndef HULL_BASE_BUF_H
#define HULL_BASE_BUF_H

#include <stdarg.h>

#include "base/defs.h"

struct buf {
    char *p; /* NULL while nothing was added; use buf_cstr() for a string that is never NULL */
    size_t n, cap; /* bytes in use; bytes allocated, the terminator included */
    size_t max;    /* n never exceeds it */
    bool over;
};

#define BUF_MAX(maximum) \
    {                    \
        .max = (maximum) \
    }

/** Free the bytes. The buffer is empty and usable afterwards. */
void buf_done(struct buf *b);
#define auto_buf CLEANUP(buf_done)

/** Forget the content, keep the memory, clear `over`. */
void buf_reset(struct buf *b);

/** Make room for n more bytes; returns where they go (not yet counted), or NULL over the maximum.
 * See buf_commit. */
char *buf_reserve(struct buf *b, size_t n);

/** Count n bytes that were written at the place buf_reserve returned. */
void buf_commit(struct buf *b, size_t n);

/** Add bytes. 0, or -1 over the maximum. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/** Drop the first n bytes (at most all). */
void buf_consume(struct buf *b, size_t n);

/** Move the string out: the caller frees it; never NULL. The buffer is empty afterwards. */
char *buf_take(struct buf *b) __attribute__((returns_nonnull));

/** The content as a string, "" when empty. Borrowed. */
const char *buf_cstr(const struct buf *b) __attribute__((returns_nonnull));

#endif
