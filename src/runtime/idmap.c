/*
 * Id mappings: see idmap.h. Source: user_namespaces(7), newuidmap(1), mount_setattr(2).
 */
#include "runtime/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "sys/ns.h"
#include "sys/path.h"
#include "sys/spawn.h"

/* ---- of a process ------------------------------------------------------------------------- */

static int put(pid_t pid, const char *file, const char *text, struct err *e)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    int rc = file_put(AT_FDCWD, path, text);
    return rc < 0 ? err_neg(e, rc, "write %s", file) : 0;
}

static int write_map(pid_t pid, const char *file, const struct id_map *m, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    for (size_t i = 0; i < m->n; i++)
        buf_printf(&text, "%llu %llu %llu\n", (unsigned long long)m->v[i].container_id,
                   (unsigned long long)m->v[i].host_id, (unsigned long long)m->v[i].size);
    return m->n == 0 ? 0 : put(pid, file, buf_cstr(&text), e);
}

/* newuidmap PID INSIDE OUTSIDE COUNT ... */
static int run_tool(const char *tool, pid_t pid, const struct id_map *m, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const char **argv = arena_alloc_array(a, 3 + 3 * m->n, sizeof(*argv));
    size_t n = 0;
    int status = 0;
    struct proc child = PROC_NONE;
    argv[n++] = tool;
    argv[n++] = arena_printf(a, "%d", (int)pid);
    for (size_t i = 0; i < m->n; i++) {
        argv[n++] = arena_printf(a, "%llu", (unsigned long long)m->v[i].container_id);
        argv[n++] = arena_printf(a, "%llu", (unsigned long long)m->v[i].host_id);
        argv[n++] = arena_printf(a, "%llu", (unsigned long long)m->v[i].size);
    }
    struct spawn_fd said = {2, 2};
    TRY(spawn(&(struct spawn_opts){.path = tool, .argv = argv, .fds = &said, .n_fds = 1}, &child,
              e));
    int rc = proc_wait(&child, -1, -1, &status, e);
    proc_done(&child);
    TRY(rc);
    return status == 0 ? 0
                       : err_set(e, ERR_FORBIDDEN, "%s failed with exit status %d", tool, status);
}

static bool is_own(const struct id_map *m, unsigned own)
{
    return m->n == 1 && m->v[0].size == 1 && m->v[0].host_id == own;
}

int idmap_write(pid_t pid, const struct id_maps *m, struct err *e)
{
    if (geteuid() == 0) {
        TRY(write_map(pid, "uid_map", &m->uid, e));
        return write_map(pid, "gid_map", &m->gid, e);
    }
    if (is_own(&m->uid, geteuid()))
        TRY(write_map(pid, "uid_map", &m->uid, e));
    else
        TRY(run_tool("newuidmap", pid, &m->uid, e));
    if (!is_own(&m->gid, getegid()))
        return run_tool("newgidmap", pid, &m->gid, e);
    /* groups may forbid something: who maps them alone must not be able to drop them */
    TRY(put(pid, "setgroups", "deny", e));
    return write_map(pid, "gid_map", &m->gid, e);
}

/* ---- processes that do nothing but be in a user namespace ----------------------------------- */

/* It ends when we close the socket, or end ourselves. */
struct holder {
    pid_t pid;
    int sock;
};

static _Noreturn void hold(int sock, int join)
{
    char byte = 0;
    if (join >= 0 && setns(join, CLONE_NEWUSER) < 0)
        _exit(1);
    (void)fd_write_all(sock, &byte, 1);
    (void)fd_read_all(sock, &byte, 1);
    _exit(0);
}

static void end_holder(struct holder *h)
{
    fd_close(h->sock);
    while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* join: the namespace to be in; -1: a new one. */
static int start_holder(int join, struct holder *out, struct err *e)
{
    int sock[2];
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0)
        return err_sys(e, "socketpair");
    struct holder h = {.pid = ns_clone(join < 0 ? CLONE_NEWUSER : 0, -1, NULL), .sock = sock[0]};
    if (h.pid == 0) {
        fd_close(sock[0]);
        hold(sock[1], join);
    }
    fd_close(sock[1]);
    int rc = h.pid < 0 ? h.pid : fd_read_all(h.sock, &byte, 1);
    if (rc < 0) {
        end_holder(&h);
        return err_neg(e, rc, "a process in a user namespace");
    }
    *out = h;
    return 0;
}

/* ---- of a namespace that is there ----------------------------------------------------------- */

static bool has_extent(const struct id_map *m, const uint64_t line[3])
{
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].container_id == line[0] && m->v[i].host_id == line[1] &&
            m->v[i].size == line[2])
            return true;
    return false;
}

/* uid_map and gid_map list extents, sorted or not: 1 when they are those of m. */
static int map_is(pid_t pid, const char *file, const struct id_map *m, struct err *e)
{
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    TRY(file_read(AT_FDCWD, path, &text, e));
    for (struct str rest = str_of(buf_cstr(&text)); rest.n > 0; n++) {
        struct str line = str_cut(&rest, '\n');
        uint64_t words[3] = {0};
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            struct str word = {0};
            while (line.n > 0 && word.n == 0)
                word = str_cut(&line, ' ');
            if (!str_to_u64(word, 0, UINT64_MAX, &words[i]))
                return err_set(e, ERR_INTERNAL, "unreadable %s", path);
        }
        if (!has_extent(m, words))
            return 0;
    }
    return n == m->n;
}

int idmap_is(int userns_fd, const struct id_maps *m, struct err *e)
{
    struct holder holder; /* only a process that is in it shows them */
    TRY(start_holder(userns_fd, &holder, e));
    int same = map_is(holder.pid, "uid_map", &m->uid, e);
    if (same > 0)
        same = map_is(holder.pid, "gid_map", &m->gid, e);
    end_holder(&holder);
    return same;
}

/* ---- of mounts ---------------------------------------------------------------------------- */

static bool same_map(const struct id_map *a, const struct id_map *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = a->v[i].container_id == b->v[i].container_id && a->v[i].host_id == b->v[i].host_id &&
               a->v[i].size == b->v[i].size;
    return same;
}

static int open_userns(pid_t pid, struct err *e)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open %s", path) : fd;
}

int idmap_userns(struct idmap_cache *c, const struct id_maps *m, struct err *e)
{
    vec_each(ns, &c->known)
        if (same_map(&ns->maps.uid, &m->uid) && same_map(&ns->maps.gid, &m->gid))
            return ns->fd;
    struct holder holder;
    TRY(start_holder(-1, &holder, e));
    int fd = idmap_write(holder.pid, m, e) < 0 ? -1 : open_userns(holder.pid, e);
    end_holder(&holder); /* the descriptor keeps the namespace */
    if (fd >= 0)
        vec_push(&c->known, ((struct idmap_ns){*m, fd}));
    return fd;
}

int idmap_userns_new(const struct userns_maps *m, struct err *e)
{
    struct holder holder;
    TRY(start_holder(-1, &holder, e));
    int fd = userns_write(holder.pid, m, e) < 0 ? -1 : open_userns(holder.pid, e);
    end_holder(&holder);
    return fd;
}

void idmap_done(struct idmap_cache *c)
{
    vec_each(ns, &c->known)
        fd_close(ns->fd);
    vec_done(&c->known);
}
