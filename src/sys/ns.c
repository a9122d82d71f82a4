/* Namespaces: see ns.h. */
#include "sys/ns.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

const struct ns_kind ns_kinds[NS_KINDS] = {
    {"ipc", "ipc", CLONE_NEWIPC},     {"uts", "uts", CLONE_NEWUTS},
    {"network", "net", CLONE_NEWNET}, {"pid", "pid", CLONE_NEWPID},
    {"mount", "mnt", CLONE_NEWNS},    {"cgroup", "cgroup", CLONE_NEWCGROUP},
    {"time", "time", CLONE_NEWTIME},  {"user", "user", CLONE_NEWUSER},
};

const struct ns_kind *ns_find(const char *oci)
{
    for (size_t i = 0; i < NS_KINDS; i++)
        if (oci != NULL && strcmp(ns_kinds[i].oci, oci) == 0)
            return &ns_kinds[i];
    return NULL;
}

pid_t ns_clone(uint64_t flags, int cgroup_fd, int *out_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    if (out_pidfd != NULL) {
        args.flags |= CLONE_PIDFD;
        args.pidfd = (uint64_t)(uintptr_t)&pidfd;
    }
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup_fd;
    }
    if ((flags & CLONE_PARENT) != 0)
        args.exit_signal = 0; /* the kernel takes the parent's */
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0)
        return -errno;
    if (pid > 0 && out_pidfd != NULL)
        *out_pidfd = pidfd;
    return (pid_t)pid;
}
