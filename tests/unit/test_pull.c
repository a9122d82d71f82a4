/* Pulling from a registry that misbehaves, and the rules that merge layers. */
#include "test.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/time.h"
#include "pull_fixture.h"
#include "store/content.h"
#include "store/snapshot.h"
#include "sys/fd.h"
#include "types/digest.h"

static void assert_pulled(struct fixture *f)
{
    struct err e = {0};
    struct snapshot_info info;
    assert_ok(snapshot_stat(f->s, &ns, f->res.chain_id, f->a, &info, &e));
    auto_fd int fd = snapshot_open_dir(f->s, &ns, f->res.chain_id, &e);
    struct stat st;
    assert_int_equal(fstatat(fd, "data", &st, 0), 0);
    assert_int_equal(st.st_size, 3000000);
    assert_int_equal(entries(f->root, "ingest"), 0);
}

static void test_good_ways(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    static const enum mischief fine[] = {FAKE_HONEST, FAKE_CUT_ONCE, FAKE_BUSY_ONCE, FAKE_REDIRECT,
                                         FAKE_NO_RANGE};
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        f->reg.mischief = fine[i];
        f->reg.need_token = fine[i] == FAKE_REDIRECT;
        f->reg.no_head = fine[i] == FAKE_BUSY_ONCE;
        assert_ok(pull(f, "latest", NULL, -1, &e));
        assert_pulled(f);
        assert_non_null(
            strstr(f->log, "Pulling fs layer;Download complete;Extracting;Pull complete;"));
        assert_ok(pull(f, "latest", NULL, -1, &e));
        assert_string_equal(f->log, "Already exists;");
        assert_false(f->res.changed);
        assert_ok(image_delete(f->s, &ns, "docker.io/library/app:latest", NULL, true, &e));
        assert_int_equal(entries(f->root, "blobs/sha256"), 0);
        assert_int_equal(entries(f->root, "snapshots"), 0);
    }
    assert_true(f->reg.token_requests > 0);
}

static void test_resume_after_restart(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    /* the config comes through, the layer never does */
    f->reg.mischief = FAKE_STALL;
    f->ro.attempts = 1;
    assert_err(pull(f, "latest", NULL, -1, &e), ERR_UNAVAILABLE, "the registry stalled");
    assert_int_equal(entries(f->root, "snapshots"), 0);
    store_close(f->s);
    open_store(f);
    f->reg.mischief = FAKE_HONEST;
    assert_ok(pull(f, "latest", NULL, -1, &e));
    f->reg.last_range = -1;
    assert_ok(image_delete(f->s, &ns, "docker.io/library/app:latest", NULL, true, &e));
    /* now in the middle of the layer */
    assert_ok(store_gc(f->s, &e));
    f->reg.mischief = FAKE_HONEST;
}

static void test_layer_resumes(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct content_writer *w = NULL;
    make_one(f);
    struct buf gz = BUF_MAX(64 << 20);
    char digest[72];
    read_file(f, "l1.tar.gz", &gz);
    digest_of(gz.p, gz.n, digest);
    auto_free char *ref = mem_printf("layer-%s", digest);
    assert_ok(content_writer_open(f->s, &ns, ref, (int64_t)gz.n, digest, &w, &e));
    assert_ok(content_write(w, gz.p, 1234567, &e));
    content_writer_close(w);
    store_close(f->s);
    open_store(f);
    assert_ok(pull(f, "latest", NULL, -1, &e));
    assert_int_equal(f->reg.last_range, 1234567);
    assert_pulled(f);
    buf_done(&gz);
}

static void test_bad_ways(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum mischief m;
        enum err_kind kind;
        const char *text;
    } cases[] = {
        {FAKE_WRONG, ERR_PRECONDITION, "unexpected commit digest"},
        {FAKE_LONGER, ERR_PRECONDITION, "more than the announced"},
        {FAKE_SHORTER, ERR_PRECONDITION, "of the announced"},
        {FAKE_BROKEN, ERR_UNAVAILABLE, "status 500"},
        {FAKE_GONE, ERR_NOT_FOUND, "not found in the registry"},
    };
    make_one(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        f->reg.mischief = cases[i].m;
        assert_err(pull(f, "latest", NULL, -1, &e), cases[i].kind, cases[i].text);
        assert_ok(store_gc(f->s, &e));
        assert_int_equal(entries(f->root, "snapshots"), 0);
        if (cases[i].kind == ERR_PRECONDITION) {
            assert_int_equal(entries(f->root, "ingest"), 0);
            assert_int_equal(entries(f->root, "blobs/sha256"), 0);
        }
    }
    struct err e = {0};
    assert_err(pull(f, "nope", NULL, -1, &e), ERR_NOT_FOUND,
               "app:nope not found: manifest unknown: manifest unknown");
    f->reg.need_token = true;
    f->reg.mischief = FAKE_HONEST;
    assert_ok(pull(f, "latest", NULL, -1, &e));
}

