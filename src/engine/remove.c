/*
 * Remove: first what others can see (name, row, volumes) is gone and the answer may go out; then
 * the bytes (snapshot, folder), which a start-up sweep would find as well.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/attach_int.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/rootfs.h"
#include "engine/core.h"
#include "sys/fd.h"
#include "sys/path.h"

/* What is left to do once the container is gone. */
struct leftovers {
    struct engine *g;
    char id[CONTAINER_ID_LEN + 1];
    char *snapshotter;
    bool had_task;
};

static void remove_dir(struct engine *g, const char *id)
{
    auto_free char *path = mem_printf("%s/containers", g->o.data_root);
    auto_free char *shm = mem_printf("%s/%s/shm", path, id);
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err e = {0};

    rootfs_unmount(shm);
    if (fd >= 0 && path_remove_tree(fd, id, &e) < 0 && e.kind != ERR_NOT_FOUND)
        log_warn("cannot remove a container's folder", "container", id, "error", e.msg, NULL);
}

static void remove_runtime_files(struct engine *g, const char *id)
{
    static const char *const suffixes[] = {"0", "1", "2", "a"};

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        auto_free char *path = mem_printf("%s/c/%.32s.%s", g->o.exec_root, id, suffixes[i]);

        (void)unlink(path); /* most containers have none of them */
    }
}

static void clean_up(void *arg)
{
    struct leftovers *l = arg;
    struct err e = {0};

    if (l->had_task && ctd_container_delete(l->g->ctd, l->id, &e) < 0 && e.kind != ERR_NOT_FOUND)
        log_warn("cannot delete a container's record", "container", l->id, "error", e.msg, NULL);
    if (ctd_snapshot_remove(l->g->ctd, l->snapshotter, l->id, &e) < 0 && e.kind != ERR_NOT_FOUND)
        log_warn("cannot remove a snapshot", "container", l->id, "error", e.msg, NULL);
    remove_dir(l->g, l->id);
    remove_runtime_files(l->g, l->id);
    free(l->snapshotter);
    free(l);
}

static void release_volumes(struct container *c, const struct container_record *rec, bool volumes)
{
    struct engine *g = c->g;
    struct err e = {0};

    vec_each(m, &rec->mounts) {
        if (strcmp(m->type, "volume") != 0)
            continue;
        volume_unref(g->volumes, m->name, c->id);
        if (!volumes || !m->anonymous)
            continue;
        if (volume_remove(g->volumes, m->name, true, &e) == 0)
            event_raise(g, "volume", "destroy", m->name, "driver", "local", NULL);
        else
            log_warn("cannot remove a volume", "volume", m->name, "error", e.msg, NULL);
    }
}

int container_remove_gated(struct container *c, bool volumes, struct err *e)
{
    auto_view struct view v = container_view(c);
    struct engine *g = c->g;
    struct leftovers *l;

    if (c->gone)
        return 0;
    TRY(state_del(g->state, STATE_CONTAINERS, c->id, false, e));
    release_volumes(c, v.rec, volumes);
    pthread_mutex_lock(&g->lock);
    map_del(&g->by_id, c->id);
    map_del(&g->by_name, v.rec->name);
    pthread_mutex_unlock(&g->lock);
    pthread_mutex_lock(&c->lock);
    c->gone = true;
    pthread_mutex_unlock(&c->lock);
    execs_end(c, true);
    attach_drop_parked(c);
    container_event(c, "destroy", NULL);
    container_wake(c, true);
    l = mem_alloc(sizeof(*l));
    l->g = g;
    memcpy(l->id, c->id, sizeof(l->id));
    l->snapshotter = mem_strdup(v.rec->snapshotter);
    l->had_task = v.state->started;
    workers_submit(g->workers, clean_up, l);
    container_unref(c); /* the table's reference */
    return 0;
}

