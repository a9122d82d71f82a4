/*
 * The seccomp filter: see seccomp.h. libseccomp compiles the rules; in front of them we put a few
 * instructions that answer ENOSYS for system calls that did not exist when the profile was written.
 * Source: runtime-spec config-linux.md "Seccomp", seccomp(2), libseccomp 2.5.
 */
#include "runtime/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/fd.h"

struct name_value {
    const char *name;
    uint32_t value;
};

/* Sorted, as `features` shows them. */
static const struct name_value actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
};

static const struct name_value operators[] = {
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    {"SCMP_CMP_NE", SCMP_CMP_NE},
};

static const struct name_value architectures[] = {
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
#ifdef SCMP_ARCH_LOONGARCH64
    {"SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64},
#endif
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
};

static const struct name_value flags[] = {
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* one thread only: nothing to synchronise */
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

static const struct {
    const struct name_value *v;
    size_t n;
} tables[] = {
    [SECCOMP_ACTIONS] = {actions, ARRAY_LEN(actions)},
    [SECCOMP_OPERATORS] = {operators, ARRAY_LEN(operators)},
    [SECCOMP_ARCHITECTURES] = {architectures, ARRAY_LEN(architectures)},
    [SECCOMP_FLAGS] = {flags, ARRAY_LEN(flags)},
    [SECCOMP_FLAGS_SUPPORTED] = {flags, ARRAY_LEN(flags)},
};

/* A kernel that knows the flags gets as far as reading the program, which is not there. */
static bool flag_supported(uint32_t bit)
{
    if (bit == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
        bit |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, bit, NULL) < 0 && errno == EFAULT;
}

size_t seccomp_words(enum seccomp_table t, const char **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < tables[t].n && n < max; i++)
        if (t != SECCOMP_FLAGS_SUPPORTED || flag_supported(tables[t].v[i].value))
            out[n++] = tables[t].v[i].name;
    return n;
}

static int find(enum seccomp_table t, const char *name, uint32_t *out, struct err *e)
{
    static const char *const kinds[] = {[SECCOMP_ACTIONS] = "action",
                                        [SECCOMP_OPERATORS] = "operator",
                                        [SECCOMP_ARCHITECTURES] = "arch"};
    if (name == NULL)
        name = "";
    for (size_t i = 0; i < tables[t].n; i++)
        if (strcmp(tables[t].v[i].name, name) == 0) {
            *out = tables[t].v[i].value;
            return 0;
        }
    return t == SECCOMP_FLAGS
               ? err_set(e, ERR_INVALID, "seccomp flag %s is not known to runc", name)
               : err_set(e, ERR_INVALID, "string %s is not a valid %s for seccomp", name, kinds[t]);
}

/* An action with its error number: EPERM unless given; only ERRNO and TRACE carry one. */
static int action_of(const char *name, const uint64_t *number, uint32_t *out, struct err *e)
{
    TRY(find(SECCOMP_ACTIONS, name, out, e));
    bool carries = *out == SCMP_ACT_ERRNO(0) || *out == SCMP_ACT_TRACE(0);
    if (number != NULL && !carries)
        return err_set(e, ERR_INVALID, "seccomp: errnoRet is not supported with action %s", name);
    if (number != NULL && *number > 4095)
        return err_set(e, ERR_INVALID, "seccomp: errnoRet %llu is out of range",
                       (unsigned long long)*number);
    if (carries)
        *out |= (uint32_t)(number != NULL ? *number : EPERM);
    return 0;
}

static int flags_of(const struct oci_seccomp *s, unsigned *out, struct err *e)
{
    *out = SECCOMP_FILTER_FLAG_SPEC_ALLOW; /* as runc does when the list is absent */
    if (s->flags == NULL || strcmp(s->flags, "null") == 0)
        return 0;
    *out = 0;
    struct str rest = str_of(s->flags);
    while (rest.n > 0) { /* JSON text of an array of words: take what stands between quotes */
        str_cut(&rest, '"');
        struct str word = str_cut(&rest, '"');
        if (word.n == 0)
            continue;
        char name[64];
        uint32_t bit = 0;
        if (word.n >= sizeof(name))
            return err_set(e, ERR_INVALID, "seccomp flag %.*s is not known to runc", STR_ARG(word));
        memcpy(name, word.p, word.n);
        name[word.n] = '\0';
        TRY(find(SECCOMP_FLAGS, name, &bit, e));
        *out |= bit;
    }
    return 0;
}

static int check_notify(const struct oci_seccomp *s, struct err *e)
{
    uint32_t action = SECCOMP_RET_USER_NOTIF;
    if (s->listener_path == NULL || *s->listener_path == '\0')
        return err_set(e, ERR_INVALID, "seccomp listenerPath is not set");
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0)
        return err_sys(e, "seccomp notify unsupported");
    return 0;
}

