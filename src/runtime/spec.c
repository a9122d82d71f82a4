/*
 * config.json: loading and checking. Each check answers in runc's words, because callers match
 * them. Source: runtime-spec config.md and config-linux.md.
 */
#include "runtime/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/mempolicy.h"
#include "runtime/netdev.h"
#include "runtime/rootfs.h"
#include "runtime/rootless.h"
#include "sys/caps.h"
#include "sys/fd.h"
#include "sys/ns.h"
#include "sys/path.h"

int spec_parse(const char *text, size_t n, struct arena *a, struct oci_spec *out, struct err *e)
{
    if (json_parse(&oci_spec_json, out, text, n, a, e) < 0)
        return err_wrap(e, "config.json");
    if (out->linux_ == NULL)
        out->linux_ = ARENA_NEW(a, struct oci_linux);
    if (out->hooks == NULL)
        out->hooks = ARENA_NEW(a, struct oci_hooks);
    return 0;
}

int spec_read(const char *bundle, const char *config, struct buf *out, struct err *e)
{
    auto_free char *path =
        config != NULL ? mem_strdup(config) : mem_printf("%s/config.json", bundle);
    if (file_read(AT_FDCWD, path, out, e) == 0)
        return 0;
    return e->kind == ERR_NOT_FOUND
               ? err_set(e, ERR_NOT_FOUND, "JSON specification file %s not found",
                         config != NULL ? config : "config.json")
               : -1;
}

const struct oci_namespace *spec_ns(const struct oci_spec *s, const char *type)
{
    vec_each(ns, &s->linux_->namespaces)
        if (ns->type != NULL && strcmp(ns->type, type) == 0)
            return ns;
    return NULL;
}

static bool has_path(const struct oci_namespace *ns)
{
    return ns->path != NULL && *ns->path != '\0';
}

static uint64_t flags(const struct oci_spec *s, bool joined)
{
    uint64_t all = 0;
    vec_each(ns, &s->linux_->namespaces) {
        const struct ns_kind *k = ns_find(ns->type);
        if (k != NULL && has_path(ns) == joined)
            all |= k->flag;
    }
    return all;
}

uint64_t spec_new_flags(const struct oci_spec *s)
{
    return flags(s, false);
}

uint64_t spec_join_flags(const struct oci_spec *s)
{
    return flags(s, true);
}

bool spec_has_mounts(const struct oci_spec *s)
{
    return spec_ns(s, "mount") != NULL || s->mounts.n > 0 || s->root->readonly;
}

#define MAPPED(maps, id)                                                   \
    do {                                                                   \
        if ((maps)->n == 0)                                                \
            return (int64_t)(id);                                          \
        vec_each(m, maps)                                                  \
            if ((id) >= m->container_id && (id)-m->container_id < m->size) \
                return (int64_t)(m->host_id + (id)-m->container_id);       \
        return -1;                                                         \
    } while (0)

int64_t spec_host_uid(const struct oci_spec *s, uint64_t id)
{
    MAPPED(&s->linux_->uid_mappings, id);
}

int64_t spec_host_gid(const struct oci_spec *s, uint64_t id)
{
    MAPPED(&s->linux_->gid_mappings, id);
}

