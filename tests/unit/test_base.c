/* Errors, arenas, buffers, strings, arrays, maps, times. */
#include "test.h"

#include <errno.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/goregex.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/str.h"
#include "base/time.h"
#include "base/units.h"
#include "base/vec.h"

static void errors_wrap_and_keep_the_cause(void **state)
{
    (void)state;
    struct err e = {0};
    errno = ENOSPC;
    assert_int_equal(err_sys(&e, "mount %s on %s", "overlay", "/"), -1);
    assert_string_equal(e.msg, "mount overlay on /: no space left on device");
    assert_int_equal(e.sys, ENOSPC);
    err_wrap(&e, "start container %s", "web");
    assert_string_equal(e.msg, "start container web: mount overlay on /: no space left on device");

    char *filler = mem_alloc(4000);
    memset(filler, 'x', 3999);
    err_wrap(&e, "%s", filler);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    assert_non_null(strstr(e.msg, "mount overlay on /: no space left on device"));
    err_set(&e, ERR_NOT_FOUND, "%s", filler);
    err_wrap(&e, "lost");
    assert_int_equal(e.msg[0], 'x');
    assert_int_equal(err_http_status(ERR_NOT_FOUND), 404);
    assert_int_equal(err_kind_of_http(409), ERR_CONFLICT);
    assert_int_equal(err_kind_of_http(500), ERR_INTERNAL);
    free(filler);
}

static void arenas_give_zeroed_aligned_memory(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    char *big = arena_alloc(a, 1 << 20);
    memset(big, 1, 1 << 20);
    assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
    assert_null(arena_strdup(a, NULL));
}

static void buffers_have_a_maximum(void **state)
{
    (void)state;
    auto_buf struct buf b = BUF_MAX(10);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_adds(&b, "hello"), 0);
    assert_int_equal(buf_printf(&b, "%d", 123456), -1);
    assert_true(b.over);
    assert_string_equal(buf_cstr(&b), "hello");
    assert_int_equal(buf_adds(&b, "world"), 0);
    assert_int_equal(buf_addc(&b, '!'), -1);
    buf_consume(&b, 5);
    assert_string_equal(buf_cstr(&b), "world");
    auto_free char *s = buf_take(&b);
    assert_string_equal(s, "world");
    assert_false(b.over);
}

static void base64_goes_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *standard, *url;
    } cases[] = {{"", "", ""},
                 {"f", "Zg==", "Zg=="},
                 {"fo", "Zm8=", "Zm8="},
                 {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                 {"\xfb\xff\xfe", "+//+", "-__-"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_buf struct buf a = BUF_MAX(20), b = BUF_MAX(20), c = BUF_MAX(20), d = BUF_MAX(20);
        base64_encode(cases[i].plain, strlen(cases[i].plain), &a);
        base64_encode_url(cases[i].plain, strlen(cases[i].plain), &b);
        assert_string_equal(buf_cstr(&a), cases[i].standard);
        assert_string_equal(buf_cstr(&b), cases[i].url);
        assert_true(base64_decode(cases[i].standard, &c) && base64_decode(cases[i].url, &d));
        assert_string_equal(buf_cstr(&c), cases[i].plain);
        assert_string_equal(buf_cstr(&d), cases[i].plain);
    }
    auto_buf struct buf bare = BUF_MAX(20), bad = BUF_MAX(20), small = BUF_MAX(3);
    assert_true(base64_decode("Zm8", &bare));
    assert_string_equal(buf_cstr(&bare), "fo");
    assert_false(base64_decode("Zm 8", &bad));
    assert_false(base64_decode("Zm9vYmFy", &small));
}

static void strings_cut_and_parse(void **state)
{
    (void)state;
    struct str s = STR("a=b=c"), last = STR("host:5000/img:tag");
    struct str tag = str_cut_last(&last, ':');
    assert_true(str_eq(tag, "tag") && str_eq(last, "host:5000/img"));
    assert_true(str_eq(str_cut(&s, '='), "a") && str_eq(s, "b=c"));
    assert_true(str_eq(str_cut(&s, ';'), "b=c") && s.n == 0);
    assert_true(str_eq(str_trim(STR(" \tx y ")), "x y"));
    assert_true(str_starts(STR("sha256:ab"), "sha256:") && !str_starts(STR("sha"), "sha256:"));
    uint64_t u = 7;
    int64_t i = 7;
    assert_true(str_to_u64(STR("18446744073709551615"), 0, UINT64_MAX, &u) && u == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), 0, UINT64_MAX, &u));
    assert_false(str_to_u64(STR(""), 0, 9, &u) || str_to_u64(STR("1 "), 0, 9, &u) ||
                 str_to_u64(STR("-1"), 0, 9, &u) || str_to_u64(STR("10"), 0, 9, &u));
    assert_true(str_to_i64(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &i) &&
                i == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), INT64_MIN, INT64_MAX, &i));
    char hex[5];
    str_hex("\x0f\xa0", 2, hex);
    assert_string_equal(hex, "0fa0");
}

