/*
 * Device access: see devices.h. Emulating the rules first gives the smallest list of writes on v1
 * and a program without dead branches on v2. Source: kernel admin-guide/cgroup-v1/devices, bpf(2).
 */
#include "runtime/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "sys/fd.h"

const struct device_default device_defaults[DEVICE_DEFAULTS] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
};

#define ALL (DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD)

/* Other letters mean nothing, as with runc. */
static unsigned access_of(const char *s)
{
    unsigned a = 0;
    for (; s != NULL && *s != '\0'; s++)
        a |= *s == 'r' ? DEVICE_READ : *s == 'w' ? DEVICE_WRITE : *s == 'm' ? DEVICE_MKNOD : 0;
    return a;
}

static bool same(const struct device_rule *a, const struct device_rule *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor;
}

static bool covers(int64_t wide, int64_t narrow)
{
    return wide == -1 || wide == narrow;
}

static void add_exception(struct device_policy *p, struct device_rule r, struct arena *a)
{
    vec_each(have, &p->rules)
        if (same(have, &r)) {
            have->access |= r.access;
            return;
        }
    vec_push_in(a, &p->rules, r);
}

static int drop_exception(struct device_policy *p, struct device_rule r, struct err *e)
{
    for (size_t i = 0; i < p->rules.n; i++) {
        struct device_rule *have = &p->rules.v[i];
        if (have->type != r.type)
            continue;
        if (covers(r.major, have->major) && covers(r.minor, have->minor)) {
            have->access &= ~r.access;
            if (have->access == 0)
                vec_remove(&p->rules, i--);
        } else if (covers(have->major, r.major) && covers(have->minor, r.minor) &&
                   (have->access & r.access) != 0) {
            return err_set(e, ERR_INVALID,
                           "invalid device rules: partial match of wildcard rule %c", r.type);
        }
    }
    return 0;
}

static int apply_rule(struct device_policy *p, bool allow, struct device_rule r, struct arena *a,
                      struct err *e)
{
    if (r.type == 'a') { /* covers everything, whatever numbers it carries */
        *p = (struct device_policy){.allow = allow};
        return 0;
    }
    if (allow == p->allow)
        return drop_exception(p, r, e);
    add_exception(p, r, a);
    return 0;
}

static const struct device_rule always[] = {
    {'c', -1, -1, DEVICE_MKNOD}, {'b', -1, -1, DEVICE_MKNOD}, {'c', 136, -1, ALL}, {'c', 5, 2, ALL},
    {'c', 10, 200, ALL},
};

static bool spec_has_node(const struct oci_spec *s, const char *path)
{
    vec_each(d, &s->linux_->devices)
        if (d->path != NULL && strcmp(d->path, path) == 0)
            return true;
    return false;
}

int devices_policy(const struct oci_spec *s, struct arena *a, struct device_policy *out,
                   struct err *e)
{
    memset(out, 0, sizeof(*out));
    if (s->linux_->resources != NULL)
        vec_each(d, &s->linux_->resources->devices) {
            struct device_rule r = {d->type != NULL && *d->type != '\0' ? *d->type : 'a',
                                    d->major != NULL ? *d->major : -1,
                                    d->minor != NULL ? *d->minor : -1, access_of(d->access)};
            TRY(apply_rule(out, d->allow, r, a, e));
        }
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        TRY(apply_rule(out, true, always[i], a, e));
    for (size_t i = 0; i < DEVICE_DEFAULTS; i++) {
        const struct device_default *d = &device_defaults[i];
        if (!spec_has_node(s, d->path))
            TRY(apply_rule(out, true, (struct device_rule){'c', d->major, d->minor, ALL}, a, e));
    }
    return 0;
}

/* ---- v1 ----------------------------------------------------------------------------------- */

static void format_number(char out[24], int64_t n)
{
    if (n < 0)
        (void)snprintf(out, 24, "*");
    else
        (void)snprintf(out, 24, "%lld", (long long)n);
}

static int apply_v1(const struct device_policy *p, const char *dir, struct err *e)
{
    int r = cgroup_write(dir, p->allow ? "devices.allow" : "devices.deny", "a *:* rwm");
    if (r < 0)
        return err_neg(e, r, "write %s/devices.%s", dir, p->allow ? "allow" : "deny");
    for (size_t i = 0; i < p->rules.n; i++) {
        const struct device_rule *d = &p->rules.v[i];
        char major[24], minor[24], text[96];
        format_number(major, d->major);
        format_number(minor, d->minor);
        (void)snprintf(text, sizeof(text), "%c %s:%s %s%s%s", d->type, major, minor,
                       d->access & DEVICE_READ ? "r" : "", d->access & DEVICE_WRITE ? "w" : "",
                       d->access & DEVICE_MKNOD ? "m" : "");
        r = cgroup_write(dir, p->allow ? "devices.deny" : "devices.allow", text);
        if (r < 0)
            return err_neg(e, r, "write \"%s\" to %s/devices.%s", text, dir,
                           p->allow ? "deny" : "allow");
    }
    return 0;
}

