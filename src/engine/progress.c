#include "engine/progress.h"

enum { LINE_MAX_BYTES = 64 << 10 };

int progress_write(const struct sink *sink, const struct progress_line *l, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(LINE_MAX_BYTES);

    json_write(&progress_line_json, l, &b);
    buf_adds(&b, "\r\n");
    return sink->write(sink->arg, b.p, b.n, e);
}

void progress_fail(const struct sink *sink, const struct err *why)
{
    struct progress_error detail = {.message = why->msg};
    struct progress_line l = {.error_detail = &detail, .error = why->msg};
    struct err ignored = {0};

    (void)progress_write(sink, &l, &ignored); /* who does not listen any more does not miss it */
}
