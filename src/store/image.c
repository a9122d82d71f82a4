/* Image records: see image.h. */
#include "store/image.h"

#include "base/mem.h"
#include "base/time.h"
#include "store/filter.h"
#include "store/mask.h"
#include "store/state.h"
#include "types/reference.h"

#define IMAGE_COLUMNS "name, media_type, digest, size, annotations, labels, created, updated"

static void read_row(const struct rows *r, struct arena *a, struct image_record *out)
{
    *out = (struct image_record){
        .name = row_text(r, 0, a), .created_ns = row_i64(r, 6), .updated_ns = row_i64(r, 7)};
    out->target.media_type = row_text(r, 1, a);
    out->target.digest = row_text(r, 2, a);
    out->target.size = row_i64(r, 3);
    row_map(r, 4, a, &out->target.annotations);
    row_map(r, 5, a, &out->labels);
}

static int load(struct tx *t, const char *ns, const char *name, struct arena *a,
                struct image_record *out, struct err *e)
{
    auto_rows struct rows r = {0};
    TRY(db_query(t, &r, e, "SELECT " IMAGE_COLUMNS " FROM image WHERE ns=? AND name=?", "ss", ns,
                 name));
    int found = rows_next(&r, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "image \"%s\": not found", name);
    if (found > 0)
        read_row(&r, a, out);
    return found < 0 ? -1 : 0;
}

int image_get(struct store *s, const struct scope *sc, const char *name, struct arena *a,
              struct image_record *out, struct err *e)
{
    auto_tx struct tx t = {0};
    TRY(scope_check(sc, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    return load(&t, sc->ns, name, a, out, e);
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
    const struct image_record *i = obj;
    if (strcmp(path[0], "name") == 0)
        return i->name;
    if (strcmp(path[0], "target") == 0 && n == 2)
        return strcmp(path[1], "digest") == 0      ? i->target.digest
               : strcmp(path[1], "mediatype") == 0 ? i->target.media_type
                                                   : NULL;
    if (strcmp(path[0], "labels") == 0)
        return filter_label(&i->labels, path, n);
    return strcmp(path[0], "annotations") == 0 ? filter_label(&i->target.annotations, path, n)
                                               : NULL;
}

int image_list(struct store *s, const struct scope *sc, const struct strv *filters, struct arena *a,
               struct image_record **out, size_t *out_n, struct err *e)
{
    auto_filters struct filters *f = NULL;
    VEC(struct image_record) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e, "SELECT " IMAGE_COLUMNS " FROM image WHERE ns=? ORDER BY name", "s",
                 sc->ns));
    while ((more = rows_next(&r, e)) > 0) {
        struct image_record rec;
        read_row(&r, a, &rec);
        if (filters_match(f, field, &rec))
            vec_push_in(a, &list, rec);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

static int check(const struct scope *sc, const struct image_record *rec, struct err *e)
{
    TRY(scope_check(sc, e));
    if (rec->name == NULL || rec->name[0] == 0)
        return err_set(e, ERR_INVALID, "image name must not be empty: invalid argument");
    if (strlen(rec->name) > 4096)
        return err_set(e, ERR_INVALID, "image name is too long: invalid argument");
    TRY(store_check_labels(&rec->labels, e));
    if (rec->target.digest == NULL || !digest_is_sha256(rec->target.digest))
        return err_set(e, ERR_INVALID,
                       "image target %.200s: invalid checksum digest format: invalid argument",
                       rec->target.digest != NULL ? rec->target.digest : "");
    if (rec->target.size < 0 || rec->target.media_type == NULL || rec->target.media_type[0] == 0)
        return err_set(e, ERR_INVALID,
                       "image target must have a media type and a size: invalid argument");
    return 0;
}

static int write_row(struct tx *t, const char *ns, const struct image_record *rec, struct arena *a,
                     const char *verb, struct err *e)
{
    auto_free char *sql =
        mem_printf("%s INTO image(ns," IMAGE_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?)", verb);
    return db_exec(t, e, sql, "ssssissii", ns, rec->name, rec->target.media_type,
                   rec->target.digest, rec->target.size, map_text(&rec->target.annotations, a),
                   map_text(&rec->labels, a), rec->created_ns, rec->updated_ns);
}

static void emit(struct store *s, const struct scope *sc, const char *topic,
                 const struct image_record *rec)
{
    store_emit(s, &(struct store_event){
                      .ns = sc->ns, .topic = topic, .name = rec->name, .labels = &rec->labels});
}

int image_create(struct store *s, const struct scope *sc, const struct image_record *rec,
                 struct arena *a, struct image_record *out, struct err *e)
{
    TRY(check(sc, rec, e));
    struct image_record r = *rec;
    r.created_ns = r.updated_ns = time_now_ns();
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_DURABLE, e));
        TRY(ns_touch(&t, sc->ns, e));
        if (write_row(&t, sc->ns, &r, a, "INSERT", e) < 0)
            return e->kind == ERR_EXISTS
                       ? err_set(e, ERR_EXISTS, "image \"%s\": already exists", rec->name)
                       : -1;
        TRY(load(&t, sc->ns, rec->name, a, out, e));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/images/create", out);
    return 0;
}

