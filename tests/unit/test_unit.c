/* Limits, devices and annotations as properties of a systemd unit. */
#include "test.h"

#include "base/mem.h"
#include "runtime/unit.h"

static struct err e;

/* "NAME type value,value" of every property, one a line */
static const char *shown(const struct unit_properties *p, struct arena *a)
{
    const char *text = "";
    vec_each(one, &p->all) {
        text = arena_printf(a, "%s%s %s ", text, one->name, one->type);
        for (size_t i = 0; i < one->values.n; i++)
            text = arena_printf(a, "%s%s%s", text, i > 0 ? "," : "", one->values.v[i]);
        text = arena_printf(a, "%s\n", text);
    }
    return text;
}

static void expect_resources(const char *json, enum cgroup_mode mode, const char *expected)
{
    auto_arena struct arena *a = arena_new();
    struct unit_properties p = {0};
    struct oci_resources r;
    assert_ok(json_parse(&oci_resources_json, &r, json, strlen(json), a, &e));
    assert_ok(unit_resources(&r, mode, a, &p, &e));
    assert_string_equal(shown(&p, a), expected);
}

static void test_resources(void **state)
{
    (void)state;
    expect_resources("{\"memory\":{\"limit\":100,\"swap\":150,\"reservation\":50},"
                     "\"pids\":{\"limit\":0},\"cpu\":{\"shares\":1024,\"cpus\":\"0,9\"}}",
                     CGROUP_V2,
                     "MemoryMax t 100\nMemoryLow t 50\nMemorySwapMax t 50\nCPUWeight t 100\n"
                     "AllowedCPUs ay 1,2\nTasksMax t 1\n");
    expect_resources("{\"memory\":{\"limit\":-1},\"pids\":{\"limit\":-1},\"cpu\":{\"idle\":1,"
                     "\"shares\":7,\"quota\":-1,\"period\":20000}}",
                     CGROUP_V2,
                     "MemoryMax t 18446744073709551615\nMemorySwapMax t 18446744073709551615\n"
                     "CPUWeight t 0\nCPUQuotaPeriodUSec t 20000\n"
                     "CPUQuotaPerSecUSec t 18446744073709551615\n"
                     "TasksMax t 18446744073709551615\n");
    expect_resources("{\"memory\":{\"limit\":100,\"swap\":150},\"cpu\":{\"shares\":7},"
                     "\"blockIO\":{\"weight\":9}}",
                     CGROUP_V1, "MemoryLimit t 100\nCPUShares t 7\nBlockIOWeight t 9\n");
    expect_resources("{\"unified\":{\"cpu.max\":\"10000 50000\",\"memory.high\":\"max\","
                     "\"pids.max\":\"0\",\"cpuset.mems\":\"0\",\"memory.oom.group\":\"1\"}}",
                     CGROUP_V2,
                     "CPUQuotaPeriodUSec t 50000\nCPUQuotaPerSecUSec t 200000\n"
                     "MemoryHigh t 18446744073709551615\nTasksMax t 1\n"
                     "AllowedMemoryNodes ay 1\n");
}

/* systemd keeps whole percents: what it will make of a quota is what is written to the file */
static void test_quota_is_rounded(void **state)
{
    (void)state;
    static const char json[] = "{\"cpu\":{\"quota\":33333,\"period\":100000}}";
    auto_arena struct arena *a = arena_new();
    struct unit_properties p = {0};
    struct oci_resources r;
    assert_ok(json_parse(&oci_resources_json, &r, json, strlen(json), a, &e));
    assert_ok(unit_resources(&r, CGROUP_V2, a, &p, &e));
    assert_string_equal(shown(&p, a), "CPUQuotaPeriodUSec t 100000\nCPUQuotaPerSecUSec t 340000\n");
    assert_true(*r.cpu->quota == 34000);
}

static void test_bad_resources(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why;
    } bad[] = {
        {"{\"cpu\":{\"cpus\":\"x\"}}", "resources.CPU.Cpus=\"x\" conversion error"},
        {"{\"cpu\":{\"mems\":\",\"}}", "resources.CPU.Mems=\",\" conversion error"},
        {"{\"unified\":{\"memory.max\":\"lots\"}}", "unified resource \"memory.max\""},
        {"{\"unified\":{\"cpu.max\":\"1 2 3\"}}", "unified resource \"cpu.max\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_arena struct arena *a = arena_new();
        struct unit_properties p = {0};
        struct oci_resources r;
        assert_ok(json_parse(&oci_resources_json, &r, bad[i].json, strlen(bad[i].json), a, &e));
        assert_err(unit_resources(&r, CGROUP_V2, a, &p, &e), ERR_INVALID, bad[i].why);
    }
}

static void test_devices(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct unit_properties p = {0}, all = {0};
    struct device_rule rules[] = {{'c', -1, -1, DEVICE_MKNOD},
                                  {'c', 1, 3, DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD},
                                  {'c', 1, -1, DEVICE_READ},
                                  {'b', 8, 0, DEVICE_READ},
                                  {'c', 4094, -1, DEVICE_READ}};
    struct device_policy policy = {.allow = false};
    policy.rules.v = rules;
    policy.rules.n = ARRAY_LEN(rules);
    unit_devices(&policy, a, &p);
    assert_string_equal(shown(&p, a),
                        "DevicePolicy s strict\nDeviceAllow a(ss) char-*,m,/dev/char/1:3,rwm,"
                        "char-mem,r,/dev/block/8:0,r\n");
    policy.allow = true;
    unit_devices(&policy, a, &all);
    assert_string_equal(shown(&all, a), "DevicePolicy s auto\nDeviceAllow a(ss) \n");
}

static void test_annotations(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *expected; /* NULL: refused */
    } cases[] = {
        {"TimeoutStopUSec", "uint64 123456789", "TimeoutStopUSec t 123456789\n"},
        {"TimeoutStopSec", "1.5", "TimeoutStopUSec t 1500000\n"},
        {"TimeoutStopSec", "int32 3", "TimeoutStopUSec t 3000000\n"},
        {"CollectMode", "'inactive-or-failed'", "CollectMode s inactive-or-failed\n"},
        {"CollectMode", "\"it's\"", "CollectMode s it's\n"},
        {"SendSIGHUP", "true", "SendSIGHUP b true\n"},
        {"Nice", "-5", "Nice i -5\n"},
        {"After", "['a.service', 'b.service']", "After as a.service,b.service\n"},
        {"After", "@as []", "After as \n"},
        {"ab", "1", NULL},
        {"Some-thing", "1", NULL},
        {"TimeoutStopSec", "'soon'", NULL},
        {"CollectMode", "inactive", NULL},
        {"CollectMode", "'open", NULL},
        {"After", "['a', 1]", NULL},
        {"After", "[]", NULL},
        {"Nice", "1 2", NULL},
        {"Nice", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_arena struct arena *a = arena_new();
        struct unit_properties p = {0};
        struct strmap m = {0};
        strmap_set(&m, a, "other", "x");
        strmap_set(&m, a, arena_printf(a, "org.systemd.property.%s", cases[i].name),
                   cases[i].value);
        if (cases[i].expected == NULL) {
            assert_err(unit_annotations(&m, a, &p, &e), ERR_INVALID, "org.systemd.property.");
        } else {
            assert_ok(unit_annotations(&m, a, &p, &e));
            assert_string_equal(shown(&p, a), cases[i].expected);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources),     cmocka_unit_test(test_quota_is_rounded),
        cmocka_unit_test(test_bad_resources), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_annotations),
    };
    return cmocka_run_group_tests_name("unit", tests, NULL, NULL);
}
