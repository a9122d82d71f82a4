/**
 * libhullrun: turn a bundle into a container, without a program of its own in between.
 *
 * Two callers: hull-runc (one command, then it exits) and the shim (lives as long as the container
 * and must never block). The plain functions block and must be called by a single-threaded process
 * that has nothing else to do: they clone, run hooks and wait for them, and may enter namespaces.
 * The shim therefore uses the jobs: a job is the same function run in a child cloned from the
 * caller (no exec), which reports over a SEQPACKET socket and exits; the caller polls one
 * descriptor.
 *
 *     struct hullrun_create_opts o = {.root = ..., .id = ..., .bundle = ..., .stdio = {0, 1, 2}};
 *     TRY(hullrun_create_begin(&o, &job, e));        // returns at once
 *     ... poll job.fd for POLLIN ...
 *     TRY(hullrun_job_finish(&job, &result, e));     // does not block once job.fd is readable
 *
 * Who owns the container's process: it is a child of the process that called hullrun_create or
 * hullrun_exec. When that was a job it is re-parented, as soon as the job has exited, to the
 * nearest subreaper, so a caller of jobs must be a subreaper (PR_SET_CHILD_SUBREAPER). A job's own
 * process is a child of the caller: hullrun_job_finish reaps it; a waitpid(-1) loop must leave
 * job.pid to it, or call hullrun_job_reaped.
 *
 * Errors carry runc's words; kinds: NOT_FOUND ("container does not exist"), EXISTS (id in use),
 * CONFLICT (wrong state: "container not running", "cannot start ..."), INVALID (config.json or
 * arguments), UNIMPLEMENTED, INTERNAL.
 */
#ifndef HULL_RUNTIME_RUNTIME_H
#define HULL_RUNTIME_RUNTIME_H

#include <sys/types.h>

#include "base/err.h"
#include "base/json.h"
#include "types/oci_runtime.h"

/* the newest specification of which we know every field */
#define HULLRUN_VERSION_SPEC "1.3.0"
#define HULLRUN_DEFAULT_ROOT "/run/hull-runc"

enum hullrun_level { HULLRUN_WARNING, HULLRUN_DEBUG };

/** Who hears what is no error: warnings (a capability that was left out) and, with debug, steps. */
struct hullrun_log {
    void (*line)(void *arg, enum hullrun_level level, const char *msg); /* NULL: nobody */
    void *arg;
    bool debug; /* false: no debug lines are made */
};

/** What create and exec have in common. */
struct hullrun_io {
    int fd[3]; /* stdin, stdout, stderr of the process; -1: /dev/null. Unused with a terminal. */
    int console_sock; /* connected SOCK_STREAM unix socket: gets the terminal's master (one message,
                         name + descriptor); -1: none */
    bool want_console; /* the master comes back in the result instead (needs process.terminal) */
    bool plain_output; /* the terminal adds no carriage returns: its output goes to another one */
    const char *pidfd_socket; /* listening socket that gets the process' pidfd; or NULL */
    size_t preserve_fds; /* descriptors 3 ... 3 + n - 1 of the caller are passed on as they are */
    size_t listen_fds;   /* the first of these are sockets from a service manager: the process is
                            told so (LISTEN_FDS) */
};

/* Whether refused cgroups are no failure, as containers of ordinary users have none. AUTO: when we
 * are an ordinary user, or in a user namespace. */
enum hullrun_rootless { HULLRUN_ROOTLESS_AUTO, HULLRUN_ROOTLESS_YES, HULLRUN_ROOTLESS_NO };

struct hullrun_create_opts {
    const char *root;   /* state directory; NULL: HULLRUN_DEFAULT_ROOT. Made (0700) when missing */
    const char *id;     /* [A-Za-z0-9_+.-]+, not "." or ".." */
    const char *bundle; /* directory of config.json; relative paths in it start here */
    const char *config; /* another path of config.json, or NULL */
    const char *pid_file; /* absolute; written (tmp, rename) before returning; or NULL */
    struct hullrun_io io;
    bool systemd_cgroup; /* a unit of systemd; linux.cgroupsPath is "slice:prefix:name" */
    bool no_pivot;       /* MS_MOVE and chroot instead of pivot_root */
    bool no_new_keyring; /* stay in the caller's session keyring */
    enum hullrun_rootless rootless;
    bool run;    /* do not wait for hullrun_start: the program runs when this returns */
    int *notify; /* not NULL: the program may tell a service manager that it is ready (sd_notify);
                    with run it gets the socket, the caller's, else see hullrun_notify_listen */
    struct hullrun_log log;
};

