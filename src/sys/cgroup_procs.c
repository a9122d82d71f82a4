/*
 * The processes of a cgroup: listing, freezing, killing, removing. See cgroup.h. Every walk goes
 * through descriptors, because a container may rename and remove cgroups of its own meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/str.h"
#include "base/time.h"
#include "sys/cgroup.h"
#include "sys/fd.h"

#define DEPTH_MAX 64
#define FREEZE_TRIES 1000
#define REMOVE_MS 1000

static int read_procs(int dir_fd, struct cgroup_pids *out)
{
    auto_fd int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    CLEANUP(buf_done) struct buf b = BUF_MAX(64 << 20);
    if (fd < 0)
        return -errno;
    int r = fd_read_to_end(fd, &b);
    if (r < 0)
        return r;
    for (struct str rest = str_of(buf_cstr(&b)); rest.n > 0;) {
        int64_t pid;
        if (str_to_i64(str_cut(&rest, '\n'), 1, INT32_MAX, &pid))
            vec_push(out, (pid_t)pid);
    }
    return 0;
}

/* Visit dir_fd (taken) and every directory below it; children first when `remove`. */
static int walk(int dir_fd, int depth, bool remove, struct cgroup_pids *out)
{
    DIR *d = fdopendir(dir_fd);
    if (d == NULL) {
        fd_close(dir_fd);
        return -errno;
    }
    int r = remove ? 0 : read_procs(dirfd(d), out);
    if (r == -EOPNOTSUPP || r == -ENODEV || r == -ENOENT) /* threaded, or just removed */
        r = 0;
    for (struct dirent *ent;
         r == 0 && (ent = readdir(d)) != NULL;) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        if (ent->d_type != DT_DIR || ent->d_name[0] == '.' || depth > DEPTH_MAX)
            continue;
        int sub = openat(dirfd(d), ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0)
            r = walk(sub, depth + 1, remove, out);
        if (remove && r == 0)
            (void)unlinkat(dirfd(d), ent->d_name, AT_REMOVEDIR); /* the caller tries again */
    }
    closedir(d);
    return r;
}

static int compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return x < y ? -1 : x > y;
}

int cgroup_procs(const struct cgroup *cg, struct cgroup_pids *out, struct err *e)
{
    const char *dir = cgroup_path(cg, "devices");
    if (dir == NULL)
        dir = cgroup_path(cg, "");
    if (dir == NULL && cg->dirs.n > 0)
        dir = cg->dirs.v[0].path;
    int fd = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return dir == NULL || errno == ENOENT ? 0 : err_sys(e, "open %s", dir);
    int r = walk(fd, 0, false, out);
    if (r < 0)
        return err_neg(e, r, "read the processes of %s", dir);
    if (out->n > 1)
        qsort(out->v, out->n, sizeof(out->v[0]), compare_pids);
    return 0;
}

/* ---- freezing ----------------------------------------------------------------------------- */

static bool has_word(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    return at != NULL && (at == text || at[-1] == '\n');
}

