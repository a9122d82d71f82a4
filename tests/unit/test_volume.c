/* Local volumes: names, options, rows before directories, use, and what a crash leaves. */
#include "test.h"
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "volume/options.h"
#include "volume/volume.h"

static char root[] = "/tmp/hull-volume-XXXXXX";
static struct volumes *vs;
static struct arena *arena;
static struct err e;
static bool own_ns;
static uid_t owner; /* of new volumes */

/* ---- a database ---- */

static struct {
    struct map rows; /* name -> struct volume_doc in arena */
    int fail_put, fail_del;
    pthread_mutex_t lock;
} db = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int db_put(void *arg, const struct volume_doc *doc, struct err *err)
{
    struct volume_doc *copy;

    (void)arg;
    if (db.fail_put)
        return err_set(err, ERR_INTERNAL, "database is full");
    pthread_mutex_lock(&db.lock);
    copy = ARENA_NEW(arena, struct volume_doc);
    json_copy(&volume_doc_json, copy, doc, arena);
    (void)map_put(&db.rows, doc->name, copy);
    pthread_mutex_unlock(&db.lock);
    return 0;
}

static int db_del(void *arg, const char *name, struct err *err)
{
    (void)arg;
    if (db.fail_del)
        return err_set(err, ERR_INTERNAL, "database is gone");
    pthread_mutex_lock(&db.lock);
    (void)map_del(&db.rows, name);
    pthread_mutex_unlock(&db.lock);
    return 0;
}

static void open_saved(void)
{
    const struct volume_store store = {NULL, db_put, db_del};
    VEC(struct volume_doc) saved = {0};

    map_each(ent, &db.rows)
        vec_push(&saved, *(struct volume_doc *)ent->val);
    const struct volumes_opts o = {.root = root, .store = &store, .owner_uid = owner};
    assert_ok(volumes_open(&o, saved.v, saved.n, &vs, &e));
    vec_done(&saved);
}

static int begin(void **state)
{
    (void)state;
    arena = arena_new();
    open_saved();
    return 0;
}

static int end(void **state)
{
    struct volume_row *rows;
    size_t n;

    (void)state;
    db.fail_put = db.fail_del = 0;
    volumes_list(vs, arena, &rows, &n);
    for (size_t i = 0; i < n; i++) {
        struct strv users = volume_users(vs, rows[i].doc.name, arena);
        for (size_t k = 0; k < users.n; k++)
            volume_unref(vs, rows[i].doc.name, users.v[k]);
        assert_ok(volume_remove(vs, rows[i].doc.name, false, &e));
    }
    volumes_close(vs);
    assert_int_equal(db.rows.n, 0);
    map_done(&db.rows);
    assert_int_equal(rmdir(root), 0); /* no directory without a row */
    assert_int_equal(mkdir(root, 0700), 0);
    arena_free(arena);
    return 0;
}

static struct volume_doc create(const char *name)
{
    struct volume_rq rq = {.name = name, .driver = "local"};
    struct volume_doc doc = {0};

    assert_ok(volume_create(vs, &rq, arena, &doc, NULL, &e));
    return doc;
}

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* ---- tests ---- */

static void test_owner(void **state)
{
    struct volume_doc was, is;
    struct stat st;

    (void)state;
    if (geteuid() != 0)
        skip();
    was = create("was");
    volumes_close(vs);
    owner = 100000; /* as who root of a user namespace is */
    open_saved();
    owner = 0;
    is = create("is");
    assert_int_equal(stat(was.mountpoint, &st), 0);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(stat(is.mountpoint, &st), 0);
    assert_int_equal(st.st_uid, 100000);
}

static void test_create_and_look(void **state)
{
    struct strmap_ent label[] = {{"a", "b"}};
    struct volume_rq rq = {.name = "data", .labels = {label, 1, 1}}, none = {.name = ""},
                     other = {.name = "data", .driver = "nfs"};
    struct volume_doc doc, again, anon;
    struct volume_row *rows;
    bool is_new;
    size_t n;

    (void)state;
    assert_ok(volume_create(vs, &rq, arena, &doc, &is_new, &e));
    assert_true(is_new);
    auto_free char *want = mem_printf("%s/data/_data", root);
    assert_string_equal(doc.mountpoint, want);
    assert_true(exists(want));
    assert_string_equal(strmap_get(&doc.labels, "a"), "b");
    assert_false(volume_is_anonymous(&doc));
    assert_ok(volume_create(vs, &rq, arena, &again, &is_new, &e));
    assert_false(is_new);
    assert_int_equal(again.created_ns, doc.created_ns);
    assert_err(volume_create(vs, &other, arena, &again, NULL, &e), ERR_CONFLICT,
               "volume name must be unique");
    assert_ok(volume_create(vs, &none, arena, &anon, &is_new, &e));
    assert_int_equal(strlen(anon.name), 64);
    assert_true(volume_is_anonymous(&anon));
    volumes_list(vs, arena, &rows, &n);
    assert_int_equal(n, 2);
    assert_err(volume_get(vs, "nope", arena, &doc, &e), ERR_NOT_FOUND, "get nope: no such volume");
}

