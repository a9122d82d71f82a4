/*
 * One thread that watches one process by its pidfd.
 *
 * The supervisor outlives a killed hulld on purpose: exits of containers are collected meanwhile.
 * So the next hulld looks at the pidfile first. It adopts the process only if it is the same
 * program with our socket on its command line; one of an older build is replaced.
 */
#include "daemon/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/spawn.h"

#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS 5000
#define STEADY_MS 10000 /* who ran this long was not failing to start */
#define STOP_MS 10000
#define CMDLINE_MAX (64u << 10)

struct supervisor {
    struct supervisor_opts o;
    struct proc p;
    bool adopted; /* not our child: it cannot be reaped */
    pthread_t thread;
    int stop_fd;
};

/* ---- finding the one that runs ---- */

static pid_t read_pidfile(const char *path)
{
    auto_buf struct buf b = BUF_MAX(32);
    struct err e;
    uint64_t pid = 0;
    if (file_read(AT_FDCWD, path, &b, &e) < 0)
        return 0;
    struct str s = {buf_cstr(&b), b.n};
    while (s.n > 0 && s.p[s.n - 1] == '\n')
        s.n--;
    return str_to_u64(s, 2, INT_MAX, &pid) ? (pid_t)pid : 0;
}

static bool has_argument(pid_t pid, const char *wanted)
{
    auto_free char *path = mem_printf("/proc/%d/cmdline", pid);
    auto_buf struct buf b = BUF_MAX(CMDLINE_MAX);
    struct err e;
    if (file_read(AT_FDCWD, path, &b, &e) < 0)
        return false;
    for (size_t at = 0; at < b.n; at += strlen(b.p + at) + 1)
        if (strcmp(b.p + at, wanted) == 0)
            return true;
    return false;
}

/* The running file is the one that would be started now. */
static bool is_program(pid_t pid, const char *program)
{
    auto_free char *path = mem_printf("/proc/%d/exe", pid);
    char exe[PATH_MAX], ours[PATH_MAX];
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    if (n < 0 || realpath(program, ours) == NULL)
        return false;
    exe[n] = '\0';
    return strcmp(exe, ours) == 0;
}

static void end(struct supervisor *s)
{
    struct err e;
    struct pollfd p = {.fd = s->p.pidfd, .events = POLLIN};
    if (proc_kill(&s->p, SIGTERM, &e) < 0)
        log_warn("cannot stop hull-containerd", "error", e.msg, NULL);
    if (poll(&p, 1, STOP_MS) == 0) {
        log_warn("hull-containerd does not stop, killing it", NULL);
        (void)proc_kill(&s->p, SIGKILL, &e); /* what can be done was done */
        (void)poll(&p, 1, STOP_MS);
    }
    if (!s->adopted)
        (void)proc_wait(&s->p, STOP_MS, -1, NULL, &e); /* reaps it; a stuck one stays */
    proc_done(&s->p);
    s->p = (struct proc)PROC_NONE;
}

/* 1 when s->p is the one of a former daemon, 0 when there is none to take over. */
static int adopt(struct supervisor *s)
{
    struct err e;
    pid_t pid = read_pidfile(s->o.pidfile);
    if (pid == 0 || proc_open(pid, &s->p, &e) < 0)
        return 0;
    if (!has_argument(pid, s->o.address)) {
        proc_done(&s->p); /* somebody else got the number */
        s->p = (struct proc)PROC_NONE;
        return 0;
    }
    s->adopted = true;
    if (is_program(pid, s->o.program)) {
        log_info("found hull-containerd running", "address", s->o.address, NULL);
        return 1;
    }
    log_info("replacing hull-containerd of another build", NULL);
    end(s);
    return 0;
}

/* ---- starting ---- */

static int write_pidfile(const struct supervisor *s, struct err *e)
{
    auto_free char *path = mem_strdup(s->o.pidfile), *text = mem_printf("%d\n", s->p.pid);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    auto_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, "open %s", path);
    return file_replace(dir, slash + 1, text, strlen(text), 0644, e);
}

static int launch(struct supervisor *s, struct err *e)
{
    const char *const argv[] = {"hull-containerd", "--address", s->o.address, "--root",
                                s->o.root,         "--state",   s->o.state,   "--log-level",
                                s->o.log_level,    NULL};
    const struct spawn_fd fds[] = {{1, STDERR_FILENO}, {2, STDERR_FILENO}};
    /* a session of its own: a Ctrl-C for hulld is not for it */
    struct spawn_opts o = {.path = s->o.program,
                           .argv = argv,
                           .fds = fds,
                           .n_fds = ARRAY_LEN(fds),
                           .dir = "/",
                           .new_session = true};
    TRY(spawn(&o, &s->p, e));
    s->adopted = false;
    if (write_pidfile(s, e) < 0) {
        end(s);
        return -1;
    }
    log_info("started hull-containerd", "address", s->o.address, NULL);
    return 0;
}

/* ---- watching ---- */

/* True when the daemon stops before ms are over. */
static bool stops_within(const struct supervisor *s, int64_t ms)
{
    struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&p, 1, (int)ms) > 0;
}

/* Wait for its end: false when the daemon stops first. */
static bool await_end(struct supervisor *s)
{
    for (;;) {
        struct pollfd p[] = {{.fd = s->p.pidfd, .events = POLLIN},
                             {.fd = s->stop_fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents != 0)
            return false;
        break;
    }
    struct err e;
    int status = -1;
    char text[16];
    if (!s->adopted)
        (void)proc_wait(&s->p, 0, -1, &status, &e); /* it has ended: this only reaps */
    snprintf(text, sizeof(text), "%d", status);
    log_error("hull-containerd has ended, starting it again", "status",
              s->adopted ? "unknown" : text, NULL);
    proc_done(&s->p);
    s->p = (struct proc)PROC_NONE;
    return true;
}

static void *watch(void *arg)
{
    struct supervisor *s = arg;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (;;) {
        int64_t since = time_mono_ns();
        struct err e;
        if (s->p.pid != 0 && !await_end(s))
            return NULL;
        if (time_mono_ns() - since > STEADY_MS * NS_PER_MS)
            pause_ms = FIRST_PAUSE_MS;
        if (stops_within(s, pause_ms))
            return NULL;
        pause_ms = MIN(pause_ms * 2, LAST_PAUSE_MS);
        if (launch(s, &e) < 0)
            log_error("cannot start hull-containerd", "error", e.msg, NULL);
    }
}

int supervisor_start(const struct supervisor_opts *o, struct supervisor **out, struct err *e)
{
    struct supervisor *s = mem_alloc(sizeof(*s));
    *s = (struct supervisor){.o = *o, .p = PROC_NONE};
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    int r = s->stop_fd < 0 ? err_sys(e, "eventfd") : adopt(s) == 1 ? 0 : launch(s, e);
    if (r == 0) {
        int no = pthread_create(&s->thread, NULL, watch, s);
        if (no != 0) {
            r = err_neg(e, -no, "create a thread");
            end(s);
        }
    }
    if (r < 0) {
        fd_close(s->stop_fd);
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void supervisor_free(struct supervisor *s)
{
    if (s == NULL)
        return;
    uint64_t one = 1;
    (void)fd_write_all(s->stop_fd, &one, sizeof(one)); /* an eventfd takes it */
    pthread_join(s->thread, NULL);
    if (s->p.pid != 0)
        end(s);
    (void)unlink(s->o.pidfile); /* a stale one is recognised */
    fd_close(s->stop_fd);
    free(s);
}
