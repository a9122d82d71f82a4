/** The numbers of a process's streams, as Docker's multiplexed framing has them. */
#ifndef HULL_STDIO_STREAM_H
#define HULL_STDIO_STREAM_H

#include "base/defs.h"

enum stdio_stream { STDIO_IN, STDIO_OUT, STDIO_ERR };

#endif
