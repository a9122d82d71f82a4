/* The engine: opened from its database, closed without touching what runs. */
#include "engine/core.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "client/ctd.h"
#include "engine/exec.h"
#include "engine/image_trust.h"
#include "engine/rootfs.h"
#include "engine/stores.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/registry_job.h"

static const struct engine_runtime builtin_runtimes[] = {
    {"hull", "io.containerd.hull.v2", NULL},
    {"runc", "io.containerd.runc.v2", NULL},
};

static void fill_defaults(struct engine_opts *o)
{
    static const struct registry_settings no_settings = {0};
#define DEFAULT(member, value) \
    if (o->member == 0)        \
    o->member = (value)
    DEFAULT(data_root, "/var/lib/hull");
    DEFAULT(exec_root, "/run/hull");
    DEFAULT(containerd_ns, "moby");
    DEFAULT(snapshotter, "overlayfs");
    DEFAULT(default_runtime, "hull");
    DEFAULT(cgroup_parent, "/docker");
    DEFAULT(log_driver, "json-file");
    DEFAULT(shm_bytes, 64LL << 20);
    DEFAULT(version, HULL_VERSION);
    DEFAULT(registry, &no_settings);
#undef DEFAULT
    if (!o->has_stop_timeout)
        o->stop_timeout_s = 10;
}

static bool has_runtime(const struct engine_opts *o, const char *name)
{
    for (size_t i = 0; i < o->n_runtimes; i++)
        if (strcmp(o->runtimes[i].name, name) == 0)
            return true;
    return false;
}

/* Those that were given, and the ones that are always there unless their names were. */
static void fill_runtimes(struct engine_opts *o, struct arena *a)
{
    size_t n = 0;
    struct engine_runtime *all =
        arena_alloc_array(a, o->n_runtimes + ARRAY_LEN(builtin_runtimes), sizeof(*all));

    for (size_t i = 0; i < ARRAY_LEN(builtin_runtimes); i++)
        if (!has_runtime(o, builtin_runtimes[i].name))
            all[n++] = builtin_runtimes[i];
    for (size_t i = 0; i < o->n_runtimes; i++)
        all[n++] = o->runtimes[i];
    o->runtimes = all;
    o->n_runtimes = n;
}

static int make_dirs(const struct engine_opts *o, struct err *e)
{
    static const struct {
        const char *below;
        mode_t mode;
        bool exec;
    } dirs[] = {{"", 0710, false},        {"containers", 0710, false},
                {"volumes", 0701, false}, {"tmp", 0700, false},
                {"", 0711, true},         {"c", 0700, true},
                {"mnt", 0700, true}};

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        auto_free char *path =
            mem_printf("%s/%s", dirs[i].exec ? o->exec_root : o->data_root, dirs[i].below);

        TRY(path_mkdirs(path, dirs[i].mode, e));
    }
    return 0;
}

/* A UUID that stays with the data root. */
static int read_engine_id(struct engine *g, struct err *e)
{
    struct state_row *rows, row = {.id = "engine-id"};
    size_t n;
    unsigned char r[16];
    char h[33];

    TRY(state_list(g->state, STATE_META, g->arena, &rows, &n, e));
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].id, row.id) == 0)
            g->engine_id = rows[i].doc;
    if (g->engine_id != NULL)
        return 0;
    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return err_sys(e, "getrandom");
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    str_hex(r, sizeof(r), h);
    g->engine_id =
        arena_printf(g->arena, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    row.doc = g->engine_id;
    return state_put(g->state, STATE_META, &row, true, e);
}

/* One container from its row. A row that cannot be read is told and left alone. */
static void load_row(struct engine *g, const struct state_row *row)
{
    struct record *rec = record_new();
    struct run *run = run_new();
    struct err e = {0};
    struct container *c;

    if (json_parse(&container_record_json, &rec->d, row->doc, strlen(row->doc), rec->arena, &e) <
            0 ||
        (row->run != NULL && json_parse(&container_run_json, &run->d, row->run, strlen(row->run),
                                        run->arena, &e) < 0)) {
        log_error("container cannot be read", "container", row->id, "error", e.msg, NULL);
        record_unref(rec);
        run_unref(run);
        return;
    }
    c = container_new(g, row->id, rec, run);
    map_put(&g->by_id, c->id, c);
    map_put(&g->by_name, rec->d.name, c);
    vec_each(m, &rec->d.mounts)
        if (m->name != NULL && m->name[0] != '\0' && volume_ref(g->volumes, m->name, c->id, &e) < 0)
            log_warn("volume of a container is missing", "container", c->id, "error", e.msg, NULL);
}

static int load_containers(struct engine *g, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct state_row *rows;
    size_t n;

    TRY(state_list(g->state, STATE_CONTAINERS, a, &rows, &n, e));
    for (size_t i = 0; i < n; i++)
        load_row(g, &rows[i]);
    return 0;
}

/* Container folders that no row owns. */
static int sweep_dirs(struct engine *g, struct err *e)
{
    auto_free char *path = mem_printf("%s/containers", g->o.data_root);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *ent;

    if (d == NULL)
        return err_sys(e, "open %s", path);
    while ((ent = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        struct err ignored = {0};

        if (ent->d_name[0] == '.' || map_has(&g->by_id, ent->d_name))
            continue;
        if (path_remove_tree(dirfd(d), ent->d_name, &ignored) < 0)
            log_warn("cannot remove what a container left", "error", ignored.msg, NULL);
    }
    closedir(d);
    return 0;
}

/* Paths go to other processes, which have other working directories. */
static int make_absolute(struct engine *g, struct err *e)
{
    const char **paths[] = {&g->o.data_root, &g->o.exec_root, &g->o.helper_dir};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        auto_free char *real = realpath(*paths[i], NULL);

        if (real == NULL)
            return err_sys(e, "%s", *paths[i]);
        *paths[i] = arena_strdup(g->arena, real);
    }
    return 0;
}

