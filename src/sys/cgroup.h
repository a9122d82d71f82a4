/**
 * Control groups, v1, hybrid and v2, through their file system. A container's cgroup is a list of
 * directories, one per hierarchy: "memory" -> /sys/fs/cgroup/memory/docker/ID; the one with the
 * empty name lies in the unified hierarchy (v2, and the extra one of a hybrid host).
 *
 * What is mounted is read from /proc/self/mountinfo, never guessed from names below /sys/fs/cgroup.
 * Nothing here but a cgroup_door keeps a descriptor.
 */
#ifndef HULL_SYS_CGROUP_H
#define HULL_SYS_CGROUP_H

#include <sys/types.h>

#include "base/err.h"
#include "base/vec.h"

enum cgroup_mode { CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

/* One mounted hierarchy of the host. */
struct cgroup_hier {
    const char *controllers; /* "cpu,cpuacct", "name=systemd"; "" is the unified one */
    const char *mount;       /* where it is mounted */
    const char *base;        /* name of the mount point: "cpu,cpuacct", "systemd", "unified" */
    const char *own;         /* our own cgroup in it, "/" ... */
};

struct cgroup_host {
    enum cgroup_mode mode;
    VEC(struct cgroup_hier) hiers;
};

/** What is mounted, in mount order; all in the arena. Errors: INTERNAL. */
int cgroup_host_read(struct arena *a, struct cgroup_host *out, struct err *e);

/* One directory of a cgroup. */
struct cgroup_dir {
    const char *controllers; /* as in cgroup_hier */
    const char *path;        /* absolute */
    const char *mount;       /* the prefix of path that is the hierarchy's root */
};

struct cgroup {
    enum cgroup_mode mode;
    VEC(struct cgroup_dir) dirs;
};

/**
 * Where a container's cgroup will be. path as linux.cgroupsPath: absolute is below the hierarchies'
 * roots, relative (or "") below our own cgroup (v2: its parent); the last name is id when path is
 * "". ".." never leads out of the hierarchy. Touches nothing.
 */
void cgroup_plan(const struct cgroup_host *host, const char *path, const char *id, struct arena *a,
                 struct cgroup *out);

/** The directory that holds a controller's files, or NULL. On v2 all controllers share "". */
const char *cgroup_path(const struct cgroup *cg, const char *controller);

/**
 * Make the directories; on v2 pass the controllers down, on v1 fill empty cpusets from their
 * parents. On failure those it made are removed again. INTERNAL.
 */
int cgroup_create(const struct cgroup *cg, struct err *e);

/**
 * The way into a cgroup for a process that is about to be born: it is born in the unified hierarchy
 * (clone3, CLONE_INTO_CGROUP) and goes into those of v1 itself, thread by thread, which for a new
 * process is one. Both are the ways that need no lock over all processes: moving another process,
 * or a whole one, takes cgroup_threadgroup_rwsem and with it an RCU grace period, milliseconds
 * (kernel 5.5 and newer, cgroup_procs_write_start).
 */
struct cgroup_door {
    int born;              /* the unified directory, for ns_clone; -1 */
    int tasks[16];         /* the v1 directories' "tasks", open for writing */
    const char *names[16]; /* those directories, for errors; borrowed from the cgroup */
    size_t n;
};

#define CGROUP_DOOR_NONE \
    {                    \
        .born = -1       \
    }

/** Open the way: in the parent, since the child may live where the paths mean something else. */
int cgroup_door_open(const struct cgroup *cg, struct cgroup_door *out, struct err *e);

/** In the child, which has one thread: go through. */
int cgroup_door_enter(const struct cgroup_door *d, struct err *e);

/** NULL-safe on CGROUP_DOOR_NONE. */
void cgroup_door_close(struct cgroup_door *d);

/** Move a process in, where systemd has not done so: into each directory of v1. */
int cgroup_join(const struct cgroup *cg, pid_t pid, struct err *e);

/** v2: give the directory and the files that the kernel calls delegatable to a user. */
int cgroup_delegate(const struct cgroup *cg, uid_t uid, struct err *e);

/** Write one file of a directory. 0 or -errno. */
int cgroup_write(const char *dir, const char *file, const char *text);

/** Read one small file, without the final newline, into text. 0 or -errno. */
int cgroup_read(const char *dir, const char *file, char *text, size_t size);

/** The processes of the cgroup and all below it, sorted; free out->v with vec_done. A cgroup that
 * is gone has none. */
struct cgroup_pids {
    pid_t *v;
    size_t n, cap;
};
int cgroup_procs(const struct cgroup *cg, struct cgroup_pids *out, struct err *e);

/** Freeze or thaw; returns when the kernel says so. Without a freezer: UNIMPLEMENTED for freezing.
 */
int cgroup_freeze(const struct cgroup *cg, bool freeze, struct err *e);

/** True while frozen itself (not through a parent). */
bool cgroup_frozen(const struct cgroup *cg);

/** Signal every process. SIGKILL uses cgroup.kill where there is one, else freeze, kill, thaw. */
int cgroup_kill(const struct cgroup *cg, int signo, struct err *e);

/** Remove the directories and all below them; those that are gone are fine. Waits up to a second
 * for dying processes. */
int cgroup_remove(const struct cgroup *cg, struct err *e);

#endif
