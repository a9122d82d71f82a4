/**
 * Starting programs: the only way that daemon and supervisor make processes. The child gets exactly
 * the descriptors that are listed, default signal dispositions, an empty signal mask, and nothing
 * else.
 */
#ifndef HULL_SYS_SPAWN_H
#define HULL_SYS_SPAWN_H

#include "sys/proc.h"

/** One descriptor of the child: `child` is its number there, `parent` ours (borrowed). */
struct spawn_fd {
    int child, parent;
};

struct spawn_opts {
    const char *path; /* program; without a slash it is looked up in PATH of our environment */
    const char *const *argv;    /* NULL-terminated, argv[0] included */
    const char *const *envp;    /* NULL-terminated; NULL: our own environment */
    const struct spawn_fd *fds; /* 0, 1 and 2 are /dev/null unless listed */
    size_t n_fds;
    const char *dir;  /* working directory; NULL: ours */
    bool new_session; /* setsid */
    bool new_group;   /* setpgid(0, 0) */
};

/**
 * Start a program.
 *
 * out  the child with its pidfd; reap it with proc_wait, then proc_done.
 *
 * Any thread. Errors: NOT_FOUND (no such program), INTERNAL.
 */
int spawn(const struct spawn_opts *o, struct proc *out, struct err *e);

#endif
