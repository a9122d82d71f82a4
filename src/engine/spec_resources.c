/* Limits, and the devices that a container may see and use. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/spec.h"
#include "sys/fd.h"

enum { CPU_PERIOD_US = 100000, DEV_DEPTH = 8 };

static int64_t *i64_of(int64_t v, struct arena *a)
{
    return arena_dup(a, &v, sizeof(v));
}

static uint64_t *u64_of(uint64_t v, struct arena *a)
{
    return arena_dup(a, &v, sizeof(v));
}

static void cpu(const struct resources *r, struct arena *a, struct oci_resources *out)
{
    struct oci_cpu c = {0};
    bool any = r->cpu_shares != 0 || r->cpu_quota_us != 0 || r->cpu_period_us != 0 ||
               r->nano_cpus != 0 || r->cpu_rt_period_us != 0 || r->cpu_rt_runtime_us != 0 ||
               (r->cpuset_cpus != NULL && r->cpuset_cpus[0] != '\0') ||
               (r->cpuset_mems != NULL && r->cpuset_mems[0] != '\0');

    if (!any)
        return;
    if (r->cpu_shares != 0)
        c.shares = u64_of((uint64_t)r->cpu_shares, a);
    if (r->nano_cpus > 0) {
        c.period = u64_of(CPU_PERIOD_US, a);
        c.quota = i64_of(r->nano_cpus * CPU_PERIOD_US / 1000000000LL, a);
    }
    if (r->cpu_period_us != 0)
        c.period = u64_of((uint64_t)r->cpu_period_us, a);
    if (r->cpu_quota_us != 0)
        c.quota = i64_of(r->cpu_quota_us, a);
    if (r->cpu_rt_period_us != 0)
        c.realtime_period = u64_of((uint64_t)r->cpu_rt_period_us, a);
    if (r->cpu_rt_runtime_us != 0)
        c.realtime_runtime = i64_of(r->cpu_rt_runtime_us, a);
    c.cpus = r->cpuset_cpus;
    c.mems = r->cpuset_mems;
    out->cpu = arena_dup(a, &c, sizeof(c));
}

static void memory(const struct resources *r, struct arena *a, struct oci_resources *out)
{
    struct oci_memory m = {0};
    bool any = r->memory_bytes > 0 || r->memory_reservation > 0 || r->memory_swap != 0 ||
               (r->memory_swappiness != NULL && *r->memory_swappiness >= 0) ||
               (r->oom_kill_disable != NULL && *r->oom_kill_disable);

    if (!any)
        return;
    if (r->memory_bytes > 0)
        m.limit = i64_of(r->memory_bytes, a);
    if (r->memory_reservation > 0)
        m.reservation = i64_of(r->memory_reservation, a);
    if (r->memory_swap != 0)
        m.swap = i64_of(r->memory_swap, a);
    if (r->memory_swappiness != NULL && *r->memory_swappiness >= 0)
        m.swappiness = r->memory_swappiness;
    if (r->oom_kill_disable != NULL && *r->oom_kill_disable)
        m.disable_oom_killer = r->oom_kill_disable;
    out->memory = arena_dup(a, &m, sizeof(m));
}

/* Device number of a path of the host. */
static int device_number(const char *path, struct stat *out, struct err *e)
{
    if (stat(path, out) < 0)
        return err_set(e, ERR_INVALID,
                       "error gathering device information while adding custom device "
                       "\"%s\": no such file or directory",
                       path);
    if (!S_ISBLK(out->st_mode) && !S_ISCHR(out->st_mode))
        return err_set(e, ERR_INVALID,
                       "error gathering device information while adding custom device "
                       "\"%s\": not a device node",
                       path);
    return 0;
}

/* A list of throttled devices, whatever its type is called: path and rate in, numbers and rate out.
 */
#define THROTTLE(from, to)                                                            \
    vec_each(d, &(from)) {                                                            \
        struct stat st;                                                               \
        struct oci_throttle_device *t;                                                \
        TRY(device_number(d->path, &st, e));                                          \
        t = vec_add_in(a, &(to));                                                     \
        *t = (struct oci_throttle_device){                                            \
            .major = major(st.st_rdev), .minor = minor(st.st_rdev), .rate = d->rate}; \
    }

static int block_io(const struct resources *r, struct arena *a, struct oci_resources *out,
                    struct err *e)
{
    struct oci_block_io b = {0};

    if (r->blkio_weight != 0)
        b.weight = u64_of(r->blkio_weight, a);
    vec_each(d, &r->blkio_weight_device) {
        struct oci_weight_device *w;
        struct stat st;

        TRY(device_number(d->path, &st, e));
        w = vec_add_in(a, &b.weight_device);
        *w = (struct oci_weight_device){.major = major(st.st_rdev), .minor = minor(st.st_rdev)};
        w->weight = u64_of(d->weight, a);
    }
    THROTTLE(r->blkio_device_read_bps, b.read_bps);
    THROTTLE(r->blkio_device_write_bps, b.write_bps);
    THROTTLE(r->blkio_device_read_iops, b.read_iops);
    THROTTLE(r->blkio_device_write_iops, b.write_iops);
    if (b.weight != NULL ||
        b.weight_device.n + b.read_bps.n + b.write_bps.n + b.read_iops.n + b.write_iops.n > 0)
        out->block_io = arena_dup(a, &b, sizeof(b));
    return 0;
}

int spec_resources(const struct resources *r, struct arena *a, struct oci_resources *out,
                   struct err *e)
{
    *out = (struct oci_resources){0};
    cpu(r, a, out);
    memory(r, a, out);
    if (r->pids_limit != NULL && *r->pids_limit != 0) {
        out->pids = ARENA_NEW(a, struct oci_pids);
        out->pids->limit = i64_of(*r->pids_limit > 0 ? *r->pids_limit : -1, a);
    }
    return block_io(r, a, out, e);
}

