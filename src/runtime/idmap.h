/**
 * Id mappings: of a process in a new user namespace, and of mounts, for which the kernel wants a
 * user namespace that has them.
 */
#ifndef HULL_RUNTIME_IDMAP_H
#define HULL_RUNTIME_IDMAP_H

#include <sys/types.h>

#include "base/err.h"
#include "sys/userns.h"
#include "types/oci_runtime.h"

/* Borrowed from config.json. */
struct id_maps {
    struct id_map {
        const struct oci_id_mapping *v;
        size_t n;
    } uid, gid;
};
#define ID_MAPS(doc)                                                  \
    ((struct id_maps){{(doc)->uid_mappings.v, (doc)->uid_mappings.n}, \
                      {(doc)->gid_mappings.v, (doc)->gid_mappings.n}})

/**
 * Write uid_map and gid_map of a process in a new user namespace. An ordinary user may map its own
 * ids alone (and then nobody inside may change groups); for more newuidmap and newgidmap, which
 * know /etc/subuid and /etc/subgid, are asked.
 */
int idmap_write(pid_t pid, const struct id_maps *m, struct err *e);

/** Whether an open user namespace has exactly these mappings: 1 or 0. */
int idmap_is(int userns_fd, const struct id_maps *m, struct err *e);

/* The user namespaces of mounts, one for each mapping. */
struct idmap_cache {
    VEC(struct idmap_ns {
        struct id_maps maps;
        int fd;
    })
    known;
};

/** A user namespace with these mappings, made at first use: a descriptor that belongs to the cache,
 * or -1. The caller must be root. */
int idmap_userns(struct idmap_cache *c, const struct id_maps *m, struct err *e);

void idmap_done(struct idmap_cache *c);

/** The same from a mapping as text, for one use: the descriptor is the caller's. */
int idmap_userns_new(const struct userns_maps *m, struct err *e);

#endif
