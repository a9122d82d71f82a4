/*
 * Pulling: a few workers fetch and apply layers, each in a directory of its own; the calling thread
 * commits them from the bottom up as they become ready, mending what depends on the layers below.
 */
#include "store/pull.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "store/content.h"
#include "store/fetch.h"
#include "store/flight.h"
#include "store/lease.h"
#include "sys/fd.h"
#include "sys/thread.h"
#include "types/reference.h"

enum { DEFAULT_PARALLEL = 3, MAX_INDEX_DEPTH = 3 };

struct layer {
    struct pull *p;
    const struct oci_descriptor *d;
    const char *diff_id, *chain, *parent, *key;
    struct flight *flight; /* the unpacking is ours */
    struct arena *a;       /* the worker's own */
    struct unpack_result applied;
    bool there, fetched; /* the snapshot is there; bytes were fetched */
    bool done;           /* guarded by p->lock, as the next two */
    int r;
    struct err err;
};

struct pull {
    struct store *s;
    struct scope sc;
    struct image_source *src; /* NULL: all content is there */
    const struct pull_opts *o;
    struct arena *a;
    struct oci_platform platform;
    struct layer *layers;
    size_t n, next; /* next: guarded by lock */
    pthread_mutex_t lock;
    int done_fd;       /* eventfd: a layer is done */
    int stop_fd;       /* eventfd: stop is true, and stays so */
    int cancel_fd;     /* the caller's */
    _Atomic bool stop; /* a layer failed: the others need not go on */
    bool changed;
};

static const char *const state_texts[] = {
#define X(name, text) text,
    PULL_STATES(X)
#undef X
};

const char *pull_state_text(enum pull_state st)
{
    return state_texts[st];
}

static void report(struct pull *p, const struct oci_descriptor *d, enum pull_state st,
                   int64_t current)
{
    if (p->o->progress == NULL)
        return;
    const struct pull_progress pp = {st, d->digest, d->media_type, current, d->size};
    pthread_mutex_lock(&p->lock);
    p->o->progress(p->o->arg, &pp);
    pthread_mutex_unlock(&p->lock);
}

/* ---- documents ---- */

static int get_document(struct pull *p, const struct oci_descriptor *d, size_t max,
                        const struct strmap *labels, const struct json_desc *type, void *out,
                        struct err *e)
{
    struct fetch_job f = {.s = p->s,
                          .sc = p->sc,
                          .src = p->src,
                          .d = d,
                          .cancel_fd = p->cancel_fd,
                          .unpack_dir_fd = -1,
                          .a = p->a};
    auto_buf struct buf b = BUF_MAX(max);
    if (d->size > (int64_t)max)
        return err_set(e, ERR_INVALID, "%s is too large: %lld bytes", d->digest,
                       (long long)d->size);
    if (labels != NULL)
        f.labels = *labels;
    TRY(fetch_blob(&f, e));
    p->changed = p->changed || !f.existed;
    TRY(content_read(p->s, &p->sc, d->digest, &b, e));
    if (json_parse(type, out, buf_cstr(&b), b.n, p->a, e) < 0)
        return err_wrap(e, "%s", d->digest);
    return 0;
}

static void source_label(struct pull *p, struct strmap *labels)
{
    if (p->src != NULL && p->src->origin != NULL && p->src->repo != NULL)
        strmap_set(labels, p->a,
                   arena_printf(p->a, "containerd.io/distribution.source.%s", p->src->origin),
                   p->src->repo);
}

static int add_labels(struct pull *p, const char *digest, struct strmap *labels, struct err *e)
{
    struct content_info info;
    struct strv mask = {0};
    for (size_t i = 0; i < labels->n; i++)
        vec_push_in(p->a, &mask, arena_printf(p->a, "labels.%s", labels->v[i].key));
    return mask.n == 0 ? 0 : content_update(p->s, &p->sc, digest, labels, &mask, p->a, &info, e);
}

