/**
 * A new process in new or existing namespaces, and the conversation with it until it runs the
 * user's program.
 */
#ifndef HULL_RUNTIME_LAUNCH_H
#define HULL_RUNTIME_LAUNCH_H

#include <sys/types.h>

#include "base/err.h"
#include "runtime/affinity.h"
#include "runtime/rootfs.h"
#include "sys/cgroup.h"
#include "types/oci_runtime.h"

/* A namespace file or a pidfd, and which namespaces of it to enter. */
struct launch_join {
    int fd;
    unsigned flags; /* CLONE_NEW* */
};

struct launch {
    unsigned new_flags;
    struct launch_join joins[9];
    size_t n_joins;
    struct cgroup_door door;            /* the child is born in it and goes through it first */
    struct affinity before, after;      /* CPUs until it has gone through, and from then on */
    const char *time_offsets;           /* for a new time namespace, or NULL */
    bool rootless;                      /* we are an ordinary user: see launch_enter */
    void (*child)(void *arg, int sync); /* never returns */
    void *arg;
};

struct child {
    pid_t pid;
    int pidfd, sync;
};

#define CHILD_NONE                        \
    {                                     \
        .pid = 0, .pidfd = -1, .sync = -1 \
    }

enum sync_kind {
    SYNC_GO,       /* parent: continue */
    SYNC_PID,      /* the helper in between: this is the process */
    SYNC_MOUNTED,  /* child: the file system stands; waits for GO */
    SYNC_READY,    /* child: only privileges are left to drop; waits for GO */
    SYNC_CLONE,    /* child: please clone the mount tree at err.msg as `clone` says */
    SYNC_LINE,     /* child: err.msg is a line for the operator, sys its level */
    SYNC_LISTENER, /* child: its descriptor sys is for the seccomp agent; waits for GO */
    SYNC_ERROR,    /* child: err says why it ended */
};

/* One message; its text is err.msg. */
struct sync_msg {
    enum sync_kind kind;
    pid_t pid;
    int sys; /* answer to SYNC_CLONE: 0 and a descriptor, or -errno; of a line its level; of
                SYNC_LISTENER a descriptor's number */
    struct rootfs_clone_order clone;
    struct err err;
};

/**
 * Start l->child(arg, sync) in its own process, which is a child of ours. It has entered all
 * namespaces but those it must enter itself: it calls launch_enter first. Its user namespace has no
 * mappings yet. CLOEXEC holds for everything.
 */
int launch(const struct launch *l, struct child *out, struct err *e);

/**
 * In the child, before anything else: enter the cgroup, close the door. Later the kernel's locks
 * would be contended, and memory used until then would be counted elsewhere.
 */
int launch_enter_cgroup(struct launch *l, struct err *e);

/** In the child: wait for the parent's first GO, then enter what is left. Until then a rootless
 * child is dumpable, because only so may its user write its mappings. */
int launch_enter(const struct launch *l, int sync, struct err *e);

/** Kill the child, reap it and close everything. NULL-safe on an empty child. */
void launch_abort(struct child *c);

int sync_send(int sock, enum sync_kind kind, const struct err *err, struct err *e);

/** The next message: 1, or 0 when the other side is gone. *out_fd (may be NULL) gets a descriptor
 * that came along, or -1. */
int sync_recv(int sock, struct sync_msg *out, int *out_fd, struct err *e);

/**
 * In the child, with a filter in force that an agent decides for: let the parent fetch descriptor
 * listener and wait until the agent has it. Uses write(2), which no such filter may hold up.
 */
int sync_listener(int sock, int listener, struct err *e);

/** Wait for GO; an end of the conversation is an error. */
int sync_wait_go(int sock, struct err *e);

#endif
