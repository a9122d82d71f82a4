/**
 * Lower directories of an overlay, seen with the ids of a user namespace: layers stay as they were
 * unpacked, and one id-mapped mount of the folder that holds them all stands in their place while
 * the overlay is mounted (which keeps what it needs of it).
 */
#ifndef HULL_SYS_OVERLAY_H
#define HULL_SYS_OVERLAY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/** The folder that all of "A:B:C" lie in, with its last slash; empty when there is none. A view. */
struct str overlay_folder(struct str lower);

/** Append "A:B:C" with the folder in front of each (overlay_folder) replaced by `to`. */
void overlay_rebase(struct str lower, struct str folder, const char *to, struct buf *out);

/**
 * Mount folder on the directory place, with the ids that it has on disk being those inside the user
 * namespace. What is mounted below folder is not shown. readonly: for layers, which nobody is to
 * change (or to remove, should the mount be left) through it.
 *
 * Errors: UNIMPLEMENTED where kernel or file system cannot (Linux 5.12; overlay on it 5.19).
 */
int overlay_show_mapped(const char *folder, const char *place, int userns_fd, bool readonly,
                        struct err *e);

#endif