/* Documents may leave anything out. */
static int check_descriptor(struct oci_descriptor *d, struct err *e)
{
    if (d->media_type == NULL)
        d->media_type = "";
    if (digest_is_sha256(d->digest) && d->size >= 0)
        return 0;
    return err_set(e, ERR_INVALID, "invalid descriptor: digest \"%.100s\", size %lld",
                   d->digest != NULL ? d->digest : "", (long long)d->size);
}

static int read_image(struct pull *p, const struct oci_descriptor *md, struct oci_manifest *m,
                      struct oci_image_config *c, struct err *e);

/* Of an index whose content is here already: the manifest that suits best and is here. Without a
 * wish every platform that is here is kept, and any will do. */
static const struct oci_descriptor *pick_here(struct pull *p, const struct oci_index *index)
{
    bool wish = p->o->platform != NULL && p->o->platform[0] != 0;
    const struct oci_descriptor *wanted = oci_index_pick(index, &p->platform);
    struct oci_index here = {0};
    for (size_t i = 0; i < index->manifests.n; i++) {
        struct oci_manifest m;
        struct oci_image_config c;
        struct err absent = {0};
        const struct oci_descriptor *d = &index->manifests.v[i];
        if ((wish && d != wanted) || !oci_is_manifest(d->media_type) ||
            read_image(p, d, &m, &c, &absent) < 0)
            continue;
        vec_push_in(p->a, &here.manifests, *d);
    }
    const struct oci_descriptor *best = oci_index_pick(&here, &p->platform);
    for (size_t i = 0; best == NULL && !wish && i < here.manifests.n; i++)
        if (here.manifests.v[i].platform == NULL ||
            strcmp(here.manifests.v[i].platform->os, "unknown") != 0)
            best = &here.manifests.v[i];
    return best;
}

static int pick_manifest(struct pull *p, const struct oci_descriptor *top, int depth,
                         struct oci_descriptor *out, struct err *e)
{
    struct oci_index index;
    struct strmap labels = {0};
    if (oci_is_manifest(top->media_type)) {
        *out = *top;
        return 0;
    }
    if (!oci_is_index(top->media_type) || depth > MAX_INDEX_DEPTH)
        return err_set(e, ERR_INVALID, "unsupported manifest media type: %.100s", top->media_type);
    source_label(p, &labels);
    TRY(get_document(p, top, OCI_MANIFEST_MAX, &labels, &oci_index_json, &index, e));
    if (index.manifests.n > 1000)
        return err_set(e, ERR_INVALID, "index %s lists too many manifests", top->digest);
    labels = (struct strmap){0};
    for (size_t i = 0; i < index.manifests.n; i++)
        TRY(check_descriptor(&index.manifests.v[i], e));
    for (size_t i = 0; i < index.manifests.n; i++)
        strmap_set(&labels, p->a, arena_printf(p->a, "containerd.io/gc.ref.content.m.%zu", i),
                   index.manifests.v[i].digest);
    TRY(add_labels(p, top->digest, &labels, e));
    const struct oci_descriptor *best =
        p->src == NULL ? pick_here(p, &index) : oci_index_pick(&index, &p->platform);
    if (best == NULL && index.manifests.n == 1 && index.manifests.v[0].platform == NULL)
        best = &index.manifests.v[0];
    if (best == NULL)
        return err_set(e, ERR_NOT_FOUND,
                       "no matching manifest for %s in the manifest list entries: not found",
                       oci_platform_format(&p->platform, p->a));
    struct oci_descriptor next = *best;
    return pick_manifest(p, &next, depth + 1, out, e);
}

