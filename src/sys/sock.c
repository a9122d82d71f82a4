/* Unix stream sockets: see sock.h. */
#include "sys/sock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "sys/fd.h"

#define BACKLOG 1024

int sock_address(const char *path, struct sockaddr_un *out, struct err *e)
{
    size_t n = strlen(path);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof(out->sun_path))
        return err_set(e, ERR_INVALID, "socket path \"%s\" must have 1 to %zu bytes", path,
                       sizeof(out->sun_path) - 1);
    memcpy(out->sun_path, path, n);
    if (path[0] != '@')
        return sizeof(*out);
    out->sun_path[0] = '\0'; /* no file, and the name ends where the address does */
    return (int)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int new_socket(int flags, struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    return fd >= 0 ? fd : err_sys(e, "socket");
}

int sock_dial(const char *path, int timeout_ms, struct err *e)
{
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000L};
    struct timeval forever = {0};
    struct sockaddr_un a;
    auto_fd int fd = -1;

    int n = sock_address(path, &a, e);
    TRY(n);
    TRY(fd = new_socket(timeout_ms == 0 ? SOCK_NONBLOCK : 0, e));
    /* on a unix socket connect waits only for room in the backlog, and for as long as a send may */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
        connect(fd, (struct sockaddr *)&a, (socklen_t)n) < 0) {
        (void)err_sys(e, "dial unix %s: connect", path);
        e->kind = ERR_UNAVAILABLE;
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever)) < 0)
        return err_sys(e, "dial unix %s", path);
    return take_fd(&fd);
}

static int remove_stale(const struct sockaddr_un *a, struct err *e)
{
    auto_fd int fd = -1;
    struct stat st;

    if (lstat(a->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat %s", a->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_EXISTS, "%s exists and is not a socket", a->sun_path);
    TRY(fd = new_socket(SOCK_NONBLOCK, e));
    if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
        return err_set(e, ERR_EXISTS, "another process listens on %s", a->sun_path);
    if (unlink(a->sun_path) < 0 && errno != ENOENT)
        return err_sys(e, "remove %s", a->sun_path);
    return 0;
}

int sock_listen(const char *path, mode_t mode, gid_t gid, struct err *e)
{
    struct sockaddr_un a;
    auto_fd int fd = -1;

    TRY(sock_address(path, &a, e));
    TRY(remove_stale(&a, e));
    TRY(fd = new_socket(0, e));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        return err_sys(e, "listen on %s", a.sun_path);
    /* nobody can connect before listen */
    if (chown(a.sun_path, (uid_t)-1, gid) < 0 || chmod(a.sun_path, mode) < 0 ||
        listen(fd, BACKLOG) < 0) {
        (void)err_sys(e, "listen on %s", a.sun_path);
        (void)unlink(a.sun_path); /* ours; the error above is what counts */
        return -1;
    }
    return take_fd(&fd);
}
