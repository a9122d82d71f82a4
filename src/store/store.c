/*
 * Opening, sweeping and closing the store, and what its modules share. The sweep at the start is
 * the whole crash recovery: rows say what may exist, everything else goes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/lease.h"
#include "store/state.h"
#include "store/trash.h"
#include "sys/fd.h"
#include "sys/path.h"

void store_emit(struct store *s, const struct store_event *ev)
{
    if (s->opts.event != NULL)
        s->opts.event(s->opts.event_arg, ev);
}

/* ---- rules ---- */

static bool is_id_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$ */
static bool id_matches(const char *s)
{
    if (!is_id_word(*s))
        return false;
    for (; *s != 0; s++)
        if (!is_id_word(*s) && (strchr("._-", *s) == NULL || !is_id_word(s[1])))
            return false;
    return true;
}

int store_check_id(const char *what, const char *id, struct err *e)
{
    if (id == NULL || id[0] == 0)
        return err_set(e, ERR_INVALID, "%s: identifier must not be empty: invalid argument", what);
    if (strlen(id) > 76)
        return err_set(e, ERR_INVALID,
                       "%s: identifier \"%.200s\" greater than maximum length (76 characters): "
                       "invalid argument",
                       what, id);
    if (!id_matches(id))
        return err_set(e, ERR_INVALID,
                       "%s: identifier \"%s\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: "
                       "invalid argument",
                       what, id);
    return 0;
}

int store_check_labels(const struct strmap *labels, struct err *e)
{
    for (size_t i = 0; labels != NULL && i < labels->n; i++) {
        size_t n = strlen(labels->v[i].key) + strlen(labels->v[i].val);
        if (n > 4096)
            return err_set(e, ERR_INVALID,
                           "label key and value length (%zu bytes) greater than maximum size (4096 "
                           "bytes), key: %.40s: invalid argument",
                           n, labels->v[i].key);
        if (labels->v[i].key[0] == 0)
            return err_set(e, ERR_INVALID, "label key must not be empty: invalid argument");
    }
    return 0;
}

int scope_check(const struct scope *sc, struct err *e)
{
    if (sc->ns == NULL || sc->ns[0] == 0)
        return err_set(e, ERR_PRECONDITION, "namespace is required: failed precondition");
    return store_check_id("namespace", sc->ns, e);
}

int scope_hold(struct store *s, struct tx *t, const struct scope *sc, const char *type,
               const char *id, struct err *e)
{
    int64_t one = 0;
    if (sc->lease == NULL || sc->lease[0] == 0) {
        gc_spare(s, sc->ns, type, id);
        return 0;
    }
    int found =
        db_i64(t, e, &one, "SELECT 1 FROM lease WHERE ns=? AND id=?", "ss", sc->ns, sc->lease);
    TRY(found);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "lease \"%s\": not found", sc->lease);
    return db_exec(t, e, "INSERT OR IGNORE INTO lease_resource(ns,lease,type,id) VALUES(?,?,?,?)",
                   "ssss", sc->ns, sc->lease, type, id);
}

int ns_touch(struct tx *t, const char *ns, struct err *e)
{
    return db_exec(t, e, "INSERT OR IGNORE INTO namespace(name,labels) VALUES(?,'{\"m\":{}}')", "s",
                   ns);
}

bool label_expired(const struct strmap *labels, int64_t now_ns)
{
    const char *at = strmap_get(labels, "containerd.io/gc.expire");
    int64_t when = 0;
    return at != NULL && time_parse(str_of(at), &when) && when < now_ns;
}

int store_sync(struct store *s, struct err *e)
{
    pthread_mutex_lock(&s->sync_lock);
    uint64_t mine = ++s->sync_begun; /* a sync that ends with done >= mine began after our writes */
    pthread_mutex_unlock(&s->sync_lock);
    /* one at a time; who waited for the blobs of others may find its own done */
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&turn);
    pthread_mutex_lock(&s->sync_lock);
    uint64_t target = s->sync_begun;
    bool done = s->sync_done >= mine;
    pthread_mutex_unlock(&s->sync_lock);
    int r = done ? 0 : syncfs(s->root_fd);
    if (r < 0) {
        pthread_mutex_unlock(&turn);
        return err_sys(e, "sync %s", s->root);
    }
    if (!done) {
        pthread_mutex_lock(&s->sync_lock);
        s->sync_done = target;
        pthread_mutex_unlock(&s->sync_lock);
    }
    pthread_mutex_unlock(&turn);
    return 0;
}

