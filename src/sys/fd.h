/**
 * File descriptors: owned by a scope, moved by name, read and written whole, sent to other
 * processes. An absent descriptor is -1; every one is close-on-exec from birth.
 */
#ifndef HULL_SYS_FD_H
#define HULL_SYS_FD_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/** Close if open. errno stays. EINTR is not retried: the descriptor is gone. */
void fd_close(int fd);

static inline void fd_close_ptr(int *fd)
{
    fd_close(*fd);
}

/** A descriptor that is closed when its scope ends: auto_fd int fd = -1; */
#define auto_fd CLEANUP(fd_close_ptr)

/** Move a descriptor out of an auto_fd variable. */
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/** Write all n bytes to a blocking descriptor. 0 or -errno. A socket must have SIGPIPE ignored. */
int fd_write_all(int fd, const void *p, size_t n);

/** Read exactly n bytes from a blocking descriptor. 0, or -errno (-ENODATA at an early end). */
int fd_read_all(int fd, void *p, size_t n);

/** Wait until fd can be read or is at its end. -ECANCELED: stop_fd (0 or -1: none) can be read. */
int fd_wait_readable(int fd, int stop_fd);

/** Read to the end into out. 0 or -errno; -EFBIG when out's maximum is reached. */
int fd_read_to_end(int fd, struct buf *out);

/** Set or clear O_NONBLOCK. 0 or -errno. */
int fd_set_nonblock(int fd, bool on);

/** A duplicate, close-on-exec, numbered 3 or higher. The new descriptor or -errno. */
int fd_dup(int fd);

/** A memfd holding n bytes, read position 0, sealed against change. The descriptor or -errno. */
int fd_memfd(const char *name, const void *p, size_t n);

/** A pipe, both ends close-on-exec. flags: 0 or O_NONBLOCK. 0 or -errno. */
int fd_pipe(int *out_read, int *out_write, int flags);

/** Send n bytes (n > 0) and up to FD_SEND_MAX descriptors in one message over a unix socket. 0 or
 * -errno. */
#define FD_SEND_MAX 16
int fd_send(int sock, const void *p, size_t n, const int *fds, size_t n_fds);

/**
 * Receive one message of at most n bytes and at most max_fds descriptors (close-on-exec; further
 * ones are closed). The number of bytes (0 at the end) or -errno. *out_n_fds may be NULL when
 * max_fds is 0.
 */
ssize_t fd_recv(int sock, void *p, size_t n, int *fds, size_t max_fds, size_t *out_n_fds);

#endif
