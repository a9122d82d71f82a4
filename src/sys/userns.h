/**
 * User namespaces that a daemon has others make: the mappings as text, and descriptors of
 * namespaces that a helper made and left. (The runtime, which may fork, has its own:
 * runtime/idmap.h.)
 *
 * Source: user_namespaces(7); the text is that of containerd's labels
 * containerd.io/snapshot/uidmapping and gidmapping.
 */
#ifndef HULL_SYS_USERNS_H
#define HULL_SYS_USERNS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* Ranges of ids, each "INSIDE:OUTSIDE:COUNT", joined with commas. Borrowed. uid NULL: no mapping.
 */
struct userns_maps {
    const char *uid, *gid;
};

struct id_range {
    uint32_t inside, outside, count;
};

/** Cut the next range off: 1, 0 at the end, -1 (INVALID) when it is none. */
int id_range_next(struct str *rest, struct id_range *out, struct err *e);

/** Who root (0:0) of such a namespace is outside. INVALID when it is nobody. */
int userns_root(const struct userns_maps *m, uid_t *out_uid, gid_t *out_gid, struct err *e);

/** Where id lies outside. INVALID `Container ID 70000 cannot be mapped to a host ID`. */
int userns_to_host(const char *ranges, uint32_t id, uint32_t *out, struct err *e);

/** Write uid_map and gid_map of a process in a new user namespace; needs the right to. */
int userns_write(pid_t pid, const struct userns_maps *m, struct err *e);

/* What the helper is to make. */
struct userns_rq {
    const char *helper;      /* path of hull-sandbox */
    struct userns_maps maps; /* of a new user namespace... */
    const char *join;        /* ...or the file of one that is there; NULL: a new one */
    bool net;                /* a network namespace that belongs to it, too */
};

/* Open namespaces; -1: none. */
struct userns {
    int user_fd, net_fd;
};
#define USERNS_NONE                 \
    {                               \
        .user_fd = -1, .net_fd = -1 \
    }

/** Make them. Blocks some milliseconds; any thread. */
int userns_make(const struct userns_rq *rq, struct userns *out, struct err *e);
void userns_done(struct userns *u);
#define auto_userns CLEANUP(userns_done)

/** The helper's whole work, as a job (sys/job.h). */
int userns_serve(struct err *e);

#endif
