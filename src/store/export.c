/*
 * Saving images: one tar with both layouts, entries sorted by name, as Docker writes them. What is
 * in it is decided first (a map from member names to bytes); hull-unpack then asks for the members
 * one by one.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/content.h"
#include "store/layer.h"
#include "store/unpack.h"
#include "sys/fd.h"
#include "types/reference.h"

#define DOCKER_ITEM(T, F)                \
    F(T, str, config, "Config", 0)       \
    F(T, strv, repo_tags, "RepoTags", 0) \
    F(T, strv, layers, "Layers", JSON_EMPTY)
JSON_TYPE(docker_item, DOCKER_ITEM)
JSON_DESC(docker_item, DOCKER_ITEM)

struct export
{
    struct store *s;
    struct scope sc;
    const struct export_opts *o;
    struct arena *a;
    struct oci_platform platform;
    struct map blobs; /* "blobs/sha256/HEX": struct oci_descriptor * */
    struct oci_index index;
    VEC(struct docker_item) items;
    struct buf index_json, items_json;
};

static const char layout_json[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

static char *blob_name(struct export *x, const char *digest)
{
    return arena_printf(x->a, "blobs/sha256/%s", digest_hex(digest));
}

/* 1: it is here and goes in; 0: it is not here. */
static int add_blob(struct export *x, const struct oci_descriptor *d, struct err *e)
{
    struct content_info info;
    if (!digest_is_sha256(d->digest))
        return err_set(e, ERR_INVALID, "invalid digest in an image");
    if (content_info(x->s, &x->sc, d->digest, x->a, &info, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
        return 0;
    }
    struct oci_descriptor *copy = arena_dup(x->a, d, sizeof(*d));
    copy->size = info.size;
    map_put(&x->blobs, blob_name(x, d->digest), copy);
    return 1;
}

static int must_add(struct export *x, const struct oci_descriptor *d, struct err *e)
{
    int there = add_blob(x, d, e);
    TRY(there);
    return there ? 0 : err_set(e, ERR_NOT_FOUND, "content digest %s: not found", d->digest);
}

static int read_doc(struct export *x, const struct oci_descriptor *d, const struct json_desc *type,
                    void *out, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    TRY(content_read(x->s, &x->sc, d->digest, &b, e));
    return json_parse(type, out, buf_cstr(&b), b.n, x->a, e);
}

static int add_manifest(struct export *x, const struct oci_descriptor *d, struct oci_manifest *out,
                        struct err *e)
{
    TRY(must_add(x, d, e));
    TRY(read_doc(x, d, &oci_manifest_json, out, e));
    TRY(must_add(x, &out->config, e));
    for (size_t i = 0; i < out->layers.n; i++)
        TRY(must_add(x, &out->layers.v[i], e));
    return 0;
}

/* All that a manifest of an index names is here. */
static bool is_here(struct export *x, const struct oci_descriptor *d)
{
    struct content_info info;
    struct oci_manifest m;
    struct err absent = {0};
    if (read_doc(x, d, &oci_manifest_json, &m, &absent) < 0 ||
        content_info(x->s, &x->sc, m.config.digest, x->a, &info, &absent) < 0)
        return false;
    for (size_t i = 0; i < m.layers.n; i++)
        if (content_info(x->s, &x->sc, m.layers.v[i].digest, x->a, &info, &absent) < 0)
            return false;
    return true;
}

/* The platforms of an index that are here; *best is the one for this machine, by descriptor. */
static int add_index(struct export *x, const struct oci_descriptor *d, struct oci_manifest *best,
                     bool *found, struct oci_descriptor *out_top, struct err *e)
{
    struct oci_index index;
    TRY(read_doc(x, d, &oci_index_json, &index, e));
    const struct oci_descriptor *pick = oci_index_pick(&index, &x->platform);
    if (x->o->platform != NULL && pick == NULL)
        return err_set(e, ERR_NOT_FOUND, "no matching manifest for %s in the manifest list entries",
                       x->o->platform);
    for (size_t i = 0; i < index.manifests.n; i++) {
        const struct oci_descriptor *md = &index.manifests.v[i];
        struct oci_manifest m;
        if ((x->o->platform != NULL && md != pick) || !digest_is_sha256(md->digest) ||
            !oci_is_manifest(md->media_type) || (x->o->platform == NULL && !is_here(x, md)))
            continue; /* a platform that was never pulled, say */
        TRY(add_manifest(x, md, &m, e));
        if (md == pick || !*found) {
            *best = m;
            *found = true;
        }
        if (x->o->platform != NULL)
            *out_top = *md;
    }
    return x->o->platform != NULL ? 0 : must_add(x, d, e);
}

static int add_image(struct export *x, const struct image_record *rec, struct err *e)
{
    struct oci_manifest m = {0};
    struct oci_descriptor top = rec->target;
    bool found = false;
    if (oci_is_index(rec->target.media_type)) {
        TRY(add_index(x, &rec->target, &m, &found, &top, e));
    } else {
        TRY(add_manifest(x, &rec->target, &m, e));
        found = true;
    }
    struct docker_item item = {0};
    struct ref ref;
    struct err ignored = {0};
    top.annotations = (struct strmap){0};
    if (rec->name != NULL && rec->name[0] != 0 && ref_parse_full(rec->name, &ref, &ignored) == 0) {
        char text[REF_TEXT_MAX];
        ref_familiar(&ref, text);
        strmap_set(&top.annotations, x->a, "io.containerd.image.name", rec->name);
        if (ref.tag[0] != 0)
            strmap_set(&top.annotations, x->a, "org.opencontainers.image.ref.name", ref.tag);
        vec_push_in(x->a, &item.repo_tags, arena_strdup(x->a, text));
    }
    vec_push_in(x->a, &x->index.manifests, top);
    if (!found)
        return 0;
    item.config = blob_name(x, m.config.digest);
    for (size_t i = 0; i < m.layers.n; i++)
        vec_push_in(x->a, &item.layers, blob_name(x, m.layers.v[i].digest));
    vec_push_in(x->a, &x->items, item);
    return 0;
}

/* ---- members out ---- */

static int on_member(void *arg, const char *question, size_t n, struct buf *answer, int *out_fd,
                     struct err *e)
{
    struct export *x = arg;
    struct archive_member q;
    (void)answer;
    TRY(json_parse(&archive_member_json, &q, question, n, x->a, e));
    const struct oci_descriptor *d = map_get(&x->blobs, q.name);
    if (d != NULL) {
        *out_fd = content_open(x->s, &x->sc, d->digest, NULL, e);
        return *out_fd < 0 ? -1 : 0;
    }
    if (strcmp(q.name, "index.json") == 0)
        *out_fd = fd_memfd("index.json", x->index_json.p, x->index_json.n);
    else if (strcmp(q.name, "manifest.json") == 0)
        *out_fd = fd_memfd("manifest.json", x->items_json.p, x->items_json.n);
    else
        *out_fd = fd_memfd("oci-layout", layout_json, strlen(layout_json));
    return *out_fd < 0 ? err_neg(e, *out_fd, "make %s", q.name) : 0;
}

static void add_member(struct export *x, struct unpack_job *job, const char *name, const char *type,
                       int64_t size, int64_t mode)
{
    struct archive_member *m = vec_add_in(x->a, &job->members);
    *m = (struct archive_member){
        .name = name, .type = type, .size = size, .mode = mode, .target = ""};
}

static void list_members(struct export *x, struct unpack_job *job)
{
    const struct map_ent **sorted = map_sorted(&x->blobs);
    add_member(x, job, "blobs", "dir", 0, 0755);
    add_member(x, job, "blobs/sha256", "dir", 0, 0755);
    for (size_t i = 0; i < x->blobs.n; i++)
        add_member(x, job, arena_strdup(x->a, sorted[i]->key), "file",
                   ((const struct oci_descriptor *)sorted[i]->val)->size, 0444);
    add_member(x, job, "index.json", "file", (int64_t)x->index_json.n, 0644);
    add_member(x, job, "manifest.json", "file", (int64_t)x->items_json.n, 0644);
    add_member(x, job, "oci-layout", "file", (int64_t)strlen(layout_json), 0444);
    free(sorted);
}

static int write_archive(struct export *x, int fd, struct err *e)
{
    struct unpack_job job = {.op = "write-tar"};
    auto_buf struct buf doc = BUF_MAX(JOB_DOC_MAX);
    auto_buf struct buf out = BUF_MAX(JOB_DOC_MAX);
    x->index.schema_version = 2;
    x->index.media_type = OCI_INDEX;
    json_write(&oci_index_json, &x->index, &x->index_json);
    json_write_list(&docker_item_json, x->items.v, x->items.n, &x->items_json);
    list_members(x, &job);
    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {.program = x->s->opts.unpack_path,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = &fd,
                               .n_fds = 1,
                               .cancel_fd = x->o->cancel_fd,
                               .ask = on_member,
                               .arg = x};
    return job_run(&o, &out, e);
}

int image_export(struct store *s, const struct scope *sc, int fd, const struct image_record *images,
                 size_t n, const struct export_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct export x = {.s = s,
                       .sc = *sc,
                       .o = o,
                       .a = a,
                       .index_json = BUF_MAX(16 << 20),
                       .items_json = BUF_MAX(16 << 20)};
    int r = oci_platform_parse(o->platform, a, &x.platform, e);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_image(&x, &images[i], e);
    if (r == 0)
        r = write_archive(&x, fd, e);
    map_done(&x.blobs);
    buf_done(&x.index_json);
    buf_done(&x.items_json);
    return r;
}
