/*
 * Events: each is one immutable document, shared by the ring and by all who have it queued. A
 * listener that does not read loses events rather than memory: its queue holds 1024.
 */
#include "engine/events.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>

#include "base/ref.h"
#include "base/time.h"
#include "engine/core.h"
#include "engine/filters.h"
#include "sys/fd.h"
#include "types/system.h"

enum { RING = 256, QUEUE_MAX = 1024 };

struct event {
    atomic_int refs;
    struct arena *arena;
    struct event_message d;
};

struct listener {
    struct list link;
    int fd; /* eventfd: something is queued */
    struct event *queue[QUEUE_MAX];
    size_t first, n;
};

struct events {
    pthread_mutex_t lock;
    /* guarded by lock */
    struct event *ring[RING];
    size_t next; /* counts all events ever raised */
    struct list listeners;
    int n_listeners;
};

static const char *const accepted[] = {"config", "container", "daemon", "event",  "image",
                                       "label",  "network",   "node",   "plugin", "scope",
                                       "secret", "service",   "type",   "volume", NULL};

static void event_unref(struct event *ev)
{
    if (ev == NULL || !ref_drop(&ev->refs))
        return;
    arena_free(ev->arena);
    free(ev);
}

static struct event *event_ref(struct event *ev)
{
    atomic_fetch_add(&ev->refs, 1);
    return ev;
}

struct events *events_new(void)
{
    struct events *s = mem_alloc(sizeof(*s));

    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->listeners);
    return s;
}

void events_free(struct events *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < RING; i++)
        event_unref(s->ring[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int events_listeners(struct engine *g)
{
    int n;

    pthread_mutex_lock(&g->events->lock);
    n = g->events->n_listeners;
    pthread_mutex_unlock(&g->events->lock);
    return n;
}

static void publish(struct events *s, struct event *ev)
{
    pthread_mutex_lock(&s->lock);
    event_unref(s->ring[s->next % RING]);
    s->ring[s->next++ % RING] = event_ref(ev);
    list_each(l, &s->listeners) {
        struct listener *to = CONTAINER_OF(l, struct listener, link);

        if (to->n == QUEUE_MAX)
            continue;
        to->queue[(to->first + to->n++) % QUEUE_MAX] = event_ref(ev);
        (void)eventfd_write(to->fd, 1);
    }
    pthread_mutex_unlock(&s->lock);
}

void event_raise_attrs(struct engine *g, const char *type, const char *action, const char *id,
                       const struct event_attrs *attrs)
{
    struct event *ev = mem_alloc(sizeof(*ev));
    struct arena *a = arena_new();
    struct strmap *m = &ev->d.actor.attributes;
    int64_t now = time_now_ns();

    atomic_init(&ev->refs, 1);
    ev->arena = a;
    if (attrs->labels != NULL)
        vec_each(l, attrs->labels)
            strmap_set(m, a, l->key, l->val);
    for (size_t i = 0; i < attrs->n; i++)
        strmap_set(m, a, attrs->v[i].key, attrs->v[i].val);
    ev->d.type = arena_strdup(a, type);
    ev->d.action = arena_strdup(a, action);
    ev->d.actor.id = arena_strdup(a, id);
    ev->d.scope = "local";
    ev->d.time_s = now / NS_PER_S;
    ev->d.time_ns = now;
    if (strcmp(type, "container") == 0 || strcmp(type, "image") == 0) {
        ev->d.status = ev->d.action;
        ev->d.id = ev->d.actor.id;
        if (type[0] == 'c')
            ev->d.from = strmap_get(m, "image");
    }
    publish(g->events, ev);
    event_unref(ev);
}

void event_raise(struct engine *g, const char *type, const char *action, const char *id, ...)
{
    struct event_attrs attrs = {0};
    const char *key;
    va_list ap;

    va_start(ap, id);
    while ((key = va_arg(ap, const char *)) != NULL)
        event_attr(&attrs, key, va_arg(ap, const char *));
    va_end(ap);
    event_raise_attrs(g, type, action, id, &attrs);
}

/* ---- filters ---- */

/* container=, network=, ... : the object's id, exact or as a prefix, or its name. */
static bool match_object(const struct filters *f, const char *key, const struct event_message *d)
{
    const struct strv *v = filters_get(f, key);
    const char *name = strmap_get(&d->actor.attributes, "name");

    if (v == NULL)
        return true;
    vec_each(s, v) {
        if (strncmp(d->actor.id, *s, strlen(*s)) == 0)
            return true;
        if (name != NULL && strncmp(name, *s, strlen(*s)) == 0)
            return true;
    }
    return false;
}

static bool match_action(const struct filters *f, const struct event_message *d)
{
    static const char *const prefixes[] = {"health_status", "exec_create", "exec_start"};
    const struct strv *v = filters_get(f, "event");
    bool by_prefix = false;

    if (v == NULL)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        by_prefix |= strv_has(v, prefixes[i]);
    vec_each(s, v)
        if (strcmp(d->action, *s) == 0 || (by_prefix && strncmp(d->action, *s, strlen(*s)) == 0))
            return true;
    return false;
}

/* Without its tag: the reference up to a ':' behind the last '/'. */
static struct str untagged(const char *ref)
{
    const char *slash = strrchr(ref, '/'), *colon = strchr(slash != NULL ? slash : ref, ':');

    return (struct str){ref, colon != NULL ? (size_t)(colon - ref) : strlen(ref)};
}

static bool match_image(const struct filters *f, const struct event_message *d)
{
    const struct strv *v = filters_get(f, "image");
    const struct strmap *m = &d->actor.attributes;
    const char *have = strmap_get(m, strcmp(d->type, "image") == 0 ? "name" : "image");

    if (v == NULL)
        return true;
    if (have == NULL)
        have = "";
    vec_each(s, v) {
        struct str a = untagged(have);

        if (strcmp(*s, d->actor.id) == 0 || strcmp(*s, have) == 0 || (str_eq(a, *s) && a.n > 0))
            return true;
    }
    return false;
}

static bool wanted(const struct filters *f, const struct event_message *d)
{
    static const char *const objects[] = {"container", "network", "volume", "plugin", "service",
                                          "node",      "secret",  "config", "daemon"};

    if (!filters_match(f, "type", d->type) || !filters_match(f, "scope", d->scope) ||
        !match_action(f, d) || !match_image(f, d) || !filters_match_labels(f, &d->actor.attributes))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (!match_object(f, objects[i], d))
            return false;
    return true;
}

/* ---- streams ---- */

static int times(const struct events_opts *o, int64_t *since, int64_t *until, struct err *e)
{
    const struct {
        const char *text, *what;
        int64_t *out;
    } t[] = {{o->since, "since", since}, {o->until, "until", until}};

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        *t[i].out = 0;
        if (t[i].text == NULL || t[i].text[0] == '\0' || strcmp(t[i].text, "0") == 0)
            continue;
        if (!time_parse_unix_or_rfc3339(str_of(t[i].text), t[i].out))
            return err_set(e, ERR_INVALID, "invalid value for \"%s\": \"%s\"", t[i].what,
                           t[i].text);
    }
    if (*since != 0 && *until != 0 && *until < *since)
        return err_set(e, ERR_INVALID, "`since` time (%s) cannot be after `until` time (%s)",
                       o->since, o->until);
    return 0;
}

int events_check(const struct events_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct filters f;
    int64_t since, until;

    TRY(times(o, &since, &until, e));
    return filters_parse(o->filters, accepted, a, &f, e);
}

static int write_event(const struct event_message *d, const struct sink *sink, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(1 << 20);

    json_write(&event_message_json, d, &b);
    buf_addc(&b, '\n');
    return sink->write(sink->arg, b.p, b.n, e);
}

/* Register and take over what the ring has of the past, in one step. */
static void subscribe(struct events *s, struct listener *l, bool history)
{
    pthread_mutex_lock(&s->lock);
    list_append(&s->listeners, &l->link);
    s->n_listeners++;
    if (history)
        for (size_t i = s->next > RING ? s->next - RING : 0; i < s->next; i++)
            l->queue[l->n++] = event_ref(s->ring[i % RING]);
    if (l->n > 0)
        (void)eventfd_write(l->fd, 1);
    pthread_mutex_unlock(&s->lock);
}

static void unsubscribe(struct events *s, struct listener *l)
{
    pthread_mutex_lock(&s->lock);
    list_remove(&l->link);
    s->n_listeners--;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < l->n; i++)
        event_unref(l->queue[(l->first + i) % QUEUE_MAX]);
    fd_close(l->fd);
    free(l);
}

