/**
 * hulld's database: one SQLite file in WAL mode. Every kind of object is a table of rows with an
 * id, a unique name and a document (JSON), containers with a second document that changes more
 * often.
 *
 * One connection with a lock: what is written is small, and a commit without sync takes some tens
 * of microseconds. A row is written durably (synchronous=FULL) when it must survive a power cut;
 * all others survive kill -9.
 */
#ifndef HULL_ENGINE_STATE_H
#define HULL_ENGINE_STATE_H

#include "base/arena.h"
#include "base/err.h"

#define STATE_FORMAT 1 /* of the database: a newer one is refused, an older one migrated */

struct state;

enum state_table {
    STATE_CONTAINERS,
    STATE_NETWORKS,
    STATE_VOLUMES,
    STATE_META,
    STATE_SIGNATURES, /* id: the digest of an image; doc: struct image_signatures */
};

struct state_row {
    const char *id, *name; /* name NULL: none */
    const char *doc;       /* JSON */
    const char *run;       /* containers only; NULL else */
};

/** Open or make the database dir/hulld.db. CONFLICT when another process has it; INVALID when its
 * format is newer than ours. */
int state_open(const char *dir, struct state **out, struct err *e);
void state_close(struct state *s);

/** All rows of a table, in the arena, oldest first. */
int state_list(struct state *s, enum state_table t, struct arena *a, struct state_row **out,
               size_t *out_n, struct err *e);

/** One row by its id, in the arena: 1, or 0 when there is none. */
int state_get(struct state *s, enum state_table t, const char *id, struct arena *a,
              struct state_row *out, struct err *e);

/** Insert or replace a row. EXISTS when another id has the name. */
int state_put(struct state *s, enum state_table t, const struct state_row *row, bool durable,
              struct err *e);

/** Write only the run document of a container. */
int state_put_run(struct state *s, const char *id, const char *run, bool durable, struct err *e);

/** Delete a row; one that is not there is fine. */
int state_del(struct state *s, enum state_table t, const char *id, bool durable, struct err *e);

#endif
