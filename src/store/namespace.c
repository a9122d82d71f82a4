/* Namespaces: a name and labels. They come into being when something is made in them. */
#include "base/mem.h"
#include "store/mask.h"
#include "store/state.h"

static int load(struct tx *t, const char *name, struct arena *a, struct ns_info *out, struct err *e)
{
    auto_rows struct rows r = {0};
    TRY(db_query(t, &r, e, "SELECT labels FROM namespace WHERE name=?", "s", name));
    int found = rows_next(&r, e);
    *out = (struct ns_info){.name = arena_strdup(a, name)};
    if (found > 0)
        row_map(&r, 0, a, &out->labels);
    return found;
}

int ns_get(struct store *s, const char *name, struct arena *a, struct ns_info *out, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(store_check_id("namespace", name, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    return load(&t, name, a, out, e) < 0 ? -1 : 0;
}

int ns_list(struct store *s, struct arena *a, struct ns_info **out, size_t *out_n, struct err *e)
{
    VEC(struct ns_info) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT name, labels FROM namespace ORDER BY name", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct ns_info *n = vec_add_in(a, &list);
        n->name = row_text(&r, 0, a);
        row_map(&r, 1, a, &n->labels);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

int ns_create(struct store *s, const struct ns_info *n, struct err *e)
{
    auto_tx struct tx t = {0};
    auto_arena struct arena *a = arena_new();
    TRY(store_check_id("namespace", n->name, e));
    TRY(store_check_labels(&n->labels, e));
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    if (db_exec(&t, e, "INSERT INTO namespace(name,labels) VALUES(?,?)", "ss", n->name,
                map_text(&n->labels, a)) < 0)
        return e->kind == ERR_EXISTS
                   ? err_set(e, ERR_EXISTS, "namespace \"%s\": already exists", n->name)
                   : -1;
    TRY(tx_commit(&t, e));
    store_emit(s, &(struct store_event){.ns = n->name,
                                        .topic = "/namespaces/create",
                                        .name = n->name,
                                        .labels = &n->labels});
    return 0;
}

int ns_update(struct store *s, const struct ns_info *n, const struct strv *mask, struct arena *a,
              struct ns_info *out, struct err *e)
{
    static const char *const fields[] = {"labels.", NULL};
    TRY(mask_check(mask, fields, "namespace", e));
    TRY(store_check_labels(&n->labels, e));
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        int found = load(&t, n->name, a, out, e);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_NOT_FOUND, "namespace \"%s\": not found", n->name);
        mask_map(mask, "labels", &n->labels, &out->labels, a);
        TRY(db_exec(&t, e, "UPDATE namespace SET labels=? WHERE name=?", "ss",
                    map_text(&out->labels, a), n->name));
        TRY(tx_commit(&t, e));
    }
    store_emit(s, &(struct store_event){.ns = n->name,
                                        .topic = "/namespaces/update",
                                        .name = n->name,
                                        .labels = &out->labels});
    return 0;
}

int ns_delete(struct store *s, const char *name, struct err *e)
{
    static const struct {
        const char *what, *sql;
    } holds[] = {
        {"images", "SELECT 1 FROM image WHERE ns=? LIMIT 1"},
        {"blobs", "SELECT 1 FROM content WHERE ns=? LIMIT 1"},
        {"containers", "SELECT 1 FROM container WHERE ns=? LIMIT 1"},
        {"snapshots on \"overlayfs\" snapshotter", "SELECT 1 FROM snapshot WHERE ns=? LIMIT 1"},
        {"leases", "SELECT 1 FROM lease WHERE ns=? LIMIT 1"},
    };
    struct buf left = BUF_MAX(256);
    {
        auto_tx struct tx t = {0};
        int64_t one = 0;
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        int found = db_i64(&t, e, &one, "SELECT 1 FROM namespace WHERE name=?", "s", name);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_NOT_FOUND, "namespace \"%s\": not found", name);
        for (size_t i = 0; i < ARRAY_LEN(holds); i++) {
            int has = db_i64(&t, e, &one, holds[i].sql, "s", name);
            TRY(has);
            if (has > 0)
                buf_printf(&left, "%s%s", left.n > 0 ? ", " : "", holds[i].what);
        }
        if (left.n > 0) {
            err_set(e, ERR_PRECONDITION,
                    "namespace \"%s\" must be empty, but it still has %s: failed precondition",
                    name, buf_cstr(&left));
            buf_done(&left);
            return -1;
        }
        TRY(db_exec(&t, e, "DELETE FROM namespace WHERE name=?", "s", name));
        TRY(tx_commit(&t, e));
    }
    store_emit(s, &(struct store_event){.ns = name, .topic = "/namespaces/delete", .name = name});
    return 0;
}
