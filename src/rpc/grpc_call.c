/*
 * A call on the server's side: see grpc.h. Its handler is run as a job of the pool, one job at a
 * time; what there is to do is read from the call's state each time, so events from the connection
 * need not be queued or remembered.
 */
#include "rpc/grpc_call.h"

#include <sys/eventfd.h>

#include "base/mem.h"
#include "sys/fd.h"

static void run_job(struct grpc_job *job);

struct grpc_call *grpc_call_new(struct h2_conn *conn, struct grpc_pool *pool, void *ctx,
                                struct ucred peer)
{
    struct grpc_call *c = mem_alloc(sizeof(*c));
    pthread_mutexattr_t attr;

    h2_stream_init(&c->h2, conn);
    list_init(&c->job.link);
    c->job.run = run_job;
    c->pool = pool;
    c->ctx = ctx;
    c->peer = peer;
    c->arena = arena_new();
    c->cancel_fd = -1;
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&c->cancel_lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    return c;
}

void grpc_call_free(struct grpc_call *c)
{
    if (c->data_done != NULL)
        c->data_done(c->data);
    arena_free(c->msg_arena);
    arena_free(c->arena);
    fd_close(c->cancel_fd);
    free(c->text);
    (void)pthread_mutex_destroy(&c->cancel_lock);
    free(c);
}

/* ---- running the handler ---- */

enum work { WORK_NONE, WORK_MESSAGE, WORK_END, WORK_AGAIN };

static bool streams_requests(const struct grpc_call *c)
{
    return c->method->kind == GRPC_CLIENT_STREAM || c->method->kind == GRPC_BIDI;
}

/* What there is to do now. Caller holds the lock. */
static enum work next_work(const struct grpc_call *c)
{
    if (c->finished || c->cancelled)
        return WORK_NONE;
    if (c->again)
        return c->h2.unsent < H2_QUEUE_LOW ? WORK_AGAIN : WORK_NONE;
    if (!streams_requests(c) && c->have_req)
        return WORK_NONE;
    if (!list_empty(&c->h2.in))
        return WORK_MESSAGE;
    return c->h2.in_end && !c->had_end ? WORK_END : WORK_NONE;
}

void grpc_call_kick(struct grpc_call *c)
{
    struct err e;
    bool start;

    (void)pthread_mutex_lock(&c->h2.lock);
    start = c->method != NULL && !c->running && next_work(c) != WORK_NONE;
    if (start)
        c->running = true;
    (void)pthread_mutex_unlock(&c->h2.lock);
    if (!start)
        return;
    grpc_call_ref(c); /* the job's */
    if (!(c->method->flags & GRPC_SLOW)) {
        grpc_pool_submit(c->pool, &c->job);
    } else if (grpc_pool_submit_slow(c->pool, &c->job, &e) < 0) {
        grpc_call_finish(c, &e);
        grpc_call_unref(c);
    }
}

static int take_request(struct grpc_call *c, struct grpc_msg *m, struct err *e)
{
    struct arena *a = c->arena;
    int r;

    if (streams_requests(c)) {
        arena_free(c->msg_arena);
        a = c->msg_arena = arena_new();
    }
    r = pb_unpack(c->method->request, m->bytes, m->n, a, &c->req, e);
    free(m);
    return r;
}

/* Do one piece of work, if there is any left. */
static void run_once(struct grpc_call *c)
{
    struct grpc_msg *m = NULL;
    struct err e;
    enum work w;
    bool last, open;
    int r = 0;

    (void)pthread_mutex_lock(&c->h2.lock);
    w = next_work(c);
    if (w == WORK_MESSAGE)
        m = h2_take(&c->h2);
    c->again = false;
    c->have_req |= w == WORK_MESSAGE;
    c->had_end |= w == WORK_END;
    last = !streams_requests(c) || c->had_end;
    (void)pthread_mutex_unlock(&c->h2.lock);

    if (w == WORK_NONE)
        return;
    if (w == WORK_MESSAGE)
        r = take_request(c, m, &e);
    else if (w == WORK_END && !streams_requests(c))
        r = err_set(&e, ERR_UNIMPLEMENTED, "the call came without its request message");
    else if (w == WORK_END)
        c->req = NULL;
    if (r == 0)
        r = c->method->handler(c, c->req, &e);
    if (r < 0)
        grpc_call_finish(c, &e);

    (void)pthread_mutex_lock(&c->h2.lock);
    c->again = r == GRPC_AGAIN;
    c->h2.want_drained = c->again && c->h2.unsent >= H2_QUEUE_LOW;
    open = r == 0 && last && !c->finished && !c->cancelled;
    (void)pthread_mutex_unlock(&c->h2.lock);
    if (open) {
        (void)err_set(&e, ERR_INTERNAL, "%s/%s was left without an answer", c->method->service,
                      c->method->method);
        grpc_call_finish(c, &e);
    }
    if (m != NULL)
        (void)h2_post(&c->h2); /* the window of the message's bytes goes back */
}

/* Whether there is more to do. If not, the next event starts a new job. */
static bool more_work(struct grpc_call *c)
{
    bool more;

    (void)pthread_mutex_lock(&c->h2.lock);
    more = c->running = next_work(c) != WORK_NONE;
    (void)pthread_mutex_unlock(&c->h2.lock);
    return more;
}

static void run_job(struct grpc_job *job)
{
    struct grpc_call *c = CONTAINER_OF(job, struct grpc_call, job);
    bool slow = (c->method->flags & GRPC_SLOW) != 0;

    bool more;

    do {
        run_once(c);
        more = more_work(c);
    } while (more && slow);
    if (more)
        grpc_pool_submit(c->pool,
                         job); /* behind the others: a long stream must not keep the thread */
    else
        grpc_call_unref(c);
}

