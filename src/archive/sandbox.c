/*
 * Bounding set, chroot, capabilities, limits, seccomp: in this order, since each takes away what
 * the step before needed. A chroot holds here because CAP_SYS_CHROOT and CAP_SYS_ADMIN are gone and
 * no descriptor leads outside.
 */
#include "archive/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "sys/caps.h"

#define BIT(cap) (1ULL << (cap))
#define KEPT                                                                                       \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_MKNOD) | \
     BIT(CAP_SETFCAP))

static int change_root(int root_fd, struct err *e)
{
    if (root_fd >= 0 && fchdir(root_fd) < 0)
        return err_sys(e, "enter the target directory");
    /* without a target: a directory that only lists our own descriptors */
    if (root_fd < 0 && chdir("/proc/self/fdinfo") < 0)
        return err_sys(e, "enter an empty directory");
    if (chroot(".") < 0)
        return err_sys(e, "chroot into the target directory");
    return 0;
}

/* What is in the bounding set cannot come back; read while /proc is in sight. */
static int drop_bounding(uint64_t *out_kept, struct err *e)
{
    int r = caps_bounding(out_kept);
    *out_kept &= KEPT;
    if (r == 0)
        r = caps_drop_bounding(*out_kept);
    return r < 0 ? err_neg(e, r, "drop capabilities") : 0;
}

static int drop_caps(uint64_t kept, struct err *e)
{
    const struct caps c = {.effective = kept, .permitted = kept};
    int r = caps_apply(&c);
    return r < 0 ? err_neg(e, r, "drop capabilities") : 0;
}

static int set_limits(int64_t max_file_bytes, struct err *e)
{
    const struct rlimit none = {0, 0}, files = {64, 64};
    const struct rlimit size = {(rlim_t)max_file_bytes, (rlim_t)max_file_bytes};
    const struct rlimit memory = {2ULL << 30, 2ULL << 30};
    if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_NOFILE, &files) < 0)
        return err_sys(e, "set limits");
    if (max_file_bytes > 0 && setrlimit(RLIMIT_FSIZE, &size) < 0)
        return err_sys(e, "set limits");
    if (!HULL_ASAN && setrlimit(RLIMIT_AS, &memory) < 0)
        return err_sys(e, "set limits");
    return 0;
}

static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(readv),
    SCMP_SYS(preadv),
    SCMP_SYS(write),
    SCMP_SYS(pwrite64),
    SCMP_SYS(writev),
    SCMP_SYS(pwritev),
    SCMP_SYS(lseek),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    SCMP_SYS(getdents64),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknodat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(readlinkat),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(utimensat),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fgetxattr),
    SCMP_SYS(lgetxattr),
    SCMP_SYS(flistxattr),
    SCMP_SYS(llistxattr),
    SCMP_SYS(fchdir),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(eventfd2),
    SCMP_SYS(set_robust_list), /* a thread's beginning */
    SCMP_SYS(rseq),
    SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(umask),
    SCMP_SYS(sched_yield),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
};

/* A thread, never a process: clone3 hides its flags, and the library then takes clone. */
static int allow_threads(scmp_filter_ctx ctx)
{
    const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const uint64_t harmless =
        CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r < 0 ? r
                 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, ~harmless, thread));
}

static int filter_syscalls(struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int r = ctx == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(allowed); i++)
        if (allowed[i] >= 0)
            r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    /* memory, but never executable memory */
    const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(maps); i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, maps[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r == 0)
        r = allow_threads(ctx);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r < 0 ? err_neg(e, r, "load the system call filter") : 0;
}

int sandbox_enter(int root_fd, int64_t max_file_bytes, struct err *e)
{
    uint64_t kept = 0;
    if (geteuid() == 0) { /* an ordinary user (hull cp) has no powers to give up */
        TRY(drop_bounding(&kept, e));
        TRY(change_root(root_fd, e));
        TRY(drop_caps(kept, e));
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(e, "set no_new_privs");
    TRY(set_limits(max_file_bytes, e));
    /* a sanitizer's own calls are not in the list */
    return HULL_ASAN ? 0 : filter_syscalls(e);
}
