/* Connecting to unix sockets and TCP hosts, with a time limit for each address that is tried. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/time.h"
#include "rpc/stream.h"
#include "sys/fd.h"
#include "sys/sock.h"

#define DIAL_TIMEOUT_MS 30000

int stream_dial_unix(const char *path, struct stream **out, struct err *e)
{
    int fd = sock_dial(path, DIAL_TIMEOUT_MS, e);
    if (fd < 0) {
        e->kind = e->sys == ENOENT ? ERR_NOT_FOUND : e->sys == EACCES ? ERR_FORBIDDEN : e->kind;
        return -1;
    }
    *out = stream_of_socket(fd);
    return 0;
}

/* Finish a connect that is in progress: 0 or an errno. */
static int await_connect(int fd, int timeout_ms)
{
    int64_t end = time_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        int64_t left = end - time_mono_ns();
        if (left <= 0)
            return ETIMEDOUT;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int r = poll(&p, 1, (int)(left / NS_PER_MS) + 1);
        if (r < 0 && errno != EINTR)
            return errno;
        if (r > 0)
            break;
    }
    int no = 0;
    socklen_t len = sizeof(no);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &no, &len) < 0 ? errno : no;
}

/* A connected socket, or -errno. */
static int dial_addr(const struct addrinfo *a, int timeout_ms)
{
    auto_fd int fd =
        socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return -errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        int no = errno == EINPROGRESS ? await_connect(fd, timeout_ms) : errno;
        if (no != 0)
            return -no;
    }
    int on = 1; /* small frames must not wait for acknowledgements; dead peers must be noticed */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)fd_set_nonblock(fd, false);
    return take_fd(&fd);
}

int stream_dial_tcp_fd(const char *host, const char *port, int timeout_ms, struct err *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return err_set(e, ERR_UNAVAILABLE, "dial tcp: lookup %s: %s", host, gai_strerror(r));
    int fd = -EHOSTUNREACH;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = dial_addr(a, timeout_ms > 0 ? timeout_ms : DIAL_TIMEOUT_MS);
    freeaddrinfo(list);
    if (fd < 0) {
        e->sys = -fd;
        return err_set(e, fd == -ETIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, "dial tcp %s:%s: %s",
                       host, port, strerrordesc_np(-fd));
    }
    return fd;
}

int stream_dial_tcp(const char *host, const char *port, int timeout_ms, struct stream **out,
                    struct err *e)
{
    int fd = stream_dial_tcp_fd(host, port, timeout_ms, e);
    if (fd < 0)
        return -1;
    *out = stream_of_socket(fd);
    return 0;
}
