/**
 * Docker's framing of several streams in one, as far as the API itself writes into it: its own
 * error texts. Frames: stream number, three zero bytes, length in four bytes big endian.
 */
#ifndef HULL_API_STDCOPY_H
#define HULL_API_STDCOPY_H

#include "engine/engine.h"
#include "rpc/stream.h"

enum stdcopy_stream { STDCOPY_RAW = -1, STDCOPY_IN, STDCOPY_OUT, STDCOPY_ERR, STDCOPY_SYSTEM };

/** Write a text into a stream that has begun; RAW is without a frame. What fails is lost: the
 * client has gone. */
void stdcopy_error(const struct sink *sink, enum stdcopy_stream to, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/** A sink that writes to a hijacked connection. */
struct sink stdcopy_stream_sink(struct stream *s);

#endif
