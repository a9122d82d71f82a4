/* HTTP's parsers: heads and chunks from tests/cases, whole and byte by byte; parameters. */
#include "cases.h"
#include "test.h"

#include "rpc/http.h"

static const char *kind_name(enum err_kind k)
{
    static const char *const names[] = {"NONE",
#define X(name, status) #name,
                                        ERR_KINDS(X)
#undef X
    };
    return names[k];
}

static const char *framing(const struct http_head *h)
{
    static char text[40];
    static const char *const names[] = {"none", "length", "chunked", "close"};
    if (h->framing != HTTP_BODY_LENGTH)
        return names[h->framing];
    snprintf(text, sizeof(text), "length:%llu", (unsigned long long)h->length);
    return text;
}

/* What the head in text says, as the case file writes it. */
static void describe(const char *method, const char *text, size_t n, size_t step, struct buf *out)
{
    struct err e = {0};
    struct http_head h;
    size_t seen = 0;
    ssize_t len = 0;

    for (size_t have = step; len == 0; have += step) {
        len = http_head_find(text, MIN(have, n), &seen, &e);
        if (have >= n)
            break;
    }
    if (len == 0) {
        buf_adds(out, "more");
        return;
    }
    if (len > 0 && method == NULL)
        len = http_head_parse_request(text, (size_t)len, &h, &e);
    else if (len > 0)
        len = http_head_parse_response(text, (size_t)len, method, &h, &e);
    if (len < 0)
        buf_printf(out, "!%s %s", kind_name(e.kind), e.msg);
    else if (method != NULL)
        buf_printf(out, "%d %s %s", h.status, framing(&h), h.keep_alive ? "keep" : "close");
    else
        buf_printf(out, "%.*s %.*s %s %s%s", STR_ARG(h.method), STR_ARG(h.target), framing(&h),
                   h.keep_alive ? "keep" : "close", h.expect_continue ? " continue" : "");
}

static void head_case(char *input, const char *want)
{
    char method[16];
    bool resp = sscanf(input, "resp(%15[A-Z])", method) == 1;
    char *text = strchr(input, ' ') + 1;
    size_t n = unescape(text);
    for (size_t step = 1; step <= n; step = step == 1 ? n : n + 1) {
        auto_buf struct buf got = BUF_MAX(4096);
        describe(resp ? method : NULL, text, n, step, &got);
        bool same = want[0] == '!' ? strncmp(got.p, want, strcspn(want, " ")) == 0 &&
                                         strstr(got.p, strchr(want, ' ') + 1) != NULL
                                   : strcmp(got.p, want) == 0;
        if (!same)
            fail_msg("%s: \"%s\", expected \"%s\"", text, got.p, want);
    }
}

static void heads_mean_what_the_cases_say(void **state)
{
    (void)state;
    assert_true(each_case("http-heads.txt", head_case) > 40);
}

static void decode_chunks(char *text, size_t n, size_t step, struct buf *out)
{
    struct http_chunks c = {0};
    struct err e = {0};
    auto_buf struct buf body = BUF_MAX(4096);
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < n) {
        char part[2048];
        size_t len = MIN(step, n - at), used, got;
        memcpy(part, text + at, len);
        r = http_chunks_decode(&c, part, len, &used, &got, &e);
        if (r < 0)
            break;
        buf_add(&body, part, got);
        at += used;
    }
    if (r < 0)
        buf_printf(out, "!%s", e.msg);
    else if (r > 0)
        buf_printf(out, "end:%zu %s", n - at, buf_cstr(&body));
    else
        buf_printf(out, "more %s", buf_cstr(&body));
}

static void chunk_case(char *input, const char *want)
{
    size_t n = unescape(input);
    for (size_t step = 1; step <= n; step++) {
        auto_buf struct buf got = BUF_MAX(8192);
        decode_chunks(input, n, step, &got);
        if (want[0] == '!' ? strstr(got.p, want + 1) == NULL : strcmp(got.p, want) != 0)
            fail_msg("%s: \"%s\", expected \"%s\"", input, got.p, want);
    }
}