static int freeze_v2(const char *dir, bool freeze, struct err *e)
{
    auto_fd int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_fd int events = dir_fd < 0 ? -1 : openat(dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    int r = events < 0 ? -errno : cgroup_write(dir, "cgroup.freeze", freeze ? "1" : "0");
    if (r < 0)
        return err_neg(e, r, "write %s/cgroup.freeze", dir);
    for (int i = 0; i < FREEZE_TRIES; i++) {
        char text[256];
        ssize_t n = pread(events, text, sizeof(text) - 1, 0);
        if (n < 0)
            return err_sys(e, "read %s/cgroup.events", dir);
        text[n] = '\0';
        if (has_word(text, freeze ? "frozen 1" : "frozen 0"))
            return 0;
        struct pollfd p = {.fd = events, .events = POLLPRI};
        (void)poll(&p, 1, 10);
    }
    (void)cgroup_write(dir, "cgroup.freeze", "0");
    return err_set(e, ERR_TIMEOUT, "timeout waiting for cgroup to freeze");
}

static int freeze_v1(const char *dir, bool freeze, struct err *e)
{
    const char *want = freeze ? "FROZEN" : "THAWED";
    for (int i = 0; i < FREEZE_TRIES; i++) {
        char state[32];
        int r = cgroup_write(dir, "freezer.state", want);
        if (r == 0)
            r = cgroup_read(dir, "freezer.state", state, sizeof(state));
        if (r < 0)
            return err_neg(e, r, "write %s/freezer.state", dir);
        if (strcmp(state, want) == 0)
            return 0;
        if (i % 50 == 49) { /* a new task may keep it FREEZING for ever: let it settle */
            (void)cgroup_write(dir, "freezer.state", "THAWED");
            usleep(10000);
        } else {
            usleep(i < 10 ? 50 : 1000);
        }
    }
    (void)cgroup_write(dir, "freezer.state", "THAWED");
    return err_set(e, ERR_TIMEOUT, "unable to freeze");
}

int cgroup_freeze(const struct cgroup *cg, bool freeze, struct err *e)
{
    const char *dir = cgroup_path(cg, "freezer");
    if (dir == NULL)
        return freeze ? err_set(e, ERR_UNIMPLEMENTED, "cgroup not supported: no freezer") : 0;
    return cg->mode == CGROUP_V2 ? freeze_v2(dir, freeze, e) : freeze_v1(dir, freeze, e);
}

bool cgroup_frozen(const struct cgroup *cg)
{
    const char *dir = cgroup_path(cg, "freezer");
    char text[32];
    if (dir == NULL)
        return false;
    const char *file = cg->mode == CGROUP_V2 ? "cgroup.freeze" : "freezer.self_freezing";
    return cgroup_read(dir, file, text, sizeof(text)) == 0 && strcmp(text, "1") == 0;
}

/* ---- killing and removing ------------------------------------------------------------------- */

int cgroup_kill(const struct cgroup *cg, int signo, struct err *e)
{
    const char *unified = cg->mode == CGROUP_V1 ? NULL : cgroup_path(cg, "");
    if (signo == SIGKILL && unified != NULL) {
        int r = cgroup_write(unified, "cgroup.kill", "1");
        if (r == 0)
            return cgroup_freeze(cg, false, e); /* v1 does not kill what is frozen */
        if (r == -ENOENT && access(unified, F_OK) < 0)
            return 0;
    }
    struct err ignored = {0};
    struct cgroup_pids pids = {0};
    bool was_frozen = cgroup_frozen(cg);
    if (!was_frozen)
        (void)cgroup_freeze(cg, true, &ignored); /* without a freezer a fork may slip through */
    int rc = cgroup_procs(cg, &pids, e);
    vec_each(pid, &pids)
        if (kill(*pid, signo) < 0 && errno != ESRCH && rc == 0)
            rc = err_sys(e, "kill %d", (int)*pid);
    vec_done(&pids);
    if (!was_frozen || signo == SIGKILL)
        (void)cgroup_freeze(cg, false, &ignored);
    return rc;
}

static int remove_dir(const char *path, struct err *e)
{
    int64_t deadline = time_mono_ns() + REMOVE_MS * NS_PER_MS;
    for (int wait_us = 500;; wait_us *= 2) {
        if (rmdir(path) == 0 || errno == ENOENT)
            return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
            return err_sys(e, "remove cgroup %s", path);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            (void)walk(fd, 0, true, NULL); /* what stays makes rmdir fail again */
        if (rmdir(path) == 0 || errno == ENOENT)
            return 0;
        if (time_mono_ns() > deadline)
            return err_sys(e, "remove cgroup %s", path);
        usleep((useconds_t)MIN(wait_us, 50000));
    }
}

int cgroup_remove(const struct cgroup *cg, struct err *e)
{
    int rc = 0;
    vec_each(d, &cg->dirs) {
        struct err one = {0};
        if (remove_dir(d->path, &one) < 0 && rc == 0) {
            *e = one;
            rc = -1;
        }
    }
    return rc;
}
