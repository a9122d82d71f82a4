/* Blobs: rows per namespace over files per digest. Writing them is in writer.c. */
#include "store/content.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/time.h"
#include "store/filter.h"
#include "store/mask.h"
#include "store/state.h"
#include "store/trash.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/reference.h"

static int check_digest(const char *digest, struct err *e)
{
    if (digest_is_sha256(digest))
        return 0;
    return err_set(e, ERR_INVALID, "%.200s: invalid checksum digest format: invalid argument",
                   digest != NULL ? digest : "");
}

static int missing(const char *digest, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "content digest %s: not found", digest);
}

#define CONTENT_COLUMNS "digest, size, created, updated, labels"

static void read_row(const struct rows *r, struct arena *a, struct content_info *out)
{
    *out = (struct content_info){.digest = row_text(r, 0, a),
                                 .size = row_i64(r, 1),
                                 .created_ns = row_i64(r, 2),
                                 .updated_ns = row_i64(r, 3)};
    row_map(r, 4, a, &out->labels);
}

static int load(struct tx *t, const char *ns, const char *digest, struct arena *a,
                struct content_info *out, struct err *e)
{
    auto_rows struct rows r = {0};
    TRY(db_query(t, &r, e, "SELECT " CONTENT_COLUMNS " FROM content WHERE ns=? AND digest=?", "ss",
                 ns, digest));
    int found = rows_next(&r, e);
    if (found == 0)
        return missing(digest, e);
    if (found > 0)
        read_row(&r, a, out);
    return found < 0 ? -1 : 0;
}

