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

/** Check actions, operators, architectures, flags without building. INVALID. */
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

/** Install it for this process: needs no_new_privs or CAP_SYS_ADMIN. 0 or -errno. */
int seccomp_install(const struct seccomp_program *p);

#endif
