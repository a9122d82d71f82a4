/* See pull_fixture.h. */
#include "test.h"

#include "pull_fixture.h"

#include <fcntl.h>
#include <signal.h>

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/digest.h"

const struct scope ns = {"test", NULL};

void open_store(struct fixture *f)
{
    struct err e = {0};
    const struct store_opts o = {.root = f->root, .unpack_path = f->unpack, .no_gc_thread = true};
    assert_ok(store_open(&o, &f->s, &e));
}

int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    const char *build = getenv("HULL_BUILD_DIR");
    (void)signal(SIGPIPE, SIG_IGN);
    *state = f;
    f->unpack = mem_printf("%s/src/archive/hull-unpack", build != NULL ? build : "build");
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/hull-test-pull-XXXXXX");
    if (mkdtemp(f->dir) == NULL || fake_start(&f->reg) < 0)
        return -1;
    (void)snprintf(f->root, sizeof(f->root), "%s/store", f->dir);
    f->a = arena_new();
    f->ro = (struct registry_opts){.plain_http = true, .attempts = 3, .stall_ms = 1000};
    open_store(f);
    return 0;
}

int teardown(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    auto_fd int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    store_close(f->s);
    fake_stop(&f->reg);
    arena_free(f->a);
    int r = path_remove_tree(tmp, f->dir + 5, &e);
    free(f->unpack);
    free(f);
    return r;
}

void read_file(struct fixture *f, const char *name, struct buf *out)
{
    struct err e = {0};
    auto_free char *path = mem_printf("%s/%s", f->dir, name);
    assert_ok(file_read(AT_FDCWD, path, out, &e));
}

void serve_image(struct fixture *f, const char *tag, const char *const *layers, const char *arch)
{
    struct oci_image_config c = {.architecture = arch, .os = "linux", .rootfs = {.type = "layers"}};
    struct oci_manifest m = {.schema_version = 2, .media_type = OCI_MANIFEST};
    struct buf doc = BUF_MAX(1 << 20);
    for (size_t i = 0; layers[i] != NULL; i++) {
        struct buf gz = BUF_MAX(64 << 20), tar = BUF_MAX(64 << 20);
        char digest[72];
        read_file(f, arena_printf(f->a, "%s.tar.gz", layers[i]), &gz);
        read_file(f, arena_printf(f->a, "%s.tar", layers[i]), &tar);
        digest_of(tar.p, tar.n, digest);
        char *copy = arena_strdup(f->a, digest);
        vec_push_in(f->a, &c.rootfs.diff_ids, copy);
        struct fake_blob *b = fake_add(&f->reg, "blobs", NULL, "", gz.p, gz.n);
        struct oci_descriptor *d = vec_add_in(f->a, &m.layers);
        *d = (struct oci_descriptor){
            .media_type = OCI_LAYER_GZIP, .digest = b->digest, .size = (int64_t)gz.n};
        buf_done(&gz);
        buf_done(&tar);
    }
    json_write(&oci_image_config_json, &c, &doc);
    struct fake_blob *b = fake_add(&f->reg, "blobs", NULL, "", doc.p, doc.n);
    m.config = (struct oci_descriptor){
        .media_type = OCI_CONFIG, .digest = b->digest, .size = (int64_t)doc.n};
    buf_reset(&doc);
    json_write(&oci_manifest_json, &m, &doc);
    fake_add(&f->reg, "manifests", tag, OCI_MANIFEST, doc.p, doc.n);
    fake_add(&f->reg, "manifests", NULL, OCI_MANIFEST, doc.p, doc.n);
    buf_done(&doc);
}

static void on_progress(void *arg, const struct pull_progress *p)
{
    struct fixture *f = arg;
    size_t n = strlen(f->log);
    if (p->state != PULL_DOWNLOADING)
        (void)snprintf(f->log + n, sizeof(f->log) - n, "%s;", pull_state_text(p->state));
}

int pull(struct fixture *f, const char *tag, const char *platform, int cancel_fd, struct err *e)
{
    struct ref ref;
    auto_registry_source struct image_source *src = NULL;
    auto_free char *text = mem_printf("127.0.0.1:%d/app:%s", f->reg.port, tag);
    const struct pull_opts po = {.name = "docker.io/library/app:latest",
                                 .platform = platform,
                                 .cancel_fd = cancel_fd,
                                 .progress = on_progress,
                                 .arg = f};
    f->log[0] = 0;
    err_clear(e);
    f->ro.cancel_fd = cancel_fd;
    assert_int_equal(ref_parse(text, &ref, e), 0);
    assert_int_equal(registry_source_open(&ref, &f->ro, &src, e), 0);
    return image_pull(f->s, &ns, src, &po, f->a, &f->res, e);
}

const char *const one[] = {"l1", NULL};

void make_one(struct fixture *f)
{
    sh(f->dir,
       "mkdir s; head -c 3000000 /dev/urandom >s/data; tar -C s -cf l1.tar .; gzip -k l1.tar");
    serve_image(f, "latest", one, "amd64");
}