static void arrays_grow_and_shrink(void **state)
{
    (void)state;
    VEC(int) v = {0};
    for (int i = 0; i < 100; i++)
        vec_push(&v, i);
    vec_remove(&v, 0);
    int sum = 0;
    vec_each(x, &v)
        sum += *x;
    assert_int_equal(sum, 4950);
    assert_int_equal(v.v[0], 1);
    vec_done(&v);
    vec_each(x, &v)
        fail();
    auto_arena struct arena *a = arena_new();
    VEC(const char *) names = {0};
    for (int i = 0; i < 50; i++)
        vec_push_in(a, &names, arena_printf(a, "n%d", i));
    assert_string_equal(names.v[49], "n49");
}

static void lists_are_taken_from_the_front(void **state)
{
    (void)state;
    struct item {
        int n;
        struct list link;
    } items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
    struct list all;
    list_init(&all);
    assert_null(list_take(&all, struct item, link));
    for (size_t i = 0; i < ARRAY_LEN(items); i++)
        list_append(&all, &items[i].link);
    for (int i = 0; i < 3; i++) {
        struct item *x = list_take(&all, struct item, link);
        assert_int_equal(x->n, i);
        assert_true(list_empty(&x->link));
    }
    assert_true(list_empty(&all));
    assert_null(list_take(&all, struct item, link));
}

static void the_last_reference_is_told(void **state)
{
    (void)state;
    atomic_int refs;
    atomic_init(&refs, 2);
    assert_false(ref_drop(&refs));
    assert_true(ref_drop(&refs));
}

static void maps_keep_order_through_removals(void **state)
{
    (void)state;
    struct map m = {0};
    char key[16];
    static int values[1000];
    assert_null(map_get(&m, "none"));
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_null(map_put(&m, key, &values[i]));
    }
    assert_ptr_equal(map_put(&m, "k7", &values[0]), &values[7]);
    for (int i = 0; i < 1000; i += 2) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_non_null(map_del(&m, key));
        assert_null(map_del(&m, key));
    }
    assert_int_equal(m.n, 500);
    for (int round = 0; round < 5000; round++) { /* churn must not fill the index with tombstones */
        map_put(&m, "churn", &m);
        map_del(&m, "churn");
    }
    assert_true(m.index_cap <= 8192);
    int expect = 1;
    map_each(ent, &m) {
        (void)snprintf(key, sizeof(key), "k%d", expect);
        assert_string_equal(ent->key, key);
        expect += 2;
    }
    auto_free const struct map_ent **sorted = map_sorted(&m);
    for (size_t i = 1; i < m.n; i++)
        assert_true(strcmp(sorted[i - 1]->key, sorted[i]->key) < 0);
    map_done(&m);
}

static void times_are_go_times(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"2024-02-29T12:34:56.120Z", "2024-02-29T12:34:56.12Z"},
        {"2024-02-29T12:34:56+02:00", "2024-02-29T10:34:56Z"},
        {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"2024-13-01T00:00:00Z", NULL},
        {"2023-02-29T00:00:00Z", NULL},
        {"2024-01-01T00:00:00", NULL},
        {"9999-01-01T00:00:00Z", NULL}, /* does not fit into 64-bit nanoseconds */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns;
        char text[TIME_TEXT_MAX];
        bool ok = time_parse(str_of(cases[i].in), &ns);
        assert_int_equal(ok, cases[i].out != NULL);
        if (ok) {
            time_format(ns, text);
            assert_string_equal(text, cases[i].out);
        }
    }
    int64_t ns;
    assert_true(time_parse_unix_or_rfc3339(STR("1700000000.5"), &ns) && ns == 1700000000500000000);
    assert_false(time_parse_unix_or_rfc3339(STR("17x"), &ns));
}

