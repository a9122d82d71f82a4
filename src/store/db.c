/*
 * SQLite behind five verbs: see db.h. Durability is chosen per transaction: `synchronous` is NORMAL
 * (the write-ahead log is written, not flushed) and FULL only while a durable one commits.
 */
#include "store/db.h"

#include <errno.h>

#include "base/mem.h"

enum { FORMAT_VERSION = 1 };

static const char schema[] =
    "CREATE TABLE namespace(name TEXT PRIMARY KEY, labels TEXT NOT NULL) STRICT;"
    "CREATE TABLE content(ns TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, labels TEXT NOT NULL,"
    " PRIMARY KEY(ns, digest)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX content_digest ON content(digest);"
    "CREATE TABLE ingest(id INTEGER PRIMARY KEY AUTOINCREMENT, ns TEXT NOT NULL, ref TEXT NOT NULL,"
    " total INTEGER NOT NULL, expected TEXT NOT NULL, started INTEGER NOT NULL,"
    " UNIQUE(ns, ref)) STRICT;"
    "CREATE TABLE image(ns TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,"
    " digest TEXT NOT NULL, size INTEGER NOT NULL, annotations TEXT NOT NULL, labels TEXT NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY(ns, name)) STRICT;"
    "CREATE TABLE snapshot(id INTEGER PRIMARY KEY AUTOINCREMENT, ns TEXT NOT NULL, name TEXT NOT "
    "NULL,"
    " kind INTEGER NOT NULL, parent INTEGER NOT NULL, labels TEXT NOT NULL, created INTEGER NOT "
    "NULL,"
    " updated INTEGER NOT NULL, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL, UNIQUE(ns, name)) "
    "STRICT;"
    "CREATE INDEX snapshot_parent ON snapshot(parent);"
    "CREATE TABLE container(ns TEXT NOT NULL, id TEXT NOT NULL, image TEXT NOT NULL,"
    " runtime TEXT NOT NULL, options_type TEXT NOT NULL, options BLOB NOT NULL,"
    " spec_type TEXT NOT NULL, spec BLOB NOT NULL, snapshotter TEXT NOT NULL,"
    " snapshot_key TEXT NOT NULL, sandbox TEXT NOT NULL, labels TEXT NOT NULL,"
    " created INTEGER NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY(ns, id)) STRICT;"
    "CREATE TABLE extension(ns TEXT NOT NULL, container TEXT NOT NULL, key TEXT NOT NULL,"
    " type TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(ns, container, key)) STRICT;"
    "CREATE TABLE lease(ns TEXT NOT NULL, id TEXT NOT NULL, labels TEXT NOT NULL,"
    " created INTEGER NOT NULL, PRIMARY KEY(ns, id)) STRICT;"
    "CREATE TABLE lease_resource(ns TEXT NOT NULL, lease TEXT NOT NULL, type TEXT NOT NULL,"
    " id TEXT NOT NULL, PRIMARY KEY(ns, lease, type, id)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version=1;";

static int db_err(sqlite3 *h, struct err *e, const char *what)
{
    int code = sqlite3_extended_errcode(h);
    err_set(e, ERR_INTERNAL, "%s: database: %s", what, sqlite3_errmsg(h));
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        e->kind = ERR_EXISTS;
    else if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        e->kind = ERR_UNAVAILABLE;
    else if ((code & 0xff) == SQLITE_FULL) {
        err_set(e, ERR_INTERNAL, "%s: no space left on device", what);
        e->sys = ENOSPC;
    }
    return -1;
}

static int run_sql(sqlite3 *h, const char *sql, struct err *e)
{
    return sqlite3_exec(h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_err(h, e, "store");
}

static int bring_to_version(struct db *db, const char *path, struct err *e)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db->h, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return db_err(db->h, e, path);
    }
    int version = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    if (version > FORMAT_VERSION)
        return err_set(e, ERR_INVALID,
                       "%s was made by a newer version (format %d, this program knows %d)", path,
                       version, FORMAT_VERSION);
    if (version == FORMAT_VERSION)
        return 0;
    TRY(run_sql(db->h, "BEGIN EXCLUSIVE", e));
    TRY(run_sql(db->h, schema, e));
    return run_sql(db->h, "COMMIT", e);
}

int db_open(struct db *db, const char *path, struct err *e)
{
    pthread_mutex_init(&db->lock, NULL);
    db->statements = (struct map){0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db->h, flags, NULL) != SQLITE_OK)
        return db_err(db->h, e, path);
    sqlite3_extended_result_codes(db->h, 1);
    /* the lock is taken by the first access and kept: a second supervisor is refused */
    TRY(run_sql(
        db->h,
        "PRAGMA busy_timeout=200; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-1024; PRAGMA journal_size_limit=4194304;",
        e));
    return bring_to_version(db, path, e);
}

void db_close(struct db *db)
{
    if (db->h == NULL)
        return;
    map_each(ent, &db->statements) {
        sqlite3_finalize(ent->val);
    }
    map_done(&db->statements);
    sqlite3_close(db->h);
    db->h = NULL;
    pthread_mutex_destroy(&db->lock);
}

/* ---- transactions ---- */

int tx_begin(struct tx *t, struct db *db, enum tx_mode mode, struct err *e)
{
    pthread_mutex_lock(&db->lock);
    t->db = db;
    t->mode = mode;
    int r = 0;
    if (mode == TX_DURABLE)
        r = run_sql(db->h, "PRAGMA synchronous=FULL", e);
    if (r == 0)
        r = run_sql(db->h, mode == TX_READ ? "BEGIN" : "BEGIN IMMEDIATE", e);
    if (r < 0)
        tx_end(t);
    return r;
}