static int check_call(const struct oci_seccomp_syscall *call, bool *notify, struct err *e)
{
    uint32_t action, op;
    TRY(action_of(call->action, call->errno_ret, &action, e));
    *notify |= action == SCMP_ACT_NOTIFY;
    for (size_t i = 0; i < call->names.n; i++) {
        const char *name = call->names.v[i];
        if (*name == '\0')
            return err_set(e, ERR_INVALID,
                           "unable to init seccomp: empty string is not a valid syscall");
        /* the process writes to tell us that its listener can be fetched */
        if (action == SCMP_ACT_NOTIFY && strcmp(name, "write") == 0)
            return err_set(e, ERR_INVALID,
                           "unable to init seccomp: SCMP_ACT_NOTIFY cannot be used for the write "
                           "syscall");
    }
    vec_each(arg, &call->args) {
        TRY(find(SECCOMP_OPERATORS, arg->op, &op, e));
        if (arg->index > 5)
            return err_set(e, ERR_INVALID,
                           "unable to init seccomp: error creating seccomp syscall condition for "
                           "syscall %s: syscalls only have up to 6 arguments (%llu given)",
                           call->names.n > 0 ? call->names.v[0] : "",
                           (unsigned long long)arg->index);
    }
    return 0;
}

bool seccomp_wanted(const struct oci_seccomp *s)
{
    return s != NULL &&
           ((s->default_action != NULL && *s->default_action != '\0') || s->syscalls.n > 0);
}

int seccomp_check(const struct oci_seccomp *s, struct err *e)
{
    uint32_t value;
    unsigned bits;
    bool notify = false;
    TRY(action_of(s->default_action, s->default_errno_ret, &value, e));
    if (value == SCMP_ACT_NOTIFY)
        return err_set(e, ERR_INVALID,
                       "unable to init seccomp: SCMP_ACT_NOTIFY cannot be used as default action");
    TRY(flags_of(s, &bits, e));
    for (size_t i = 0; i < s->architectures.n; i++)
        TRY(find(SECCOMP_ARCHITECTURES, s->architectures.v[i], &value, e));
    vec_each(call, &s->syscalls)
        TRY(check_call(call, &notify, e));
    return notify ? check_notify(s, e) : 0;
}

static int rule_failed(int r, const char *name, struct err *e)
{
    return err_neg(e, r, "unable to init seccomp: error adding seccomp filter rule for syscall %s",
                   name);
}

/* Conditions on different arguments hold together; one argument named twice means "either". */
static int add_rules(scmp_filter_ctx ctx, const struct oci_seccomp_syscall *call, int number,
                     uint32_t action, const char *name, struct err *e)
{
    struct scmp_arg_cmp cmp[16];
    bool twice = false;
    if (call->args.n > ARRAY_LEN(cmp))
        return err_set(e, ERR_INVALID, "seccomp: too many arguments for %s", name);
    for (size_t i = 0; i < call->args.n; i++) {
        const struct oci_seccomp_arg *arg = &call->args.v[i];
        uint32_t op = 0;
        TRY(find(SECCOMP_OPERATORS, arg->op, &op, e));
        cmp[i] = (struct scmp_arg_cmp){(unsigned)arg->index, (enum scmp_compare)op, arg->value,
                                       arg->value_two};
        for (size_t k = 0; k < i; k++)
            twice |= cmp[k].arg == cmp[i].arg;
    }
    if (!twice) {
        int r = seccomp_rule_add_array(ctx, action, number, (unsigned)call->args.n, cmp);
        return r < 0 ? rule_failed(r, name, e) : 0;
    }
    for (size_t i = 0; i < call->args.n; i++) {
        int r = seccomp_rule_add_array(ctx, action, number, 1, &cmp[i]);
        if (r < 0)
            return rule_failed(r, name, e);
    }
    return 0;
}

static int add_syscalls(scmp_filter_ctx ctx, const struct oci_seccomp *s, uint32_t standard,
                        unsigned *flags_, struct err *e)
{
    vec_each(call, &s->syscalls) {
        uint32_t action = 0;
        TRY(action_of(call->action, call->errno_ret, &action, e));
        if (action == standard)
            continue;
        if (action == SCMP_ACT_NOTIFY)
            *flags_ |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        for (size_t i = 0; i < call->names.n; i++) {
            int number = seccomp_syscall_resolve_name(call->names.v[i]);
            if (number != __NR_SCMP_ERROR)
                TRY(add_rules(ctx, call, number, action, call->names.v[i], e));
        }
    }
    return 0;
}

/* ---- the part in front ---------------------------------------------------------------------- */

/* The newest system call number that the profile names on one architecture. */
static int newest(const struct oci_seccomp *s, uint32_t arch)
{
    int max = -1;
    vec_each(call, &s->syscalls)
        for (size_t i = 0; i < call->names.n; i++) {
            int number = seccomp_syscall_resolve_name_arch(arch, call->names.v[i]);
            max = MAX(max, number);
        }
    return max;
}

static bool wants_prefix(uint32_t standard)
{
    return standard != SCMP_ACT_ALLOW && standard != SCMP_ACT_LOG &&
           standard != SCMP_ACT_ERRNO(ENOSYS) && (standard & 0xffff0000U) != SCMP_ACT_TRACE(0);
}

static void put(struct seccomp_program *p, struct sock_filter insn)
{
    if (p->n < SECCOMP_INSNS_MAX)
        p->code[p->n++] = insn;
}

