/*
 * The pump of attach and exec: see session.h. Input is read only while nothing waits to be sent, so
 * a slow container slows its user down and nobody's memory grows.
 */
#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"

#define CHUNK 32768
#define FRAME_HEAD 8

/* Output in frames: 1 byte stream, 3 zero, 4 length big-endian, then the bytes. */
struct demux {
    unsigned char head[FRAME_HEAD];
    size_t n_head;
    uint32_t left;
};

struct pump {
    struct session *s;
    struct demux demux;
    char in[CHUNK];
    size_t in_n, in_off; /* read from the user, not yet sent */
    size_t matched;      /* detach keys typed so far */
    bool in_open, shut, ended, detached;
    struct err *e;
};

static int put_out(bool wanted, int fd, const void *p, size_t n, struct err *e)
{
    if (!wanted)
        return 0;
    int r = fd_write_all(fd, p, n);
    return r < 0 ? err_neg(e, r, "write to %s", fd == 1 ? "stdout" : "stderr") : 0;
}

static int demux_write(struct demux *d, bool out, bool err, const char *p, size_t n, struct err *e)
{
    while (n > 0) {
        if (d->n_head < FRAME_HEAD) {
            size_t take = MIN(n, FRAME_HEAD - d->n_head);
            memcpy(d->head + d->n_head, p, take);
            d->n_head += take;
            p += take;
            n -= take;
            if (d->n_head < FRAME_HEAD)
                return 0;
            d->left = (uint32_t)d->head[4] << 24 | (uint32_t)d->head[5] << 16 |
                      (uint32_t)d->head[6] << 8 | d->head[7];
            if (d->head[0] > 3)
                return err_set(e, ERR_INVALID, "unrecognized input header: %d", d->head[0]);
        }
        size_t take = MIN(n, (size_t)d->left);
        bool to_err = d->head[0] == 2;
        TRY(put_out(to_err ? err : out, to_err ? 2 : 1, p, take, e));
        p += take;
        n -= take;
        d->left -= (uint32_t)take;
        if (d->left == 0)
            d->n_head = 0;
    }
    return 0;
}

static int deliver(struct pump *p, const char *bytes, size_t n)
{
    struct session *s = p->s;
    return s->tty ? put_out(s->out, 1, bytes, n, p->e)
                  : demux_write(&p->demux, s->out, s->err, bytes, n, p->e);
}

static int read_stream(struct pump *p)
{
    char bytes[CHUNK];
    do {
        ssize_t n = stream_try_read(p->s->stream, bytes, sizeof(bytes), p->e);
        if (n == STREAM_AGAIN)
            return 0;
        if (n < 0)
            return -1;
        if (n == 0) {
            p->ended = true;
            return 0;
        }
        TRY(deliver(p, bytes, (size_t)n));
    } while (stream_pending(p->s->stream) > 0);
    return 0;
}

/* Take the detach keys out of what was typed; a beginning of them is held back until it is clear.
 */
static void watch_keys(struct pump *p)
{
    struct session *s = p->s;
    char out[CHUNK + DETACH_MAX];
    size_t n = 0;
    for (size_t i = 0; i < p->in_n && !p->detached; i++) {
        unsigned char c = (unsigned char)p->in[i];
        if (c == s->detach[p->matched]) {
            p->detached = ++p->matched == s->n_detach;
            continue;
        }
        memcpy(out + n, s->detach, p->matched);
        n += p->matched;
        p->matched = c == s->detach[0] ? 1 : 0;
        if (p->matched == 0)
            out[n++] = (char)c;
    }
    memcpy(p->in, out, n);
    p->in_n = n;
}

static int read_user(struct pump *p)
{
    struct session *s = p->s;
    ssize_t n = read(0, p->in, CHUNK - DETACH_MAX);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        p->in_open = false;
        return 0;
    }
    p->in_n = (size_t)n;
    p->in_off = 0;
    if (s->tty && s->n_detach > 0)
        watch_keys(p);
    return 0;
}

static int send_user(struct pump *p)
{
    while (p->in_off < p->in_n) {
        ssize_t n = stream_try_write(p->s->stream, p->in + p->in_off, p->in_n - p->in_off, p->e);
        if (n == STREAM_AGAIN)
            return 0;
        if (n < 0) { /* the container has closed its input: what it still says is worth reading */
            err_clear(p->e);
            p->in_open = false;
            p->shut = true;
            p->in_off = p->in_n;
            return 0;
        }
        p->in_off += (size_t)n;
    }
    if (!p->in_open && !p->shut) {
        p->shut = true;
        if (stream_shut(p->s->stream, p->e) < 0)
            err_clear(p->e); /* gone already: reading will tell */
    }
    return 0;
}

static void take_signals(struct pump *p)
{
    for (int signo; (signo = session_next_signal(p->s->signal_fd)) != 0;)
        if (p->s->on_signal != NULL)
            p->s->on_signal(signo, p->s->arg);
}