int image_update(struct store *s, const struct scope *sc, const struct image_record *rec,
                 const struct strv *mask, struct arena *a, struct image_record *out, struct err *e)
{
    static const char *const fields[] = {"labels.", "annotations.", "target", NULL};
    TRY(scope_check(sc, e));
    TRY(mask_check(mask, fields, "image", e));
    {
        auto_tx struct tx t = {0};
        struct image_record now;
        TRY(tx_begin(&t, &s->db, TX_DURABLE, e));
        TRY(load(&t, sc->ns, rec->name, a, &now, e));
        mask_map(mask, "labels", &rec->labels, &now.labels, a);
        if (mask_has(mask, "target"))
            now.target = rec->target;
        else
            mask_map(mask, "annotations", &rec->target.annotations, &now.target.annotations, a);
        now.updated_ns = time_now_ns();
        TRY(check(sc, &now, e));
        TRY(write_row(&t, sc->ns, &now, a, "REPLACE", e));
        TRY(load(&t, sc->ns, rec->name, a, out, e));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/images/update", out);
    store_gc_soon(s);
    return 0;
}

int image_put(struct store *s, const struct scope *sc, const struct image_record *rec,
              struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct image_record old, r = *rec;
    bool is_new;
    TRY(check(sc, rec, e));
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_DURABLE, e));
        is_new = load(&t, sc->ns, rec->name, a, &old, e) < 0;
        if (is_new && e->kind != ERR_NOT_FOUND)
            return -1;
        err_clear(e);
        TRY(ns_touch(&t, sc->ns, e));
        r.updated_ns = time_now_ns();
        r.created_ns = is_new ? r.updated_ns : old.created_ns;
        TRY(write_row(&t, sc->ns, &r, a, "REPLACE", e));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, is_new ? "/images/create" : "/images/update", &r);
    if (!is_new)
        store_gc_soon(s);
    return 0;
}

int image_delete(struct store *s, const struct scope *sc, const char *name,
                 const char *target_digest, bool sync, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct image_record rec;
    TRY(scope_check(sc, e));
    {
        auto_tx struct tx t = {0};
        /* who does not wait has it durable when the collector has run */
        TRY(tx_begin(&t, &s->db, sync ? TX_DURABLE : TX_WRITE, e));
        TRY(load(&t, sc->ns, name, a, &rec, e));
        if (target_digest != NULL && target_digest[0] != 0 &&
            strcmp(target_digest, rec.target.digest) != 0)
            return err_set(e, ERR_NOT_FOUND, "image \"%s\" has target %s, not %s: not found", name,
                           rec.target.digest, target_digest);
        TRY(db_exec(&t, e, "DELETE FROM image WHERE ns=? AND name=?", "ss", sc->ns, name));
        TRY(db_exec(&t, e, "DELETE FROM lease_resource WHERE ns=? AND type='images' AND id=?", "ss",
                    sc->ns, name));
        TRY(tx_commit(&t, e));
    }
    emit(s, sc, "/images/delete", &rec);
    if (sync)
        return store_gc(s, e);
    store_gc_soon(s);
    return 0;
}
