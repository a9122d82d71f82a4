/** Snapshots of containerd: the writable layers of containers and read-only views of images. */
#ifndef HULL_CLIENT_SNAPSHOTS_H
#define HULL_CLIENT_SNAPSHOTS_H

#include "base/json.h"
#include "client/ctd.h"
#include "proto/types.pb-c.h"

/* Mounts as containerd gives them; passed on to Tasks.Create as they are. */
struct ctd_mounts {
    Types__Mount **v;
    size_t n;
};

/**
 * A new writable snapshot on top of parent ("" or NULL: empty). It carries the label that keeps it
 * from being collected until ctd_snapshot_remove.
 *
 * labels  more labels; may be NULL. out: may be NULL.
 * Errors: EXISTS (key is taken), NOT_FOUND (no such parent).
 */
int ctd_snapshot_prepare(struct ctd *c, const char *snapshotter, const char *key,
                         const char *parent, const struct strmap *labels, struct arena *a,
                         struct ctd_mounts *out, struct err *e);
/** The same, kept by a lease alone: what commits and views for the time of a call are made in. */
int ctd_snapshot_prepare_leased(struct ctd *c, const char *snapshotter, const char *key,
                                const char *parent, const char *lease, struct arena *a,
                                struct ctd_mounts *out, struct err *e);
/** A read-only view, kept by a lease. */
int ctd_snapshot_view(struct ctd *c, const char *snapshotter, const char *key, const char *parent,
                      const char *lease, struct arena *a, struct ctd_mounts *out, struct err *e);
/** An active snapshot becomes the layer `name`, held by the lease. EXISTS when it is there. */
int ctd_snapshot_commit(struct ctd *c, const char *snapshotter, const char *name, const char *key,
                        const char *lease, struct err *e);
int ctd_snapshot_mounts(struct ctd *c, const char *snapshotter, const char *key, struct arena *a,
                        struct ctd_mounts *out, struct err *e);
/** NOT_FOUND when there is none. */
int ctd_snapshot_remove(struct ctd *c, const char *snapshotter, const char *key, struct err *e);
/** 1 when it exists, 0 when not; out_parent (may be NULL) lives in a. */
int ctd_snapshot_stat(struct ctd *c, const char *snapshotter, const char *key, struct arena *a,
                      const char **out_parent, struct err *e);
/** Allocated bytes of the snapshot itself, without its parents. */
int ctd_snapshot_usage(struct ctd *c, const char *snapshotter, const char *key, int64_t *out_bytes,
                       struct err *e);

/* One committed or active snapshot. */
struct ctd_snapshot {
    const char *key, *parent;
    bool active;
    struct strmap labels;
};
int ctd_snapshot_list(struct ctd *c, const char *snapshotter, struct arena *a,
                      struct ctd_snapshot **out, size_t *out_n, struct err *e);

#endif
