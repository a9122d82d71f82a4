/*
 * Writing content. The row of an ingest comes first, its file grows beside it, and at the commit
 * the file is flushed, renamed to its digest and the row replaced, all under the blobs lock. The
 * offset is the file's size, so that a resume after a crash needs nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/time.h"
#include "store/content.h"
#include "store/filter.h"
#include "store/state.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "types/reference.h"

struct content_writer {
    struct store *s;
    char *ns, *lease, *ref, *lock_key, *expected;
    char name[24]; /* of the file: the row's id */
    int64_t id, offset, total, started_ns, updated_ns, locked_ns;
    int fd;
    struct sha256 *sum;
    char digest[DIGEST_MAX];
    bool committed;
};

static struct scope scope_of(const struct content_writer *w)
{
    return (struct scope){w->ns, w->lease};
}

/* ---- the lock on a name ---- */

static int lock_ref(struct content_writer *w, struct err *e)
{
    struct store *s = w->s;
    pthread_mutex_lock(&s->lock);
    struct content_writer *other = map_get(&s->open_refs, w->lock_key);
    int64_t since = other != NULL ? other->locked_ns : 0;
    if (other == NULL)
        map_put(&s->open_refs, w->lock_key, w);
    pthread_mutex_unlock(&s->lock);
    if (other == NULL)
        return 0;
    char age[TIME_TEXT_MAX], at[TIME_TEXT_MAX];
    dur_format(time_now_ns() - since, age);
    time_format(since, at);
    return err_set(e, ERR_UNAVAILABLE, "ref %s locked for %s (since %s): unavailable", w->ref, age,
                   at);
}

static void unlock_ref(struct content_writer *w)
{
    pthread_mutex_lock(&w->s->lock);
    if (map_get(&w->s->open_refs, w->lock_key) == w)
        map_del(&w->s->open_refs, w->lock_key);
    pthread_mutex_unlock(&w->s->lock);
}

/* ---- open ---- */

/* The row, found or made. */
static int claim_row(struct content_writer *w, struct err *e)
{
    struct scope sc = scope_of(w);
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int64_t one = 0;
    TRY(tx_begin(&t, &w->s->db, TX_WRITE, e));
    if (w->expected[0] != 0) {
        int has = db_i64(&t, e, &one, "SELECT 1 FROM content WHERE ns=? AND digest=?", "ss", w->ns,
                         w->expected);
        TRY(has);
        if (has > 0) {
            TRY(scope_hold(w->s, &t, &sc, "content", w->expected, e));
            TRY(tx_commit(&t, e));
            return err_set(e, ERR_EXISTS, "content %s: already exists", w->expected);
        }
    }
    TRY(db_query(&t, &r, e, "SELECT id, total, started FROM ingest WHERE ns=? AND ref=?", "ss",
                 w->ns, w->ref));
    int found = rows_next(&r, e);
    TRY(found);
    if (found > 0) {
        w->id = row_i64(&r, 0);
        w->total = w->total != 0 ? w->total : row_i64(&r, 1);
        w->started_ns = row_i64(&r, 2);
        rows_done(&r);
    } else {
        TRY(ns_touch(&t, w->ns, e));
        TRY(db_exec(&t, e, "INSERT INTO ingest(ns,ref,total,expected,started) VALUES(?,?,?,?,?)",
                    "ssisi", w->ns, w->ref, w->total, w->expected, w->started_ns));
        w->id = sqlite3_last_insert_rowid(t.db->h);
    }
    TRY(scope_hold(w->s, &t, &sc, "ingests", w->ref, e));
    return tx_commit(&t, e);
}

/* Hash what an earlier writer left. */
static int rehash(struct content_writer *w, struct err *e)
{
    enum { CHUNK = 1 << 18 };
    auto_free char *chunk = mem_alloc(CHUNK);
    sha256_reset(w->sum);
    for (w->offset = 0;;) {
        ssize_t n = pread(w->fd, chunk, CHUNK, w->offset);
        if (n < 0)
            return err_sys(e, "read ingest %s", w->ref);
        if (n == 0)
            return 0;
        sha256_add(w->sum, chunk, (size_t)n);
        w->offset += n;
    }
}

static int open_file(struct content_writer *w, struct err *e)
{
    struct stat st;
    TRY(claim_row(w, e));
    (void)snprintf(w->name, sizeof(w->name), "%lld", (long long)w->id);
    w->fd = path_open_beneath(w->s->ingest_fd, w->name, O_RDWR | O_CREAT, 0600, e);
    if (w->fd < 0)
        return err_wrap(e, "ingest %s", w->ref);
    w->sum = sha256_new();
    TRY(rehash(w, e));
    if (fstat(w->fd, &st) < 0)
        return err_sys(e, "ingest %s", w->ref);
    w->updated_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    return 0;
}

static void writer_free(struct content_writer *w)
{
    fd_close(w->fd);
    sha256_free(w->sum);
    free(w->ns);
    free(w->lease);
    free(w->ref);
    free(w->lock_key);
    free(w->expected);
    free(w);
}