static void durations_are_go_durations(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"1h30m", "1h30m0s"},
        {"500ms", "500ms"},
        {"1.5s", "1.5s"},
        {"90s", "1m30s"},
        {"-2m", "-2m0s"},
        {"0", "0s"},
        {"100us", "100\xc2\xb5s"},
        {"1h", "1h0m0s"},
        {"1.25h", "1h15m0s"},
        {"12ns", "12ns"},
        {"", NULL},
        {"5", NULL},
        {"1x", NULL},
        {".s", NULL},
        {"9999999h", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns;
        char text[TIME_TEXT_MAX];
        bool ok = dur_parse(str_of(cases[i].in), &ns);
        if (ok != (cases[i].out != NULL))
            fail_msg("%s", cases[i].in);
        if (ok) {
            dur_format(ns, text);
            assert_string_equal(text, cases[i].out);
        }
    }
}

static void log_lines_are_quoted(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    log_init(fileno(f), LOG_INFO);
    log_debug("not shown", NULL);
    log_info("two words", "key", "plain", "other", "with \"quotes\"\n", NULL);
    log_init(2, LOG_INFO);
    char line[512] = {0};
    rewind(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_non_null(
        strstr(line, " level=info msg=\"two words\" key=plain other=\"with \\\"quotes\\\"\\n\"\n"));
    assert_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
}

static void sizes_and_flags_are_dockers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned base;
        int64_t bytes; /* -1: not a size */
    } sizes[] = {
        {"0", 1024, 0},
        {"10k", 1000, 10000},
        {"10k", 1024, 10240},
        {"1.5MiB", 1024, 1572864},
        {"64mb", 1024, 64 << 20},
        {"7 B", 1000, 7},
        {"2GB", 1000, 2000000000},
        {"", 1024, -1},
        {"-1", 1024, -1},
        {"abc", 1000, -1},
        {"1x", 1024, -1},
        {"1mm", 1024, -1},
        {"9e99", 1024, -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        int64_t n = -1;
        bool decimal = sizes[i].base == 1000;
        assert_int_equal((decimal ? bytes_parse_decimal : bytes_parse)(sizes[i].text, &n),
                         sizes[i].bytes >= 0);
        assert_int_equal(n, sizes[i].bytes);
    }
    bool b = false;
    assert_true(bool_parse("T", &b) && b);
    assert_true(bool_parse("False", &b) && !b);
    assert_false(bool_parse("maybe", &b) || bool_parse("", &b) || bool_parse("tRUE", &b));
}

static void gos_expressions_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } good[] = {
        {"^com\\.example\\.", "com.example.a", true},
        {"^com\\.example\\.", "xcom.example.a", false},
        {"\\d+$", "a12", true},
        {"(?:a|b)+?c", "abac", true},
        {"[\\w.]{2}-", "a.-", true},
        {"^$", "a", false},
    };
    static const struct {
        const char *pattern, *error;
    } bad[] = {
        {"(", "error parsing regexp: missing closing ): `(`"},
        {"[", "error parsing regexp: missing closing ]: `[`"},
        {"(?i)a", "error parsing regexp: invalid or unsupported syntax: `(?i)a`"},
        {"(a{100}){100}{9}", "unsupported"},
    };
    regex_t re;
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(go_regex_compile(good[i].pattern, &re, &e));
        assert_int_equal(regexec(&re, good[i].text, 0, NULL, 0) == 0, good[i].matches);
        regfree(&re);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(go_regex_compile(bad[i].pattern, &re, &e), ERR_INVALID, bad[i].error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_wrap_and_keep_the_cause),
        cmocka_unit_test(arenas_give_zeroed_aligned_memory),
        cmocka_unit_test(buffers_have_a_maximum),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(strings_cut_and_parse),
        cmocka_unit_test(arrays_grow_and_shrink),
        cmocka_unit_test(lists_are_taken_from_the_front),
        cmocka_unit_test(the_last_reference_is_told),
        cmocka_unit_test(maps_keep_order_through_removals),
        cmocka_unit_test(times_are_go_times),
        cmocka_unit_test(durations_are_go_durations),
        cmocka_unit_test(log_lines_are_quoted),
        cmocka_unit_test(sizes_and_flags_are_dockers),
        cmocka_unit_test(gos_expressions_match),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