static int read_image(struct pull *p, const struct oci_descriptor *md, struct oci_manifest *m,
                      struct oci_image_config *c, struct err *e)
{
    struct strmap labels = {0}, refs = {0};
    source_label(p, &labels);
    TRY(get_document(p, md, OCI_MANIFEST_MAX, &labels, &oci_manifest_json, m, e));
    if (m->layers.n > OCI_LAYERS_MAX)
        return err_set(e, ERR_INVALID, "image has %zu layers, more than %d", m->layers.n,
                       OCI_LAYERS_MAX);
    TRY(check_descriptor(&m->config, e));
    for (size_t i = 0; i < m->layers.n; i++) {
        TRY(check_descriptor(&m->layers.v[i], e));
        if (oci_is_foreign_layer(m->layers.v[i].media_type))
            return err_set(e, ERR_INVALID,
                           "layer %s is a foreign layer: its bytes are not in the registry, and "
                           "images with such layers are not supported",
                           m->layers.v[i].digest);
    }
    strmap_set(&refs, p->a, "containerd.io/gc.ref.content.config", m->config.digest);
    for (size_t i = 0; i < m->layers.n; i++)
        strmap_set(&refs, p->a, arena_printf(p->a, "containerd.io/gc.ref.content.l.%zu", i),
                   m->layers.v[i].digest);
    TRY(add_labels(p, md->digest, &refs, e));
    TRY(get_document(p, &m->config, OCI_CONFIG_MAX, &labels, &oci_image_config_json, c, e));
    if (c->rootfs.diff_ids.n != m->layers.n)
        return err_set(e, ERR_INVALID,
                       "mismatched image rootfs and manifest layers: %zu diff ids, %zu layers",
                       c->rootfs.diff_ids.n, m->layers.n);
    for (size_t i = 0; i < m->layers.n; i++)
        if (!digest_is_sha256(c->rootfs.diff_ids.v[i]))
            return err_set(e, ERR_INVALID, "invalid diff id \"%.100s\"", c->rootfs.diff_ids.v[i]);
    return 0;
}

/* ---- one layer, in a worker ---- */

static void on_progress(void *arg, int64_t bytes)
{
    struct layer *l = arg;
    report(l->p, l->d, PULL_DOWNLOADING, bytes);
}

