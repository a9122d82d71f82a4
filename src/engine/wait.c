/* Those who wait for containers to end: an eventfd each, registered before anybody answers. */
#include <sys/eventfd.h>

#include "engine/core.h"
#include "sys/fd.h"

struct container_wait {
    struct list link;
    struct container *c;
    enum wait_condition cond;
    int fd;
    /* guarded by the container's lock */
    bool done;
    int status;
    char *error;
};

int wait_condition_parse(const char *s, enum wait_condition *out, struct err *e)
{
    static const char *const names[] = {"not-running", "next-exit", "removed"};

    *out = WAIT_NOT_RUNNING;
    if (s == NULL || s[0] == '\0')
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (enum wait_condition)i;
            return 0;
        }
    return err_set(e, ERR_INVALID, "invalid condition: \"%s\"", s);
}

/* Met. Caller holds the container's lock. */
static void meet(struct container_wait *w, bool removed)
{
    const struct container_run *s = &w->c->run->d;

    if (w->done)
        return;
    w->done = true;
    w->status = (int)s->exit_code;
    if (!removed && s->error != NULL && s->error[0] != '\0')
        w->error = mem_strdup(s->error);
    (void)eventfd_write(w->fd, 1);
}

int container_wait_begin(struct container *c, enum wait_condition cond, struct container_wait **out,
                         struct err *e)
{
    struct container_wait *w = mem_alloc(sizeof(*w));

    w->c = container_ref(c);
    w->cond = cond;
    w->fd = eventfd(0, EFD_CLOEXEC);
    if (w->fd < 0) {
        container_unref(c);
        free(w);
        return err_sys(e, "eventfd");
    }
    list_init(&w->link);
    pthread_mutex_lock(&c->lock);
    if ((cond == WAIT_NOT_RUNNING && !c->run->d.running) || c->gone)
        meet(w, c->gone);
    else
        list_append(&c->waits, &w->link);
    pthread_mutex_unlock(&c->lock);
    *out = w;
    return 0;
}

void container_wake(struct container *c, bool removed)
{
    pthread_mutex_lock(&c->lock);
    list_each(l, &c->waits) {
        struct container_wait *w = CONTAINER_OF(l, struct container_wait, link);

        if (removed || w->cond != WAIT_REMOVED)
            meet(w, removed);
    }
    pthread_mutex_unlock(&c->lock);
}

int container_wait_end(struct container_wait *w, int cancel_fd, int *out_status,
                       const char **out_error, struct err *e)
{
    TRY(wait_readable(w->fd, cancel_fd, -1, e));
    pthread_mutex_lock(&w->c->lock);
    *out_status = w->status;
    *out_error = w->error;
    pthread_mutex_unlock(&w->c->lock);
    return 0;
}

void container_wait_free(struct container_wait *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->c->lock);
    list_remove(&w->link);
    pthread_mutex_unlock(&w->c->lock);
    container_unref(w->c);
    fd_close(w->fd);
    free(w->error);
    free(w);
}
