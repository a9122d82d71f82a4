/**
 * Containers: from create to remove. See engine/engine.h for the conventions, engine/lock.h for the
 * locks; engine/inspect.h, exec.h, attach.h, logs.h, stats.h and archive.h for what else is done
 * with them.
 */
#ifndef HULL_ENGINE_CONTAINER_H
#define HULL_ENGINE_CONTAINER_H

#include "base/json.h"

struct engine;
struct container;

/**
 * Look up by full id, name (with or without slash) or unique prefix of an id, in this order.
 * out: a reference, for container_unref. Errors: NOT_FOUND "No such container: x", INVALID
 * (ambiguous).
 */
int container_find(struct engine *g, const char *name, struct container **out, struct err *e);

struct container *container_ref(struct container *c);
void container_unref(struct container *c);
static inline void container_unref_ptr(struct container **c)
{
    container_unref(*c);
}
/** A reference that is given back when its scope ends. */
#define auto_container CLEANUP(container_unref_ptr)

/** 64 hex digits; lives as the container. */
const char *container_id(const struct container *c);
/** True when its first process has a terminal. */
bool container_tty(struct container *c);

/* What POST /containers/create brings. */
struct create_opts {
    const char *name;     /* NULL or "": one is generated */
    const char *platform; /* "linux/amd64", NULL: the host's */
    const char *body; /* the request's JSON: ContainerConfig with HostConfig and NetworkingConfig */
    size_t body_len;
    int api;
    int cancel_fd;
};

/**
 * Create a container. out: appended {"Id":...,"Warnings":[...]}.
 * Errors: INVALID (validation), NOT_FOUND "No such image: x:latest", CONFLICT (name). Nothing is
 * left behind then.
 */
int container_create(struct engine *g, const struct create_opts *o, struct buf *out, struct err *e);

/** Start it. NOT_MODIFIED when it runs already. Goes on when the client has gone. */
int container_start(struct container *c, struct err *e);

/**
 * Stop it: signal (NULL: its stop signal), after timeout_s seconds SIGKILL (-1: never; INT_MIN: its
 * stop timeout or the daemon's). Returns when it has ended. NOT_MODIFIED when it does not run.
 */
int container_stop(struct container *c, const char *signal, int timeout_s, struct err *e);
int container_restart(struct container *c, const char *signal, int timeout_s, struct err *e);

/** Send a signal by name or number (NULL or "": SIGKILL). With SIGKILL returns once it has ended.
 */
int container_kill(struct container *c, const char *signal, struct err *e);
int container_pause(struct container *c, struct err *e);
int container_unpause(struct container *c, struct err *e);
int container_rename(struct container *c, const char *new_name, struct err *e);

/** Remove it: force kills it first, volumes removes its anonymous volumes too. */
int container_remove(struct container *c, bool force, bool volumes, struct err *e);

/** Size of the terminal. CONFLICT when it does not run. */
int container_resize(struct container *c, uint32_t width, uint32_t height, struct err *e);

/** Resources and restart policy; body: JSON of POST /containers/{id}/update. Appends
 * {"Warnings":...}. */
int container_update(struct container *c, const char *body, size_t len, struct buf *out,
                     struct err *e);

/** `ps` inside: appends {"Titles":[...],"Processes":[[...]]}. ps_args NULL or "": "-ef". */
int container_top(struct container *c, const char *ps_args, struct buf *out, struct err *e);

/** POST /containers/prune; filters: the query's JSON or NULL. */
int container_prune(struct engine *g, const char *filters, int cancel_fd, struct buf *out,
                    struct err *e);

/* Waiting has two steps, because the API answers the head of its reply before the end is known. */
struct container_wait;
enum wait_condition { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };

/** "not-running" (also NULL, ""), "next-exit", "removed"; INVALID else. */
int wait_condition_parse(const char *s, enum wait_condition *out, struct err *e);

/** From here on no exit is missed. */
int container_wait_begin(struct container *c, enum wait_condition cond, struct container_wait **out,
                         struct err *e);

/** Wait. out_error: text for Error.Message, or NULL; lives as the wait. CANCELLED when the client
 * hangs up. */
int container_wait_end(struct container_wait *w, int cancel_fd, int *out_status,
                       const char **out_error, struct err *e);
void container_wait_free(struct container_wait *w);

#endif
