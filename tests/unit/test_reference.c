/* References (tests/cases/references.txt), platforms and digests. */
#include "test.h"

#include <fcntl.h>

#include "base/mem.h"
#include "sys/path.h"
#include "types/digest.h"
#include "types/oci_image.h"
#include "types/reference.h"

static void check_reference(const char *text, const char *full, const char *familiar)
{
    struct ref r;
    struct err e = {0};
    char got[REF_TEXT_MAX];
    int res = ref_parse(text, &r, &e);
    if (full[0] == '!') {
        if (res == 0 || strcmp(e.msg, full + 2) != 0 || e.kind != ERR_INVALID)
            fail_msg("\"%s\": \"%s\", expected \"%s\"", text, res == 0 ? "fine" : e.msg, full + 2);
        return;
    }
    if (res < 0)
        fail_msg("\"%s\": %s", text, e.msg);
    ref_default_tag(&r);
    ref_format(&r, got);
    assert_string_equal(got, full);
    assert_ok(ref_parse_full(got, &r, &e));
    ref_familiar(&r, got);
    assert_string_equal(got, familiar);
}

static void test_references(void **state)
{
    const char *source = getenv("HULL_SOURCE_DIR");
    auto_free char *path =
        mem_printf("%s/tests/cases/references.txt", source != NULL ? source : ".");
    struct buf b = BUF_MAX(1 << 20);
    struct err e = {0};
    int n = 0;
    (void)state;
    assert_ok(file_read(AT_FDCWD, path, &b, &e));
    struct str rest = {b.p, b.n};
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        if (line.n == 0 || line.p[0] == '#')
            continue;
        auto_free char *text = str_dup(str_cut(&line, '\t'));
        auto_free char *full = str_dup(str_cut(&line, '\t'));
        auto_free char *familiar = str_dup(line);
        check_reference(text, full, familiar);
        n++;
    }
    assert_true(n > 30);
    buf_done(&b);
    struct ref r;
    assert_err(ref_parse_full("busybox:latest", &r, &e), ERR_INVALID,
               "repository name must be canonical");
    char *endless = mem_alloc(400);
    memset(endless, 'a', 300);
    assert_err(ref_parse(endless, &r, &e), ERR_INVALID, "must not be longer than 255 characters");
    free(endless);
}

static void test_platforms(void **state)
{
    static const struct {
        const char *text, *normal;
    } parse[] = {{"linux/amd64", "linux/amd64"},  {"linux/arm64/v8", "linux/arm64"},
                 {"aarch64", "linux/arm64"},      {"linux/armhf", "linux/arm/v7"},
                 {"LINUX/X86_64", "linux/amd64"}, {"arm/v6", "arm/v6"},
                 {"linux/arm/v6", "linux/arm/v6"}};
    static const struct {
        const char *want, *offer;
        int order; /* 0: never; else higher is better */
    } score[] = {{"linux/amd64", "linux/amd64", 2},    {"linux/amd64", "linux/arm64", 0},
                 {"linux/amd64", "windows/amd64", 0},  {"linux/amd64", "linux/amd64/v3", 0},
                 {"linux/amd64/v3", "linux/amd64", 1}, {"linux/arm64", "linux/arm/v7", 1},
                 {"linux/arm/v7", "linux/arm/v6", 1},  {"linux/arm/v6", "linux/arm/v7", 0},
                 {"linux/arm64", "linux/arm64/v8", 2}};
    auto_arena struct arena *a = arena_new();
    struct oci_platform p, q;
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(parse); i++) {
        assert_ok(oci_platform_parse(parse[i].text, a, &p, &e));
        assert_string_equal(oci_platform_format(&p, a), parse[i].normal);
    }
    for (size_t i = 0; i < ARRAY_LEN(score); i++) {
        assert_ok(oci_platform_parse(score[i].want, a, &p, &e));
        assert_ok(oci_platform_parse(score[i].offer, a, &q, &e));
        int s = oci_platform_score(&p, &q);
        if ((s > 0) != (score[i].order > 0) || (s == 10000) != (score[i].order == 2))
            fail_msg("%s on %s: %d", score[i].offer, score[i].want, s);
    }
    assert_err(oci_platform_parse("a/b/c/d", a, &p, &e), ERR_INVALID,
               "cannot parse platform specifier");
    assert_err(oci_platform_parse("nonsense", a, &p, &e), ERR_INVALID,
               "unknown operating system or architecture");
    assert_err(oci_platform_parse("linux/a b", a, &p, &e), ERR_INVALID, "invalid component");
}

static void test_digests(void **state)
{
    char digest[DIGEST_MAX];
    auto_arena struct arena *a = arena_new();
    char *ids[] = {(char *)(uintptr_t) "sha256:a", (char *)(uintptr_t) "sha256:b"};
    const struct strv v = {.v = ids, .n = 2};
    (void)state;
    digest_of("", 0, digest);
    assert_string_equal(digest,
                        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_true(digest_is_sha256(digest));
    assert_false(digest_is_sha256(
        "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_false(digest_is_sha256(
        "sha256:../../../../../../../../../../../../../../../../../../etc/passwd/x"));
    assert_string_equal(digest_chain(&v, 1, a), "sha256:a");
    digest_of("sha256:a sha256:b", 17, digest);
    assert_string_equal(digest_chain(&v, 2, a), digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_platforms),
        cmocka_unit_test(test_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