static void test_basic_auth(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    f->reg.need_basic = true;
    assert_err(pull(f, "latest", NULL, -1, &e), ERR_UNAUTHORIZED, "no basic auth credentials");
    f->ro.creds = (struct registry_creds){.username = "u", .password = "wrong"};
    assert_err(pull(f, "latest", NULL, -1, &e), ERR_UNAUTHORIZED, "unauthorized");
    f->ro.creds.password = "p";
    assert_ok(pull(f, "latest", NULL, -1, &e));
    assert_pulled(f);
}

/* A token may end at any time. */
static void test_tokens_end(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    f->reg.need_token = true;
    for (int life = 3; life < 6; life++) {
        f->reg.token_life = life;
        f->reg.token_requests = 0;
        assert_ok(pull(f, "latest", NULL, -1, &e));
        assert_pulled(f);
        assert_true(f->reg.token_requests > 1);
        assert_ok(image_delete(f->s, &ns, "docker.io/library/app:latest", NULL, true, &e));
    }
}

/* What cannot be pulled says why. */
static void test_refused_kinds(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    struct fake_blob *b = map_get(&f->reg.blobs, "manifests/latest");
    auto_free char *before = mem_strndup(b->bytes.p, b->bytes.n);
    char *at = strstr(before, OCI_LAYER_GZIP);
    assert_non_null(at);
    *at = '\0';
    auto_free char *foreign =
        mem_printf("%s" DOCKER_FOREIGN_LAYER_GZIP "%s", before, at + sizeof(OCI_LAYER_GZIP) - 1);
    fake_add(&f->reg, "manifests", "foreign", OCI_MANIFEST, foreign, strlen(foreign));
    fake_add(&f->reg, "manifests", NULL, OCI_MANIFEST, foreign, strlen(foreign));
    assert_err(pull(f, "foreign", NULL, -1, &e), ERR_INVALID, "is a foreign layer");
    fake_add(&f->reg, "manifests", "old", DOCKER_SCHEMA1, "{}", 2);
    assert_err(pull(f, "old", NULL, -1, &e), ERR_INVALID, "schema 1 support has been removed");
    assert_int_equal(entries(f->root, "snapshots"), 0);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    auto_fd int cancel = eventfd(1, EFD_CLOEXEC);
    make_one(f);
    f->reg.mischief = FAKE_STALL;
    int64_t began = time_mono_ns();
    assert_err(pull(f, "latest", NULL, cancel, &e), ERR_CANCELLED, "cancel");
    assert_true(time_mono_ns() - began < 5 * NS_PER_S);
    assert_int_equal(entries(f->root, "snapshots"), 0);
}

static void test_diff_id_mismatch(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    sh(f->dir,
       "mkdir s; echo 1 >s/a; tar -C s -cf l1.tar .; gzip -k l1.tar; echo 2 >s/a; tar -C s -cf "
       "l1.tar .");
    serve_image(f, "latest", one, "amd64");
    assert_err(pull(f, "latest", NULL, -1, &e), ERR_PRECONDITION,
               "wrong diff id calculated on extraction");
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "snapshots"), 0);
    assert_int_equal(entries(f->root, "blobs/sha256"), 0);
}

static void test_hostile_layer(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    sh(f->dir,
       "mkdir s; echo 1 >s/a; tar -C s --transform 's,^a,../../a,' -cPf l1.tar a; gzip -k l1.tar");
    serve_image(f, "latest", one, "amd64");
    assert_err(pull(f, "latest", NULL, -1, &e), ERR_INVALID, "outside of the archive's root");
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "snapshots"), 0);
    assert_int_equal(entries(f->root, "blobs/sha256"), 0);
}

static void test_merging(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    static const char *const layers[] = {"l1", "l2", "l3", "l4", NULL};
    sh(f->dir,
       "mkdir -p a/usr/lib a/deep/er a/old; ln -s usr/lib a/lib; echo f >a/usr/lib/f; chown 7:8 "
       "a/deep; chmod 750 a/deep/er;"
       "echo x >a/old/x; touch -d 2001-01-01 a/deep/er;"
       "mkdir -p b/lib b/deep/er b/old; echo n >b/lib/n; echo d >b/deep/er/d;"
       "mkdir -p c/x c/usr/lib; echo f >c/usr/lib/f; ln c/usr/lib/f c/x/hard;"
       "mkdir -p d/old; : >d/old/.wh..wh..opq; echo y >d/old/y; : >d/usr.tmp;"
       "tar -C a -cf l1.tar .; tar -C b -cf l2.tar lib/n deep/er/d;"
       "tar -C c -cf l3.tar usr/lib/f x/hard; tar --delete -f l3.tar usr/lib/f; tar -C d -cf "
       "l4.tar old;"
       "for i in 1 2 3 4; do gzip -k l$i.tar; done");
    serve_image(f, "latest", layers, "amd64");
    assert_ok(pull(f, "latest", NULL, -1, &e));
    struct mount_spec m;
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_VIEW, "v", f->res.chain_id, NULL, f->a, &m, &e));
    struct buf b = BUF_MAX(65536);
    buf_printf(&b, "mkdir m; unshare -m sh -ec 'mount -t overlay overlay -o ");
    for (size_t i = 0; i < m.options.n; i++)
        buf_printf(&b, "%s%s", i > 0 ? "," : "", m.options.v[i]);
    buf_printf(&b, " m; test \"$(readlink m/lib)\" = usr/lib; test \"$(cat m/usr/lib/n)\" = n; "
                   "test -e m/usr/lib/f;"
                   "test \"$(stat -c %%u:%%g m/deep)\" = 7:8; test \"$(stat -c %%a m/deep/er)\" = "
                   "750; test \"$(cat m/deep/er/d)\" = d;"
                   "test \"$(cat m/x/hard)\" = f; test \"$(ls m/old)\" = y'");
    sh(f->dir, buf_cstr(&b));
    buf_done(&b);
}