/* ---- the sweep ---- */

typedef int owned_fn(struct store *s, struct tx *t, const char *name, struct err *e);

static int row_exists(struct tx *t, const char *sql, const char *types, int64_t id,
                      const char *text, struct err *e)
{
    int64_t one = 0;
    return types[0] == 'i' ? db_i64(t, e, &one, sql, types, id)
                           : db_i64(t, e, &one, sql, types, text);
}

static int blob_owned(struct store *s, struct tx *t, const char *name, struct err *e)
{
    char digest[80];
    (void)s;
    (void)snprintf(digest, sizeof(digest), "sha256:%.64s", name);
    if (strlen(name) != 64)
        return 0;
    return row_exists(t, "SELECT 1 FROM content WHERE digest=?", "s", 0, digest, e);
}

static int numbered_owned(struct tx *t, const char *sql, const char *name, struct err *e)
{
    int64_t id = 0;
    if (!str_to_i64(str_of(name), 1, INT64_MAX, &id))
        return 0;
    return row_exists(t, sql, "i", id, NULL, e);
}

static int ingest_owned(struct store *s, struct tx *t, const char *name, struct err *e)
{
    (void)s;
    return numbered_owned(t, "SELECT 1 FROM ingest WHERE id=?", name, e);
}

static int snapshot_owned(struct store *s, struct tx *t, const char *name, struct err *e)
{
    (void)s;
    return numbered_owned(t, "SELECT 1 FROM snapshot WHERE id=?", name, e);
}

/* The entries of a directory that owned() does not know. */
static int find_strays(struct store *s, int dir_fd, owned_fn *owned, struct strv *out,
                       struct err *e)
{
    auto_tx struct tx t = {0};
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int r = 0;
    if (d == NULL) {
        fd_close(fd);
        return err_sys(e, "read %s", s->root);
    }
    if (tx_begin(&t, &s->db, TX_READ, e) < 0) {
        closedir(d);
        return -1;
    }
    for (struct dirent *de; r >= 0 && (de = readdir(d)) != NULL;) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        r = owned(s, &t, de->d_name, e);
        if (r == 0)
            vec_push(out, mem_strdup(de->d_name));
    }
    closedir(d);
    return r < 0 ? -1 : 0;
}

static int sweep_dir(struct store *s, int dir_fd, owned_fn *owned, const char *what, struct err *e)
{
    auto_strv struct strv strays = {0};
    TRY(find_strays(s, dir_fd, owned, &strays, e));
    vec_each(name, &strays) {
        log_info("removing leftover", "kind", what, "name", *name, NULL);
        trash_put(s, dir_fd, *name);
    }
    return 0;
}

static int sweep_trash(struct store *s, struct err *e)
{
    /* a helper of a supervisor that was killed may take a moment to die */
    for (int tries = 0; trash_empty(s, e) < 0; tries++) {
        if (e->sys != ENOTEMPTY || tries == 20)
            return -1;
        err_clear(e);
        (void)poll(NULL, 0, 50);
    }
    return 0;
}

/* Rows whose files are gone: what was being made when the power went. */
static int sweep_rows(struct store *s, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct i64v dead_snapshots = {0}, dead_ingests = {0};
    auto_tx struct tx t = {0};
    TRY(tx_begin(&t, &s->db, TX_WRITE, e));
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(&t, &r, e, "SELECT id FROM snapshot WHERE kind<>3", ""));
    while ((more = rows_next(&r, e)) > 0) {
        char name[64];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%lld/fs", (long long)row_i64(&r, 0));
        if (fstatat(s->snapshots_fd, name, &st, 0) < 0)
            vec_push_in(a, &dead_snapshots, row_i64(&r, 0));
    }
    TRY(more);
    TRY(db_query(&t, &r, e, "SELECT id FROM ingest", ""));
    while ((more = rows_next(&r, e)) > 0) {
        char name[32];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%lld", (long long)row_i64(&r, 0));
        if (fstatat(s->ingest_fd, name, &st, 0) < 0)
            vec_push_in(a, &dead_ingests, row_i64(&r, 0));
    }
    TRY(more);
    for (size_t i = 0; i < dead_snapshots.n; i++)
        TRY(db_exec(&t, e, "DELETE FROM snapshot WHERE id=?", "i", dead_snapshots.v[i]));
    for (size_t i = 0; i < dead_ingests.n; i++)
        TRY(db_exec(&t, e, "DELETE FROM ingest WHERE id=?", "i", dead_ingests.v[i]));
    /* half unpacked layers are of no use: their puller is gone */
    TRY(db_exec(&t, e, "DELETE FROM snapshot WHERE kind=2 AND name LIKE 'extract-hull-%'", ""));
    TRY(lease_keep_all_for_resume(&t, e));
    return tx_commit(&t, e);
}

