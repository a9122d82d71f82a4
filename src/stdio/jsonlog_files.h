/**
 * The files of one rotated log: name (the newest), name.1, name.2 … They are renamed by another
 * process at any moment; files are known by their inode, and every answer is checked against a
 * second look.
 */
#ifndef HULL_STDIO_JSONLOG_FILES_H
#define HULL_STDIO_JSONLOG_FILES_H

#include "base/err.h"
#include "base/vec.h"

struct jsonlog_files {
    VEC(int) fds; /* oldest first; owned */
};

/** Open all files there are. None is no error. */
int jsonlog_files_open(const char *path, struct jsonlog_files *out, struct err *e);

/** Close what is open. */
void jsonlog_files_close(struct jsonlog_files *f);

/**
 * The file that follows fd. Returns 1 (out_fd; the caller closes it), or 0: fd is the newest, or
 * the next one is not there yet.
 */
int jsonlog_files_next(const char *path, int fd, int *out_fd, struct err *e);

/** Where the last n records of a set of files begin: the index of the file and the offset in it. */
int jsonlog_files_tail(const struct jsonlog_files *f, int64_t n, size_t *out_index,
                       int64_t *out_off, struct err *e);

#endif
