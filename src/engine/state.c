/* The database: prepared statements by table, one connection, one lock. */
#include "engine/state.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"
#include "sys/path.h"

enum stmt { PUT, DEL, LIST, GET, PUT_RUN, N_STMTS };

static const char *const table_names[] = {"containers", "networks", "volumes", "meta",
                                          "signatures"};
enum { N_TABLES = sizeof(table_names) / sizeof(table_names[0]) };

/* %s is the table; PUT_RUN is for containers only */
static const char *const sql[N_STMTS] = {
    [PUT] = ("INSERT INTO %s(id, name, doc, run) VALUES(?1, ?2, ?3, ?4) "
             "ON CONFLICT(id) DO UPDATE SET name = ?2, doc = ?3, run = ?4"),
    [DEL] = "DELETE FROM %s WHERE id = ?1",
    [LIST] = "SELECT id, name, doc, run FROM %s ORDER BY rowid",
    [GET] = "SELECT id, name, doc, run FROM %s WHERE id = ?1",
    [PUT_RUN] = "UPDATE %s SET run = ?2 WHERE id = ?1",
};

struct state {
    pthread_mutex_t lock;
    /* guarded by lock */
    sqlite3 *db;
    sqlite3_stmt *stmts[N_TABLES][N_STMTS]; /* prepared when first used */
    bool full;                              /* what synchronous is set to */
};

static int fail(struct state *s, const char *what, struct err *e)
{
    return err_set(e, ERR_INTERNAL, "state database: %s: %s", what, sqlite3_errmsg(s->db));
}

static int exec(struct state *s, const char *text, struct err *e)
{
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, text, e);
}

static int format_check(struct state *s, struct err *e)
{
    sqlite3_stmt *q = NULL;
    int format;

    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW) {
        sqlite3_finalize(q);
        return fail(s, "user_version", e);
    }
    format = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    if (format > STATE_FORMAT)
        return err_set(
            e, ERR_INVALID,
            "state database has format %d, this hulld knows only %d: install a newer one", format,
            STATE_FORMAT);
    return 0;
}

static int tables_make(struct state *s, struct err *e)
{
    auto_free char *version = mem_printf("PRAGMA user_version = %d", STATE_FORMAT);

    for (int t = 0; t < N_TABLES; t++) {
        auto_free char *text =
            mem_printf("CREATE TABLE IF NOT EXISTS %s(id TEXT NOT NULL PRIMARY KEY, "
                       "name TEXT UNIQUE, doc TEXT NOT NULL, run TEXT) STRICT",
                       table_names[t]);

        TRY(exec(s, text, e));
    }
    return exec(s, version, e);
}

static int setup(struct state *s, struct err *e)
{
    sqlite3_busy_timeout(s->db, 2000);
    TRY(exec(s, "PRAGMA locking_mode = EXCLUSIVE", e));
    if (sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) != SQLITE_OK) {
        if (sqlite3_errcode(s->db) == SQLITE_BUSY)
            return err_set(e, ERR_CONFLICT, "another hulld uses this data root");
        return fail(s, "journal_mode", e);
    }
    TRY(exec(s, "PRAGMA synchronous = NORMAL", e));
    TRY(format_check(s, e));
    return tables_make(s, e);
}

int state_open(const char *dir, struct state **out, struct err *e)
{
    struct state *s = mem_alloc(sizeof(*s));
    auto_free char *path = mem_printf("%s/hulld.db", dir);

    pthread_mutex_init(&s->lock, NULL);
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        (void)err_set(e, ERR_INTERNAL, "open %s: %s", path,
                      s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
        state_close(s);
        return -1;
    }
    if (setup(s, e) < 0) {
        state_close(s);
        return err_wrap(e, "%s", path);
    }
    *out = s;
    return 0;
}

void state_close(struct state *s)
{
    if (s == NULL)
        return;
    for (int t = 0; t < N_TABLES; t++)
        for (int i = 0; i < N_STMTS; i++)
            sqlite3_finalize(s->stmts[t][i]);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The statement, reset; NULL and e on failure. Caller holds the lock. */
static sqlite3_stmt *prepared(struct state *s, enum state_table t, enum stmt i, struct err *e)
{
    sqlite3_stmt **q = &s->stmts[t][i];

    if (*q == NULL) {
        auto_free char *text = NULL;
        struct buf b = BUF_MAX(4096);
        const char *at = strstr(sql[i], "%s");

        buf_add(&b, sql[i], (size_t)(at - sql[i]));
        buf_adds(&b, table_names[t]);
        buf_adds(&b, at + 2);
        text = buf_take(&b);
        if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, q, NULL) != SQLITE_OK) {
            (void)fail(s, "prepare", e);
            return NULL;
        }
    }
    sqlite3_reset(*q);
    sqlite3_clear_bindings(*q);
    return *q;
}

