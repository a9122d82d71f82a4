/* libhullrun's plans: what config.json says, before anything is done. */
#include "test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mount.h>

#include "runtime/devices.h"
#include "runtime/limits.h"
#include "runtime/mempolicy.h"
#include "runtime/record.h"
#include "runtime/seccomp.h"
#include "runtime/spec.h"
#include "sys/caps.h"
#include "sys/mounts.h"
#include "sys/ns.h"

static struct err e;

static void parse(const char *text, struct arena *a, struct oci_spec *out)
{
    assert_ok(spec_parse(text, strlen(text), a, out, &e));
}

static void test_spec(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct oci_spec s;
    parse("{\"ociVersion\":\"1.0.2\",\"unknown\":{\"x\":[1]},\"root\":{\"path\":\"r\"},\"process\":"
          "{\"cwd\":\"/\","
          "\"args\":[\"a\",\"b\"],\"user\":{\"uid\":7,\"gid\":8,\"umask\":18,\"additionalGids\":[1,"
          "2]},"
          "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":1}]},"
          "\"annotations\":{\"k\":\"v\"},\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":"
          "\"network\","
          "\"path\":\"/run/netns/x\"}],\"resources\":{\"memory\":{\"limit\":9007199254740993}}}}",
          a, &s);
    assert_ok(spec_check(&s, &e));
    assert_int_equal(s.process->user.uid, 7);
    assert_int_equal(*s.process->user.umask, 18);
    assert_int_equal(s.process->user.additional_gids.n, 2);
    assert_true(s.process->rlimits.v[0].hard == UINT64_MAX);
    assert_true(*s.linux_->resources->memory->limit == 9007199254740993);
    assert_string_equal(strmap_get(&s.annotations, "k"), "v");
    assert_int_equal(spec_new_flags(&s), ns_find("pid")->flag);
    assert_int_equal(spec_join_flags(&s), ns_find("network")->flag);
    assert_null(spec_ns(&s, "mount"));
    assert_int_equal(spec_rlimit("RLIMIT_NOFILE"), 7);
    assert_int_equal(spec_rlimit("RLIMIT_FOO"), -1);
}

static void check_refused(const char *linux_json, const char *text)
{
    auto_arena struct arena *a = arena_new();
    struct oci_spec s;
    char json[2048];
    (void)snprintf(
        json, sizeof(json),
        "{\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]},\"linux\":%s}",
        linux_json);
    parse(json, a, &s);
    assert_err(spec_check(&s, &e), ERR_INVALID, text);
}

static void test_spec_refused(void **state)
{
    (void)state;
    check_refused("{\"namespaces\":[{\"type\":\"odd\"}]}", "namespace \"odd\" does not exist");
    check_refused("{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}",
                  "malformed spec file: duplicated ns \"pid\"");
    check_refused("{\"namespaces\":[{\"type\":\"user\"}]}", "user namespaces enabled, but no");
    check_refused("{\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]}",
                  "user namespace mappings specified, but");
    check_refused("{\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}", "not allowed in host network");
    check_refused("{\"sysctl\":{\"kernel.panic\":\"1\"}}", "not in a separate kernel namespace");
    check_refused("{\"sysctl\":{\"net/../kernel/panic\":\"1\"}}",
                  "not in a separate kernel namespace");
    check_refused("{\"namespaces\":[{\"type\":\"network\"}],\"sysctl\":{\"net.ipv4.//.//.kernel."
                  "acct\":\"1\"}}",
                  "not in a separate kernel namespace");
    check_refused("{\"namespaces\":[{\"type\":\"network\"}],\"sysctl\":{\"net/ipv4//x\":\"1\"}}",
                  "not in a separate kernel namespace");
    check_refused("{\"maskedPaths\":[\"/x\"]}", "without a private MNT namespace");
    check_refused("{\"rootfsPropagation\":\"odd\"}", "rootfsPropagation=odd is not supported");
    check_refused("{\"resources\":{\"devices\":[{\"allow\":true}]}}",
                  "device access at 0 field cannot be empty");
}

static void test_mappings(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct oci_spec s;
    parse("{\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1},"
          "{\"containerID\":1,\"hostID\":100000,\"size\":10}]}}",
          a, &s);
    assert_int_equal(spec_host_uid(&s, 0), 1000);
    assert_int_equal(spec_host_uid(&s, 10), 100009);
    assert_int_equal(spec_host_uid(&s, 11), -1);
    assert_int_equal(spec_host_gid(&s, 5), 5);
}

