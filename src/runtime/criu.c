/* The talk with criu: see criu.h. */
#include "runtime/criu.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/oplog.h"
#include "sys/fd.h"
#include "sys/path.h"

#define REQUEST_MAX (1 << 20)
#define ANSWER_MAX (64 << 10)

int criu_find(struct err *e)
{
    auto_free char *path = path_find_program("criu", getenv("PATH"));
    return path != NULL ? 0
                        : err_set(e, ERR_NOT_FOUND,
                                  "CRIU version check failed: exec: \"criu\": executable file not "
                                  "found in $PATH");
}

static int send_request(struct criu *c, const struct criu_request *r, struct err *e)
{
    CLEANUP(buf_done) struct buf bytes = BUF_MAX(REQUEST_MAX);
    criu_request_write(r, &bytes);
    if (bytes.over)
        return err_set(e, ERR_TOO_LARGE, "the request to criu is too large");
    int rc = fd_send(c->sock, bytes.p, bytes.n, NULL, 0);
    return rc < 0 ? err_neg(e, rc, "talk to criu") : 0;
}

/* One answer into bytes, which *out borrows; *out_fd gets a descriptor that came along, or -1. */
static int receive(struct criu *c, struct buf *bytes, struct criu_answer *out, int *out_fd,
                   struct err *e)
{
    size_t n_fds = 0;
    *out_fd = -1;
    buf_reset(bytes);
    ssize_t n = fd_recv(c->sock, buf_reserve(bytes, ANSWER_MAX), ANSWER_MAX, out_fd, 1, &n_fds);
    if (n < 0)
        return err_neg(e, (int)n, "talk to criu");
    if (n == 0)
        return err_set(e, ERR_INTERNAL, "criu failed: unexpected EOF");
    if (n == ANSWER_MAX)
        return err_set(e, ERR_TOO_LARGE, "criu's answer is too large");
    buf_commit(bytes, (size_t)n);
    TRY(criu_answer_read(bytes->p, bytes->n, out, e));
    if (out->success)
        return 0;
    while (str_ends(out->message, "\n"))
        out->message.n--;
    return err_set(e, ERR_INTERNAL, "criu failed: type %s errno %lld%s%.*s",
                   criu_type_name(out->type), (long long)out->error, out->message.n > 0 ? ": " : "",
                   STR_ARG(out->message));
}

/* Ask and get the answer, without notifications in between. */
static int ask(struct criu *c, const struct criu_request *r, struct criu_answer *out, struct err *e)
{
    CLEANUP(buf_done) struct buf bytes = BUF_MAX(ANSWER_MAX);
    auto_fd int fd = -1;
    TRY(send_request(c, r, e));
    TRY(receive(c, &bytes, out, &fd, e));
    out->message = out->script = (struct str){0}; /* the bytes go */
    return 0;
}

static int check_version(struct criu *c, struct err *e)
{
    struct criu_answer a;
    if (ask(c, &(struct criu_request){.type = CRIU_VERSION, .keep_open = true}, &a, e) < 0)
        return err_wrap(e, "CRIU version check failed");
    c->version = a.version;
    oplog(c->log, HULLRUN_DEBUG, "Using CRIU %d", c->version);
    return c->version >= CRIU_VERSION_MIN
               ? 0
               : err_set(e, ERR_UNIMPLEMENTED, "CRIU version %d must be %d or higher", c->version,
                         CRIU_VERSION_MIN);
}

int criu_start(struct criu *c, const struct spawn_fd *fds, size_t n_fds,
               const struct hullrun_log *log, struct err *e)
{
    int sock[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) < 0)
        return err_sys(e, "socketpair");
    auto_fd int theirs = sock[1];
    c->sock = sock[0];
    c->log = log;
    struct spawn_fd *all = mem_alloc_array(n_fds + 1, sizeof(*all));
    for (size_t i = 0; i < n_fds; i++)
        all[i] = fds[i];
    all[n_fds] = (struct spawn_fd){CRIU_SOCKET, theirs};
    static const char *const argv[] = {"criu", "swrk", "3", NULL};
    struct spawn_opts o = {.path = "criu", .argv = argv, .fds = all, .n_fds = n_fds + 1};
    int rc = spawn(&o, &c->proc, e);
    free(all);
    TRY(rc);
    fd_close(take_fd(&theirs)); /* else a criu that dies would leave us waiting */
    return check_version(c, e);
}

int criu_require(struct criu *c, const struct criu_features *wanted, struct err *e)
{
    struct criu_answer a;
    struct criu_request r = {.type = CRIU_FEATURE_CHECK, .keep_open = true, .features = wanted};
    if (ask(c, &r, &a, e) < 0)
        return err_wrap(e, "CRIU feature check failed");
    bool mem_track = wanted->mem_track && !a.features.mem_track;
    bool lazy_pages = wanted->lazy_pages && !a.features.lazy_pages;
    if (!mem_track && !lazy_pages)
        return 0;
    return err_set(e, ERR_UNIMPLEMENTED, "criu is missing features: [%s%s%s]",
                   mem_track ? "MemTrack" : "", mem_track && lazy_pages ? " " : "",
                   lazy_pages ? "LazyPages" : "");
}

/* Until criu says that the work is done; its notices are answered on the way. */
static int converse(struct criu *c, enum criu_type type, const struct criu_listener *listener,
                    pid_t *out_pid, struct err *e)
{
    CLEANUP(buf_done) struct buf bytes = BUF_MAX(ANSWER_MAX);
    for (;;) {
        struct criu_answer a;
        auto_fd int fd = -1;
        TRY(receive(c, &bytes, &a, &fd, e));
        if (a.type == (int)type) {
            if (out_pid != NULL)
                *out_pid = (pid_t)a.pid;
            return 0;
        }
        if (a.type != CRIU_NOTIFY)
            return err_set(e, ERR_INTERNAL, "unable to parse the response of criu: type %s",
                           criu_type_name(a.type));
        oplog(c->log, HULLRUN_DEBUG, "notify: %.*s", STR_ARG(a.script));
        TRY(listener->notice(listener->arg, a.script, (pid_t)a.notify_pid, fd, e));
        TRY(send_request(c, &(struct criu_request){.type = CRIU_NOTIFY, .notify_success = true},
                         e));
    }
}

int criu_perform(struct criu *c, enum criu_type type, const struct criu_settings *settings,
                 const struct criu_listener *listener, pid_t *out_pid, struct err *e)
{
    int status = 0;
    oplog(c->log, HULLRUN_DEBUG, "Using CRIU in %s mode", criu_type_name(type));
    TRY(send_request(c, &(struct criu_request){.type = type, .settings = settings}, e));
    TRY(converse(c, type, listener, out_pid, e));
    (void)shutdown(c->sock, SHUT_WR);
    TRY(proc_wait(&c->proc, -1, -1, &status, e));
    proc_done(&c->proc);
    c->proc = (struct proc)PROC_NONE;
    /* after a pre-dump it waits for the next request, and does not like the socket's end */
    if (status != 0 && type != CRIU_PRE_DUMP)
        return err_set(e, ERR_INTERNAL, "criu failed: exit status %d", status);
    return 0;
}

void criu_done(struct criu *c)
{
    struct err ignored = {0};
    fd_close(c->sock);
    c->sock = -1;
    if (c->proc.pid > 0) {
        (void)proc_kill(&c->proc, SIGKILL, &ignored);
        (void)proc_wait(&c->proc, -1, -1, NULL, &ignored);
    }
    proc_done(&c->proc);
    c->proc = (struct proc)PROC_NONE;
}
