/*
 * A shim's program and what it prints. Its daemon may have kept the pipe's end open by mistake, so
 * the end of the program ends the reading too.
 */
#include "containerd/shim_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define START_MS 60000
#define DELETE_MS 30000
#define OUTPUT_MAX ((size_t)64 << 10)

extern char **environ;

/* Names that we set ourselves. */
static const char *const ours[] = {"TTRPC_ADDRESS=", "GRPC_ADDRESS=",     "NAMESPACE=",
                                   "GOMAXPROCS=",    "MAX_SHIM_VERSION=", "NOTIFY_SOCKET="};

static bool is_ours(const char *var)
{
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_starts(str_of(var), ours[i]))
            return true;
    return false;
}

static const char *const *environment(const struct shim_run *s, struct arena *a)
{
    struct strv env = {0};
    for (char **v = environ; *v != NULL; v++)
        if (!is_ours(*v))
            vec_push_in(a, &env, *v);
    vec_push_in(a, &env, arena_printf(a, "TTRPC_ADDRESS=%s", s->d->ttrpc_address));
    vec_push_in(a, &env, arena_printf(a, "GRPC_ADDRESS=%s", s->d->address));
    vec_push_in(a, &env, arena_printf(a, "NAMESPACE=%s", s->ns));
    vec_push_in(a, &env, arena_strdup(a, "GOMAXPROCS=2"));
    vec_push_in(a, &env, arena_strdup(a, "MAX_SHIM_VERSION=3"));
    vec_push_in(a, &env, NULL);
    return (const char *const *)env.v;
}

/* One of the program's outputs. */
struct output {
    int fd; /* non-blocking; -1: none */
    struct buf *to;
};

/* Read what there is; true when the other end was closed. */
static bool drain(const struct output *o)
{
    char discard[4096];
    for (;;) {
        char *to = buf_reserve(o->to, sizeof(discard));
        ssize_t n = read(o->fd, to != NULL ? to : discard, sizeof(discard));
        if (n <= 0)
            return n == 0 || errno != EAGAIN;
        if (to != NULL)
            buf_commit(o->to, (size_t)n);
    }
}

struct run_opts {
    const char *action;
    int stdin_fd, timeout_ms, cancel_fd;
};

/* Collect output until the program ends. 0, or -1 with TIMEOUT or CANCELLED. */
static int collect(struct proc *p, const struct run_opts *o, const struct output *out,
                   const struct output *errors, struct err *e)
{
    int64_t until_ns = time_mono_ns() + o->timeout_ms * NS_PER_MS;
    struct pollfd fds[] = {{out->fd, POLLIN, 0},
                           {errors->fd, POLLIN, 0},
                           {p->pidfd, POLLIN, 0},
                           {o->cancel_fd, POLLIN, 0}};
    for (;;) {
        int64_t left_ms = (until_ns - time_mono_ns()) / NS_PER_MS;
        int n = left_ms > 0 ? poll(fds, ARRAY_LEN(fds), (int)left_ms) : 0;
        if (n == 0)
            return err_set(e, ERR_TIMEOUT, "no answer within %d s", o->timeout_ms / 1000);
        if (n < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (fds[0].revents != 0 && drain(out))
            fds[0].fd = -1;
        if (fds[1].revents != 0 && drain(errors))
            fds[1].fd = -1;
        if (fds[3].revents != 0)
            return err_set(e, ERR_CANCELLED, "context canceled");
        if (fds[2].revents != 0)
            break;
    }
    if (fds[0].fd >= 0)
        (void)drain(out);
    if (fds[1].fd >= 0)
        (void)drain(errors);
    return 0;
}

/* Run one action. errors NULL: stderr goes where stdout goes. */
static int run_action(const struct shim_run *s, const struct run_opts *o, struct buf *out,
                      struct buf *errors, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_fd int out_r = -1;
    auto_fd int out_w = -1;
    auto_fd int err_r = -1;
    auto_fd int err_w = -1;
    int r = fd_pipe(&out_r, &out_w, 0), status = 0;
    if (r == 0 && errors != NULL)
        r = fd_pipe(&err_r, &err_w, 0);
    if (r == 0)
        r = fd_set_nonblock(out_r, true);
    if (r == 0 && errors != NULL)
        r = fd_set_nonblock(err_r, true);
    if (r < 0)
        return err_neg(e, r, "pipe");
    const char *argv[] = {s->program,        "-namespace", s->ns, "-address", s->d->address,
                          "-publish-binary", s->d->self,   "-id", s->id,      "-bundle",
                          s->bundle,         o->action,    NULL,  NULL};
    if (log_enabled(LOG_DEBUG)) {
        argv[11] = "-debug";
        argv[12] = o->action;
    }
    const struct spawn_fd fds[] = {
        {1, out_w}, {2, errors != NULL ? err_w : out_w}, {0, o->stdin_fd}};
    const struct spawn_opts so = {.path = s->program,
                                  .argv = argv,
                                  .envp = environment(s, a),
                                  .fds = fds,
                                  .n_fds = o->stdin_fd >= 0 ? 3 : 2,
                                  .dir = s->bundle,
                                  .new_group = true};
    struct proc p = PROC_NONE;
    TRY(spawn(&so, &p, e));
    fd_close(take_fd(&out_w));
    fd_close(take_fd(&err_w));
    struct err late = {0}, ignored = {0};
    const struct output outputs[] = {{out_r, out}, {err_r, errors}};
    r = collect(&p, o, &outputs[0], &outputs[1], e);
    if (r < 0)
        (void)proc_kill(&p, SIGKILL, &ignored); /* then it ends for sure */
    if (proc_wait(&p, -1, -1, &status, &late) < 0 && r == 0) {
        *e = late;
        r = -1;
    }
    proc_done(&p);
    TRY(r);
    if (status == 0)
        return 0;
    const struct buf *said = errors != NULL && errors->n > 0 ? errors : out;
    struct str text = str_of(buf_cstr(said));
    while (text.n > 0 && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n == 0)
        return err_set(e, ERR_UNKNOWN, "exit status %d: unknown", status);
    return err_set(e, ERR_UNKNOWN, "%.*s: exit status %d: unknown", STR_ARG(text), status);
}

int shim_start(const struct shim_run *s, const Pb__Any *options, int cancel_fd, struct arena *a,
               struct shim_endpoint *out, struct err *e)
{
    auto_buf struct buf in = BUF_MAX(PB_MAX_BYTES);
    auto_buf struct buf said = BUF_MAX(OUTPUT_MAX);
    auto_fd int memfd = -1;
    if (options != NULL) {
        TRY(pb_pack(&options->base, &in, e));
        memfd = fd_memfd("options", buf_cstr(&in), in.n);
        if (memfd < 0)
            return err_neg(e, memfd, "memfd");
    }
    const struct run_opts o = {"start", memfd, START_MS, cancel_fd};
    if (run_action(s, &o, &said, NULL, e) < 0 || bootstrap_parse(said.p, said.n, a, out, e) < 0)
        return err_wrap(e, "start failed");
    return 0;
}

int shim_delete(const struct shim_run *s, struct arena *a, Shim__DeleteResponse **out_msg,
                struct err *e)
{
    auto_buf struct buf said = BUF_MAX(OUTPUT_MAX);
    auto_buf struct buf errors = BUF_MAX(OUTPUT_MAX);
    const struct run_opts o = {"delete", -1, DELETE_MS, -1};
    TRY(run_action(s, &o, &said, &errors, e));
    return pb_unpack(&shim__delete_response__descriptor, buf_cstr(&said), said.n, a, out_msg, e);
}
