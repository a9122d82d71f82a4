/* Containers as objects: references, look-up, documents that are swapped, those who wait. */
#include "engine/core.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/ref.h"
#include "engine/events.h"
#include "sys/fd.h"

/* ---- documents ---- */

struct record *record_new(void)
{
    struct record *r = mem_alloc(sizeof(*r));

    atomic_init(&r->refs, 1);
    r->arena = arena_new();
    return r;
}

void record_unref(struct record *r)
{
    if (r == NULL || !ref_drop(&r->refs))
        return;
    arena_free(r->arena);
    free(r);
}

struct run *run_new(void)
{
    struct run *r = mem_alloc(sizeof(*r));

    atomic_init(&r->refs, 1);
    r->arena = arena_new();
    return r;
}

void run_unref(struct run *r)
{
    if (r == NULL || !ref_drop(&r->refs))
        return;
    arena_free(r->arena);
    free(r);
}

struct view container_view(struct container *c)
{
    struct view v;

    pthread_mutex_lock(&c->lock);
    v.record = c->record;
    v.run = c->run;
    atomic_fetch_add(&v.record->refs, 1);
    atomic_fetch_add(&v.run->refs, 1);
    pthread_mutex_unlock(&c->lock);
    v.rec = &v.record->d;
    v.state = &v.run->d;
    return v;
}

void view_done(struct view *v)
{
    record_unref(v->record);
    run_unref(v->run);
}

struct run *run_edit(struct container *c)
{
    struct run *r = run_new();

    pthread_mutex_lock(&c->lock);
    json_copy(&container_run_json, &r->d, &c->run->d, r->arena);
    return r;
}

void run_publish(struct container *c, struct run *r)
{
    struct run *old = c->run;

    c->run = r;
    c->version++;
    pthread_mutex_unlock(&c->lock);
    run_unref(old);
}

struct record *record_edit(struct container *c)
{
    struct record *r = record_new();

    pthread_mutex_lock(&c->lock);
    json_copy(&container_record_json, &r->d, &c->record->d, r->arena);
    return r;
}

void record_publish(struct container *c, struct record *r)
{
    struct record *old = c->record;

    c->record = r;
    c->version++;
    pthread_mutex_unlock(&c->lock);
    record_unref(old);
}

int container_save(struct container *c, bool durable, struct err *e)
{
    auto_view struct view v = container_view(c);
    auto_buf struct buf doc = BUF_MAX(16 << 20), run = BUF_MAX(1 << 20);
    struct state_row row = {.id = c->id, .name = v.rec->name};

    json_write(&container_record_json, v.rec, &doc);
    json_write(&container_run_json, v.state, &run);
    if (doc.over || run.over)
        return err_set(e, ERR_TOO_LARGE, "configuration of container %s is too long", c->id);
    row.doc = buf_cstr(&doc);
    row.run = buf_cstr(&run);
    return state_put(c->g->state, STATE_CONTAINERS, &row, durable, e);
}

void container_save_run(struct container *c)
{
    bool again = true;

    while (
        again) { /* a change that came meanwhile has perhaps been overtaken: write what is newest */
        auto_buf struct buf b = BUF_MAX(1 << 20);
        struct err e = {0};
        uint64_t version;
        bool keep;

        pthread_mutex_lock(&c->lock);
        version = c->version;
        keep = !c->record->d.host.auto_remove && !c->gone;
        pthread_mutex_unlock(&c->lock);
        if (!keep)
            return;
        auto_view struct view v = container_view(c);
        json_write(&container_run_json, v.state, &b);
        if (b.over || state_put_run(c->g->state, c->id, buf_cstr(&b), false, &e) < 0)
            log_error("cannot keep the state of a container", "container", c->id, "error", e.msg,
                      NULL);
        pthread_mutex_lock(&c->lock);
        again = c->version != version;
        pthread_mutex_unlock(&c->lock);
    }
}

/* ---- objects ---- */

struct container *container_new(struct engine *g, const char *id, struct record *record,
                                struct run *run)
{
    struct container *c = mem_alloc(sizeof(*c));