static void chunks_decode_at_any_boundary(void **state)
{
    (void)state;
    assert_true(each_case("http-chunks.txt", chunk_case) > 20);
}

static void chunk_lines_and_trailers_are_bounded(void **state)
{
    (void)state;
    struct err e = {0};
    size_t used, got;
    auto_free char *text = mem_alloc(100000);
    memset(text, 'x', 100000);
    memcpy(text, "5;", 2);
    assert_err(http_chunks_decode(&(struct http_chunks){0}, text, 100000, &used, &got, &e),
               ERR_INVALID, "line is too long");
    auto_buf struct buf b = BUF_MAX(1 << 20);
    buf_adds(&b, "0\r\n");
    for (int i = 0; i < 20000; i++)
        buf_adds(&b, "a: b\r\n");
    assert_err(http_chunks_decode(&(struct http_chunks){0}, b.p, b.n, &used, &got, &e), ERR_INVALID,
               "too many trailers");
}

static void heads_are_bounded(void **state)
{
    (void)state;
    struct err e = {0};
    struct http_head h;
    auto_buf struct buf b = BUF_MAX(1 << 20);
    buf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 100; i++)
        buf_adds(&b, "A: b\r\n");
    buf_adds(&b, "\r\n");
    assert_err(http_head_parse_request(b.p, b.n, &h, &e), ERR_TOO_LARGE, "more than 100 headers");
    auto_free char *big = mem_alloc(1 << 20);
    memset(big, 'a', 1 << 20);
    size_t seen = 0;
    assert_err(http_head_find(big, 1 << 20, &seen, &e), ERR_TOO_LARGE, "larger than 65536");
}

static void parameters_are_decoded(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    struct http_params ps = {0};
    assert_ok(http_params_parse(str_of("a=1&b=%2Fx+y%20z&&c&a=2&=v"), a, &ps, &e));
    assert_int_equal(ps.n, 5);
    assert_string_equal(http_params_get(&ps, "a"), "1");
    assert_string_equal(http_params_get(&ps, "b"), "/x y z");
    assert_string_equal(http_params_get(&ps, "c"), "");
    assert_null(http_params_get(&ps, "d"));
    static const char *const bad[] = {"a=%", "a=%4", "a=%4g", "%zz=1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(http_params_parse(str_of(bad[i]), a, &ps, &e), ERR_INVALID, "escape");
    assert_err(http_params_parse(str_of("a=%00"), a, &ps, &e), ERR_INVALID, "NUL");
    auto_buf struct buf many = BUF_MAX(1 << 16);
    for (int i = 0; i <= HTTP_PARAMS_MAX; i++)
        buf_adds(&many, "a&");
    struct http_params some = {0};
    assert_err(http_params_parse((struct str){many.p, many.n}, a, &some, &e), ERR_INVALID, "1000");
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    (void)state;
    struct err e = {0};
    auto_arena struct arena *a = arena_new();
    auto_buf struct buf b = BUF_MAX(1000), p = BUF_MAX(1000);
    const char *text = "a/b c+d%e&f=g?#\"ü\n:@";
    const char *out;
    buf_adds(&b, "k=");
    http_encode_query(&b, text);
    struct http_params ps = {0};
    assert_ok(http_params_parse((struct str){b.p, b.n}, a, &ps, &e));
    assert_string_equal(http_params_get(&ps, "k"), text);
    http_encode_path(&p, text);
    assert_ok(http_path_decode((struct str){p.p, p.n}, a, &out, &e));
    assert_string_equal(out, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_mean_what_the_cases_say),
        cmocka_unit_test(chunks_decode_at_any_boundary),
        cmocka_unit_test(chunk_lines_and_trailers_are_bounded),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
