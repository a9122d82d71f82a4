/* The operator's log: see oplog.h. A line that cannot be delivered is lost: no reason to fail. */
#include "runtime/oplog.h"

#include <stdarg.h>
#include <stdio.h>

#include "sys/fd.h"

void oplog(const struct hullrun_log *log, enum hullrun_level level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (log == NULL || log->line == NULL || (level == HULLRUN_DEBUG && !log->debug))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log->line(log->arg, level, text);
}

static void send_line(void *arg, enum hullrun_level level, const char *msg)
{
    const int *sync = arg;
    struct sync_msg m = {.kind = SYNC_LINE, .sys = (int)level};
    int n = snprintf(m.err.msg, sizeof(m.err.msg), "%s", msg);
    size_t size = offsetof(struct sync_msg, err.msg) + MIN((size_t)n + 1, sizeof(m.err.msg));
    (void)fd_send(*sync, &m, size, NULL, 0);
}

struct hullrun_log oplog_through(const struct hullrun_log *parent, int *sync)
{
    return (struct hullrun_log){
        .line = parent->line != NULL ? send_line : NULL, .arg = sync, .debug = parent->debug};
}

void oplog_relay(const struct hullrun_log *log, const struct sync_msg *m)
{
    oplog(log, m->sys == HULLRUN_DEBUG ? HULLRUN_DEBUG : HULLRUN_WARNING, "%s", m->err.msg);
}
