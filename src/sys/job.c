/*
 * Both sides of a job: see job.h. A message is one SEQPACKET packet whose first byte says what it
 * is; results longer than a packet come in parts, so that no size limit of sockets shows through.
 */
#include "sys/job.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/spawn.h"

enum {
    DOC_FD = 3,
    SOCK_FD = 4,
    MAX_JOB_FDS = 16,
    PACKET_MAX = JOB_MESSAGE_MAX + 1,
    GRACE_MS = 10000, /* a helper that has answered ends by itself within this */
};

enum tag {
    TAG_PART = 'p',   /* helper: a part of the result */
    TAG_RESULT = 'r', /* helper: the last part */
    TAG_ERROR = 'e',  /* helper: struct err */
    TAG_ASK = 'q',    /* helper: a question */
    TAG_USERNS = 'u', /* helper: please write the mappings of my user namespace */
    TAG_ANSWER = 'a', /* parent: its answer, perhaps with a descriptor */
    TAG_NOTICE = 'n', /* parent */
};

static int send_tagged(int sock, enum tag tag, const char *p, size_t n, int fd)
{
    if (n > JOB_MESSAGE_MAX)
        return -EMSGSIZE;
    auto_free char *packet = mem_alloc(n + 1);
    packet[0] = (char)tag;
    if (n > 0)
        memcpy(packet + 1, p, n);
    return fd_send(sock, packet, n + 1, &fd, fd >= 0 ? 1 : 0);
}

/* ---- the parent ---- */

void job_stop(struct job *j)
{
    struct err ignored = {0};
    if (j->proc.pid > 0) {
        (void)proc_kill(&j->proc, SIGKILL, &ignored);
        (void)proc_wait(&j->proc, -1, -1, NULL, &ignored); /* a killed process always ends */
        proc_done(&j->proc);
    }
    fd_close(j->sock);
    *j = (struct job)JOB_NONE;
}

void job_notify(struct job *j, const char *json, size_t n, bool must)
{
    if (!must) {
        struct pollfd p = {.fd = j->sock, .events = POLLOUT};
        if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0)
            return;
    }
    (void)send_tagged(j->sock, TAG_NOTICE, json, n, -1); /* job_finish tells when it is gone */
}

