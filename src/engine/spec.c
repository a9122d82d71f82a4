/* The spec, part by part; mounts, devices and resources have files of their own. */
#include "engine/spec.h"

#include <ctype.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/caps.h"
#include "engine/seccomp.h"
#include "sys/caps.h"
#include "sys/oom_score.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Paths that tell about or touch the host. */
static const char *const masked[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
};
static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                        "/proc/sysrq-trigger"};

static struct strv list_of(const char *const *v, size_t n, struct arena *a)
{
    struct strv l = {0};

    for (size_t i = 0; i < n; i++)
        vec_push_in(a, &l, (char *)v[i]);
    return l;
}

static bool is_mode(const char *s, const char *mode)
{
    return s != NULL && strcmp(s, mode) == 0;
}

int security_opts_parse(const struct strv *opts, struct security_opts *out, struct err *e)
{
    size_t i = 0;

    *out = (struct security_opts){0};
    vec_each(o, opts) {
        struct str rest = str_of(*o), key;
        const char *sep = strchr(*o, '=');

        i++;
        if (strcmp(*o, "no-new-privileges") == 0) {
            out->no_new_privileges = true;
            continue;
        }
        if (strcmp(*o, "writable-cgroups") == 0) {
            out->writable_cgroups = true;
            continue;
        }
        if (strcmp(*o, "disable") == 0)
            continue;
        if (sep == NULL)
            sep = strchr(*o, ':'); /* the separator of old clients */
        if (sep == NULL)
            return err_set(e, ERR_INVALID, "invalid --security-opt %zu: \"%s\"", i, *o);
        key = str_cut(&rest, *sep);
        if (str_eq(key, "label"))
            continue; /* SELinux is not there: nothing to label */
        if (str_eq(key, "apparmor"))
            out->apparmor = rest.p;
        else if (str_eq(key, "seccomp"))
            out->seccomp = rest.p;
        else if (str_eq(key, "no-new-privileges"))
            out->no_new_privileges = str_eq(rest, "true") || str_eq(rest, "1");
        else if (str_eq(key, "writable-cgroups"))
            out->writable_cgroups = str_eq(rest, "true") || str_eq(rest, "1");
        else if (!str_eq(key, "systempaths"))
            return err_set(e, ERR_INVALID, "invalid --security-opt %zu: \"%s\"", i, *o);
    }
    return 0;
}

/* Set a variable: the last one counts, at the place of the first. */
static void env_set(struct strv *env, char *entry, struct arena *a)
{
    size_t n = strcspn(entry, "=");

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], entry, n) == 0 && env->v[i][n] == '=') {
            if (entry[n] == '=')
                env->v[i] = entry;
            else
                vec_remove(env, i); /* a bare NAME takes the variable away */
            return;
        }
    if (entry[n] == '=')
        vec_push_in(a, env, entry);
}

struct strv spec_env(const struct container_config *c, const char *hostname, bool tty,
                     struct arena *a)
{
    struct strv env = {0};

    vec_push_in(a, &env, arena_strdup(a, DEFAULT_PATH));
    vec_push_in(a, &env, arena_printf(a, "HOSTNAME=%s", hostname));
    if (tty)
        vec_push_in(a, &env, arena_strdup(a, "TERM=xterm"));
    vec_each(v, &c->env)
        env_set(&env, *v, a);
    return env;
}

