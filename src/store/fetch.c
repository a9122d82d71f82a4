/*
 * fetch → sha256 → file, with hull-unpack reading the file behind the writer: see fetch.h. The file
 * in the page cache is the pipe, so that a slow disk slows nobody down and a resumed download needs
 * nothing special.
 */
#include "store/fetch.h"

#include <errno.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "store/flight.h"
#include "sys/fd.h"
#include "types/reference.h"

enum { TELL_EVERY = 1 << 20 };

struct stream {
    struct fetch_job *f;
    struct content_writer *w;
    struct layer_work *work; /* NULL: nothing is applied */
    int64_t bytes, told, skip;
};

static int on_bytes(void *arg, const void *p, size_t n, struct err *e)
{
    struct stream *st = arg;
    if (st->f->stop != NULL && *st->f->stop)
        return err_set(e, ERR_CANCELLED, "context canceled");
    size_t known = (size_t)MIN(st->skip, (int64_t)n);
    st->skip -= (int64_t)known;
    p = (const char *)p + known;
    n -= known;
    TRY(content_write(st->w, p, n, e));
    st->bytes += (int64_t)n;
    if (st->work != NULL && st->bytes - st->told >= TELL_EVERY) {
        layer_tell(st->work, st->bytes, false);
        st->told = st->bytes;
    }
    if (st->f->progress != NULL)
        st->f->progress(st->f->arg, st->bytes);
    return 0;
}

/* What is there stays (hull-unpack has read it); the source's second telling of it is passed over.
 */
static int on_restart(void *arg, struct err *e)
{
    struct stream *st = arg;
    (void)e;
    st->skip = st->bytes;
    return 0;
}

static char *ref_of(const struct oci_descriptor *d)
{
    const char *kind = oci_is_index(d->media_type)      ? "index"
                       : oci_is_manifest(d->media_type) ? "manifest"
                       : oci_is_config(d->media_type)   ? "config"
                                                        : "layer";
    return mem_printf("%s-%s", kind, d->digest);
}

/* What an earlier, damaged try left makes every later one fail: throw it away. */
static void forget_ingest(struct fetch_job *f, const char *ref)
{
    struct err ignored = {0};
    (void)ingest_abort(f->s, &f->sc, ref, &ignored);
}

static int download(struct fetch_job *f, struct stream *st, struct err *e)
{
    struct ingest_status status;
    char digest[DIGEST_MAX];
    content_writer_status(st->w, &status, digest);
    st->bytes = status.offset;
    if (st->work != NULL && st->bytes > 0)
        layer_tell(st->work, st->bytes, false);
    if (st->bytes < f->d->size)
        TRY(f->src->fetch(f->src, f->d, st->bytes, on_bytes, on_restart, st, e));
    TRY(content_writer_commit(st->w, f->d->size, f->d->digest, &f->labels, e));
    return 0;
}

/* Download into an open writer, applying on the way. */
static int stream_in(struct fetch_job *f, struct content_writer *w, struct err *e)
{
    struct layer_work work = {.job = JOB_NONE, .root_fd = -1, .input_fd = -1};
    struct stream st = {.f = f, .w = w};
    int r = 0;
    if (f->unpack_dir_fd >= 0) {
        r = layer_start(f->s, &work, take_fd(&f->unpack_dir_fd), content_writer_fd(w), true,
                        f->cancel_fd, e);
        st.work = &work;
    }
    if (r == 0) {
        r = download(f, &st, e);
        if (r < 0 && e->kind == ERR_EXISTS) { /* another name for the same bytes was faster */
            err_clear(e);
            r = content_hold(f->s, &f->sc, f->d->digest, e);
        }
    }
    if (r == 0 && st.work != NULL) {
        layer_tell(&work, f->d->size, true);
        r = layer_finish(&work, f->a, &f->applied, e);
    }
    layer_done(&work);
    return r;
}

/* The blob is there: only apply it. */
static int apply_existing(struct fetch_job *f, struct err *e)
{
    f->existed = true;
    if (f->unpack_dir_fd < 0)
        return 0;
    struct layer_work work = {.job = JOB_NONE, .root_fd = -1, .input_fd = -1};
    int root = take_fd(&f->unpack_dir_fd);
    auto_fd int in = content_open(f->s, &f->sc, f->d->digest, NULL, e);
    if (in < 0) {
        fd_close(root);
        return -1;
    }
    int r = layer_start(f->s, &work, root, in, false, f->cancel_fd, e);
    if (r == 0)
        r = layer_finish(&work, f->a, &f->applied, e);
    layer_done(&work);
    return r;
}

static int check(const struct oci_descriptor *d, struct err *e)
{
    if (!digest_is_sha256(d->digest))
        return err_set(e, ERR_INVALID, "unsupported digest \"%.100s\"",
                       d->digest != NULL ? d->digest : "");
    if (d->size < 0 || d->size > 1LL << 42)
        return err_set(e, ERR_INVALID, "size of %s is out of range: %lld", d->digest,
                       (long long)d->size);
    return 0;
}

static int label_existing(struct fetch_job *f, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct content_info info;
    struct strv mask = {0};
    for (size_t i = 0; i < f->labels.n; i++)
        vec_push_in(a, &mask, arena_printf(a, "labels.%s", f->labels.v[i].key));
    return mask.n > 0 ? content_update(f->s, &f->sc, f->d->digest, &f->labels, &mask, a, &info, e)
                      : 0;
}

int fetch_blob(struct fetch_job *f, struct err *e)
{
    TRY(check(f->d, e));
    auto_free char *key = mem_printf("blob %s %s", f->sc.ns, f->d->digest);
    auto_free char *ref = ref_of(f->d);
    auto_flight struct flight *flight = NULL;
    for (int ours = 0;;) {
        if (content_hold(f->s, &f->sc, f->d->digest, e) == 0) {
            TRY(label_existing(f, e));
            return apply_existing(f, e);
        }
        if (e->kind != ERR_NOT_FOUND || strncmp(e->msg, "lease", 5) == 0)
            return -1;
        err_clear(e);
        if (ours == 1)
            break;
        ours = flight_begin(f->s, key, f->cancel_fd, f->stop_fd, &flight, e);
        TRY(ours);
    }
    if (f->src == NULL)
        return err_set(e, ERR_NOT_FOUND, "content digest %s: not found", f->d->digest);
    struct content_writer *w = NULL;
    TRY(content_writer_open(f->s, &f->sc, ref, f->d->size, f->d->digest, &w, e));
    int r = stream_in(f, w, e);
    struct err ignored = {0};
    bool full = r < 0 && (e->sys == ENOSPC || e->sys == EDQUOT);
    if (full) /* give the room back before the database needs it */
        (void)content_writer_truncate(w, 0, &ignored);
    content_writer_close(w);
    if (r < 0 && (full || e->kind == ERR_PRECONDITION || e->kind == ERR_TOO_LARGE))
        forget_ingest(f, ref);
    return r;
}
