/* JSON documents: reading as Go reads, writing as Go writes, copying. */
#include "test.h"

#include <float.h>

#include "base/json.h"
#include "base/mem.h"

#define POINT(T, F)      \
    F(T, i64, x, "X", 0) \
    F(T, str, label, "Label", JSON_OMITEMPTY)
JSON_TYPE(point, POINT)
JSON_DESC(point, POINT)

#define INNER(T, F) F(T, str, image, "Image", 0)
JSON_TYPE(inner, INNER)
JSON_DESC(inner, INNER)

#define DOC(T, F)                                          \
    F(T, emb, config, "", 0, inner)                        \
    F(T, bool, on, "On", 0)                                \
    F(T, u64, big, "Big", JSON_OMITEMPTY)                  \
    F(T, f64, ratio, "Ratio", JSON_OMITEMPTY)              \
    F(T, time, created, "Created", 0)                      \
    F(T, map, labels, "Labels", 0)                         \
    F(T, obj, at, "At", 0, point)                          \
    F(T, val, here, "Here", 0, point)                      \
    F(T, list, points, "Points", 0, point)                 \
    F(T, strv, cmd, "Cmd", JSON_ONE_OR_MANY)               \
    F(T, set, ports, "Ports", JSON_OMITEMPTY)              \
    F(T, mapobj, by_name, "ByName", JSON_OMITEMPTY, point) \
    F(T, maplist, bindings, "Bindings", JSON_EMPTY, point) \
    F(T, mapstrv, headers, "Headers", JSON_OMITEMPTY)      \
    F(T, mapu64, counts, "Counts", JSON_OMITEMPTY)         \
    F(T, i64v, size, "Size", JSON_OMITEMPTY)               \
    F(T, raw, extra, "Extra", JSON_OMITEMPTY)              \
    F(T, opt_bool, init, "Init", 0)                        \
    F(T, opt_i64, limit, "Limit", JSON_OMITEMPTY)          \
    F(T, str, name, "Name", JSON_NULL)
JSON_TYPE(doc, DOC)
JSON_DESC(doc, DOC)

static int parse(struct doc *d, const char *text, struct arena *a, struct err *e)
{
    return json_parse(&doc_json, d, text, strlen(text), a, e);
}

static const char full[] =
    "{\"Image\":\"busybox\",\"On\":true,\"Big\":18446744073709551615,\"Ratio\":0.1,"
    "\"Created\":\"2024-01-02T03:04:05.5Z\",\"Labels\":{\"a\":\"1\",\"b\":\"\\u003c\\u0026\"},"
    "\"At\":null,"
    "\"Here\":{\"X\":-5},\"Points\":[{\"X\":1},{\"X\":2,\"Label\":\"two\"}],\"Cmd\":[\"sh\",\"-c\"]"
    ","
    "\"Ports\":{\"53/udp\":{},\"80/tcp\":{}},\"ByName\":{\"n\":{\"X\":9}},"
    "\"Bindings\":{\"80/"
    "tcp\":[{\"X\":8080}]},\"Headers\":{\"A\":[\"x\",\"y\"]},\"Counts\":{\"a\":1,\"b\":"
    "18446744073709551615},\"Size\":[24,80],"
    "\"Extra\":{\"k\":[1,2]},\"Init\":false,\"Limit\":3,\"Name\":null}";

static void documents_survive_the_round_trip(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new(), *b = arena_new();
    struct doc d, copy;
    assert_ok(parse(&d, full, a, &e));
    assert_string_equal(d.config.image, "busybox");
    assert_int_equal(d.points.n, 2);
    assert_string_equal(strmap_get(&d.labels, "b"), "<&");
    json_copy(&doc_json, &copy, &d, b);
    arena_free(TAKE_PTR(a));
    auto_buf struct buf out = BUF_MAX(4096);
    json_write(&doc_json, &copy, &out);
    assert_string_equal(buf_cstr(&out), full);
}

static void keys_match_without_case_and_last_wins(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct doc d;
    assert_ok(parse(&d,
                    "{\"image\":\"one\",\"IMAGE\":\"two\",\"cmd\":\"bare\",\"nope\":{\"x\":[]},"
                    "\"On\":null,\"Points\":[]}",
                    a, &e));
    assert_string_equal(d.config.image, "two");
    assert_int_equal(d.cmd.n, 1);
    assert_string_equal(d.cmd.v[0], "bare");
    assert_non_null(d.points.v);
    assert_null(d.size.v);
    assert_ok(parse(&d, " null ", a, &e));
    assert_null(d.config.image);
}