int spec_rlimit(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } table[] = {
        {"RLIMIT_AS", RLIMIT_AS},
        {"RLIMIT_CORE", RLIMIT_CORE},
        {"RLIMIT_CPU", RLIMIT_CPU},
        {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_FSIZE", RLIMIT_FSIZE},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
        {"RLIMIT_NICE", RLIMIT_NICE},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE},
        {"RLIMIT_NPROC", RLIMIT_NPROC},
        {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_STACK", RLIMIT_STACK},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (name != NULL && strcmp(table[i].name, name) == 0)
            return table[i].number;
    return -1;
}

/* ---- checks ------------------------------------------------------------------------------- */

static const char *text(const char *s)
{
    return s != NULL ? s : "";
}

bool spec_selinux_on(void)
{
    return access("/sys/fs/selinux/enforce", F_OK) == 0;
}

int spec_check_process(const struct oci_process *p, struct err *e)
{
    if (*text(p->cwd) == '\0')
        return err_set(e, ERR_INVALID, "Cwd property must not be empty");
    if (p->cwd[0] != '/')
        return err_set(e, ERR_INVALID, "Cwd must be an absolute path");
    if (p->args.n == 0)
        return err_set(e, ERR_INVALID, "args must not be empty");
    if (*text(p->selinux_label) != '\0' && !spec_selinux_on())
        return err_set(e, ERR_INVALID,
                       "selinux label is specified in config, but selinux is disabled or not "
                       "supported");
    vec_each(l, &p->rlimits)
        if (spec_rlimit(l->type) < 0)
            return err_set(e, ERR_INVALID, "wrong rlimit value: %s", text(l->type));
    for (size_t i = 0; i < p->env.n; i++) {
        const char *eq = strchr(p->env.v[i], '=');
        if (eq == NULL || eq == p->env.v[i])
            return err_set(e, ERR_INVALID, "invalid environment variable: %s", p->env.v[i]);
    }
    /* the largest number means "as it is" to setresuid: root would stay root */
    if (p->user.gid >= UINT32_MAX)
        return err_set(e, ERR_INVALID,
                       "unable to setup user: cannot setgid to unmapped gid %llu in user namespace",
                       (unsigned long long)p->user.gid);
    if (p->user.uid >= UINT32_MAX)
        return err_set(e, ERR_INVALID,
                       "unable to setup user: cannot setuid to unmapped uid %llu in user namespace",
                       (unsigned long long)p->user.uid);
    for (size_t i = 0; i < p->user.additional_gids.n; i++)
        if (p->user.additional_gids.v[i] < 0 || p->user.additional_gids.v[i] > UINT32_MAX)
            return err_set(e, ERR_INVALID, "additional group id out of range");
    return 0;
}

static int check_namespaces(const struct oci_spec *s, struct err *e)
{
    uint64_t seen = 0;
    vec_each(ns, &s->linux_->namespaces) {
        const struct ns_kind *k = ns_find(ns->type);
        if (k == NULL)
            return err_set(e, ERR_INVALID, "namespace \"%s\" does not exist", text(ns->type));
        if ((seen & k->flag) != 0)
            return err_set(e, ERR_INVALID, "malformed spec file: duplicated ns \"%s\"", k->oci);
        if (has_path(ns) && strchr(ns->path, ',') != NULL)
            return err_set(e, ERR_INVALID, "invalid namespace path %s", ns->path);
        seen |= k->flag;
    }
    bool maps = s->linux_->uid_mappings.n > 0 || s->linux_->gid_mappings.n > 0;
    const struct oci_namespace *user = spec_ns(s, "user"), *clock = spec_ns(s, "time");
    if (user == NULL && maps)
        return err_set(e, ERR_INVALID,
                       "user namespace mappings specified, but user namespace isn't enabled in the "
                       "config");
    if (user != NULL && !has_path(user) && !maps)
        return err_set(e, ERR_INVALID,
                       "user namespaces enabled, but no namespace path to join nor mappings to "
                       "apply specified");
    if (clock == NULL && s->linux_->time_offsets.n > 0)
        return err_set(e, ERR_INVALID,
                       "time namespace offsets specified, but time namespace isn't enabled in the "
                       "config");
    if (clock != NULL && has_path(clock) && s->linux_->time_offsets.n > 0)
        return err_set(e, ERR_INVALID,
                       "time namespace enabled, but both namespace path and time offsets specified "
                       "-- you may only provide one");
    vec_each(o, &s->linux_->time_offsets)
        if (strcmp(o->key, "monotonic") != 0 && strcmp(o->key, "boottime") != 0)
            return err_set(e, ERR_INVALID, "invalid time offset clock %s", o->key);
    return 0;
}

static bool starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool own_ns(const struct oci_spec *s, const char *type)
{
    return spec_ns(s, type) != NULL;
}

static int sysctl_refused(const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "sysctl \"%s\" is not in a separate kernel namespace", name);
}

int spec_sysctl_path(const char *name, char out[static SPEC_SYSCTL_MAX], struct err *e)
{
    const char *sep = strpbrk(name, "./");
    bool dots = sep != NULL && *sep == '.'; /* "net.ipv4.conf.eth0/1": the other way round */
    size_t n = strlen(name);
    if (n >= SPEC_SYSCTL_MAX)
        return err_set(e, ERR_INVALID, "sysctl name too long");
    for (size_t i = 0; i <= n; i++)
        out[i] = !dots ? name[i] : name[i] == '.' ? '/' : name[i] == '/' ? '.' : name[i];
    for (struct str rest = str_of(out); rest.n > 0;) { /* no way out of the folder it names */
        struct str part = str_cut(&rest, '/');
        if (part.n == 0 || str_eq(part, ".") || str_eq(part, ".."))
            return sysctl_refused(name, e);
    }
    return 0;
}

