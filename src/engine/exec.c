/* Execs: their table, and what they are; exec_run.c starts them. */
#include "engine/exec_int.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/ref.h"
#include "base/time.h"
#include "engine/names.h"
#include "engine/pump.h"
#include "engine/summary.h"
#include "sys/fd.h"
#include "types/exec.h"

enum { KEEP_S = 600, EXECS_MAX = 4096 };

struct exec *exec_ref(struct exec *x)
{
    atomic_fetch_add(&x->refs, 1);
    return x;
}

void exec_unref(struct exec *x)
{
    if (x == NULL || !ref_drop(&x->refs))
        return;
    container_unref(x->c);
    fd_close(x->ended_fd);
    pthread_mutex_destroy(&x->lock);
    arena_free(x->arena);
    free(x);
}

static int check_container(struct container *c, struct err *e)
{
    auto_view struct view v = container_view(c);

    if (!v.state->running)
        return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
    if (v.state->paused)
        return err_set(e, ERR_CONFLICT, "container %s is paused, unpause the container before exec",
                       c->id);
    if (v.state->restarting)
        return err_set(e, ERR_CONFLICT,
                       "container %s is restarting, wait until the container is running", c->id);
    return 0;
}

/* Records that ended long ago. Caller holds the engine's lock. */
static void collect_old(struct engine *g, int64_t now_ns)
{
    map_each(ent, &g->execs) {
        struct exec *x = ent->val;
        bool old;

        pthread_mutex_lock(&x->lock);
        old = x->ended_ns != 0 && now_ns - x->ended_ns > KEEP_S * NS_PER_S;
        pthread_mutex_unlock(&x->lock);
        if (old) {
            map_del(&g->execs, x->id);
            exec_unref(x);
        }
    }
}

void exec_event(struct exec *x, const char *action, bool with_command, const char *exit_code)
{
    auto_buf struct buf b = BUF_MAX(64 << 10);

    buf_adds(&b, action);
    if (with_command) {
        buf_addc(&b, ':');
        vec_each(s, &x->d.cmd)
            buf_printf(&b, " %s", *s);
    }
    if (exit_code != NULL)
        container_event(x->c, buf_cstr(&b), "execID", x->id, "exitCode", exit_code, NULL);
    else
        container_event(x->c, buf_cstr(&b), "execID", x->id, NULL);
}

int exec_create(struct container *c, const char *body, size_t len, struct buf *out, struct err *e)
{
    struct exec *x = mem_alloc(sizeof(*x));
    struct detach_keys keys;
    struct id_reply reply;
    struct engine *g = c->g;
    bool full;

    atomic_init(&x->refs, 1);
    pthread_mutex_init(&x->lock, NULL);
    x->arena = arena_new();
    x->c = container_ref(c);
    x->ended_fd = eventfd(0, EFD_CLOEXEC);
    x->exit_code = -1;
    if (json_parse(&exec_create_json, &x->d, body, len, x->arena, e) < 0 ||
        check_container(c, e) < 0 || detach_keys_parse(x->d.detach_keys, &keys, e) < 0 ||
        id_generate(x->id, e) < 0) {
        exec_unref(x);
        return -1;
    }
    if (x->d.cmd.n == 0) {
        exec_unref(x);
        return err_set(e, ERR_INVALID, "No exec command specified");
    }
    pthread_mutex_lock(&g->lock);
    collect_old(g, time_now_ns());
    full = g->execs.n >= EXECS_MAX;
    if (!full)
        map_put(&g->execs, x->id, exec_ref(x));
    pthread_mutex_unlock(&g->lock);
    if (full) {
        exec_unref(x);
        return err_set(e, ERR_UNAVAILABLE, "too many exec instances");
    }
    exec_event(x, "exec_create", true, NULL);
    reply.id = x->id;
    json_write(&id_reply_json, &reply, out);
    exec_unref(x);
    return 0;
}

static struct exec *table_get(struct engine *g, const char *id)
{
    struct exec *x;

    pthread_mutex_lock(&g->lock);
    x = map_get(&g->execs, id);
    if (x != NULL)
        (void)exec_ref(x);
    pthread_mutex_unlock(&g->lock);
    return x;
}

int exec_find(struct engine *g, const char *id, struct exec **out, struct err *e)
{
    *out = table_get(g, id);
    return *out != NULL ? 0 : err_set(e, ERR_NOT_FOUND, "No such exec instance: %s", id);
}

int exec_start_check(struct exec *x, const struct exec_start_opts *o, struct err *e)
{
    bool run, running;

    (void)o;
    TRY(check_container(x->c, e));
    pthread_mutex_lock(&x->lock);
    run = x->ended_ns != 0;
    running = x->taken;
    x->taken = true;
    pthread_mutex_unlock(&x->lock);
    if (run)
        return err_set(e, ERR_CONFLICT, "exec command %s has already run", x->id);
    return running ? err_set(e, ERR_CONFLICT, "exec command %s is already running", x->id) : 0;
}

