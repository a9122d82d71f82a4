/*
 * Start: network, files, mounts, user and spec; then Tasks.Create, those who wait to attach,
 * Tasks.Start. What fails is taken back, told in State.Error, and mapped to Docker's exit codes by
 * the runtime's words.
 */
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "engine/attach_int.h"
#include "engine/launch.h"
#include "sys/cgroup.h"
#include "sys/fd.h"

#define LABEL_RUN "hull.run"
enum { LABEL_MAX = 3500 }; /* containerd takes 4096 bytes of key and value */

/* ---- parts ---- */

static void network_close(struct launch *l)
{
    struct err e = {0};

    if (l->has_sandbox && net_sandbox_close(l->g->net, l->sandbox.id, &e) < 0)
        log_warn("cannot take a network down", "container", l->rec->id, "error", e.msg, NULL);
    l->has_sandbox = false;
}

static void volumes_unmount(struct engine *g, const struct container_record *rec)
{
    struct err e = {0};

    vec_each(m, &rec->mounts)
        if (strcmp(m->type, "volume") == 0 && volume_unmount(g->volumes, m->name, rec->id, &e) < 0)
            log_warn("cannot unmount a volume", "container", rec->id, "error", e.msg, NULL);
}

/* The run as it will be, as a label of containerd's record: what a daemon that was killed needs to
 * adopt the container when the database does not have it. */
static void run_label(struct launch *l, struct strmap *labels)
{
    auto_buf struct buf b = BUF_MAX(64 << 10);
    struct container_run run = {.running = true, .started = true, .started_ns = time_now_ns()};

    run.sandbox = l->has_sandbox ? &l->sandbox : NULL;
    json_write(&container_run_json, &run, &b);
    if (b.n <= LABEL_MAX)
        strmap_set(labels, l->a, LABEL_RUN, buf_cstr(&b));
}

static int make_record(struct launch *l, struct err *e)
{
    struct strmap labels = {0};
    struct ctd_container ct = {.id = l->rec->id,
                               .image = l->rec->image_name,
                               .snapshotter = l->rec->snapshotter,
                               .snapshot_key = l->rec->id,
                               .spec = l->spec,
                               .runtime = &l->runtime,
                               .labels = &labels};

    strmap_set(&labels, l->a, "hull.engine", l->g->engine_id);
    run_label(l, &labels);
    if (ctd_container_create(l->g->ctd, &ct, e) == 0)
        return 0;
    if (e->kind != ERR_EXISTS)
        return -1;
    /* of an earlier run */
    struct err ignored = {0};
    (void)ctd_task_delete(l->g->ctd, l->rec->id, NULL, NULL, &ignored);
    TRY(ctd_container_delete(l->g->ctd, l->rec->id, e));
    return ctd_container_create(l->g->ctd, &ct, e);
}

static int prepare(struct launch *l, struct err *e)
{
    struct cgroup_host host;
    struct err ignored = {0};

    TRY(engine_runtime_find(l->g, l->rec->host.runtime, &l->runtime, e));
    l->cgroup2 = cgroup_host_read(l->a, &host, &ignored) == 0 && host.mode == CGROUP_V2;
    TRY(ctd_snapshot_mounts(l->g->ctd, l->rec->snapshotter, l->rec->id, l->a, &l->rootfs, e));
    TRY(launch_user(l, e));
    TRY(launch_root(l, e));
    l->runtime.io_uid = l->root_uid;
    l->runtime.io_gid = l->root_gid;
    TRY(launch_namespaces(l, e));
    if (launch_network(l, e) < 0)
        return -1;
    TRY(launch_files(l, e));
    TRY(launch_mounts(l, e));
    return launch_spec(l, e);
}

static void delete_task(struct launch *l)
{
    struct err ignored = {0};

    (void)ctd_task_kill(l->g->ctd, l->rec->id, NULL, 9, false, &ignored);
    (void)ctd_task_delete(l->g->ctd, l->rec->id, NULL, NULL, &ignored);
}

static int run_task(struct launch *l, uint32_t *out_pid, struct err *e)
{
    if (launch_stdio(l, e) < 0)
        return err_wrap(e, "failed to create task for container");
    struct ctd_task t = {.id = l->rec->id,
                         .rootfs = &l->rootfs,
                         .stdin_ = l->stdin_,
                         .stdout_ = l->stdout_,
                         .stderr_ = l->stderr_,
                         .terminal = l->rec->config.tty,
                         .runtime = &l->runtime};

    if (ctd_task_create(l->g->ctd, &t, out_pid, e) < 0)
        return err_wrap(e, "failed to create task for container");
    attach_join_parked(l->c);
    if (ctd_task_start(l->g->ctd, l->rec->id, NULL, NULL, e) < 0) {
        delete_task(l);
        return err_wrap(e, "failed to start task for container");
    }
    return 0;
}

