/* Pushing to a registry that misbehaves. */
#include "test.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "base/time.h"
#include "pull_fixture.h"
#include "store/content.h"
#include "store/push.h"
#include "sys/fd.h"

/* An image in the store, and a second registry without it. */
struct push_fixture {
    struct fixture *f;
    struct fake_registry to;
    int parallel;
    char log[4096];
};

static int push_setup(void **state)
{
    struct push_fixture *p = mem_alloc(sizeof(*p));
    struct err e = {0};
    void *f;
    if (setup(&f) < 0 || fake_start(&p->to) < 0)
        return -1;
    p->f = f;
    make_one(p->f);
    assert_ok(pull(p->f, "latest", NULL, -1, &e));
    *state = p;
    return 0;
}

static int push_teardown(void **state)
{
    struct push_fixture *p = *state;
    void *f = p->f;
    fake_stop(&p->to);
    free(p);
    return teardown(&f);
}

static void on_push(void *arg, const struct push_progress *pp)
{
    static const char *const names[] = {"waiting", NULL, "sent", "exists", "mounted"};
    struct push_fixture *p = arg;
    size_t n = strlen(p->log);
    if (names[pp->state] != NULL && oci_is_layer(pp->media_type))
        (void)snprintf(p->log + n, sizeof(p->log) - n, "%s %s;", names[pp->state],
                       pp->from != NULL ? pp->from : "");
}

static int push(struct push_fixture *p, const char *name, int cancel_fd, struct err *e)
{
    auto_registry_target struct image_target *t = NULL;
    auto_free char *text = mem_printf("127.0.0.1:%d/%s", p->to.port, name);
    struct push_opts o = {
        .cancel_fd = cancel_fd, .max_parallel = p->parallel, .progress = on_push, .arg = p};
    struct image_record rec;
    struct ref ref;
    err_clear(e);
    p->log[0] = 0;
    p->f->ro.cancel_fd = cancel_fd;
    assert_int_equal(ref_parse(text, &ref, e), 0);
    assert_int_equal(image_get(p->f->s, &ns, "docker.io/library/app:latest", p->f->a, &rec, e), 0);
    o.target = &rec.target;
    assert_int_equal(registry_target_open(&ref, &p->f->ro, &t, e), 0);
    return image_push(p->f->s, &ns, t, &o, e);
}

/* What was pushed is byte by byte what was pulled. */
static void assert_pushed(struct push_fixture *p, const char *tag)
{
    auto_free char *path = mem_printf("manifests/%s", tag);
    struct fake_blob *b = map_get(&p->to.blobs, path);
    assert_non_null(b);
    assert_string_equal(b->digest, p->f->res.target.digest);
    assert_string_equal(p->to.last_type, OCI_MANIFEST);
    map_each(ent, &p->f->reg.blobs) {
        if (strncmp(ent->key, "blobs/", 6) == 0)
            assert_true(map_has(&p->to.blobs, ent->key));
    }
}

static void forget(struct push_fixture *p)
{
    fake_stop(&p->to);
    p->to = (struct fake_registry){0};
    assert_int_equal(fake_start(&p->to), 0);
}

static void test_good_ways(void **state)
{
    struct push_fixture *p = *state;
    struct err e = {0};
    static const enum mischief fine[] = {FAKE_HONEST, FAKE_CUT_ONCE, FAKE_BUSY_ONCE, FAKE_REDIRECT};
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        p->to.mischief = fine[i];
        p->to.need_token = fine[i] == FAKE_REDIRECT;
        assert_ok(push(p, "app:1", -1, &e));
        assert_pushed(p, "1");
        assert_string_equal(p->log, "waiting ;sent ;");
        assert_int_equal(p->to.uploads,
                         fine[i] == FAKE_CUT_ONCE || fine[i] == FAKE_BUSY_ONCE ? 3 : 2);
        assert_ok(push(p, "app:2", -1, &e));
        assert_pushed(p, "2");
        assert_string_equal(p->log, "waiting ;exists ;");
        forget(p);
    }
}

static void test_bad_ways(void **state)
{
    struct push_fixture *p = *state;
    struct err e = {0};
    p->f->ro.attempts = 2;
    p->to.mischief = FAKE_BROKEN;
    assert_err(push(p, "app:1", -1, &e), ERR_UNAVAILABLE, "status 500");
    assert_false(map_has(&p->to.blobs, "manifests/1"));
    p->to.mischief = FAKE_HONEST;
    p->to.need_basic = true;
    assert_err(push(p, "app:1", -1, &e), ERR_UNAUTHORIZED, "no basic auth credentials");
    p->f->ro.creds = (struct registry_creds){.username = "u", .password = "wrong"};
    assert_err(push(p, "app:1", -1, &e), ERR_UNAUTHORIZED, "unauthorized: authentication required");
    p->f->ro.creds.password = "p";
    assert_ok(push(p, "app:1", -1, &e));
    assert_pushed(p, "1");
    auto_fd int cancel = eventfd(1, EFD_CLOEXEC);
    forget(p);
    assert_err(push(p, "app:1", cancel, &e), ERR_CANCELLED, "cancel");
}