void exec_end(struct exec *x, int code)
{
    bool first;
    char text[16];

    pthread_mutex_lock(&x->lock);
    first = x->ended_ns == 0;
    if (first) {
        x->running = false;
        x->exit_code = code;
        x->ended_ns = time_now_ns();
        (void)eventfd_write(x->ended_fd, 1);
    }
    pthread_mutex_unlock(&x->lock);
    snprintf(text, sizeof(text), "%d", code);
    if (first && x->started)
        exec_event(x, "exec_die", false, text);
}

/* Collect an ended exec: its record in the supervisor, its FIFOs. */
static void collect(void *arg)
{
    struct exec *x = arg;
    struct err e = {0};

    if (ctd_task_delete(x->c->g->ctd, x->c->id, x->id, NULL, &e) < 0 && e.kind != ERR_NOT_FOUND)
        log_warn("cannot delete an exec", "exec", x->id, "error", e.msg, NULL);
    exec_remove_fifos(x);
    exec_unref(x);
}

void exec_exited(struct engine *g, const char *exec_id, uint32_t status)
{
    struct exec *x = table_get(g, exec_id);

    if (x == NULL)
        return;
    exec_end(x, (int)status);
    workers_submit(g->workers, collect, x);
}

void execs_resync(struct engine *g)
{
    VEC(struct exec *) running = {0};

    pthread_mutex_lock(&g->lock);
    map_each(ent, &g->execs) {
        struct exec *x = ent->val;

        pthread_mutex_lock(&x->lock);
        if (x->running && x->pid != 0)
            vec_push(&running, exec_ref(x));
        pthread_mutex_unlock(&x->lock);
    }
    pthread_mutex_unlock(&g->lock);
    vec_each(x, &running) {
        auto_arena struct arena *a = arena_new();
        struct ctd_process p;
        struct err e = {0};

        if (ctd_task_get(g->ctd, (*x)->c->id, (*x)->id, a, &p, &e) < 0) {
            if (e.kind == ERR_NOT_FOUND)
                exec_exited(g, (*x)->id, 137); /* its status went with it */
        } else if (p.status == TASK_STOPPED) {
            exec_exited(g, (*x)->id, p.exit_status);
        }
        exec_unref(*x);
    }
    vec_done(&running);
}

void execs_end(struct container *c, bool forget)
{
    struct engine *g = c->g;
    VEC(struct exec *) ours = {0};

    pthread_mutex_lock(&g->lock);
    map_each(ent, &g->execs) {
        struct exec *x = ent->val;

        if (x->c != c)
            continue;
        vec_push(&ours, exec_ref(x));
        if (forget) {
            map_del(&g->execs, x->id);
            exec_unref(x);
        }
    }
    pthread_mutex_unlock(&g->lock);
    vec_each(x, &ours) {
        pthread_mutex_lock(&(*x)->lock);
        bool running = (*x)->running;
        pthread_mutex_unlock(&(*x)->lock);
        if (running) /* its own event is lost or late: it died with the container */
            exec_end(*x, 137);
        exec_remove_fifos(*x);
        exec_unref(*x);
    }
    vec_done(&ours);
}

int exec_resize(struct exec *x, uint32_t width, uint32_t height, struct err *e)
{
    bool running;

    pthread_mutex_lock(&x->lock);
    running = x->running;
    pthread_mutex_unlock(&x->lock);
    if (!running)
        return err_set(e, ERR_CONFLICT, "exec process is not started");
    return ctd_task_resize(x->c->g->ctd, x->c->id, x->id, width, height, e);
}

int exec_inspect(struct exec *x, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct exec_inspect d = {.id = x->id, .container_id = x->c->id};
    int64_t code;

    (void)e;
    pthread_mutex_lock(&x->lock);
    d.running = x->running;
    d.pid = x->pid;
    code = x->exit_code;
    if (x->ended_ns != 0)
        d.exit_code = &code;
    d.can_remove = x->ended_ns != 0;
    pthread_mutex_unlock(&x->lock);
    d.process.tty = x->d.tty;
    d.process.entrypoint = x->d.cmd.v[0];
    d.process.arguments = (struct strv){x->d.cmd.v + 1, x->d.cmd.n - 1, x->d.cmd.n - 1};
    d.process.privileged = arena_dup(a, &x->d.privileged, sizeof(bool));
    d.process.user = x->d.user;
    d.open_stdin = x->d.attach_stdin;
    d.open_stdout = x->d.attach_stdout;
    d.open_stderr = x->d.attach_stderr;
    d.detach_keys = "";
    json_write(&exec_inspect_json, &d, out);
    return 0;
}

bool exec_runs_in(struct exec *x, const struct container *c)
{
    bool runs;

    pthread_mutex_lock(&x->lock);
    runs = x->c == c && x->running;
    pthread_mutex_unlock(&x->lock);
    return runs;
}