static int check_sysctl(const struct oci_spec *s, const char *given, struct err *e)
{
    static const char *const ipc[] = {"kernel/msgmax", "kernel/msgmnb",         "kernel/msgmni",
                                      "kernel/sem",    "kernel/shmall",         "kernel/shmmax",
                                      "kernel/shmmni", "kernel/shm_rmid_forced"};
    char name[SPEC_SYSCTL_MAX];
    TRY(spec_sysctl_path(given, name, e));
    bool is_ipc = starts(name, "fs/mqueue/");
    for (size_t i = 0; i < ARRAY_LEN(ipc); i++)
        is_ipc |= strcmp(name, ipc[i]) == 0;
    if (is_ipc)
        return own_ns(s, "ipc")
                   ? 0
                   : err_set(e, ERR_INVALID,
                             "sysctl \"%s\" is not allowed in the hosts ipc namespace", given);
    if (starts(name, "net/"))
        return own_ns(s, "network")
                   ? 0
                   : err_set(e, ERR_INVALID, "sysctl \"%s\" not allowed in host network namespace",
                             given);
    if (strcmp(name, "kernel/hostname") == 0)
        return err_set(
            e, ERR_INVALID,
            "sysctl \"%s\" is not allowed as it conflicts with the OCI \"hostname\" field", given);
    if (strcmp(name, "kernel/domainname") == 0 && own_ns(s, "uts")) {
        if (*text(s->domainname) != '\0')
            return err_set(e, ERR_INVALID,
                           "sysctl \"%s\" is not allowed as it conflicts with the OCI "
                           "\"domainname\" field",
                           given);
        return 0;
    }
    if (starts(name, "user/"))
        return own_ns(s, "user") ? 0
                                 : err_set(e, ERR_INVALID,
                                           "setting ucounts without a user namespace not allowed: "
                                           "%s",
                                           given);
    return sysctl_refused(given, e);
}

static int check_propagation(const struct oci_spec *s, struct err *e)
{
    static const char *const known[] = {"",       "private", "rprivate",   "slave",      "rslave",
                                        "shared", "rshared", "unbindable", "runbindable"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(text(s->linux_->rootfs_propagation), known[i]) == 0)
            return 0;
    return err_set(e, ERR_INVALID, "rootfsPropagation=%s is not supported",
                   s->linux_->rootfs_propagation);
}

static int check_devices(const struct oci_resources *r, struct err *e)
{
    size_t i = 0;
    vec_each(d, &r->devices) {
        if (*text(d->access) == '\0')
            return err_set(e, ERR_INVALID, "device access at %zu field cannot be empty", i);
        if (*text(d->type) != '\0' && strcmp(d->type, "a") != 0 && strcmp(d->type, "b") != 0 &&
            strcmp(d->type, "c") != 0)
            return err_set(e, ERR_INVALID, "invalid cgroup device type \"%s\"", d->type);
        i++;
    }
    return 0;
}

static int check_idmap(const struct oci_spec *s, const struct oci_mount *m, struct err *e)
{
    const struct oci_namespace *user = spec_ns(s, "user");
    if (!strv_has(&m->options, "bind") && !strv_has(&m->options, "rbind"))
        return err_set(e, ERR_INVALID,
                       "invalid mount %s: id-mapped mounts are only supported for bind-mounts",
                       text(m->destination));
    if (geteuid() != 0)
        return err_set(e, ERR_INVALID,
                       "invalid mount %s: id-mapped mounts are not supported for rootless "
                       "containers",
                       text(m->destination));
    bool implied = m->uid_mappings.n == 0 && m->gid_mappings.n == 0 && user != NULL;
    if (!implied && (m->uid_mappings.n == 0 || m->gid_mappings.n == 0))
        return err_set(e, ERR_INVALID,
                       "invalid mount %s: id-mapped mounts must have both uid and gid mappings "
                       "specified",
                       text(m->destination));
    return 0;
}

int spec_check(const struct oci_spec *s, struct err *e)
{
    if (s->root == NULL || *text(s->root->path) == '\0')
        return err_set(e, ERR_INVALID, "root must be specified");
    if (s->process == NULL)
        return err_set(e, ERR_INVALID, "process property must not be empty");
    TRY(spec_check_process(s->process, e));
    TRY(check_namespaces(s, e));
    TRY(check_propagation(s, e));
    TRY(netdev_check(s, e));
    struct mempolicy policy;
    if (s->linux_->memory_policy != NULL)
        TRY(mempolicy_parse(s->linux_->memory_policy, &policy, e));
    if (*text(s->hostname) != '\0' && !own_ns(s, "uts"))
        return err_set(e, ERR_INVALID, "unable to set hostname without a private UTS namespace");
    if (*text(s->domainname) != '\0' && !own_ns(s, "uts"))
        return err_set(e, ERR_INVALID, "unable to set domainname without a private UTS namespace");
    if (!own_ns(s, "mount") && (s->linux_->masked_paths.n > 0 || s->linux_->readonly_paths.n > 0))
        return err_set(e, ERR_INVALID,
                       "unable to restrict sys entries without a private MNT namespace");
    if (geteuid() != 0)
        TRY(rootless_check(s, e));
    vec_each(m, &s->mounts)
        if (rootfs_is_idmapped(m))
            TRY(check_idmap(s, m, e));
    for (size_t i = 0; i < s->linux_->sysctl.n; i++)
        TRY(check_sysctl(s, s->linux_->sysctl.v[i].key, e));
    if (s->linux_->resources != NULL)
        TRY(check_devices(s->linux_->resources, e));
    return 0;
}