/* ---- for handlers ---- */

void *grpc_call_ctx(const struct grpc_call *c)
{
    return c->ctx;
}

const struct grpc_method *grpc_call_method(const struct grpc_call *c)
{
    return c->method;
}

const char *grpc_call_metadata(const struct grpc_call *c, const char *name)
{
    vec_each(md, &c->metadata)
        if (strcmp(md->name, name) == 0)
            return md->value;
    return NULL;
}

struct arena *grpc_call_arena(struct grpc_call *c)
{
    return c->arena;
}

int64_t grpc_call_deadline_ns(const struct grpc_call *c)
{
    return c->deadline_ns;
}

struct ucred grpc_call_peer(const struct grpc_call *c)
{
    return c->peer;
}

void grpc_call_set_data(struct grpc_call *c, void *data, void (*done)(void *data))
{
    c->data = data;
    c->data_done = done;
}

void *grpc_call_data(const struct grpc_call *c)
{
    return c->data;
}

struct grpc_call *grpc_call_ref(struct grpc_call *c)
{
    h2_stream_ref(&c->h2);
    return c;
}

void grpc_call_unref(struct grpc_call *c)
{
    if (c != NULL)
        h2_stream_unref(&c->h2);
}

/* ---- answers ---- */

int grpc_call_send(struct grpc_call *c, const ProtobufCMessage *msg, struct err *e)
{
    struct grpc_msg *m = grpc_frame(msg, e);
    bool over, full;

    if (m == NULL)
        return -1;
    (void)pthread_mutex_lock(&c->h2.lock);
    over = c->finished || c->cancelled || c->h2.closed;
    full = c->h2.unsent >= H2_QUEUE_MAX;
    if (!over && !full) {
        list_append(&c->h2.out, &m->link);
        c->h2.unsent += m->n;
        m = NULL;
    }
    (void)pthread_mutex_unlock(&c->h2.lock);
    free(m);
    if (over)
        return err_set(e, ERR_CANCELLED, "context canceled");
    if (full)
        return err_set(e, ERR_EXHAUSTED, "the client does not read: %zu bytes are unsent",
                       H2_QUEUE_MAX);
    (void)h2_post(&c->h2);
    return 0;
}

bool grpc_call_writable(struct grpc_call *c)
{
    bool writable;

    (void)pthread_mutex_lock(&c->h2.lock);
    writable = c->h2.unsent < H2_QUEUE_LOW;
    (void)pthread_mutex_unlock(&c->h2.lock);
    return writable;
}

bool grpc_call_end(struct grpc_call *c, const struct err *e)
{
    bool ok = e == NULL || e->kind == ERR_NONE, first;

    (void)pthread_mutex_lock(&c->h2.lock);
    first = !c->finished;
    if (first) {
        c->finished = c->h2.out_end = true;
        c->code = ok ? GRPC_OK : grpc_code_of(e->kind);
        c->text = ok ? NULL : mem_strdup(e->msg);
    }
    (void)pthread_mutex_unlock(&c->h2.lock);
    if (first)
        (void)h2_post(&c->h2);
    return first;
}

void grpc_call_finish(struct grpc_call *c, const struct err *e)
{
    (void)grpc_call_end(c, e);
    grpc_call_on_cancel(c, NULL, NULL);
}

int grpc_call_reply(struct grpc_call *c, const ProtobufCMessage *msg, struct err *e)
{
    TRY(grpc_call_send(c, msg, e));
    grpc_call_finish(c, NULL);
    return 0;
}

int grpc_call_reply_empty(struct grpc_call *c, struct err *e)
{
    Pb__Empty empty = PB__EMPTY__INIT;

    return grpc_call_reply(c, &empty.base, e);
}

/* ---- cancellation ---- */

bool grpc_call_cancelled(struct grpc_call *c)
{
    bool cancelled;

    (void)pthread_mutex_lock(&c->h2.lock);
    cancelled = c->cancelled;
    (void)pthread_mutex_unlock(&c->h2.lock);
    return cancelled;
}

int grpc_call_cancel_fd(struct grpc_call *c)
{
    int fd;

    (void)pthread_mutex_lock(&c->h2.lock);
    if (c->cancel_fd < 0)
        c->cancel_fd = eventfd(c->cancelled ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);
    fd = c->cancel_fd;
    (void)pthread_mutex_unlock(&c->h2.lock);
    return fd;
}

void grpc_call_on_cancel(struct grpc_call *c, void (*fn)(void *arg), void *arg)
{
    bool now;

    (void)pthread_mutex_lock(&c->cancel_lock);
    now = fn != NULL && grpc_call_cancelled(c);
    c->on_cancel = now ? NULL : fn;
    c->on_cancel_arg = arg;
    if (now)
        fn(arg);
    (void)pthread_mutex_unlock(&c->cancel_lock);
}

void grpc_call_cancel(struct grpc_call *c)
{
    void (*fn)(void *arg);
    uint64_t one = 1;

    (void)pthread_mutex_lock(&c->h2.lock);
    c->cancelled = true;
    if (c->cancel_fd >= 0)
        (void)!write(c->cancel_fd, &one, sizeof(one));
    (void)pthread_mutex_unlock(&c->h2.lock);
    (void)pthread_mutex_lock(&c->cancel_lock);
    fn = c->on_cancel;
    c->on_cancel = NULL;
    if (fn != NULL)
        fn(c->on_cancel_arg);
    (void)pthread_mutex_unlock(&c->cancel_lock);
}
