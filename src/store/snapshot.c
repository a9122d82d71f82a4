/*
 * Snapshots over overlayfs. A snapshot is a row and the directory snapshots/ID: the row comes first
 * and goes first. Removing is a rename into the trash, which the collector empties later.
 */
#include "store/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/filter.h"
#include "store/mask.h"
#include "store/state.h"
#include "store/trash.h"
#include "sys/fd.h"
#include "sys/path.h"
#include "sys/usage.h"
#include "sys/userns.h"

#define LABEL_UIDS "containerd.io/snapshot/uidmapping"
#define LABEL_GIDS "containerd.io/snapshot/gidmapping"

enum { MAX_DEPTH = 500 }; /* overlayfs takes that many lower directories */

struct snap {
    int64_t id, parent; /* parent: 0 for none */
    struct snapshot_info info;
    int64_t bytes, inodes;
};

int snapshotter_check(const char *snapshotter, struct err *e)
{
    if (snapshotter == NULL || snapshotter[0] == 0 || strcmp(snapshotter, SNAPSHOTTER) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "snapshotter not loaded: %.200s: invalid argument", snapshotter);
}

/* ---- rows ---- */

#define SNAPSHOT_COLUMNS                                                                 \
    "s.id, s.parent, s.name, s.kind, s.created, s.updated, s.labels, s.bytes, s.inodes," \
    " ifnull((SELECT p.name FROM snapshot p WHERE p.id=s.parent),'')"

static void read_row(const struct rows *r, struct arena *a, struct snap *out)
{
    *out = (struct snap){.id = row_i64(r, 0), .parent = row_i64(r, 1)};
    out->info = (struct snapshot_info){.name = row_text(r, 2, a),
                                       .kind = (enum snapshot_kind)row_i64(r, 3),
                                       .created_ns = row_i64(r, 4),
                                       .updated_ns = row_i64(r, 5)};
    row_map(r, 6, a, &out->info.labels);
    out->bytes = row_i64(r, 7);
    out->inodes = row_i64(r, 8);
    out->info.parent = row_text(r, 9, a);
}

/* 1 found, 0 not. */
static int find(struct tx *t, const char *ns, const char *name, struct arena *a, struct snap *out,
                struct err *e)
{
    auto_rows struct rows r = {0};
    TRY(db_query(t, &r, e, "SELECT " SNAPSHOT_COLUMNS " FROM snapshot s WHERE s.ns=? AND s.name=?",
                 "ss", ns, name));
    int found = rows_next(&r, e);
    if (found > 0)
        read_row(&r, a, out);
    return found;
}

static int load(struct tx *t, const char *ns, const char *name, struct arena *a, struct snap *out,
                struct err *e)
{
    int found = find(t, ns, name, a, out, e);
    TRY(found);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "snapshot %s does not exist: not found", name);
    return 0;
}

/* The ids of all ancestors, nearest first. */
static int load_lineage(struct tx *t, int64_t parent, struct arena *a, struct i64v *out,
                        struct err *e)
{
    while (parent != 0) {
        int64_t next = 0;
        vec_push_in(a, out, parent);
        if (out->n > MAX_DEPTH)
            return err_set(e, ERR_PRECONDITION, "more than %d layers: failed precondition",
                           MAX_DEPTH);
        int found = db_i64(t, e, &next, "SELECT parent FROM snapshot WHERE id=?", "i", parent);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_DATA_LOSS, "parent of a snapshot is missing");
        parent = next;
    }
    return 0;
}

/* ---- mounts ---- */

static char *dir_of(struct store *s, struct arena *a, int64_t id, const char *sub)
{
    return arena_printf(a, "%s/snapshots/%lld/%s", s->root, (long long)id, sub);
}

static void option(struct mount_spec *m, struct arena *a, char *text)
{
    vec_push_in(a, &m->options, text);
}

static void make_bind(struct store *s, struct arena *a, int64_t id, bool writable,
                      struct mount_spec *out)
{
    *out = (struct mount_spec){.type = "bind", .source = dir_of(s, a, id, "fs"), .target = ""};
    option(out, a, arena_strdup(a, writable ? "rw" : "ro"));
    option(out, a, arena_strdup(a, "rbind"));
}

