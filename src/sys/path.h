/**
 * Paths that others named are opened only here: openat2 keeps them below a root that we hold as a
 * descriptor.
 */
#ifndef HULL_SYS_PATH_H
#define HULL_SYS_PATH_H

#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

/**
 * Open path as a process chrooted to root_fd would see it: absolute paths, ".." and symbolic links
 * stay inside, magic links are refused. O_CLOEXEC is added. For paths from images, containers,
 * archives and requests. flags: as open(2), without O_CREAT (see path_create_in). The descriptor,
 * or -1 (NOT_FOUND for ENOENT and ENOTDIR).
 */
int path_open_in(int root_fd, const char *path, int flags, struct err *e);

/** As path_open_in with O_CREAT and mode for a new file. */
int path_create_in(int root_fd, const char *path, int flags, mode_t mode, struct err *e);

/**
 * mkdir -p inside a root, following links as path_open_in does; new directories get mode. Returns a
 * descriptor (O_PATH | O_DIRECTORY) of the last one, or -1.
 */
int path_mkdirs_in(int root_fd, const char *path, mode_t mode, struct err *e);

/**
 * Open a file inside a root for reading, making it (mode) and its directories (0755) when missing.
 * Links are followed as in path_open_in, also those whose target is not there yet.
 */
int path_make_file_in(int root_fd, const char *path, mode_t mode, struct err *e);

/** Open below dir_fd in our own store: no links at all, nothing outside. flags and mode as open(2);
 * O_CLOEXEC added. */
int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, struct err *e);

/** openat2 itself: the descriptor or -errno; EAGAIN is retried a few times. */
int path_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

/** mkdir -p for paths of our own (configuration, state); existing directories keep their mode. */
int path_mkdirs(const char *path, mode_t mode, struct err *e);

/** Read a whole file (relative to dir_fd, or AT_FDCWD) into out; TOO_LARGE past out->max, NOT_FOUND
 * when absent. */
int file_read(int dir_fd, const char *path, struct buf *out, struct err *e);

/**
 * Replace a file durably: temporary file beside it, write, fsync, rename, fsync of the directory.
 * name has no slash. A reader sees the old or the new content, also after a power cut.
 */
int file_replace(int dir_fd, const char *name, const void *p, size_t n, mode_t mode, struct err *e);

/** Write a string into an existing kernel file (cgroup, proc, sysctl) in one write. 0 or -errno. */
int file_put(int dir_fd, const char *path, const char *text);

/** The names in a directory, without . and .., in no order; the caller frees them with strv_done.
 * NOT_FOUND. */
int path_list(const char *path, struct strv *out, struct err *e);

/**
 * Look for an executable file in a list of directories, as PATH has it: separated by colons.
 * Entries that are not absolute are passed over, since the current folder is no place for programs.
 * dirs: may be NULL. Returns its path (the caller frees it), or NULL.
 */
char *path_find_program(const char *name, const char *dirs);

/**
 * A program (or library) of ours in the folder of the running one, as in a build or a folder of
 * links: the folder that it was started from when that is known absolutely, else the one that its
 * file is in. The caller frees it; NULL: not there.
 */
char *path_beside(const char *name);

/** As path_beside, else where the installation has it (libexec), whether it is there or not. */
char *path_helper(const char *name);

/** Remove a tree below dir_fd (name has no slash) without following links or crossing into mounts.
 */
int path_remove_tree(int dir_fd, const char *name, struct err *e);

#endif
