/* The OCI spec that the engine writes: golden documents in tests/cases/spec-*.json, and what
 * depends on the host. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/seccomp.h"
#include "engine/spec.h"
#include "sys/path.h"

static struct err e;

static const struct engine_opts opts = {.cgroup_parent = "/docker",
                                        .default_runtime = "hull",
                                        .log_driver = "json-file",
                                        .shm_bytes = 64 << 20};

static const char *const defaults =
    "{\"HostConfig\":{\"NetworkMode\":\"bridge\",\"IpcMode\":\"private\",\"CgroupnsMode\":\"host\","
    "\"ShmSize\":67108864,\"SecurityOpt\":[\"seccomp=unconfined\"]}}";

static const char *const limited =
    "{\"Tty\":true,\"User\":\"www\",\"WorkingDir\":\"/srv\",\"Env\":[\"A=1\",\"PATH=/"
    "bin\",\"TERM\"],"
    "\"Domainname\":\"example\",\"HostConfig\":{\"NetworkMode\":\"none\",\"IpcMode\":\"private\","
    "\"CgroupnsMode\":\"private\",\"ShmSize\":1048576,\"ReadonlyRootfs\":true,\"CapDrop\":[\"ALL\"]"
    ","
    "\"CapAdd\":[\"NET_BIND_SERVICE\"],\"SecurityOpt\":[\"no-new-privileges\",\"seccomp="
    "unconfined\"],"
    "\"Memory\":16777216,\"MemorySwap\":33554432,\"NanoCpus\":500000000,\"PidsLimit\":64,"
    "\"CpusetCpus\":\"0\","
    "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":10,\"Hard\":20}],\"Tmpfs\":{\"/"
    "run\":\"exec,size=1m\"},"
    "\"Sysctls\":{\"net.ipv4.ip_forward\":\"1\"},\"OomScoreAdj\":100,\"MaskedPaths\":[]}}";

static void build(const char *json, const struct oci_mount *mounts, size_t n, struct arena *a,
                  struct buf *out)
{
    struct container_record *rec = ARENA_NEW(a, struct container_record);
    struct container_create doc;
    struct spec_inputs in = {.rec = rec,
                             .o = &opts,
                             .hostname = "0123456789ab",
                             .netns = "/run/hull/netns/x",
                             .resolv_conf = "/d/resolv.conf",
                             .hosts = "/d/hosts",
                             .hostname_file = "/d/hostname",
                             .mounts = mounts,
                             .n_mounts = n};
    struct oci_spec spec;

    assert_ok(json_parse(&container_create_json, &doc, json, strlen(json), a, &e));
    rec->id = "0123456789abcdef";
    rec->config = doc.config;
    rec->host = *doc.host;
    vec_push_in(a, &rec->args, (char *)"/bin/sh");
    assert_ok(spec_build(&in, a, &spec, &e));
    json_write(&oci_spec_json, &spec, out);
}

/* Compare with a golden document; HULL_GOLDEN=write makes it anew. */
static void golden(const char *name, const struct buf *json)
{
    auto_free char *dir = mem_printf("%s/tests/cases", getenv("HULL_SOURCE_DIR"));
    auto_free char *file = mem_printf("spec-%s.json", name), *path = mem_printf("%s/%s", dir, file);
    auto_buf struct buf pretty = BUF_MAX(1 << 20), want = BUF_MAX(1 << 20);

    json_indent(json->p, json->n, "  ", &pretty);
    buf_addc(&pretty, '\n');
    if (getenv("HULL_GOLDEN") != NULL) {
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_ok(file_replace(fd, file, pretty.p, pretty.n, 0644, &e));
        close(fd);
    }
    assert_ok(file_read(AT_FDCWD, path, &want, &e));
    assert_string_equal(buf_cstr(&pretty), buf_cstr(&want));
}

static void test_default(void **unused)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(1 << 20);

    (void)unused;
    build(defaults, NULL, 0, a, &b);
    golden("default", &b);
}

static void test_limited(void **unused)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(1 << 20);
    struct oci_mount mounts[] = {
        {.destination = "/data/deep/er", .type = "bind", .source = "/v/1"},
        {.destination = "/data", .type = "bind", .source = "/v/2"},
        {.destination = "/etc/hosts",
         .type = "bind",
         .source = "/v/3"}, /* takes the place of ours */
    };

    (void)unused;
    build(limited, mounts, ARRAY_LEN(mounts), a, &b);
    golden("limited", &b);
}

static void test_privileged(void **unused)
{
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(4 << 20);
    struct oci_spec spec;

    (void)unused;
    build("{\"HostConfig\":{\"Privileged\":true,\"NetworkMode\":\"host\",\"PidMode\":\"host\","
          "\"UTSMode\":\"host\","
          "\"IpcMode\":\"host\",\"CgroupnsMode\":\"host\"}}",
          NULL, 0, a, &b);
    assert_ok(json_parse(&oci_spec_json, &spec, b.p, b.n, a, &e));
    assert_null(spec.linux_->seccomp);
    assert_int_equal(spec.linux_->masked_paths.n, 0);
    assert_int_equal(spec.linux_->readonly_paths.n, 0);
    assert_int_equal(spec.linux_->namespaces.n,
                     2); /* mount, and the network that we were told to join */
    assert_int_equal(spec.linux_->resources->devices.n, 1);
    assert_true(spec.linux_->resources->devices.v[0].allow);
    vec_each(m, &spec.mounts)
        if (strcmp(m->destination, "/sys") == 0)
            assert_false(strv_has(&m->options, "ro"));
}