static int snapshot_there(struct layer *l, struct err *e)
{
    struct snapshot_info info;
    struct pull *p = l->p;
    if (snapshot_stat(p->s, &p->sc, l->chain, l->a, &info, e) == 0) {
        const struct lease_resource res = {l->chain, "snapshots/" SNAPSHOTTER};
        if (p->sc.lease != NULL && p->sc.lease[0] != 0)
            TRY(lease_add(p->s, &p->sc, p->sc.lease, &res, e));
        return 1;
    }
    if (e->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    return 0;
}

/* Find out whether unpacking is ours to do; wait for another pull that does it. */
static int claim_snapshot(struct layer *l, struct err *e)
{
    auto_free char *key = mem_printf("snapshot %s %s", l->p->sc.ns, l->chain);
    for (int ours = 0;;) {
        int there = snapshot_there(l, e);
        TRY(there);
        l->there = there == 1;
        if (l->there)
            flight_end(TAKE_PTR(l->flight));
        if (l->there || ours == 1)
            return 0;
        ours = flight_begin(l->p->s, key, l->p->cancel_fd, l->p->stop_fd, &l->flight, e);
        TRY(ours);
    }
}

static int layer_work_run(struct layer *l, struct err *e)
{
    struct pull *p = l->p;
    struct fetch_job f = {.s = p->s,
                          .sc = p->sc,
                          .src = p->src,
                          .d = l->d,
                          .cancel_fd = p->cancel_fd,
                          .stop = &p->stop,
                          .stop_fd = p->stop_fd,
                          .unpack_dir_fd = -1,
                          .a = l->a,
                          .progress = on_progress,
                          .arg = l};
    struct content_info info;
    if (!p->o->no_unpack)
        TRY(claim_snapshot(l, e));
    bool have_blob = content_info(p->s, &p->sc, l->d->digest, l->a, &info, e) == 0;
    err_clear(e);
    if (!have_blob)
        report(p, l->d, PULL_PULLING, 0);
    if (!p->o->no_unpack && !l->there) {
        TRY(snapshot_prepare(p->s, &p->sc, SNAPSHOT_ACTIVE, l->key, "", NULL, l->a, NULL, e));
        f.unpack_dir_fd = snapshot_open_dir(p->s, &p->sc, l->key, e);
        if (f.unpack_dir_fd < 0)
            return -1;
    }
    strmap_set(&f.labels, l->a, "containerd.io/uncompressed", l->diff_id);
    if (p->src != NULL && p->src->origin != NULL && p->src->repo != NULL)
        strmap_set(&f.labels, l->a,
                   arena_printf(l->a, "containerd.io/distribution.source.%s", p->src->origin),
                   p->src->repo);
    int r = fetch_blob(&f, e);
    fd_close(f.unpack_dir_fd);
    TRY(r);
    l->applied = f.applied;
    l->fetched = !f.existed;
    if (l->fetched)
        report(p, l->d, PULL_DOWNLOADED, l->d->size);
    if (!p->o->no_unpack && !l->there && !l->applied.needs_merge)
        TRY(layer_check_diff_id(l->diff_id, &l->applied, e));
    return 0;
}

static void *worker(void *arg)
{
    struct pull *p = arg;
    const uint64_t one = 1;
    while (true) {
        pthread_mutex_lock(&p->lock);
        struct layer *l = p->next < p->n ? &p->layers[p->next++] : NULL;
        pthread_mutex_unlock(&p->lock);
        if (l == NULL)
            return NULL;
        struct err e = {0};
        int r = layer_work_run(l, &e);
        pthread_mutex_lock(&p->lock);
        l->r = r;
        l->err = e;
        l->done = true;
        pthread_mutex_unlock(&p->lock);
        (void)fd_write_all(p->done_fd, &one, sizeof(one)); /* never full */
    }
}

/* ---- committing, in order ---- */

static int wait_for(struct pull *p, struct layer *l, struct err *e)
{
    while (true) {
        pthread_mutex_lock(&p->lock);
        bool done = l->done;
        pthread_mutex_unlock(&p->lock);
        if (done)
            break;
        struct pollfd pf = {.fd = p->done_fd, .events = POLLIN};
        uint64_t count;
        if (poll(&pf, 1, -1) > 0)
            (void)fd_read_all(p->done_fd, &count, sizeof(count)); /* only a wake-up */
    }
    if (l->r < 0)
        *e = l->err;
    return l->r;
}

/* The layer depends on those below: once more, on top of them. */
static int reapply(struct pull *p, struct layer *l, struct err *e)
{
    struct mount_spec m;
    TRY(snapshot_remove(p->s, &p->sc, l->key, e));
    TRY(snapshot_prepare(p->s, &p->sc, SNAPSHOT_ACTIVE, l->key, l->parent, NULL, p->a, &m, e));
    auto_fd int in = content_open(p->s, &p->sc, l->d->digest, NULL, e);
    if (in < 0)
        return -1;
    TRY(layer_apply_merged(p->s, &m, in, p->cancel_fd, p->a, &l->applied, e));
    TRY(layer_check_diff_id(l->diff_id, &l->applied, e));
    return snapshot_commit(p->s, &p->sc, l->chain, l->key, "", NULL, e);
}

static int commit_layer(struct pull *p, struct layer *l, struct err *e)
{
    report(p, l->d, PULL_EXTRACTING, l->d->size);
    int merge = l->applied.needs_merge;
    if (merge && l->parent[0] == 0)
        return err_set(e, ERR_INVALID, "invalid layer: %s", l->applied.reason);
    if (!merge)
        merge = layer_mend(p->s, &p->sc, l->key, l->parent, &l->applied, e);
    TRY(merge);
    if (merge > 0)
        TRY(reapply(p, l, e));
    else
        TRY(snapshot_commit(p->s, &p->sc, l->chain, l->key, l->parent, NULL, e));
    return 0;
}

static int finish_layer(struct pull *p, struct layer *l, struct err *e)
{
    TRY(wait_for(p, l, e));
    if (!p->o->no_unpack && !l->there) {
        TRY(commit_layer(p, l, e));
        flight_end(TAKE_PTR(l->flight));
        l->key = NULL;
    }
    bool new = l->fetched || (!l->there && !p->o->no_unpack);
    p->changed = p->changed || l->fetched;
    report(p, l->d, new ? PULL_COMPLETE : PULL_EXISTS, l->d->size);
    return 0;
}

static int prepare_layers(struct pull *p, const struct oci_manifest *m,
                          const struct oci_image_config *c)
{
    p->n = m->layers.n;
    p->layers = arena_alloc_array(p->a, p->n > 0 ? p->n : 1, sizeof(*p->layers));
    for (size_t i = 0; i < p->n; i++) {
        struct layer *l = &p->layers[i];
        l->p = p;
        l->a = arena_new();
        l->d = &m->layers.v[i];
        l->diff_id = c->rootfs.diff_ids.v[i];
        l->chain = digest_chain(&c->rootfs.diff_ids, i + 1, p->a);
        l->parent = i > 0 ? p->layers[i - 1].chain : "";
        l->key =
            arena_printf(p->a, "extract-hull-%lld-%zu %s", (long long)time_mono_ns(), i, l->chain);
    }
    return 0;
}

/* After a failure: nothing half unpacked stays. */
static void discard_layers(struct pull *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct layer *l = &p->layers[i];
        struct err ignored = {0};
        if (l->key != NULL && !l->there && !p->o->no_unpack) {
            snapshot_empty(p->s, &p->sc, l->key); /* first, since the database may need the room */
            (void)snapshot_remove(p->s, &p->sc, l->key, &ignored); /* may never have been made */
        }
        flight_end(l->flight);
        arena_free(l->a);
    }
}

