/* Errors: see err.h. The one idea is that an error is a plain value without heap memory. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

static const int http_statuses[] = {[ERR_NONE] = 500,
#define X(name, status) [ERR_##name] = (status),
                                    ERR_KINDS(X)
#undef X
};

/* The kernel's errors in the words that Docker and runc print: libc's, begun in lower case. */
static void add_system(char *to, size_t size, int sys, const char *sep)
{
    const char *text = strerrordesc_np(sys);
    if (text == NULL)
        (void)snprintf(to, size, "%serror %d", sep, sys);
    else
        (void)snprintf(to, size, "%s%c%s", sep,
                       text[1] >= 'a' && text[0] >= 'A' && text[0] <= 'Z' ? text[0] + 'a' - 'A'
                                                                          : text[0],
                       text + 1);
}

PRINTF_LIKE(4, 0)
static int fill(struct err *e, enum err_kind kind, int sys, const char *fmt, va_list ap)
{
    e->kind = kind;
    e->sys = sys;
    int n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
    if (n < 0)
        e->msg[0] = '\0';
    if (sys != 0 && n >= 0 && (size_t)n < sizeof(e->msg))
        add_system(e->msg + n, sizeof(e->msg) - (size_t)n, sys, n > 0 ? ": " : "");
    return -1;
}

int(err_set)(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, kind, 0, fmt, ap);
    va_end(ap);
    return -1;
}

int(err_sys)(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    fill(e, ERR_INTERNAL, saved, fmt, ap);
    va_end(ap);
    errno = saved;
    return -1;
}

int(err_neg)(struct err *e, int neg_errno, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, ERR_INTERNAL, -neg_errno, fmt, ap);
    va_end(ap);
    return -1;
}

int(err_wrap)(struct err *e, const char *fmt, ...)
{
    char front[sizeof(e->msg)];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(front, sizeof(front), fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof(front) - 1);
    size_t cause = strlen(e->msg);
    size_t room = sizeof(e->msg) - 1 - cause;
    if (room < 2 + 1)
        return -1;
    len = MIN(len, room - 2);
    memmove(e->msg + len + 2, e->msg, cause + 1);
    memcpy(e->msg, front, len);
    memcpy(e->msg + len, ": ", 2);
    return -1;
}

void err_clear(struct err *e)
{
    e->kind = ERR_NONE;
    e->sys = 0;
    e->msg[0] = '\0';
}

int err_http_status(enum err_kind kind)
{
    return (size_t)kind < ARRAY_LEN(http_statuses) ? http_statuses[kind] : 500;
}

enum err_kind err_kind_of_http(int status)
{
    for (size_t i = 1; i < ARRAY_LEN(http_statuses); i++)
        if (http_statuses[i] == status && status != 500)
            return (enum err_kind)i;
    return ERR_INTERNAL;
}
