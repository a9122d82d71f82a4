/* Logging: see log.h. */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/time.h"

static int log_fd = 2;
static _Atomic int log_min = LOG_INFO;

static const char *const names[] = {"debug", "info", "warning", "error"};

void log_init(int fd, enum log_level min)
{
    log_fd = fd;
    atomic_store(&log_min, (int)min);
}

bool log_level_parse(const char *name, enum log_level *out)
{
    static const struct {
        const char *name;
        enum log_level level;
    } words[] = {{"trace", LOG_DEBUG}, {"debug", LOG_DEBUG},  {"info", LOG_INFO},
                 {"warn", LOG_WARN},   {"warning", LOG_WARN}, {"error", LOG_ERROR},
                 {"fatal", LOG_ERROR}, {"panic", LOG_ERROR}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].name, name) == 0) {
            *out = words[i].level;
            return true;
        }
    return false;
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_min, memory_order_relaxed);
}

static bool plain(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return true;
}

static void add_value(struct buf *b, const char *s)
{
    if (plain(s)) {
        buf_adds(b, s);
        return;
    }
    buf_addc(b, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c == '\n')
            buf_adds(b, "\\n");
        else if (c < ' ' || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else
            buf_addc(b, (char)c);
    }
    buf_addc(b, '"');
}

void log_at(enum log_level level, const char *msg, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    auto_buf struct buf b = BUF_MAX(16384);
    char when[TIME_TEXT_MAX];
    time_format_fixed(time_now_ns(), when);
    buf_printf(&b, "time=\"%s\" level=%s msg=", when, names[level]);
    add_value(&b, msg);
    va_list ap;
    va_start(ap, msg);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        const char *val = va_arg(ap, const char *);
        buf_printf(&b, " %s=", key);
        add_value(&b, val != NULL ? val : "");
    }
    va_end(ap);
    buf_addc(&b, '\n');
    /* nothing useful can be done about a log that cannot be written */
    if (write(log_fd, buf_cstr(&b), b.n) < 0)
        errno = saved;
    errno = saved;
}
