/*
 * tmpcopyup: what the image has at the place of a tmpfs is copied into it, before it covers that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/mounting.h"
#include "sys/fd.h"

static int copy_dir(int from, int to, unsigned depth, struct err *e);

static int copy_file(int source, int to, const char *name, const struct stat *st, struct err *e)
{
    char path[64]; /* the host's procfs as yet */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", source);
    auto_fd int in = open(path, O_RDONLY | O_CLOEXEC);
    auto_fd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return err_sys(e, "copy %s", name);
    for (;;) {
        char chunk[65536];
        ssize_t n = read(in, chunk, sizeof(chunk));
        if (n < 0)
            return err_sys(e, "copy %s", name);
        if (n == 0)
            break;
        int rc = fd_write_all(out, chunk, (size_t)n);
        if (rc < 0)
            return err_neg(e, rc, "copy %s", name);
    }
    if (fchown(out, st->st_uid, st->st_gid) < 0 || fchmod(out, st->st_mode & 07777) < 0)
        return err_sys(e, "copy %s", name);
    return 0;
}

/* All by one descriptor: another container on the same volume may swap the name for a device. */
static int copy_entry(int from, int to, const char *name, unsigned depth, struct err *e)
{
    struct stat st;
    auto_fd int source = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0 || fstat(source, &st) < 0)
        return err_sys(e, "copy %s", name);
    if (S_ISREG(st.st_mode))
        return copy_file(source, to, name, &st, e);
    if (S_ISLNK(st.st_mode)) {
        char text[4096];
        ssize_t n = readlinkat(source, "", text, sizeof(text) - 1);
        if (n < 0)
            return err_sys(e, "copy %s", name);
        text[n] = '\0';
        if (symlinkat(text, to, name) < 0 ||
            fchownat(to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(e, "copy %s", name);
        return 0;
    }
    if (!S_ISDIR(st.st_mode)) /* sockets and devices of an image mean nothing in a tmpfs */
        return 0;
    if (mkdirat(to, name, 0700) < 0)
        return err_sys(e, "copy %s", name);
    auto_fd int sub_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub_to < 0)
        return err_sys(e, "copy %s", name);
    TRY(copy_dir(source, sub_to, depth + 1, e));
    if (fchown(sub_to, st.st_uid, st.st_gid) < 0 || fchmod(sub_to, st.st_mode & 07777) < 0)
        return err_sys(e, "copy %s", name);
    return 0;
}

static int copy_dir(int from, int to, unsigned depth, struct err *e)
{
    if (depth > 64)
        return err_set(e, ERR_TOO_LARGE, "tmpcopyup: directories nested too deep");
    int list = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = list < 0 ? NULL : fdopendir(list);
    if (d == NULL) {
        fd_close(list);
        return err_sys(e, "tmpcopyup");
    }
    int rc = 0;
    for (struct dirent *ent;
         rc == 0 && (ent = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
            rc = copy_entry(from, to, ent->d_name, depth, e);
    closedir(d);
    return rc;
}

int mounting_copy_up(int from, int to, struct err *e)
{
    return copy_dir(from, to, 0, e);
}
