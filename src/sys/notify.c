/* sd_notify's datagram by hand: libsystemd would be the largest thing we load. */
#include "sys/notify.h"

#include "sys/fd.h"
#include "sys/sock.h"

void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a;
    struct err ignored = {0};
    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    int len = sock_address(path, &a, &ignored);
    if (len < 0)
        return;
    auto_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* systemd may be gone; that is its business */
    if (fd >= 0)
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&a, (socklen_t)len);
}
