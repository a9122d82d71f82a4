/**
 * Network namespaces: made and entered only by short-lived threads of their own (namespaces are per
 * thread), held by a descriptor and, when they must outlive us, by a file that they are mounted on.
 */
#ifndef HULL_SYS_NETNS_H
#define HULL_SYS_NETNS_H

#include "base/err.h"
#include "sys/netlink.h"
#include "sys/userns.h"

/** A namespace that we hold open. */
struct netns {
    int fd;        /* the namespace */
    struct nl *nl; /* route netlink inside it */
    int user_fd;   /* the user namespace that it belongs to; -1: ours, or not known */
};

#define NETNS_NONE                          \
    {                                       \
        .fd = -1, .nl = NULL, .user_fd = -1 \
    }

/** A new namespace with loopback up; IPv6 is off on links to come (netns_ipv6 turns it on). It
 * lives while it is held. */
int netns_new(struct netns *out, struct err *e);

/** One that belongs to another user namespace (rq->net set), which root of that one may configure.
 */
int netns_new_in(const struct userns_rq *rq, struct netns *out, struct err *e);

/** Open one that has a file. NOT_FOUND: the file is not there or holds no namespace. */
int netns_open(const char *path, struct netns *out, struct err *e);

/** Let go. A namespace with a file or with processes lives on. */
void netns_done(struct netns *ns);
#define auto_netns CLEANUP(netns_done)

/** Mount the namespace on a new file, so that it can be joined by path and outlives us. EXISTS. */
int netns_name(const struct netns *ns, const char *path, struct err *e);
/** The same with the user namespace that it belongs to. */
int netns_name_user(const struct netns *ns, const char *path, struct err *e);

/** Unmount and delete the file; one that is gone is no error. */
int netns_unname(const char *path, struct err *e);

/** Run fn in the namespace of ns_fd on a thread of its own, and wait for it. fn must not call exit,
 * spawn or take locks of ours. */
typedef int netns_fn(void *arg, struct err *e);
int netns_run(int ns_fd, netns_fn *fn, void *arg, struct err *e);

/** Write a sysctl of the namespace: name "net/ipv6/conf/eth0/disable_ipv6". */
int netns_sysctl(int ns_fd, const char *name, const char *value, struct err *e);

/** Namespaces made ahead of time by one background thread, so that taking one costs nothing. */
struct netns_pool;
/** size: how many are kept ready; 0 makes each when it is asked for. in: where they belong,
 * borrowed for the pool's life; NULL: to our user namespace. */
struct netns_pool *netns_pool_new(size_t size, const struct userns_rq *in)
    __attribute__((returns_nonnull));
/** One that nobody used before; makes it when none is ready. */
int netns_pool_take(struct netns_pool *p, struct netns *out, struct err *e);
void netns_pool_free(struct netns_pool *p);

#endif
