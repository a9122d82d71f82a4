/*
 * Filters that were built before: see seccomp_build_cached. One file a profile, named by a hash of
 * its text; the text itself stands in the file and must be equal, so a collision only costs time.
 * Files appear whole (rename) and are never changed; when there are too many all go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"
#include "sys/fd.h"
#include "sys/ns.h"

#define CACHE_DIR "@seccomp" /* '@' is in no container's id */
#define FILES_MAX 64
#define KEY_MAX (1 << 20)

struct head {
    char magic[8];
    uint32_t key_n, code_n, flags;
};
static const char magic[8] = "hullbpf1";

/* What the program depends on: the profile, the library, ourselves. */
static void make_key(const struct oci_seccomp *s, struct buf *out)
{
    const struct scmp_version *v = seccomp_version();
    buf_printf(out, "%s %u.%u.%u %x ", HULL_VERSION, v->major, v->minor, v->micro,
               seccomp_arch_native());
    json_write(&oci_seccomp_json, s, out);
}

static uint64_t hash_of(const struct buf *key)
{
    uint64_t h = 14695981039346656037ULL; /* FNV-1a */
    for (size_t i = 0; i < key->n; i++)
        h = (h ^ (unsigned char)key->p[i]) * 1099511628211ULL;
    return h;
}

/* Only root's own, unshared directory is trusted. */
static int open_cache(const char *root)
{
    struct stat st;
    auto_free char *path = mem_printf("%s/" CACHE_DIR, root != NULL ? root : HULLRUN_DEFAULT_ROOT);
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    auto_fd int fd = open(path, flags);
    if (fd < 0 && errno == ENOENT && mkdir(path, 0700) == 0)
        fd = open(path, flags);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return -1;
    return take_fd(&fd);
}

static bool load(int dir, const char *name, const struct buf *key, struct seccomp_program *out)
{
    struct head h;
    auto_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, &h, sizeof(h)) < 0 ||
        memcmp(h.magic, magic, sizeof(magic)) != 0 || h.key_n != key->n || h.code_n == 0 ||
        h.code_n > SECCOMP_INSNS_MAX)
        return false;
    auto_free char *theirs = mem_alloc(key->n);
    if (fd_read_all(fd, theirs, key->n) < 0 || memcmp(theirs, key->p, key->n) != 0 ||
        fd_read_all(fd, out->code, h.code_n * sizeof(out->code[0])) < 0)
        return false;
    out->n = h.code_n;
    out->flags = h.flags;
    return true;
}

static void make_room(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    size_t n = 0;
    if (d == NULL)
        return fd_close(copy);
    while (readdir(d) != NULL) /* NOLINT(concurrency-mt-unsafe) */
        n++;
    if (n > FILES_MAX) {
        rewinddir(d);
        for (struct dirent *ent; (ent = readdir(d)) != NULL;) /* NOLINT(concurrency-mt-unsafe) */
            (void)unlinkat(dir, ent->d_name, 0);
    }
    closedir(d);
}

static void save(int dir, const char *name, const struct buf *key, const struct seccomp_program *p)
{
    struct head h = {.key_n = (uint32_t)key->n, .code_n = (uint32_t)p->n, .flags = p->flags};
    char tmp[64];
    memcpy(h.magic, magic, sizeof(magic));
    (void)snprintf(tmp, sizeof(tmp), "%s.%d", name, (int)getpid());
    make_room(dir);
    auto_fd int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (fd_write_all(fd, &h, sizeof(h)) < 0 || fd_write_all(fd, key->p, key->n) < 0 ||
        fd_write_all(fd, p->code, p->n * sizeof(p->code[0])) < 0 ||
        renameat(dir, tmp, dir, name) < 0)
        (void)unlinkat(dir, tmp, 0);
}

/* Build and save in a child, so that the memory libseccomp takes for its trees (more than all else
 * of ours) is gone with it. False: see for yourself why not. out is shared with the child. */
static bool build_aside(int dir, const char *name, const struct buf *key,
                        const struct oci_seccomp *s, struct seccomp_program *out)
{
    int status = -1;
    pid_t pid = ns_clone(0, -1, NULL);
    if (pid == 0) {
        struct err e = {0};
        if (seccomp_build(s, out, &e) < 0)
            _exit(1);
        save(dir, name, key, out);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return pid > 0 && status == 0;
}

int seccomp_build_cached(const char *root, const struct oci_seccomp *s, struct seccomp_program *out,
                         struct err *e)
{
    CLEANUP(buf_done) struct buf key = BUF_MAX(KEY_MAX);
    char name[24];
    auto_fd int dir = open_cache(root);
    make_key(s, &key);
    if (dir < 0 || key.over)
        return seccomp_build(s, out, e);
    (void)snprintf(name, sizeof(name), "%016llx", (unsigned long long)hash_of(&key));
    if (load(dir, name, &key, out) || build_aside(dir, name, &key, s, out))
        return 0;
    TRY(seccomp_build(s, out, e));
    save(dir, name, &key, out);
    return 0;
}
