/* What an update leaves of the limits, and the numbers that `events` tells. */
#include "test.h"

#include <sys/stat.h>

#include "runtime/limits.h"
#include "runtime/resources.h"
#include "runtime/stats.h"
#include "sys/cgroup_stat.h"

static struct err e;

/* was + change, as JSON without spaces */
static void expect_merge(const char *was, const char *change, const char *expected)
{
    auto_arena struct arena *a = arena_new();
    CLEANUP(buf_done) struct buf text = BUF_MAX(4096);
    struct oci_resources w, c;
    assert_ok(json_parse(&oci_resources_json, &w, was, strlen(was), a, &e));
    assert_ok(json_parse(&oci_resources_json, &c, change, strlen(change), a, &e));
    json_write(&oci_resources_json, resources_merge(&w, &c, a), &text);
    assert_string_equal(buf_cstr(&text), expected);
}

static void test_merge(void **state)
{
    (void)state;
    /* one of quota and period keeps the other; neither resets both */
    expect_merge("{\"cpu\":{\"quota\":5000,\"period\":10000,\"shares\":7}}",
                 "{\"cpu\":{\"quota\":9000}}",
                 "{\"memory\":{},\"cpu\":{\"shares\":7,\"quota\":9000,\"period\":10000},"
                 "\"blockIO\":{}}");
    expect_merge("{\"cpu\":{\"quota\":5000,\"period\":10000}}", "{\"cpu\":{\"period\":20000}}",
                 "{\"memory\":{},\"cpu\":{\"quota\":5000,\"period\":20000},\"blockIO\":{}}");
    expect_merge("{\"cpu\":{\"quota\":5000,\"period\":10000}}", "{\"memory\":{\"limit\":-1}}",
                 "{\"memory\":{\"limit\":-1,\"swap\":0},\"cpu\":{},\"blockIO\":{}}");
    /* what belongs to one update only */
    expect_merge("{\"cpu\":{\"shares\":7,\"cpus\":\"0\",\"burst\":1},\"pids\":{\"limit\":3},"
                 "\"unified\":{\"a.b\":\"c\"}}",
                 "{\"cpu\":{\"idle\":1}}", "{\"memory\":{},\"cpu\":{\"idle\":1},\"blockIO\":{}}");
    /* devices by number */
    expect_merge("{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1},"
                 "{\"major\":8,\"minor\":16,\"rate\":2}]}}",
                 "{\"blockIO\":{\"weight\":9,\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":16,"
                 "\"rate\":5},{\"major\":7,\"minor\":0,\"rate\":6}]}}",
                 "{\"memory\":{},\"cpu\":{},\"blockIO\":{\"weight\":9,\"throttleReadBpsDevice\":["
                 "{\"major\":8,\"minor\":0,\"rate\":1},{\"major\":8,\"minor\":16,\"rate\":5},"
                 "{\"major\":7,\"minor\":0,\"rate\":6}]}}");
}

