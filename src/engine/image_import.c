/*
 * Import: a tar of a root file system becomes an image of one layer. The tar is normalised by
 * hull-unpack (any compression in, gzip out); the image goes to the supervisor as an OCI archive
 * that is made while it is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "client/transfer.h"
#include "engine/change_words.h"
#include "engine/image_store.h"
#include "engine/images.h"
#include "sys/fd.h"
#include "sys/job.h"
#include "sys/path.h"
#include "types/digest.h"
#include "types/image.h"
#include "types/reference.h"
#include "types/unpack_job.h"

enum { CHUNK = 64 << 10, BLOCK = 512 };

/* One member of the archive: text, or a file. */
struct member {
    const char *name;
    const char *text;
    size_t size;
    int fd; /* -1: text */
};

struct importing {
    struct engine *g;
    struct arena *a;
    int layer; /* the compressed layer, unnamed */
    char layer_digest[DIGEST_MAX];
    int64_t layer_size;
    const char *diff_id;

    struct member members[8];
    size_t n, at;  /* members; the one that is being read */
    size_t offset; /* in its header, bytes and padding */
    char header[BLOCK];
};

/* ---- the layer ---- */

static int feed(const struct source_stream *body, int fd, struct job *j, struct err *e)
{
    auto_free char *b = mem_alloc(CHUNK);

    for (;;) {
        ssize_t n = body->read(body->arg, b, CHUNK, e);
        int r;

        TRY((int)n);
        if (n == 0 || job_has_news(j))
            return 0;
        r = fd_write_all(fd, b, (size_t)n);
        if (r < 0)
            return r == -EPIPE ? 0 : err_neg(e, r, "write to hull-unpack");
    }
}

/* The tar into a directory. */
static int unpack(const char *program, const struct source_stream *body, int dir, struct err *e)
{
    auto_buf struct buf doc = BUF_MAX(4096), result = BUF_MAX(JOB_DOC_MAX);
    auto_fd int in = -1, out = -1;
    auto_job struct job j = JOB_NONE;
    struct unpack_job job = {.op = "apply", .owner = true};
    int r = fd_pipe(&in, &out, 0);

    if (r < 0)
        return err_neg(e, r, "pipe");
    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {
        .program = program, .doc = doc.p, .doc_len = doc.n, .fds = (int[]){dir, in}, .n_fds = 2};
    TRY(job_start(&j, &o, e));
    fd_close(take_fd(&in));
    TRY(feed(body, out, &j, e));
    fd_close(take_fd(&out));
    return job_finish(&j, &result, e);
}

/* The directory as a layer. */
static int pack(struct importing *m, const char *program, int dir, struct err *e)
{
    auto_buf struct buf doc = BUF_MAX(4096), result = BUF_MAX(JOB_DOC_MAX);
    struct unpack_job job = {.op = "pack", .compression = "gzip"};
    struct unpack_result r;

    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {.program = program,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = (int[]){dir, m->layer},
                               .n_fds = 2};
    TRY(job_run(&o, &result, e));
    TRY(json_parse(&unpack_result_json, &r, buf_cstr(&result), result.n, m->a, e));
    m->diff_id = r.digest;
    return 0;
}

static int hash_layer(struct importing *m, struct err *e)
{
    auto_sha256 struct sha256 *s = sha256_new();
    auto_free char *b = mem_alloc(CHUNK);
    ssize_t n;

    while ((n = pread(m->layer, b, CHUNK, m->layer_size)) > 0) {
        sha256_add(s, b, (size_t)n);
        m->layer_size += n;
    }
    if (n < 0)
        return err_sys(e, "read the imported layer");
    sha256_peek(s, m->layer_digest);
    return 0;
}

