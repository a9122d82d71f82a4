/* Leases: see lease.h. */
#include "store/lease.h"

#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/filter.h"
#include "store/snapshot.h"
#include "store/state.h"

static int must_exist(struct tx *t, const struct scope *sc, const char *id, struct err *e)
{
    int64_t one = 0;
    int found = db_i64(t, e, &one, "SELECT 1 FROM lease WHERE ns=? AND id=?", "ss", sc->ns, id);
    TRY(found);
    return found > 0 ? 0 : err_set(e, ERR_NOT_FOUND, "lease \"%s\": not found", id);
}

/* A new lease of one of our own transfers; see lease.h. */
#define TRANSFER "transfer-"
#define RESUMABLE "resumable-"
enum { TRANSFER_LIFE_S = 24 * 3600 };

static const char *made_up_id(struct arena *a)
{
    unsigned char bytes[6];
    char hex[2 * sizeof(bytes) + 1];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        abort(); /* cannot fail for so few bytes */
    str_hex(bytes, sizeof(bytes), hex);
    return arena_printf(a, "%lld-%s", (long long)(time_now_ns() % NS_PER_S), hex);
}

int lease_create(struct store *s, const struct scope *sc, const char *id,
                 const struct strmap *labels, struct arena *a, struct lease_info *out,
                 struct err *e)
{
    TRY(scope_check(sc, e));
    TRY(store_check_labels(labels, e));
    if (id == NULL || id[0] == 0)
        id = made_up_id(a);
    else if (strlen(id) > 1024)
        return err_set(e, ERR_INVALID, "lease id is too long: invalid argument");
    auto_tx struct tx t = {0};
    int64_t now = time_now_ns();
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(ns_touch(&t, sc->ns, e));
    if (db_exec(&t, e, "INSERT INTO lease(ns,id,labels,created) VALUES(?,?,?,?)", "sssi", sc->ns,
                id, map_text(labels, a), now) < 0)
        return e->kind == ERR_EXISTS ? err_set(e, ERR_EXISTS, "lease \"%s\": already exists", id)
                                     : -1;
    TRY(tx_commit(&t, e));
    *out = (struct lease_info){.id = arena_strdup(a, id), .created_ns = now};
    for (size_t i = 0; labels != NULL && i < labels->n; i++)
        strmap_set(&out->labels, a, labels->v[i].key, labels->v[i].val);
    return 0;
}

int lease_delete(struct store *s, const struct scope *sc, const char *id, bool sync, struct err *e)
{
    TRY(scope_check(sc, e));
    {
        auto_tx struct tx t = {0};
        /* who waits for the collector has all that went before on disk, too */
        TRY(tx_begin(&t, &s->db, sync ? TX_DURABLE : TX_WRITE, e));
        TRY(must_exist(&t, sc, id, e));
        TRY(db_exec(&t, e, "DELETE FROM lease WHERE ns=? AND id=?", "ss", sc->ns, id));
        TRY(db_exec(&t, e, "DELETE FROM lease_resource WHERE ns=? AND lease=?", "ss", sc->ns, id));
        TRY(tx_commit(&t, e));
    }
    if (sync)
        return store_gc(s, e);
    store_gc_soon(s);
    return 0;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
    const struct lease_info *l = obj;
    if (strcmp(path[0], "id") == 0)
        return l->id;
    return strcmp(path[0], "labels") == 0 ? filter_label(&l->labels, path, n) : NULL;
}

int lease_list(struct store *s, const struct scope *sc, const struct strv *filters, struct arena *a,
               struct lease_info **out, size_t *out_n, struct err *e)
{
    auto_filters struct filters *f = NULL;
    VEC(struct lease_info) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT id, created, labels FROM lease WHERE ns=? ORDER BY id", "s",
                 sc->ns));
    while ((more = rows_next(&r, e)) > 0) {
        struct lease_info l = {.id = row_text(&r, 0, a), .created_ns = row_i64(&r, 1)};
        row_map(&r, 2, a, &l.labels);
        if (filters_match(f, field, &l))
            vec_push_in(a, &list, l);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

static int check_type(const struct lease_resource *r, struct err *e)
{
    static const char *const types[] = {"content", "ingests", "images", ("snapshots/" SNAPSHOTTER)};
    if (r->id == NULL || r->id[0] == 0 || strlen(r->id) > 4096)
        return err_set(e, ERR_INVALID, "lease resource id must not be empty: invalid argument");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(r->type, types[i]) == 0)
            return 0;
    if (strncmp(r->type, "snapshots", 9) == 0)
        return err_set(e, ERR_INVALID, "invalid snapshot resource type %.100s: invalid argument",
                       r->type);
    return err_set(e, ERR_UNIMPLEMENTED, "resource type %.100s not supported yet: not implemented",
                   r->type);
}