int content_info(struct store *s, const struct scope *sc, const char *digest, struct arena *a,
                 struct content_info *out, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(scope_check(sc, e));
    TRY(check_digest(digest, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    return load(&t, sc->ns, digest, a, out, e);
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
    const struct content_info *c = obj;
    if (strcmp(path[0], "digest") == 0)
        return c->digest;
    return strcmp(path[0], "labels") == 0 ? filter_label(&c->labels, path, n) : NULL;
}

int content_list(struct store *s, const struct scope *sc, const struct strv *filters,
                 content_list_fn *fn, void *arg, struct err *e)
{
    auto_filters struct filters *f = NULL;
    auto_arena struct arena *a = arena_new();
    VEC(struct content_info) list = {0};
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    {
        auto_tx struct tx t = {0};
        auto_rows struct rows r = {0};
        int more;
        TRY(tx_begin(&t, &s->db, TX_READ, e));
        TRY(db_query(&t, &r, e,
                     "SELECT " CONTENT_COLUMNS " FROM content WHERE ns=? ORDER BY digest", "s",
                     sc->ns));
        while ((more = rows_next(&r, e)) > 0)
            read_row(&r, a, vec_add_in(a, &list));
        TRY(more);
    }
    vec_each(info, &list) {
        if (filters_match(f, field, info))
            TRY(fn(arg, info, e));
    }
    return 0;
}

int content_open(struct store *s, const struct scope *sc, const char *digest, int64_t *out_size,
                 struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct content_info info;
    TRY(content_info(s, sc, digest, a, &info, e));
    int fd = path_open_beneath(s->blobs_fd, digest_hex(digest), O_RDONLY, 0, e);
    if (fd < 0)
        return e->kind == ERR_NOT_FOUND ? missing(digest, e) : err_wrap(e, "open %s", digest);
    if (out_size != NULL)
        *out_size = info.size;
    return fd;
}

int content_read(struct store *s, const struct scope *sc, const char *digest, struct buf *out,
                 struct err *e)
{
    int64_t size = 0;
    auto_fd int fd = content_open(s, sc, digest, &size, e);
    if (fd < 0)
        return -1;
    if ((uint64_t)size > out->max)
        return err_set(e, ERR_TOO_LARGE, "content %s is too large: %lld bytes", digest,
                       (long long)size);
    int r = fd_read_to_end(fd, out);
    return r < 0 ? err_neg(e, r, "read %s", digest) : 0;
}

int content_update(struct store *s, const struct scope *sc, const char *digest,
                   const struct strmap *labels, const struct strv *mask, struct arena *a,
                   struct content_info *out, struct err *e)
{
    static const char *const fields[] = {"labels.", NULL};
    auto_tx struct tx t = {0};
    TRY(scope_check(sc, e));
    TRY(check_digest(digest, e));
    TRY(mask_check(mask, fields, "content info", e));
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(load(&t, sc->ns, digest, a, out, e));
    mask_map(mask, "labels", labels, &out->labels, a);
    TRY(store_check_labels(&out->labels, e));
    out->updated_ns = time_now_ns();
    TRY(db_exec(&t, e, "UPDATE content SET labels=?, updated=? WHERE ns=? AND digest=?", "siss",
                map_text(&out->labels, a), out->updated_ns, sc->ns, digest));
    return tx_commit(&t, e);
}

int content_delete(struct store *s, const struct scope *sc, const char *digest, struct err *e)
{
    TRY(scope_check(sc, e));
    TRY(check_digest(digest, e));
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        int n = db_exec(&t, e, "DELETE FROM content WHERE ns=? AND digest=?", "ss", sc->ns, digest);
        TRY(n);
        if (n == 0)
            return missing(digest, e);
        TRY(db_exec(&t, e, "DELETE FROM lease_resource WHERE ns=? AND type='content' AND id=?",
                    "ss", sc->ns, digest));
        TRY(tx_commit(&t, e));
    }
    char *name = (char *)(uintptr_t)digest;
    blob_discard_orphans(s, &(struct strv){.v = &name, .n = 1});
    store_emit(s, &(struct store_event){.ns = sc->ns, .topic = "/content/delete", .name = digest});
    store_gc_soon(s);
    return 0;
}

/* Those of digests that no namespace has, in one transaction. */
static int find_orphans(struct store *s, const struct strv *digests, struct arena *a,
                        struct strv *out, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    vec_each(digest, digests) {
        int64_t one = 0;
        int has = db_i64(&t, e, &one, "SELECT 1 FROM content WHERE digest=?", "s", *digest);
        TRY(has);
        if (has == 0)
            vec_push_in(a, out, *digest);
    }
    return 0;
}

void blob_discard_orphans(struct store *s, const struct strv *digests)
{
    auto_arena struct arena *a = arena_new();
    struct strv orphans = {0};
    struct err ignored = {0}; /* after an error the next start removes them */
    if (digests->n == 0)
        return;
    pthread_mutex_lock(&s->blobs);
    (void)find_orphans(s, digests, a, &orphans, &ignored);
    vec_each(digest, &orphans)
        trash_put(s, s->blobs_fd, digest_hex(*digest));
    pthread_mutex_unlock(&s->blobs);
}

int content_put(struct store *s, const struct scope *sc, const void *p, size_t n,
                const struct strmap *labels, char out_digest[72], struct err *e)
{
    char digest[DIGEST_MAX];
    digest_of(p, n, digest);
    if (out_digest != NULL)
        memcpy(out_digest, digest, sizeof(digest));
    auto_writer struct content_writer *w = NULL;
    auto_free char *ref = mem_printf("put-%s-%lld", digest, (long long)time_mono_ns());
    int r = content_writer_open(s, sc, ref, (int64_t)n, digest, &w, e);
    if (r == 0)
        r = content_write(w, p, n, e);
    if (r == 0)
        r = content_writer_commit(w, (int64_t)n, digest, labels, e);
    if (r == 0 || e->kind != ERR_EXISTS)
        return r;
    /* it is there: give it the labels, and to the lease */
    auto_arena struct arena *a = arena_new();
    struct content_info info;
    struct strv mask = {0};
    err_clear(e);
    for (size_t i = 0; labels != NULL && i < labels->n; i++)
        vec_push_in(a, &mask, arena_printf(a, "labels.%s", labels->v[i].key));
    TRY(content_hold(s, sc, digest, e));
    return mask.n > 0 ? content_update(s, sc, digest, labels, &mask, a, &info, e) : 0;
}

int content_hold(struct store *s, const struct scope *sc, const char *digest, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_tx struct tx t = {0};
    struct content_info info;
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(load(&t, sc->ns, digest, a, &info, e));
    TRY(scope_hold(s, &t, sc, "content", digest, e));
    return tx_commit(&t, e);
}
