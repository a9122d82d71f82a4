/**
 * Filling files beside their making: a thread of its own writes what small files hold and gives
 * them owner, mode and time, while the next ones are read and created.
 */
#ifndef HULL_ARCHIVE_FILLER_H
#define HULL_ARCHIVE_FILLER_H

#include <sys/stat.h>

#include "base/err.h"

struct filler;

enum { FILLING_MAX = 1 << 20 }; /* bytes of a file that is filled here */

/** A new file, and all that is to become of it. */
struct filling {
    int fd;     /* open for writing */
    char *path; /* for errors */
    char *data; /* the whole file */
    size_t n;   /* at most FILLING_MAX */
    uid_t uid;
    gid_t gid;
    mode_t mode; /* permissions */
    struct timespec mtime;
};

/** Begin; the thread starts at once. INTERNAL: no thread. */
int filler_new(struct filler **out, struct err *e);

/** Have a file filled. What *what owns is the filler's now; waits while much is under way. */
void filler_put(struct filler *f, const struct filling *what);

/** -1 with the error of the first file that failed so far. */
int filler_check(struct filler *f, struct err *e);

/** Wait until all is done; as filler_check. */
int filler_finish(struct filler *f, struct err *e);

/** Stop; what was not begun stays undone. NULL is fine. */
void filler_free(struct filler *f);

#endif
