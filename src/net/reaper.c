/*
 * Links to remove later. Deleting a veth pair takes the kernel 15 to 40 ms; when its namespace
 * goes, the kernel deletes it by itself and for nothing. So a closed sandbox's link is silenced at
 * once, and only when it is still there after a while (someone holds the namespace) this thread
 * deletes it.
 */
#include "base/mem.h"
#include "base/time.h"
#include "base/log.h"
#include "net/internal.h"

#define GRACE_NS (3 * NS_PER_S)

struct late {
    char name[IFNAMSIZ];
    int64_t due_ns;
};

struct reaper {
    pthread_mutex_t lock; /* guards all below but nl */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, stop;
    VEC(struct late) late; /* the oldest first */
    struct nl *nl;
};

static void delete_link(struct reaper *r, const char *name)
{
    struct err e;

    if (nl_link_del(r->nl, name, &e) < 0)
        log_warn("link of a closed sandbox stays", "link", name, "error", e.msg, NULL);
}

static void *reaper_thread(void *arg)
{
    struct reaper *r = arg;

    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (r->late.n == 0) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        struct late first = r->late.v[0];
        if (first.due_ns > time_mono_ns()) {
            struct timespec at = {first.due_ns / NS_PER_S, first.due_ns % NS_PER_S};
            (void)pthread_cond_timedwait(&r->changed, &r->lock, &at);
            continue;
        }
        vec_remove(&r->late, 0);
        pthread_mutex_unlock(&r->lock);
        delete_link(r, first.name);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

struct reaper *reaper_new(struct nl *nl)
{
    struct reaper *r = mem_alloc(sizeof(*r));
    pthread_condattr_t attr;

    r->nl = nl;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    return r;
}

void reaper_add(struct reaper *r, const char *link)
{
    struct late late = {.due_ns = time_mono_ns() + GRACE_NS};

    snprintf(late.name, sizeof(late.name), "%s", link);
    pthread_mutex_lock(&r->lock);
    if (!r->has_thread) /* the first: most short-lived programs never need the thread */
        r->has_thread = pthread_create(&r->thread, NULL, reaper_thread, r) == 0;
    vec_push(&r->late, late);
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void reaper_flush(struct reaper *r)
{
    for (;;) {
        struct late first;
        pthread_mutex_lock(&r->lock);
        if (r->late.n == 0) {
            pthread_mutex_unlock(&r->lock);
            return;
        }
        first = r->late.v[0];
        vec_remove(&r->late, 0);
        pthread_mutex_unlock(&r->lock);
        delete_link(r, first.name);
    }
}

void reaper_free(struct reaper *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (r->has_thread)
        pthread_join(r->thread, NULL);
    vec_done(&r->late);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