/* ---- v2 ----------------------------------------------------------------------------------- */

#define INSN(code_, dst, src, off_, imm_)      \
    ((struct bpf_insn){.code = (code_),        \
                       .dst_reg = (dst),       \
                       .src_reg = (src),       \
                       .off = (int16_t)(off_), \
                       .imm = (int32_t)(imm_)})
#define LOAD_W(dst, off) INSN(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, off, 0)
#define MOV_IMM(dst, imm) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define JNE_IMM(reg, imm, off) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, off, imm)
#define INSNS_A_RULE 9

/* r2 type, r3 access, r4 major, r5 minor; each test that fails jumps to the next rule */
static size_t rule_insns(const struct device_rule *d, bool allow, struct bpf_insn *out)
{
    size_t n = 0;
    bool any = d->access == ALL;
    size_t len = 1 + (any ? 0 : 3) + (d->major >= 0) + (d->minor >= 0) + 2;
    unsigned bits = (d->access & DEVICE_MKNOD ? 1U : 0) | (d->access & DEVICE_READ ? 2U : 0) |
                    (d->access & DEVICE_WRITE ? 4U : 0);
#define TO_NEXT (len - n - 1)
    out[n] = JNE_IMM(BPF_REG_2, d->type == 'b' ? 1 : 2, TO_NEXT), n++;
    if (!any) {
        out[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        out[n++] = INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, bits);
        /* an allowing rule needs all bits asked for, a denying one any of them */
        if (allow)
            out[n] = INSN(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, TO_NEXT, 0);
        else
            out[n] = INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, TO_NEXT, 0);
        n++;
    }
    if (d->major >= 0)
        out[n] = JNE_IMM(BPF_REG_4, d->major, TO_NEXT), n++;
    if (d->minor >= 0)
        out[n] = JNE_IMM(BPF_REG_5, d->minor, TO_NEXT), n++;
#undef TO_NEXT
    out[n++] = MOV_IMM(BPF_REG_0, allow);
    out[n++] = EXIT();
    return n;
}

static int load_program(const struct device_policy *p)
{
    struct bpf_insn *code = mem_alloc_array(p->rules.n * INSNS_A_RULE + 16, sizeof(*code));
    size_t n = 0;
    code[n++] = LOAD_W(BPF_REG_2, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    code[n++] = INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
    code[n++] = INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    code[n++] = LOAD_W(BPF_REG_4, 4);
    code[n++] = LOAD_W(BPF_REG_5, 8);
    for (size_t i = 0; i < p->rules.n; i++)
        n += rule_insns(&p->rules.v[i], !p->allow, code + n);
    code[n++] = MOV_IMM(BPF_REG_0, p->allow);
    code[n++] = EXIT();
    /* the whole union, zeroed: kernels since 6.17 read past a short one */
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)code;
    attr.insn_cnt = (uint32_t)n;
    attr.license = (uint64_t)(uintptr_t) "Apache";
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, was;
    bool raised =
        getrlimit(RLIMIT_MEMLOCK, &was) == 0 && setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
    int r = fd < 0 ? -errno : fd;
    if (raised)
        (void)setrlimit(RLIMIT_MEMLOCK, &was); /* containers inherit ours */
    free(code);
    return r;
}

static int apply_v2(const struct device_policy *p, const char *dir, struct err *e)
{
    auto_fd int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return err_sys(e, "open %s", dir);
    auto_fd int prog = load_program(p);
    if (prog < 0)
        return err_neg(e, prog, "load the device filter");
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.target_fd = (uint32_t)dir_fd;
    attr.attach_bpf_fd = (uint32_t)prog;
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0)
        return err_sys(e, "attach the device filter to %s", dir);
    return 0;
}

int devices_apply(const struct device_policy *p, const struct cgroup *cg, struct err *e)
{
    const char *dir = cgroup_path(cg, cg->mode == CGROUP_V2 ? "" : "devices");
    if (dir == NULL)
        return err_set(e, ERR_INTERNAL,
                       "cannot set devices limit: container could not join or create cgroup");
    return cg->mode == CGROUP_V2 ? apply_v2(p, dir, e) : apply_v1(p, dir, e);
}
