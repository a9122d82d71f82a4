/** Streams of JSON documents, one behind the other (events, stats), read one at a time. */
#ifndef HULL_CLI_LINES_H
#define HULL_CLI_LINES_H

#include "cli/cli.h"

struct lines {
    struct http_resp *resp; /* borrowed */
    struct buf pending;
    size_t seen;
};

#define LINES_OF(response)                                \
    {                                                     \
        .resp = (response), .pending = BUF_MAX(16u << 20) \
    }

/** The next line without its end: 1, 0 at the stream's end, -1. Borrowed until the next call. */
int lines_next(struct lines *l, const char **out, size_t *out_n, struct err *e);
void lines_done(struct lines *l);
#define auto_lines CLEANUP(lines_done)

#endif
