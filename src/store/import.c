/*
 * Loading archives of images. hull-unpack only reads the tar: each member becomes a blob here (its
 * file is the writer's own), and once all are in, index.json or manifest.json says what they mean.
 * Nothing is trusted that does not match its digest.
 */
#include <errno.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "store/content.h"
#include "store/layer.h"
#include "store/lease.h"
#include "store/pull.h"
#include "store/unpack.h"
#include "sys/fd.h"
#include "types/reference.h"

/* One image of docker-archive's manifest.json. */
#define DOCKER_SAVED(T, F)               \
    F(T, str, config, "Config", 0)       \
    F(T, strv, repo_tags, "RepoTags", 0) \
    F(T, strv, layers, "Layers", 0)
JSON_TYPE(docker_saved, DOCKER_SAVED)
JSON_DESC(docker_saved, DOCKER_SAVED)

/* A member of the archive. */
struct member {
    char digest[DIGEST_MAX];
    int64_t size;
    const char *link; /* symbolic or hard link: the member it stands for, else NULL */
};

struct import {
    struct store *s;
    struct scope sc;
    const struct import_opts *o;
    struct arena *a;
    struct map members; /* cleaned path: struct member * */
    char *ref;          /* of the open writer, or NULL */
    char *name;         /* of the member being written */
    VEC(struct image_record) images;
};

/* ---- members in ---- */

/* What hull-unpack wrote for the last member becomes a blob. */
static int close_member(struct import *im, struct err *e)
{
    if (im->ref == NULL)
        return 0;
    auto_free char *ref = TAKE_PTR(im->ref);
    auto_writer struct content_writer *w = NULL;
    struct member *m = map_get(&im->members, im->name);
    struct ingest_status st;
    TRY(content_writer_open(im->s, &im->sc, ref, 0, "", &w, e)); /* hashes the file */
    content_writer_status(w, &st, m->digest);
    m->size = st.offset;
    int r = content_writer_commit(w, 0, "", NULL, e);
    if (r < 0 && e->kind == ERR_EXISTS) {
        err_clear(e);
        r = content_hold(im->s, &im->sc, m->digest, e);
    }
    if (r == 0 && im->o->progress != NULL)
        im->o->progress(im->o->arg, m->digest, m->size);
    return r;
}

static bool wanted(const char *name)
{
    return strcmp(name, "oci-layout") != 0 && strcmp(name, "repositories") != 0 &&
           !str_ends(str_of(name), "/VERSION");
}

static const char *resolve_name(struct arena *a, const char *from, const char *target,
                                bool from_root)
{
    struct strv parts = {0};
    const char *slash = strrchr(from, '/');
    const char *full = from_root || target[0] == '/' || slash == NULL
                           ? target
                           : arena_printf(a, "%.*s/%s", (int)(slash - from), from, target);
    struct str rest = str_of(full);
    struct buf b = BUF_MAX(8192);
    while (rest.n > 0) {
        struct str part = str_cut(&rest, '/');
        if (str_eq(part, ".."))
            parts.n -= parts.n > 0;
        else if (part.n > 0 && !str_eq(part, "."))
            vec_push_in(a, &parts, arena_strndup(a, part.p, part.n));
    }
    for (size_t i = 0; i < parts.n; i++)
        buf_printf(&b, "%s%s", i > 0 ? "/" : "", parts.v[i]);
    const char *out = arena_strdup(a, buf_cstr(&b));
    buf_done(&b);
    return out;
}

