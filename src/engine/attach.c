/*
 * Attaching. The shim's attach socket does the work; here are those who came before there is one
 * (parked), and the pump between it and the client.
 */
#include "engine/attach.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "engine/attach_int.h"
#include "engine/logs.h"
#include "engine/pump.h"
#include "stdio/attach.h"
#include "sys/fd.h"

enum { OPEN_MS = 10000, INPUT_MAX = 16 << 10 };

struct attachment {
    struct list link; /* guarded by the container's lock, as are conn and dropped until ready */
    struct container *c;
    struct attach_opts o;
    struct detach_keys keys;
    bool tty, stdin_once, open_stdin;
    int ready_fd; /* eventfd: connected or dropped */
    struct attach *conn;
    bool dropped;

    unsigned char input[INPUT_MAX + KEYS_MAX]; /* typed and not taken yet */
    size_t input_at, input_n;
    bool input_ended, input_over; /* the client will send no more; and that has been passed on */
};

char *attach_socket(const struct container *c, struct arena *a)
{
    return arena_printf(a, "%s/c/%.32s.a", c->g->o.exec_root, c->id);
}

static unsigned wanted(const struct attachment *t)
{
    return (t->o.in && t->open_stdin ? ATTACH_STDIN : 0U) | (t->o.out ? ATTACH_STDOUT : 0U) |
           (t->o.err ? ATTACH_STDERR : 0U);
}

/* Connect; a container that has ended meanwhile is no error: conn stays NULL. */
static int connect_now(struct attachment *t, struct attach **out, struct err *e)
{
    auto_arena struct arena *a = arena_new();

    *out = NULL;
    if (attach_open(attach_socket(t->c, a), wanted(t), OPEN_MS, out, NULL, e) == 0)
        return 0;
    return e->kind == ERR_NOT_FOUND || e->kind == ERR_UNAVAILABLE ? 0 : -1;
}

static void finish(struct attachment *t, struct attach *conn)
{
    t->conn = conn;
    t->dropped = conn == NULL;
    (void)eventfd_write(t->ready_fd, 1);
}

void attach_join_parked(struct container *c)
{
    for (;;) {
        struct attach *conn;
        struct err e = {0};

        pthread_mutex_lock(&c->lock);
        struct attachment *t = list_take(&c->attachments, struct attachment, link);
        pthread_mutex_unlock(&c->lock);
        if (t == NULL)
            return;
        /* out of the list it is ours until ready_fd is written: attachment_free waits for that */
        if (connect_now(t, &conn, &e) < 0)
            log_warn("cannot attach", "container", c->id, "error", e.msg, NULL);
        finish(t, conn);
    }
}

void attach_drop_parked(struct container *c)
{
    pthread_mutex_lock(&c->lock);
    list_each(l, &c->attachments) {
        struct attachment *t = CONTAINER_OF(l, struct attachment, link);

        list_remove(&t->link);
        finish(t, NULL);
    }
    pthread_mutex_unlock(&c->lock);
}

static int check(const struct container_run *s, const char *id, struct err *e)
{
    if (s->paused)
        return err_set(e, ERR_CONFLICT,
                       "container %s is paused, unpause the container before attach", id);
    if (s->restarting)
        return err_set(e, ERR_CONFLICT,
                       "container %s is restarting, wait until the container is running", id);
    return 0;
}

int attachment_new(struct container *c, const struct attach_opts *o, struct attachment **out,
                   bool *out_multiplexed, struct err *e)
{
    auto_view struct view v = container_view(c);
    struct attachment *t;
    struct detach_keys keys;
    bool parked;

    TRY(detach_keys_parse(o->detach_keys, &keys, e));
    TRY(check(v.state, c->id, e));
    t = mem_alloc(sizeof(*t));
    list_init(&t->link);
    t->c = container_ref(c);
    t->o = *o;
    t->keys = keys;
    t->tty = v.rec->config.tty;
    t->stdin_once = v.rec->config.stdin_once;
    t->open_stdin = v.rec->config.open_stdin;
    t->ready_fd = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_lock(&c->lock);
    parked = !c->run->d.running && !c->gone && o->stream;
    if (parked)
        list_append(&c->attachments, &t->link);
    pthread_mutex_unlock(&c->lock);
    if (!parked) {
        struct attach *conn = NULL;

        if (o->stream && connect_now(t, &conn, e) < 0) {
            finish(t, NULL);
            attachment_free(t);
            return -1;
        }
        finish(t, conn);
    }
    container_event(c, "attach", NULL);
    *out_multiplexed = !t->tty;
    *out = t;
    return 0;
}

void attachment_free(struct attachment *t)
{
    bool listed;
    struct err ignored = {0};

    if (t == NULL)
        return;
    pthread_mutex_lock(&t->c->lock);
    listed = !list_empty(&t->link);
    list_remove(&t->link);
    pthread_mutex_unlock(&t->c->lock);
    if (!listed) /* a start may be connecting us just now */
        (void)wait_readable(t->ready_fd, -1, -1, &ignored);
    attach_close(t->conn);
    fd_close(t->ready_fd);
    container_unref(t->c);
    free(t);
}

/* ---- the pump ---- */

static int to_stream(void *arg, const void *p, size_t n, struct err *e)
{
    return stream_write(arg, p, n, e);
}

static int replay_logs(struct attachment *t, struct stream *client, struct err *e)
{
    struct logs_opts o = {.out = t->o.out, .err = t->o.err};
    struct sink sink = {to_stream, client};

    return container_logs(t->c, &o, &sink, -1, e);
}

