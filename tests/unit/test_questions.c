/* Questions to a registry: accounts, tags in pages, searches, platforms. */
#include "test.h"

#include "base/mem.h"
#include "pull_fixture.h"

static const char *domain(struct fixture *f)
{
    return arena_printf(f->a, "127.0.0.1:%d", f->reg.port);
}

static struct ref reference(struct fixture *f, const char *tag)
{
    struct ref ref;
    struct err e = {0};
    auto_free char *text = mem_printf("%s/app:%s", domain(f), tag);
    assert_ok(ref_parse(text, &ref, &e));
    return ref;
}

static void page(struct fixture *f, const char *path, const char *headers, const char *body)
{
    fake_add(&f->reg, "pages", path, headers, body, strlen(body));
}

static void test_login(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    const char *token = NULL;
    page(f, "/v2/", "", "{}");
    assert_ok(registry_login(domain(f), &f->ro, f->a, &token, &e)); /* nobody asks */
    f->reg.need_basic = true;
    assert_err(registry_login(domain(f), &f->ro, f->a, &token, &e), ERR_UNAUTHORIZED,
               "no basic auth credentials");
    f->ro.creds = (struct registry_creds){.username = "u", .password = "wrong"};
    assert_err(registry_login(domain(f), &f->ro, f->a, &token, &e), ERR_UNAUTHORIZED,
               "/v2/ failed with status: 401 Unauthorized");
    f->ro.creds.password = "p";
    assert_ok(registry_login(domain(f), &f->ro, f->a, &token, &e));
    assert_string_equal(token, "");
}

static size_t times(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* A challenge may name several scopes, and what we know to be needed is asked for as well: each
 * once. */
static void test_scopes(void **state)
{
    struct fixture *f = *state;
    struct ref ref = reference(f, "x");
    struct strv tags = {0};
    struct err e = {0};
    f->reg.need_token = true;
    f->reg.scope = "repository:base:pull  repository:app:pull repository:base:pull ";
    page(f, "/v2/app/tags/list?n=1000", "", "{\"name\":\"app\",\"tags\":[\"a\"]}");
    assert_ok(registry_tags(&ref, &f->ro, f->a, &tags, &e));
    assert_int_equal(times(f->reg.last_token, "scope="), 2);
    assert_int_equal(times(f->reg.last_token, "scope=repository%3Abase%3Apull&"), 1);
    assert_int_equal(times(f->reg.last_token, "scope=repository%3Aapp%3Apull"), 1);
}

static void test_tags(void **state)
{
    struct fixture *f = *state;
    struct ref ref = reference(f, "x");
    struct strv tags = {0};
    struct err e = {0};
    assert_err(registry_tags(&ref, &f->ro, f->a, &tags, &e), ERR_NOT_FOUND, "not found");
    page(f, "/v2/app/tags/list?n=1000", "Link: </v2/app/tags/list?last=b&n=1000>; rel=\"next\"\r\n",
         "{\"name\":\"app\",\"tags\":[\"a\",\"b\"]}");
    page(f, "/v2/app/tags/list?last=b&n=1000", "", "{\"name\":\"app\",\"tags\":[\"c\"]}");
    assert_ok(registry_tags(&ref, &f->ro, f->a, &tags, &e));
    assert_int_equal(tags.n, 3);
    assert_string_equal(tags.v[2], "c");
    /* a list without an end is not followed for ever */
    page(f, "/v2/app/tags/list?last=b&n=1000",
         "Link: </v2/app/tags/list?last=b&n=1000>; rel=\"next\"\r\n", "{\"tags\":null}");
    assert_err(registry_tags(&ref, &f->ro, f->a, &tags, &e), ERR_TOO_LARGE, "too many tags");
    page(f, "/v2/app/tags/list?n=1000", "", "no json");
    assert_int_equal(registry_tags(&ref, &f->ro, f->a, &tags, &e), -1);
}

static void test_search(void **state)
{
    struct fixture *f = *state;
    struct registry_answer answer = {0};
    struct err e = {0};
    const char *term = arena_printf(f->a, "%s/a b&c", domain(f));
    assert_err(registry_search(term, 25, &f->ro, f->a, &answer, &e), ERR_NOT_FOUND,
               "has no search");
    page(f, "/v1/search?n=7&q=a%20b%26c", "",
         "{\"num_results\":1,\"results\":[{\"name\":\"abc\",\"star_count\":3,\"is_official\":true,"
         "\"description\":\"x\"}]}");
    assert_ok(registry_search(term, 7, &f->ro, f->a, &answer, &e));
    assert_int_equal(answer.results.n, 1);
    assert_string_equal(answer.results.v[0].name, "abc");
    assert_int_equal(answer.results.v[0].star_count, 3);
    assert_true(answer.results.v[0].is_official);
}

static void test_inspect(void **state)
{
    struct fixture *f = *state;
    struct registry_answer one_platform = {0}, many = {0}, none = {0};
    struct ref ref = reference(f, "latest"), multi = reference(f, "multi");
    struct ref absent = reference(f, "nope");
    struct err e = {0};
    static const char index[] =
        "{\"schemaVersion\":2,\"manifests\":[{\"platform\":{\"os\":\"linux\",\"architecture\":"
        "\"arm64\",\"variant\":\"v8\"}},{},{\"platform\":{\"os\":\"windows\",\"architecture\":"
        "\"amd64\"}}]}";
    make_one(f);
    assert_ok(registry_inspect(&ref, &f->ro, f->a, &one_platform, &e));
    assert_string_equal(one_platform.descriptor->media_type, OCI_MANIFEST);
    assert_int_equal(one_platform.platforms.n, 1);
    assert_string_equal(one_platform.platforms.v[0].architecture, "amd64");
    fake_add(&f->reg, "manifests", "multi", OCI_INDEX, index, sizeof(index) - 1);
    fake_add(&f->reg, "manifests", NULL, OCI_INDEX, index, sizeof(index) - 1);
    assert_ok(registry_inspect(&multi, &f->ro, f->a, &many, &e));
    assert_int_equal(many.platforms.n, 2);
    assert_string_equal(many.platforms.v[0].variant, "v8");
    assert_err(registry_inspect(&absent, &f->ro, f->a, &none, &e), ERR_NOT_FOUND,
               "app:nope not found: manifest unknown");
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {CASE(test_login), CASE(test_scopes), CASE(test_tags),
                                       CASE(test_search), CASE(test_inspect)};
    registry_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