static void mistakes_name_their_place(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct doc d;
    static const struct {
        const char *text, *msg;
    } cases[] = {
        {"{\"Points\":[{\"X\":1},{\"X\":\"a\"}]}", "Points[1].X: expected an integer"},
        {"{\"Bindings\":{\"80\":[{\"Label\":1}]}}", "Bindings.80[0].Label: expected a string"},
        {"{\"On\":1}", "On: expected a boolean"},
        {"{\"Here\":{\"X\":1.5}}", "Here.X: expected an integer"},
        {"{\"Here\":{\"X\":9223372036854775808}}", "Here.X: expected an integer of 64 bits"},
        {"{\"Big\":-1}", "Big: expected a non-negative integer"},
        {"{\"Name\":\"a\\u0000b\"}", "Name: expected a string without NUL"},
        {"[]", "expected an object"},
        {"", "EOF"},
        {"{\"On\":true", "unexpected end of JSON input"},
        {"{\"On\":true}x", "invalid JSON"},
        {"{\"On\":true,}", "invalid JSON"},
        {"{On:true}", "invalid JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_err(parse(&d, cases[i].text, a, &e), ERR_INVALID, cases[i].msg);
    auto_buf struct buf deep = BUF_MAX(4096);
    for (int i = 0; i < 1000; i++)
        buf_adds(&deep, "[");
    assert_err(parse(&d, buf_cstr(&deep), a, &e), ERR_INVALID, "invalid JSON");
}

static void bad_utf8_becomes_replacement(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct doc d;
    assert_ok(parse(&d, "{\"Name\":\"a\xff\xc3\xa4\xe2\x82\"}", a, &e));
    assert_string_equal(d.name, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd");
    auto_buf struct buf out = BUF_MAX(100);
    json_write_str("\xff\xe2\x80\xa8\x01\t", 6, &out);
    assert_string_equal(buf_cstr(&out), "\"\\ufffd\\u2028\\u0001\\t\"");
}

static void floats_print_as_go_prints_them(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},          {0.1, "0.1"},
                 {100, "100"},      {1.5e20, "150000000000000000000"},
                 {1e21, "1e+21"},   {1e-6, "0.000001"},
                 {1e-7, "1e-7"},    {-2.5, "-2.5"},
                 {1e100, "1e+100"}, {DBL_MAX, "1.7976931348623157e+308"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf out = BUF_MAX(400);
        json_write_f64(cases[i].v, &out);
        assert_string_equal(buf_cstr(&out), cases[i].text);
    }
}

static void lists_and_indentation(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    void *v;
    size_t n;
    const char text[] = "[{\"X\":1},{\"X\":2}]";
    assert_ok(json_parse_list(&point_json, &v, &n, text, strlen(text), a, &e));
    assert_int_equal(n, 2);
    auto_buf struct buf out = BUF_MAX(400), pretty = BUF_MAX(400), tight = BUF_MAX(400);
    json_write_list(&point_json, v, n, &out);
    assert_string_equal(buf_cstr(&out), text);
    const char mixed[] = "{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"x\\\"y\"}]}";
    json_indent(mixed, strlen(mixed), "  ", &pretty);
    assert_string_equal(buf_cstr(&pretty),
                        "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n"
                        "      \"d\": \"x\\\"y\"\n    }\n  ]\n}");
    json_indent(pretty.p, pretty.n, NULL, &tight);
    assert_string_equal(buf_cstr(&tight), mixed);
}

static void html_escapes_can_be_taken_back(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_MAX(200), none = BUF_MAX(10);
    buf_adds(&b, "[\"a \\u0026\\u0026 "
                 "\\u003cb\\u003e\",\"\\\\u003c\",\"\\\\\\u003c\",\"\\u00e9\\n\",\"\\u003\"]");
    json_unescape_html(&b);
    assert_string_equal(buf_cstr(&b),
                        "[\"a && <b>\",\"\\\\u003c\",\"\\\\<\",\"\\u00e9\\n\",\"\\u003\"]");
    json_unescape_html(&none);
    assert_int_equal(none.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_survive_the_round_trip),
        cmocka_unit_test(keys_match_without_case_and_last_wins),
        cmocka_unit_test(mistakes_name_their_place),
        cmocka_unit_test(bad_utf8_becomes_replacement),
        cmocka_unit_test(floats_print_as_go_prints_them),
        cmocka_unit_test(html_escapes_can_be_taken_back),
        cmocka_unit_test(lists_and_indentation),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
