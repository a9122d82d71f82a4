/*
 * Hooks: see hooks.h. Output goes to memfds, so a hook that writes much cannot block us and what it
 * said can still be quoted. Source: runtime-spec config.md "POSIX-platform Hooks".
 */
#include "runtime/hooks.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define QUOTED_MAX 512

/* The last bytes that were written to a memfd. */
static void tail_of(int fd, char out[static QUOTED_MAX + 1])
{
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    off_t from = end > QUOTED_MAX ? end - QUOTED_MAX : 0;
    ssize_t n = end > 0 ? pread(fd, out, QUOTED_MAX, from) : 0;
    out[n > 0 ? n : 0] = '\0';
}

/* As Go prints the end of a process: "exit status 3", "signal: bad system call". */
static void describe(int status, char *out, size_t size)
{
    const char *name = status > 128 ? sigdescr_np(status - 128) : NULL;
    int n = name == NULL ? snprintf(out, size, "exit status %d", status)
                         : snprintf(out, size, "signal: %s", name);
    for (int i = 0; name != NULL && i < n; i++)
        out[i] = (char)tolower((unsigned char)out[i]);
}

static int run_one(const char *kind, const struct hook_list *hooks, size_t index, struct buf *state,
                   const char *dir, struct err *e)
{
    const struct oci_hook *h = &hooks->v[index];
    auto_fd int in = fd_memfd("state", state->p, state->n);
    auto_fd int out = memfd_create("hook-stdout", MFD_CLOEXEC);
    auto_fd int err = memfd_create("hook-stderr", MFD_CLOEXEC);
    if (in < 0 || out < 0 || err < 0)
        return err_sys(e, "error running %s hook #%zu", kind, index);
    const char **argv = mem_alloc_array(h->args.n + 2, sizeof(*argv));
    const char **envp = mem_alloc_array(h->env.n + 1, sizeof(*envp));
    argv[0] = h->path;
    for (size_t i = 0; i < h->args.n; i++)
        argv[i] = h->args.v[i];
    for (size_t i = 0; i < h->env.n; i++)
        envp[i] = h->env.v[i];
    bool inherits = h->env.n == 0 && hooks->envp != NULL;
    struct spawn_fd fds[] = {{0, in}, {1, out}, {2, err}};
    struct spawn_opts o = {.path = h->path,
                           .argv = argv,
                           .envp = inherits ? (const char *const *)hooks->envp : envp,
                           .fds = fds,
                           .n_fds = ARRAY_LEN(fds),
                           .dir = dir};
    struct proc child = PROC_NONE;
    int rc = spawn(&o, &child, e);
    free(argv);
    free(envp);
    if (rc < 0)
        return err_wrap(e, "error running %s hook #%zu", kind, index);
    int64_t seconds = h->timeout != NULL ? *h->timeout : 0;
    int timeout_ms = seconds > 0 ? (int)MIN(seconds * 1000, INT32_MAX) : -1, status = 0;
    rc = proc_wait(&child, timeout_ms, -1, &status, e);
    if (rc < 0 && e->kind == ERR_TIMEOUT) {
        struct err ignored = {0};
        (void)proc_kill(&child, SIGKILL, &ignored);
        (void)proc_wait(&child, -1, -1, NULL, &ignored);
        rc = err_set(e, ERR_TIMEOUT,
                     "error running %s hook #%zu: hook ran past specified timeout of %lld.0s", kind,
                     index, (long long)seconds);
    } else if (rc == 0 && status != 0) {
        char said[QUOTED_MAX + 1], said_err[QUOTED_MAX + 1], end[64];
        describe(status, end, sizeof(end));
        tail_of(out, said);
        tail_of(err, said_err);
        rc = err_set(e, ERR_INTERNAL, "error running %s hook #%zu: %s, stdout: %s, stderr: %s",
                     kind, index, end, said, said_err);
    }
    proc_done(&child);
    return rc;
}

int hooks_run(const char *kind, struct hook_list hooks, const struct record *r, const char *status,
              pid_t pid, const char *dir, struct err *e)
{
    CLEANUP(buf_done) struct buf state = BUF_MAX(4 << 20);
    if (hooks.n == 0)
        return 0;
    record_hook_state(r, status, pid, &state);
    for (size_t i = 0; i < hooks.n; i++) {
        if (hooks.v[i].path == NULL || hooks.v[i].path[0] != '/')
            return err_set(e, ERR_INVALID, "error running %s hook #%zu: path must be absolute",
                           kind, i);
        TRY(run_one(kind, &hooks, i, &state, dir, e));
    }
    return 0;
}