static int on_member(void *arg, const char *question, size_t n, struct buf *answer, int *out_fd,
                     struct err *e)
{
    struct import *im = arg;
    struct archive_member q;
    (void)answer;
    TRY(close_member(im, e));
    TRY(json_parse(&archive_member_json, &q, question, n, im->a, e));
    if (q.name == NULL || !wanted(q.name))
        return 0;
    if (map_has(&im->members, q.name))
        return err_set(e, ERR_INVALID, "invalid archive: \"%.500s\" is in it twice", q.name);
    struct member *m = ARENA_NEW(im->a, struct member);
    im->name = arena_strdup(im->a, q.name);
    map_put(&im->members, q.name, m);
    if (strcmp(q.type, "file") != 0) {
        m->link = resolve_name(im->a, q.name, q.target != NULL ? q.target : "",
                               strcmp(q.type, "hardlink") == 0);
        return 0;
    }
    auto_writer struct content_writer *w = NULL;
    auto_free char *ref = mem_printf("import-%lld-%zu", (long long)time_mono_ns(), im->members.n);
    TRY(content_writer_open(im->s, &im->sc, ref, 0, "", &w, e));
    *out_fd = fd_dup(content_writer_fd(w));
    if (*out_fd < 0)
        return err_neg(e, *out_fd, "open ingest");
    im->ref = TAKE_PTR(ref);
    return 0;
}

static int read_members(struct import *im, int fd, struct err *e)
{
    const struct unpack_job job = {.op = "read-tar"};
    struct buf doc = BUF_MAX(4096), out = BUF_MAX(JOB_DOC_MAX);
    json_write(&unpack_job_json, &job, &doc);
    const struct job_opts o = {.program = im->s->opts.unpack_path,
                               .doc = doc.p,
                               .doc_len = doc.n,
                               .fds = &fd,
                               .n_fds = 1,
                               .cancel_fd = im->o->cancel_fd,
                               .ask = on_member,
                               .arg = im};
    int r = job_run(&o, &out, e);
    if (r == 0)
        r = close_member(im, e);
    if (im->ref != NULL) { /* failed in the middle of a member */
        struct err ignored = {0};
        (void)ingest_abort(im->s, &im->sc, im->ref, &ignored);
        free(TAKE_PTR(im->ref));
    }
    buf_done(&doc);
    buf_done(&out);
    return r;
}

/* The member, links followed. NULL: there is none. */
static const struct member *find(struct import *im, const char *name)
{
    const char *at = resolve_name(im->a, "", name, true);
    for (int hops = 0; hops < 16; hops++) {
        const struct member *m = map_get(&im->members, at);
        if (m == NULL || m->link == NULL)
            return m;
        at = m->link;
    }
    return NULL;
}

static int need(struct import *im, const char *name, const struct member **out, struct err *e)
{
    *out = name != NULL ? find(im, name) : NULL;
    if (*out != NULL)
        return 0;
    return err_set(e, ERR_INVALID, "invalid archive: \"%.500s\" is missing",
                   name != NULL ? name : "");
}

/* ---- what they mean ---- */

/* An image of a single platform must be of the one that is asked for. */
static int check_platform(struct import *im, const struct oci_descriptor *target, struct err *e)
{
    auto_buf struct buf manifest = BUF_MAX(OCI_MANIFEST_MAX), config = BUF_MAX(OCI_CONFIG_MAX);
    struct oci_platform wanted;
    struct oci_image_config c;
    struct oci_manifest m;
    if (im->o->platform == NULL || !oci_is_manifest(target->media_type))
        return 0;
    TRY(oci_platform_parse(im->o->platform, im->a, &wanted, e));
    TRY(content_read(im->s, &im->sc, target->digest, &manifest, e));
    TRY(json_parse(&oci_manifest_json, &m, buf_cstr(&manifest), manifest.n, im->a, e));
    TRY(content_read(im->s, &im->sc, m.config.digest, &config, e));
    TRY(json_parse(&oci_image_config_json, &c, buf_cstr(&config), config.n, im->a, e));
    const struct oci_platform own = {
        .architecture = c.architecture, .os = c.os, .variant = c.variant};
    if (oci_platform_score(&wanted, &own) > 0)
        return 0;
    return err_set(e, ERR_NOT_FOUND,
                   "requested platform (%s) not found: image might be filtered out",
                   im->o->platform);
}

