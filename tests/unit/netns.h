/** For tests that touch links, rules or sysctls: they run in a network namespace of their own, and
 * are skipped without the right to make one. */
#ifndef HULL_TESTS_UNIT_NETNS_H
#define HULL_TESTS_UNIT_NETNS_H

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>

#include "sys/netlink.h"

/** True when the whole program (which has one thread) is now in new network and mount namespaces,
 * loopback up. */
static inline bool in_own_netns(void)
{
    struct err err;
    struct nl *host;
    bool ok;

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    if (nl_open(&host, &err) < 0)
        return false;
    ok = nl_link_up(host, 1, &err) == 0;
    nl_close(host);
    return ok;
}

#endif