bool job_has_news(const struct job *j)
{
    struct pollfd p = {.fd = j->sock, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* The socket closed without an answer: say how the helper ended. */
static int died(struct job *j, struct err *e)
{
    const char *name = strrchr(j->opts->program, '/');
    int status = 0;
    struct err ignored = {0};
    (void)proc_kill(&j->proc, SIGKILL, &ignored);
    TRY(proc_wait(&j->proc, -1, -1, &status, e));
    proc_done(&j->proc);
    j->proc = (struct proc)PROC_NONE;
    return err_set(e, ERR_INTERNAL, "%s ended with status %d and no answer",
                   name != NULL ? name + 1 : j->opts->program, status);
}

static int answer_question(struct job *j, const char *question, size_t n, struct err *e)
{
    struct buf answer = BUF_MAX(JOB_MESSAGE_MAX);
    int fd = -1;
    if (j->opts->ask == NULL)
        return err_set(e, ERR_INTERNAL, "%s asked something unexpected", j->opts->program);
    int r = j->opts->ask(j->opts->arg, question, n, &answer, &fd, e);
    if (r == 0 && answer.over)
        r = err_set(e, ERR_INTERNAL, "answer for %s is too long", j->opts->program);
    if (r == 0) /* a helper that is gone shows at the next receive */
        (void)send_tagged(j->sock, TAG_ANSWER, answer.p, answer.n, fd);
    fd_close(fd);
    buf_done(&answer);
    return r;
}

static int wait_readable(struct job *j, int64_t deadline_ns, struct err *e)
{
    struct pollfd p[2] = {
        {.fd = j->sock, .events = POLLIN},
        {.fd = j->opts->cancel_fd > 0 ? j->opts->cancel_fd : -1, .events = POLLIN}};
    while (true) {
        int wait_ms = -1;
        if (deadline_ns != 0) {
            int64_t left = deadline_ns - time_mono_ns();
            if (left <= 0)
                return err_set(e, ERR_TIMEOUT, "%s took longer than %d ms", j->opts->program,
                               j->opts->timeout_ms);
            wait_ms = (int)(left / NS_PER_MS) + 1;
        }
        int n = poll(p, 2, wait_ms);
        if (n < 0 && errno != EINTR)
            return err_sys(e, "wait for %s", j->opts->program);
        if (n > 0 && p[1].revents != 0)
            return err_set(e, ERR_CANCELLED, "context canceled");
        if (n > 0)
            return 0;
    }
}

static int take_error(const char *p, size_t n, struct err *e)
{
    struct err told;
    if (n != sizeof(told))
        return err_set(e, ERR_INTERNAL, "a helper sent a malformed error");
    memcpy(&told, p, sizeof(told));
    told.msg[sizeof(told.msg) - 1] = 0;
    *e = told;
    return -1;
}

/* The first thing that a helper says which is to be root of a user namespace. */
static int map_helper(struct job *j, struct err *e)
{
    auto_free char *packet = mem_alloc(PACKET_MAX);
    TRY(wait_readable(j, 0, e));
    ssize_t n = fd_recv(j->sock, packet, PACKET_MAX, NULL, 0, NULL);
    if (n <= 0)
        return died(j, e);
    if (packet[0] == TAG_ERROR)
        return take_error(packet + 1, (size_t)n - 1, e);
    if (packet[0] != TAG_USERNS)
        return err_set(e, ERR_INTERNAL, "%s did not enter a user namespace", j->opts->program);
    TRY(userns_write(j->proc.pid, j->opts->userns, e));
    (void)send_tagged(j->sock, TAG_ANSWER, "", 0, -1); /* one that is gone shows soon */
    return 0;
}

int job_start(struct job *j, const struct job_opts *o, struct err *e)
{
    auto_fd int doc = fd_memfd("job", o->doc, o->doc_len);
    int pair[2];
    *j = (struct job)JOB_NONE;
    if (doc < 0)
        return err_neg(e, doc, "job for %s", o->program);
    if (o->n_fds > MAX_JOB_FDS)
        return err_set(e, ERR_INTERNAL, "job for %s: too many descriptors", o->program);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, "job for %s", o->program);
    auto_fd int theirs = pair[1];
    auto_fd int ours = pair[0];
    struct spawn_fd fds[MAX_JOB_FDS + 3] = {{2, 2}, {DOC_FD, doc}, {SOCK_FD, theirs}};
    for (size_t i = 0; i < o->n_fds; i++)
        fds[i + 3] = (struct spawn_fd){JOB_FIRST_FD + (int)i, o->fds[i]};
    const char *name = strrchr(o->program, '/');
    const char *const argv[] = {name != NULL ? name + 1 : o->program, NULL};
    const char *const envp[] = {NULL};
    const struct spawn_opts so = {.path = o->program,
                                  .argv = argv,
                                  .envp = envp,
                                  .fds = fds,
                                  .n_fds = o->n_fds + 3,
                                  .dir = "/",
                                  .new_session = true};
    TRY(spawn(&so, &j->proc, e));
    j->sock = take_fd(&ours);
    j->opts = o;
    fd_close(take_fd(&theirs)); /* so that its end shows */
    if (o->userns != NULL && o->userns->uid != NULL && map_helper(j, e) < 0) {
        job_stop(j);
        return -1;
    }
    return 0;
}

static int receive_all(struct job *j, struct buf *out, struct err *e)
{
    int64_t deadline =
        j->opts->timeout_ms > 0 ? time_mono_ns() + j->opts->timeout_ms * NS_PER_MS : 0;
    auto_free char *packet = mem_alloc(PACKET_MAX); /* stacks of connection threads are small */
    while (true) {
        TRY(wait_readable(j, deadline, e));
        ssize_t n = fd_recv(j->sock, packet, PACKET_MAX, NULL, 0, NULL);
        if (n == -ECONNRESET) /* it ended with notices unread; what it said comes behind this */
            continue;
        if (n <= 0)
            return died(j, e);
        switch (packet[0]) {
        case TAG_ASK:
            TRY(answer_question(j, packet + 1, (size_t)n - 1, e));
            break;
        case TAG_PART:
        case TAG_RESULT:
            if (buf_add(out, packet + 1, (size_t)n - 1) < 0)
                return err_set(e, ERR_INTERNAL, "the result of %s is too long", j->opts->program);
            if (packet[0] == TAG_RESULT)
                return 0;
            break;
        case TAG_ERROR:
            return take_error(packet + 1, (size_t)n - 1, e);
        default:
            return err_set(e, ERR_INTERNAL, "%s sent an unknown message", j->opts->program);
        }
    }
}

int job_finish(struct job *j, struct buf *out_result, struct err *e)
{
    int r = receive_all(j, out_result, e);
    struct err ignored = {0};
    if (r == 0 && proc_wait(&j->proc, GRACE_MS, -1, NULL, &ignored) == 0) {
        proc_done(&j->proc);
        j->proc = (struct proc)PROC_NONE;
    }
    job_stop(j);
    return r;
}

int job_run(const struct job_opts *o, struct buf *out_result, struct err *e)
{
    struct job j = JOB_NONE;
    TRY(job_start(&j, o, e));
    return job_finish(&j, out_result, e);
}

/* ---- the helper ---- */

/* Nobody would take the result, and what it writes is being swept away; the poll closes the gap
 * before. */
static int die_with_parent(struct err *e)
{
    struct pollfd p = {.fd = SOCK_FD, .events = POLLIN};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP) != 0))
        return err_set(e, ERR_CANCELLED, "the parent is gone");
    return 0;
}