static int complete(struct import *im, const struct image_record *rec, struct err *e)
{
    const struct pull_opts o = {
        .platform = im->o->platform, .no_unpack = im->o->no_unpack, .cancel_fd = im->o->cancel_fd};
    char text[REF_TEXT_MAX] = "";
    struct ref ref;
    if (image_complete(im->s, &im->sc, &rec->target, &o, im->a, e) == 0)
        return 0;
    if (im->o->platform == NULL || e->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    if (rec->name[0] != 0 && ref_parse_full(rec->name, &ref, e) == 0)
        ref_familiar(&ref, text);
    return err_set(e, ERR_NOT_FOUND,
                   "image %s was loaded, but doesn't provide the requested platform (%s)", text,
                   im->o->platform);
}

static int add_image(struct import *im, const char *name, const struct oci_descriptor *target,
                     struct err *e)
{
    TRY(check_platform(im, target, e));
    struct image_record *rec = vec_add_in(im->a, &im->images);
    struct oci_descriptor top = *target;
    rec->name = name;
    rec->target = top;
    rec->target.annotations = (struct strmap){0};
    rec->target.platform = NULL;
    TRY(complete(im, rec, e));
    return name[0] != 0 ? image_put(im->s, &im->sc, rec, e) : 0;
}

static const char *name_of(struct import *im, const char *given, struct err *e)
{
    struct ref ref;
    char full[REF_TEXT_MAX];
    if (given == NULL || given[0] == 0)
        return im->o->name != NULL ? im->o->name : "";
    if (ref_parse(given, &ref, e) < 0) {
        err_wrap(e, "invalid archive: name \"%.200s\"", given);
        return NULL;
    }
    ref_default_tag(&ref);
    ref_format(&ref, full);
    return arena_strdup(im->a, full);
}

/* An OCI layout: blobs must be where their digest says. */
static int load_oci(struct import *im, const struct member *index_member, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    struct oci_index index;
    TRY(content_read(im->s, &im->sc, index_member->digest, &b, e));
    TRY(json_parse(&oci_index_json, &index, buf_cstr(&b), b.n, im->a, e));
    map_each(ent, &im->members) {
        const struct member *m = ent->val;
        if (strncmp(ent->key, "blobs/sha256/", 13) == 0 && m->link == NULL &&
            strcmp(ent->key + 13, digest_hex(m->digest)) != 0)
            return err_set(
                e, ERR_PRECONDITION,
                "unexpected commit digest %s, expected sha256:%.64s: failed precondition",
                m->digest, ent->key + 13);
    }
    for (size_t i = 0; i < index.manifests.n; i++) {
        struct oci_descriptor *d = &index.manifests.v[i];
        const char *given = strmap_get(&d->annotations, "io.containerd.image.name");
        if (given == NULL)
            given = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
        if (given != NULL && strchr(given, '/') == NULL && strchr(given, ':') == NULL &&
            im->o->name != NULL)
            given = NULL; /* only a tag */
        const char *name = name_of(im, given, e);
        if (name == NULL)
            return -1;
        TRY(add_image(im, name, d, e));
    }
    return 0;
}

/* docker-archive: a manifest is written for what it lists. */
static int load_saved(struct import *im, struct docker_saved *saved, struct err *e)
{
    struct oci_manifest m = {.schema_version = 2, .media_type = OCI_MANIFEST};
    struct oci_image_config c;
    struct oci_descriptor target = {.media_type = OCI_MANIFEST};
    const struct member *member;
    auto_buf struct buf config = BUF_MAX(OCI_CONFIG_MAX);
    auto_buf struct buf doc = BUF_MAX(OCI_MANIFEST_MAX);
    char digest[DIGEST_MAX];
    TRY(need(im, saved->config, &member, e));
    TRY(content_read(im->s, &im->sc, member->digest, &config, e));
    TRY(json_parse(&oci_image_config_json, &c, buf_cstr(&config), config.n, im->a, e));
    m.config = (struct oci_descriptor){.media_type = OCI_CONFIG,
                                       .digest = arena_strdup(im->a, member->digest),
                                       .size = member->size};
    if (saved->layers.n != c.rootfs.diff_ids.n)
        return err_set(e, ERR_INVALID,
                       "invalid manifest, layers length mismatch: expected %zu, got %zu",
                       c.rootfs.diff_ids.n, saved->layers.n);
    for (size_t i = 0; i < saved->layers.n; i++) {
        struct oci_descriptor *l = vec_add_in(im->a, &m.layers);
        auto_fd int fd = -1;
        unsigned char magic[4] = {0};
        TRY(need(im, saved->layers.v[i], &member, e));
        fd = content_open(im->s, &im->sc, member->digest, NULL, e);
        if (fd < 0)
            return -1;
        if (pread(fd, magic, sizeof(magic), 0) < 0)
            return err_sys(e, "read layer");
        *l = (struct oci_descriptor){.media_type =
                                         magic[0] == 0x1f && magic[1] == 0x8b   ? OCI_LAYER_GZIP
                                         : magic[0] == 0x28 && magic[1] == 0xb5 ? OCI_LAYER_ZSTD
                                                                                : OCI_LAYER,
                                     .digest = arena_strdup(im->a, member->digest),
                                     .size = member->size};
    }
    json_write(&oci_manifest_json, &m, &doc);
    TRY(content_put(im->s, &im->sc, buf_cstr(&doc), doc.n, NULL, digest, e));
    target.digest = arena_strdup(im->a, digest);
    target.size = (int64_t)doc.n;
    for (size_t i = 0; i < saved->repo_tags.n; i++) {
        const char *name = name_of(im, saved->repo_tags.v[i], e);
        if (name == NULL)
            return -1;
        TRY(add_image(im, name, &target, e));
    }
    return saved->repo_tags.n == 0 ? add_image(im, name_of(im, NULL, e), &target, e) : 0;
}

static int load_docker(struct import *im, const struct member *manifest, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    struct docker_saved *list = NULL;
    size_t n = 0;
    TRY(content_read(im->s, &im->sc, manifest->digest, &b, e));
    TRY(json_parse_list(&docker_saved_json, (void **)&list, &n, buf_cstr(&b), b.n, im->a, e));
    for (size_t i = 0; i < n; i++)
        TRY(load_saved(im, &list[i], e));
    return 0;
}

static int load_all(struct import *im, int fd, struct err *e)
{
    TRY(read_members(im, fd, e));
    const struct member *index = find(im, "index.json"), *manifest = find(im, "manifest.json");
    if (index != NULL)
        return load_oci(im, index, e);
    if (manifest != NULL)
        return load_docker(im, manifest, e);
    return err_set(e, ERR_INVALID, "invalid archive: does not contain a manifest.json");
}

static int add_extra_names(struct import *im, struct err *e)
{
    for (size_t i = 0;
         im->o->extra_names != NULL && im->o->extra_names[i] != NULL && im->images.n > 0; i++) {
        struct image_record rec = im->images.v[0];
        rec.name = im->o->extra_names[i];
        TRY(image_put(im->s, &im->sc, &rec, e));
    }
    return 0;
}

int image_import(struct store *s, const struct scope *sc, int fd, const struct import_opts *o,
                 struct arena *a, struct image_record **out_v, size_t *out_n, struct err *e)
{
    struct import im = {.s = s, .sc = *sc, .o = o, .a = a};
    bool own = sc->lease == NULL || sc->lease[0] == 0;
    if (own)
        TRY(lease_for_transfer(s, sc, a, &im.sc.lease, e));
    int r = load_all(&im, fd, e);
    if (r == 0)
        r = add_extra_names(&im, e);
    map_done(&im.members);
    if (own)
        lease_end_transfer(s, &im.sc, im.sc.lease, false, r < 0);
    if (r == 0) {
        *out_v = im.images.v;
        *out_n = im.images.n;
    }
    return r;
}
