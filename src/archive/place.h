/** Making one file of any type at a place: a directory descriptor and a name without slashes. */
#ifndef HULL_ARCHIVE_PLACE_H
#define HULL_ARCHIVE_PLACE_H

#include "archive/filler.h"
#include "archive/tar_in.h"

struct place {
    int dir_fd;
    const char *name;
    const char *path; /* to it, for errors that come later */
};

struct owner {
    bool given;
    int64_t uid, gid;
};

/** Remove what is there, unless both it and what is to come are directories. 1: a directory stays.
 */
int place_clear(const struct place *p, bool dir_comes, struct err *e);

struct placer {
    struct tar_in in;
    struct filler *filler; /* NULL: files are filled at once */
    struct owner owner;
    int64_t max_bytes; /* of a file */
};

/**
 * Make the current entry of pl->in (not a hard link) with data, owner, mode, extended attributes
 * and, except for directories, its time; the filler may still have to do these when this returns.
 * The place must be clear; a directory may be there. trusted.* and user.overlay.* attributes are
 * dropped.
 */
int place_entry(struct placer *pl, const struct place *p, struct archive_entry *ent, struct err *e);

/** The modification time of the entry, for directories once they are full. */
struct timespec place_mtime(struct archive_entry *ent);

#endif
