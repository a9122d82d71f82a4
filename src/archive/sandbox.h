/** How hull-unpack gives up everything that its job does not need, before it reads a byte of input.
 */
#ifndef HULL_ARCHIVE_SANDBOX_H
#define HULL_ARCHIVE_SANDBOX_H

#include "base/err.h"

/**
 * Make root_fd the root and the working directory of this process (-1: a place without files), keep
 * only the capabilities that writing files of any owner needs, allow only the system calls of
 * files, and limit memory and file sizes (0: no limit on these).
 */
int sandbox_enter(int root_fd, int64_t max_file_bytes, struct err *e);

#endif
