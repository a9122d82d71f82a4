/** Layers out of snapshots and into them. Source: service diff v1. */
#ifndef HULL_CLIENT_DIFF_H
#define HULL_CLIENT_DIFF_H

#include "client/snapshots.h"
#include "types/oci_descriptor.h"

/**
 * What `upper` has over `lower` as a gzip layer in the content store, held by the lease.
 *
 * out          its descriptor, in the arena.
 * out_diff_id  digest of the uncompressed tar, in the arena.
 */
int ctd_diff(struct ctd *c, const struct ctd_mounts *lower, const struct ctd_mounts *upper,
             const char *lease, int cancel_fd, struct arena *a, struct oci_descriptor *out,
             const char **out_diff_id, struct err *e);

/** Apply a layer of the content store to the mounts of an active snapshot. */
int ctd_apply(struct ctd *c, const struct oci_descriptor *layer, const struct ctd_mounts *mounts,
              const char *lease, int cancel_fd, struct err *e);

#endif