struct hullrun_exec_opts {
    const char *root, *id;
    const struct oci_process *process; /* complete: args, env, cwd, user; absent capabilities,
                                          rlimits, labels come from the container's config */
    const char *pid_file;              /* as above */
    const struct strv *cgroups; /* "[CONTROLLER,...:]PATH" below the container's; NULL: its own */
    struct hullrun_io io;
    bool ignore_paused;
    struct hullrun_log log;
};

/** What create and exec made. */
struct hullrun_result {
    pid_t pid;   /* in the caller's pid namespace */
    int pidfd;   /* owned by the receiver; -1 after start, kill, delete */
    int console; /* the terminal's master, when want_console; else -1; owned by the receiver */
};

/** Close what the result holds. NULL is fine. */
void hullrun_result_done(struct hullrun_result *r);

/**
 * Make the container and stop just before its program: namespaces, mounts, limits, hooks up to
 * createContainer. On failure nothing stays behind: no process, mount, cgroup or state directory.
 * runtime-spec runtime.md, "Create".
 */
int hullrun_create(const struct hullrun_create_opts *o, struct hullrun_result *out, struct err *e);

/** The socket that a created container's program will use to say that it is ready, to be made
 * before hullrun_start; *out is -1 when it was created without. */
int hullrun_notify_listen(const char *root, const char *id, int *out, struct err *e);

/** Let the program of a created container run; runs startContainer and poststart hooks. */
int hullrun_start(const char *root, const char *id, struct err *e);

/**
 * The same for a caller that may not wait: 1 started, 0 nothing done because there are poststart
 * hooks, which take their time. Does not block but for the state directory's small files.
 */
int hullrun_start_hookless(const char *root, const char *id, struct err *e);

/** Start a further process in a running container; returns when its program runs (or cannot). */
int hullrun_exec(const struct hullrun_exec_opts *o, struct hullrun_result *out, struct err *e);

/**
 * Send a signal. Only the init process gets it, unless all is set or signo is SIGKILL and the
 * container shares a pid namespace: then every process of its cgroup. Does not block. CONFLICT
 * "container not running".
 */
int hullrun_kill(const char *root, const char *id, int signo, bool all, struct err *e);

/**
 * Remove a stopped container: cgroups, state directory; poststop hooks. A created one is killed
 * first; any with force (which also makes an unknown id no error). CONFLICT "cannot delete
 * container X that is not stopped: running". Blocks up to 10 s for the processes to end.
 */
int hullrun_delete(const char *root, const char *id, bool force, struct err *e);

/** Freeze or thaw all processes. Blocks until frozen (tens of milliseconds at most normally). */
int hullrun_pause(const char *root, const char *id, struct err *e);
int hullrun_resume(const char *root, const char *id, struct err *e);

/** Write new limits. Absent fields stay as they are; devices are never touched. */
int hullrun_update(const char *root, const char *id, const struct oci_resources *r, struct err *e);

/** New shares of cache and memory bandwidth; either may be NULL. INVALID in runc's words where
 * there is no Intel RDT, or the container was made without. */
int hullrun_update_rdt(const char *root, const char *id, const char *l3_cache, const char *mem_bw,
                       struct err *e);

/** How criu is to do its work: its own options. Paths may be relative. */
struct hullrun_criu_opts {
    const char *image_path;  /* directory of the images; a checkpoint makes it */
    const char *work_path;   /* directory of criu's log, made when missing; NULL: image_path */
    const char *parent_path; /* of an earlier pre-dump, relative to image_path; NULL: none */
    const char *page_server; /* address that gets the memory instead; NULL: none */
    int page_server_port;
    const char *manage_cgroups; /* "soft", "full", "strict", "ignore"; NULL: criu's default */
    const char *lsm_profile, *lsm_mount_context; /* restore: other labels; NULL: the dumped ones */
    int status_fd; /* with lazy_pages: gets a zero byte when memory can be fetched; -1 */
    bool leave_running, pre_dump, lazy_pages, tcp_established, tcp_skip_in_flight, link_remap,
        ext_unix_sk, shell_job, file_locks, auto_dedup;
};

/**
 * Write the processes of a running or paused container into images, by criu. Unless they are left
 * running (or it is a pre-dump, of memory alone) they have ended then, and the caller deletes the
 * container. NOT_FOUND when there is no criu; CONFLICT "Container cannot be checkpointed in %s
 * state". What criu says on failure goes to log as warnings.
 */
int hullrun_checkpoint(const char *root, const char *id, const struct hullrun_criu_opts *o,
                       const struct hullrun_log *log, struct err *e);

/**
 * Make a container whose processes go on where a checkpoint left them; its program runs when this
 * returns. create: as for hullrun_create with run; of its hooks prestart and createRuntime are run.
 * The calling process is in a mount namespace of its own for a moment, so it must be
 * single-threaded. On failure nothing stays behind.
 */
int hullrun_restore(const struct hullrun_create_opts *create, const struct hullrun_criu_opts *o,
                    struct hullrun_result *out, struct err *e);