static void test_platforms(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    make_one(f);
    struct oci_index index = {.schema_version = 2, .media_type = OCI_INDEX};
    struct fake_blob *b = map_get(&f->reg.blobs, "manifests/latest");
    struct oci_platform amd = {.architecture = "amd64", .os = "linux"};
    struct oci_descriptor d = {.media_type = OCI_MANIFEST,
                               .digest = b->digest,
                               .size = (int64_t)b->bytes.n,
                               .platform = &amd};
    struct buf doc = BUF_MAX(65536);
    vec_push_in(f->a, &index.manifests, d);
    json_write(&oci_index_json, &index, &doc);
    fake_add(&f->reg, "manifests", "multi", OCI_INDEX, doc.p, doc.n);
    fake_add(&f->reg, "manifests", NULL, OCI_INDEX, doc.p, doc.n);
    buf_done(&doc);
    assert_err(pull(f, "multi", "linux/arm64/v8", -1, &e), ERR_NOT_FOUND,
               "no matching manifest for linux/arm64 in the manifest list entries");
    assert_ok(pull(f, "multi", "linux/amd64", -1, &e));
    assert_pulled(f);
    assert_string_equal(f->res.target.media_type, OCI_INDEX);
    assert_ok(store_gc(f->s, &e));
    assert_pulled(f);
    /* what the name stands for may be damaged in every way */
    static const char *const bad[] = {
        "",    "{}", "[]", "{\"manifests\":[{}]}", "{\"manifests\":[null]}", "{\"layers\":[{}]}",
        "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fake_add(&f->reg, "manifests", NULL, OCI_MANIFEST, bad[i], strlen(bad[i]));
        auto_free char *tag = mem_printf("bad%zu", i);
        fake_add(&f->reg, "manifests", tag, i % 2 == 0 ? OCI_MANIFEST : OCI_INDEX, bad[i],
                 strlen(bad[i]));
        err_clear(&e);
        assert_int_equal(pull(f, tag, NULL, -1, &e), -1);
        assert_true(e.msg[0] != 0);
    }
}

struct both {
    struct fixture *f;
    struct err e;
    int r;
};

static void *pull_in_thread(void *arg)
{
    struct both *b = arg;
    struct ref ref;
    struct image_source *src = NULL;
    struct arena *a = arena_new();
    auto_free char *text = mem_printf("127.0.0.1:%d/app:latest", b->f->reg.port);
    const struct pull_opts po = {.name = "docker.io/library/app:latest"};
    b->r = ref_parse(text, &ref, &b->e);
    if (b->r == 0)
        b->r = registry_source_open(&ref, &b->f->ro, &src, &b->e);
    if (b->r == 0)
        b->r = image_pull(b->f->s, &ns, src, &po, a, NULL, &b->e);
    registry_source_close(src);
    arena_free(a);
    return NULL;
}

static void test_two_at_once(void **state)
{
    struct fixture *f = *state;
    struct both b[4];
    pthread_t t[4];
    make_one(f);
    for (int i = 0; i < 4; i++) {
        b[i] = (struct both){.f = f};
        assert_int_equal(pthread_create(&t[i], NULL, pull_in_thread, &b[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) {
        if (b[i].r < 0)
            fail_msg("pull %d: %s", i, b[i].e.msg);
    }
    assert_int_equal(f->reg.blob_requests, 2); /* config and layer, each once */
    assert_int_equal(entries(f->root, "snapshots"), 1);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_good_ways),        CASE(test_layer_resumes), CASE(test_resume_after_restart),
        CASE(test_bad_ways),         CASE(test_basic_auth),    CASE(test_cancel),
        CASE(test_diff_id_mismatch), CASE(test_hostile_layer), CASE(test_merging),
        CASE(test_platforms),        CASE(test_tokens_end),    CASE(test_refused_kinds),
        CASE(test_two_at_once),
    };
    registry_global_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
