/* Seccomp profiles: rules with conditions in, rules without out. */
#include "engine/seccomp.h"

#include <errno.h>
#include <sys/utsname.h>

#include "base/str.h"
#include "engine/seccomp_table.h"

#define ALLOW "SCMP_ACT_ALLOW"
#define ERRNO "SCMP_ACT_ERRNO"

static struct strv words(const char *text, struct arena *a)
{
    struct str rest = str_of(text);
    struct strv v = {0};

    while (rest.n > 0) {
        struct str w = str_cut(&rest, ' ');

        vec_push_in(a, &v, arena_strndup(a, w.p, w.n));
    }
    return v;
}

static struct oci_seccomp_syscall *rule(struct oci_seccomp *s, const char *names,
                                        const char *action, struct arena *a)
{
    struct oci_seccomp_syscall *r = vec_add_in(a, &s->syscalls);

    r->names = words(names, a);
    r->action = action;
    return r;
}

static void rule_arg(struct oci_seccomp_syscall *r, uint64_t value, uint64_t two, const char *op,
                     struct arena *a)
{
    struct oci_seccomp_arg *arg = vec_add_in(a, &r->args);

    *arg = (struct oci_seccomp_arg){.index = 0, .value = value, .value_two = two, .op = op};
}

static uint64_t *number(uint64_t v, struct arena *a)
{
    return arena_dup(a, &v, sizeof(v));
}

/* The row of the machine's architecture; the first one when it is unknown. */
static size_t host_arch(void)
{
    struct utsname u;

    uname(&u);
    for (size_t i = 0; i < ARRAY_LEN(seccomp_arches); i++)
        if (strcmp(u.machine, seccomp_arches[i].kernel) == 0)
            return i;
    return 0;
}