/* All frames that have come: 1 go on, 0 the output has ended, -1 an error or the client is gone. */
static int take_output(struct attachment *t, struct stream *client, struct err *e)
{
    struct attach_frame f;
    int r;

    while ((r = attach_next(t->conn, &f, e)) > 0) {
        bool want =
            (f.type == ATTACH_T_STDOUT && t->o.out) || (f.type == ATTACH_T_STDERR && t->o.err);

        if (f.type == ATTACH_T_END)
            return 0;
        if (f.type == ATTACH_T_ERROR)
            return err_set(e, ERR_INTERNAL, "%.*s", STR_ARG(f.data));
        if (want)
            TRY(t->tty ? stream_write(client, f.data.p, f.data.n, e)
                       : stream_write(client, f.raw.p, f.raw.n, e));
    }
    if (r < 0 && e->kind == ERR_UNAVAILABLE)
        return 0; /* the shim has gone without saying so */
    return r < 0 ? -1 : 1;
}

/* A shim that is not ours holds an end of the FIFO itself, and lets go of it only when told. What
 * is in the FIFO is read first. */
static void close_foreign_stdin(const struct attachment *t)
{
    auto_view struct view v = container_view(t->c);
    struct ctd_runtime runtime;
    struct err ignored = {0};

    if (engine_runtime_find(t->c->g, v.rec->host.runtime, &runtime, &ignored) == 0 &&
        !runtime_is_ours(&runtime))
        (void)ctd_task_close_stdin(t->c->g->ctd, t->c->id, NULL, &ignored); /* it may have ended */
}

/* Pass on what was typed: 1 go on, 0 detach. */
static int give_input(struct attachment *t, struct err *e)
{
    while (t->input_n > 0) {
        ssize_t n = attach_stdin(t->conn, t->input + t->input_at, t->input_n, e);

        TRY(n);
        if (n == 0)
            return 1;
        t->input_at += (size_t)n;
        t->input_n -= (size_t)n;
    }
    if (!t->input_ended || t->input_over)
        return 1;
    t->input_over = true;
    if (!t->o.in)
        return 1;
    if (t->tty || !t->stdin_once || !t->open_stdin)
        return 0; /* the container keeps its input, this attachment ends */
    TRY(attach_close_stdin(t->conn, e));
    close_foreign_stdin(t);
    return 1;
}

/* Take what the client typed: 1 go on, 0 detach, -1 the client is gone. */
static int take_input(struct attachment *t, struct stream *client, struct err *e)
{
    unsigned char typed[INPUT_MAX];
    bool detached = false;
    ssize_t n = stream_try_read(client, typed, sizeof(typed), e);

    if (n == STREAM_AGAIN)
        return 1;
    TRY((int)n);
    if (n == 0) {
        t->input_ended = true;
        return 1;
    }
    if (!t->o.in || !t->open_stdin)
        return 1; /* nobody wants it */
    t->input_at = 0;
    if (t->tty) {
        t->input_n = detach_keys_filter(&t->keys, typed, (size_t)n, t->input, &detached);
    } else {
        memcpy(t->input, typed, (size_t)n);
        t->input_n = (size_t)n;
    }
    if (detached)
        container_event(t->c, "detach", NULL);
    return detached ? 0 : 1;
}

static int pump(struct attachment *t, struct stream *client, struct err *e)
{
    for (;;) {
        short want;
        int rfd = stream_read_fd(client, &want), r;
        bool readable = t->input_n == 0 && !t->input_ended;
        struct pollfd p[] = {{attach_fd(t->conn), attach_events(t->conn), 0},
                             {rfd, readable ? want : 0, 0},
                             {t->c->g->stop_fd, POLLIN, 0}};

        if (poll(p, ARRAY_LEN(p), readable && stream_pending(client) > 0 ? 0 : -1) < 0 &&
            errno != EINTR)
            return err_sys(e, "poll");
        if (p[2].revents != 0)
            return 0;
        if (t->input_ended && (p[1].revents & (POLLHUP | POLLERR)) != 0)
            return 0;
        if (readable && (p[1].revents != 0 || stream_pending(client) > 0)) {
            r = take_input(t, client, e);
            if (r <= 0)
                return 0;
        }
        if (attach_flush(t->conn, e) < 0)
            return 0;
        r = give_input(t, e);
        if (r <= 0)
            return 0;
        r = take_output(t, client, e);
        if (r <= 0)
            return r;
    }
}

int attachment_run(struct attachment *t, struct stream *client, struct err *e)
{
    struct pollfd p[] = {{t->ready_fd, POLLIN, 0},
                         {stream_write_fd(client, &(short){0}), 0, 0},
                         {t->c->g->stop_fd, POLLIN, 0}};

    if (t->o.logs)
        TRY(replay_logs(t, client, e));
    if (!t->o.stream)
        return 0;
    /* only a client that closed both directions is gone: input may have ended already */
    while (poll(p, ARRAY_LEN(p), -1) < 0 && errno == EINTR)
        ;
    if (p[0].revents == 0)
        return 0;
    /* reading is what makes the other thread's writes ours; whoever waits later must find it set */
    eventfd_t n;
    (void)eventfd_read(t->ready_fd, &n);
    (void)eventfd_write(t->ready_fd, 1);
    return t->dropped ? 0 : pump(t, client, e);
}
