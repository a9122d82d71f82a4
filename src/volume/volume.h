/**
 * Volumes of the local driver: directories below DATA/volumes/NAME/_data, with or without a file
 * system mounted on them.
 *
 * The room keeps them in memory and gives every change to the engine's database through struct
 * volume_store, row first, directory second; removing marks the row before it touches the
 * directory, so that a crash in between is finished at the next start. Who uses a volume is told by
 * the engine (volume_ref for each container that names it, also stopped ones).
 *
 * Thread-safe. Facts: Docker Engine API, volumes; behaviour section 16.
 */
#ifndef HULL_VOLUME_VOLUME_H
#define HULL_VOLUME_VOLUME_H

#include <sys/types.h>

#include "base/json.h"

#define VOLUME_ANONYMOUS_LABEL "com.docker.volume.anonymous"

/* What is kept of a volume. removing: the directory is on its way out. */
#define VOLUME_DOC(T, F)                   \
    F(T, str, name, "Name", 0)             \
    F(T, str, driver, "Driver", 0)         \
    F(T, str, mountpoint, "Mountpoint", 0) \
    F(T, time, created_ns, "CreatedAt", 0) \
    F(T, map, labels, "Labels", 0)         \
    F(T, map, options, "Options", 0)       \
    F(T, bool, removing, "Removing", JSON_OMITEMPTY)
JSON_TYPE(volume_doc, VOLUME_DOC)

/** Implemented by the engine over its database; both durable when they return. doc is borrowed. */
struct volume_store {
    void *arg;
    int (*put)(void *arg, const struct volume_doc *doc, struct err *e);
    int (*del)(void *arg, const char *name, struct err *e);
};

struct volumes;

struct volumes_opts {
    const char *root; /* DATA/volumes, made if missing (0701) */
    const struct volume_store *store;
    uid_t owner_uid; /* of new volumes: root, or who root of containers is on the host */
    gid_t owner_gid;
};

/**
 * Open the volumes.
 *
 * saved, n_saved  the rows as store->put saw them, borrowed. A row whose directory is gone gets an
 * empty one; directories without a row are removed.
 */
int volumes_open(const struct volumes_opts *o, const struct volume_doc *saved, size_t n_saved,
                 struct volumes **out, struct err *e);

/** Forget the memory; what is mounted stays mounted. NULL is fine. */
void volumes_close(struct volumes *vs);

/** What a client asks for; borrowed. name "" makes an anonymous one (64 hex digits and the label).
 */
struct volume_rq {
    const char *name, *driver;
    struct strmap options, labels;
};

/**
 * Create, or give the existing one of that name (its options are ignored, as in Docker).
 *
 * out_new  may be NULL; true when it was made by this call (for the event).
 * Errors: INVALID (name, option), NOT_FOUND (driver), CONFLICT (other driver).
 */
int volume_create(struct volumes *vs, const struct volume_rq *rq, struct arena *a,
                  struct volume_doc *out, bool *out_new, struct err *e);

/** Copy of one volume's document; NOT_FOUND: "get x: no such volume". */
int volume_get(struct volumes *vs, const char *name, struct arena *a, struct volume_doc *out,
               struct err *e);

/** One row of a list. */
struct volume_row {
    struct volume_doc doc;
    int64_t refs; /* containers that use it, stopped ones included */
};

/** All volumes sorted by name, in arena. Filters (dangling: refs == 0, driver, label, name) are the
 * caller's. */
void volumes_list(struct volumes *vs, struct arena *a, struct volume_row **out, size_t *out_n);

/**
 * Remove. force: a missing volume is no error.
 * Errors: NOT_FOUND "get x: no such volume"; CONFLICT "remove x: volume is in use - [ids]".
 */
int volume_remove(struct volumes *vs, const char *name, bool force, struct err *e);

/** A container (by id) uses the volume from now on, also while stopped. Twice is once. NOT_FOUND.
 */
int volume_ref(struct volumes *vs, const char *name, const char *container_id, struct err *e);
/** The opposite; unknown names and ids are fine. */
void volume_unref(struct volumes *vs, const char *name, const char *container_id);
/** Ids of the containers that use it, in arena. */
struct strv volume_users(struct volumes *vs, const char *name, struct arena *a);

/**
 * Make the volume ready for a container: the first one mounts the file system of its options.
 * out_path  the directory to bind into the container, in arena. Twice by the same container is
 * once.
 */
int volume_mount(struct volumes *vs, const char *name, const char *container_id, struct arena *a,
                 const char **out_path, struct err *e);
/** The opposite: the last one unmounts. */
int volume_unmount(struct volumes *vs, const char *name, const char *container_id, struct err *e);

/** True when the directory holds nothing: the condition for copying the image's content up. */
int volume_is_empty(struct volumes *vs, const char *name, bool *out, struct err *e);

/** Allocated bytes below the directory, each inode once. Walks the tree: slow. */
int volume_usage(struct volumes *vs, const char *name, int64_t *out_bytes, struct err *e);

/** True when the label of anonymous volumes is set: removed with its container. */
bool volume_is_anonymous(const struct volume_doc *v);

#endif