int content_writer_open(struct store *s, const struct scope *sc, const char *ref, int64_t total,
                        const char *expected, struct content_writer **out, struct err *e)
{
    TRY(scope_check(sc, e));
    if (ref == NULL || ref[0] == 0)
        return err_set(e, ERR_INVALID, "ref must not be empty: invalid argument");
    if (strlen(ref) > 4096 || total < 0)
        return err_set(e, ERR_INVALID, "ref or total out of range: invalid argument");
    if (expected != NULL && expected[0] != 0 && !digest_is_sha256(expected))
        return err_set(e, ERR_INVALID, "%.200s: invalid checksum digest format: invalid argument",
                       expected);
    struct content_writer *w = mem_alloc(sizeof(*w));
    w->s = s;
    w->ns = mem_strdup(sc->ns);
    w->lease = mem_strdup(sc->lease != NULL ? sc->lease : "");
    w->ref = mem_strdup(ref);
    w->lock_key = mem_printf("%s/%s", sc->ns, ref);
    w->expected = mem_strdup(expected != NULL ? expected : "");
    w->total = total;
    w->fd = -1;
    w->started_ns = w->locked_ns = time_now_ns();
    if (lock_ref(w, e) < 0) {
        writer_free(w);
        return -1;
    }
    if (open_file(w, e) < 0) {
        content_writer_close(w);
        return -1;
    }
    *out = w;
    return 0;
}

void content_writer_close(struct content_writer *w)
{
    if (w == NULL)
        return;
    unlock_ref(w);
    writer_free(w);
}

/* ---- use ---- */

void content_writer_status(const struct content_writer *w, struct ingest_status *out,
                           char out_digest[static 72])
{
    *out = (struct ingest_status){.ref = w->ref,
                                  .expected = w->expected,
                                  .offset = w->offset,
                                  .total = w->total,
                                  .started_ns = w->started_ns,
                                  .updated_ns = w->updated_ns};
    sha256_peek(w->sum, out_digest);
}

int content_writer_fd(const struct content_writer *w)
{
    return w->fd;
}

const char *content_writer_digest(const struct content_writer *w)
{
    return w->digest;
}

