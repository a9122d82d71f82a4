/**
 * The store's SQLite database: one connection, one lock, prepared statements that are kept.
 *
 *     auto_tx struct tx t = {0};
 *     TRY(tx_begin(&t, s, TX_WRITE, e));
 *     TRY(db_exec(&t, e, "DELETE FROM image WHERE ns=? AND name=?", "ss", ns, name));
 *     TRY(tx_commit(&t, e));           // leaving without it rolls back
 *
 * Private to the room.
 */
#ifndef HULL_STORE_DB_H
#define HULL_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"

struct db {
    sqlite3 *h; /* guarded by lock, as all below */
    pthread_mutex_t lock;
    struct map statements; /* SQL text: sqlite3_stmt */
};

/** Open or make the database at path and bring its schema to our version. INVALID when it is newer
 * than this program, UNAVAILABLE when another process has it. */
int db_open(struct db *db, const char *path, struct err *e);
void db_close(struct db *db);

enum tx_mode {
    TX_READ,
    TX_WRITE,   /* survives kill -9; a power cut may lose it */
    TX_DURABLE, /* survives a power cut */
};

struct tx {
    struct db *db; /* NULL: not begun */
    enum tx_mode mode;
};

int tx_begin(struct tx *t, struct db *db, enum tx_mode mode, struct err *e);
int tx_commit(struct tx *t, struct err *e);
/** Roll back and unlock when still open. */
void tx_end(struct tx *t);
#define auto_tx CLEANUP(tx_end)

/**
 * Run one statement. types has a letter per parameter: s const char * (NULL is ""), i int64_t, b
 * const void * and size_t. Returns the number of rows changed, or -1 (EXISTS for a key that is
 * taken).
 */
int db_exec(struct tx *t, struct err *e, const char *sql, const char *types, ...);

/* A running query. The same SQL text must not run twice at a time. */
struct rows {
    sqlite3_stmt *q;
    struct db *db;
};
int db_query(struct tx *t, struct rows *r, struct err *e, const char *sql, const char *types, ...);
/** 1: at the next row, 0: no more, -1: error. */
int rows_next(struct rows *r, struct err *e);
void rows_done(struct rows *r);
#define auto_rows CLEANUP(rows_done)

int64_t row_i64(const struct rows *r, int col);
/** Copied into the arena; never NULL. */
const char *row_text(const struct rows *r, int col, struct arena *a);
const void *row_blob(const struct rows *r, int col, struct arena *a, size_t *out_n);
/** A JSON object of strings. */
void row_map(const struct rows *r, int col, struct arena *a, struct strmap *out);

/** A map as the JSON text that row_map reads, in the arena. */
const char *map_text(const struct strmap *m, struct arena *a);

/** One integer: a count, say. */
int db_i64(struct tx *t, struct err *e, int64_t *out, const char *sql, const char *types, ...);

#endif