static int start_workers(struct pull *p, pthread_t *threads, size_t want, size_t *out_n,
                         struct err *e)
{
    int r = 0;
    *out_n = 0;
    while (*out_n < want &&
           (r = thread_start(&threads[*out_n], THREAD_STACK_LARGE, worker, p)) == 0)
        (*out_n)++;
    return *out_n == 0 && want > 0 ? err_neg(e, r, "start a worker") : 0;
}

static int pull_layers(struct pull *p, struct err *e)
{
    enum { MAX_WORKERS = 16 };
    pthread_t threads[MAX_WORKERS];
    size_t want = p->o->max_parallel > 0 ? (size_t)p->o->max_parallel : DEFAULT_PARALLEL, n = 0;
    want = MIN(MIN(want, p->n), (size_t)MAX_WORKERS);
    int r = start_workers(p, threads, want, &n, e);
    for (size_t i = 0; r == 0 && i < p->n; i++)
        r = finish_layer(p, &p->layers[i], e);
    if (r < 0) { /* the others stop at their next byte, and wait for no other pull: it may wait for
                    us */
        const uint64_t one = 1;
        p->stop = true;
        (void)fd_write_all(p->stop_fd, &one, sizeof(one)); /* an eventfd at 0 takes it */
        pthread_mutex_lock(&p->lock);
        p->next = p->n;
        pthread_mutex_unlock(&p->lock);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return r;
}

/* ---- the whole ---- */

/* What was pulled, by name; the config keeps its snapshots alive. */
static int record(struct pull *p, const struct oci_descriptor *top, const struct oci_manifest *m,
                  struct err *e)
{
    struct strmap labels = {0};
    if (p->n > 0 && !p->o->no_unpack) {
        strmap_set(&labels, p->a, "containerd.io/gc.ref.snapshot." SNAPSHOTTER,
                   p->layers[p->n - 1].chain);
        TRY(add_labels(p, m->config.digest, &labels, e));
    }
    if (p->o->name == NULL)
        return 0;
    struct image_record old, rec = {.name = p->o->name, .labels = p->o->labels, .target = *top};
    if (image_get(p->s, &p->sc, p->o->name, p->a, &old, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
        p->changed = true;
    } else if (strcmp(old.target.digest, top->digest) != 0) {
        p->changed = true;
    }
    rec.target.urls = (struct strv){0};
    return image_put(p->s, &p->sc, &rec, e);
}

static int pull_all(struct pull *p, struct oci_descriptor *top, struct pull_result *out,
                    struct err *e)
{
    struct oci_descriptor md;
    struct oci_manifest m;
    struct oci_image_config c;
    TRY(oci_platform_parse(p->o->platform, p->a, &p->platform, e));
    if (p->src != NULL && top->digest == NULL)
        TRY(p->src->resolve(p->src, p->a, top, e));
    TRY(pick_manifest(p, top, 0, &md, e));
    TRY(read_image(p, &md, &m, &c, e));
    TRY(prepare_layers(p, &m, &c));
    int r = pull_layers(p, e);
    if (r == 0)
        r = record(p, top, &m, e);
    discard_layers(p);
    TRY(r);
    if (out == NULL)
        return 0;
    *out = (struct pull_result){.target = *top, .changed = p->changed};
    memcpy(out->manifest, md.digest, strlen(md.digest) + 1);
    memcpy(out->config, m.config.digest, strlen(m.config.digest) + 1);
    if (p->n > 0)
        memcpy(out->chain_id, p->layers[p->n - 1].chain, DIGEST_MAX);
    return 0;
}

static int with_lease(struct pull *p, struct oci_descriptor *top, struct pull_result *out,
                      struct err *e)
{
    if (p->sc.lease != NULL && p->sc.lease[0] != 0)
        return pull_all(p, top, out, e);
    TRY(lease_for_transfer(p->s, &p->sc, p->a, &p->sc.lease, e));
    int r = pull_all(p, top, out, e);
    struct err ignored = {0};
    bool resumable =
        r < 0 && (e->kind == ERR_UNAVAILABLE || e->kind == ERR_CANCELLED || e->kind == ERR_TIMEOUT);
    if (r == 0)
        (void)lease_resumed(p->s, &p->sc, top->digest, &ignored);
    lease_end_transfer(p->s, &p->sc, p->sc.lease, resumable, false);
    return r;
}

static int run(struct pull *p, struct oci_descriptor *top, struct pull_result *out, struct err *e)
{
    pthread_mutex_init(&p->lock, NULL);
    p->cancel_fd = p->o->cancel_fd;
    p->done_fd = eventfd(0, EFD_CLOEXEC);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    int r = p->done_fd < 0 || p->stop_fd < 0 ? err_sys(e, "eventfd") : with_lease(p, top, out, e);
    fd_close(p->stop_fd);
    fd_close(p->done_fd);
    pthread_mutex_destroy(&p->lock);
    return r;
}

int image_pull(struct store *s, const struct scope *sc, struct image_source *src,
               const struct pull_opts *o, struct arena *a, struct pull_result *out, struct err *e)
{
    struct pull p = {.s = s, .sc = *sc, .src = src, .o = o, .a = a};
    struct oci_descriptor top = {0};
    return run(&p, &top, out, e);
}

int image_complete(struct store *s, const struct scope *sc, const struct oci_descriptor *target,
                   const struct pull_opts *o, struct arena *a, struct err *e)
{
    struct pull p = {.s = s, .sc = *sc, .o = o, .a = a};
    struct oci_descriptor top = *target;
    return run(&p, &top, NULL, e);
}

int image_unpack(struct store *s, const struct scope *sc, const struct oci_descriptor *target,
                 const char *platform, int cancel_fd, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    const struct pull_opts o = {.platform = platform, .cancel_fd = cancel_fd};
    return image_complete(s, sc, target, &o, a, e);
}