/* The one mount that shows a snapshot. */
static void make_mount(struct store *s, const struct snap *sn, const struct i64v *lower,
                       struct arena *a, struct mount_spec *out)
{
    bool active = sn->info.kind == SNAPSHOT_ACTIVE;
    if (lower->n == 0 || (!active && lower->n == 1)) {
        make_bind(s, a, active || lower->n == 0 ? sn->id : lower->v[0], active, out);
        return;
    }
    struct buf dirs = BUF_MAX(1 << 20);
    *out = (struct mount_spec){.type = "overlay", .source = "overlay", .target = ""};
    if (active) {
        option(out, a, arena_printf(a, "workdir=%s", dir_of(s, a, sn->id, "work")));
        option(out, a, arena_printf(a, "upperdir=%s", dir_of(s, a, sn->id, "fs")));
    }
    for (size_t i = 0; i < lower->n; i++)
        buf_printf(&dirs, "%s%s", i > 0 ? ":" : "", dir_of(s, a, lower->v[i], "fs"));
    option(out, a, arena_printf(a, "lowerdir=%s", buf_cstr(&dirs)));
    buf_done(&dirs);
    if (access("/sys/module/overlay/parameters/index", F_OK) == 0)
        option(out, a, arena_strdup(a, "index=off"));
    const char *maps[][2] = {{LABEL_UIDS, "uidmap"}, {LABEL_GIDS, "gidmap"}};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        const char *val = strmap_get(&sn->info.labels, maps[i][0]);
        if (val != NULL)
            option(out, a, arena_printf(a, "%s=%s", maps[i][1], val));
    }
}

/* ---- directories ---- */

/* What a container in a user namespace writes keeps the ids that it has outside; layers below are
 * shown id-mapped by who mounts them. */
static int map_owner(const struct strmap *labels, uid_t *uid, gid_t *gid, struct err *e)
{
    const char *uids = strmap_get(labels, LABEL_UIDS), *gids = strmap_get(labels, LABEL_GIDS);
    if (uids == NULL || gids == NULL)
        return 0;
    TRY(userns_to_host(uids, *uid, uid, e));
    return userns_to_host(gids, *gid, gid, e);
}

/* Owner and mode of the parent's top directory. */
static int copy_root_meta(struct store *s, const struct snap *sn, int fs_fd, struct err *e)
{
    int64_t parent = sn->parent;
    char name[64];
    struct stat st;
    (void)snprintf(name, sizeof(name), "%lld/fs", (long long)parent);
    if (fstatat(s->snapshots_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(e, "stat snapshot %lld", (long long)parent);
    TRY(map_owner(&sn->info.labels, &st.st_uid, &st.st_gid, e));
    if (fchown(fs_fd, st.st_uid, st.st_gid) < 0 || fchmod(fs_fd, st.st_mode & 07777) < 0)
        return err_sys(e, "set owner of a snapshot's directory");
    return 0;
}

static int make_dirs(struct store *s, const struct snap *sn, struct err *e)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%lld", (long long)sn->id);
    if (mkdirat(s->snapshots_fd, name, 0700) < 0)
        return err_sys(e, "make snapshot directory %s", name);
    auto_fd int dir = path_open_beneath(s->snapshots_fd, name, O_RDONLY | O_DIRECTORY, 0, e);
    if (dir < 0)
        return -1;
    if (fchmod(dir, 0711) < 0 || mkdirat(dir, "fs", 0755) < 0 ||
        (sn->info.kind == SNAPSHOT_ACTIVE && mkdirat(dir, "work", 0711) < 0))
        return err_sys(e, "make snapshot directory %s", name);
    auto_fd int fs = path_open_beneath(dir, "fs", O_RDONLY | O_DIRECTORY, 0, e);
    if (fs < 0)
        return -1;
    if (sn->parent != 0)
        return copy_root_meta(s, sn, fs, e);
    uid_t uid = 0;
    gid_t gid = 0;
    TRY(map_owner(&sn->info.labels, &uid, &gid, e));
    if (fchown(fs, uid, gid) < 0 || fchmod(fs, 0755) < 0) /* whatever the umask */
        return err_sys(e, "set owner of a snapshot's directory");
    return 0;
}

void snapshot_discard(struct store *s, const int64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[24];
        (void)snprintf(name, sizeof(name), "%lld", (long long)ids[i]);
        trash_put(s, s->snapshots_fd, name);
    }
}

void snapshot_empty(struct store *s, const struct scope *sc, const char *key)
{
    auto_arena struct arena *a = arena_new();
    struct snap sn = {0};
    struct err ignored = {0};
    {
        auto_tx struct tx t = {0};
        if (tx_begin(&t, &s->db, TX_READ, &ignored) < 0 ||
            load(&t, sc->ns, key, a, &sn, &ignored) < 0)
            return;
    }
    if (sn.info.kind != SNAPSHOT_ACTIVE)
        return;
    snapshot_discard(s, &sn.id, 1);
    (void)trash_empty(s, &ignored); /* else the collector does it */
}

