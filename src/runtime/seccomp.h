/**
 * linux.seccomp as a BPF program, built with libseccomp and loaded with plain system calls.
 */
#ifndef HULL_RUNTIME_SECCOMP_H
#define HULL_RUNTIME_SECCOMP_H

#include <linux/filter.h>

#include "base/err.h"
#include "types/oci_runtime.h"

#define SECCOMP_INSNS_MAX 4096 /* BPF_MAXINSNS: the kernel takes no more */

struct seccomp_program {
    size_t n;
    unsigned flags; /* SECCOMP_FILTER_FLAG_* */
    struct sock_filter code[SECCOMP_INSNS_MAX];
};

/** The words that profiles may use; flags supported are those that this kernel takes. */
enum seccomp_table {
    SECCOMP_ACTIONS,
    SECCOMP_OPERATORS,
    SECCOMP_ARCHITECTURES,
    SECCOMP_FLAGS,
    SECCOMP_FLAGS_SUPPORTED,
};

/** The words of a table, at most max; how many there are. */
size_t seccomp_words(enum seccomp_table t, const char **out, size_t max);

/** Whether there is a profile to install: s may be NULL or say nothing. */
bool seccomp_wanted(const struct oci_seccomp *s);

/** Check actions, operators, architectures, flags, notification without building. INVALID. */
int seccomp_check(const struct oci_seccomp *s, struct err *e);

/** Build the program. System calls that libseccomp does not know are left out; numbers newer than
 * all that the profile names answer ENOSYS, so that a C library can fall back. */
int seccomp_build(const struct oci_seccomp *s, struct seccomp_program *out, struct err *e);

/**
 * As seccomp_build, but a program that was built before is read from <root>/@seccomp instead: with
 * Docker's profile libseccomp works longer than all the rest of a container's start. The profile
 * itself is kept with the program and compared. A cache that can't be used is no error.
 *
 * out  in memory that is shared with children (MAP_SHARED): one of them builds. Only for programs
 *      with one thread.
 */
int seccomp_build_cached(const char *root, const struct oci_seccomp *s, struct seccomp_program *out,
                         struct err *e);

/** Whether an agent decides about some system calls. */
bool seccomp_notifies(const struct seccomp_program *p);

/**
 * Install it for this process: needs no_new_privs or CAP_SYS_ADMIN. 0 or -errno.
 *
 * *out_listener  the descriptor (close-on-exec) for the agent when the program notifies, else -1.
 */
int seccomp_install(const struct seccomp_program *p, int *out_listener);

#endif
