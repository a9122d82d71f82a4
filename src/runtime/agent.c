/*
 * Handing a seccomp listener over: see agent.h. The descriptor is fetched out of the child
 * (pidfd_getfd), because the child's own sendmsg might be what the agent is to decide about.
 */
#include "runtime/agent.h"

#include <sys/pidfd.h>

#include "sys/fd.h"
#include "sys/sock.h"

#define DIAL_TIMEOUT_MS 10000
#define STATE_BYTES_MAX (4 << 20)

static int send_state(const struct oci_seccomp *profile, const struct oci_state *state, pid_t pid,
                      int listener, struct err *e)
{
    char *names[] = {(char[]){"seccompFd"}};
    struct oci_container_process_state s = {.oci_version = HULLRUN_VERSION_SPEC,
                                            .fds = {names, 1, 1},
                                            .pid = pid,
                                            .metadata = profile->listener_metadata,
                                            .state = *state};
    auto_buf struct buf text = BUF_MAX(STATE_BYTES_MAX);
    json_write(&oci_container_process_state_json, &s, &text);
    if (text.over)
        return err_set(e, ERR_TOO_LARGE, "the container's state is too large");
    auto_fd int sock = sock_dial(profile->listener_path, DIAL_TIMEOUT_MS, e);
    if (sock < 0)
        return err_wrap(e, "failed to connect with seccomp agent specified in the seccomp profile");
    int rc = fd_send(sock, text.p, text.n, &listener, 1);
    return rc < 0 ? err_neg(e, rc, "cannot send seccomp fd to %s", profile->listener_path) : 0;
}

int agent_introduce(const struct oci_seccomp *profile, const struct oci_state *state,
                    const struct child *child, int listener, struct err *e)
{
    auto_fd int fd = pidfd_getfd(child->pidfd, listener, 0);
    if (fd < 0)
        return err_sys(e, "fetch the seccomp listener");
    TRY(send_state(profile, state, child->pid, fd, e));
    return sync_send(child->sync, SYNC_GO, NULL, e);
}
