/**
 * One layer: its bytes into a directory of its own, and mending it over the layers below. Private
 * to the room; see DESIGN "Images" for the rules.
 */
#ifndef HULL_STORE_LAYER_H
#define HULL_STORE_LAYER_H

#include "store/snapshot.h"
#include "store/state.h"
#include "sys/job.h"
#include "types/unpack_job.h"

/* A layer that is being applied. */
struct layer_work {
    struct job_opts opts;
    struct job job;
    struct buf doc;
    int root_fd, input_fd; /* ours */
    int fds[2];
};

/** Start hull-unpack on a directory (taken over). input_fd is borrowed; follow: it still grows,
 * tell with layer_tell. */
int layer_start(struct store *s, struct layer_work *w, int root_fd, int input_fd, bool follow,
                int cancel_fd, struct err *e);
/** Bytes 0..size of the input are there; end: that is all. */
void layer_tell(struct layer_work *w, int64_t size, bool end);
/** Wait for it. */
int layer_finish(struct layer_work *w, struct arena *a, struct unpack_result *out, struct err *e);
/** Free; stops what still runs. */
void layer_done(struct layer_work *w);

/** Apply a whole file to an overlay mount, whose options are those of snapshot_mounts. */
int layer_apply_merged(struct store *s, const struct mount_spec *m, int input_fd, int cancel_fd,
                       struct arena *a, struct unpack_result *out, struct err *e);

/**
 * Mend the applied snapshot `key` (without parent) for standing on `parent`: implied directories
 * take what the nearest lower layer has, opaque ones get their mark. 1: it must be applied again on
 * the merged view.
 */
int layer_mend(struct store *s, const struct scope *sc, const char *key, const char *parent,
               const struct unpack_result *applied, struct err *e);

/** The overlay's opaque directories below fd. */
int layer_opaque_dirs(int fd, struct arena *a, struct strv *out, struct err *e);

/** INVALID `wrong diff id calculated on extraction "x"` unless it is the expected one. */
int layer_check_diff_id(const char *expected, const struct unpack_result *r, struct err *e);

#endif