/* What temporary work of an earlier daemon left: half an import, a mount for a copy. */
static int sweep_temporary(struct engine *g, struct err *e)
{
    const struct {
        const char *root, *name;
        bool mounts;
    } dirs[] = {{g->o.data_root, "tmp", false}, {g->o.exec_root, "mnt", true}};

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        auto_free char *path = mem_printf("%s/%s", dirs[i].root, dirs[i].name);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *ent;

        if (d == NULL)
            return err_sys(e, "open %s", path);
        while ((ent = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
            auto_free char *entry = mem_printf("%s/%s", path, ent->d_name);
            struct err ignored = {0};

            if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
                continue;
            if (dirs[i].mounts)
                rootfs_unmount(entry);
            if (path_remove_tree(dirfd(d), ent->d_name, &ignored) < 0)
                log_warn("cannot remove what is left of temporary work", "error", ignored.msg,
                         NULL);
        }
        closedir(d);
    }
    return 0;
}

int engine_open(const struct engine_opts *o, struct engine **out, struct err *e)
{
    struct engine *g = mem_alloc(sizeof(*g));

    g->o = *o;
    g->arena = arena_new();
    g->stop_fd = -1;
    fill_defaults(&g->o);
    fill_runtimes(&g->o, g->arena);
    pthread_mutex_init(&g->lock, NULL);
    if (image_trust_start(g, e) < 0 || make_dirs(&g->o, e) < 0 || make_absolute(g, e) < 0 ||
        state_open(g->o.data_root, &g->state, e) < 0 || read_engine_id(g, e) < 0)
        goto fail;
    g->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g->ctd = ctd_new(g->o.containerd, g->o.containerd_ns);
    g->events = events_new();
    g->workers = workers_new();
    g->images = image_cache_new();
    if (engine_volumes_open(g, e) < 0 || load_containers(g, e) < 0 || sweep_dirs(g, e) < 0 ||
        sweep_temporary(g, e) < 0)
        goto fail;
    *out = g;
    return 0;
fail:
    engine_close(g);
    return -1;
}

void engine_close(struct engine *g)
{
    if (g == NULL)
        return;
    if (g->stop_fd >= 0)
        (void)eventfd_write(g->stop_fd, 1);
    if (g->watching)
        pthread_join(g->watcher, NULL);
    workers_free(g->workers);
    map_each(ent, &g->execs)
        exec_unref(ent->val);
    map_each(ent, &g->by_id)
        container_unref(ent->val);
    map_done(&g->by_id);
    map_done(&g->by_name);
    map_done(&g->reserved);
    map_done(&g->execs);
    if (g->net != NULL)
        net_teardown(g->net); /* what running containers need stays */
    net_close(g->net);
    volumes_close(g->volumes);
    events_free(g->events);
    image_cache_free(g->images);
    ctd_free(g->ctd);
    state_close(g->state);
    fd_close(g->stop_fd);
    pthread_mutex_destroy(&g->lock);
    arena_free(g->arena);
    free(g);
}

struct ctd *engine_ctd(struct engine *g)
{
    return g->ctd;
}

const struct engine_opts *engine_options(const struct engine *g)
{
    return &g->o;
}

int engine_runtime_find(const struct engine *g, const char *name, struct ctd_runtime *out,
                        struct err *e)
{
    if (name == NULL || name[0] == '\0')
        name = g->o.default_runtime;
    for (size_t i = 0; i < g->o.n_runtimes; i++)
        if (strcmp(g->o.runtimes[i].name, name) == 0) {
            *out = (struct ctd_runtime){.name = g->o.runtimes[i].type,
                                        .binary = g->o.runtimes[i].binary};
            return 0;
        }
    return err_set(e, ERR_INVALID, "unknown or invalid runtime name: %s", name);
}

bool runtime_is_ours(const struct ctd_runtime *r)
{
    return strcmp(r->name, "io.containerd.hull.v2") == 0;
}

int signal_parse(const char *s)
{
    uint64_t n;

    if (str_to_u64(str_of(s), 1, 64, &n))
        return (int)n;
    if (strncasecmp(s, "SIG", 3) == 0)
        s += 3;
    for (int sig = 1; sig < 32; sig++) {
        const char *name = sigabbrev_np(sig);

        if (name != NULL && strcasecmp(name, s) == 0)
            return sig;
    }
    if (strncasecmp(s, "RTMIN+", 6) == 0 && str_to_u64(str_of(s + 6), 0, 30, &n))
        return 34 + (int)n; /* as containers see it: the two below are libc's own */
    if (strncasecmp(s, "RTMAX-", 6) == 0 && str_to_u64(str_of(s + 6), 0, 30, &n))
        return 64 - (int)n;
    if (strcasecmp(s, "RTMIN") == 0)
        return 34;
    return strcasecmp(s, "RTMAX") == 0 ? 64 : 0;
}

struct engine_counts engine_count(struct engine *g)
{
    struct engine_counts n = {0};
    size_t count;
    struct container **all = containers_all(g, &count);

    for (size_t i = 0; i < count; i++) {
        auto_view struct view v = container_view(all[i]);

        n.containers++;
        n.paused += v.state->paused;
        n.running += v.state->running && !v.state->paused;
        n.stopped += !v.state->running;
    }
    containers_free(all, count);
    return n;
}
