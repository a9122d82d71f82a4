/* Error texts inside of streams that have begun. */
#include "api/stdcopy.h"

#include <arpa/inet.h>

void stdcopy_error(const struct sink *sink, enum stdcopy_stream to, const char *fmt, ...)
{
    auto_buf struct buf text = BUF_MAX(8u << 10), frame = BUF_MAX(9u << 10);
    struct err ignored;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (to != STDCOPY_RAW) {
        uint32_t len = htonl((uint32_t)text.n);
        buf_add(&frame, (const char[]){(char)to, 0, 0, 0}, 4);
        buf_add(&frame, &len, sizeof(len));
    }
    buf_add(&frame, buf_cstr(&text), text.n);
    (void)sink->write(sink->arg, frame.p, frame.n, &ignored); /* nobody is left to tell */
}

static int stream_sink_write(void *arg, const void *p, size_t n, struct err *e)
{
    return stream_write(arg, p, n, e);
}

struct sink stdcopy_stream_sink(struct stream *s)
{
    return (struct sink){.write = stream_sink_write, .arg = s};
}