static int change(struct store *s, const struct scope *sc, const char *id,
                  const struct lease_resource *r, const char *sql, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(scope_check(sc, e));
    TRY(check_type(r, e));
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(must_exist(&t, sc, id, e));
    TRY(db_exec(&t, e, sql, "ssss", sc->ns, id, r->type, r->id));
    return tx_commit(&t, e);
}

int lease_add(struct store *s, const struct scope *sc, const char *id,
              const struct lease_resource *r, struct err *e)
{
    return change(s, sc, id, r,
                  "INSERT OR IGNORE INTO lease_resource(ns,lease,type,id) VALUES(?,?,?,?)", e);
}

int lease_drop(struct store *s, const struct scope *sc, const char *id,
               const struct lease_resource *r, struct err *e)
{
    TRY(change(s, sc, id, r,
               "DELETE FROM lease_resource WHERE ns=? AND lease=? AND type=? AND id=?", e));
    store_gc_soon(s);
    return 0;
}

int lease_resources(struct store *s, const struct scope *sc, const char *id, struct arena *a,
                    struct lease_resource **out, size_t *out_n, struct err *e)
{
    VEC(struct lease_resource) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(must_exist(&t, sc, id, e));
    TRY(db_query(&t, &r, e,
                 "SELECT id, type FROM lease_resource WHERE ns=? AND lease=? ORDER BY type, id",
                 "ss", sc->ns, id));
    while ((more = rows_next(&r, e)) > 0) {
        struct lease_resource res = {row_text(&r, 0, a), row_text(&r, 1, a)};
        vec_push_in(a, &list, res);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

int lease_for_transfer(struct store *s, const struct scope *sc, struct arena *a,
                       const char **out_id, struct err *e)
{
    struct strmap labels = {0};
    struct lease_info lease;
    char at[TIME_TEXT_MAX];
    time_format(time_now_ns() + TRANSFER_LIFE_S * NS_PER_S, at);
    strmap_set(&labels, a, "containerd.io/gc.expire", at);
    TRY(lease_create(s, sc, arena_printf(a, TRANSFER "%s", made_up_id(a)), &labels, a, &lease, e));
    *out_id = lease.id;
    return 0;
}

static int keep_for_resume(struct store *s, const struct scope *sc, const char *id, struct err *e)
{
    auto_free char *kept = mem_printf(RESUMABLE "%s", id + strlen(TRANSFER));
    auto_tx struct tx t = {0};
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(db_exec(&t, e, "UPDATE lease SET id=? WHERE ns=? AND id=?", "sss", kept, sc->ns, id));
    TRY(db_exec(&t, e, "UPDATE lease_resource SET lease=? WHERE ns=? AND lease=?", "sss", kept,
                sc->ns, id));
    return tx_commit(&t, e);
}

void lease_end_transfer(struct store *s, const struct scope *sc, const char *id, bool resumable,
                        bool sync)
{
    struct err e = {0};
    if (resumable ? keep_for_resume(s, sc, id, &e) == 0
                  : lease_delete(s, sc, id, sync, &e) == 0 || e.kind == ERR_NOT_FOUND)
        return;
    log_warn("a lease ends later", "lease", id, "error", e.msg, NULL);
    pthread_mutex_lock(&s->lock);
    vec_push(&s->dead_leases, mem_printf("%s\n%s", sc->ns, id));
    pthread_mutex_unlock(&s->lock);
    store_gc_soon(s);
}

int lease_keep_all_for_resume(struct tx *t, struct err *e)
{
    static const char *const sql[] = {
        "UPDATE lease SET id='" RESUMABLE "'||substr(id,10) WHERE id LIKE '" TRANSFER "%'",
        "UPDATE lease_resource SET lease='" RESUMABLE "'||substr(lease,10)"
        " WHERE lease LIKE '" TRANSFER "%'"};
    _Static_assert(sizeof(TRANSFER) == 10, "what substr cuts off");
    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        TRY(db_exec(t, e, sql[i], ""));
    return 0;
}

int lease_resumed(struct store *s, const struct scope *sc, const char *digest, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(db_exec(&t, e,
                "DELETE FROM lease WHERE ns=? AND id LIKE '" RESUMABLE "%' AND id IN"
                " (SELECT lease FROM lease_resource WHERE ns=? AND type='content' AND id=?)",
                "sss", sc->ns, sc->ns, digest));
    TRY(db_exec(&t, e,
                "DELETE FROM lease_resource WHERE ns=? AND lease LIKE '" RESUMABLE "%'"
                " AND lease NOT IN (SELECT id FROM lease WHERE ns=?)",
                "ss", sc->ns, sc->ns));
    return tx_commit(&t, e);
}