int job_read(struct buf *out_doc, struct err *e)
{
    int type = 0;
    socklen_t len = sizeof(type);
    if (getsockopt(SOCK_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return err_set(e, ERR_INVALID, "this program is started by hulld and hull-containerd only");
    TRY(die_with_parent(e));
    int r = fd_read_to_end(DOC_FD, out_doc);
    if (r < 0)
        return err_neg(e, r, "read the job");
    (void)fcntl(SOCK_FD, F_SETFD, FD_CLOEXEC);
    fd_close(DOC_FD);
    return 0;
}

static int next_packet(enum tag wanted, struct buf *out, int *out_fd, struct err *e)
{
    auto_free char *packet = mem_alloc(PACKET_MAX); /* stacks of connection threads are small */
    while (true) {
        size_t n_fds = 0;
        int fd = -1;
        ssize_t n = fd_recv(SOCK_FD, packet, PACKET_MAX, &fd, 1, &n_fds);
        if (n <= 0)
            return err_set(e, ERR_CANCELLED, "the parent is gone");
        if (packet[0] != (char)wanted) { /* a notice that came while an answer was awaited */
            if (n_fds > 0)
                fd_close(fd);
            continue;
        }
        if (out_fd != NULL)
            *out_fd = n_fds > 0 ? fd : -1;
        else if (n_fds > 0)
            fd_close(fd);
        if (out != NULL && buf_add(out, packet + 1, (size_t)n - 1) < 0)
            return err_set(e, ERR_INTERNAL, "message too long");
        return 0;
    }
}

int job_ask(const char *question, size_t n, struct buf *out_answer, int *out_fd, struct err *e)
{
    int r = send_tagged(SOCK_FD, TAG_ASK, question, n, -1);
    if (r < 0)
        return err_neg(e, r, "ask the parent");
    return next_packet(TAG_ANSWER, out_answer, out_fd, e);
}

int job_enter_userns(struct err *e)
{
    if (unshare(CLONE_NEWUSER) < 0)
        return err_sys(e, "make a user namespace");
    int r = send_tagged(SOCK_FD, TAG_USERNS, "", 0, -1);
    if (r < 0)
        return err_neg(e, r, "ask the parent");
    TRY(next_packet(TAG_ANSWER, NULL, NULL, e));
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(e, "become root of a user namespace");
    return die_with_parent(e); /* a change of ids takes the signal away */
}

int job_next_notice(struct buf *out, int stop_fd, struct err *e)
{
    if (fd_wait_readable(SOCK_FD, stop_fd) < 0)
        return err_set(e, ERR_CANCELLED, "nobody waits for more");
    return next_packet(TAG_NOTICE, out, NULL, e);
}

int job_reply(const char *json, size_t n, struct err *e)
{
    while (true) {
        size_t part = MIN(n, (size_t)JOB_MESSAGE_MAX);
        int r = send_tagged(SOCK_FD, part < n ? TAG_PART : TAG_RESULT, json, part, -1);
        if (r < 0)
            return err_neg(e, r, "send the result");
        if (part == n)
            return 0;
        json += part;
        n -= part;
    }
}

void job_fail(const struct err *why)
{
    (void)send_tagged(SOCK_FD, TAG_ERROR, (const char *)why, sizeof(*why), -1);
}