static int wait_ready(struct pump *p, struct pollfd pfd[static 4])
{
    struct session *s = p->s;
    bool sending = p->in_off < p->in_n;
    pfd[0].fd = stream_read_fd(s->stream, &pfd[0].events);
    pfd[1].fd = p->in_open && !sending ? 0 : -1;
    pfd[1].events = POLLIN;
    pfd[2].fd = s->signal_fd;
    pfd[2].events = POLLIN;
    pfd[3].fd = -1;
    if (sending)
        pfd[3].fd = stream_write_fd(s->stream, &pfd[3].events);
    int timeout = stream_pending(s->stream) > 0 ? 0 : -1;
    if (poll(pfd, 4, timeout) < 0 && errno != EINTR)
        return err_sys(p->e, "poll");
    return 0;
}

int session_run(struct session *s, enum session_end *out, struct err *e)
{
    auto_free struct pump *p = mem_alloc(sizeof(*p));
    p->s = s;
    p->e = e;
    p->in_open = s->in;
    p->shut = !s->in; /* without our input there is nothing to end */
    while (!p->ended && !p->detached) {
        struct pollfd pfd[4] = {0};
        TRY(wait_ready(p, pfd));
        if (pfd[2].revents != 0)
            take_signals(p);
        if (pfd[0].revents != 0 || stream_pending(s->stream) > 0)
            TRY(read_stream(p));
        if (pfd[1].revents != 0 && !p->ended)
            TRY(read_user(p));
        if (!p->ended)
            TRY(send_user(p));
    }
    *out = p->detached ? SESSION_DETACHED : SESSION_ENDED;
    return 0;
}

int session_copy(struct http_resp *r, bool tty, struct err *e)
{
    struct demux d = {.n_head = 0};
    char bytes[CHUNK];
    for (;;) {
        ssize_t n = http_resp_read(r, bytes, sizeof(bytes), e);
        if (n <= 0)
            return (int)n;
        TRY(tty ? put_out(true, 1, bytes, (size_t)n, e)
                : demux_write(&d, true, true, bytes, (size_t)n, e));
    }
}

static bool key_parse(struct str word, unsigned char *out)
{
    static const char ctrl[] = "ctrl-";
    if (word.n == 1) {
        *out = (unsigned char)word.p[0];
        return true;
    }
    if (!str_starts(word, ctrl) || word.n != sizeof(ctrl))
        return false;
    char c = word.p[word.n - 1];
    if (c >= 'a' && c <= 'z')
        *out = (unsigned char)(c - 'a' + 1);
    else if (c >= '@' && c <= '_')
        *out = (unsigned char)(c - '@');
    else
        return false;
    return true;
}

int session_detach_keys(struct session *s, const char *keys, struct err *e)
{
    if (keys == NULL || *keys == '\0')
        keys = "ctrl-p,ctrl-q";
    s->n_detach = 0;
    for (struct str rest = str_of(keys); rest.n > 0;) {
        struct str word = str_cut(&rest, ',');
        if (s->n_detach == DETACH_MAX || !key_parse(word, &s->detach[s->n_detach++]))
            return err_set(e, ERR_INVALID, "invalid detach keys (%s): unknown character: '%.*s'",
                           keys, STR_ARG(word));
    }
    return 0;
}

/* What is passed on; SIGWINCH is told apart by the callback. */
static const struct {
    int signo;
    const char *name;
} proxied[] = {{SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"},
               {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGALRM, "ALRM"},
               {SIGTERM, "TERM"}, {SIGCONT, "CONT"}, {SIGWINCH, "WINCH"}};

const char *signal_name(int signo)
{
    for (size_t i = 0; i < ARRAY_LEN(proxied); i++)
        if (proxied[i].signo == signo)
            return proxied[i].name;
    return NULL;
}

int session_signals(struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(proxied); i++)
        sigaddset(&set, proxied[i].signo);
    int fd = pthread_sigmask(SIG_BLOCK, &set, NULL) != 0
                 ? -1
                 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_sys(e, "signalfd") : fd;
}

int session_next_signal(int signal_fd)
{
    struct signalfd_siginfo si;
    return read(signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si) ? (int)si.ssi_signo : 0;
}

bool term_is(int fd)
{
    struct termios t;
    return tcgetattr(fd, &t) == 0;
}

void term_size(int fd, unsigned *rows, unsigned *cols)
{
    struct winsize ws = {0};
    if (ioctl(fd, TIOCGWINSZ, &ws) < 0)
        ws = (struct winsize){0};
    *rows = ws.ws_row;
    *cols = ws.ws_col;
}

struct term_saved {
    int fd;
    struct termios was;
};

struct term_saved *term_raw(int fd)
{
    struct termios t;
    if (tcgetattr(fd, &t) < 0)
        return NULL;
    struct term_saved *saved = mem_alloc(sizeof(*saved));
    saved->fd = fd;
    saved->was = t;
    cfmakeraw(&t);
    (void)tcsetattr(fd, TCSADRAIN, &t);
    return saved;
}

void term_restore(struct term_saved *saved)
{
    if (saved == NULL)
        return;
    (void)tcsetattr(saved->fd, TCSADRAIN, &saved->was);
    free(saved);
}