static int make_layer(struct importing *m, const struct source_stream *body, struct err *e)
{
    const char *tmp = arena_printf(m->a, "%s/tmp", m->g->o.data_root);
    const char *program = arena_printf(m->a, "%s/hull-unpack", m->g->o.helper_dir);
    char *path = arena_printf(m->a, "%s/import-XXXXXX", tmp);
    auto_fd int parent = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
    struct err ignored = {0};
    int r;

    m->layer = open(tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (parent < 0 || m->layer < 0 || mkdtemp(path) == NULL)
        return err_sys(e, "make a temporary file in %s", tmp);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = dir < 0 || fchmod(dir, 0755) < 0 ? err_sys(e, "open %s", path)
                                         : unpack(program, body, dir, e);
    if (r == 0)
        r = pack(m, program, dir, e);
    (void)path_remove_tree(parent, strrchr(path, '/') + 1,
                           &ignored); /* the next start sweeps what stays */
    if (r == 0)
        r = hash_layer(m, e);
    return r;
}

/* ---- the documents ---- */

static const char *add_text(struct importing *m, const struct buf *b,
                            char digest[static DIGEST_MAX])
{
    struct member *x = &m->members[m->n++];

    digest_of(buf_cstr(b), b->n, digest);
    *x = (struct member){
        .name = arena_printf(m->a, "blobs/sha256/%s", digest_hex(digest)), .size = b->n, .fd = -1};
    x->text = arena_strdup(m->a, buf_cstr(b));
    return x->name;
}

static int make_config(struct importing *m, const struct import_opts *o, struct buf *out,
                       struct err *e)
{
    struct container_config *config = ARENA_NEW(m->a, struct container_config);
    auto_buf struct buf text = BUF_MAX(1 << 20);
    struct oci_image_config doc = {.rootfs = {.type = "layers"}};
    struct oci_history *h = vec_add_in(m->a, &doc.history);
    struct oci_platform platform;
    char now[TIME_TEXT_MAX];

    TRY(oci_platform_parse(o->platform != NULL ? o->platform : "", m->a, &platform, e));
    if (o->changes != NULL)
        vec_each(c, o->changes)
            TRY(change_apply(*c, config, m->a, e));
    json_write(&container_config_json, config, &text);
    time_format(time_now_ns(), now);
    doc.created = now;
    doc.architecture = platform.architecture;
    doc.variant = platform.variant;
    doc.os = platform.os;
    doc.config = buf_cstr(&text);
    vec_push_in(m->a, &doc.rootfs.diff_ids, (char *)m->diff_id);
    *h = (struct oci_history){
        .created = now,
        .comment = o->message != NULL && o->message[0] != '\0' ? o->message : "Imported from -"};
    json_write(&oci_image_config_json, &doc, out);
    return 0;
}

static int make_documents(struct importing *m, const struct import_opts *o, const char *full,
                          struct err *e)
{
    auto_buf struct buf config = BUF_MAX(2 << 20), manifest = BUF_MAX(1 << 20),
                        index = BUF_MAX(1 << 20);
    struct oci_manifest doc = {.schema_version = 2, .media_type = OCI_MANIFEST};
    struct oci_descriptor layer = {
        .media_type = OCI_LAYER_GZIP, .digest = m->layer_digest, .size = m->layer_size};
    char config_digest[DIGEST_MAX], manifest_digest[DIGEST_MAX];
    struct oci_index top = {.schema_version = 2, .media_type = OCI_INDEX};
    struct oci_descriptor *d;

    TRY(make_config(m, o, &config, e));
    (void)add_text(m, &config, config_digest);
    doc.config = (struct oci_descriptor){
        .media_type = OCI_CONFIG, .digest = config_digest, .size = (int64_t)config.n};
    vec_push_in(m->a, &doc.layers, layer);
    json_write(&oci_manifest_json, &doc, &manifest);
    (void)add_text(m, &manifest, manifest_digest);
    m->members[m->n++] =
        (struct member){.name = arena_printf(m->a, "blobs/sha256/%s", digest_hex(m->layer_digest)),
                        .size = (size_t)m->layer_size,
                        .fd = m->layer};
    d = vec_add_in(m->a, &top.manifests);
    *d = (struct oci_descriptor){
        .media_type = OCI_MANIFEST, .digest = manifest_digest, .size = (int64_t)manifest.n};
    if (full != NULL) {
        const char *tag = strrchr(full, ':');

        strmap_set(&d->annotations, m->a, "io.containerd.image.name", full);
        strmap_set(&d->annotations, m->a, "org.opencontainers.image.ref.name",
                   tag != NULL ? tag + 1 : full);
    }
    json_write(&oci_index_json, &top, &index);
    m->members[m->n++] = (struct member){.name = "index.json",
                                         .text = arena_strdup(m->a, buf_cstr(&index)),
                                         .size = index.n,
                                         .fd = -1};
    m->members[m->n++] = (struct member){.name = "oci-layout",
                                         .text = "{\"imageLayoutVersion\":\"1.0.0\"}",
                                         .size = strlen("{\"imageLayoutVersion\":\"1.0.0\"}"),
                                         .fd = -1};
    return 0;
}

/* ---- the archive ---- */

/* A ustar header. Source: POSIX pax, "ustar Interchange Format". */
static void make_header(const struct member *x, char h[static BLOCK])
{
    unsigned sum = 0;

    memset(h, 0, BLOCK);
    snprintf(h, 100, "%s", x->name);
    snprintf(h + 100, 8, "%07o", 0444);
    snprintf(h + 108, 8, "%07o", 0);
    snprintf(h + 116, 8, "%07o", 0);
    snprintf(h + 124, 12, "%011llo", (unsigned long long)x->size);
    snprintf(h + 136, 12, "%011o", 0);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
}

/* Sizes of 8 GiB and more do not fit into the header. */
static int check_sizes(const struct importing *m, struct err *e)
{
    return m->layer_size >= 8LL << 30
               ? err_set(e, ERR_TOO_LARGE,
                         "the imported file system is too large for one layer (8 GiB compressed)")
               : 0;
}

/* Bytes of the present member at offset: header, content, padding. */
static ssize_t member_read(struct importing *m, char *p, size_t cap, struct err *e)
{
    const struct member *x = &m->members[m->at];
    size_t padded = (x->size + BLOCK - 1) / BLOCK * BLOCK, in = m->offset - BLOCK, n;
    ssize_t r;

    if (m->offset == 0)
        make_header(x, m->header);
    if (m->offset < BLOCK) {
        n = MIN(cap, BLOCK - m->offset);
        memcpy(p, m->header + m->offset, n);
        return (ssize_t)n;
    }
    if (in >= x->size) {
        n = MIN(cap, padded - in);
        memset(p, 0, n);
        return (ssize_t)n;
    }
    n = MIN(cap, x->size - in);
    if (x->fd < 0) {
        memcpy(p, x->text + in, n);
        return (ssize_t)n;
    }
    r = pread(x->fd, p, n, (off_t)in);
    return r > 0 ? r : err_sys(e, "read the imported layer");
}

static ssize_t archive_bytes(void *arg, void *p, size_t cap, struct err *e)
{
    struct importing *m = arg;
    ssize_t n;

    if (m->at == m->n) { /* two blocks of zeros end the archive */
        if (m->offset >= 2 * BLOCK)
            return 0;
        n = (ssize_t)MIN(cap, 2 * BLOCK - m->offset);
        memset(p, 0, (size_t)n);
        m->offset += (size_t)n;
        return n;
    }
    n = member_read(m, p, cap, e);
    if (n < 0)
        return -1;
    m->offset += (size_t)n;
    if (m->offset == BLOCK + (m->members[m->at].size + BLOCK - 1) / BLOCK * BLOCK) {
        m->at++;
        m->offset = 0;
    }
    return n;
}

/* ---- import ---- */

static int store(struct importing *m, const struct import_opts *o, const char *full, struct err *e)
{
    const struct transfer_import p = {.read = archive_bytes,
                                      .arg = m,
                                      .snapshotter = m->g->o.snapshotter,
                                      .prefix = "moby-dangling",
                                      .cancel_fd = o->cancel_fd};

    TRY(make_documents(m, o, full, e));
    TRY(check_sizes(m, e));
    if (full != NULL)
        TRY(image_keep_dangling(m->g, full, e));
    return ctd_import(m->g->ctd, &p, e);
}

int image_import(struct engine *g, const struct import_opts *o, const struct source_stream *body,
                 const struct sink *sink, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct importing m = {.g = g, .a = a, .layer = -1};
    auto_buf struct buf line = BUF_MAX(4096);
    char digest[DIGEST_MAX];
    const char *full;
    bool has;
    int r;

    TRY(image_target_name(o->repo, o->tag, "cannot import digest reference", a, &full, e));
    TRY(ctd_has_transfer(g->ctd, &has, e));
    if (!has)
        return err_set(e, ERR_UNIMPLEMENTED,
                       "import needs a containerd with the transfer service (2.0 or newer, or "
                       "hull-containerd)");
    r = make_layer(&m, body, e);
    if (r == 0)
        r = store(&m, o, full, e);
    fd_close(m.layer);
    TRY(r);
    digest_of(m.members[1].text, m.members[1].size, digest); /* the manifest's is the image's id */
    image_event(g, "import", digest, full != NULL ? full : digest);
    const struct progress_line status = {.status = digest};
    json_write(&progress_line_json, &status, &line);
    buf_adds(&line, "\r\n");
    return sink->write(sink->arg, line.p, line.n, e);
}
