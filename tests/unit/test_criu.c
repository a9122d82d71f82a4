/* criu's RPC: requests byte for byte, answers with all that can be wrong in them. */
#include "test.h"

#include "runtime/criu_rpc.h"

static struct err e;

#define BYTES(literal) ("" literal), sizeof(literal) - 1

static void assert_bytes(const struct criu_request *r, const char *expected, size_t n)
{
    CLEANUP(buf_done) struct buf out = BUF_MAX(4096);
    criu_request_write(r, &out);
    assert_false(out.over);
    assert_int_equal(out.n, n);
    assert_memory_equal(out.p, expected, n);
}

static void test_small_requests(void **state)
{
    (void)state;
    struct criu_features wanted = {.mem_track = true};
    assert_bytes(&(struct criu_request){.type = CRIU_VERSION, .keep_open = true},
                 BYTES("\x08\x0a\x20\x01"));
    assert_bytes(&(struct criu_request){.type = CRIU_NOTIFY, .notify_success = true},
                 BYTES("\x08\x06\x18\x01"));
    assert_bytes(&(struct criu_request){.type = CRIU_FEATURE_CHECK, .features = &wanted},
                 BYTES("\x08\x09\x2a\x04\x08\x01\x10\x00"));
}

/* The part of out that holds this field of the settings, found by its bytes. */
static bool has(const struct buf *out, const char *bytes, size_t n)
{
    return memmem(out->p, out->n, bytes, n) != NULL;
}

static void test_settings(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    CLEANUP(buf_done) struct buf none = BUF_MAX(4096), all = BUF_MAX(4096);
    struct criu_settings s = {CRIU_SETTINGS_NONE};
    struct criu_request r = {.type = CRIU_RESTORE, .settings = &s};
    criu_request_write(&r, &none);
    /* only the 15 flags: fields up to 15 take two bytes, the others three */
    assert_int_equal(none.n, 4 + 8 * 2 + 7 * 3);

    struct criu_pair mount = {"/a", "/b"};
    struct criu_number pipe = {"pipe:[1]", 1};
    s.images_dir_fd = 300;
    s.cgroups_mode = CRIU_IGNORE;
    s.root = "/r";
    s.rst_sibling = true;
    vec_push_in(a, &s.ext_mnt, mount);
    vec_push_in(a, &s.inherit_fd, pipe);
    vec_push_in(a, &s.external, arena_strdup(a, "net[1]:x"));
    criu_request_write(&r, &all);
    assert_true(has(&all, BYTES("\x08\xac\x02")));                         /* 1: 300 */
    assert_true(has(&all, BYTES("\x6a\x02/r")));                           /* 13 */
    assert_true(has(&all, BYTES("\xd0\x01\x01")));                         /* 26 */
    assert_true(has(&all, BYTES("\xba\x01\x08\x0a\x02/a\x12\x02/b")));     /* 23 */
    assert_true(has(&all, BYTES("\xda\x01\x0c\x0a\x08pipe:[1]\x10\x01"))); /* 27 */
    assert_true(has(&all, BYTES("\x90\x02\x00")));                         /* 34: 0 is sent */
    assert_true(has(&all, BYTES("\xaa\x02\x08net[1]:x")));                 /* 37 */
}

static void test_too_large(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    CLEANUP(buf_done) struct buf out = BUF_MAX(4096);
    char *text = arena_alloc(a, 5000);
    memset(text, 'x', 4999);
    struct criu_settings s = {CRIU_SETTINGS_NONE, .root = text};
    criu_request_write(&(struct criu_request){.type = CRIU_DUMP, .settings = &s}, &out);
    assert_true(out.over);
}

static void test_answers(void **state)
{
    (void)state;
    struct criu_answer r;
    assert_ok(criu_answer_read(BYTES("\x08\x0a\x10\x01\x52\x06\x08\x03\x10\x11\x20\x01"), &r, &e));
    assert_int_equal(r.type, CRIU_VERSION);
    assert_true(r.success);
    assert_int_equal(r.version, 31701);
    /* a git id: the release after 3.17 */
    assert_ok(criu_answer_read(BYTES("\x08\x0a\x10\x01\x52\x09\x08\x03\x10\x11\x1a\x01g\x20\x01"),
                               &r, &e));
    assert_int_equal(r.version, 31800);

    assert_ok(criu_answer_read(BYTES("\x08\x06\x10\x01\x2a\x08\x0a\x03"
                                     "abc\x10\x96\x01"),
                               &r, &e));
    assert_int_equal(r.type, CRIU_NOTIFY);
    assert_true(str_eq(r.script, "abc"));
    assert_int_equal(r.notify_pid, 150);

    assert_ok(criu_answer_read(BYTES("\x08\x02\x10\x01\x22\x02\x08\x07"), &r, &e));
    assert_int_equal(r.pid, 7);
    assert_ok(criu_answer_read(BYTES("\x08\x09\x10\x01\x42\x04\x08\x01\x10\x00"), &r, &e));
    assert_true(r.features.mem_track);
    assert_false(r.features.lazy_pages);

    /* what is wrong, and fields that we do not know, of each kind */
    assert_ok(criu_answer_read(BYTES("\x08\x01\x10\x00\x38\x34\x4a\x02no\x79"
                                     "12345678\xa5\x06"
                                     "1234\x5a\x00"),
                               &r, &e));
    assert_false(r.success);
    assert_int_equal(r.error, 52);
    assert_true(str_eq(r.message, "no"));
}

static void test_broken_answers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } broken[] = {
        {BYTES("\x08")},                                             /* a number without its end */
        {BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01")}, /* longer than 64 bits */
        {BYTES("\x4a\x05"
               "abc")},  /* a text that ends early */
        {BYTES("\x0b")}, /* a group */
        {BYTES("\x79"
               "1234")},                     /* a short fixed number */
        {BYTES("\x2a\x02\x0a\x07")},         /* the same, one level down */
        {BYTES("\x52\x03\x08\x90\x4f\x00")}, /* a message behind its end, version 10000+ */
    };
    struct criu_answer r = {.type = 99};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_err(criu_answer_read(broken[i].bytes, broken[i].n, &r, &e), ERR_INVALID,
                   "unable to parse the response of criu");
    assert_int_equal(r.type, 99);
}

static void test_words(void **state)
{
    (void)state;
    enum criu_cgroups mode = CRIU_SOFT;
    assert_ok(criu_cgroups_parse(NULL, &mode, &e));
    assert_int_equal(mode, CRIU_DEFAULT);
    assert_int_equal(CRIU_DEFAULT, 6);
    assert_ok(criu_cgroups_parse("strict", &mode, &e));
    assert_int_equal(mode, 5);
    assert_err(criu_cgroups_parse("none", &mode, &e), ERR_INVALID,
               "invalid manage-cgroups-mode value");
    assert_string_equal(criu_type_name(CRIU_PRE_DUMP), "PRE_DUMP");
    assert_string_equal(criu_type_name(77), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_requests), cmocka_unit_test(test_settings),
        cmocka_unit_test(test_too_large),      cmocka_unit_test(test_answers),
        cmocka_unit_test(test_broken_answers), cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
