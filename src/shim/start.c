/*
 * `start`: see flags.h. Containers of one group share a shim: the socket's name is made from the
 * group, so whoever can connect to it has found its shim.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/runtime.h"
#include "shim/flags.h"
#include "shim/options.h"
#include "shim/sha256.h"
#include "shim/start.h"
#include "sys/fd.h"
#include "sys/oom_score.h"
#include "sys/path.h"
#include "sys/sock.h"
#include "sys/spawn.h"

#define BACKLOG 128

static int socket_of(const struct flags *f, const char *group, struct sockaddr_un *out,
                     struct err *e)
{
    char digest[65];
    auto_free char *name = mem_printf("%s/%s/%s", f->address, f->ns, group);
    sha256_hex(name, strlen(name), digest);
    auto_free char *path = mem_printf(SHIM_SOCKET_DIR "/%s", digest);
    return sock_address(path, out, e);
}

int shim_is_served(const struct sockaddr_un *addr, struct err *e)
{
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, "socket");
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
        return 1; /* EAGAIN: it is only busy */
    return errno == ECONNREFUSED || errno == ENOENT ? 0
                                                    : err_sys(e, "connect to %s", addr->sun_path);
}

/* A listening socket, or -1 with EXISTS when a shim serves the address. */
static int listen_on(const struct sockaddr_un *addr, struct err *e)
{
    TRY(path_mkdirs(SHIM_SOCKET_DIR, 0711, e));
    auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fchmod(fd, 0600) < 0)
        return err_sys(e, "socket");
    for (int tries = 0; bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0; tries++) {
        if (errno != EADDRINUSE || tries > 1)
            return err_sys(e, "bind %s", addr->sun_path);
        int served = shim_is_served(addr, e);
        TRY(served);
        if (served)
            return err_set(e, ERR_EXISTS, "a shim serves %s", addr->sun_path);
        (void)unlink(addr->sun_path); /* of a shim that has died */
    }
    if (listen(fd, BACKLOG) < 0)
        return err_sys(e, "listen on %s", addr->sun_path);
    return take_fd(&fd);
}

/* The daemon is a little more likely to be killed when memory runs out than containerd is. */
static void raise_oom_score(void)
{
    int64_t score = oom_score_get(getppid());
    if (score < OOM_SCORE_MAX)
        (void)oom_score_set(0, score + 1); /* only a preference */
}

static int start_daemon(const struct flags *f, int listen_fd, const char *socket, struct err *e)
{
    const char *argv[16] = {"containerd-shim-hull-v2",
                            "-namespace",
                            f->ns,
                            "-id",
                            f->id,
                            "-address",
                            f->address,
                            "-publish-binary",
                            f->publish_binary,
                            "-socket",
                            socket,
                            f->debug ? "-debug" : NULL};
    /* it clones containers from itself: executed from where they cannot write to */
    auto_fd int program = hullrun_seal_open(e);
    TRY(program);
    const struct spawn_fd fds[] = {{LISTEN_FD, listen_fd}, {PROGRAM_FD, program}};
    auto_free char *path = mem_printf("/proc/self/fd/%d", PROGRAM_FD);
    const struct spawn_opts so = {
        .path = path, .argv = argv, .fds = fds, .n_fds = ARRAY_LEN(fds), .new_group = true};
    struct proc proc = PROC_NONE;
    raise_oom_score();
    TRY(spawn(&so, &proc, e));
    proc_done(&proc);
    return 0;
}

static int write_address(const char *address, struct err *e)
{
    auto_fd int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "bundle");
    auto_fd int fd = openat(dir, "address", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : fd_write_all(fd, address, strlen(address));
    return r < 0 ? err_neg(e, r, "write address") : 0;
}

int action_start(const struct flags *f, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char *group = NULL;
    struct sockaddr_un addr;
    TRY(options_group(".", a, &group, e));
    TRY(socket_of(f, group != NULL ? group : f->id, &addr, e));
    auto_free char *address = mem_printf("unix://%s", addr.sun_path);
    auto_fd int fd = listen_on(&addr, e);
    if (fd < 0 && e->kind != ERR_EXISTS)
        return -1;
    TRY(write_address(address, e));
    if (fd >= 0 && start_daemon(f, fd, addr.sun_path, e) < 0) {
        (void)unlink(addr.sun_path); /* nobody will serve it */
        return -1;
    }
    int r = fd_write_all(STDOUT_FILENO, address, strlen(address));
    return r < 0 ? err_neg(e, r, "print the address") : 0;
}
