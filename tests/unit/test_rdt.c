/* Intel RDT on a folder that looks like resctrl; the kernel would make each group's files. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/rdt.h"
#include "sys/cgroup.h"

static struct err e;
static char root[] = "/tmp/hull-rdt-XXXXXX";

static const char *at(struct arena *a, const char *path)
{
    return arena_printf(a, "%s/%s", root, path);
}

static void make_group(struct arena *a, const char *name)
{
    static const char *const files[] = {"tasks", "schemata"};
    assert_int_equal(mkdir(at(a, name), 0755), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        FILE *f = fopen(arena_printf(a, "%s/%s", at(a, name), files[i]), "we");
        assert_non_null(f);
        (void)fclose(f);
    }
}

static void take_group(struct arena *a, const char *name)
{
    (void)unlink(arena_printf(a, "%s/tasks", at(a, name)));
    (void)unlink(arena_printf(a, "%s/schemata", at(a, name)));
    assert_int_equal(rmdir(at(a, name)), 0);
}

static const char *content(struct arena *a, const char *dir, const char *file)
{
    char text[256];
    assert_int_equal(cgroup_read(at(a, dir), file, text, sizeof(text)), 0);
    return arena_strdup(a, text);
}

static void test_check(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct oci_intel_rdt r = {.clos_id = "a/b"};
    assert_err(rdt_check(&r, NULL, &e), ERR_INVALID, "Intel RDT is not enabled");
    assert_err(rdt_check(&r, root, &e), ERR_INVALID, "invalid intelRdt.ClosID \"a/b\"");
    r = (struct oci_intel_rdt){.clos_id = "..", .l3_cache = "L3:0=f"};
    assert_err(rdt_check(&r, root, &e), ERR_INVALID, "invalid intelRdt.ClosID");
    r.clos_id = "/";
    assert_err(rdt_check(&r, root, &e), ERR_INVALID, "Intel RDT/CAT is not enabled");
    assert_int_equal(mkdir(at(a, "info"), 0755), 0);
    assert_int_equal(mkdir(at(a, "info/L3"), 0755), 0);
    assert_ok(rdt_check(&r, root, &e));
    r.mem_bw = "MB:0=10";
    assert_err(rdt_check(&r, root, &e), ERR_INVALID, "Intel RDT/MBA is not enabled");
    assert_int_equal(rmdir(at(a, "info/L3")), 0);
    assert_int_equal(rmdir(at(a, "info")), 0);
}

static void test_group_of_others(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    char *lines[] = {(char[]){"L2:0=1"}};
    struct oci_intel_rdt r = {.clos_id = "gold", .l3_cache = "L3:0=f", .mem_bw = "MB:0=10"};
    struct rdt made;
    r.schemata.v = lines;
    r.schemata.n = 1;
    make_group(a, "gold");
    assert_ok(rdt_enter(&r, root, "box", 4711, a, &made, &e));
    assert_string_equal(content(a, "gold", "tasks"), "4711");
    assert_string_equal(content(a, "gold", "schemata"), "L3:0=f\nMB:0=10\nL2:0=1");
    assert_ok(rdt_set(made.group, NULL, "MB:0=20", &e));
    assert_memory_equal(content(a, "gold", "schemata"), "MB:0=20\n", 8);
    rdt_leave(&made); /* not ours: it stays */
    take_group(a, "gold");
}

static void test_failures_leave_nothing(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    struct oci_intel_rdt r = {.clos_id = "absent"};
    struct rdt made;
    assert_err(rdt_enter(&r, root, "box", 1, a, &made, &e), ERR_INTERNAL,
               "clos dir not accessible (must be pre-created");
    r = (struct oci_intel_rdt){.l3_cache = "L3:0=f"};
    /* a plain folder gets no "tasks" */
    assert_err(rdt_enter(&r, root, "box", 1, a, &made, &e), ERR_INTERNAL,
               "intelrdt: unable to add pid 1");
    assert_int_equal(access(at(a, "box"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_group_of_others),
        cmocka_unit_test(test_failures_leave_nothing),
    };
    if (mkdtemp(root) == NULL)
        return 1;
    int failed = cmocka_run_group_tests_name("rdt", tests, NULL, NULL);
    return rmdir(root) < 0 || failed != 0;
}
