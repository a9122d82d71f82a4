/** Threads with a small stack: two thousand of them are no burden. */
#ifndef HULL_SYS_THREAD_H
#define HULL_SYS_THREAD_H

#include <pthread.h>

#include "base/defs.h"

/* Bytes of stack. A sanitizer's frames are several times larger. */
enum {
#if HULL_ASAN || defined(__SANITIZE_THREAD__)
    THREAD_STACK = 1 << 20,
#else
    THREAD_STACK = 256 << 10,
#endif
    THREAD_STACK_LARGE = 1 << 20, /* for what calls deep into libraries */
};

/** Start a thread. *out is to be joined; NULL: it is detached. 0 or -errno. */
int thread_start(pthread_t *out, size_t stack_bytes, void *(*run)(void *), void *arg);

#endif