static void bind(sqlite3_stmt *q, int i, const char *text)
{
    if (text != NULL)
        sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

/* Run a statement that gives no rows, as a transaction of its own. Caller holds the lock. */
static int step(struct state *s, sqlite3_stmt *q, bool durable, struct err *e)
{
    int rc;

    if (durable != s->full) {
        TRY(exec(s, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", e));
        s->full = durable;
    }
    rc = sqlite3_step(q);
    if (rc == SQLITE_CONSTRAINT_UNIQUE)
        (void)err_set(e, ERR_EXISTS, "name is taken");
    else if (rc != SQLITE_DONE)
        (void)fail(s, "write", e);
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? 0 : -1;
}

static void read_row(sqlite3_stmt *q, struct arena *a, struct state_row *out)
{
    out->id = arena_strdup(a, (const char *)sqlite3_column_text(q, 0));
    out->name = arena_strdup(a, (const char *)sqlite3_column_text(q, 1));
    out->doc = arena_strdup(a, (const char *)sqlite3_column_text(q, 2));
    out->run = arena_strdup(a, (const char *)sqlite3_column_text(q, 3));
}

int state_get(struct state *s, enum state_table t, const char *id, struct arena *a,
              struct state_row *out, struct err *e)
{
    sqlite3_stmt *q;
    int rc = SQLITE_ERROR;

    pthread_mutex_lock(&s->lock);
    q = prepared(s, t, GET, e);
    if (q != NULL) {
        bind(q, 1, id);
        rc = sqlite3_step(q);
        if (rc == SQLITE_ROW)
            read_row(q, a, out);
        else if (rc != SQLITE_DONE)
            (void)fail(s, "read", e);
        sqlite3_reset(q);
    }
    pthread_mutex_unlock(&s->lock);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int state_list(struct state *s, enum state_table t, struct arena *a, struct state_row **out,
               size_t *out_n, struct err *e)
{
    VEC(struct state_row) rows = {0};
    sqlite3_stmt *q;
    int rc = SQLITE_ERROR;

    pthread_mutex_lock(&s->lock);
    q = prepared(s, t, LIST, e);
    while (q != NULL && (rc = sqlite3_step(q)) == SQLITE_ROW)
        read_row(q, a, vec_add_in(a, &rows));
    if (q != NULL) {
        if (rc != SQLITE_DONE)
            (void)fail(s, "read", e);
        sqlite3_reset(q);
    }
    pthread_mutex_unlock(&s->lock);
    *out = rows.v;
    *out_n = rows.n;
    return rc == SQLITE_DONE ? 0 : -1;
}

int state_put(struct state *s, enum state_table t, const struct state_row *row, bool durable,
              struct err *e)
{
    sqlite3_stmt *q;
    int r = -1;

    pthread_mutex_lock(&s->lock);
    q = prepared(s, t, PUT, e);
    if (q != NULL) {
        bind(q, 1, row->id);
        bind(q, 2, row->name);
        bind(q, 3, row->doc);
        bind(q, 4, row->run);
        r = step(s, q, durable, e);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

int state_put_run(struct state *s, const char *id, const char *run, bool durable, struct err *e)
{
    sqlite3_stmt *q;
    int r = -1;

    pthread_mutex_lock(&s->lock);
    q = prepared(s, STATE_CONTAINERS, PUT_RUN, e);
    if (q != NULL) {
        bind(q, 1, id);
        bind(q, 2, run);
        r = step(s, q, durable, e);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

int state_del(struct state *s, enum state_table t, const char *id, bool durable, struct err *e)
{
    sqlite3_stmt *q;
    int r = -1;

    pthread_mutex_lock(&s->lock);
    q = prepared(s, t, DEL, e);
    if (q != NULL) {
        bind(q, 1, id);
        r = step(s, q, durable, e);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}