static struct event *take(struct events *s, struct listener *l)
{
    struct event *ev = NULL;

    pthread_mutex_lock(&s->lock);
    if (l->n > 0) {
        ev = l->queue[l->first];
        l->first = (l->first + 1) % QUEUE_MAX;
        l->n--;
    }
    pthread_mutex_unlock(&s->lock);
    return ev;
}

/* Milliseconds until a moment; -1 when there is none. */
static int ms_until(int64_t when_ns)
{
    int64_t left = when_ns - time_now_ns();

    if (when_ns == 0)
        return -1;
    return left <= 0 ? 0 : (int)MIN(left / NS_PER_MS + 1, (int64_t)INT32_MAX);
}

static int pump(struct engine *g, struct listener *l, const struct filters *f, int64_t since,
                int64_t until, const struct sink *sink, int cancel_fd, struct err *e)
{
    for (;;) {
        struct event *ev;
        eventfd_t ignored;
        int r = wait_readable(l->fd, cancel_fd, ms_until(until), e);

        TRY(r);
        (void)eventfd_read(l->fd, &ignored);
        while ((ev = take(g->events, l)) != NULL) {
            bool past = until != 0 && ev->d.time_ns > until;

            r = past || ev->d.time_ns < since || !wanted(f, &ev->d) ? 0
                                                                    : write_event(&ev->d, sink, e);
            event_unref(ev);
            TRY(r);
            if (past)
                return 0;
        }
        if (until != 0 && time_now_ns() >= until)
            return 0;
    }
}

int events_stream(struct engine *g, const struct events_opts *o, const struct sink *sink,
                  int cancel_fd, void (*flushed)(void *arg), void *arg, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct listener *l;
    struct filters f;
    int64_t since, until;
    int r;

    TRY(times(o, &since, &until, e));
    TRY(filters_parse(o->filters, accepted, a, &f, e));
    l = mem_alloc(sizeof(*l));
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->fd < 0) {
        free(l);
        return err_sys(e, "eventfd");
    }
    subscribe(g->events, l, since != 0 || until != 0);
    if (flushed != NULL)
        flushed(arg);
    r = pump(g, l, &f, since, until, sink, cancel_fd, e);
    unsubscribe(g->events, l);
    return r;
}
