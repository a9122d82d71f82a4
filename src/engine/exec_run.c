/*
 * Running an exec: FIFOs to the shim, whose other ends are pumped to the client by its own thread.
 * The process goes on when the client goes away; what it prints then is read and dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/caps.h"
#include "engine/exec_int.h"
#include "engine/pump.h"
#include "engine/spec.h"
#include "engine/user.h"
#include "stdio/stream.h"
#include "sys/fd.h"
#include "sys/path.h"

enum { CHUNK = 32 << 10, PASSWD_MAX = 4 << 20, DRAIN_MS = 2000 };

static char *fifo_path(const struct exec *x, int i, struct arena *a)
{
    return arena_printf(a, "%s/c/%.32s.%d", x->c->g->o.exec_root, x->id, i);
}

void exec_remove_fifos(struct exec *x)
{
    auto_arena struct arena *a = arena_new();

    for (int i = 0; i < 3; i++)
        (void)unlink(fifo_path(x, i, a)); /* a detached one has none */
}

/* ---- the process ---- */

/* passwd or group of the running container, through its first process's root. */
static int read_file_of(int64_t pid, const char *path, struct buf *out, struct err *e)
{
    auto_free char *root_path = mem_printf("/proc/%lld/root", (long long)pid);
    auto_fd int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    struct err absent = {0};
    struct stat st;
    int r;

    if (root < 0)
        return err_sys(e, "open the root of container process %lld", (long long)pid);
    fd = path_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &absent);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    r = fd_read_to_end(fd, out);
    return r < 0 ? err_neg(e, r, "read %s of the container", path) : 0;
}

static int resolve_user(struct exec *x, const struct view *v, struct arena *a, struct oci_user *out,
                        struct err *e)
{
    auto_buf struct buf passwd = BUF_MAX(PASSWD_MAX), group = BUF_MAX(PASSWD_MAX);
    const char *user = x->d.user != NULL && x->d.user[0] != '\0' ? x->d.user : v->rec->config.user,
               *home;

    TRY(read_file_of(v->state->pid, "/etc/passwd", &passwd, e));
    TRY(read_file_of(v->state->pid, "/etc/group", &group, e));
    return user_resolve(user != NULL ? user : "", str_of(buf_cstr(&passwd)),
                        str_of(buf_cstr(&group)), &v->rec->host.group_add, a, out, &home, e);
}

static int build_process(struct exec *x, const struct exec_start_opts *o, struct arena *a,
                         struct buf *json, struct err *e)
{
    auto_view struct view v = container_view(x->c);
    struct spec_inputs in = {
        .rec = v.rec, .o = &x->c->g->o, .hostname = v.rec->config.hostname, .netns = ""};
    struct container_config env_of = v.rec->config;
    struct security_opts sec;
    struct oci_process p;

    TRY(resolve_user(x, &v, a, &in.user, e));
    TRY(security_opts_parse(&v.rec->host.security_opt, &sec, e));
    TRY(spec_process(&in, &sec, a, &p, e));
    env_of.env = (struct strv){0};
    vec_each(s, &v.rec->config.env)
        vec_push_in(a, &env_of.env, *s);
    vec_each(s, &x->d.env)
        vec_push_in(a, &env_of.env, *s);
    p.env = spec_env(&env_of, v.rec->config.hostname, x->d.tty, a);
    p.args = x->d.cmd;
    p.terminal = x->d.tty;
    p.console_size = NULL;
    if (x->d.tty && o->width > 0 && o->height > 0) {
        p.console_size = ARENA_NEW(a, struct oci_console_size);
        *p.console_size = (struct oci_console_size){.height = o->height, .width = o->width};
    }
    if (x->d.working_dir != NULL && x->d.working_dir[0] != '\0')
        p.cwd = x->d.working_dir;
    if (x->d.privileged) {
        struct strv caps;

        TRY(caps_resolve(&(struct strv){0}, &(struct strv){0}, true, a, &caps, e));
        p.capabilities->bounding = p.capabilities->permitted = p.capabilities->effective = caps;
    }
    json_write(&oci_process_json, &p, json);
    return json->over ? err_set(e, ERR_TOO_LARGE, "the exec's environment is too long") : 0;
}

