/**
 * One entry of mounts[], between the files that mount its kinds. Inside of src/runtime only.
 */
#ifndef HULL_RUNTIME_MOUNTING_H
#define HULL_RUNTIME_MOUNTING_H

#include "runtime/rootfs.h"
#include "sys/mounts.h"

struct mounting {
    struct rootfs *r;
    const struct oci_mount *m;
    const char *dest; /* the destination as the container names it */
    struct mount_options o;
};

/** Open (making it when missing) the place to mount on and check that this may be mounted there;
 * source: of a bind, else -1. *out_made, if given: it was not there before. */
int mounting_target(struct mounting *g, bool dir, int source, bool *out_made, struct err *e);

/** Put it there; then propagation and recursive attributes. */
int mounting_attach(struct mounting *g, int mnt, int target, struct err *e);

/** A bind mount, id-mapped or not (bind.c). */
int mounting_bind(struct mounting *g, struct err *e);

/** Copy the tree at one directory into another: tmpcopyup (copy_up.c). */
int mounting_copy_up(int from, int to, struct err *e);

#endif
