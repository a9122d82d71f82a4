/*
 * Our own program file, out of reach of containers (CVE-2019-5736): a container whose program is
 * /proc/self/exe (or a script with that interpreter) makes the kernel open the file that we run
 * from, and could write to it later. So we run from a mount of it that is read-only and attached
 * nowhere, or, where that is not allowed, from a sealed copy in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "sys/fd.h"
#include "sys/mounts.h"

extern char **environ;

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_sealed(int exe)
{
    struct statvfs fs;
    int seals = fcntl(exe, F_GET_SEALS);
    return (seals >= 0 && (seals & SEALS) == SEALS) ||
           (fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0);
}

static int sealed_copy(int exe)
{
    struct stat st;
    auto_fd int copy = memfd_create("hull-runc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0 || fstat(exe, &st) < 0 || fchmod(copy, 0500) < 0)
        return -errno;
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(copy, exe, NULL, (size_t)left);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        left -= n;
    }
    return fcntl(copy, F_ADD_SEALS, SEALS) < 0 ? -errno : take_fd(&copy);
}

static int protect(int exe, struct err *e)
{
    auto_fd int ro = mount_clone(exe, "", false);
    if (ro >= 0 && mount_change(ro, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, 0, 0, false) == 0)
        return take_fd(&ro);
    int copy = sealed_copy(exe);
    return copy < 0 ? err_neg(e, copy, "protect our own program") : copy;
}

static int open_exe(struct err *e)
{
    int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return exe < 0 ? err_sys(e, "open /proc/self/exe") : exe;
}

int hullrun_seal_open(struct err *e)
{
    auto_fd int exe = open_exe(e);
    TRY(exe);
    return is_sealed(exe) ? take_fd(&exe) : protect(exe, e);
}

int hullrun_seal_self(char **argv, struct err *e)
{
    auto_fd int exe = open_exe(e);
    TRY(exe);
    if (is_sealed(exe))
        return 0;
    auto_fd int program = protect(exe, e);
    TRY(program);
    (void)execveat(program, "", argv, environ, AT_EMPTY_PATH);
    return err_sys(e, "execute our own program again");
}
