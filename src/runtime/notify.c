/* sd_notify through a container: see notify.h. */
#include "runtime/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/fd.h"
#include "sys/notify.h"
#include "sys/sock.h"

#define NOTIFY_DIR "notify"
#define NOTIFY_NAME "notify.sock"
#define BARRIER_MS 30000

int notify_prepare(int dir_fd, const char *dir, struct oci_spec *spec, struct arena *a,
                   struct err *e)
{
    static const char *const options[] = {"bind", "nosuid", "noexec", "nodev", "ro"};
    struct oci_mount m = {.destination = NOTIFY_PLACE,
                          .type = "bind",
                          .source = arena_printf(a, "%s/" NOTIFY_DIR, dir)};
    if (mkdirat(dir_fd, NOTIFY_DIR, 0755) < 0)
        return err_sys(e, "mkdir %s", m.source);
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        vec_push_in(a, &m.options, (char *)(uintptr_t)options[i]);
    vec_push_in(a, &spec->mounts, m);
    vec_push_in(a, &spec->process->env,
                arena_strdup(a, "NOTIFY_SOCKET=" NOTIFY_PLACE "/" NOTIFY_NAME));
    return 0;
}

bool notify_prepared(int dir_fd)
{
    return faccessat(dir_fd, NOTIFY_DIR, F_OK, 0) == 0;
}

/* By way of a descriptor of its folder: the state directory's path may be longer than sun_path. */
int notify_listen(int dir_fd, struct err *e)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    auto_fd int folder = openat(dir_fd, NOTIFY_DIR, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_fd int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (folder < 0 || sock < 0)
        return err_sys(e, "open the notify socket");
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" NOTIFY_NAME, folder);
    if (unlinkat(folder, NOTIFY_NAME, 0) < 0 && errno != ENOENT) /* of a start that was killed */
        return err_sys(e, "remove the old notify socket");
    if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        fchmodat(folder, NOTIFY_NAME, 0777, 0) < 0)
        return err_sys(e, "bind the notify socket");
    return take_fd(&sock);
}

/* ---- the manager's side ------------------------------------------------------------------- */

/* The manager holds the pipe's end until it has done everything that it was told before. */
static void barrier(int to)
{
    int from = -1, end = -1;
    if (fd_pipe(&from, &end, 0) < 0)
        return;
    bool sent = fd_send(to, "BARRIER=1", 9, &end, 1) == 0;
    fd_close(end);
    struct pollfd p = {.fd = from};
    while (sent && poll(&p, 1, BARRIER_MS) < 0 && errno == EINTR)
        continue;
    fd_close(from);
}

static bool has_ready_line(const char *text)
{
    const char *at = strstr(text, "READY=");
    return at != NULL && (at == text || at[-1] == '\n');
}

int notify_relay(int sock, const char *manager, pid_t main_pid)
{
    char text[4097], pid[64];
    ssize_t n;
    do {
        n = recv(sock, text, sizeof(text) - 1, 0);
        if (n < 0)
            return 0;
        text[n] = '\0';
    } while (!has_ready_line(text));
    auto_fd int to = notify_dial(manager);
    if (to < 0)
        return 1;
    int len = snprintf(pid, sizeof(pid), "MAINPID=%d\n", (int)main_pid);
    if (fd_send(to, "READY=1\n", 8, NULL, 0) == 0 && fd_send(to, pid, (size_t)len, NULL, 0) == 0)
        barrier(to);
    return 1;
}

void notify_wait(int sock, const char *manager, pid_t main_pid, int pidfd)
{
    struct pollfd p[] = {{sock, POLLIN, 0}, {pidfd, POLLIN, 0}};
    while (notify_relay(sock, manager, main_pid) == 0) {
        if (p[1].revents != 0) /* ended; whatever it said before has been read just now */
            return;
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            return;
    }
}
