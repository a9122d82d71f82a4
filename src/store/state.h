/**
 * What the store's modules share. Private to the room.
 */
#ifndef HULL_STORE_STATE_H
#define HULL_STORE_STATE_H

#include <stdatomic.h>

#include "base/list.h"
#include "store/db.h"
#include "store/store.h"

struct store {
    struct store_opts opts; /* strings are ours */
    char *root;
    int root_fd, blobs_fd, ingest_fd, snapshots_fd, trash_fd;
    struct db db;
    /* A blob's file and its row change together under this lock; the order is blobs, then db. */
    pthread_mutex_t blobs;
    pthread_mutex_t lock;    /* guards what follows */
    struct map open_refs;    /* "NS/REF" of open writers: struct content_writer * */
    struct list in_flight;   /* work that a second caller waits for: see flight.h */
    struct strv dead_leases; /* "NS\nID": the database could not be told yet */
    struct map fresh;        /* made without a lease, by the collector's keys: see gc.c */
    bool stopping, gc_wanted;
    pthread_cond_t wake; /* the collector's: it is no request thread */
    pthread_t gc_thread;
    bool has_gc_thread;
    pthread_mutex_t sync_lock; /* guards the sync counters */
    uint64_t sync_begun, sync_done;
    pthread_mutex_t emptying; /* one at a time empties the trash; who waits finds the rest */
    atomic_ullong trash_next; /* names there */
};

/** Tell who listens. */
void store_emit(struct store *s, const struct store_event *ev);

/** The namespace of a call, checked: PRECONDITION `namespace is required: failed precondition`. */
int scope_check(const struct scope *sc, struct err *e);

/** Within t: give the object to the call's lease, or, if it has none, spare it for a while.
 * NOT_FOUND when the lease is gone. */
int scope_hold(struct store *s, struct tx *t, const struct scope *sc, const char *type,
               const char *id, struct err *e);

/** Within t: the namespace exists from now on. */
int ns_touch(struct tx *t, const char *ns, struct err *e);

/** Everything written so far to the store's file system is on disk. Callers share one sync. */
int store_sync(struct store *s, struct err *e);

/** The object was just made and nothing may refer to it yet: the collector's thread leaves it alone
 * for a while. resource: as in leases. */
void gc_spare(struct store *s, const char *ns, const char *resource, const char *id);

/** The collector's thread: see gc.c. */
void *gc_main(void *store);

/** Put the files of those blobs that have no row any more into the trash. */
void blob_discard_orphans(struct store *s, const struct strv *digests);

/** Put snapshot directories whose rows are gone into the trash. */
void snapshot_discard(struct store *s, const int64_t *ids, size_t n);

/** True when label is over: an RFC 3339 time in the past. */
bool label_expired(const struct strmap *labels, int64_t now_ns);

/** The ids of a committed snapshot and of all below it, topmost first. NOT_FOUND. */
int snapshot_lineage(struct store *s, const struct scope *sc, const char *name, struct arena *a,
                     struct i64v *out, struct err *e);

/** Remove the files of an active snapshot, not its row. */
void snapshot_empty(struct store *s, const struct scope *sc, const char *key);

#endif