static void options(const char *const *words, size_t n, struct arena *a, struct mount_options *out)
{
    struct strv v = {0};
    for (size_t i = 0; i < n; i++)
        vec_push_in(a, &v, (char *)(uintptr_t)words[i]);
    assert_ok(mount_options_parse(&v, a, out, &e));
}

static void test_mount_options(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct mount_options o;
    options((const char *[]){"rbind", "ro", "nosuid", "rslave", "size=1k", "x=y", "defaults"}, 7, a,
            &o);
    assert_true(o.bind && o.recursive && o.readonly);
    assert_int_equal(o.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
    assert_int_equal(o.propagation[0], MS_SLAVE | MS_REC);
    assert_string_equal(o.data, "size=1k,x=y");
    options((const char *[]){"ro", "rw", "dev"}, 3, a, &o);
    assert_false(o.readonly);
    assert_int_equal(o.clear, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
    options((const char *[]){"noatime", "strictatime", "rro"}, 3, a, &o);
    assert_int_equal(o.set, MOUNT_ATTR_STRICTATIME);
    assert_int_equal(o.clear, 0);
    assert_true(o.atime && o.attributes);
    assert_int_equal(o.rec_set, MOUNT_ATTR_RDONLY);
    uint64_t set, clear;
    /* a bind mount with any option has no other attribute, but keeps its access times */
    options((const char *[]){"bind", "nosuid"}, 2, a, &o);
    mount_bind_attributes(&o, &set, &clear);
    assert_int_equal(set, MOUNT_ATTR_NOSUID);
    assert_true((clear & MOUNT_ATTR_RDONLY) != 0 && (clear & MOUNT_ATTR__ATIME) == 0);
    options((const char *[]){"bind", "noatime", "relatime", "atime"}, 4, a, &o);
    mount_bind_attributes(&o, &set, &clear);
    assert_int_equal(set, MOUNT_ATTR_RELATIME);
    assert_true((clear & MOUNT_ATTR__ATIME) == MOUNT_ATTR__ATIME);
    options((const char *[]){"bind", "rprivate"}, 2, a, &o);
    assert_false(o.attributes);
    const char *words[96];
    size_t n = mount_option_words(words, ARRAY_LEN(words));
    for (size_t i = 1; i < n; i++) /* looked up by bsearch */
        assert_true(strcmp(words[i - 1], words[i]) < 0);
}

static void test_conversions(void **state)
{
    (void)state;
    assert_int_equal(limits_cpu_weight(2), 1);
    assert_int_equal(limits_cpu_weight(512), 59);
    assert_int_equal(limits_cpu_weight(1024), 100);
    assert_int_equal(limits_cpu_weight(2048), 174);
    assert_int_equal(limits_cpu_weight(262144), 10000);
    assert_int_equal(limits_io_weight(10), 1);
    assert_int_equal(limits_io_weight(1000), 10000);
}

static const char *value_of(const struct limits *l, const char *file)
{
    for (size_t i = 0; i < l->writes.n; i++)
        if (strcmp(l->writes.v[i].file, file) == 0)
            return l->writes.v[i].value;
    return "-";
}

static void plan_of(const char *json, enum cgroup_mode mode, struct arena *a, struct limits *out)
{
    struct oci_resources r;
    assert_ok(json_parse(&oci_resources_json, &r, json, strlen(json), a, &e));
    assert_ok(limits_plan(&r, mode, a, out, &e));
}

static void test_limits(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct limits l;
    const char *json =
        "{\"memory\":{\"limit\":100,\"swap\":150,\"reservation\":50},\"pids\":{\"limit\":0},"
        "\"cpu\":{\"shares\":1024,\"quota\":-1,\"period\":50000,\"cpus\":\"0-1\"},"
        "\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":77}]}}";
    plan_of(json, CGROUP_V2, a, &l);
    assert_string_equal(value_of(&l, "memory.max"), "100");
    assert_string_equal(value_of(&l, "memory.swap.max"), "50");
    assert_string_equal(value_of(&l, "memory.low"), "50");
    assert_string_equal(value_of(&l, "pids.max"), "1");
    assert_string_equal(value_of(&l, "cpu.weight"), "100");
    assert_string_equal(value_of(&l, "cpu.max"), "max 50000");
    assert_string_equal(value_of(&l, "io.max"), "8:0 rbps=77");
    plan_of(json, CGROUP_HYBRID, a, &l);
    assert_string_equal(value_of(&l, "memory.limit_in_bytes"), "100");
    assert_string_equal(value_of(&l, "memory.memsw.limit_in_bytes"), "150");
    assert_string_equal(value_of(&l, "cpu.shares"), "1024");
    assert_string_equal(value_of(&l, "blkio.throttle.read_bps_device"), "8:0 77");
    plan_of("{\"memory\":{\"limit\":-1}}", CGROUP_V2, a, &l);
    assert_string_equal(value_of(&l, "memory.max"), "max");
    assert_string_equal(value_of(&l, "memory.swap.max"), "max");
    plan_of("{\"cpu\":{\"shares\":1024},\"unified\":{\"cpu.idle\":\"1\"}}", CGROUP_V2, a, &l);
    assert_string_equal(value_of(&l, "cpu.idle"), "1");
    assert_string_equal(value_of(&l, "cpu.weight"), "-");
    plan_of("{\"unified\":{\"cpu.idle\":\"1\",\"cpu.weight\":\"8\"}}", CGROUP_V2, a, &l);
    assert_string_equal(value_of(&l, "cpu.idle"), "1");
    assert_string_equal(value_of(&l, "cpu.weight"), "-");
    plan_of("{\"unified\":{\"cpu.idle\":\"0\",\"cpu.weight\":\"8\"}}", CGROUP_V2, a, &l);
    assert_string_equal(value_of(&l, "cpu.weight"), "8");
    plan_of("{}", CGROUP_V1, a, &l);
    assert_int_equal(l.writes.n, 0);
    struct oci_resources r = {0};
    struct oci_memory m = {.swap = &(int64_t){5}};
    r.memory = &m;
    assert_err(limits_plan(&r, CGROUP_V2, a, &l, &e), ERR_INVALID, "without memory limit");
    m.limit = &(int64_t){9};
    assert_err(limits_plan(&r, CGROUP_V2, a, &l, &e), ERR_INVALID, "memory+swap limit should be");
}