static void test_bad_names(void **state)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"x", "volume name is too short, names should be at least two alphanumeric characters"},
        {"../up", "\"../up\" includes invalid characters for a local volume name, only "
                  "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed."},
        {"a/b", "includes invalid characters"},
        {".a", "includes invalid characters"},
        {"a b", "includes invalid characters"},
        {"\xc3\xa4h", "includes invalid characters"},
    };
    struct volume_rq rq = {.driver = ""}, foreign = {.name = "ok", .driver = "weird"};
    struct volume_doc doc;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rq.name = bad[i].name;
        assert_err(volume_create(vs, &rq, arena, &doc, NULL, &e), ERR_INVALID, bad[i].text);
    }
    auto_free char *longest = mem_alloc(300);
    memset(longest, 'a', 299);
    rq.name = longest;
    assert_err(volume_create(vs, &rq, arena, &doc, NULL, &e), ERR_INVALID, "too long");
    assert_err(volume_create(vs, &foreign, arena, &doc, NULL, &e), ERR_NOT_FOUND,
               "plugin \"weird\" not found");
}

static int parse(const char *k1, const char *v1, const char *k2, const char *v2, const char *k3,
                 const char *v3, struct volume_mount *out)
{
    struct strmap m = {0};

    strmap_set(&m, arena, k1, v1);
    if (k2 != NULL)
        strmap_set(&m, arena, k2, v2);
    if (k3 != NULL)
        strmap_set(&m, arena, k3, v3);
    return volume_options_parse(&m, arena, out, &e);
}

static void test_options(void **state)
{
    struct volume_mount m;

    (void)state;
    assert_err(parse("type", "tmpfs", NULL, NULL, NULL, NULL, &m), ERR_INVALID,
               "missing required option: \"device\"");
    assert_err(parse("device", "x", NULL, NULL, NULL, NULL, &m), ERR_INVALID,
               "missing required option: \"type\"");
    assert_err(parse("o", "ro", NULL, NULL, NULL, NULL, &m), ERR_INVALID,
               "missing required option: \"device\"");
    assert_err(parse("colour", "blue", NULL, NULL, NULL, NULL, &m), ERR_INVALID,
               "invalid option: \"colour\"");
    assert_err(parse("size", "1g", NULL, NULL, NULL, NULL, &m), ERR_UNIMPLEMENTED,
               "quota size requested but no quota support");
    assert_ok(
        parse("type", "tmpfs", "device", "tmpfs", "o", "nosuid,size=1m,ro,rw,uid=5,rshared", &m));
    assert_string_equal(m.data, "size=1m,uid=5");
    assert_int_equal(m.flags, MS_NOSUID);
    assert_int_equal(m.propagation, MS_SHARED | MS_REC);
    assert_ok(parse("type", "none", "device", "/srv", "o", "bind,ro", &m));
    assert_int_equal(m.flags, MS_BIND | MS_RDONLY);
}

static void test_in_use(void **state)
{
    (void)state;
    (void)create("used");
    assert_ok(volume_ref(vs, "used", "c1", &e));
    assert_ok(volume_ref(vs, "used", "c1", &e));
    assert_ok(volume_ref(vs, "used", "c2", &e));
    assert_err(volume_ref(vs, "nope", "c2", &e), ERR_NOT_FOUND, "get nope: no such volume");
    assert_err(volume_remove(vs, "used", true, &e), ERR_CONFLICT,
               "remove used: volume is in use - [c1, c2]");
    volume_unref(vs, "used", "c1");
    volume_unref(vs, "used", "c2");
    volume_unref(vs, "used", "c3");
    assert_ok(volume_remove(vs, "used", false, &e));
    assert_err(volume_remove(vs, "used", false, &e), ERR_NOT_FOUND, "get used: no such volume");
    assert_ok(volume_remove(vs, "used", true, &e));
}

static void test_content(void **state)
{
    struct volume_doc doc = create("full");
    auto_free char *file = mem_printf("%s/file", doc.mountpoint),
                   *link_ = mem_printf("%s/link", doc.mountpoint);
    auto_free char *deep = mem_printf("%s/a/b/c", doc.mountpoint),
                   *out = mem_printf("%s/a/out", doc.mountpoint);
    int64_t before, bytes;
    bool empty;
    static char block[100000];

    (void)state;
    assert_ok(volume_is_empty(vs, "full", &empty, &e));
    assert_true(empty);
    assert_ok(volume_usage(vs, "full", &before, &e));
    auto_fd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, block, sizeof(block)), 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(link(file, link_), 0); /* counted once */
    assert_ok(path_mkdirs(deep, 0755, &e));
    assert_int_equal(symlink("/usr", out), 0); /* not followed */
    assert_ok(volume_is_empty(vs, "full", &empty, &e));
    assert_false(empty);
    assert_ok(volume_usage(vs, "full", &bytes, &e));
    assert_in_range(bytes - before, sizeof(block), sizeof(block) + 64 * 1024);
    assert_ok(volume_remove(vs, "full", false, &e));
    assert_false(exists(doc.mountpoint));
    assert_true(exists("/usr"));
}

