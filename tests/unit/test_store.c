/* The store: writers, images, leases, snapshots, garbage, the sweep at the start. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "folder.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/container.h"
#include "store/content.h"
#include "store/filter.h"
#include "store/image.h"
#include "store/lease.h"
#include "store/mask.h"
#include "store/snapshot.h"
#include "store/trash.h"
#include "sys/fd.h"
#include "sys/path.h"

struct fixture {
    char dir[64], root[80];
    struct store *s;
    struct arena *a;
};

static const struct scope ns = {"test", NULL};

static struct store *open_at(const char *root)
{
    struct err e = {0};
    struct store *s = NULL;
    const struct store_opts o = {.root = root, .unpack_path = "/nowhere", .no_gc_thread = true};
    assert_ok(store_open(&o, &s, &e));
    return s;
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/hull-test-store-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    (void)snprintf(f->root, sizeof(f->root), "%s/store", f->dir);
    f->s = open_at(f->root);
    f->a = arena_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    store_close(f->s);
    arena_free(f->a);
    int r = path_remove_tree(AT_FDCWD, f->dir, &e);
    if (r < 0) {
        int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = path_remove_tree(tmp, f->dir + 5, &e);
        fd_close(tmp);
    }
    free(f);
    return r;
}

static void put(struct fixture *f, const struct scope *sc, const char *text, char digest[72])
{
    struct err e = {0};
    assert_ok(content_put(f->s, sc, text, strlen(text), NULL, digest, &e));
}

static void test_content_write(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct content_writer *w = NULL, *second = NULL;
    struct ingest_status st;
    char digest[72];
    assert_ok(content_writer_open(f->s, &ns, "layer-1", 10, "", &w, &e));
    assert_err(content_writer_open(f->s, &ns, "layer-1", 0, "", &second, &e), ERR_UNAVAILABLE,
               "ref layer-1 locked for ");
    assert_err(ingest_abort(f->s, &ns, "layer-1", &e), ERR_UNAVAILABLE, "locked");
    assert_ok(content_write(w, "hello", 5, &e));
    content_writer_close(w);

    /* resume, also after the store was opened again */
    store_close(f->s);
    f->s = open_at(f->root);
    assert_ok(content_writer_open(f->s, &ns, "layer-1", 0, "", &w, &e));
    content_writer_status(w, &st, digest);
    assert_int_equal(st.offset, 5);
    assert_int_equal(st.total, 10);
    assert_string_equal(digest,
                        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_err(content_writer_truncate(w, 3, &e), ERR_OUT_OF_RANGE, "expected offset 5, got 3");
    assert_err(content_write(w, "too much", 8, &e), ERR_TOO_LARGE, "announced 10 bytes");
    assert_ok(content_write(w, "world", 5, &e));
    assert_err(content_writer_commit(w, 11, "", NULL, &e), ERR_PRECONDITION,
               "unexpected commit size 10, expected 11: failed precondition");
    assert_err(content_writer_commit(
                   w, 10, "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                   NULL, &e),
               ERR_PRECONDITION, "unexpected commit digest sha256:936a");
    assert_ok(content_writer_commit(w, 10, "", NULL, &e));
    char made[72];
    memcpy(made, content_writer_digest(w), sizeof(made));
    content_writer_close(w);
    assert_int_equal(entries(f->root, "ingest"), 0);
    assert_err(ingest_status(f->s, &ns, "layer-1", f->a, &st, &e), ERR_NOT_FOUND,
               "ref layer-1: not found");
    assert_err(content_writer_open(f->s, &ns, "again", 0, made, &w, &e), ERR_EXISTS,
               ": already exists");

    struct content_info info;
    struct buf b = BUF_MAX(100);
    assert_ok(content_info(f->s, &ns, made, f->a, &info, &e));
    assert_int_equal(info.size, 10);
    assert_ok(content_read(f->s, &ns, made, &b, &e));
    assert_string_equal(b.p, "helloworld");
    buf_done(&b);
    /* another namespace does not see it */
    assert_err(content_info(f->s, &(struct scope){"other", NULL}, made, f->a, &info, &e),
               ERR_NOT_FOUND, "content digest sha256:936a");
    assert_err(content_info(f->s, &ns, "sha256:../../x", f->a, &info, &e), ERR_INVALID,
               "invalid checksum digest format");
}

static void test_labels_and_masks(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char d[72];
    struct content_info info;
    struct strmap labels = {0};
    put(f, &ns, "x", d);
    strmap_set(&labels, f->a, "a", "1");
    strmap_set(&labels, f->a, "containerd.io/uncompressed", "sha256:1");
    assert_ok(content_update(f->s, &ns, d, &labels, NULL, f->a, &info, &e));
    assert_int_equal(info.labels.n, 2);
    char *one[] = {(char *)(uintptr_t) "labels.containerd.io/uncompressed"};
    struct strv mask = {.v = one, .n = 1};
    struct strmap other = {0};
    strmap_set(&other, f->a, "a", "ignored");
    strmap_set(&other, f->a, "containerd.io/uncompressed", "sha256:2");
    assert_ok(content_update(f->s, &ns, d, &other, &mask, f->a, &info, &e));
    assert_string_equal(strmap_get(&info.labels, "a"), "1");
    assert_string_equal(strmap_get(&info.labels, "containerd.io/uncompressed"), "sha256:2");
    assert_ok(content_update(f->s, &ns, d, &(struct strmap){0}, &mask, f->a, &info, &e));
    assert_null(strmap_get(&info.labels, "containerd.io/uncompressed"));
    one[0] = (char *)(uintptr_t) "size";
    assert_err(content_update(f->s, &ns, d, &other, &mask, f->a, &info, &e), ERR_INVALID,
               "cannot update \"size\" field");
}

static void test_images(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char d[72];
    struct image_record out, rec = {.name = "docker.io/library/x:latest",
                                    .target = {.media_type = OCI_MANIFEST, .size = 1}};
    put(f, &ns, "x", d);
    rec.target.digest = d;
    assert_err(image_update(f->s, &ns, &rec, NULL, f->a, &out, &e), ERR_NOT_FOUND,
               "image \"docker.io/library/x:latest\": not found");
    assert_ok(image_create(f->s, &ns, &rec, f->a, &out, &e));
    assert_err(image_create(f->s, &ns, &rec, f->a, &out, &e), ERR_EXISTS,
               "image \"docker.io/library/x:latest\": already exists");
    struct image_record *list = NULL;
    size_t n = 0;
    char *filter[] = {arena_printf(f->a, "target.digest==%s,name~=/library/", d)};
    filter[0] = arena_printf(f->a, "target.digest==%s,name~=|/library/|", d);
    assert_ok(image_list(f->s, &ns, &(struct strv){.v = filter, .n = 1}, f->a, &list, &n, &e));
    assert_int_equal(n, 1);
    assert_err(image_delete(f->s, &ns, rec.name, "sha256:no", false, &e), ERR_NOT_FOUND,
               "not found");
    assert_ok(image_delete(f->s, &ns, rec.name, d, true, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 0);
    assert_err(ns_delete(f->s, "nope", &e), ERR_NOT_FOUND, "namespace \"nope\": not found");
    assert_ok(ns_delete(f->s, "test", &e));
}

static void test_gc(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char layer[72], config[72], manifest[72], stray[72], leased[72];
    struct strmap labels = {0};
    struct lease_info lease;
    assert_ok(lease_create(f->s, &ns, "", NULL, f->a, &lease, &e));
    struct scope held = {"test", lease.id};
    put(f, &held, "layer", layer);
    put(f, &held, "leased", leased);
    assert_ok(
        snapshot_prepare(f->s, &held, SNAPSHOT_ACTIVE, "extract 1", "", NULL, f->a, NULL, &e));
    assert_ok(snapshot_commit(f->s, &held, "chain-1", "extract 1", "", NULL, &e));
    assert_ok(snapshot_prepare(f->s, &held, SNAPSHOT_ACTIVE, "extract 2", "chain-1", NULL, f->a,
                               NULL, &e));
    assert_ok(snapshot_commit(f->s, &held, "chain-2", "extract 2", "", NULL, &e));
    strmap_set(&labels, f->a, "containerd.io/gc.ref.snapshot.overlayfs", "chain-2");
    assert_ok(content_put(f->s, &held, "config", 6, &labels, config, &e));
    labels = (struct strmap){0};
    strmap_set(&labels, f->a, "containerd.io/gc.ref.content.config", config);
    strmap_set(&labels, f->a, "containerd.io/gc.ref.content.l.0", layer);
    assert_ok(content_put(f->s, &held, "manifest", 8, &labels, manifest, &e));
    put(f, &ns, "stray", stray);
    assert_ok(
        snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "stray", "chain-2", NULL, f->a, NULL, &e));

    assert_ok(store_gc(f->s, &e)); /* the lease holds all but the strays */
    assert_int_equal(entries(f->root, "blobs/sha256"), 4);
    assert_int_equal(entries(f->root, "snapshots"), 2);

    struct image_record out,
        rec = {
            .name = "img",
            .target = {.media_type = OCI_MANIFEST, .digest = manifest, .size = 8},
        };
    assert_ok(image_create(f->s, &ns, &rec, f->a, &out, &e));
    assert_ok(lease_delete(f->s, &ns, lease.id, true, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 3); /* "leased" went */
    assert_int_equal(entries(f->root, "snapshots"), 2);

    /* a container holds its snapshot and so its parents */
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "c1", "chain-2", NULL, f->a, NULL, &e));
    struct container_record c, crec = {.id = "c1",
                                       .runtime_name = "io.containerd.hull.v2",
                                       .snapshotter = "overlayfs",
                                       .snapshot_key = "c1"};
    assert_ok(container_create(f->s, &ns, &crec, f->a, &c, &e));
    assert_ok(image_delete(f->s, &ns, "img", "", true, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 0);
    assert_int_equal(entries(f->root, "snapshots"), 3);
    assert_ok(container_delete(f->s, &ns, "c1", &e));
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "snapshots"), 0);
}

