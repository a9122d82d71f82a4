/** What a directory tree takes on disk. */
#ifndef HULL_SYS_USAGE_H
#define HULL_SYS_USAGE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/vec.h"

/* Directories, by inode, that are left out with all that is below them. */
struct usage_skip {
    VEC(ino_t) inodes;
};

/**
 * Allocated bytes and inodes of the tree at dir_fd (borrowed), itself included, each inode once;
 * other file systems are not entered. What goes meanwhile is left out.
 *
 * skip  may be NULL. out_inodes: may be NULL.
 */
int usage_of_tree(int dir_fd, const struct usage_skip *skip, int64_t *out_bytes,
                  int64_t *out_inodes, struct err *e);

#endif
