/* Templates: the cases of tests/cases/template.txt over one value, methods, and column titles. */
#include "test.h"

#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "template/template.h"

static const char data_text[] =
    "{\"Name\":\"web\",\"Html\":\"<a&b>\",\"State\":{\"Running\":true,\"Pid\":42},\"Null\":null,"
    "\"List\":[\"a\",\"b\",\"c\"],\"Empty\":[],\"Map\":{\"x\":\"y\",\"k\":\"v\"},\"Float\":0.5,"
    "\"Big\":1234567890123,\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}}";

static int render(const char *text, struct json_object *data, const struct template_opts *o,
                  struct buf *out, struct err *e)
{
    auto_template struct template *t = NULL;
    TRY(template_parse(text, &t, e));
    return template_exec(t, data, o, out, e);
}

static void cases_give_what_go_gives(void **state)
{
    (void)state;
    struct err e = {0};
    auto_free char *path = mem_printf("%s/tests/cases/template.txt", getenv("HULL_SOURCE_DIR"));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    struct json_object *data = json_tokener_parse(data_text);
    char line[512];
    int n = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *sep = strstr(line, " => ");
        assert_non_null(sep);
        *sep = '\0';
        const char *want = sep + 4;
        auto_buf struct buf out = BUF_MAX(10000);
        int rc = render(line, data, NULL, &out, &e);
        if (want[0] == '!' ? rc == 0 || strstr(e.msg, want + 1) == NULL
                           : rc < 0 || strcmp(buf_cstr(&out), want) != 0)
            fail_msg("%s: wanted \"%s\", got \"%s\" (%s)", line, want, buf_cstr(&out),
                     rc < 0 ? e.msg : "");
        n++;
    }
    assert_true(n > 50);
    (void)fclose(f);
    json_object_put(data);
}

static int label(void *arg, struct json_object *object, const char *name,
                 struct json_object *const *args, size_t n, struct json_object **out, struct err *e)
{
    (void)object;
    (void)e;
    if (strcmp(name, "Label") != 0 || n != 1)
        return 0;
    *out = json_object_new_string(strcmp(json_object_get_string(args[0]), arg) == 0 ? "found" : "");
    return 1;
}

static void methods_and_strictness(void **state)
{
    (void)state;
    struct err e = {0};
    struct json_object *data = json_tokener_parse(data_text);
    auto_buf struct buf out = BUF_MAX(1000);
    struct template_opts o = {.missing_error = true, .method = label, .method_arg = (void *)"key"};
    assert_ok(render("{{.Label \"key\"}}-{{.Label \"x\"}}", data, &o, &out, &e));
    assert_string_equal(buf_cstr(&out), "found-");
    assert_err(render("{{.Foo}}", data, &o, &out, &e), ERR_INVALID,
               "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\"");
    json_object_put(data);
}

static void titles_pass_through_functions(void **state)
{
    (void)state;
    struct err e = {0};
    struct json_object *data = json_tokener_parse("{\"Name\":\"NAME\",\"Labels\":\"LABELS\"}");
    auto_buf struct buf out = BUF_MAX(1000);
    struct template_opts o = {.header = true};
    assert_ok(render("{{lower .Name}}|{{json .Labels}}|{{pad .Name 1 1}}", data, &o, &out, &e));
    assert_string_equal(buf_cstr(&out), "NAME|LABELS| NAME ");
    auto_template struct template *t = NULL;
    assert_ok(template_parse("{{if .A}}{{range .B}}{{(index .C 0).Size}}{{end}}{{end}}", &t, &e));
    assert_true(template_uses(t, "Size") && template_uses(t, "B") && !template_uses(t, "X"));
    json_object_put(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_give_what_go_gives),
        cmocka_unit_test(methods_and_strictness),
        cmocka_unit_test(titles_pass_through_functions),
    };
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