/* ---- open and close ---- */

static int open_dir(struct store *s, const char *name, int *out, struct err *e)
{
    auto_free char *path = mem_printf("%s/%s", s->root, name);
    TRY(path_mkdirs(path, 0700, e));
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out < 0 ? err_sys(e, "open %s", path) : 0;
}

static int open_all(struct store *s, struct err *e)
{
    auto_free char *db_path = mem_printf("%s/meta.db", s->root);
    TRY(open_dir(s, ".", &s->root_fd, e));
    TRY(open_dir(s, "blobs/sha256", &s->blobs_fd, e));
    TRY(open_dir(s, "ingest", &s->ingest_fd, e));
    TRY(open_dir(s, "snapshots", &s->snapshots_fd, e));
    TRY(open_dir(s, "trash", &s->trash_fd, e));
    /* containers' processes, mapped to other users perhaps, walk through here to their layers */
    if (fchmod(s->snapshots_fd, 0711) < 0 || fchmod(s->root_fd, 0711) < 0)
        return err_sys(e, "chmod %s", s->root);
    if (db_open(&s->db, db_path, e) < 0)
        return err_wrap(e, "open store");
    if (sweep_rows(s, e) < 0) {
        if (e->sys != ENOSPC)
            return -1;
        log_warn("the disk is full: removing leftovers first", "error", e->msg, NULL);
        err_clear(e);
    }
    TRY(sweep_dir(s, s->snapshots_fd, snapshot_owned, "snapshot", e));
    TRY(sweep_dir(s, s->ingest_fd, ingest_owned, "ingest", e));
    TRY(sweep_dir(s, s->blobs_fd, blob_owned, "blob", e));
    return sweep_trash(s, e);
}

int store_open(const struct store_opts *o, struct store **out, struct err *e)
{
    struct store *s = mem_alloc(sizeof(*s));
    s->opts = *o;
    s->root = mem_strdup(o->root);
    s->opts.root = s->root;
    s->opts.unpack_path = mem_strdup(o->unpack_path);
    s->root_fd = s->blobs_fd = s->ingest_fd = s->snapshots_fd = s->trash_fd = -1;
    s->trash_next = (unsigned long long)time_now_ns(); /* unlike those of earlier runs */
    pthread_mutex_init(&s->blobs, NULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->sync_lock, NULL);
    pthread_mutex_init(&s->emptying, NULL);
    pthread_cond_init(&s->wake, NULL);
    list_init(&s->in_flight);
    if (open_all(s, e) < 0) {
        store_close(s);
        return -1;
    }
    if (!o->no_gc_thread) {
        int r = pthread_create(&s->gc_thread, NULL, gc_main, s);
        if (r != 0) {
            store_close(s);
            return err_neg(e, -r, "start the collector");
        }
        s->has_gc_thread = true;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    if (s->has_gc_thread) {
        pthread_mutex_lock(&s->lock);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->gc_thread, NULL);
    }
    db_close(&s->db);
    fd_close(s->root_fd);
    fd_close(s->blobs_fd);
    fd_close(s->ingest_fd);
    fd_close(s->snapshots_fd);
    fd_close(s->trash_fd);
    strv_done(&s->dead_leases);
    map_done(&s->open_refs);
    map_done(&s->fresh);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->emptying);
    pthread_mutex_destroy(&s->sync_lock);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->blobs);
    free((char *)(uintptr_t)s->opts.unpack_path);
    free(s->root);
    free(s);
}