int content_write(struct content_writer *w, const void *p, size_t n, struct err *e)
{
    const char *at = p;
    if (w->total > 0 && w->offset + (int64_t)n > w->total)
        return err_set(e, ERR_TOO_LARGE, "ref %s: more than the announced %lld bytes", w->ref,
                       (long long)w->total);
    while (n > 0) {
        ssize_t done = pwrite(w->fd, at, n, w->offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_sys(e, "write ingest %s", w->ref);
        sha256_add(w->sum, at, (size_t)done);
        w->offset += done;
        at += done;
        n -= (size_t)done;
    }
    w->updated_ns = time_now_ns();
    return 0;
}

int content_writer_truncate(struct content_writer *w, int64_t size, struct err *e)
{
    if (size == w->offset)
        return 0;
    if (size != 0)
        return err_set(e, ERR_OUT_OF_RANGE, "expected offset %lld, got %lld: out of range",
                       (long long)w->offset, (long long)size);
    if (ftruncate(w->fd, 0) < 0)
        return err_sys(e, "truncate ingest %s", w->ref);
    w->offset = 0;
    sha256_reset(w->sum);
    return 0;
}

/* ---- commit ---- */

static int check_commit(struct content_writer *w, int64_t size, const char *expected, struct err *e)
{
    sha256_peek(w->sum, w->digest);
    if (expected == NULL || expected[0] == 0)
        expected = w->expected;
    if (size > 0 && size != w->offset)
        return err_set(e, ERR_PRECONDITION,
                       "unexpected commit size %lld, expected %lld: failed precondition",
                       (long long)w->offset, (long long)size);
    if (expected[0] != 0 && strcmp(expected, w->digest) != 0)
        return err_set(e, ERR_PRECONDITION,
                       "unexpected commit digest %s, expected %s: failed precondition", w->digest,
                       expected);
    return 0;
}

/* In t: the ingest becomes a blob. 1 when the namespace had it already. */
static int swap_rows(struct content_writer *w, struct tx *t, const char *labels, struct err *e)
{
    struct scope sc = scope_of(w);
    int64_t now = time_now_ns();
    int fresh = db_exec(t, e,
                        "INSERT OR IGNORE INTO content(ns,digest,size,created,updated,labels)"
                        " VALUES(?,?,?,?,?,?)",
                        "ssiiis", w->ns, w->digest, w->offset, now, now, labels);
    TRY(fresh);
    TRY(db_exec(t, e, "DELETE FROM ingest WHERE id=?", "i", w->id));
    TRY(db_exec(t, e, "DELETE FROM lease_resource WHERE ns=? AND type='ingests' AND id=?", "ss",
                w->ns, w->ref));
    TRY(scope_hold(w->s, t, &sc, "content", w->digest, e));
    return fresh > 0 ? 0 : 1;
}

static int commit_rows(struct content_writer *w, const char *labels, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(tx_begin(&t, &w->s->db, TX_WRITE, e));
    int existed = swap_rows(w, &t, labels, e);
    TRY(existed);
    TRY(tx_commit(&t, e));
    return existed;
}

/* With the lock of the blobs held. Without its row the file goes back: the disk may be full. */
static int move_in(struct content_writer *w, const char *labels, struct err *e)
{
    const char *hex = digest_hex(w->digest);
    struct store *s = w->s;
    bool moved = renameat2(s->ingest_fd, w->name, s->blobs_fd, hex, RENAME_NOREPLACE) == 0;
    if (!moved && errno != EEXIST)
        return err_sys(e, "commit %s", w->digest);
    int existed = fsync(s->blobs_fd) < 0 ? err_sys(e, "sync blobs") : commit_rows(w, labels, e);
    if (existed < 0 && moved)
        (void)renameat(s->blobs_fd, hex, s->ingest_fd,
                       w->name); /* else the next start removes it */
    if (existed >= 0 && !moved)
        (void)unlinkat(s->ingest_fd, w->name, 0); /* the next start removes it */
    return existed;
}

int content_writer_commit(struct content_writer *w, int64_t size, const char *expected,
                          const struct strmap *labels, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    TRY(store_check_labels(labels, e));
    TRY(check_commit(w, size, expected, e));
    if (fchmod(w->fd, 0444) < 0 || fdatasync(w->fd) < 0)
        return err_sys(e, "sync %s", w->digest);
    pthread_mutex_lock(&w->s->blobs);
    int r = move_in(w, map_text(labels, a), e);
    pthread_mutex_unlock(&w->s->blobs);
    TRY(r);
    w->committed = true;
    if (r == 1)
        return err_set(e, ERR_EXISTS, "content %s: already exists", w->digest);
    store_emit(w->s,
               &(struct store_event){
                   .ns = w->ns, .topic = "/content/create", .name = w->digest, .size = w->offset});
    return 0;
}

/* ---- ingests seen from outside ---- */

static int read_status(struct store *s, const struct rows *r, struct arena *a,
                       struct ingest_status *out)
{
    char name[24];
    struct stat st = {0};
    (void)snprintf(name, sizeof(name), "%lld", (long long)row_i64(r, 0));
    *out = (struct ingest_status){.ref = row_text(r, 1, a),
                                  .total = row_i64(r, 2),
                                  .expected = row_text(r, 3, a),
                                  .started_ns = row_i64(r, 4)};
    if (fstatat(s->ingest_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        out->offset = st.st_size;
        out->updated_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    }
    return 0;
}

#define INGEST_COLUMNS "id, ref, total, expected, started"

int ingest_status(struct store *s, const struct scope *sc, const char *ref, struct arena *a,
                  struct ingest_status *out, struct err *e)
{
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    TRY(scope_check(sc, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT " INGEST_COLUMNS " FROM ingest WHERE ns=? AND ref=?", "ss",
                 sc->ns, ref));
    int found = rows_next(&r, e);
    TRY(found);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "ref %s: not found", ref);
    return read_status(s, &r, a, out);
}

static const char *ingest_field(const void *obj, const char *const *path, size_t n)
{
    const struct ingest_status *st = obj;
    return n == 1 && strcmp(path[0], "ref") == 0 ? st->ref : NULL;
}

int ingest_list(struct store *s, const struct scope *sc, const struct strv *filters,
                struct arena *a, struct ingest_status **out, size_t *out_n, struct err *e)
{
    auto_filters struct filters *f = NULL;
    VEC(struct ingest_status) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT " INGEST_COLUMNS " FROM ingest WHERE ns=? ORDER BY ref", "s",
                 sc->ns));
    while ((more = rows_next(&r, e)) > 0) {
        struct ingest_status st;
        read_status(s, &r, a, &st);
        if (filters_match(f, ingest_field, &st))
            vec_push_in(a, &list, st);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

int ingest_abort(struct store *s, const struct scope *sc, const char *ref, struct err *e)
{
    auto_free char *key = mem_printf("%s/%s", sc->ns != NULL ? sc->ns : "", ref);
    char name[24];
    TRY(scope_check(sc, e));
    pthread_mutex_lock(&s->lock);
    bool busy = map_has(&s->open_refs, key);
    pthread_mutex_unlock(&s->lock);
    if (busy)
        return err_set(e, ERR_UNAVAILABLE, "ref %s locked: unavailable", ref);
    {
        auto_tx struct tx t = {0};
        int64_t id = 0;
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        int found =
            db_i64(&t, e, &id, "SELECT id FROM ingest WHERE ns=? AND ref=?", "ss", sc->ns, ref);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_NOT_FOUND, "ref %s: not found", ref);
        TRY(db_exec(&t, e, "DELETE FROM ingest WHERE id=?", "i", id));
        TRY(db_exec(&t, e, "DELETE FROM lease_resource WHERE ns=? AND type='ingests' AND id=?",
                    "ss", sc->ns, ref));
        TRY(tx_commit(&t, e));
        (void)snprintf(name, sizeof(name), "%lld", (long long)id);
    }
    (void)unlinkat(s->ingest_fd, name, 0); /* the next start removes it */
    return 0;
}
