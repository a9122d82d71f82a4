/** Copying files in and out of containers (docker cp), running or not, volumes included. */
#ifndef HULL_ENGINE_ARCHIVE_H
#define HULL_ENGINE_ARCHIVE_H

#include "engine/container.h"
#include "engine/engine.h"

/** X-Docker-Container-Path-Stat, base64 JSON, appended to out. NOT_FOUND. */
int archive_stat(struct container *c, const char *path, struct buf *out, struct err *e);

struct archive;
/** GET: stat header appended to out_stat, then archive_send writes the tar. */
int archive_open(struct container *c, const char *path, struct buf *out_stat, struct archive **out,
                 struct err *e);
int archive_send(struct archive *a, const struct sink *sink, int cancel_fd, struct err *e);
void archive_free(struct archive *a);

struct archive_put_opts {
    const char *path;
    bool no_overwrite_dir_non_dir, copy_uid_gid;
    /* The tar, maybe compressed: > 0 bytes at p, 0 at its end, -1 with e. */
    ssize_t (*read)(void *arg, void *p, size_t cap, struct err *e);
    void *arg;
    int cancel_fd;
};
int archive_put(struct container *c, const struct archive_put_opts *o, struct err *e);

/** GET /containers/{id}/export: the root file system as a tar. */
int container_export(struct container *c, const struct sink *sink, int cancel_fd, struct err *e);

#endif
