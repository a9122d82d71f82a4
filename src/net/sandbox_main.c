/*
 * hull-sandbox: makes the user namespace of a container and the network namespace that belongs to
 * it, waits until hulld has opened both, and ends. Only a program with one thread may enter a user
 * namespace.
 */
#include "sys/job.h"
#include "sys/userns.h"

int main(void)
{
    struct err e = {0};
    int r = userns_serve(&e);
    if (r < 0)
        job_fail(&e);
    return r < 0 ? 1 : 0;
}
