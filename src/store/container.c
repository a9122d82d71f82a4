/* Container records: see container.h. */
#include "store/container.h"

#include "base/mem.h"
#include "base/time.h"
#include "store/filter.h"
#include "store/mask.h"
#include "store/state.h"

enum { VALUE_MAX = 16 << 20 }; /* bytes of one Any */

#define CONTAINER_COLUMNS                                                                    \
    "id, image, runtime, options_type, options, spec_type, spec, snapshotter, snapshot_key," \
    " sandbox, labels, created, updated"

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

static void read_row(const struct rows *r, struct arena *a, struct container_record *out)
{
    *out = (struct container_record){.id = row_text(r, 0, a),
                                     .image = row_text(r, 1, a),
                                     .runtime_name = row_text(r, 2, a),
                                     .snapshotter = row_text(r, 7, a),
                                     .snapshot_key = row_text(r, 8, a),
                                     .sandbox = row_text(r, 9, a),
                                     .created_ns = row_i64(r, 11),
                                     .updated_ns = row_i64(r, 12)};
    out->runtime_options.type_url = row_text(r, 3, a);
    out->runtime_options.value = row_blob(r, 4, a, &out->runtime_options.len);
    out->spec.type_url = row_text(r, 5, a);
    out->spec.value = row_blob(r, 6, a, &out->spec.len);
    row_map(r, 10, a, &out->labels);
}

static int read_extensions(struct tx *t, const char *ns, struct arena *a,
                           struct container_record *out, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e,
                 "SELECT key, type, value FROM extension WHERE ns=? AND container=? ORDER BY key",
                 "ss", ns, out->id));
    while ((more = rows_next(&r, e)) > 0) {
        struct any_ent *ent = vec_add_in(a, &out->extensions);
        ent->key = row_text(&r, 0, a);
        ent->val.type_url = row_text(&r, 1, a);
        ent->val.value = row_blob(&r, 2, a, &ent->val.len);
    }
    return more;
}

static int load(struct tx *t, const char *ns, const char *id, struct arena *a,
                struct container_record *out, struct err *e)
{
    auto_rows struct rows r = {0};
    TRY(db_query(t, &r, e, "SELECT " CONTAINER_COLUMNS " FROM container WHERE ns=? AND id=?", "ss",
                 ns, id));
    int found = rows_next(&r, e);
    TRY(found);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "container \"%s\" in namespace \"%s\": not found", id, ns);
    read_row(&r, a, out);
    return read_extensions(t, ns, a, out, e);
}

int container_get(struct store *s, const struct scope *sc, const char *id, struct arena *a,
                  struct container_record *out, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(scope_check(sc, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    return load(&t, sc->ns, id, a, out, e);
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
    const struct container_record *c = obj;
    if (strcmp(path[0], "id") == 0)
        return c->id;
    if (strcmp(path[0], "image") == 0)
        return c->image;
    if (strcmp(path[0], "runtime") == 0 && n == 2 && strcmp(path[1], "name") == 0)
        return c->runtime_name;
    return strcmp(path[0], "labels") == 0 ? filter_label(&c->labels, path, n) : NULL;
}

int container_list(struct store *s, const struct scope *sc, const struct strv *filters,
                   struct arena *a, struct container_record **out, size_t *out_n, struct err *e)
{
    auto_filters struct filters *f = NULL;
    VEC(struct container_record) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT " CONTAINER_COLUMNS " FROM container WHERE ns=? ORDER BY id",
                 "s", sc->ns));
    while ((more = rows_next(&r, e)) > 0) {
        struct container_record rec;
        read_row(&r, a, &rec);
        if (!filters_match(f, field, &rec))
            continue;
        vec_push_in(a, &list, rec);
    }
    TRY(more);
    vec_each(rec, &list) {
        TRY(read_extensions(&t, sc->ns, a, rec, e));
    }
    *out = list.v;
    *out_n = list.n;
    return 0;
}

static int check(const struct scope *sc, const struct container_record *rec, struct err *e)
{
    TRY(scope_check(sc, e));
    TRY(store_check_id("container.ID", rec->id, e));
    TRY(store_check_labels(&rec->labels, e));
    if (or_empty(rec->runtime_name)[0] == 0)
        return err_set(e, ERR_INVALID, "container.Runtime.Name must be set: invalid argument");
    if (or_empty(rec->snapshot_key)[0] != 0 && or_empty(rec->snapshotter)[0] == 0)
        return err_set(
            e, ERR_INVALID,
            "container.Snapshotter must be set if container.SnapshotKey is set: invalid argument");
    size_t total = rec->spec.len + rec->runtime_options.len;
    for (size_t i = 0; i < rec->extensions.n; i++) {
        if (or_empty(rec->extensions.v[i].key)[0] == 0)
            return err_set(e, ERR_INVALID,
                           "extension keys must not be zero-length: invalid argument");
        total += rec->extensions.v[i].val.len;
    }
    return total <= VALUE_MAX ? 0 : err_set(e, ERR_TOO_LARGE, "container record is too large");
}

static int write_extensions(struct tx *t, const char *ns, const struct container_record *rec,
                            struct err *e)
{
    TRY(db_exec(t, e, "DELETE FROM extension WHERE ns=? AND container=?", "ss", ns, rec->id));
    for (size_t i = 0; i < rec->extensions.n; i++) {
        const struct any_ent *x = &rec->extensions.v[i];
        TRY(db_exec(
            t, e, "INSERT OR REPLACE INTO extension(ns,container,key,type,value) VALUES(?,?,?,?,?)",
            "ssssb", ns, rec->id, x->key, x->val.type_url, x->val.value, x->val.len));
    }
    return 0;
}

