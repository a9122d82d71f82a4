/* sd_notify's datagram by hand: libsystemd would be the largest thing we load. */
#include "sys/notify.h"

#include "sys/fd.h"
#include "sys/sock.h"

int notify_dial(const char *address)
{
    struct sockaddr_un a;
    struct err ignored = {0};
    int len = address[0] == '/' || address[0] == '@' ? sock_address(address, &a, &ignored) : -1;
    auto_fd int fd = len < 0 ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 || connect(fd, (struct sockaddr *)&a, (socklen_t)len) < 0 ? -1 : take_fd(&fd);
}

void notify(const char *state)
{
    const char *address = getenv("NOTIFY_SOCKET");
    auto_fd int fd = address != NULL ? notify_dial(address) : -1;
    /* systemd may be gone; that is its business */
    if (fd >= 0)
        (void)send(fd, state, strlen(state), MSG_NOSIGNAL);
}
