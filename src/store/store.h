/**
 * The store of hull-containerd: one SQLite database for what exists, files beside it for the bytes.
 *
 *     ROOT/meta.db          every object; a file below exists only if a row said so first
 *     ROOT/blobs/sha256/HEX content, read-only
 *     ROOT/ingest/N         content that is being written
 *     ROOT/snapshots/N/fs   a layer or a container's upper directory; beside it `work`
 *     ROOT/trash            what has lost its row: see trash.h
 *
 * All functions of the room may be called from any thread; none holds the database's lock across
 * I/O on files. Strings in results live in the arena that the caller passes. Errors carry
 * containerd's texts with their class behind ("image \"x\": not found").
 */
#ifndef HULL_STORE_STORE_H
#define HULL_STORE_STORE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

struct store;

/* What an event is about; fields that do not apply are NULL. */
struct store_event {
    const char *ns, *topic;
    const char *name;            /* image, namespace or container; snapshot key; content digest */
    const char *parent;          /* /snapshot/prepare */
    const char *committed;       /* /snapshot/commit: the new name */
    const char *snapshotter;     /* /snapshot/… */
    const char *image, *runtime; /* /containers/… */
    const char *snapshot_key;    /* /containers/update */
    int64_t size;                /* /content/create */
    const struct strmap *labels; /* images, namespaces, containers */
};

struct store_opts {
    const char *root;        /* absolute; made with mode 0700 */
    const char *unpack_path; /* absolute path of hull-unpack */
    bool no_gc_thread;       /* tests: only store_gc collects */
    /** Called after something changed (from the thread that changed it, no lock held); may be NULL.
     * topic as in containerd's events ("/images/create", "/snapshot/prepare", "/content/delete").
     */
    void (*event)(void *arg, const struct store_event *ev);
    void *event_arg;
};

/* Whose call it is. ns is required; lease ("" or NULL: none) gets every object the call makes. */
struct scope {
    const char *ns, *lease;
};

/**
 * Open the store, make it when it is new, and remove what no row owns: blobs, ingests and snapshot
 * directories left by a crash. Errors: UNAVAILABLE (another process has it), INVALID (made by a
 * newer version).
 */
int store_open(const struct store_opts *o, struct store **out, struct err *e);

/** Wait for the collector to stop and close. NULL is fine. */
void store_close(struct store *s);

/** Collect garbage now and wait for it, files included. */
int store_gc(struct store *s, struct err *e);

/** Have garbage collected soon, in the background. */
void store_gc_soon(struct store *s);

/** Identifier rules of containerd for namespaces, containers and leases: INVALID `what: identifier
 * "x" must match …: invalid argument`. */
int store_check_id(const char *what, const char *id, struct err *e);

/** Label rules: key and value at most 4096 bytes together. */
int store_check_labels(const struct strmap *labels, struct err *e);

/* ---- namespaces ---- */

struct ns_info {
    const char *name;
    struct strmap labels;
};

/** Never NOT_FOUND: an unknown namespace has no labels. */
int ns_get(struct store *s, const char *name, struct arena *a, struct ns_info *out, struct err *e);
int ns_list(struct store *s, struct arena *a, struct ns_info **out, size_t *out_n, struct err *e);
/** EXISTS `namespace "x": already exists`. */
int ns_create(struct store *s, const struct ns_info *n, struct err *e);
/** mask: see fields of store/mask.h; only labels can change. */
int ns_update(struct store *s, const struct ns_info *n, const struct strv *mask, struct arena *a,
              struct ns_info *out, struct err *e);
/** PRECONDITION `namespace "x" must be empty, but it still has images, …`. */
int ns_delete(struct store *s, const char *name, struct err *e);

#endif
