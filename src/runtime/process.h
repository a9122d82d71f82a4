/**
 * The last steps of every container process, first or exec'd: identity, privileges, filter, exec.
 */
#ifndef HULL_RUNTIME_PROCESS_H
#define HULL_RUNTIME_PROCESS_H

#include "runtime/runtime.h"
#include "runtime/seccomp.h"

struct process {
    const struct oci_process *spec;
    const struct seccomp_program *filter; /* NULL: none */
    size_t preserve_fds;
    bool rootless; /* started by an ordinary user */
    int proc_fd;   /* a procfs that the container cannot redirect, or -1 */
    int sync;      /* the conversation with the runtime: a listener goes through it */
    struct arena *a;
    /* set by process_prepare */
    const char *path; /* what execve gets */
    char **argv, **envp;
};

/** Kernel attributes that need privilege or a clean start: no_new_privs, scheduler, I/O priority,
 * personality and memory policy (those of the container), AppArmor and SELinux labels. */
int process_attributes(struct process *p, const struct oci_linux *l, struct err *e);

/**
 * Become the user: cwd, environment, capabilities, groups, ids; find the program ("exec: "x":
 * executable file not found in $PATH"); install the filter. Afterwards only process_exec is left.
 */
int process_prepare(struct process *p, struct err *e);

/** execve; returns only with an error. */
int process_exec(const struct process *p, struct err *e);

/** Close (exec: mark) every descriptor from 3 + preserve on, except those in keep. */
void process_close_fds(size_t preserve, const int *keep, size_t n_keep);

/** stdin, stdout, stderr as asked; -1 is /dev/null. */
int process_stdio(const int fd[3], struct err *e);

/** The masks of the five sets; what is unknown or cannot be had is left out, and log (may be NULL)
 * hears of it. */
struct caps;
void process_caps(const struct oci_capabilities *c, uint64_t bounding,
                  const struct hullrun_log *log, struct caps *out);

/** Set oom_score_adj from outside; what an ordinary user may not set stays. */
int process_oom_score(pid_t pid, const struct oci_process *spec, struct err *e);

/** Only tell log of those that cannot be had. */
void process_warn_caps(const struct oci_capabilities *c, const struct hullrun_log *log);

/** Limits set from outside (prlimit). "error setting rlimits for ready process: error setting
 * rlimit type 7: operation not permitted". */
int process_rlimits(pid_t pid, const struct oci_process *spec, struct err *e);

#endif
