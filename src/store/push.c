/*
 * Pushing: what is to go out is listed first, blobs once each and manifests behind their parts. A
 * few workers bring the blobs; manifests follow when all are there, so that a reader never meets
 * half an image.
 */
#include "store/push.h"

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/content.h"
#include "sys/fd.h"
#include "sys/thread.h"
#include "types/reference.h"

enum { DEFAULT_PARALLEL = 5, MAX_WORKERS = 16, MAX_DEPTH = 3, MOUNTS_MAX = 4 };

struct push {
    struct store *s;
    struct scope sc;
    struct image_target *t;
    const struct push_opts *o;
    struct arena *a;
    const char *source_label; /* containerd.io/distribution.source.HOST */
    struct map seen;          /* digests that are listed */
    VEC(const struct oci_descriptor *) blobs;
    VEC(const struct oci_descriptor *) manifests; /* parts before their whole */
    pthread_mutex_t lock;
    size_t next;    /* guarded by lock, as the next two */
    bool failed;    /* the others need not go on */
    struct err err; /* of the first that failed */
};

/* ---- what goes out ---- */

static bool is_new(struct push *p, const struct oci_descriptor *d)
{
    return map_put(&p->seen, d->digest, (void *)(uintptr_t)d) == NULL;
}

static int add_blob(struct push *p, const struct oci_descriptor *d, struct err *e)
{
    if (!digest_is_sha256(d->digest) || d->size < 0)
        return err_set(e, ERR_INVALID, "invalid descriptor in an image");
    if (!oci_is_foreign_layer(d->media_type) && is_new(p, d))
        vec_push_in(p->a, &p->blobs, d);
    return 0;
}

static int read_document(struct push *p, const struct oci_descriptor *d,
                         const struct json_desc *type, void *out, struct err *e)
{
    auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
    TRY(content_read(p->s, &p->sc, d->digest, &b, e));
    return json_parse(type, out, buf_cstr(&b), b.n, p->a, e) < 0 ? err_wrap(e, "%s", d->digest) : 0;
}

static int add_manifest(struct push *p, const struct oci_descriptor *d, struct err *e)
{
    struct oci_manifest *m = ARENA_NEW(p->a, struct oci_manifest);
    TRY(read_document(p, d, &oci_manifest_json, m, e));
    TRY(add_blob(p, &m->config, e));
    for (size_t i = 0; i < m->layers.n; i++)
        TRY(add_blob(p, &m->layers.v[i], e));
    return 0;
}

/* The platform is one of those that are wanted; parts without one always are. */
static int is_wanted(struct push *p, const struct oci_descriptor *d, bool *out, struct err *e)
{
    *out = p->o->platforms == NULL || d->platform == NULL;
    for (size_t i = 0; !*out && p->o->platforms[i] != NULL; i++) {
        struct oci_platform wanted;
        TRY(oci_platform_parse(p->o->platforms[i], p->a, &wanted, e));
        *out = oci_platform_score(&wanted, d->platform) > 0;
    }
    return 0;
}

static int add(struct push *p, const struct oci_descriptor *d, int depth, struct err *e);

static int add_index(struct push *p, const struct oci_descriptor *d, int depth, struct err *e)
{
    struct oci_index *index = ARENA_NEW(p->a, struct oci_index);
    bool wanted;
    TRY(read_document(p, d, &oci_index_json, index, e));
    for (size_t i = 0; i < index->manifests.n; i++) {
        TRY(is_wanted(p, &index->manifests.v[i], &wanted, e));
        if (wanted)
            TRY(add(p, &index->manifests.v[i], depth + 1, e));
    }
    return 0;
}

static int add(struct push *p, const struct oci_descriptor *d, int depth, struct err *e)
{
    bool index = oci_is_index(d->media_type);
    if (!index && !oci_is_manifest(d->media_type))
        return add_blob(p, d, e);
    if (depth > MAX_DEPTH)
        return err_set(e, ERR_INVALID, "%.100s: indexes are nested too deeply", d->digest);
    if (!is_new(p, d))
        return 0;
    TRY(index ? add_index(p, d, depth, e) : add_manifest(p, d, e));
    vec_push_in(p->a, &p->manifests, d);
    return 0;
}

/* ---- one blob ---- */

