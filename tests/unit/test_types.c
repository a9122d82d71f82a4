/* The Engine API documents: a create body as the docker CLI sends it, and what an empty reply looks
 * like. */
#include "test.h"

#include "types/container.h"
#include "types/system.h"

static const char body[] =
    "{\"Hostname\":\"\",\"User\":\"\",\"AttachStdin\":true,\"ExposedPorts\":{\"80/"
    "tcp\":{}},\"Tty\":true,"
    "\"Env\":null,\"Cmd\":[\"sh\"],\"Image\":\"busybox\",\"Volumes\":{\"/"
    "data\":{}},\"Entrypoint\":null,"
    "\"Labels\":{\"a\":\"b\"},\"HostConfig\":{\"Binds\":[\"/a:/"
    "b\"],\"LogConfig\":{\"Type\":\"\",\"Config\":{}},"
    "\"PortBindings\":{\"80/"
    "tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]},\"RestartPolicy\":{\"Name\":\"no\","
    "\"MaximumRetryCount\":0},\"ConsoleSize\":[24,80],\"Memory\":67108864,\"PidsLimit\":0,"
    "\"Devices\":[],"
    "\"OomKillDisable\":false,\"MaskedPaths\":null},\"NetworkingConfig\":{\"EndpointsConfig\":{"
    "\"default\":"
    "{\"IPAMConfig\":null,\"MacAddress\":\"\"}}}}";

static void a_create_body_is_understood(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct container_create c;
    assert_ok(json_parse(&container_create_json, &c, body, strlen(body), a, &e));
    assert_string_equal(c.config.image, "busybox");
    assert_string_equal(c.config.exposed_ports.v[0], "80/tcp");
    assert_int_equal(c.host->resources.memory_bytes, 67108864);
    assert_int_equal(*c.host->resources.pids_limit, 0);
    assert_null(c.host->masked_paths.v);
    assert_string_equal(c.host->port_bindings.v[0].val.v[0].host_port, "8080");
    assert_string_equal(c.networking->endpoints.v[0].key, "default");
}

static void empty_replies_have_dockers_shape(void **state)
{
    (void)state;
    auto_buf struct buf out = BUF_MAX(65536);
    struct container_created created = {.id = "abc"};
    json_write(&container_created_json, &created, &out);
    assert_string_equal(buf_cstr(&out), "{\"Id\":\"abc\",\"Warnings\":[]}");
    buf_reset(&out);
    struct event_message ev = {.type = "container", .action = "die", .time_s = 1};
    json_write(&event_message_json, &ev, &out);
    assert_string_equal(buf_cstr(&out), "{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{"
                                        "\"ID\":\"\",\"Attributes\":{}},\"time\":1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_create_body_is_understood),
        cmocka_unit_test(empty_replies_have_dockers_shape),
    };
    return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