/* ---- devices ---- */

static void rule(struct oci_linux *l, bool allow, const char *type, int64_t maj, int64_t min,
                 const char *access_, struct arena *a)
{
    struct oci_device_rule *r = vec_add_in(a, &l->resources->devices);

    *r = (struct oci_device_rule){.allow = allow, .type = type, .access = access_};
    if (maj >= 0)
        r->major = i64_of(maj, a);
    if (min >= 0)
        r->minor = i64_of(min, a);
}

/* What every container may use: null, zero, full, random, urandom, tty, console. */
static void default_rules(struct oci_linux *l, struct arena *a)
{
    static const int numbers[][2] = {{1, 5}, {1, 3}, {1, 9}, {1, 8}, {5, 0}, {5, 1}};

    rule(l, false, NULL, -1, -1, "rwm", a);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        rule(l, true, "c", numbers[i][0], numbers[i][1], "rwm", a);
    rule(l, false, "c", 10, 229, "rwm", a); /* fuse */
}

static void node(struct oci_linux *l, const char *path, const struct stat *st, struct arena *a)
{
    struct oci_device *d = vec_add_in(a, &l->devices);

    *d = (struct oci_device){.path = path,
                             .type = S_ISBLK(st->st_mode) ? "b" : "c",
                             .major = major(st->st_rdev),
                             .minor = minor(st->st_rdev),
                             .file_mode = u64_of(st->st_mode & 07777, a),
                             .uid = u64_of(st->st_uid, a),
                             .gid = u64_of(st->st_gid, a)};
}

/* All device nodes below a directory of the host; what belongs to namespaces of its own is left
 * out. */
static void host_nodes(struct oci_linux *l, const char *dir, const char *at, int level,
                       struct arena *a)
{
    static const char *const skip[] = {"pts",  "shm",         "fd",    "mqueue",
                                       ".lxc", ".lxd-mounts", ".udev", "console"};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *ent;

    while (d != NULL &&
           (ent = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        const char *path = arena_printf(a, "%s/%s", dir, ent->d_name);
        const char *to = arena_printf(a, "%s/%s", at, ent->d_name);
        struct stat st;
        bool skipped = ent->d_name[0] == '.';

        for (size_t i = 0; i < ARRAY_LEN(skip); i++)
            skipped |= strcmp(ent->d_name, skip[i]) == 0;
        if (skipped || fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && level < DEV_DEPTH)
            host_nodes(l, path, to, level + 1, a);
        else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
            node(l, to, &st, a);
    }
    if (d != NULL)
        closedir(d);
}

static int mapped_device(const struct device_mapping *m, struct oci_linux *l, struct arena *a,
                         struct err *e)
{
    const char *to = m->path_in_container != NULL && m->path_in_container[0] != '\0'
                         ? m->path_in_container
                         : m->path_on_host;
    const char *access_ =
        m->permissions != NULL && m->permissions[0] != '\0' ? m->permissions : "rwm";
    size_t before = l->devices.n;
    struct stat st;

    if (stat(m->path_on_host, &st) == 0 && S_ISDIR(st.st_mode))
        host_nodes(l, m->path_on_host, to, 0, a);
    else {
        TRY(device_number(m->path_on_host, &st, e));
        node(l, to, &st, a);
    }
    for (size_t i = before; i < l->devices.n; i++)
        rule(l, true, l->devices.v[i].type, l->devices.v[i].major, l->devices.v[i].minor, access_,
             a);
    return 0;
}

/* "c 1:3 mr", "b 8:* rmw", "a *:* rwm" */
static int cgroup_rule(const char *text, struct oci_linux *l, struct arena *a, struct err *e)
{
    struct str rest = str_of(text), type = str_cut(&rest, ' '), numbers = str_cut(&rest, ' ');
    struct str maj = str_cut(&numbers, ':');
    uint64_t a_maj = 0, a_min = 0;
    bool any_maj = str_eq(maj, "*"), any_min = str_eq(numbers, "*");

    if (type.n != 1 || strchr("abc", type.p[0]) == NULL ||
        (!any_maj && !str_to_u64(maj, 0, UINT32_MAX, &a_maj)) ||
        (!any_min && !str_to_u64(numbers, 0, UINT32_MAX, &a_min)) || rest.n == 0 ||
        strspn(rest.p, "rwm") != rest.n)
        return err_set(e, ERR_INVALID, "invalid device cgroup rule format: '%s'", text);
    rule(l, true, arena_strndup(a, type.p, 1), any_maj ? -1 : (int64_t)a_maj,
         any_min ? -1 : (int64_t)a_min, arena_strndup(a, rest.p, rest.n), a);
    return 0;
}

int spec_devices(const struct spec_inputs *in, struct arena *a, struct oci_linux *l, struct err *e)
{
    const struct host_config *h = &in->rec->host;

    if (h->privileged) {
        rule(l, true, NULL, -1, -1, "rwm", a);
        host_nodes(l, "/dev", "/dev", 0, a);
        return 0;
    }
    default_rules(l, a);
    vec_each(d, &h->resources.devices)
        TRY(mapped_device(d, l, a, e));
    vec_each(r, &h->resources.device_cgroup_rules)
        TRY(cgroup_rule(*r, l, a, e));
    if (h->resources.device_requests.n > 0)
        return err_set(e, ERR_INVALID, "could not select device driver \"\" with capabilities: %s",
                       h->resources.device_requests.v[0].capabilities != NULL
                           ? h->resources.device_requests.v[0].capabilities
                           : "[]");
    return 0;
}
