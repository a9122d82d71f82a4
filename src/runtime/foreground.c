/*
 * A process in the foreground: its terminal is copied to ours, our signals go to it, and its status
 * becomes ours. One poll loop. See cli.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/cli.h"
#include "runtime/notify.h"
#include "sys/fd.h"

struct session {
    struct hullrun_result *r;
    struct cli_ready ready;
    int signals, host; /* signalfd; our own terminal, or -1 */
    struct termios saved;
    bool raw, input_open, done;
    int status;
};

static int open_host_tty(void)
{
    static const int candidates[] = {2, 1, 0};
    for (size_t i = 0; i < ARRAY_LEN(candidates); i++)
        if (isatty(candidates[i]))
            return fd_dup(candidates[i]);
    return open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int setup_terminal(struct session *s, struct err *e)
{
    struct termios t;
    struct winsize ws;
    if (s->r->console < 0)
        return 0;
    s->host = open_host_tty();
    if (s->host < 0)
        return err_sys(e, "open /dev/tty");
    if (ioctl(s->host, TIOCGWINSZ, &ws) == 0)
        (void)ioctl(s->r->console, TIOCSWINSZ, &ws);
    if (tcgetattr(s->host, &s->saved) < 0)
        return err_sys(e, "read the terminal's settings");
    t = s->saved;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | (s->saved.c_oflag & ONLCR);
    if (tcsetattr(s->host, TCSANOW, &t) < 0)
        return err_sys(e, "make the terminal raw");
    s->raw = true;
    s->input_open = true;
    return 0;
}

static void on_signal(struct session *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD) {
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == s->r->pid) {
                s->done = true;
                s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
        return;
    }
    if (info.ssi_signo == SIGWINCH && s->r->console >= 0) {
        struct winsize ws;
        if (ioctl(s->host, TIOCGWINSZ, &ws) == 0)
            (void)ioctl(s->r->console, TIOCSWINSZ, &ws);
        return;
    }
    /* a process that has just ended is reported by SIGCHLD */
    (void)pidfd_send_signal(s->r->pidfd, (int)info.ssi_signo, NULL, 0);
}

/* false when the source has ended */
static bool copy_some(int from, int to)
{
    char chunk[8192];
    ssize_t n = read(from, chunk, sizeof(chunk));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    return n > 0 && fd_write_all(to, chunk, (size_t)n) == 0;
}

static void drain(struct session *s)
{
    struct pollfd p = {.fd = s->r->console, .events = POLLIN};
    while (s->r->console >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0)
        if (!copy_some(s->r->console, STDOUT_FILENO))
            return;
}

static int loop(struct session *s, struct err *e)
{
    bool output_open = s->r->console >= 0;
    on_signal(s); /* it may have ended before SIGCHLD was blocked: look once */
    while (!s->done) {
        struct pollfd p[] = {{s->signals, POLLIN, 0},
                             {output_open ? s->r->console : -1, POLLIN, 0},
                             {s->input_open ? STDIN_FILENO : -1, POLLIN, 0},
                             {s->ready.sock, POLLIN, 0}};
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (p[1].revents != 0 && !copy_some(s->r->console, STDOUT_FILENO))
            output_open = false;
        if (p[2].revents != 0 && !copy_some(STDIN_FILENO, s->r->console))
            s->input_open = false;
        if (p[3].revents != 0 && notify_relay(s->ready.sock, s->ready.manager, getpid()) > 0)
            s->ready.sock = -1;
        if (p[0].revents != 0)
            on_signal(s);
    }
    drain(s);
    return 0;
}

static void reap_early(struct session *s)
{
    int status;
    if (waitpid(s->r->pid, &status, WNOHANG) != s->r->pid)
        return;
    s->done = true;
    s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cli_foreground(struct hullrun_result *r, const struct cli_ready *ready, struct err *e)
{
    static const struct cli_ready none = {.sock = -1};
    struct session s = {.r = r, .ready = ready != NULL ? *ready : none, .host = -1};
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    s.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = s.signals < 0 ? err_sys(e, "signalfd") : setup_terminal(&s, e);
    if (rc == 0) {
        reap_early(&s);
        rc = loop(&s, e);
    }
    if (rc < 0)
        (void)pidfd_send_signal(r->pidfd, SIGKILL, NULL, 0);
    if (s.raw)
        (void)tcsetattr(s.host, TCSANOW, &s.saved);
    fd_close(s.host);
    fd_close(s.signals);
    return rc < 0 ? -1 : s.status;
}