static size_t leases_like(struct fixture *f, const char *filter)
{
    struct err e = {0};
    struct strv filters = {0};
    struct lease_info *list = NULL;
    size_t n = 0;
    vec_push_in(f->a, &filters, arena_strdup(f->a, filter));
    assert_ok(lease_list(f->s, &ns, &filters, f->a, &list, &n, &e));
    return n;
}

/* What an interrupted transfer fetched stays until the image is there, or its lease is deleted. */
static void test_transfer_leases(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char top[72], other[72];
    const char *id;
    assert_ok(lease_for_transfer(f->s, &ns, f->a, &id, &e));
    struct scope first = {"test", id};
    put(f, &first, "manifest", top);
    lease_end_transfer(f->s, &ns, id, true, false);
    assert_ok(lease_for_transfer(f->s, &ns, f->a, &id, &e));
    struct scope second = {"test", id};
    put(f, &second, "other", other);
    store_close(f->s); /* killed: the second was under way */
    f->s = open_at(f->root);
    assert_int_equal(leases_like(f, "id~=|^transfer-|"), 0);
    assert_int_equal(leases_like(f, "id~=|^resumable-|"), 2);
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 2);
    assert_ok(lease_resumed(f->s, &ns, top, &e));
    assert_int_equal(leases_like(f, "id~=|^resumable-|"), 1);
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 1);
    assert_ok(lease_for_transfer(f->s, &ns, f->a, &id, &e));
    lease_end_transfer(f->s, &ns, id, false, true);
    assert_int_equal(leases_like(f, "id~=|^transfer-|"), 0);
}