/* ---- failure ---- */

/* Docker's exit codes, by what the runtime says. */
static const struct {
    const char *text;
    int code;
} codes[] = {
    {"permission denied", 126},
    {"is a directory", 126},
    {"not a directory", 127},
    {"executable file not found", 127},
    {"no such file or directory", 127},
    {"system cannot find the file specified", 127},
    {"failed to run runc create/exec call", 127},
};

static int map_failure(struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (strcasestr(e->msg, codes[i].text) == NULL)
            continue;
        if (strcmp(codes[i].text, "is a directory") == 0 &&
            strcasestr(e->msg, "permission denied") == NULL) {
            size_t n = strlen(e->msg);

            snprintf(e->msg + n, sizeof(e->msg) - n, ": permission denied");
        }
        e->kind = ERR_INVALID;
        return codes[i].code;
    }
    if (e->kind != ERR_UNAVAILABLE && e->kind != ERR_CANCELLED)
        e->kind = ERR_INTERNAL;
    return 128;
}

static void publish_failure(struct container *c, int code, const struct err *e)
{
    struct run *r = run_edit(c);

    r->d.running = r->d.restarting = r->d.paused = false;
    r->d.pid = 0;
    r->d.sandbox = NULL;
    if (code != 0)
        r->d.exit_code = code;
    r->d.error = arena_strdup(r->arena, e->msg);
    run_publish(c, r);
    container_save_run(c);
}

/* ---- success ---- */

static int publish_running(struct launch *l, uint32_t pid, struct err *e)
{
    struct container *c = l->c;
    int fd = eventfd(0, EFD_CLOEXEC);
    struct run *r;

    if (fd < 0)
        return err_sys(e, "eventfd");
    r = run_edit(c);
    r->d.running = r->d.started = true;
    r->d.paused = r->d.restarting = r->d.oom_killed = r->d.dead = r->d.ending = false;
    r->d.pid = pid;
    r->d.exit_code = 0;
    r->d.error = "";
    r->d.started_ns = time_now_ns();
    r->d.sandbox = NULL;
    if (l->has_sandbox) {
        r->d.sandbox = ARENA_NEW(r->arena, struct net_sandbox);
        json_copy(&net_sandbox_json, r->d.sandbox, &l->sandbox, r->arena);
    }
    fd_close(c->stopped_fd);
    c->stopped_fd = fd;
    run_publish(c, r);
    return 0;
}

int container_start_gated(struct container *c, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_view struct view v = container_view(c);
    struct launch l = {.g = c->g, .c = c, .a = a, .rec = v.rec};
    uint32_t pid = 0;
    int code = 0, rc = prepare(&l, e);

    if (rc == 0)
        rc = make_record(&l, e);
    if (rc == 0 && (rc = run_task(&l, &pid, e)) < 0)
        code = map_failure(e);
    if (rc == 0 && (rc = publish_running(&l, pid, e)) < 0)
        delete_task(&l);
    if (rc < 0) {
        struct err ignored = {0};

        network_close(&l);
        volumes_unmount(c->g, v.rec);
        (void)ctd_container_delete(c->g->ctd, c->id, &ignored);
        publish_failure(c, code, e);
        attach_drop_parked(c);
        return -1;
    }
    attach_join_parked(c); /* who came between the task's creation and now */
    if (l.has_sandbox)
        launch_network_events(c, &l.sandbox, "connect");
    container_save_run(c);
    container_event(c, "start", NULL);
    return 0;
}

static int check_start(const struct container_run *s, struct err *e)
{
    if (s->removing || s->dead)
        return err_set(e, ERR_CONFLICT, "container is marked for removal and cannot be started");
    if (s->paused)
        return err_set(e, ERR_CONFLICT, "cannot start a paused container, try unpause instead");
    if (s->running && !s->restarting)
        return err_set(e, ERR_NOT_MODIFIED, "container is already running");
    return 0;
}

static bool is_auto_remove(struct container *c)
{
    auto_view struct view v = container_view(c);

    return v.rec->host.auto_remove;
}

int container_start(struct container *c, struct err *e)
{
    auto_gate struct gate *gate = NULL;
    int rc;

    TRY(gate_enter(&c->gate, -1, e));
    gate = &c->gate;
    {
        auto_view struct view v = container_view(c);

        TRY(check_start(v.state, e));
    }
    (void)restart_cancel(c);
    struct run *r = run_edit(c);
    r->d.stopped_by_user = false;
    r->d.restart_count = 0;
    c->restart_delay_ms = 0;
    run_publish(c, r);
    rc = container_start_gated(c, e);
    if (rc < 0 && is_auto_remove(c)) {
        struct err ignored = {0};

        (void)container_remove_gated(c, true, &ignored);
    }
    return rc;
}
