/* What gRPC's calls are made of: messages in frames, timeouts, texts, codes, and protobuf. */
#include "test.h"

#include "base/mem.h"
#include "base/time.h"
#include "proto/content.pb-c.h"
#include "rpc/grpc.h"
#include "rpc/grpc_wire.h"

static void deframing(void **state)
{
    (void)state;
    static const uint8_t stream[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1z";
    struct grpc_deframer d = {0};
    struct grpc_msg *m;
    struct err e = {0};

    for (size_t step = 1; step < sizeof(stream); step++) { /* in pieces of every size */
        char got[32] = "";
        for (size_t at = 0; at < sizeof(stream) - 1; at += step) {
            struct str in = {(const char *)stream + at, MIN(step, sizeof(stream) - 1 - at)};
            while (grpc_deframe(&d, &in, &m, &e) == 1) {
                (void)snprintf(got + strlen(got), 8, "%.*s,", (int)m->n, m->bytes);
                free(m);
            }
        }
        assert_string_equal(got, "abc,,z,");
        assert_true(grpc_deframer_idle(&d));
    }
    struct str bad = {"\1\0\0\0\3abc", 8}, big = {"\0\1\0\0\1", 5}, odd = {"\7\0\0\0\0", 5};
    assert_err(grpc_deframe(&d, &bad, &m, &e), ERR_UNIMPLEMENTED, "compressed");
    grpc_deframer_done(&d);
    assert_err(grpc_deframe(&d, &big, &m, &e), ERR_EXHAUSTED, "larger than max");
    grpc_deframer_done(&d);
    assert_err(grpc_deframe(&d, &odd, &m, &e), ERR_INVALID, "bad message prefix");
    grpc_deframer_done(&d);
}

static void timeouts_and_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        {"29999898u", 29999898000},
        {"1S", NS_PER_S},
        {"99999999H", INT64_MAX},
        {"0n", 0},
        {"100000000n", -1},
        {"1", -1},
        {"S", -1},
        {"-1S", -1},
        {"1x", -1},
        {"", -1},
    };
    auto_buf struct buf b = BUF_MAX(100), c = BUF_MAX(100);
    char out[16];
    int64_t ns;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ns = -1;
        (void)grpc_timeout_parse(str_of(cases[i].text), &ns);
        assert_int_equal(ns, cases[i].ns);
    }
    grpc_timeout_format(1, out);
    assert_string_equal(out, "1n");
    grpc_timeout_format(5 * NS_PER_S, out);
    assert_string_equal(out, "5000000u");
    grpc_timeout_format(INT64_MAX, out);
    assert_string_equal(out, "2562048H");

    grpc_text_encode("a% b\n\xc3\xbc~\x7f", &b);
    assert_string_equal(buf_cstr(&b), "a%25 b%0A%C3%BC~%7F");
    grpc_text_decode(str_of(buf_cstr(&b)), &c);
    assert_string_equal(buf_cstr(&c), "a% b\n\xc3\xbc~\x7f");
    buf_reset(&c);
    grpc_text_decode(str_of("%zz%4"), &c);
    assert_string_equal(buf_cstr(&c), "%zz%4");
}

static void codes_survive_the_way_back(void **state)
{
    (void)state;
    for (int code = 0; code <= 16; code++)
        assert_int_equal(grpc_code_of(grpc_kind_of(code)), code);
    assert_int_equal(grpc_kind_of(17), ERR_UNKNOWN);
    assert_int_equal(grpc_code_of(ERR_CONFLICT), GRPC_FAILED_PRECONDITION);
}

static void messages_in_arenas(void **state)
{
    (void)state;
    auto_arena struct arena *a = arena_new();
    Content__Info info = CONTENT__INFO__INIT, *back;
    struct err e = {0};

    for (int i = 0; i < 9; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "k%d", i);
        pb_map_add(&content__info__labels_entry__descriptor, &info.n_labels, &info.labels, key, "v",
                   a);
    }
    info.created_at = pb_time_new(0, a);
    info.updated_at = pb_time_new(-1, a);
    Pb__Any *any = pb_any_new(&info.base, a);
    assert_string_equal(any->type_url, "containerd.services.content.v1.Info");
    assert_ok(pb_any_unpack(any, &content__info__descriptor, a, &back, &e));
    assert_string_equal(pb_map_get(back->n_labels, back->labels, "k8"), "v");
    assert_null(pb_map_get(back->n_labels, back->labels, "k9"));
    assert_true(back->created_at->seconds == INT64_C(-62135596800));
    assert_true(pb_time_ns(back->created_at) == 0 && pb_time_ns(back->updated_at) == -1);
    any->type_url = (char *)(uintptr_t) "types.containerd.io/containerd.services.content.v1.Info";
    assert_true(pb_any_is(any, &content__info__descriptor));
    assert_err(pb_any_unpack(any, &pb__empty__descriptor, a, &back, &e), ERR_INVALID, "expected a");
    assert_err(pb_any_unpack(NULL, &pb__empty__descriptor, a, &back, &e), ERR_INVALID, "nothing");

    /* two bytes a message that unfold into hundreds */
    size_t n = (size_t)8 << 20;
    auto_free uint8_t *bomb = mem_alloc(n);
    for (size_t i = 0; i < n; i += 2)
        bomb[i] = 0x0a;
    Content__ListContentResponse *list;
    assert_err(pb_unpack(&content__list_content_response__descriptor, bomb, n, a, &list, &e),
               ERR_EXHAUSTED, "memory");
    assert_err(pb_unpack(&content__info__descriptor, "\xff", 1, a, &list, &e), ERR_INVALID,
               "not a valid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deframing),
        cmocka_unit_test(timeouts_and_texts),
        cmocka_unit_test(codes_survive_the_way_back),
        cmocka_unit_test(messages_in_arenas),
    };
    return cmocka_run_group_tests_name("grpc_wire", tests, NULL, NULL);
}
