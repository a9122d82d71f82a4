/**
 * A path in a container's root as Docker's archive endpoints see it. Source: Engine API, "archive"
 * calls of containers; engine behaviour observed from dockerd.
 */
#ifndef HULL_ARCHIVE_COPY_H
#define HULL_ARCHIVE_COPY_H

#include "archive/tar_out.h"
#include "types/unpack_job.h"

/** What HEAD answers. The last part of the path is not followed, unless "/" or "/." stands behind
 * it. NOT_FOUND. */
int copy_stat(int root_fd, const char *path, struct arena *a, struct path_stat *out, struct err *e);

/** What GET sends: a directory under its base name ("./" for a path that ends in "/."), else one
 * entry. name: instead of the base name; NULL: none. */
int copy_out(int root_fd, const char *path, const char *name, struct tar_out *t, struct err *e);

#endif