/** All processes of the container's cgroup, host pids, sorted; caller frees out->v with vec_done.
 */
struct hullrun_pids {
    pid_t *v;
    size_t n, cap;
};
int hullrun_ps(const char *root, const char *id, struct hullrun_pids *out, struct err *e);

enum hullrun_status { HULLRUN_CREATED, HULLRUN_RUNNING, HULLRUN_PAUSED, HULLRUN_STOPPED };
const char *hullrun_status_name(enum hullrun_status s);

/* What `state` prints: the members of OCI's state plus runc's. pid is 0 when stopped. */
#define HULLRUN_STATE(T, F)                               \
    F(T, str, oci_version, "ociVersion", 0)               \
    F(T, str, id, "id", 0)                                \
    F(T, i64, pid, "pid", 0)                              \
    F(T, str, status, "status", 0)                        \
    F(T, str, bundle, "bundle", 0)                        \
    F(T, str, rootfs, "rootfs", 0)                        \
    F(T, time, created, "created", 0)                     \
    F(T, map, annotations, "annotations", JSON_OMITEMPTY) \
    F(T, str, owner, "owner", 0)
JSON_TYPE(hullrun_state, HULLRUN_STATE)

/** The container's state now; everything in the arena. Does not block. NOT_FOUND. */
int hullrun_get_state(const char *root, const char *id, struct arena *a, struct hullrun_state *out,
                      struct err *e);

/**
 * The cgroup directories of a container for statistics: "memory" -> "/sys/fs/cgroup/memory/..." on
 * cgroup v1; "" is the directory in the unified hierarchy (v2 and hybrid). In the arena.
 */
int hullrun_cgroup_paths(const char *root, const char *id, struct arena *a, struct strmap *out,
                         struct err *e);

/**
 * Make our own program file unwritable for containers (CVE-2019-5736): unless it already runs from
 * a read-only mount or a sealed memfd, execute it again from a read-only, detached mount of itself.
 * Call first in main of every program that uses this library, before any thread, with main's argv.
 * Returns 0 when the process is protected; -1 when that is impossible.
 */
int hullrun_seal_self(char **argv, struct err *e);

/** A descriptor of our own program, protected like that: what a process that will run containers
 * is executed from at once, so that it need not do it again. -1 on failure. */
int hullrun_seal_open(struct err *e);

/* ---- jobs --------------------------------------------------------------------------------- */

struct hullrun_job {
    pid_t pid; /* the job's own process, not the container's; 0: none or finished */
    int fd;    /* poll for POLLIN (POLLHUP counts too); -1: none */
};

#define HULLRUN_JOB_NONE   \
    {                      \
        .pid = 0, .fd = -1 \
    }

/**
 * Begin one of the functions above in a child. All opts are borrowed for the call only (the child
 * has its copy). The child keeps of the caller's descriptors only those of opts->io and the
 * preserved ones. INTERNAL when it cannot be cloned.
 */
int hullrun_create_begin(const struct hullrun_create_opts *o, struct hullrun_job *out,
                         struct err *e);
int hullrun_exec_begin(const struct hullrun_exec_opts *o, struct hullrun_job *out, struct err *e);
int hullrun_start_begin(const char *root, const char *id, struct hullrun_job *out, struct err *e);
int hullrun_kill_begin(const char *root, const char *id, int signo, bool all,
                       struct hullrun_job *out, struct err *e);
int hullrun_delete_begin(const char *root, const char *id, bool force, struct hullrun_job *out,
                         struct err *e);
int hullrun_pause_begin(const char *root, const char *id, bool pause, struct hullrun_job *out,
                        struct err *e);
int hullrun_checkpoint_begin(const char *root, const char *id, const struct hullrun_criu_opts *o,
                             struct hullrun_job *out, struct err *e);
int hullrun_restore_begin(const struct hullrun_create_opts *create,
                          const struct hullrun_criu_opts *o, struct hullrun_job *out,
                          struct err *e);
int hullrun_update_begin(const char *root, const char *id, const struct oci_resources *r,
                         struct hullrun_job *out, struct err *e);

/**
 * Take the result: the job's own error, or its result. Blocks until the job has reported (not at
 * all once job->fd was readable) and reaps it. out may be NULL for jobs without a result. The job
 * is empty afterwards, in every case.
 */
int hullrun_job_finish(struct hullrun_job *job, struct hullrun_result *out, struct err *e);

/** The caller's waitpid(-1) got job->pid: finish will not wait for it again. */
void hullrun_job_reaped(struct hullrun_job *job);

/** Give up: kill the job's process and reap it. A container it may have made half is undone by
 * hullrun_delete with force. */
void hullrun_job_cancel(struct hullrun_job *job);

#endif