static void test_lease_expiry(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct strmap labels = {0};
    struct lease_info lease, *list = NULL;
    size_t n = 1;
    char d[72], at[TIME_TEXT_MAX];
    time_format(time_now_ns() - NS_PER_S, at);
    strmap_set(&labels, f->a, "containerd.io/gc.expire", at);
    assert_ok(lease_create(f->s, &ns, "short", &labels, f->a, &lease, &e));
    put(f, &(struct scope){"test", "short"}, "x", d);
    assert_ok(store_gc(f->s, &e));
    assert_ok(lease_list(f->s, &ns, NULL, f->a, &list, &n, &e));
    assert_int_equal(n, 0);
    assert_ok(store_gc(f->s, &e));
    assert_int_equal(entries(f->root, "blobs/sha256"), 0);
    assert_err(lease_delete(f->s, &ns, "short", false, &e), ERR_NOT_FOUND,
               "lease \"short\": not found");
    assert_err(content_put(f->s, &(struct scope){"test", "short"}, "y", 1, NULL, d, &e),
               ERR_NOT_FOUND, "lease \"short\": not found");
}

/* A container in a user namespace: what it writes has its ids, and who mounts the layers is told
 * them. */
static void check_mapped(struct fixture *f)
{
    struct strmap labels = {0};
    struct mount_spec m;
    struct stat st;
    struct err e = {0};
    strmap_set(&labels, f->a, "containerd.io/snapshot/uidmapping", "0:100000:65536");
    strmap_set(&labels, f->a, "containerd.io/snapshot/gidmapping", "0:200000:65536");
    assert_ok(
        snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "mapped", "base", &labels, f->a, &m, &e));
    assert_true(strv_has(&m.options, "uidmap=0:100000:65536"));
    assert_true(strv_has(&m.options, "gidmap=0:200000:65536"));
    auto_fd int fs = snapshot_open_dir(f->s, &ns, "mapped", &e);
    assert_int_equal(fstat(fs, &st), 0);
    assert_int_equal(st.st_uid, 100000);
    assert_int_equal(st.st_gid, 200000);
    assert_ok(snapshot_remove(f->s, &ns, "mapped", &e));
    strmap_set(&labels, f->a, "containerd.io/snapshot/uidmapping", "1:100000:65536");
    assert_err(
        snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "mapped", "base", &labels, f->a, &m, &e),
        ERR_INVALID, "Container ID 0 cannot be mapped to a host ID");
}