void seccomp_default(const struct strv *caps, struct arena *a, struct oci_seccomp *out)
{
    size_t arch = host_arch();
    bool admin = strv_has(caps, "CAP_SYS_ADMIN");

    *out = (struct oci_seccomp){.default_action = ERRNO, .default_errno_ret = number(EPERM, a)};
    out->architectures =
        words(arena_printf(a, "%s %s", seccomp_arches[arch].scmp, seccomp_arches[arch].also), a);
    rule(out, SECCOMP_ALWAYS, ALLOW, a);
    rule_arg(rule(out, "socket", ALLOW, a), SECCOMP_AF_VSOCK, 0, "SCMP_CMP_NE", a);
    for (size_t i = 0; i < ARRAY_LEN(seccomp_personalities); i++)
        rule_arg(rule(out, "personality", ALLOW, a), seccomp_personalities[i], 0, "SCMP_CMP_EQ", a);
    for (size_t i = 0; i < ARRAY_LEN(seccomp_by_arch); i++)
        if (strcmp(seccomp_by_arch[i].arch, seccomp_arches[arch].go) == 0)
            rule(out, seccomp_by_arch[i].names, ALLOW, a);
    for (size_t i = 0; i < ARRAY_LEN(seccomp_by_cap); i++)
        if (strv_has(caps, seccomp_by_cap[i].cap))
            rule(out, seccomp_by_cap[i].names, ALLOW, a);
    if (admin)
        return;
    rule_arg(rule(out, "clone", ALLOW, a), SECCOMP_CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ", a);
    /* its flags are in memory, which a filter cannot see: callers fall back to clone on ENOSYS */
    rule(out, "clone3", ERRNO, a)->errno_ret = number(ENOSYS, a);
}

/* ---- profiles of users ---- */

#define PROFILE_COND(T, F)                       \
    F(T, strv, caps, "caps", JSON_OMITEMPTY)     \
    F(T, strv, arches, "arches", JSON_OMITEMPTY) \
    F(T, str, min_kernel, "minKernel", JSON_OMITEMPTY)
JSON_TYPE(profile_cond, PROFILE_COND)
JSON_DESC(profile_cond, PROFILE_COND)

#define PROFILE_SYSCALL(T, F)                                     \
    F(T, str, name, "name", JSON_OMITEMPTY)                       \
    F(T, strv, names, "names", JSON_OMITEMPTY)                    \
    F(T, str, action, "action", 0)                                \
    F(T, opt_u64, errno_ret, "errnoRet", JSON_OMITEMPTY)          \
    F(T, list, args, "args", JSON_OMITEMPTY, oci_seccomp_arg)     \
    F(T, val, includes, "includes", JSON_OMITEMPTY, profile_cond) \
    F(T, val, excludes, "excludes", JSON_OMITEMPTY, profile_cond)
JSON_TYPE(profile_syscall, PROFILE_SYSCALL)
JSON_DESC(profile_syscall, PROFILE_SYSCALL)

#define PROFILE_ARCH(T, F)                     \
    F(T, str, architecture, "architecture", 0) \
    F(T, strv, also, "subArchitectures", 0)
JSON_TYPE(profile_arch, PROFILE_ARCH)
JSON_DESC(profile_arch, PROFILE_ARCH)

#define PROFILE(T, F)                                                   \
    F(T, str, default_action, "defaultAction", 0)                       \
    F(T, opt_u64, default_errno_ret, "defaultErrnoRet", JSON_OMITEMPTY) \
    F(T, strv, architectures, "architectures", JSON_OMITEMPTY)          \
    F(T, list, arch_map, "archMap", JSON_OMITEMPTY, profile_arch)       \
    F(T, raw, flags, "flags", JSON_OMITEMPTY)                           \
    F(T, str, listener_path, "listenerPath", JSON_OMITEMPTY)            \
    F(T, str, listener_metadata, "listenerMetadata", JSON_OMITEMPTY)    \
    F(T, list, syscalls, "syscalls", 0, profile_syscall)
JSON_TYPE(profile, PROFILE)
JSON_DESC(profile, PROFILE)

/* True when the running kernel is "major.minor" or newer. */
static bool kernel_is(const char *min)
{
    struct str want = str_of(min), have;
    struct utsname u;
    uint64_t w[2] = {0}, h[2] = {0};

    uname(&u);
    have = str_of(u.release);
    for (int i = 0; i < 2; i++) {
        struct str part = str_cut(&have, '.');

        (void)str_to_u64(str_cut(&want, '.'), 0, 9999, &w[i]);
        part.n = strspn(part.p, "0123456789");
        (void)str_to_u64(part, 0, 9999, &h[i]);
    }
    return h[0] != w[0] ? h[0] > w[0] : h[1] >= w[1];
}

static bool holds(const struct profile_cond *c, const struct strv *caps, const char *arch)
{
    if (c->arches.n > 0 && !strv_has(&c->arches, arch))
        return false;
    vec_each(cap, &c->caps)
        if (!strv_has(caps, *cap))
            return false;
    return c->min_kernel == NULL || c->min_kernel[0] == '\0' || kernel_is(c->min_kernel);
}

/* Any of the conditions that are given is met. */
static bool excluded(const struct profile_cond *c, const struct strv *caps, const char *arch)
{
    if (strv_has(&c->arches, arch))
        return true;
    vec_each(cap, &c->caps)
        if (strv_has(caps, *cap))
            return true;
    return c->min_kernel != NULL && c->min_kernel[0] != '\0' && kernel_is(c->min_kernel);
}

static int add_arches(const struct profile *p, size_t arch, struct arena *a,
                      struct oci_seccomp *out, struct err *e)
{
    if (p->architectures.n > 0 && p->arch_map.n > 0)
        return err_set(e, ERR_INVALID,
                       "both 'architectures' and 'archMap' are specified in the seccomp "
                       "profile, use either 'architectures' or 'archMap'");
    out->architectures = p->architectures;
    vec_each(m, &p->arch_map) {
        if (strcmp(m->architecture, seccomp_arches[arch].scmp) != 0)
            continue;
        vec_push_in(a, &out->architectures, arena_strdup(a, m->architecture));
        vec_each(s, &m->also)
            vec_push_in(a, &out->architectures, *s);
    }
    return 0;
}

int seccomp_from_json(const char *json, const struct strv *caps, struct arena *a,
                      struct oci_seccomp *out, struct err *e)
{
    struct profile p;
    size_t arch = host_arch();

    if (json_parse(&profile_json, &p, json, strlen(json), a, e) < 0)
        return err_wrap(e, "Decoding seccomp profile failed");
    *out = (struct oci_seccomp){.default_action = p.default_action,
                                .default_errno_ret = p.default_errno_ret,
                                .flags = p.flags,
                                .listener_path = p.listener_path,
                                .listener_metadata = p.listener_metadata};
    TRY(add_arches(&p, arch, a, out, e));
    vec_each(s, &p.syscalls) {
        struct oci_seccomp_syscall *r;

        if (s->name != NULL && s->name[0] != '\0' && s->names.n > 0)
            return err_set(e, ERR_INVALID,
                           "both 'name' and 'names' are specified in the seccomp profile, "
                           "use either 'name' or 'names'");
        if (excluded(&s->excludes, caps, seccomp_arches[arch].go) ||
            !holds(&s->includes, caps, seccomp_arches[arch].go))
            continue;
        r = vec_add_in(a, &out->syscalls);
        r->names = s->names;
        if (s->name != NULL && s->name[0] != '\0')
            vec_push_in(a, &r->names, (char *)s->name);
        r->action = s->action;
        r->errno_ret = s->errno_ret;
        r->args.v = s->args.v;
        r->args.n = s->args.n;
        r->args.cap = s->args.cap;
    }
    return 0;
}
