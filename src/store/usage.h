/** What a directory tree takes on disk. Private to the room. */
#ifndef HULL_STORE_USAGE_H
#define HULL_STORE_USAGE_H

#include "base/err.h"

/** Allocated bytes and inodes of the tree at dir_fd (borrowed), each inode once, mounts not
 * entered. */
int usage_of_tree(int dir_fd, int64_t *out_bytes, int64_t *out_inodes, struct err *e);

#endif