static int write_row(struct tx *t, const char *ns, const struct container_record *rec,
                     struct arena *a, const char *verb, struct err *e)
{
    auto_free char *sql = mem_printf(
        "%s INTO container(ns," CONTAINER_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)", verb);
    TRY(db_exec(t, e, sql, "sssssbsbssssii", ns, rec->id, rec->image, rec->runtime_name,
                rec->runtime_options.type_url, rec->runtime_options.value, rec->runtime_options.len,
                rec->spec.type_url, rec->spec.value, rec->spec.len, rec->snapshotter,
                rec->snapshot_key, rec->sandbox, map_text(&rec->labels, a), rec->created_ns,
                rec->updated_ns));
    return write_extensions(t, ns, rec, e);
}

static void emit(struct store *s, const struct scope *sc, const char *topic,
                 const struct container_record *rec)
{
    store_emit(s, &(struct store_event){.ns = sc->ns,
                                        .topic = topic,
                                        .name = rec->id,
                                        .image = rec->image,
                                        .runtime = rec->runtime_name,
                                        .snapshot_key = rec->snapshot_key,
                                        .labels = &rec->labels});
}

int container_create(struct store *s, const struct scope *sc, const struct container_record *rec,
                     struct arena *a, struct container_record *out, struct err *e)
{
    struct container_record r = *rec;
    TRY(check(sc, rec, e));
    r.created_ns = r.updated_ns = time_now_ns();
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        TRY(ns_touch(&t, sc->ns, e));
        if (write_row(&t, sc->ns, &r, a, "INSERT", e) < 0)
            return e->kind == ERR_EXISTS
                       ? err_set(e, ERR_EXISTS, "container \"%s\": already exists", rec->id)
                       : -1;
        TRY(load(&t, sc->ns, rec->id, a, out, e));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/containers/create", out);
    return 0;
}

/* Replace, add or (with an empty value) drop one extension. */
static void set_extension(struct container_record *now, const struct container_record *given,
                          const char *key, struct arena *a)
{
    for (size_t i = 0; i < now->extensions.n; i++) {
        if (strcmp(now->extensions.v[i].key, key) == 0) {
            vec_remove(&now->extensions, i);
            break;
        }
    }
    for (size_t i = 0; i < given->extensions.n; i++)
        if (strcmp(given->extensions.v[i].key, key) == 0)
            vec_push_in(a, &now->extensions, given->extensions.v[i]);
}

static void merge(struct container_record *now, const struct container_record *given,
                  const struct strv *mask, struct arena *a)
{
    mask_map(mask, "labels", &given->labels, &now->labels, a);
    if (mask_has(mask, "image"))
        now->image = given->image;
    if (mask_has(mask, "spec"))
        now->spec = given->spec;
    if (mask_has(mask, "snapshot_key"))
        now->snapshot_key = given->snapshot_key;
    if (mask_has(mask, "snapshotter"))
        now->snapshotter = given->snapshotter;
    if (mask_has(mask, "runtime")) {
        now->runtime_name = given->runtime_name;
        now->runtime_options = given->runtime_options;
    }
    if (mask_has(mask, "extensions")) {
        now->extensions.v = given->extensions.v;
        now->extensions.n = now->extensions.cap = given->extensions.n;
        return;
    }
    for (size_t i = 0; i < mask->n; i++)
        if (strncmp(mask->v[i], "extensions.", 11) == 0)
            set_extension(now, given, mask->v[i] + 11, a);
}

int container_update(struct store *s, const struct scope *sc, const struct container_record *rec,
                     const struct strv *mask, struct arena *a, struct container_record *out,
                     struct err *e)
{
    static const char *const fields[] = {"labels.",      "image",       "spec",    "extensions.",
                                         "snapshot_key", "snapshotter", "runtime", NULL};
    TRY(scope_check(sc, e));
    TRY(mask_check(mask, fields, "container", e));
    {
        auto_tx struct tx t = {0};
        struct container_record now;
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        TRY(load(&t, sc->ns, rec->id, a, &now, e));
        if ((mask == NULL || mask->n == 0) && or_empty(rec->runtime_name)[0] != 0 &&
            strcmp(now.runtime_name, rec->runtime_name) != 0)
            return err_set(e, ERR_INVALID,
                           "container.Runtime.Name field is immutable: invalid argument");
        struct container_record given = *rec;
        if (or_empty(given.runtime_name)[0] == 0) {
            given.runtime_name = now.runtime_name;
            given.runtime_options = now.runtime_options;
        }
        merge(&now, &given, mask, a);
        now.updated_ns = time_now_ns();
        TRY(check(sc, &now, e));
        TRY(write_row(&t, sc->ns, &now, a, "REPLACE", e));
        TRY(load(&t, sc->ns, rec->id, a, out, e));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/containers/update", out);
    return 0;
}

int container_delete(struct store *s, const struct scope *sc, const char *id, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct container_record rec;
    TRY(scope_check(sc, e));
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        TRY(load(&t, sc->ns, id, a, &rec, e));
        TRY(db_exec(&t, e, "DELETE FROM container WHERE ns=? AND id=?", "ss", sc->ns, id));
        TRY(db_exec(&t, e, "DELETE FROM extension WHERE ns=? AND container=?", "ss", sc->ns, id));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/containers/delete", &rec);
    store_gc_soon(s);
    return 0;
}