static void put_prefix(const struct oci_seccomp *s, uint32_t arch, struct seccomp_program *p)
{
    int max = newest(s, arch);
    if (max < 0 || arch == SCMP_ARCH_X32) /* x32 shares x86_64's token, told apart by a bit */
        return;
    put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                        offsetof(struct seccomp_data, arch)));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, 4));
    put(p,
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0));
    put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)max, 0, 1));
    put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
}

/* ---- the whole ------------------------------------------------------------------------------ */

struct architectures {
    uint32_t v[ARRAY_LEN(architectures) + 1];
    size_t n;
};

static bool has_arch(const struct architectures *all, uint32_t token)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->v[i] == token)
            return true;
    return false;
}

/* The native one first: most system calls come from it. */
static int list_architectures(const struct oci_seccomp *s, struct architectures *out, struct err *e)
{
    *out = (struct architectures){{seccomp_arch_native()}, 1};
    for (size_t i = 0; i < s->architectures.n; i++) {
        uint32_t token = 0;
        TRY(find(SECCOMP_ARCHITECTURES, s->architectures.v[i], &token, e));
        if (!has_arch(out, token))
            out->v[out->n++] = token;
    }
    return 0;
}

static int export_program(scmp_filter_ctx ctx, struct seccomp_program *out, struct err *e)
{
    auto_fd int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(e, "seccomp: memfd");
    int r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return err_neg(e, r, "seccomp: export the filter");
    off_t size = lseek(fd, 0, SEEK_END);
    size_t n = (size_t)size / sizeof(struct sock_filter);
    if (size < 0 || out->n + n > SECCOMP_INSNS_MAX)
        return err_set(e, ERR_TOO_LARGE, "seccomp: the filter has more than %d instructions",
                       SECCOMP_INSNS_MAX);
    if (pread(fd, out->code + out->n, (size_t)size, 0) != size)
        return err_sys(e, "seccomp: read the filter");
    out->n += n;
    return 0;
}

static int build_context(scmp_filter_ctx ctx, const struct oci_seccomp *s, uint32_t arch, bool x32,
                         uint32_t standard, struct seccomp_program *out, struct err *e)
{
    size_t names = 0;
    int r = 0;
    if (arch != seccomp_arch_native() && (r = seccomp_arch_add(ctx, arch)) == 0)
        r = seccomp_arch_remove(ctx, seccomp_arch_native());
    if (r == 0 && x32)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
    if (r < 0)
        return err_neg(e, r, "seccomp: choose an architecture");
    vec_each(call, &s->syscalls)
        names += call->names.n;
    if (names > 32)
        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */
    TRY(add_syscalls(ctx, s, standard, &out->flags, e));
    return export_program(ctx, out, e);
}

/* One architecture's program, jumped over by calls of others. One at a time: libseccomp's trees are
 * the most memory that the runtime ever needs. */
static int build_arch(const struct oci_seccomp *s, uint32_t arch, bool x32, uint32_t standard,
                      struct seccomp_program *out, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(standard);
    if (ctx == NULL)
        return err_set(e, ERR_INTERNAL, "seccomp: error creating filter");
    put(out, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                          offsetof(struct seccomp_data, arch)));
    put(out, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0));
    size_t jump = out->n;
    put(out, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    int rc = build_context(ctx, s, arch, x32, standard, out, e);
    seccomp_release(ctx);
    if (rc == 0)
        out->code[jump].k = (uint32_t)(out->n - jump - 1);
    return rc;
}

int seccomp_build(const struct oci_seccomp *s, struct seccomp_program *out, struct err *e)
{
    uint32_t standard = 0;
    struct architectures all;
    out->n = 0;
    TRY(action_of(s->default_action, s->default_errno_ret, &standard, e));
    TRY(flags_of(s, &out->flags, e));
    TRY(list_architectures(s, &all, e));
    for (size_t i = 0; wants_prefix(standard) && i < all.n; i++)
        put_prefix(s, all.v[i], out);
    /* x32's calls come with the token of x86_64, so both are one program */
    bool x32 = has_arch(&all, SCMP_ARCH_X32), shared = x32 && has_arch(&all, SCMP_ARCH_X86_64);
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i] != SCMP_ARCH_X32 || !shared)
            TRY(build_arch(s, all.v[i], shared && all.v[i] == SCMP_ARCH_X86_64, standard, out, e));
    put(out, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD));
    return out->n < SECCOMP_INSNS_MAX
               ? 0
               : err_set(e, ERR_TOO_LARGE, "seccomp: the filter has more than %d instructions",
                         SECCOMP_INSNS_MAX);
}

bool seccomp_notifies(const struct seccomp_program *p)
{
    return (p->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

int seccomp_install(const struct seccomp_program *p, int *out_listener)
{
    struct sock_fprog prog = {.len = (unsigned short)p->n,
                              .filter = (struct sock_filter *)(uintptr_t)p->code};
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &prog);
    *out_listener = r >= 0 && seccomp_notifies(p) ? (int)r : -1;
    return r < 0 ? -errno : 0;
}
