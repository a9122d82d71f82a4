/**
 * Snapshots: layers and containers' upper directories on overlayfs. The only snapshotter is
 * "overlayfs"; the functions take its name because callers send it.
 *
 * Source: containerd snapshots/v1 and its overlay snapshotter.
 */
#ifndef HULL_STORE_SNAPSHOT_H
#define HULL_STORE_SNAPSHOT_H

#include "store/store.h"

#define SNAPSHOTTER "overlayfs"

enum snapshot_kind { SNAPSHOT_UNKNOWN, SNAPSHOT_VIEW, SNAPSHOT_ACTIVE, SNAPSHOT_COMMITTED };

struct snapshot_info {
    const char *name, *parent;
    enum snapshot_kind kind;
    int64_t created_ns, updated_ns;
    struct strmap labels;
};

/* A mount as mount(2) or a shim wants it. */
struct mount_spec {
    const char *type, *source, *target;
    struct strv options;
};

/** INVALID `snapshotter not loaded: x: invalid argument` for any name but SNAPSHOTTER ("" is fine).
 */
int snapshotter_check(const char *snapshotter, struct err *e);

/** NOT_FOUND `snapshot x does not exist: not found`. */
int snapshot_stat(struct store *s, const struct scope *sc, const char *key, struct arena *a,
                  struct snapshot_info *out, struct err *e);

/** Filters: kind, name, parent, labels.X. */
int snapshot_list(struct store *s, const struct scope *sc, const struct strv *filters,
                  struct arena *a, struct snapshot_info **out, size_t *out_n, struct err *e);

/** Only labels can change; see store/mask.h. */
int snapshot_update(struct store *s, const struct scope *sc, const char *key,
                    const struct strmap *labels, const struct strv *mask, struct arena *a,
                    struct snapshot_info *out, struct err *e);

/**
 * A new writable (ACTIVE) or read-only (VIEW) snapshot on a committed parent ("" for none).
 *
 * out_mounts  one mount; may be NULL.
 *
 * Errors: EXISTS `snapshot "x": already exists`, NOT_FOUND `parent snapshot p does not exist: not
 * found`, INVALID (parent not committed).
 */
int snapshot_prepare(struct store *s, const struct scope *sc, enum snapshot_kind kind,
                     const char *key, const char *parent, const struct strmap *labels,
                     struct arena *a, struct mount_spec *out_mounts, struct err *e);

/** The mount of an active snapshot or a view. */
int snapshot_mounts(struct store *s, const struct scope *sc, const char *key, struct arena *a,
                    struct mount_spec *out, struct err *e);

/**
 * Make an active snapshot a layer with a name of its own. Its files are synced before the row.
 *
 * parent  give a snapshot without parent this one ("" or NULL: leave it). Such a snapshot must hold
 *         what an unpacker made of one layer.
 *
 * Errors: EXISTS, NOT_FOUND, PRECONDITION.
 */
int snapshot_commit(struct store *s, const struct scope *sc, const char *name, const char *key,
                    const char *parent, const struct strmap *labels, struct err *e);

/** PRECONDITION `failed to remove "x": cannot remove snapshot with child: failed precondition`. */
int snapshot_remove(struct store *s, const struct scope *sc, const char *key, struct err *e);

/** Allocated bytes and inodes of the snapshot's own directory. */
int snapshot_usage(struct store *s, const struct scope *sc, const char *key, int64_t *out_bytes,
                   int64_t *out_inodes, struct err *e);

/** The snapshot's directory (O_DIRECTORY): fs of an active or committed one. */
int snapshot_open_dir(struct store *s, const struct scope *sc, const char *key, struct err *e);

#endif