/* Mark it, so that nobody starts it or removes it too. */
static int begin(struct container *c, bool force, struct err *e)
{
    auto_view struct view v = container_view(c);
    struct run *r;

    if (!force && v.state->running) {
        const char *why =
            v.state->paused ? "container is paused and must be unpaused first"
            : v.state->restarting
                ? "container is restarting: stop the container before removing or force remove"
                : "container is running: stop the container before removing or force remove";

        return err_set(e, ERR_CONFLICT, "cannot remove container \"/%s\": %s", v.rec->name, why);
    }
    r = run_edit(c);
    if (r->d.removing) {
        run_publish(c, r);
        return err_set(e, ERR_CONFLICT, "removal of container %s is already in progress", c->id);
    }
    r->d.removing = r->d.stopped_by_user = true;
    run_publish(c, r);
    return 0;
}

static void take_back(struct container *c)
{
    struct run *r = run_edit(c);

    r->d.removing = false;
    run_publish(c, r);
}

static int kill_if_running(struct container *c, struct err *e)
{
    struct err why = {0};

    if (container_kill(c, "KILL", &why) == 0 || why.kind == ERR_CONFLICT ||
        why.kind == ERR_NOT_FOUND)
        return 0;
    *e = why;
    return err_wrap(e, "Could not kill running container %s, cannot remove", c->id);
}

int container_remove(struct container *c, bool force, bool volumes, struct err *e)
{
    auto_gate struct gate *gate = NULL;
    int r;

    TRY(begin(c, force, e));
    r = kill_if_running(c, e);
    if (r == 0)
        r = gate_enter(&c->gate, -1, e);
    if (r == 0) {
        gate = &c->gate;
        auto_view struct view v = container_view(c);
        if (v.state->running)
            r = err_set(e, ERR_CONFLICT,
                        "cannot remove container \"/%s\": container is running: stop the "
                        "container before removing or force remove",
                        v.rec->name);
    }
    if (r == 0)
        r = container_remove_gated(c, volumes, e);
    if (r < 0)
        take_back(c);
    return r;
}

/* ---- prune ---- */

static bool prunable(struct container *c, const struct filters *f, int64_t until_ns)
{
    auto_view struct view v = container_view(c);

    return !v.state->running && (until_ns == 0 || v.rec->created_ns < until_ns) &&
           filters_match_labels(f, &v.rec->config.labels);
}

static int prune_all(struct engine *g, const struct filters *f, int64_t until_ns, int cancel_fd,
                     struct containers_pruned *out, struct arena *a)
{
    size_t n;
    struct container **all = containers_all(g, &n);

    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        int64_t size = 0;

        if (wait_readable(g->stop_fd, cancel_fd, 0, &e) != 0)
            break;
        if (!prunable(all[i], f, until_ns))
            continue;
        (void)ctd_snapshot_usage(g->ctd, g->o.snapshotter, all[i]->id, &size, &e);
        if (container_remove(all[i], false, false, &e) < 0) {
            log_warn("cannot prune a container", "container", all[i]->id, "error", e.msg, NULL);
            continue;
        }
        vec_push_in(a, &out->deleted, arena_strdup(a, all[i]->id));
        out->space_reclaimed += (uint64_t)MAX(size, 0);
    }
    containers_free(all, n);
    return 0;
}

int container_prune(struct engine *g, const char *filters, int cancel_fd, struct buf *out,
                    struct err *e)
{
    static const char *const accepted[] = {"label", "label!", "until", NULL};
    auto_arena struct arena *a = arena_new();
    struct containers_pruned reply = {0};
    struct filters f;
    int64_t until_ns;
    char size[32];
    bool busy;

    TRY(filters_parse(filters, accepted, a, &f, e));
    TRY(filters_until(&f, &until_ns, e));
    pthread_mutex_lock(&g->lock);
    busy = g->pruning;
    g->pruning = true;
    pthread_mutex_unlock(&g->lock);
    if (busy)
        return err_set(e, ERR_CONFLICT, "a prune operation is already running");
    (void)prune_all(g, &f, until_ns, cancel_fd, &reply, a);
    pthread_mutex_lock(&g->lock);
    g->pruning = false;
    pthread_mutex_unlock(&g->lock);
    snprintf(size, sizeof(size), "%llu", (unsigned long long)reply.space_reclaimed);
    event_raise(g, "container", "prune", "", "reclaimed", size, NULL);
    json_write(&containers_pruned_json, &reply, out);
    return 0;
}