static int answer_late(void *arg, const char *host UNUSED, const char *challenge UNUSED,
                       struct registry_creds *out, struct err *e UNUSED)
{
    _Atomic int *asked = arg;
    (*asked)++;
    (void)poll(NULL, 0, 200); /* meanwhile the other worker is refused, too */
    *out = (struct registry_creds){.username = "u", .password = "p"};
    return 0;
}

/* Workers that are refused at the same time share one answer. */
static void test_credentials_asked_once(void **state)
{
    struct push_fixture *p = *state;
    struct err e = {0};
    _Atomic int asked = 0;
    p->f->ro.ask = answer_late;
    p->f->ro.ask_arg = &asked;
    p->to.need_basic = true;
    assert_ok(push(p, "app:1", -1, &e));
    assert_int_equal(asked, 1);
    forget(p);
    p->to.need_token = true;
    asked = 0;
    assert_ok(push(p, "app:1", -1, &e));
    assert_int_equal(asked, 1);
    assert_int_equal(p->to.token_requests, 1);
}

/* A token covers reading and writing; it may end at any time. */
static void test_tokens(void **state)
{
    struct push_fixture *p = *state;
    struct err e = {0};
    p->to.need_token = true;
    assert_ok(push(p, "app:1", -1, &e));
    assert_pushed(p, "1");
    assert_non_null(strstr(p->to.last_token, "scope=repository%3Aapp%3Apull%2Cpush"));
    p->parallel = 1; /* else the fake ends a token that another thread has just got */
    for (int life = 3; life < 7; life++) {
        forget(p);
        p->to.need_token = true;
        p->to.token_life = life;
        assert_ok(push(p, "app:1", -1, &e));
        assert_pushed(p, "1");
        assert_true(p->to.token_requests > 1);
    }
}

static void test_mounts(void **state)
{
    struct push_fixture *p = *state;
    struct err e = {0};
    p->to.need_token = true;
    p->to.mountable = "other";
    assert_ok(push(p, "other:1", -1, &e));
    assert_int_equal(p->to.mounts, 0); /* nothing is known to be there yet */
    fake_clear(&p->to);
    assert_ok(push(p, "app:1", -1, &e));
    assert_int_equal(p->to.mounts, 2);
    assert_string_equal(p->log, "waiting ;mounted other;");
    assert_non_null(strstr(p->to.last_token, "scope=repository%3Aother%3Apull"));
    /* a registry that does not mount gets the bytes */
    forget(p);
    assert_ok(push(p, "app:1", -1, &e));
    assert_pushed(p, "1");
}

static void test_missing(void **state)
{
    struct push_fixture *p = *state;
    struct fixture *f = p->f;
    struct err e = {0};
    struct oci_index index = {.schema_version = 2, .media_type = OCI_INDEX};
    struct oci_platform amd = {.architecture = "amd64", .os = "linux"};
    struct oci_platform arm = {.architecture = "arm64", .os = "linux"};
    struct buf doc = BUF_MAX(65536);
    char other[72];
    digest_of("nobody has it", 13, other);
    const struct oci_descriptor parts[] = {
        {.media_type = OCI_MANIFEST,
         .digest = f->res.target.digest,
         .size = f->res.target.size,
         .platform = &amd},
        {.media_type = OCI_MANIFEST, .digest = other, .size = 13, .platform = &arm}};
    vec_push_in(f->a, &index.manifests, parts[0]);
    vec_push_in(f->a, &index.manifests, parts[1]);
    json_write(&oci_index_json, &index, &doc);
    fake_add(&f->reg, "manifests", "multi", OCI_INDEX, doc.p, doc.n);
    fake_add(&f->reg, "manifests", NULL, OCI_INDEX, doc.p, doc.n);
    buf_done(&doc);
    assert_ok(pull(f, "multi", "linux/amd64", -1, &e));
    assert_err(push(p, "app:1", -1, &e), ERR_NOT_FOUND, other);
    assert_int_equal(p->to.requests, 0);

    auto_registry_target struct image_target *t = NULL;
    auto_free char *text = mem_printf("127.0.0.1:%d/app:1", p->to.port);
    const char *const platforms[] = {"linux/amd64", NULL};
    const struct push_opts o = {.target = &f->res.target, .platforms = platforms};
    struct ref ref;
    assert_ok(ref_parse(text, &ref, &e));
    assert_ok(registry_target_open(&ref, &f->ro, &t, &e));
    assert_ok(image_push(f->s, &ns, t, &o, &e));
    struct fake_blob *b = map_get(&p->to.blobs, "manifests/1");
    assert_non_null(b);
    assert_string_equal(b->digest, f->res.target.digest);
    auto_free char *child = mem_printf("manifests/%s", parts[0].digest);
    assert_true(map_has(&p->to.blobs, child));
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, push_setup, push_teardown)
    const struct CMUnitTest tests[] = {CASE(test_good_ways),
                                       CASE(test_bad_ways),
                                       CASE(test_tokens),
                                       CASE(test_mounts),
                                       CASE(test_credentials_asked_once),
                                       CASE(test_missing)};
    registry_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
