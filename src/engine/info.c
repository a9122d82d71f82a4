/* What the engine says about itself and its machine. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/time.h"
#include "engine/events.h"
#include "engine/image.h"
#include "engine/stores.h"
#include "sys/cgroup.h"
#include "sys/path.h"
#include "types/oci_image.h"
#include "types/registry_job.h"
#include "types/system.h"

#define API_VERSION "1.51"
#define API_MIN "1.24"

static void component(struct system_version *v, const char *name, const char *version,
                      struct strmap details, struct arena *a)
{
    struct version_component *c = vec_add_in(a, &v->components);

    *c = (struct version_component){.name = name, .version = version, .details = details};
}

static void add_containerd(struct engine *g, struct system_version *v, struct arena *a)
{
    const char *version, *revision;
    struct strmap details = {0};
    struct err ignored = {0};

    if (ctd_version(g->ctd, a, &version, &revision, &ignored) < 0)
        return; /* it is away: the engine's own version is still true */
    strmap_set(&details, a, "GitCommit", revision);
    component(v, "containerd", version, details, a);
}

int engine_version(struct engine *g, int api, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct strmap details = {0};
    struct utsname u;
    struct system_version v = {
        .platform = {.name = "Hull"},
        .version = g->o.version,
        .api_version = API_VERSION,
        .min_api_version = API_MIN,
        .git_commit = "",
        .go_version = "",
        .os = "linux",
        .arch = oci_host_architecture(a),
        .build_time = "",
    };

    (void)api;
    (void)e;
    uname(&u);
    v.kernel_version = u.release;
    strmap_set(&details, a, "ApiVersion", API_VERSION);
    strmap_set(&details, a, "Arch", v.arch);
    strmap_set(&details, a, "BuildTime", "");
    strmap_set(&details, a, "Experimental", "false");
    strmap_set(&details, a, "GitCommit", "");
    strmap_set(&details, a, "GoVersion", "");
    strmap_set(&details, a, "KernelVersion", u.release);
    strmap_set(&details, a, "MinAPIVersion", API_MIN);
    strmap_set(&details, a, "Os", "linux");
    component(&v, "Engine", g->o.version, details, a);
    add_containerd(g, &v, a);
    json_write(&system_version_json, &v, out);
    return 0;
}

/* The value of KEY="..." in os-release. */
static const char *os_release(const char *text, const char *key, struct arena *a)
{
    struct str rest = str_of(text);

    while (rest.n > 0) {
        struct str value = str_cut(&rest, '\n'), k = str_cut(&value, '=');

        if (!str_eq(k, key))
            continue;
        if (value.n >= 2 && value.p[0] == '"')
            value = (struct str){value.p + 1, value.n - 2};
        return arena_strndup(a, value.p, value.n);
    }
    return "";
}

static void os_fill(struct system_info *i, struct arena *a)
{
    auto_buf struct buf b = BUF_MAX(64 << 10);
    struct err ignored = {0};
    struct utsname u;
    struct sysinfo s;
    char host[256] = "";

    uname(&u);
    i->kernel_version = arena_strdup(a, u.release);
    i->architecture = arena_strdup(a, u.machine);
    i->os_type = "linux";
    (void)file_read(AT_FDCWD, "/etc/os-release", &b,
                    &ignored); /* without it the names stay empty */
    i->operating_system = os_release(buf_cstr(&b), "PRETTY_NAME", a);
    i->os_version = os_release(buf_cstr(&b), "VERSION_ID", a);
    i->n_cpu = sysconf(_SC_NPROCESSORS_ONLN);
    if (sysinfo(&s) == 0)
        i->mem_total = (int64_t)s.totalram * s.mem_unit;
    if (gethostname(host, sizeof(host) - 1) == 0)
        i->name = arena_strdup(a, host);
}

/* True when a controller is there: its file exists in the root of its hierarchy, or on v2 it is
 * listed. */
static bool has_controller(const struct cgroup_host *h, const char *name)
{
    vec_each(hier, &h->hiers) {
        struct str rest = str_of(hier->controllers);

        while (rest.n > 0)
            if (str_eq(str_cut(&rest, ','), name))
                return true;
    }
    return h->mode == CGROUP_V2;
}

static void cgroup_fill(struct system_info *i, bool userns, struct arena *a)
{
    struct cgroup_host h;
    struct err ignored = {0};

    i->cgroup_driver = "cgroupfs";
    i->cgroup_version = "1";
    if (cgroup_host_read(a, &h, &ignored) < 0)
        return;
    if (h.mode == CGROUP_V2)
        i->cgroup_version = "2";
    i->memory_limit = has_controller(&h, "memory");
    i->swap_limit =
        i->memory_limit && (h.mode == CGROUP_V2 ||
                            access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0);
    i->cpu_cfs_period = i->cpu_cfs_quota = i->cpu_shares = has_controller(&h, "cpu");
    i->cpu_set = has_controller(&h, "cpuset");
    i->pids_limit = has_controller(&h, "pids");
    i->oom_kill_disable = h.mode != CGROUP_V2 && i->memory_limit;
    vec_push_in(a, &i->security_options, (char *)"name=seccomp,profile=builtin");
    if (userns)
        vec_push_in(a, &i->security_options, (char *)"name=userns");
    if (h.mode == CGROUP_V2)
        vec_push_in(a, &i->security_options, (char *)"name=cgroupns");
    if (!i->swap_limit)
        vec_push_in(a, &i->warnings, (char *)"WARNING: No swap limit support");
}