int snapshot_open_dir(struct store *s, const struct scope *sc, const char *key, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct snap sn;
    char name[64];
    {
        auto_tx struct tx t = {0};
        TRY(tx_begin(&t, &s->db, TX_READ, e));
        TRY(load(&t, sc->ns, key, a, &sn, e));
    }
    (void)snprintf(name, sizeof(name), "%lld/fs", (long long)sn.id);
    return path_open_beneath(s->snapshots_fd, name, O_RDONLY | O_DIRECTORY, 0, e);
}

int snapshot_lineage(struct store *s, const struct scope *sc, const char *name, struct arena *a,
                     struct i64v *out, struct err *e)
{
    auto_tx struct tx t = {0};
    struct snap sn;
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(load(&t, sc->ns, name, a, &sn, e));
    return load_lineage(&t, sn.id, a, out, e);
}

/* ---- looking ---- */

int snapshot_stat(struct store *s, const struct scope *sc, const char *key, struct arena *a,
                  struct snapshot_info *out, struct err *e)
{
    auto_tx struct tx t = {0};
    struct snap sn;
    TRY(scope_check(sc, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(load(&t, sc->ns, key, a, &sn, e));
    *out = sn.info;
    return 0;
}

static const char *field(const void *obj, const char *const *path, size_t n)
{
    static const char *const kinds[] = {"unknown", "view", "active", "committed"};
    const struct snapshot_info *i = obj;
    if (strcmp(path[0], "kind") == 0)
        return kinds[i->kind];
    if (strcmp(path[0], "name") == 0)
        return i->name;
    if (strcmp(path[0], "parent") == 0)
        return i->parent;
    return strcmp(path[0], "labels") == 0 ? filter_label(&i->labels, path, n) : NULL;
}

int snapshot_list(struct store *s, const struct scope *sc, const struct strv *filters,
                  struct arena *a, struct snapshot_info **out, size_t *out_n, struct err *e)
{
    auto_filters struct filters *f = NULL;
    VEC(struct snapshot_info) list = {0};
    auto_tx struct tx t = {0};
    auto_rows struct rows r = {0};
    int more;
    TRY(scope_check(sc, e));
    TRY(filters_parse(filters, &f, e));
    TRY(tx_begin(&t, &s->db, TX_READ, e));
    TRY(db_query(&t, &r, e,
                 "SELECT " SNAPSHOT_COLUMNS " FROM snapshot s WHERE s.ns=? ORDER BY s.name", "s",
                 sc->ns));
    while ((more = rows_next(&r, e)) > 0) {
        struct snap sn;
        read_row(&r, a, &sn);
        if (filters_match(f, field, &sn.info))
            vec_push_in(a, &list, sn.info);
    }
    *out = list.v;
    *out_n = list.n;
    return more;
}

int snapshot_update(struct store *s, const struct scope *sc, const char *key,
                    const struct strmap *labels, const struct strv *mask, struct arena *a,
                    struct snapshot_info *out, struct err *e)
{
    static const char *const fields[] = {"labels.", NULL};
    auto_tx struct tx t = {0};
    struct snap sn;
    TRY(scope_check(sc, e));
    TRY(mask_check(mask, fields, "snapshot", e));
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(load(&t, sc->ns, key, a, &sn, e));
    mask_map(mask, "labels", labels, &sn.info.labels, a);
    TRY(store_check_labels(&sn.info.labels, e));
    sn.info.updated_ns = time_now_ns();
    TRY(db_exec(&t, e, "UPDATE snapshot SET labels=?, updated=? WHERE id=?", "sii",
                map_text(&sn.info.labels, a), sn.info.updated_ns, sn.id));
    TRY(tx_commit(&t, e));
    *out = sn.info;
    return 0;
}

int snapshot_mounts(struct store *s, const struct scope *sc, const char *key, struct arena *a,
                    struct mount_spec *out, struct err *e)
{
    struct snap sn;
    struct i64v lower = {0};
    {
        auto_tx struct tx t = {0};
        TRY(scope_check(sc, e));
        TRY(tx_begin(&t, &s->db, TX_READ, e));
        TRY(load(&t, sc->ns, key, a, &sn, e));
        TRY(load_lineage(&t, sn.parent, a, &lower, e));
    }
    if (sn.info.kind == SNAPSHOT_COMMITTED)
        return err_set(e, ERR_PRECONDITION, "snapshot %s is committed: failed precondition", key);
    make_mount(s, &sn, &lower, a, out);
    return 0;
}

int snapshot_usage(struct store *s, const struct scope *sc, const char *key, int64_t *out_bytes,
                   int64_t *out_inodes, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct snap sn;
    {
        auto_tx struct tx t = {0};
        TRY(scope_check(sc, e));
        TRY(tx_begin(&t, &s->db, TX_READ, e));
        TRY(load(&t, sc->ns, key, a, &sn, e));
    }
    if (sn.info.kind == SNAPSHOT_COMMITTED) {
        *out_bytes = sn.bytes;
        *out_inodes = sn.inodes;
        return 0;
    }
    auto_fd int fd = snapshot_open_dir(s, sc, key, e);
    return fd < 0 ? -1 : usage_of_tree(fd, NULL, out_bytes, out_inodes, e);
}

/* ---- making ---- */

/* In a transaction of its own: the row, and who its ancestors are. */
static int insert(struct store *s, const struct scope *sc, struct snap *sn, const char *key,
                  struct arena *a, struct i64v *lower, struct err *e)
{
    auto_tx struct tx t = {0};
    struct snap parent = {0};
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    if (sn->info.parent[0] != 0) {
        int found = find(&t, sc->ns, sn->info.parent, a, &parent, e);
        TRY(found);
        if (found == 0)
            return err_set(e, ERR_NOT_FOUND, "parent snapshot %s does not exist: not found",
                           sn->info.parent);
        if (parent.info.kind != SNAPSHOT_COMMITTED)
            return err_set(e, ERR_INVALID, "parent %s is not committed snapshot: invalid argument",
                           sn->info.parent);
    }
    sn->parent = parent.id;
    TRY(ns_touch(&t, sc->ns, e));
    if (db_exec(&t, e,
                "INSERT INTO snapshot(ns,name,kind,parent,labels,created,updated,bytes,inodes)"
                " VALUES(?,?,?,?,?,?,?,0,0)",
                "ssiisii", sc->ns, key, (int64_t)sn->info.kind, sn->parent,
                map_text(&sn->info.labels, a), sn->info.created_ns, sn->info.created_ns) < 0)
        return e->kind == ERR_EXISTS
                   ? err_set(e, ERR_EXISTS, "snapshot \"%s\": already exists", key)
                   : -1;
    sn->id = sqlite3_last_insert_rowid(t.db->h);
    TRY(load_lineage(&t, sn->parent, a, lower, e));
    TRY(scope_hold(s, &t, sc, "snapshots/" SNAPSHOTTER, key, e));
    return tx_commit(&t, e);
}

static void delete_row(struct store *s, int64_t id)
{
    struct err ignored = {0};
    auto_tx struct tx t = {0};
    if (tx_begin(&t, &s->db, TX_WRITE, &ignored) == 0 &&
        db_exec(&t, &ignored, "DELETE FROM snapshot WHERE id=?", "i", id) >= 0)
        (void)tx_commit(&t, &ignored); /* else the next start removes it: it has no directory */
}

/* NOLINTNEXTLINE(readability-function-size): the call of the gRPC service, with its scope */
int snapshot_prepare(struct store *s, const struct scope *sc, enum snapshot_kind kind,
                     const char *key, const char *parent, const struct strmap *labels,
                     struct arena *a, struct mount_spec *out_mounts, struct err *e)
{
    struct snap sn = {.info = {.name = key, .parent = parent != NULL ? parent : "", .kind = kind}};
    struct i64v lower = {0};
    TRY(scope_check(sc, e));
    TRY(store_check_labels(labels, e));
    if (key == NULL || key[0] == 0 || strlen(key) > 1024)
        return err_set(e, ERR_INVALID,
                       "snapshot key must not be empty or longer than 1024: invalid argument");
    if (labels != NULL)
        sn.info.labels = *labels;
    sn.info.created_ns = time_now_ns();
    TRY(insert(s, sc, &sn, key, a, &lower, e));
    if (make_dirs(s, &sn, e) < 0) {
        delete_row(s, sn.id);
        snapshot_discard(s, &sn.id, 1);
        store_gc_soon(s);
        return err_wrap(e, "prepare snapshot \"%s\"", key);
    }
    if (out_mounts != NULL)
        make_mount(s, &sn, &lower, a, out_mounts);
    store_emit(s, &(struct store_event){.ns = sc->ns,
                                        .topic = "/snapshot/prepare",
                                        .name = key,
                                        .parent = sn.info.parent,
                                        .snapshotter = SNAPSHOTTER});
    return 0;
}

/* The rows of a commit. */
/* NOLINTNEXTLINE(readability-function-size): the columns of one row */
static int commit_rows(struct store *s, const struct scope *sc, const char *name, const char *key,
                       const char *parent, const struct strmap *labels, int64_t bytes,
                       int64_t inodes, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    auto_tx struct tx t = {0};
    struct snap sn, up = {0}, other;
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    TRY(load(&t, sc->ns, key, a, &sn, e));
    if (sn.info.kind != SNAPSHOT_ACTIVE)
        return err_set(e, ERR_PRECONDITION, "snapshot %s is not active: failed precondition", key);
    int found = find(&t, sc->ns, name, a, &other, e);
    TRY(found);
    if (found > 0)
        return err_set(e, ERR_EXISTS, "snapshot \"%s\": already exists", name);
    if (parent != NULL && parent[0] != 0 && strcmp(parent, sn.info.parent) != 0) {
        if (sn.parent != 0)
            return err_set(e, ERR_INVALID,
                           "cannot change the parent of snapshot %s: invalid argument", key);
        found = find(&t, sc->ns, parent, a, &up, e);
        TRY(found);
        if (found == 0 || up.info.kind != SNAPSHOT_COMMITTED)
            return err_set(e, ERR_NOT_FOUND, "parent snapshot %s does not exist: not found",
                           parent);
        sn.parent = up.id;
    }
    int64_t now = time_now_ns();
    TRY(db_exec(&t, e,
                "UPDATE snapshot SET name=?, kind=?, parent=?, labels=?, created=?, updated=?, "
                "bytes=?, inodes=?"
                " WHERE id=?",
                "siisiiiii", name, (int64_t)SNAPSHOT_COMMITTED, sn.parent, map_text(labels, a), now,
                now, bytes, inodes, sn.id));
    TRY(db_exec(&t, e,
                "DELETE FROM lease_resource WHERE ns=? AND type='snapshots/" SNAPSHOTTER
                "' AND id=?",
                "ss", sc->ns, key));
    TRY(scope_hold(s, &t, sc, "snapshots/" SNAPSHOTTER, name, e));
    return tx_commit(&t, e);
}

int snapshot_commit(struct store *s, const struct scope *sc, const char *name, const char *key,
                    const char *parent, const struct strmap *labels, struct err *e)
{
    int64_t bytes = 0, inodes = 0;
    TRY(scope_check(sc, e));
    TRY(store_check_labels(labels, e));
    if (name == NULL || name[0] == 0 || strlen(name) > 1024)
        return err_set(e, ERR_INVALID,
                       "snapshot name must not be empty or longer than 1024: invalid argument");
    {
        auto_fd int fd = snapshot_open_dir(s, sc, key, e);
        if (fd < 0)
            return -1;
        TRY(usage_of_tree(fd, NULL, &bytes, &inodes, e));
    }
    TRY(store_sync(s, e));
    TRY(commit_rows(s, sc, name, key, parent, labels, bytes, inodes, e));
    store_emit(s, &(struct store_event){.ns = sc->ns,
                                        .topic = "/snapshot/commit",
                                        .name = key,
                                        .committed = name,
                                        .snapshotter = SNAPSHOTTER});
    return 0;
}

int snapshot_remove(struct store *s, const struct scope *sc, const char *key, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct snap sn;
    TRY(scope_check(sc, e));
    {
        auto_tx struct tx t = {0};
        int64_t one = 0;
        TRY(tx_begin(&t, &s->db, TX_WRITE, e));
        if (load(&t, sc->ns, key, a, &sn, e) < 0)
            return err_wrap(e, "failed to remove \"%s\"", key);
        int child =
            db_i64(&t, e, &one, "SELECT 1 FROM snapshot WHERE parent=? LIMIT 1", "i", sn.id);
        TRY(child);
        if (child > 0)
            return err_set(
                e, ERR_PRECONDITION,
                "failed to remove \"%s\": cannot remove snapshot with child: failed precondition",
                key);
        TRY(db_exec(&t, e, "DELETE FROM snapshot WHERE id=?", "i", sn.id));
        TRY(db_exec(&t, e,
                    "DELETE FROM lease_resource WHERE ns=? AND type='snapshots/" SNAPSHOTTER
                    "' AND id=?",
                    "ss", sc->ns, key));
        TRY(tx_commit(&t, e));
    }
    snapshot_discard(s, &sn.id, 1);
    store_emit(
        s, &(struct store_event){
               .ns = sc->ns, .topic = "/snapshot/remove", .name = key, .snapshotter = SNAPSHOTTER});
    store_gc_soon(s);
    return 0;
}