static const char *rlimit_type(const char *name, struct arena *a)
{
    char *type = arena_printf(a, "RLIMIT_%s", name);

    for (char *p = type; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    return type;
}

static void rlimits(const struct resources *r, struct arena *a, struct oci_process *out)
{
    vec_each(u, &r->ulimits) {
        struct oci_rlimit *l = vec_add_in(a, &out->rlimits);

        *l = (struct oci_rlimit){
            .type = rlimit_type(u->name, a), .hard = (uint64_t)u->hard, .soft = (uint64_t)u->soft};
    }
}

static bool apparmor_enabled(void)
{
    return access("/sys/kernel/security/apparmor/profiles", F_OK) == 0;
}

/*
 * Docker's containers have the score 0 unless something else is asked for. Where the kernel does
 * not let us come down to it, nobody asked: then a container keeps ours.
 */
static bool oom_score_given(int64_t score)
{
    uint64_t caps;

    return score != 0 || oom_score_get(0) <= 0 || caps_bounding(&caps) < 0 ||
           (caps & UINT64_C(1) << caps_number("SYS_RESOURCE")) != 0;
}

int spec_process(const struct spec_inputs *in, const struct security_opts *sec, struct arena *a,
                 struct oci_process *out, struct err *e)
{
    const struct container_record *rec = in->rec;
    const struct host_config *h = &rec->host;
    struct strv caps;
    int64_t oom = h->oom_score_adj;

    *out = (struct oci_process){.terminal = rec->config.tty, .user = in->user};
    TRY(caps_resolve(&h->cap_add, &h->cap_drop, h->privileged, a, &caps, e));
    out->env = spec_env(&rec->config, in->hostname, rec->config.tty, a);
    out->cwd = rec->config.working_dir != NULL && rec->config.working_dir[0] != '\0'
                   ? rec->config.working_dir
                   : "/";
    out->capabilities = ARENA_NEW(a, struct oci_capabilities);
    out->capabilities->bounding = out->capabilities->permitted = out->capabilities->effective =
        caps;
    rlimits(&h->resources, a, out);
    out->no_new_privileges = sec->no_new_privileges || in->o->no_new_privileges;
    if (oom_score_given(oom))
        out->oom_score_adj = arena_dup(a, &oom, sizeof(oom));
    if (h->console_size.n == 2 && rec->config.tty) {
        out->console_size = ARENA_NEW(a, struct oci_console_size);
        out->console_size->height = (uint64_t)h->console_size.v[0];
        out->console_size->width = (uint64_t)h->console_size.v[1];
    }
    if (apparmor_enabled()) {
        if (sec->apparmor != NULL)
            out->apparmor_profile = sec->apparmor;
        else if (h->privileged)
            out->apparmor_profile = "unconfined";
    }
    return 0;
}

int spec_seccomp(const struct spec_inputs *in, const struct security_opts *sec,
                 const struct strv *caps, struct arena *a, struct oci_seccomp **out, struct err *e)
{
    const char *profile = sec->seccomp != NULL ? sec->seccomp : in->o->seccomp_profile;

    *out = NULL;
    if (in->rec->host.privileged || is_mode(profile, "unconfined"))
        return 0;
    *out = ARENA_NEW(a, struct oci_seccomp);
    if (profile == NULL || strcmp(profile, "builtin") == 0) {
        seccomp_default(caps, a, *out);
        return 0;
    }
    return seccomp_from_json(profile, caps, a, *out, e);
}

static void namespace_add(struct oci_linux *l, const char *type, const char *path, struct arena *a)
{
    struct oci_namespace *n = vec_add_in(a, &l->namespaces);

    *n = (struct oci_namespace){.type = type, .path = path};
}

typedef VEC(struct oci_id_mapping) mapping_list;

static int read_ranges(const char *ranges, struct arena *a, mapping_list *out, struct err *e)
{
    struct str rest = str_of(ranges);
    struct id_range r;
    int more;

    while ((more = id_range_next(&rest, &r, e)) > 0)
        vec_push_in(a, out, ((struct oci_id_mapping){r.inside, r.outside, r.count}));
    return more;
}

static int user_namespace(const struct spec_inputs *in, struct arena *a, struct oci_linux *l,
                          struct err *e)
{
    const struct userns_maps maps = record_maps(in->rec);
    mapping_list uid = {0}, gid = {0};

    if (in->userns == NULL)
        return 0;
    namespace_add(l, "user", in->userns, a);
    TRY(read_ranges(maps.uid, a, &uid, e));
    TRY(read_ranges(maps.gid, a, &gid, e));
    vec_each(m, &uid)
        vec_push_in(a, &l->uid_mappings, *m);
    vec_each(m, &gid)
        vec_push_in(a, &l->gid_mappings, *m);
    return 0;
}

static void namespaces(const struct spec_inputs *in, struct arena *a, struct oci_linux *l)
{
    const struct host_config *h = &in->rec->host;

    namespace_add(l, "mount", NULL, a);
    if (in->netns[0] != '\0')
        namespace_add(l, "network", in->netns, a);
    if (!is_mode(h->uts_mode, "host"))
        namespace_add(l, "uts", NULL, a);
    if (in->pidns != NULL || !is_mode(h->pid_mode, "host"))
        namespace_add(l, "pid", in->pidns, a);
    if (in->ipcns != NULL || !is_mode(h->ipc_mode, "host"))
        namespace_add(l, "ipc", in->ipcns, a);
    if (is_mode(h->cgroupns_mode, "private"))
        namespace_add(l, "cgroup", NULL, a);
}

static void sysctls(const struct spec_inputs *in, struct arena *a, struct oci_linux *l)
{
    if (in->netns[0] != '\0') {
        strmap_set(&l->sysctl, a, "net.ipv4.ip_unprivileged_port_start", "0");
        if (in->userns == NULL) /* no user namespace maps all these groups */
            strmap_set(&l->sysctl, a, "net.ipv4.ping_group_range", "0 2147483647");
    }
    vec_each(s, &in->rec->host.sysctls)
        strmap_set(&l->sysctl, a, s->key, s->val);
}

static void paths(const struct host_config *h, struct arena *a, struct oci_linux *l)
{
    if (h->privileged)
        return;
    /* given and empty switches them off, as `systempaths=unconfined` asks */
    l->masked_paths =
        h->masked_paths.v != NULL ? h->masked_paths : list_of(masked, ARRAY_LEN(masked), a);
    l->readonly_paths = h->readonly_paths.v != NULL ? h->readonly_paths
                                                    : list_of(read_only, ARRAY_LEN(read_only), a);
}

/* The command with --init before it. */
static struct strv args_of(const struct spec_inputs *in, struct arena *a)
{
    struct strv args = {0};

    if (in->init != NULL) {
        vec_push_in(a, &args, arena_strdup(a, "/sbin/docker-init"));
        vec_push_in(a, &args, arena_strdup(a, "--"));
    }
    vec_each(s, &in->rec->args)
        vec_push_in(a, &args, *s);
    return args;
}

static const char *cgroups_path(const struct spec_inputs *in, struct arena *a)
{
    const char *parent = in->rec->host.resources.cgroup_parent;

    if (parent == NULL || parent[0] == '\0')
        parent = in->o->cgroup_parent;
    return arena_printf(a, "%s%s/%s", parent[0] == '/' ? "" : "/", parent, in->rec->id);
}

int spec_build(const struct spec_inputs *in, struct arena *a, struct oci_spec *out, struct err *e)
{
    const struct host_config *h = &in->rec->host;
    struct security_opts sec;
    struct oci_linux *l = ARENA_NEW(a, struct oci_linux);

    TRY(security_opts_parse(&h->security_opt, &sec, e));
    *out = (struct oci_spec){.oci_version = OCI_RUNTIME_VERSION};
    out->process = ARENA_NEW(a, struct oci_process);
    TRY(spec_process(in, &sec, a, out->process, e));
    out->process->args = args_of(in, a);
    out->root = ARENA_NEW(a, struct oci_root);
    *out->root = (struct oci_root){.path = "rootfs", .readonly = h->readonly_rootfs};
    if (!is_mode(h->uts_mode, "host")) {
        out->hostname = in->hostname;
        out->domainname = in->rec->config.domainname;
    }
    spec_mounts(in, &sec, a, out);
    vec_each(x, &h->annotations)
        strmap_set(&out->annotations, a, x->key, x->val);
    out->linux_ = l;
    l->resources = ARENA_NEW(a, struct oci_resources);
    TRY(spec_resources(&h->resources, a, l->resources, e));
    TRY(spec_devices(in, a, l, e));
    l->cgroups_path = cgroups_path(in, a);
    namespaces(in, a, l);
    TRY(user_namespace(in, a, l, e));
    sysctls(in, a, l);
    paths(h, a, l);
    return spec_seccomp(in, &sec, &out->process->capabilities->bounding, a, &l->seccomp, e);
}