static void test_mounts(void **state)
{
    struct strmap_ent opt[] = {{"device", "tmpfs"}, {"o", "size=64k,mode=0701"}, {"type", "tmpfs"}};
    struct volume_rq rq = {.name = "ram", .options = {opt, 3, 3}};
    struct volume_doc doc;
    const char *path;
    struct stat st;

    (void)state;
    if (!own_ns)
        skip();
    assert_ok(volume_create(vs, &rq, arena, &doc, NULL, &e));
    assert_ok(volume_mount(vs, "ram", "c1", arena, &path, &e));
    assert_ok(volume_mount(vs, "ram", "c2", arena, &path, &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0701);
    assert_ok(volume_unmount(vs, "ram", "c1", &e));
    assert_ok(volume_unmount(vs, "ram", "c1", &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0701); /* c2 still uses it */
    volumes_close(vs);                         /* the daemon is killed; c2 runs on */
    open_saved();
    assert_ok(volume_mount(vs, "ram", "c2", arena, &path, &e)); /* not a second mount on top */
    assert_ok(volume_unmount(vs, "ram", "c2", &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    struct strmap_ent bad[] = {{"device", "/nonexistent"}, {"type", "ext4"}};
    struct volume_rq broken = {.name = "broken", .options = {bad, 2, 2}};
    assert_ok(volume_create(vs, &broken, arena, &doc, NULL, &e));
    assert_err(volume_mount(vs, "broken", "c1", arena, &path, &e), ERR_INTERNAL,
               "error while mounting volume '");
    assert_non_null(strstr(e.msg, "failed to mount local volume: mount /nonexistent:"));
}

static void test_database_errors(void **state)
{
    struct volume_rq rq = {.name = "unlucky"};
    struct volume_doc doc;
    auto_free char *dir = mem_printf("%s/unlucky", root);

    (void)state;
    db.fail_put = 1;
    assert_err(volume_create(vs, &rq, arena, &doc, NULL, &e), ERR_INTERNAL, "database is full");
    assert_false(exists(dir));
    assert_err(volume_get(vs, "unlucky", arena, &doc, &e), ERR_NOT_FOUND, "no such volume");
    db.fail_put = 0;
    (void)create("unlucky");
    db.fail_put = 1;
    assert_err(volume_remove(vs, "unlucky", false, &e), ERR_INTERNAL, "database is full");
    assert_true(exists(dir));
    db.fail_put = 0;
    db.fail_del = 1;
    assert_err(volume_remove(vs, "unlucky", false, &e), ERR_INTERNAL, "database is gone");
}

/* What a kill at each step leaves: a marked row, a row without a directory, a directory without a
 * row. */
static void test_after_a_crash(void **state)
{
    auto_free char *half = mem_printf("%s/half", root), *stray = mem_printf("%s/stray/deep", root);
    struct volume_doc doc, marked;

    (void)state;
    doc = create("half");
    (void)create("kept");
    marked = doc;
    marked.removing = true;
    assert_ok(db_put(NULL, &marked, &e));
    volumes_close(vs);
    assert_ok(path_mkdirs(stray, 0755, &e));
    auto_free char *kept = mem_printf("%s/kept", root),
                   *kept_data = mem_printf("%s/kept/_data", root);
    assert_int_equal(rmdir(kept_data), 0);
    assert_int_equal(rmdir(kept), 0);
    open_saved();
    assert_false(exists(half));
    assert_false(exists(stray));
    assert_true(exists(kept_data));
    assert_err(volume_get(vs, "half", arena, &doc, &e), ERR_NOT_FOUND, "no such volume");
    assert_ok(volume_get(vs, "kept", arena, &doc, &e));
}

/* The same names from several threads: no crash, no leak, one winner at a time. */
static void *hammer(void *arg)
{
    struct arena *a = arena_new();
    struct err err;

    for (int i = 0; i < 100; i++) {
        char name[16];
        struct volume_doc doc;
        snprintf(name, sizeof(name), "v%d", i % 3);
        struct volume_rq rq = {.name = name};
        if (volume_create(vs, &rq, a, &doc, NULL, &err) == 0 &&
            volume_ref(vs, name, arg, &err) == 0)
            volume_unref(vs, name, arg);
        (void)volume_remove(vs, name, true, &err);
    }
    arena_free(a);
    return NULL;
}

static void test_threads(void **state)
{
    static char ids[4][2] = {"a", "b", "c", "d"};
    pthread_t t[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, ids[i]), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(test_owner),   CASE(test_create_and_look), CASE(test_bad_names),
        CASE(test_options), CASE(test_in_use),          CASE(test_content),
        CASE(test_mounts),  CASE(test_database_errors), CASE(test_after_a_crash),
        CASE(test_threads),
    };
    int r;

    own_ns = in_own_netns();
    if (mkdtemp(root) == NULL)
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(root);
    return r;
}