void tx_end(struct tx *t)
{
    if (t->db == NULL)
        return;
    if (!sqlite3_get_autocommit(t->db->h))
        (void)sqlite3_exec(t->db->h, "ROLLBACK", NULL, NULL, NULL);
    if (t->mode == TX_DURABLE)
        (void)sqlite3_exec(t->db->h, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    pthread_mutex_unlock(&t->db->lock);
    t->db = NULL;
}

int tx_commit(struct tx *t, struct err *e)
{
    int r = run_sql(t->db->h, "COMMIT", e);
    tx_end(t);
    return r;
}

/* ---- statements ---- */

static sqlite3_stmt *statement(struct db *db, const char *sql, struct err *e)
{
    sqlite3_stmt *q = map_get(&db->statements, sql);
    if (q == NULL) {
        if (sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, &q, NULL) != SQLITE_OK) {
            db_err(db->h, e, "store");
            return NULL;
        }
        map_put(&db->statements, sql, q);
    }
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return q;
}

static void bind_all(sqlite3_stmt *q, const char *types, va_list ap)
{
    for (int i = 1; *types != 0; types++, i++) {
        if (*types == 's') {
            const char *s = va_arg(ap, const char *);
            sqlite3_bind_text(q, i, s != NULL ? s : "", -1, SQLITE_TRANSIENT);
        } else if (*types == 'i') {
            sqlite3_bind_int64(q, i, va_arg(ap, int64_t));
        } else {
            const void *p = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);
            if (n == 0)
                sqlite3_bind_zeroblob(q, i, 0);
            else
                sqlite3_bind_blob64(q, i, p, n, SQLITE_TRANSIENT);
        }
    }
}

int db_exec(struct tx *t, struct err *e, const char *sql, const char *types, ...)
{
    sqlite3_stmt *q = statement(t->db, sql, e);
    if (q == NULL)
        return -1;
    va_list ap;
    va_start(ap, types);
    bind_all(q, types, ap);
    va_end(ap);
    int r = sqlite3_step(q);
    if (r != SQLITE_DONE && r != SQLITE_ROW) {
        db_err(t->db->h, e, "store");
        sqlite3_reset(q);
        return -1;
    }
    sqlite3_reset(q);
    return sqlite3_changes(t->db->h);
}

static int query_va(struct tx *t, struct rows *r, struct err *e, const char *sql, const char *types,
                    va_list ap)
{
    r->db = t->db;
    r->q = statement(t->db, sql, e);
    if (r->q == NULL)
        return -1;
    bind_all(r->q, types, ap);
    return 0;
}

int db_query(struct tx *t, struct rows *r, struct err *e, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    int res = query_va(t, r, e, sql, types, ap);
    va_end(ap);
    return res;
}

int rows_next(struct rows *r, struct err *e)
{
    int res = sqlite3_step(r->q);
    if (res == SQLITE_ROW)
        return 1;
    if (res != SQLITE_DONE)
        db_err(r->db->h, e, "store");
    rows_done(r);
    return res == SQLITE_DONE ? 0 : -1;
}

void rows_done(struct rows *r)
{
    if (r->q != NULL)
        sqlite3_reset(r->q);
    r->q = NULL;
}

int db_i64(struct tx *t, struct err *e, int64_t *out, const char *sql, const char *types, ...)
{
    auto_rows struct rows r = {0};
    va_list ap;
    va_start(ap, types);
    int res = query_va(t, &r, e, sql, types, ap);
    va_end(ap);
    TRY(res);
    TRY(res = rows_next(&r, e));
    if (res == 1)
        *out = row_i64(&r, 0);
    return res;
}

/* ---- columns ---- */

int64_t row_i64(const struct rows *r, int col)
{
    return sqlite3_column_int64(r->q, col);
}

const char *row_text(const struct rows *r, int col, struct arena *a)
{
    const char *s = (const char *)sqlite3_column_text(r->q, col);
    return arena_strdup(a, s != NULL ? s : "");
}

const void *row_blob(const struct rows *r, int col, struct arena *a, size_t *out_n)
{
    const void *p = sqlite3_column_blob(r->q, col);
    *out_n = (size_t)sqlite3_column_bytes(r->q, col);
    return *out_n > 0 ? arena_dup(a, p, *out_n) : arena_alloc(a, 1);
}

/* A map has a document of its own only here: { "m": {...} } */
#define MAP_DOC(T, F) F(T, map, m, "m", JSON_EMPTY)
JSON_TYPE(map_doc, MAP_DOC)
JSON_DESC(map_doc, MAP_DOC)

void row_map(const struct rows *r, int col, struct arena *a, struct strmap *out)
{
    struct map_doc doc = {0};
    struct err ignored = {0};
    const char *s = (const char *)sqlite3_column_text(r->q, col);
    int n = sqlite3_column_bytes(r->q, col);
    *out = (struct strmap){0};
    if (s == NULL || n < 10) /* {"m":{}} */
        return;
    if (json_parse(&map_doc_json, &doc, s, (size_t)n, a, &ignored) == 0) /* we wrote it ourselves */
        *out = doc.m;
}

const char *map_text(const struct strmap *m, struct arena *a)
{
    struct map_doc doc = {0};
    struct buf b = BUF_MAX(64 << 20);
    if (m != NULL)
        doc.m = *m;
    json_write(&map_doc_json, &doc, &b);
    const char *out = arena_strdup(a, buf_cstr(&b));
    buf_done(&b);
    return out;
}
