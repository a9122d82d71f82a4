/** Making one file of any type at a place: a directory descriptor and a name without slashes. */
#ifndef HULL_ARCHIVE_PLACE_H
#define HULL_ARCHIVE_PLACE_H

#include "archive/tar_in.h"

struct place {
    int dir_fd;
    const char *name;
};

struct owner {
    bool given;
    int64_t uid, gid;
};

/** Remove what is there, unless both it and what is to come are directories. 1: a directory stays.
 */
int place_clear(const struct place *p, bool dir_comes, struct err *e);

/**
 * Make the entry (not a hard link) with data, owner, mode, extended attributes and, except for
 * directories, its time. The place must be clear; a directory may be there. trusted.* and
 * user.overlay.* attributes are dropped.
 */
int place_entry(const struct place *p, struct tar_in *t, struct archive_entry *ent,
                const struct owner *owner, int64_t max_bytes, struct err *e);

/** The modification time of the entry, for directories once they are full. */
struct timespec place_mtime(struct archive_entry *ent);

#endif