static bool allows(const struct device_policy *p, char type, int64_t major, int64_t minor,
                   unsigned access)
{
    for (size_t i = 0; i < p->rules.n; i++) {
        const struct device_rule *d = &p->rules.v[i];
        if (d->type == type && (d->major == -1 || d->major == major) &&
            (d->minor == -1 || d->minor == minor) && (d->access & access) == access)
            return !p->allow;
    }
    return p->allow;
}

static void test_devices(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct oci_spec s;
    struct device_policy p;
    parse("{\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
          "{\"allow\":true,\"type\":\"b\",\"major\":8,\"access\":\"r\"}]}}}",
          a, &s);
    assert_ok(devices_policy(&s, a, &p, &e));
    assert_false(p.allow);
    assert_true(allows(&p, 'c', 1, 3, DEVICE_READ | DEVICE_WRITE));
    assert_true(allows(&p, 'b', 8, 1, DEVICE_READ));
    assert_false(allows(&p, 'b', 8, 1, DEVICE_WRITE));
    assert_true(allows(&p, 'b', 9, 9, DEVICE_MKNOD));
    assert_false(allows(&p, 'c', 1, 1, DEVICE_READ));
    parse("{\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]}}}", a, &s);
    assert_ok(devices_policy(&s, a, &p, &e));
    assert_true(p.allow && p.rules.n == 0);
    parse("{\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":1,"
          "\"access\":\"r\"},"
          "{\"allow\":false,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"r\"}]}}}",
          a, &s);
    assert_err(devices_policy(&s, a, &p, &e), ERR_INVALID, "partial match of wildcard rule");
}

static void test_caps(void **state)
{
    (void)state;
    assert_int_equal(caps_number("CAP_CHOWN"), 0);
    assert_int_equal(caps_number("cap_sys_admin"), 21);
    assert_int_equal(caps_number("CHECKPOINT_RESTORE"), 40);
    assert_int_equal(caps_number("CAP_NOPE"), -1);
    for (int i = 0; caps_name(i) != NULL; i++)
        assert_int_equal(caps_number(caps_name(i)), i);
}

