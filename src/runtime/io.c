/* What a process is connected to: see io.h. */
#include "runtime/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/fd.h"

int io_check(const struct hullrun_io *io, bool terminal, struct err *e)
{
    bool console = io->console_sock >= 0 || io->want_console;
    if (terminal && !console)
        return err_set(e, ERR_INVALID,
                       "cannot allocate tty if runc will detach without setting console socket");
    if (!terminal && console)
        return err_set(e, ERR_INVALID,
                       "cannot use console socket if runc will not detach or allocate tty");
    for (size_t i = 0; i < io->preserve_fds; i++)
        if (fcntl(3 + (int)i, F_GETFD) < 0)
            return err_set(e, ERR_INVALID,
                           "unable to stat preserved-fd %zu (of %zu): no such file or directory",
                           3 + i, io->preserve_fds);
    return 0;
}

void io_environment(const struct hullrun_io *io, struct strv *env, struct arena *a)
{
    if (io->listen_fds == 0)
        return;
    vec_push_in(a, env, arena_printf(a, "LISTEN_FDS=%zu", io->listen_fds));
    vec_push_in(a, env, arena_strdup(a, "LISTEN_PID=1"));
}

/* A socket's path may be longer than sun_path holds: connect through a descriptor of it. */
int io_dial(const char *path, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    auto_fd int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto_fd int target = open(path, O_PATH | O_CLOEXEC);
    if (sock < 0 || target < 0)
        return err_sys(e, "dial unix %s", path);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", target);
    if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_sys(e, "dial unix %s: connect", path);
    return take_fd(&sock);
}

int io_take_console(int sock, struct err *e)
{
    char name[64];
    int console = -1;
    if (fd_recv(sock, name, sizeof(name), &console, 1, NULL) <= 0 || console < 0)
        return err_set(e, ERR_INTERNAL, "the process sent no terminal");
    return console;
}

int io_send_pidfd(const struct hullrun_io *io, const char *name, int pidfd, struct err *e)
{
    if (io->pidfd_socket == NULL)
        return 0;
    auto_fd int sock = io_dial(io->pidfd_socket, e);
    TRY(sock);
    int rc = fd_send(sock, name, strlen(name), &pidfd, 1);
    return rc < 0 ? err_neg(e, rc, "send the pidfd") : 0;
}
