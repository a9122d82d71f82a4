/**
 * The files of one rotated log: name (the newest), name.1, name.2 …, or name.1.gz and so on. They
 * are renamed and compressed by another process at any moment; files are known by their inode (a
 * compressed one says which file it was), and every answer is checked against a second look.
 */
#ifndef HULL_STDIO_JSONLOG_FILES_H
#define HULL_STDIO_JSONLOG_FILES_H

#include "base/err.h"
#include "base/vec.h"

struct jsonlog_file {
    int fd; /* its records; -1: of a compressed one that nobody has asked for */
    int gz; /* -1: not compressed */
};
#define JSONLOG_FILE_NONE ((struct jsonlog_file){-1, -1})

struct jsonlog_files {
    VEC(struct jsonlog_file) v; /* oldest first; owned */
};

/** "path", "path.1", "path.1.gz"; the caller frees it. */
char *jsonlog_file_name(const char *path, int64_t number, bool gz) __attribute__((returns_nonnull));

/** Open all files there are. None is no error. */
int jsonlog_files_open(const char *path, struct jsonlog_files *out, struct err *e);

/** Close what is open. */
void jsonlog_files_close(struct jsonlog_files *f);

void jsonlog_file_close(struct jsonlog_file *f);

/**
 * The descriptor of a file's records. A compressed file of the log at path becomes a nameless
 * uncompressed one beside it first.
 */
int jsonlog_file_fd(const char *path, struct jsonlog_file *f, struct err *e);

/**
 * The file that follows f. Returns 1 (out; the caller closes it), or 0: f is the newest, or the
 * next one is not there yet.
 */
int jsonlog_files_next(const char *path, const struct jsonlog_file *f, struct jsonlog_file *out,
                       struct err *e);

/** Where the last n records of the files of the log at path begin: the index of the file and the
 * offset in it. */
int jsonlog_files_tail(const char *path, struct jsonlog_files *f, int64_t n, size_t *out_index,
                       int64_t *out_off, struct err *e);

#endif
