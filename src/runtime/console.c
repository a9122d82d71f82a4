/*
 * The terminal: see console.h. The slave is opened from the master (TIOCGPTPEER), never by its
 * path, and ptmx is proven to be devpts' own, so nothing in /dev can redirect it (CVE-2025-52565).
 */
#include "runtime/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "sys/fd.h"
#include "sys/mounts.h"
#include "sys/path.h"

static int open_master(struct err *e)
{
    struct statfs fs;
    struct stat st;
    auto_fd int fd = path_openat2(AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0,
                                  RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return err_neg(e, fd, "open /dev/pts/ptmx");
    if (fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC || fstat(fd, &st) < 0 ||
        st.st_ino != 2 || st.st_rdev != makedev(5, 2))
        return err_set(e, ERR_INVALID, "/dev/pts/ptmx of the container is not a pty master");
    return take_fd(&fd);
}

static int bind_console(int slave, struct err *e)
{
    const char *path = "/dev/console";
    auto_fd int made =
        path_openat2(AT_FDCWD, path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0666,
                     RESOLVE_NO_MAGICLINKS);
    if (made < 0 && made != -EACCES && made != -ENXIO && made != -EPERM && made != -ENODEV)
        return err_neg(e, made, "create %s", path);
    auto_fd int target =
        path_openat2(AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_MAGICLINKS);
    if (target < 0)
        return err_neg(e, target, "open %s", path);
    auto_fd int mnt = mount_clone(slave, "", false);
    int rc = mnt < 0 ? mnt : mount_attach(mnt, target);
    return rc < 0 ? err_neg(e, rc, "mount %s", path) : 0;
}

int console_plain(int master, struct err *e)
{
    struct termios t;
    if (tcgetattr(master, &t) < 0)
        return err_sys(e, "read the terminal's settings");
    t.c_oflag &= ~(tcflag_t)ONLCR;
    return tcsetattr(master, TCSANOW, &t) < 0 ? err_sys(e, "set the terminal's settings") : 0;
}

int console_setup(const struct oci_console_size *size, int sock, unsigned flags, struct err *e)
{
    unsigned number = 0;
    int unlock = 0;
    char name[32];
    auto_fd int master = open_master(e);
    if (master < 0)
        return -1;
    if (ioctl(master, TIOCGPTN, &number) < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_sys(e, "unlock the pty");
    auto_fd int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_sys(e, "open the pty's slave");
    if (size != NULL && size->height > 0 && size->width > 0) {
        struct winsize ws = {.ws_row = (unsigned short)size->height,
                             .ws_col = (unsigned short)size->width};
        if (ioctl(master, TIOCSWINSZ, &ws) < 0)
            return err_sys(e, "set the terminal's size");
    }
    if ((flags & CONSOLE_PLAIN) != 0)
        TRY(console_plain(master, e)); /* before the process can write anything */
    if ((flags & CONSOLE_BIND) != 0)
        TRY(bind_console(slave, e));
    int n = snprintf(name, sizeof(name), "/dev/pts/%u", number);
    int rc = fd_send(sock, name, (size_t)n, &master, 1);
    if (rc < 0)
        return err_neg(e, rc, "send the terminal");
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(slave, fd) < 0)
            return err_sys(e, "use the terminal");
    if (ioctl(0, TIOCSCTTY, 0) < 0)
        return err_sys(e, "set the controlling terminal");
    return 0;
}