/* A small interpreter of what the kernel would do with the filter. */
static uint32_t run_filter(const struct seccomp_program *p, const struct seccomp_data *d)
{
    uint32_t acc = 0;
    for (size_t pc = 0; pc < p->n; pc++) {
        const struct sock_filter *f = &p->code[pc];
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&acc, (const char *)d + f->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            acc &= f->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += f->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += acc == f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += acc >= f->k ? f->jt : f->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += acc > f->k ? f->jt : f->jf;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            fail_msg("instruction %x", f->code);
        }
    }
    fail_msg("the filter has no end");
    return 0;
}

static void test_seccomp(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    static struct seccomp_program p;
    struct oci_seccomp s;
    const char *json = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_"
                       "64\",\"SCMP_ARCH_X86\"],"
                       "\"syscalls\":[{\"names\":[\"read\",\"no_such_call\",\"openat2\"],"
                       "\"action\":\"SCMP_ACT_ALLOW\"},"
                       "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{"
                       "\"index\":0,\"value\":8,"
                       "\"op\":\"SCMP_CMP_EQ\"}]}]}";
    assert_ok(json_parse(&oci_seccomp_json, &s, json, strlen(json), a, &e));
    assert_ok(seccomp_check(&s, &e));
    assert_ok(seccomp_build(&s, &p, &e));
    struct seccomp_data d = {.arch = 0xc000003e, .nr = 0};
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ALLOW);
    d.nr = 1; /* write: not named, older than openat2 */
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ERRNO | 1);
    d.nr = 437; /* openat2, the newest named */
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ALLOW);
    d.nr = 450;
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ERRNO | 38);
    d.nr = 135;
    d.args[0] = 8;
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ALLOW);
    d.args[0] = 9;
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ERRNO | 1);
    d = (struct seccomp_data){.arch = 0x40000003, .nr = 3}; /* read of i386 */
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ALLOW);
    d.nr = 4;
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ERRNO | 1);
    d.nr = 460;
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ERRNO | 38);
    d.arch = 0xc00000b7; /* not named */
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_KILL_THREAD);
    d = (struct seccomp_data){.arch = 0xc000003e, .nr = 0x40000000}; /* read of x32 */
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_KILL_THREAD);
    s.architectures.v[1] = (char[]){"SCMP_ARCH_X32"};
    assert_ok(seccomp_build(&s, &p, &e));
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_ALLOW);
    s.default_action = "SCMP_ACT_NOPE";
    assert_err(seccomp_check(&s, &e), ERR_INVALID, "SCMP_ACT_NOPE");
    s.default_action = "SCMP_ACT_ALLOW";
    s.default_errno_ret = &(uint64_t){1};
    assert_err(seccomp_check(&s, &e), ERR_INVALID, "errnoRet is not supported");
    s.default_errno_ret = NULL;
    s.flags = "[\"SECCOMP_FILTER_FLAG_ODD\"]";
    assert_err(seccomp_check(&s, &e), ERR_INVALID, "SECCOMP_FILTER_FLAG_ODD");
}