static void list(struct strv *to, struct arena *a, const char *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vec_push_in(a, to, (char *)v[i]);
}

static void plugins_fill(struct system_info *i, struct arena *a)
{
    static const char *const volume[] = {"local"}, *const network[] = {"bridge", "host", "null"},
                             *const log[] = {"json-file", "none"};

    list(&i->plugins.volume, a, volume, ARRAY_LEN(volume));
    list(&i->plugins.network, a, network, ARRAY_LEN(network));
    list(&i->plugins.log, a, log, ARRAY_LEN(log));
}

static void registry_fill(struct engine *g, struct system_info *i, struct arena *a)
{
    static const char *const local[] = {"::1/128", "127.0.0.0/8"};

    i->registry = ARENA_NEW(a, struct info_registry);
    list(&i->registry->insecure_cidrs, a, local, ARRAY_LEN(local));
    if (g->o.insecure_registries != NULL)
        vec_each(r, g->o.insecure_registries) {
            __typeof__(i->registry->indexes.v) x = vec_add_in(a, &i->registry->indexes);

            x->key = *r;
            x->val = ARENA_NEW(a, struct info_index);
            x->val->name = *r;
        }
    if (g->o.registry_mirrors != NULL)
        vec_each(m, g->o.registry_mirrors)
            vec_push_in(a, &i->registry->mirrors, *m);
    i->index_server_address = "https://index.docker.io/v1/";
}

static void runtimes_fill(struct engine *g, struct system_info *i, struct arena *a)
{
    for (size_t k = 0; k < g->o.n_runtimes; k++) {
        __typeof__(i->runtimes.v) r = vec_add_in(a, &i->runtimes);

        r->key = g->o.runtimes[k].name;
        r->val = ARENA_NEW(a, struct info_runtime);
        r->val->path =
            g->o.runtimes[k].binary != NULL ? g->o.runtimes[k].binary : g->o.runtimes[k].type;
    }
    i->default_runtime = g->o.default_runtime;
}

static int64_t count_images(struct engine *g, struct arena *a)
{
    struct ctd_image *v;
    struct err ignored = {0};
    struct map seen = {0};
    int64_t count;
    size_t n;

    if (ctd_image_list(g->ctd, NULL, a, &v, &n, &ignored) < 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        map_put(&seen, v[i].digest, &v[i]);
    count = (int64_t)seen.n;
    map_done(&seen);
    return count;
}

int engine_info(struct engine *g, int api, struct buf *out, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct engine_counts n = engine_count(g);
    const char *version = "", *revision = "";
    struct err away = {0};
    struct system_info i = {
        .id = g->engine_id,
        .containers = n.containers,
        .containers_running = n.running,
        .containers_paused = n.paused,
        .containers_stopped = n.stopped,
        .images = count_images(g, a),
        .driver = g->o.snapshotter,
        .driver_status = "[[\"driver-type\",\"io.containerd.snapshotter.v1\"]]",
        .ipv4_forwarding = true,
        .n_events_listener = events_listeners(g),
        .system_time_ns = time_now_ns(),
        .logging_driver = g->o.log_driver,
        .docker_root_dir = g->o.data_root,
        .http_proxy = registry_proxy_shown(g->o.registry->http_proxy, a),
        .https_proxy = registry_proxy_shown(g->o.registry->https_proxy, a),
        .no_proxy = g->o.registry->no_proxy,
        .server_version = g->o.version,
        .swarm = {.node_id = "", .node_addr = "", .local_node_state = "inactive", .error = ""},
        .live_restore = true,
        .init_binary = "docker-init",
    };

    (void)api;
    (void)e;
    if (ctd_version(g->ctd, a, &version, &revision, &away) < 0)
        vec_push_in(a, &i.warnings,
                    arena_printf(a, "WARNING: containerd does not answer: %s", away.msg));
    i.containerd_commit.id = revision;
    if (g->o.labels != NULL)
        i.labels = *g->o.labels;
    os_fill(&i, a);
    cgroup_fill(&i, g->o.userns.uid != NULL, a);
    plugins_fill(&i, a);
    registry_fill(g, &i, a);
    runtimes_fill(g, &i, a);
    i.containerd = ARENA_NEW(a, struct info_containerd);
    i.containerd->address = ctd_address(g->ctd);
    i.containerd->namespaces.containers = ctd_namespace(g->ctd);
    i.containerd->namespaces.plugins = "";
    json_write(&system_info_json, &i, out);
    return 0;
}
