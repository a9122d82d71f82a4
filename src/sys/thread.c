/* Threads: see thread.h. */
#include "sys/thread.h"

int thread_start(pthread_t *out, size_t stack_bytes, void *(*run)(void *), void *arg)
{
    pthread_t detached;
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, stack_bytes);
    if (out == NULL)
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(out != NULL ? out : &detached, &attr, run, arg);
    (void)pthread_attr_destroy(&attr);
    return -r;
}
