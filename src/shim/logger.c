/* Logging programs: see logger.h. */
#include "shim/logger.h"

#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#define READY_MS 10000
#define URI_MAX ((size_t)64 << 10)

extern char **environ;

struct logger {
    struct logger_opts o;
    pid_t pid; /* 0: ended */
    int out[3];
    int ready; /* -1: it has said so */
    struct source *ready_src, *timer;
    void (*when_ready)(void *arg, const struct err *e);
    void *ready_arg;
};

/* One unescaped part of the URI. */
static char *part(struct str s, bool plus, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1), *w = p;
    for (size_t i = 0; i < s.n; i++) {
        bool escaped = s.p[i] == '%' && i + 2 < s.n && hex_digit(s.p[i + 1]) >= 0 &&
                       hex_digit(s.p[i + 2]) >= 0;
        char c = s.p[i];
        if (plus && c == '+')
            c = ' ';
        if (escaped)
            c = (char)(hex_digit(s.p[i + 1]) * 16 + hex_digit(s.p[i + 2]));
        *w++ = c;
        i += escaped ? 2 : 0;
    }
    return p;
}

typedef VEC(const char *) args;

/* The program and its arguments: name value name value … */
static int parse(const char *uri, struct arena *a, args *out, struct err *e)
{
    struct str s = str_of(uri + strlen("binary://"));
    struct str path = str_cut(&s, '?');
    if (path.n == 0 || path.p[0] != '/' || path.n + s.n > URI_MAX)
        return err_set(e, ERR_INVALID, "log URI \"%.200s\" names no program", uri);
    vec_push_in(a, out, part(path, false, a));
    while (s.n > 0) {
        struct str value = str_cut(&s, '&'), name = str_cut(&value, '=');
        vec_push_in(a, out, part(name, true, a));
        vec_push_in(a, out, part(value, true, a));
    }
    vec_push_in(a, out, NULL);
    return 0;
}

static const char *const *environment(const struct logger_opts *o, struct arena *a)
{
    args env = {0};
    for (char **v = environ; *v != NULL; v++)
        vec_push_in(a, &env, *v);
    vec_push_in(a, &env, arena_printf(a, "CONTAINER_ID=%s", o->id));
    vec_push_in(a, &env, arena_printf(a, "CONTAINER_NAMESPACE=%s", o->ns));
    vec_push_in(a, &env, NULL);
    return env.v;
}

static void tell_ready(struct logger *l, const struct err *e)
{
    void (*fn)(void *arg, const struct err *e) = l->when_ready;
    loop_del(l->ready_src);
    loop_del(l->timer);
    l->ready_src = l->timer = NULL;
    fd_close(take_fd(&l->ready));
    l->when_ready = NULL;
    if (fn != NULL)
        fn(l->ready_arg, e);
}

static void on_exit_of(void *arg, pid_t pid, int status, int64_t exited_ns)
{
    struct logger *l = arg;
    struct err e = {0};
    (void)pid;
    (void)exited_ns;
    l->pid = 0;
    if (l->ready >= 0) {
        (void)err_set(&e, ERR_UNKNOWN, "logging program ended with status %d before it was ready",
                      status);
        tell_ready(l, &e);
        return;
    }
    l->o.fn(l->o.arg);
}

static void on_ready(struct source *s, int fd, uint32_t events, void *arg)
{
    struct logger *l = arg;
    struct err e = {0};
    siginfo_t dead = {0};
    char byte;
    (void)s;
    (void)events;
    bool ready = read(fd, &byte, 1) == 1;
    if (!ready && !l->o.is_ours)
        ready = waitid(P_PID, (id_t)l->pid, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                dead.si_pid == 0;
    if (!ready)
        (void)err_set(&e, ERR_UNKNOWN, "logging program ended before it was ready");
    tell_ready(l, ready ? NULL : &e);
}

static void on_timeout(struct source *s, void *arg)
{
    struct logger *l = arg;
    struct err e = {0};
    (void)s;
    l->timer = NULL;
    (void)err_set(&e, ERR_TIMEOUT, "logging program did not get ready within %d s",
                  READY_MS / 1000);
    tell_ready(l, &e);
}

int logger_start(const struct logger_opts *o, struct logger **out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_fd int r1 = -1, w1 = -1, r2 = -1, w2 = -1, rr = -1, rw = -1;
    args argv = {0};
    struct proc proc = PROC_NONE;
    TRY(parse(o->uri, a, &argv, e));
    if (fd_pipe(&r1, &w1, 0) < 0 || fd_pipe(&r2, &w2, 0) < 0 || fd_pipe(&rr, &rw, 0) < 0)
        return err_set(e, ERR_INTERNAL, "pipes for logging program %s", argv.v[0]);
    const struct spawn_fd fds[] = {{2, 2}, {3, r1}, {4, r2}, {5, rw}};
    const struct spawn_opts so = {.path = argv.v[0],
                                  .argv = argv.v,
                                  .envp = environment(o, a),
                                  .fds = fds,
                                  .n_fds = ARRAY_LEN(fds),
                                  .new_group = true};
    TRY(spawn(&so, &proc, e));
    fd_close(proc.pidfd);
    struct logger *l = mem_alloc(sizeof(*l));
    l->o = *o;
    l->pid = proc.pid;
    l->out[0] = -1;
    l->out[1] = take_fd(&w1);
    l->out[2] = take_fd(&w2);
    l->ready = take_fd(&rr);
    reaper_watch(o->reaper, proc.pid, on_exit_of, l);
    *out = l;
    return 0;
}

int logger_take_fd(struct logger *l, int stream)
{
    return take_fd(&l->out[stream]);
}

void logger_when_ready(struct logger *l, void (*fn)(void *arg, const struct err *e), void *arg)
{
    struct err e = {0};
    l->when_ready = fn;
    l->ready_arg = arg;
    l->ready_src = loop_add_fd(l->o.loop, l->ready, EPOLLIN, on_ready, l, &e);
    l->timer = loop_add_timer(l->o.loop, READY_MS, on_timeout, l, &e);
    if (l->ready_src == NULL || l->timer == NULL)
        tell_ready(l, &e);
}

bool logger_ended(const struct logger *l)
{
    return l->pid == 0;
}

void logger_free(struct logger *l)
{
    if (l == NULL)
        return;
    if (l->pid != 0)
        reaper_forget(l->o.reaper, l->pid);
    loop_del(l->ready_src);
    loop_del(l->timer);
    fd_close(l->ready);
    for (int i = 1; i < 3; i++)
        fd_close(l->out[i]);
    free(l);
}
