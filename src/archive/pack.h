/** A directory tree as a tar: whole (export, cp), or an overlay upper directory as a layer. */
#ifndef HULL_ARCHIVE_PACK_H
#define HULL_ARCHIVE_PACK_H

#include "archive/tar_out.h"
#include "base/vec.h"

struct pack_opts {
    const char *prefix; /* the name of the tree in the tar: "" (names as they are), "dir", "." */
    bool layer;         /* 0:0 nodes become whiteouts */
    const struct strv *opaque; /* layer: paths of opaque directories; may be NULL */
};

/**
 * Write what stands at name in dir_fd: a directory with all below it (sorted by name, sockets left
 * out, hard links kept), or one file of any other type (then prefix is its name).
 */
int pack_tree(struct tar_out *t, int dir_fd, const char *name, const struct pack_opts *o,
              struct err *e);

#endif