/* A v2 cgroup in a plain folder: files as the kernel writes them. */
static void put(const char *dir, const char *file, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void take_away(const char *dir, const char *const *files, size_t n)
{
    char path[300];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_stats_v2(void **state)
{
    (void)state;
    static const char *const files[] = {"cpu.stat",
                                        "memory.stat",
                                        "memory.current",
                                        "memory.max",
                                        "memory.peak",
                                        "memory.swap.max",
                                        "memory.swap.current",
                                        "pids.current",
                                        "pids.max",
                                        "io.stat",
                                        "cpu.pressure",
                                        "hugetlb.2MB.max",
                                        "hugetlb.2MB.rsvd.current",
                                        "hugetlb.2MB.events"};
    auto_arena struct arena *a = arena_new();
    CLEANUP(buf_done) struct buf text = BUF_MAX(65536);
    char dir[] = "/tmp/hull-stats-XXXXXX";
    assert_non_null(mkdtemp(dir));
    put(dir, "cpu.stat",
        "usage_usec 3000\nuser_usec 1000\nsystem_usec 2000\nnr_periods 5\n"
        "nr_throttled 2\nthrottled_usec 7\n");
    put(dir, "memory.stat", "anon 1\nfile 4096\n");
    put(dir, "memory.current", "5000\n");
    put(dir, "memory.max", "max\n");
    put(dir, "memory.peak", "6000\n");
    put(dir, "memory.swap.max", "100\n");
    put(dir, "memory.swap.current", "50\n");
    put(dir, "pids.current", "2\n");
    put(dir, "pids.max", "max\n");
    put(dir, "io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:0 \n");
    put(dir, "cpu.pressure",
        "some avg10=0.25 avg60=0.00 avg300=0.00 total=9\n"
        "full avg10=0.00 avg60=1.50 avg300=0.00 total=0\n");
    put(dir, "hugetlb.2MB.max", "max\n");
    put(dir, "hugetlb.2MB.rsvd.current", "2097152\n");
    put(dir, "hugetlb.2MB.events", "max 3\n");
    struct cgroup_dir one = {"", dir, dir};
    struct cgroup cg = {.mode = CGROUP_V2};
    cg.dirs.v = &one;
    cg.dirs.n = 1;
    struct stats s;
    stats_read(&cg, a, &s);
    json_write(&stats_json, &s, &text);
    assert_string_equal(
        buf_cstr(&text),
        "{\"cpu\":{\"usage\":{\"total\":3000000,\"kernel\":2000000,\"user\":1000000},"
        "\"throttling\":{\"periods\":5,\"throttledPeriods\":2,\"throttledTime\":7000},"
        "\"psi\":{\"some\":{\"avg10\":0.25,\"avg60\":0,\"avg300\":0,\"total\":9},"
        "\"full\":{\"avg10\":0,\"avg60\":1.5,\"avg300\":0,\"total\":0}}},"
        "\"cpuset\":{\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,"
        "\"memory_migrate\":0,\"memory_spread_page\":0,\"memory_spread_slab\":0,"
        "\"memory_pressure\":0,\"sched_load_balance\":0,\"sched_relax_domain_level\":0},"
        "\"memory\":{\"cache\":4096,\"usage\":{\"limit\":18446744073709551615,\"usage\":5000,"
        "\"max\":6000,\"failcnt\":0},\"swap\":{\"limit\":18446744073709551615,\"usage\":5050,"
        "\"failcnt\":0},\"raw\":{\"anon\":1,\"file\":4096}},\"pids\":{\"current\":2},"
        "\"blkio\":{\"ioServiceBytesRecursive\":[{\"major\":8,\"op\":\"Read\",\"value\":1},"
        "{\"major\":8,\"op\":\"Write\",\"value\":2}],\"ioServicedRecursive\":[{\"major\":8,"
        "\"op\":\"Read\",\"value\":3},{\"major\":8,\"op\":\"Write\",\"value\":4}]},"
        "\"hugetlb\":{\"2MB\":{\"usage\":2097152,\"failcnt\":3}},\"intel_rdt\":{},"
        "\"network_interfaces\":null}");
    take_away(dir, files, ARRAY_LEN(files));
}

/* The memory that is used already, and what an update asks first. */
static void test_check_before_update(void **state)
{
    (void)state;
    static const char *const files[] = {"memory.current", "memory.max", "memory.swap.max"};
    static const char json[] =
        "{\"memory\":{\"limit\":4096,\"swap\":8192,\"checkBeforeUpdate\":true}}";
    auto_arena struct arena *a = arena_new();
    char dir[] = "/tmp/hull-stats-XXXXXX", now[32];
    assert_non_null(mkdtemp(dir));
    put(dir, "memory.current", "5000\n");
    put(dir, "memory.max", "max\n");
    put(dir, "memory.swap.max", "max\n");
    struct cgroup_dir one = {"", dir, dir};
    struct cgroup cg = {.mode = CGROUP_V2};
    struct oci_resources r;
    struct limits l;
    cg.dirs.v = &one;
    cg.dirs.n = 1;
    assert_ok(json_parse(&oci_resources_json, &r, json, strlen(json), a, &e));
    assert_ok(limits_plan(&r, CGROUP_V2, a, &l, &e));
    assert_err(limits_apply(&l, &cg, &e), ERR_CONFLICT,
               "rejecting memory limit 4096 <= usage 5000");
    assert_int_equal(cgroup_read(dir, "memory.max", now, sizeof(now)), 0);
    assert_string_equal(now, "max");
    put(dir, "memory.current", "9000\n");
    assert_err(limits_apply(&l, &cg, &e), ERR_CONFLICT,
               "rejecting memory+swap limit 8192 <= usage 9000");
    put(dir, "memory.current", "100\n");
    assert_ok(limits_apply(&l, &cg, &e));
    assert_int_equal(cgroup_read(dir, "memory.max", now, sizeof(now)), 0);
    assert_string_equal(now, "4096");
    take_away(dir, files, ARRAY_LEN(files));
}

static void test_blkio_lines(void **state)
{
    (void)state;
    struct cgroup_blkio b;
    assert_true(cgroup_blkio_parse(STR("8:16 Read 4096"), &b));
    assert_true(b.major == 8 && b.minor == 16 && b.value == 4096 && str_eq(b.op, "Read"));
    assert_true(cgroup_blkio_parse(STR("8:0 77"), &b));
    assert_true(b.value == 77 && b.op.n == 0);
    assert_false(cgroup_blkio_parse(STR("Total 4096"), &b));
    assert_false(cgroup_blkio_parse(STR(""), &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_stats_v2),
        cmocka_unit_test(test_check_before_update),
        cmocka_unit_test(test_blkio_lines),
    };
    return cmocka_run_group_tests_name("resources", tests, NULL, NULL);
}