    atomic_init(&c->refs, 1);
    c->g = g;
    memcpy(c->id, id, MIN(strlen(id), (size_t)CONTAINER_ID_LEN));
    pthread_mutex_init(&c->lock, NULL);
    c->record = record;
    c->run = run;
    c->stopped_fd = c->restart_fd = -1;
    list_init(&c->waits);
    list_init(&c->attachments);
    gate_init(&c->gate, &c->lock);
    return c;
}

struct container *container_ref(struct container *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void container_unref(struct container *c)
{
    if (c == NULL || !ref_drop(&c->refs))
        return;
    fd_close(c->stopped_fd);
    fd_close(c->restart_fd);
    map_done(&c->execs);
    record_unref(c->record);
    run_unref(c->run);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *container_id(const struct container *c)
{
    return c->id;
}

bool container_tty(struct container *c)
{
    auto_view struct view v = container_view(c);

    return v.rec->config.tty;
}

struct container **containers_all(struct engine *g, size_t *out_n)
{
    struct container **v;
    size_t n = 0;

    pthread_mutex_lock(&g->lock);
    v = mem_alloc_array(g->by_id.n + 1, sizeof(struct container *));
    map_each(ent, &g->by_id)
        v[n++] = container_ref(ent->val);
    pthread_mutex_unlock(&g->lock);
    *out_n = n;
    return v;
}

void containers_free(struct container **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        container_unref(v[i]);
    free(v);
}

/* By prefix of the id. Caller holds the engine's lock. */
static int find_by_prefix(struct engine *g, const char *prefix, struct container **out,
                          struct err *e)
{
    *out = NULL;
    map_each(ent, &g->by_id) {
        if (strncmp(ent->key, prefix, strlen(prefix)) != 0)
            continue;
        if (*out != NULL)
            return err_set(e, ERR_INVALID, "multiple IDs found with provided prefix: %s", prefix);
        *out = ent->val;
    }
    return 0;
}

int container_find(struct engine *g, const char *name, struct container **out, struct err *e)
{
    struct container *c;
    int r = 0;

    if (name[0] == '\0')
        return err_set(e, ERR_INVALID, "No container name or ID supplied");
    pthread_mutex_lock(&g->lock);
    c = map_get(&g->by_id, name);
    if (c == NULL)
        c = map_get(&g->by_name, name[0] == '/' ? name + 1 : name);
    if (c == NULL)
        r = find_by_prefix(g, name, &c, e);
    if (c != NULL && r == 0)
        *out = container_ref(c);
    pthread_mutex_unlock(&g->lock);
    TRY(r);
    return c != NULL ? 0 : err_set(e, ERR_NOT_FOUND, "No such container: %s", name);
}

char *container_path(const struct container *c, struct arena *a, const char *name)
{
    return arena_printf(a, "%s/containers/%s/%s", c->g->o.data_root, c->id, name);
}

const char *run_status(const struct container_run *s)
{
    if (s->running)
        return s->paused ? "paused" : s->restarting ? "restarting" : "running";
    if (s->removing)
        return "removing";
    if (s->dead)
        return "dead";
    return s->started ? "exited" : "created";
}

int container_stopped_fd(struct container *c)
{
    int fd;

    pthread_mutex_lock(&c->lock);
    fd = c->stopped_fd >= 0 ? fd_dup(c->stopped_fd) : eventfd(1, EFD_CLOEXEC);
    pthread_mutex_unlock(&c->lock);
    return fd;
}

void container_event(struct container *c, const char *action, ...)
{
    auto_view struct view v = container_view(c);
    struct event_attrs attrs = {0};
    const char *key;
    va_list ap;

    attrs.labels = &v.rec->config.labels;
    event_attr(&attrs, "image", v.rec->config.image);
    event_attr(&attrs, "name", v.rec->name);
    va_start(ap, action);
    while ((key = va_arg(ap, const char *)) != NULL)
        event_attr(&attrs, key, va_arg(ap, const char *));
    va_end(ap);
    event_raise_attrs(c->g, "container", action, c->id, &attrs);
}