static void test_snapshots(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct mount_spec m;
    struct snapshot_info info;
    assert_err(snapshot_stat(f->s, &ns, "nope", f->a, &info, &e), ERR_NOT_FOUND,
               "snapshot nope does not exist: not found");
    assert_err(snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "k", "noparent", NULL, f->a, &m, &e),
               ERR_NOT_FOUND, "parent snapshot noparent does not exist: not found");
    assert_ok(
        snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "extract-1 sha256:x", "", NULL, f->a, &m, &e));
    assert_string_equal(m.type, "bind");
    assert_string_equal(m.options.v[0], "rw");
    assert_err(
        snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "extract-1 sha256:x", "", NULL, f->a, &m, &e),
        ERR_EXISTS, "snapshot \"extract-1 sha256:x\": already exists");
    auto_free char *file = mem_printf("%s/hello", m.source);
    auto_fd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(fd_write_all(fd, "hi", 2), 0);
    assert_err(
        snapshot_prepare(f->s, &ns, SNAPSHOT_VIEW, "v", "extract-1 sha256:x", NULL, f->a, &m, &e),
        ERR_INVALID, "is not committed");
    assert_ok(snapshot_commit(f->s, &ns, "base", "extract-1 sha256:x", "", NULL, &e));
    assert_ok(snapshot_stat(f->s, &ns, "base", f->a, &info, &e));
    assert_int_equal(info.kind, SNAPSHOT_COMMITTED);
    int64_t bytes = 0, inodes = 0;
    assert_ok(snapshot_usage(f->s, &ns, "base", &bytes, &inodes, &e));
    assert_int_equal(inodes, 2);
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_VIEW, "view", "base", NULL, f->a, &m, &e));
    assert_string_equal(m.options.v[0], "ro");
    check_mapped(f);
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "rw", "base", NULL, f->a, &m, &e));
    assert_string_equal(m.type, "overlay");

    /* really mounted, in a mount namespace of this process's own */
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    auto_free char *at = mem_printf("%s/mnt", f->dir);
    struct buf opts = BUF_MAX(4096);
    for (size_t i = 0; i < m.options.n; i++)
        buf_printf(&opts, "%s%s", i > 0 ? "," : "", m.options.v[i]);
    assert_int_equal(mkdir(at, 0755), 0);
    assert_int_equal(mount(m.source, at, m.type, 0, buf_cstr(&opts)), 0);
    buf_done(&opts);
    auto_free char *seen = mem_printf("%s/hello", at);
    assert_int_equal(unlink(seen), 0);
    assert_int_equal(umount2(at, 0), 0);
    assert_int_equal(rmdir(at), 0);
    assert_int_equal(access(file, F_OK), 0); /* the layer is untouched */

    assert_err(snapshot_remove(f->s, &ns, "base", &e), ERR_PRECONDITION,
               "failed to remove \"base\": cannot remove snapshot with child: failed precondition");
    assert_ok(snapshot_remove(f->s, &ns, "rw", &e));
    assert_ok(snapshot_remove(f->s, &ns, "view", &e));
    assert_ok(snapshot_remove(f->s, &ns, "base", &e));
    assert_err(snapshot_remove(f->s, &ns, "base", &e), ERR_NOT_FOUND,
               "failed to remove \"base\": snapshot base does not exist: not found");
    assert_int_equal(entries(f->root, "snapshots"), 0);
    assert_true(entries(f->root, "trash") > 0);
    assert_ok(trash_empty(f->s, &e));
    assert_int_equal(entries(f->root, "trash"), 0);
    assert_err(snapshotter_check("nope", &e), ERR_INVALID,
               "snapshotter not loaded: nope: invalid argument");
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    char d[72];
    put(f, &ns, "kept", d);
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "lost", "", NULL, f->a, NULL, &e));
    assert_ok(snapshot_prepare(f->s, &ns, SNAPSHOT_ACTIVE, "kept", "", NULL, f->a, NULL, &e));
    store_close(f->s);
    static const char *const strays[] = {"snapshots/99/fs", "snapshots/rm-7/fs", "snapshots/new-x",
                                         "trash/1/fs/etc"};
    for (size_t i = 0; i < ARRAY_LEN(strays); i++) {
        auto_free char *p = mem_printf("%s/%s", f->root, strays[i]);
        assert_ok(path_mkdirs(p, 0700, &e));
    }
    static const char *const files[] = {"ingest/77", "blobs/sha256/abc"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *p = mem_printf("%s/%s", f->root, files[i]);
        auto_fd int fd = open(p, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
    auto_free char *lost = mem_printf("%s/snapshots", f->root);
    auto_fd int dir = open(lost, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(path_remove_tree(dir, "1", &e));
    f->s = open_at(f->root);
    assert_int_equal(entries(f->root, "snapshots"), 1);
    assert_int_equal(entries(f->root, "ingest"), 0);
    assert_int_equal(entries(f->root, "blobs/sha256"), 1);
    assert_int_equal(entries(f->root, "trash"), 0);
    struct snapshot_info info;
    assert_err(snapshot_stat(f->s, &ns, "lost", f->a, &info, &e), ERR_NOT_FOUND, "does not exist");
    assert_ok(snapshot_stat(f->s, &ns, "kept", f->a, &info, &e));
}

/* N files and a link to the folder `outside` in DIR/NAME. */
static void make_files(int dir_fd, const char *name, unsigned n)
{
    assert_int_equal(mkdirat(dir_fd, name, 0700), 0);
    auto_fd int dir = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    for (unsigned i = 0; i < n; i++) {
        char file[16];
        (void)snprintf(file, sizeof(file), "f%u", i);
        auto_fd int fd = openat(dir, file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
    assert_int_equal(symlinkat("../../../outside", dir, "link"), 0);
}

/* Folders in each other, more than the crew opens at a time. */
static void make_deep(int dir_fd, unsigned depth)
{
    auto_fd int dir = fd_dup(dir_fd);
    for (unsigned i = 0; i < depth; i++) {
        make_files(dir, "deep", 0);
        int next = openat(dir, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        fd_close(dir);
        dir = next;
    }
}

static void test_trash(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    auto_free char *outside = mem_printf("%s/outside", f->root);
    assert_int_equal(mkdir(outside, 0700), 0);
    auto_fd int root = open(f->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_files(root, "outside/kept", 1);
    make_files(root, "wide", 300);
    assert_int_equal(mkdirat(root, "many", 0700), 0);
    for (unsigned i = 0; i < 50; i++) {
        char name[24];
        (void)snprintf(name, sizeof(name), "many/%u", i);
        make_files(root, name, 3);
    }
    make_deep(root, 300);
    static const char *const gone[] = {"wide", "many", "deep", "not-there"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        trash_put(f->s, root, gone[i]);
    assert_int_equal(faccessat(root, "wide", F_OK, 0), -1);
    assert_int_equal(entries(f->root, "trash"), 3);
    assert_ok(trash_empty(f->s, &e));
    assert_int_equal(entries(f->root, "trash"), 0);
    assert_int_equal(entries(f->root, "outside/kept"), 2);
    assert_ok(trash_empty(f->s, &e));
}

static void test_second_and_newer(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct store *other = NULL;
    const struct store_opts o = {.root = f->root, .unpack_path = "/nowhere", .no_gc_thread = true};
    assert_err(store_open(&o, &other, &e), ERR_UNAVAILABLE, "locked");
}

static void test_containers(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct container_record out, rec = {.id = "bad/id", .runtime_name = "r"};
    assert_err(container_create(f->s, &ns, &rec, f->a, &out, &e), ERR_INVALID,
               "container.ID: identifier \"bad/id\" must match "
               "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument");
    rec.id = "c";
    rec.spec = (struct any_value){"spec", "\0\1\2", 3};
    struct any_ent ext = {"k", {"type", "v", 1}};
    vec_push_in(f->a, &rec.extensions, ext);
    assert_ok(container_create(f->s, &ns, &rec, f->a, &out, &e));
    assert_int_equal(out.spec.len, 3);
    assert_memory_equal(out.spec.value, "\0\1\2", 3);
    assert_int_equal(out.extensions.n, 1);
    assert_err(container_create(f->s, &ns, &rec, f->a, &out, &e), ERR_EXISTS,
               "container \"c\": already exists");
    assert_err(container_get(f->s, &ns, "nope", f->a, &out, &e), ERR_NOT_FOUND,
               "container \"nope\" in namespace \"test\": not found");
    char *paths[] = {(char *)(uintptr_t) "image"};
    rec.image = "img";
    rec.extensions.n = 0;
    assert_ok(
        container_update(f->s, &ns, &rec, &(struct strv){.v = paths, .n = 1}, f->a, &out, &e));
    assert_string_equal(out.image, "img");
    assert_int_equal(out.extensions.n, 1);
    struct container_record *list = NULL;
    size_t n = 0;
    char *filters[] = {(char *)(uintptr_t) "id==other",
                       (char *)(uintptr_t) "runtime.name==r, image==img"};
    assert_ok(container_list(f->s, &ns, &(struct strv){.v = filters, .n = 2}, f->a, &list, &n, &e));
    assert_int_equal(n, 1);
    assert_err(container_get(f->s, &(struct scope){"", NULL}, "c", f->a, &out, &e),
               ERR_PRECONDITION, "namespace is required: failed precondition");
}

/* ---- filters ---- */

static const char *filter_field(const void *obj, const char *const *path, size_t n)
{
    if (strcmp(path[0], "labels") == 0)
        return filter_label(obj, path, n);
    return strcmp(path[0], "name") == 0    ? "hello"
           : strcmp(path[0], "topic") == 0 ? "/tasks/exit"
                                           : NULL;
}

static void test_filters(void **state)
{
    static const struct {
        const char *text;
        int match; /* -1: refused */
    } cases[] = {
        {"name==hello", 1},
        {"name!=hello", 0},
        {"name==\"hello\"", 1},
        {"name~=^hel+o$", 1},
        {"name~=/^h/", 1},
        {"topic~=|^/tasks/|", 1},
        {"topic~=|^/images/|", 0},
        {"name", 1},
        {"nothing", 0},
        {"name==hello,topic==/tasks/exit", 1},
        {"name==hello, topic==x", 0},
        {"labels.\"com.example/x\"==y", 1},
        {"labels.com.dotted==z", 1},
        {"labels.none", 0},
        {"labels.\"com.example/x\"", 1},
        {"name~=\\w+", 1},
        {"name~=(?:hel)lo", 1},
        {"name~=(?i)HELLO", -1},
        {"name==", -1},
        {"==x", -1},
        {"name=hello", -1},
        {"name==\"hello", -1},
        {"name~=(", -1},
        {"name~=((a{100}){100}){100}", -1},
        {"name~=l{2}", 1},
        {"name~=a{1,999}", -1},
        {"name==a,", -1},
        {"", 1},
    };
    auto_arena struct arena *a = arena_new();
    struct strmap labels = {0};
    (void)state;
    strmap_set(&labels, a, "com.example/x", "y");
    strmap_set(&labels, a, "com.dotted", "z");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        auto_filters struct filters *f = NULL;
        char *texts[] = {(char *)(uintptr_t)cases[i].text};
        int r = filters_parse(&(struct strv){.v = texts, .n = 1}, &f, &e);
        int got = r < 0 ? -1 : filters_match(f, filter_field, &labels);
        if (got != cases[i].match)
            fail_msg("%s: %d, expected %d (%s)", cases[i].text, got, cases[i].match, e.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test_setup_teardown(test_content_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_labels_and_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfer_leases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lease_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_containers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_second_and_newer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshots, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
