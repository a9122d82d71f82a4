/**
 * What the files of this room share: the engine, its containers, and how their documents change.
 *
 * A container has two documents, both immutable and swapped by pointer: the record (what it is: its
 * configuration; changes by rename and update only) and the run (how it goes: state, pid,
 * addresses). Who looks takes a view; who changes edits a copy under the container's lock and
 * publishes it.
 */
#ifndef HULL_ENGINE_CORE_H
#define HULL_ENGINE_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/tasks.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "engine/lock.h"
#include "engine/record.h"
#include "engine/state.h"
#include "net/net.h"
#include "volume/volume.h"

enum { CONTAINER_ID_LEN = 64, SHORT_ID_LEN = 12 };

struct events;
struct workers;
struct image_cache;

struct engine {
    struct engine_opts o; /* with defaults filled in */
    struct ctd *ctd;
    struct state *state;
    struct net *net;
    struct volumes *volumes;
    struct events *events;
    struct workers *workers;
    struct image_cache *images;
    const char *engine_id; /* UUID for info */
    struct arena *arena;   /* what lives as long as the engine */
    pthread_t watcher;     /* reads containerd's events */
    bool watching;
    int stop_fd; /* eventfd, readable when the engine stops */

    pthread_mutex_t lock;
    /* guarded by lock */
    struct map by_id;    /* full id -> struct container *, each with a reference */
    struct map by_name;  /* name -> struct container *, borrowed from by_id */
    struct map reserved; /* name -> id of the container that is being created or renamed */
    struct map execs;    /* full id -> struct exec *, each with a reference */
    bool pruning;
};

/* A document with the arena it lives in. */
struct record {
    atomic_int refs;
    struct arena *arena;
    struct container_record d;
};
struct run {
    atomic_int refs;
    struct arena *arena;
    struct container_run d;
};

struct container {
    atomic_int refs;
    struct engine *g;
    char id[CONTAINER_ID_LEN + 1];
    pthread_mutex_t lock;
    /* guarded by lock */
    struct record *record;
    struct run *run;
    uint64_t version; /* of both documents, counts their changes */
    bool gone;        /* removed from the engine's tables */
    int stopped_fd;   /* eventfd of the present run, written when it has ended; -1: does not run */
    int restart_fd;   /* eventfd that cancels a waiting restart; -1: none waits */
    int64_t restart_delay_ms; /* of the next restart by policy */
    struct list waits;        /* struct container_wait */
    struct list attachments;  /* struct attachment, parked */
    struct map execs;         /* full id -> struct exec *, borrowed from the engine's table */
    struct gate gate;
    uint64_t saved_version; /* guarded by the state's lock */
};

/* ---- documents ---- */

struct view {
    struct record *record;
    struct run *run;
    const struct container_record *rec; /* what both hold */
    const struct container_run *state;
};

/** Both documents as they are now, until view_done. */
struct view container_view(struct container *c);
void view_done(struct view *v);
#define auto_view CLEANUP(view_done)

/** A copy of the run to be changed: takes the container's lock. Between this and run_publish
 * nothing may block. */
struct run *run_edit(struct container *c);
/** Make the copy the present one; gives the lock back. */
void run_publish(struct container *c, struct run *r);
/** The same for the record. */
struct record *record_edit(struct container *c);
void record_publish(struct container *c, struct record *r);

struct record *record_new(void);
void record_unref(struct record *r);
struct run *run_new(void);
void run_unref(struct run *r);

/** Write the present documents to the database. durable: survives a power cut. */
int container_save(struct container *c, bool durable, struct err *e);

/** Write only the run, when it is to be kept: a container that removes itself has it in
 * containerd's record. */
void container_save_run(struct container *c);

/** A container with these documents (references taken over), not in the tables yet. */
struct container *container_new(struct engine *g, const char *id, struct record *record,
                                struct run *run);

/** All containers, each with a reference, in an array that the caller frees (containers_free). */
struct container **containers_all(struct engine *g, size_t *out_n);
void containers_free(struct container **v, size_t n);

/* ---- what the parts do for each other ---- */

/** Start with the gate held (start.c). */
int container_start_gated(struct container *c, struct err *e);
/** The first process has ended: collect, release, apply policy (exit.c). Takes the gate. */
void container_exited(struct container *c, uint32_t status, int64_t exited_ns);
/** Reserve a name for id (CONFLICT in Docker's words), and give it back. */
int name_reserve(struct engine *g, const char *name, const char *id, struct err *e);
void name_unreserve(struct engine *g, const char *name);
/** Remove with the gate held and the container not running (remove.c). */
int container_remove_gated(struct container *c, bool volumes, struct err *e);
/** Cancel a restart that waits; true when there was one. */
bool restart_cancel(struct container *c);
/** Restart after the policy's delay, in a thread of its own (exit.c). */
void restart_later(struct container *c, int64_t delay_ms);
/** The restart policy says that it comes back after this exit. */
bool policy_restarts(const struct container_record *rec, const struct container_run *s);
/** An exec has ended (exec.c). */
void exec_exited(struct engine *g, const char *exec_id, uint32_t status);
/** Look whether execs that we believe to run still do. */
void execs_resync(struct engine *g);
/** Forget the execs of a container that has ended or is removed. */
void execs_end(struct container *c, bool forget);
/** Wake those who wait for an exit (removed false) or for the removal. */
void container_wake(struct container *c, bool removed);
/** An fd of the caller's that is readable once the container does not run. */
int container_stopped_fd(struct container *c);
/** Pairs for events: raise a container event with its labels, image and name; extra pairs end with
 * NULL. */
void container_event(struct container *c, const char *action, ...) __attribute__((sentinel));
/** Docker's word for the state: created, running, paused, restarting, removing, exited, dead. */
const char *run_status(const struct container_run *s);
/** Path below the container's own folder, in the arena: container_path(c, a, "hosts"). */
char *container_path(const struct container *c, struct arena *a, const char *name);
/** The runtime a container runs with. */
int engine_runtime_find(const struct engine *g, const char *name, struct ctd_runtime *out,
                        struct err *e);
/** True when the shim of this runtime is ours. */
bool runtime_is_ours(const struct ctd_runtime *r);

/** The signal number of "TERM", "SIGTERM", "15"; 0 when there is none. */
int signal_parse(const char *s);

/* ---- threads for work that must not hold up its caller ---- */

struct workers *workers_new(void);
/** Run fn(arg) in a thread soon. */
void workers_submit(struct workers *w, void (*fn)(void *arg), void *arg);
/** Wait for what runs; nothing new is taken. NULL is fine. */
void workers_free(struct workers *w);

struct events *events_new(void);
void events_free(struct events *ev);

#endif