static void test_seccomp_notify(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    static struct seccomp_program p;
    struct oci_seccomp s;
    const char *json =
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/a\",\"flags\":["
        "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],\"syscalls\":[{\"names\":[\"mkdir\"],"
        "\"action\":\"SCMP_ACT_NOTIFY\"}]}";
    assert_ok(json_parse(&oci_seccomp_json, &s, json, strlen(json), a, &e));
    assert_ok(seccomp_check(&s, &e));
    assert_ok(seccomp_build(&s, &p, &e));
    assert_true(seccomp_notifies(&p));
    assert_int_equal(p.flags,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    struct seccomp_data d = {.arch = 0xc000003e, .nr = 83};
    assert_int_equal(run_filter(&p, &d), SECCOMP_RET_USER_NOTIF);
    s.syscalls.v[0].names.v[0] = (char[]){"write"};
    assert_err(seccomp_check(&s, &e), ERR_INVALID, "cannot be used for the write syscall");
    s.syscalls.v[0].action = "SCMP_ACT_TRAP";
    assert_ok(seccomp_check(&s, &e));
    assert_ok(seccomp_build(&s, &p, &e));
    assert_false(seccomp_notifies(&p));
    assert_false(seccomp_wanted(NULL));
    assert_true(seccomp_wanted(&s));
}

static void check_policy(const char *mode, const char *nodes, const char *wrong)
{
    struct mempolicy p;
    struct oci_memory_policy doc = {.mode = mode, .nodes = nodes};
    if (wrong == NULL)
        assert_ok(mempolicy_parse(&doc, &p, &e));
    else
        assert_err(mempolicy_parse(&doc, &p, &e), ERR_INVALID, wrong);
}

static void test_memory_policy(void **state)
{
    (void)state;
    struct mempolicy p;
    struct oci_memory_policy doc = {.mode = "MPOL_BIND", .nodes = "0-2,64"};
    assert_ok(mempolicy_parse(&doc, &p, &e));
    assert_true(p.nodes[0] == 7 && p.nodes[1] == 1 && p.nodes[2] == 0);
    check_policy("MPOL_DEFAULT", NULL, NULL);
    check_policy("MPOL_PREFERRED", "0,,1", NULL);
    check_policy(NULL, "0-7", "invalid memory policy mode \"\"");
    check_policy("BIND", "0", "invalid memory policy mode \"BIND\"");
    check_policy("MPOL_LOCAL", "0-7", "memory policy mode requires 0 nodes but got 8");
    check_policy("MPOL_BIND", "", "memory policy mode requires at least one node but got 0");
    check_policy("MPOL_BIND", "a",
                 "invalid memory policy nodes \"a\": strconv.ParseUint: parsing "
                 "\"a\": invalid syntax");
    check_policy("MPOL_BIND", "0-9876543210", "parsing \"9876543210\": value out of range");
    check_policy("MPOL_BIND", "1-0", "invalid range: 1-0");
    check_policy("MPOL_BIND", "0-", "parsing \"\": invalid syntax");
    check_policy("MPOL_BIND", "1024", "values larger than 1023 are not supported");
    doc.flags = (struct strv){(char *[]){(char[]){"MPOL_F_ODD"}}, 1, 1};
    assert_err(mempolicy_parse(&doc, &p, &e), ERR_INVALID,
               "invalid memory policy flag \"MPOL_F_ODD\"");
}

static void test_ids(void **state)
{
    (void)state;
    assert_ok(record_check_id("a.b-c_d+1", &e));
    const char *bad[] = {"", ".", "..", "a/b", "a b", "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(record_check_id(bad[i], &e), ERR_INVALID, "invalid container ID format");
}

static void test_cgroup_plan(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct cgroup_host host = {.mode = CGROUP_HYBRID};
    struct cgroup cg;
    struct cgroup_hier hiers[] = {{"cpu,cpuacct", "/c/cpu,cpuacct", "cpu,cpuacct", "/own"},
                                  {"memory", "/c/memory", "memory", "/own/m"},
                                  {"", "/c/unified", "unified", "/own"}};
    host.hiers.v = hiers;
    host.hiers.n = 3;
    cgroup_plan(&host, "/docker/../../x", "id", a, &cg);
    assert_string_equal(cgroup_path(&cg, "memory"), "/c/memory/x");
    assert_string_equal(cgroup_path(&cg, "cpuacct"), "/c/cpu,cpuacct/x");
    assert_string_equal(cgroup_path(&cg, ""), "/c/unified/x");
    assert_null(cgroup_path(&cg, "pids"));
    cgroup_plan(&host, "", "id", a, &cg);
    assert_string_equal(cgroup_path(&cg, "memory"), "/c/memory/own/m/id");
    host.mode = CGROUP_V2;
    host.hiers.v = hiers + 2;
    host.hiers.n = 1;
    cgroup_plan(&host, "", "id", a, &cg);
    assert_string_equal(cgroup_path(&cg, "memory"), "/c/unified/id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec),          cmocka_unit_test(test_spec_refused),
        cmocka_unit_test(test_mappings),      cmocka_unit_test(test_mount_options),
        cmocka_unit_test(test_conversions),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_devices),       cmocka_unit_test(test_caps),
        cmocka_unit_test(test_seccomp),       cmocka_unit_test(test_ids),
        cmocka_unit_test(test_cgroup_plan),   cmocka_unit_test(test_seccomp_notify),
        cmocka_unit_test(test_memory_policy),
    };
    return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