static void report(struct push *p, const struct oci_descriptor *d, enum push_state st,
                   int64_t current, const char *from)
{
    const struct push_progress pp = {st, d->digest, d->media_type, current, d->size, from};
    if (p->o->progress == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->o->progress(p->o->arg, &pp);
    pthread_mutex_unlock(&p->lock);
}

struct sending {
    struct push *p;
    const struct oci_descriptor *d;
};

static void on_sent(void *arg, int64_t n)
{
    struct sending *s = arg;
    report(s->p, s->d, PUSH_STATE_SENDING, n, NULL);
}

/* The other repositories of this registry that a blob came from: "a,b" in its label. */
static const char *const *mounts_of(struct push *p, const struct content_info *info,
                                    struct arena *a)
{
    struct strv from = {0};
    const char *label = strmap_get(&info->labels, p->source_label);
    for (struct str rest = str_of(label != NULL ? label : ""); rest.n > 0;) {
        struct str repo = str_cut(&rest, ',');
        if (repo.n > 0 && !str_eq(repo, p->t->repo) && from.n < MOUNTS_MAX)
            vec_push_in(a, &from, arena_strndup(a, repo.p, repo.n));
    }
    vec_push_in(a, &from, NULL);
    return (const char *const *)from.v;
}

/* From now on the blob can be mounted from this repository too. */
static int remember_repo(struct push *p, const struct content_info *info, struct arena *a,
                         struct err *e)
{
    const char *label = strmap_get(&info->labels, p->source_label);
    struct strmap labels = {0};
    struct strv mask = {0};
    struct content_info ignored;
    for (struct str rest = str_of(label != NULL ? label : ""); rest.n > 0;)
        if (str_eq(str_cut(&rest, ','), p->t->repo))
            return 0;
    strmap_set(&labels, a, p->source_label,
               label != NULL && *label != '\0' ? arena_printf(a, "%s,%s", label, p->t->repo)
                                               : p->t->repo);
    vec_push_in(a, &mask, arena_printf(a, "labels.%s", p->source_label));
    return content_update(p->s, &p->sc, info->digest, &labels, &mask, a, &ignored, e);
}

static int push_one(struct push *p, const struct oci_descriptor *d, struct err *e)
{
    static const enum push_state states[] = {[PUSH_SENT] = PUSH_STATE_SENT,
                                             [PUSH_EXISTED] = PUSH_STATE_EXISTS,
                                             [PUSH_MOUNTED] = PUSH_STATE_MOUNTED};
    auto_arena struct arena *a = arena_new();
    struct content_info info = {.digest = d->digest};
    struct sending sending = {p, d};
    enum push_how how;
    size_t from = 0;
    bool here = content_info(p->s, &p->sc, d->digest, a, &info, e) == 0;
    if (!here && e->kind != ERR_NOT_FOUND)
        return -1;
    err_clear(e);
    auto_fd int fd = here ? content_open(p->s, &p->sc, d->digest, NULL, e) : -1;
    if (here && fd < 0)
        return -1;
    const char *const *mounts = mounts_of(p, &info, a);
    const struct push_blob b = {
        .d = d, .fd = fd, .mount_from = mounts, .sent = on_sent, .arg = &sending};
    report(p, d, PUSH_STATE_WAITING, 0, NULL);
    TRY(p->t->push_blob(p->t, &b, &how, &from, e));
    report(p, d, states[how], d->size, how == PUSH_MOUNTED ? mounts[from] : NULL);
    return here ? remember_repo(p, &info, a, e) : 0;
}

/* ---- all of them ---- */

static const struct oci_descriptor *next_blob(struct push *p)
{
    pthread_mutex_lock(&p->lock);
    const struct oci_descriptor *d =
        p->failed || p->next == p->blobs.n ? NULL : p->blobs.v[p->next++];
    pthread_mutex_unlock(&p->lock);
    return d;
}

static void *worker(void *arg)
{
    struct push *p = arg;
    for (const struct oci_descriptor *d; (d = next_blob(p)) != NULL;) {
        struct err e = {0};
        if (push_one(p, d, &e) == 0)
            continue;
        pthread_mutex_lock(&p->lock);
        if (!p->failed)
            p->err = e;
        p->failed = true;
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

static int push_blobs(struct push *p, struct err *e)
{
    pthread_t threads[MAX_WORKERS];
    size_t want = p->o->max_parallel > 0 ? (size_t)p->o->max_parallel : DEFAULT_PARALLEL, n = 0;
    int no = 0;
    want = MIN(MIN(want, p->blobs.n), (size_t)MAX_WORKERS);
    while (n < want && (no = thread_start(&threads[n], THREAD_STACK_LARGE, worker, p)) == 0)
        n++;
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (n == 0 && want > 0)
        return err_neg(e, no, "start a worker");
    if (p->failed)
        *e = p->err;
    return p->failed ? -1 : 0;
}

static int push_manifests(struct push *p, struct err *e)
{
    vec_each(d, &p->manifests) {
        auto_buf struct buf b = BUF_MAX(OCI_MANIFEST_MAX);
        struct oci_descriptor exact = **d;
        TRY(content_read(p->s, &p->sc, exact.digest, &b, e));
        exact.size = (int64_t)b.n;
        TRY(p->t->push_manifest(p->t, &exact, b.p, *d == p->o->target, e));
        report(p, &exact, PUSH_STATE_SENT, exact.size, NULL);
    }
    return 0;
}

int image_push(struct store *s, const struct scope *sc, struct image_target *t,
               const struct push_opts *o, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct push p = {.s = s, .sc = *sc, .t = t, .o = o, .a = a};
    if (!oci_is_index(o->target->media_type) && !oci_is_manifest(o->target->media_type))
        return err_set(e, ERR_INVALID, "unsupported manifest media type: %.100s",
                       o->target->media_type);
    p.source_label = arena_printf(a, "containerd.io/distribution.source.%s", t->origin);
    pthread_mutex_init(&p.lock, NULL);
    int r = add(&p, o->target, 0, e);
    if (r == 0)
        r = push_blobs(&p, e);
    if (r == 0)
        r = push_manifests(&p, e);
    map_done(&p.seen);
    pthread_mutex_destroy(&p.lock);
    return r;
}