/* ---- start ---- */

struct streams {
    int fd[3]; /* our ends: stdin to write, the others to read; -1: none */
    const char *path[3];
};

static int make_fifos(struct exec *x, struct arena *a, struct streams *s, struct err *e)
{
    const bool want[] = {x->d.attach_stdin, x->d.attach_stdout, x->d.attach_stderr && !x->d.tty};

    for (int i = 0; i < 3; i++) {
        if (!want[i])
            continue;
        s->path[i] = fifo_path(x, i, a);
        if (mkfifo(s->path[i], 0600) < 0)
            return err_sys(e, "mkfifo %s", s->path[i]);
        if (i == 0)
            continue; /* opened once the shim reads it */
        s->fd[i] = open(s->path[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (s->fd[i] < 0)
            return err_sys(e, "open %s", s->path[i]);
    }
    return 0;
}

/* The exit code of a start that failed, by the runtime's words. */
static int code_of(const struct err *e)
{
    if (strcasestr(e->msg, "permission denied") != NULL)
        return 126;
    return strcasestr(e->msg, "executable file not found") != NULL ||
                   strcasestr(e->msg, "no such file or directory") != NULL
               ? 127
               : 126;
}

static int start_process(struct exec *x, const struct exec_start_opts *o, struct arena *a,
                         struct streams *s, struct err *e)
{
    auto_buf struct buf json = BUF_MAX(8 << 20);
    struct ctd *ctd = x->c->g->ctd;
    struct ctd_exec cx = {.id = x->c->id,
                          .exec_id = x->id,
                          .terminal = x->d.tty,
                          .stdin_ = s->path[0],
                          .stdout_ = s->path[1],
                          .stderr_ = s->path[2]};
    struct err ignored = {0};
    uint32_t pid = 0;

    TRY(build_process(x, o, a, &json, e));
    cx.process = buf_cstr(&json);
    TRY(ctd_task_exec(ctd, &cx, e));
    pthread_mutex_lock(&x->lock);
    x->running = x->started = true;
    pthread_mutex_unlock(&x->lock);
    exec_event(x, "exec_start", true, NULL);
    if (ctd_task_start(ctd, x->c->id, x->id, &pid, e) < 0) {
        (void)ctd_task_delete(ctd, x->c->id, x->id, NULL, &ignored);
        return -1;
    }
    pthread_mutex_lock(&x->lock);
    x->pid = pid;
    pthread_mutex_unlock(&x->lock);
    if (s->path[0] != NULL) {
        s->fd[0] = open(s->path[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (s->fd[0] < 0 && errno != ENXIO && errno != ENOENT) /* it has ended already */
            return err_sys(e, "open %s", s->path[0]);
    }
    return 0;
}

static int start(struct exec *x, const struct exec_start_opts *o, struct arena *a,
                 struct streams *s, struct err *e)
{
    int r = 0;

    *s = (struct streams){.fd = {-1, -1, -1}};
    if (!o->detach)
        r = make_fifos(x, a, s, e);
    if (r == 0)
        r = start_process(x, o, a, s, e);
    if (r == 0)
        return 0;
    exec_end(x, code_of(e));
    exec_remove_fifos(x);
    return -1;
}

static void streams_done(struct streams *s)
{
    for (int i = 0; i < 3; i++)
        fd_close(s->fd[i]);
}

int exec_run_detached(struct exec *x, const struct exec_start_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct streams s;
    int r = start(x, o, a, &s, e);

    streams_done(&s);
    return r;
}

/* ---- the pump ---- */

struct exec_pump {
    struct exec *x;
    struct streams s;
    struct stream *client;
    bool client_gone, framed, ended;
    int64_t drain_until_ns; /* once it has ended */
    struct detach_keys keys;
    unsigned char input[CHUNK + KEYS_MAX];
    size_t at, n;
    bool input_ended, detached;
};

static void close_input(struct exec_pump *p)
{
    struct err ignored = {0};

    if (p->s.path[0] == NULL)
        return;
    p->s.path[0] = NULL;
    fd_close(p->s.fd[0]);
    p->s.fd[0] = -1;
    (void)ctd_task_close_stdin(p->x->c->g->ctd, p->x->c->id, p->x->id,
                               &ignored); /* it may have ended */
}

static void read_output(struct exec_pump *p, int i)
{
    char b[CHUNK];
    struct err ignored = {0};
    ssize_t n = read(p->s.fd[i], b, sizeof(b));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fd_close(p->s.fd[i]);
        p->s.fd[i] = -1;
        return;
    }
    if (!p->client_gone && pump_write(p->client, p->framed ? i : 0, b, (size_t)n, &ignored) < 0)
        p->client_gone = true;
}

static void read_input(struct exec_pump *p)
{
    unsigned char typed[CHUNK];
    struct err ignored = {0};
    ssize_t n = stream_try_read(p->client, typed, sizeof(typed), &ignored);

    if (n == STREAM_AGAIN)
        return;
    if (n <= 0) {
        p->input_ended = true;
        p->client_gone |= n < 0;
        return;
    }
    if (p->s.fd[0] < 0)
        return;
    p->at = 0;
    p->n = (size_t)n;
    if (p->x->d.tty)
        p->n = detach_keys_filter(&p->keys, typed, (size_t)n, p->input, &p->detached);
    else
        memcpy(p->input, typed, (size_t)n);
}

static void write_input(struct exec_pump *p)
{
    while (p->n > 0 && p->s.fd[0] >= 0) {
        ssize_t n = write(p->s.fd[0], p->input + p->at, p->n);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) { /* nobody reads any more */
            p->n = 0;
            fd_close(p->s.fd[0]);
            p->s.fd[0] = -1;
            return;
        }
        p->at += (size_t)n;
        p->n -= (size_t)n;
    }
    if (p->input_ended)
        close_input(p);
}

/* Milliseconds to wait: for ever, or what is left of the drain. */
static int wait_ms(const struct exec_pump *p)
{
    int64_t left;

    if (!p->ended)
        return -1;
    left = (p->drain_until_ns - time_mono_ns()) / NS_PER_MS;
    return (int)MAX(left, 0);
}

static bool finished(const struct exec_pump *p)
{
    return (p->ended && p->s.fd[1] < 0 && p->s.fd[2] < 0) || (p->ended && wait_ms(p) == 0) ||
           p->detached;
}

static int pump(struct exec_pump *p, struct err *e)
{
    while (!finished(p)) {
        short want;
        bool readable = p->n == 0 && !p->input_ended && !p->client_gone;
        struct pollfd f[] = {{p->s.fd[1], POLLIN, 0},
                             {p->s.fd[2], POLLIN, 0},
                             {p->n > 0 ? p->s.fd[0] : -1, POLLOUT, 0},
                             {readable ? stream_read_fd(p->client, &want) : -1, 0, 0},
                             {p->ended ? -1 : p->x->ended_fd, POLLIN, 0},
                             {p->x->c->g->stop_fd, POLLIN, 0}};
        bool pending = readable && stream_pending(p->client) > 0;

        f[3].events = readable ? want : 0;
        if (poll(f, ARRAY_LEN(f), pending ? 0 : wait_ms(p)) < 0 && errno != EINTR)
            return err_sys(e, "poll");
        if (f[5].revents != 0)
            return 0;
        if (f[4].revents != 0) {
            p->ended = true;
            p->drain_until_ns = time_mono_ns() + DRAIN_MS * NS_PER_MS;
        }
        for (int i = 1; i <= 2; i++)
            if (f[i - 1].revents != 0)
                read_output(p, i);
        if (readable && (f[3].revents != 0 || pending))
            read_input(p);
        write_input(p);
    }
    if (p->detached)
        exec_event(p->x, "exec_detach", false, NULL);
    return 0;
}

int exec_run(struct exec *x, const struct exec_start_opts *o, struct stream *client, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct exec_pump *p = mem_alloc(sizeof(*p));
    int r;

    p->x = x;
    p->client = client;
    p->framed = !o->tty;
    r = detach_keys_parse(x->d.detach_keys, &p->keys, e);
    if (r == 0)
        r = start(x, o, a, &p->s, e);
    if (r == 0)
        r = pump(p, e);
    streams_done(&p->s);
    free(p);
    return r;
}