/* The user namespace is joined with the record's mappings, and no sysctl names ids that it has not.
 */
static void test_user_namespace(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct userns_record maps = {.uid = "0:100000:65536,65536:300000:1", .gid = "0:200000:65536"};
    struct container_create doc;
    struct container_record rec = {.id = "0123456789abcdef", .userns = &maps};
    struct spec_inputs in = {.rec = &rec,
                             .o = &opts,
                             .hostname = "h",
                             .netns = "/run/hull/netns/x",
                             .userns = "/run/hull/netns/x.user"};
    struct oci_spec spec;
    const char *joined = NULL;

    (void)unused;
    assert_ok(json_parse(&container_create_json, &doc, defaults, strlen(defaults), a, &e));
    rec.config = doc.config;
    rec.host = *doc.host;
    vec_push_in(a, &rec.args, (char *)"/bin/sh");
    assert_ok(spec_build(&in, a, &spec, &e));
    vec_each(n, &spec.linux_->namespaces)
        if (strcmp(n->type, "user") == 0)
            joined = n->path;
    assert_string_equal(joined, in.userns);
    assert_int_equal(spec.linux_->uid_mappings.n, 2);
    assert_int_equal(spec.linux_->uid_mappings.v[1].container_id, 65536);
    assert_int_equal(spec.linux_->uid_mappings.v[1].host_id, 300000);
    assert_int_equal(spec.linux_->gid_mappings.v[0].host_id, 200000);
    assert_int_equal(spec.linux_->gid_mappings.v[0].size, 65536);
    assert_null(strmap_get(&spec.linux_->sysctl, "net.ipv4.ping_group_range"));
    assert_string_equal(strmap_get(&spec.linux_->sysctl, "net.ipv4.ip_unprivileged_port_start"),
                        "0");
    maps.uid = "0:x:1";
    assert_err(spec_build(&in, a, &spec, &e), ERR_INVALID, "invalid id mapping \"0:x:1\"");
}

static void test_seccomp(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct strv caps = {0};
    struct oci_seccomp s;
    bool clone3 = false;

    (void)unused;
    seccomp_default(&caps, a, &s);
    assert_string_equal(s.default_action, "SCMP_ACT_ERRNO");
    assert_int_equal(*s.default_errno_ret, 1);
    vec_each(r, &s.syscalls) {
        assert_false(strv_has(&r->names, "mount"));
        assert_false(strv_has(&r->names, "reboot"));
        if (strv_has(&r->names, "clone3")) {
            clone3 = true;
            assert_int_equal(*r->errno_ret, 38);
        }
    }
    assert_true(clone3);
    vec_push_in(a, &caps, (char *)"CAP_SYS_ADMIN");
    seccomp_default(&caps, a, &s);
    bool mount = false;
    vec_each(r, &s.syscalls)
        mount |= strv_has(&r->names, "mount");
    assert_true(mount);
}

static void test_seccomp_profiles(void **unused)
{
    static const char *const profile =
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
        "{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\"},"
        "{\"name\":\"chmod\",\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"caps\":[\"CAP_X\"]}},"
        "{\"name\":\"chown\",\"action\":\"SCMP_ACT_ERRNO\",\"excludes\":{\"caps\":[\"CAP_Y\"]}},"
        "{\"name\":\"rmdir\",\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"4.8\"}},"
        "{\"name\":\"link\",\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"999.0\"}}]"
        "}";
    auto_arena struct arena *a = arena_new();
    struct strv caps = {0};
    struct oci_seccomp s;

    (void)unused;
    vec_push_in(a, &caps, (char *)"CAP_Y");
    assert_ok(seccomp_from_json(profile, &caps, a, &s, &e));
    assert_int_equal(s.syscalls.n, 2);
    assert_string_equal(s.syscalls.v[0].names.v[0], "mkdir");
    assert_string_equal(s.syscalls.v[1].names.v[0], "rmdir");
    assert_err(seccomp_from_json("{", &caps, a, &s, &e), ERR_INVALID,
               "Decoding seccomp profile failed");
    assert_err(
        seccomp_from_json("{\"defaultAction\":\"x\",\"architectures\":[\"a\"],\"archMap\":[{}]}",
                          &caps, a, &s, &e),
        ERR_INVALID, "use either 'architectures' or 'archMap'");
}

static void test_bad(void **unused)
{
    auto_arena struct arena *a = arena_new();
    struct container_record rec = {.id = "x"};
    struct spec_inputs in = {.rec = &rec, .o = &opts, .hostname = "h", .netns = ""};
    struct device_mapping dev = {.path_on_host = "/no/such/device"};
    struct oci_spec spec;

    (void)unused;
    vec_push_in(a, &rec.host.resources.devices, dev);
    assert_err(spec_build(&in, a, &spec, &e), ERR_INVALID,
               "error gathering device information while adding custom device \"/no/such/device\"");
    rec.host.resources.devices.n = 0;
    vec_push_in(a, &rec.host.resources.device_cgroup_rules, (char *)"c 1:x rw");
    assert_err(spec_build(&in, a, &spec, &e), ERR_INVALID,
               "invalid device cgroup rule format: 'c 1:x rw'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default),    cmocka_unit_test(test_limited),
        cmocka_unit_test(test_privileged), cmocka_unit_test(test_user_namespace),
        cmocka_unit_test(test_seccomp),    cmocka_unit_test(test_seccomp_profiles),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
