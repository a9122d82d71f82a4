/*
 * The garbage collector: the objects of all namespaces become a graph of nodes (in an arena), roots
 * are marked with what they reach, and the rest is deleted in the same transaction. Files go after
 * the commit has reached the disk, so that no row comes back without its file; what a crash leaves
 * of them, the next start removes.
 *
 * A client without a lease makes a blob or a snapshot first and refers to it later, so that the
 * collector's own thread spares for FRESH_S what was made that way. A collection somebody waits for
 * spares nothing.
 */
#include <errno.h>
#include <stdint.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/snapshot.h"
#include "store/state.h"
#include "store/trash.h"

enum { SETTLE_MS = 100, IDLE_S = 60, RETRY_S = 2, FRESH_S = 600 };
#define INGEST_LIFE_NS (24LL * 3600 * NS_PER_S)

struct node {
    const char *key; /* TYPE "\n" NS "\n" ID */
    const char *ns, *id;
    int64_t row; /* of a snapshot or ingest */
    bool marked, flat_marked;
    VEC(struct node *) refs;
};

struct graph {
    struct arena *a;
    struct map nodes; /* key: struct node * */
    VEC(struct node *) todo;
};

#define KEY_FORMAT "%s\n%s\n%s"

static const char *key_for(struct graph *g, const char *type, const char *ns, const char *id)
{
    return arena_printf(g->a, KEY_FORMAT, type, ns, id);
}

/* The node, made when new: references may come before what they refer to. */
static struct node *node(struct graph *g, const char *type, const char *ns, const char *id)
{
    const char *key = key_for(g, type, ns, id);
    struct node *n = map_get(&g->nodes, key);
    if (n != NULL)
        return n;
    n = ARENA_NEW(g->a, struct node);
    *n = (struct node){.key = key, .ns = arena_strdup(g->a, ns), .id = arena_strdup(g->a, id)};
    map_put(&g->nodes, key, n);
    return n;
}

static void mark(struct graph *g, struct node *n)
{
    if (n->marked)
        return;
    n->marked = true;
    vec_push_in(g->a, &g->todo, n);
}

/* True when key is prefix, or prefix and a suffix behind '.' or '/'. */
static const char *after(const char *key, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(key, prefix, n) == 0 ? key + n : NULL;
}

/* The type of node that a label "PREFIX<kind>…" speaks of, or NULL. */
static const char *label_type(const char *rest)
{
    const char *tail;
    if ((tail = after(rest, "content")) != NULL && (*tail == 0 || *tail == '.' || *tail == '/'))
        return "content";
    if ((tail = after(rest, "image")) != NULL && (*tail == 0 || *tail == '.' || *tail == '/'))
        return "image";
    if ((tail = after(rest, "container")) != NULL && (*tail == 0 || *tail == '.' || *tail == '/'))
        return "container";
    if ((tail = after(rest, "snapshot." SNAPSHOTTER)) != NULL &&
        (*tail == 0 || *tail == '.' || *tail == '/'))
        return "snapshot";
    return NULL;
}

static void add_labels(struct graph *g, struct node *n, const struct strmap *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        const char *rest, *type;
        if ((rest = after(labels->v[i].key, "containerd.io/gc.ref.")) != NULL &&
            (type = label_type(rest)) != NULL)
            vec_push_in(g->a, &n->refs, node(g, type, n->ns, labels->v[i].val));
        if ((rest = after(labels->v[i].key, "containerd.io/gc.bref.")) != NULL &&
            (type = label_type(rest)) != NULL)
            vec_push_in(g->a, &node(g, type, n->ns, labels->v[i].val)->refs, n);
    }
    if (strmap_get(labels, "containerd.io/gc.root") != NULL)
        mark(g, n);
}

/* ---- reading the objects ---- */

static int read_content(struct graph *g, struct tx *t, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e, "SELECT ns, digest, labels FROM content", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct strmap labels;
        row_map(&r, 2, g->a, &labels);
        add_labels(g, node(g, "content", row_text(&r, 0, g->a), row_text(&r, 1, g->a)), &labels);
    }
    return more;
}

static int read_images(struct graph *g, struct tx *t, int64_t now, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e, "SELECT ns, name, digest, labels FROM image", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct strmap labels;
        struct node *n = node(g, "image", row_text(&r, 0, g->a), row_text(&r, 1, g->a));
        row_map(&r, 3, g->a, &labels);
        vec_push_in(g->a, &n->refs, node(g, "content", n->ns, row_text(&r, 2, g->a)));
        add_labels(g, n, &labels);
        if (!label_expired(&labels, now))
            mark(g, n);
    }
    return more;
}

static int read_snapshots(struct graph *g, struct tx *t, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e,
                 "SELECT s.ns, s.name, s.id, s.labels, ifnull(p.name,'') FROM snapshot s"
                 " LEFT JOIN snapshot p ON p.id=s.parent",
                 ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct strmap labels;
        struct node *n = node(g, "snapshot", row_text(&r, 0, g->a), row_text(&r, 1, g->a));
        const char *parent = row_text(&r, 4, g->a);
        n->row = row_i64(&r, 2);
        row_map(&r, 3, g->a, &labels);
        if (parent[0] != 0)
            vec_push_in(g->a, &n->refs, node(g, "snapshot", n->ns, parent));
        add_labels(g, n, &labels);
    }
    return more;
}

static int read_containers(struct graph *g, struct tx *t, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e, "SELECT ns, id, snapshot_key, labels FROM container", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct strmap labels;
        struct node *n = node(g, "container", row_text(&r, 0, g->a), row_text(&r, 1, g->a));
        const char *key = row_text(&r, 2, g->a);
        row_map(&r, 3, g->a, &labels);
        if (key[0] != 0)
            vec_push_in(g->a, &n->refs, node(g, "snapshot", n->ns, key));
        add_labels(g, n, &labels);
        mark(g, n);
    }
    return more;
}

static int read_ingests(struct graph *g, struct tx *t, int64_t now, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e, "SELECT ns, ref, id, started FROM ingest", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct node *n = node(g, "ingest", row_text(&r, 0, g->a), row_text(&r, 1, g->a));
        n->row = row_i64(&r, 2);
        if (now - row_i64(&r, 3) < INGEST_LIFE_NS)
            mark(g, n);
    }
    return more;
}

static const char *node_type(const char *resource)
{
    if (strcmp(resource, "ingests") == 0)
        return "ingest";
    if (strcmp(resource, "images") == 0)
        return "image";
    return strcmp(resource, "content") == 0 ? "content" : "snapshot";
}

struct lease_key {
    const char *ns, *id;
};

static bool is_dead(struct graph *g, const struct strv *dead, const char *ns, const char *id)
{
    return dead->n > 0 && strv_has(dead, arena_printf(g->a, "%s\n%s", ns, id));
}

typedef VEC(struct lease_key) lease_keys;

/* Which leases are over, and which hold only what they name. */
static int sort_leases(struct graph *g, struct tx *t, const struct strv *dead, int64_t now,
                       lease_keys *over, struct map *flat, struct err *e)
{
    auto_rows struct rows r = {0};
    int more;
    TRY(db_query(t, &r, e, "SELECT ns, id, labels FROM lease", ""));
    while ((more = rows_next(&r, e)) > 0) {
        struct strmap labels;
        const char *ns = row_text(&r, 0, g->a), *id = row_text(&r, 1, g->a);
        row_map(&r, 2, g->a, &labels);
        if (label_expired(&labels, now) || is_dead(g, dead, ns, id)) {
            struct lease_key key = {ns, id};
            vec_push_in(g->a, over, key);
        } else if (strmap_get(&labels, "containerd.io/gc.flat") != NULL) {
            map_put(flat, key_for(g, "lease", ns, id), g);
        }
    }
    return more;
}

/* Leases that are over are deleted on the way. */
static int read_leases(struct graph *g, struct tx *t, const struct strv *dead, int64_t now,
                       struct err *e)
{
    lease_keys over = {0};
    struct map flat = {0};
    int more = sort_leases(g, t, dead, now, &over, &flat, e);
    for (size_t i = 0; more == 0 && i < over.n; i++)
        if (db_exec(t, e, "DELETE FROM lease WHERE ns=? AND id=?", "ss", over.v[i].ns,
                    over.v[i].id) < 0 ||
            db_exec(t, e, "DELETE FROM lease_resource WHERE ns=? AND lease=?", "ss", over.v[i].ns,
                    over.v[i].id) < 0)
            more = -1;
    auto_rows struct rows r = {0};
    if (more == 0)
        more = db_query(t, &r, e, "SELECT ns, lease, type, id FROM lease_resource", "");
    while (more == 0 && (more = rows_next(&r, e)) > 0) {
        const char *ns = row_text(&r, 0, g->a);
        struct node *n = node(g, node_type(row_text(&r, 2, g->a)), ns, row_text(&r, 3, g->a));
        if (map_has(&flat, key_for(g, "lease", ns, row_text(&r, 1, g->a))) &&
            after(n->key, "snapshot\n") == NULL) /* a snapshot is nothing without its parents */
            n->flat_marked = true;
        else
            mark(g, n);
        more = 0;
    }
    map_done(&flat);
    return more;
}

/* ---- what is spared ---- */

void gc_spare(struct store *s, const char *ns, const char *resource, const char *id)
{
    auto_free char *key = mem_printf(KEY_FORMAT, node_type(resource), ns, id);
    pthread_mutex_lock(&s->lock);
    map_put(&s->fresh, key, (void *)(intptr_t)(time_mono_ns() / NS_PER_S + FRESH_S));
    pthread_mutex_unlock(&s->lock);
}

static void mark_fresh(struct store *s, struct graph *g)
{
    int64_t now_s = time_mono_ns() / NS_PER_S;
    struct strv over = {0};
    pthread_mutex_lock(&s->lock);
    map_each(ent, &s->fresh) {
        struct node *n = map_get(&g->nodes, ent->key);
        if ((intptr_t)ent->val < now_s)
            vec_push_in(g->a, &over, arena_strdup(g->a, ent->key));
        else if (n != NULL)
            mark(g, n);
    }
    vec_each(key, &over)
        map_del(&s->fresh, *key);
    pthread_mutex_unlock(&s->lock);
}

static void propagate(struct graph *g)
{
    while (g->todo.n > 0) {
        struct node *n = g->todo.v[--g->todo.n];
        vec_each(ref, &n->refs) {
            mark(g, *ref);
        }
    }
}

/* ---- sweeping ---- */

struct garbage {
    struct strv digests;
    VEC(int64_t) snapshots;
    VEC(int64_t) ingests;
    VEC(struct node *) gone; /* for events */
};

static int delete_one(struct store *s, struct tx *t, struct graph *g, struct node *n,
                      struct garbage *out, struct err *e)
{
    if (after(n->key, "content\n") != NULL) {
        int had = db_exec(t, e, "DELETE FROM content WHERE ns=? AND digest=?", "ss", n->ns, n->id);
        TRY(had);
        if (had > 0) {
            vec_push_in(g->a, &out->digests, (char *)(uintptr_t)n->id);
            vec_push_in(g->a, &out->gone, n);
        }
    } else if (after(n->key, "snapshot\n") != NULL && n->row != 0) {
        TRY(db_exec(t, e, "DELETE FROM snapshot WHERE id=?", "i", n->row));
        vec_push_in(g->a, &out->snapshots, n->row);
        vec_push_in(g->a, &out->gone, n);
    } else if (after(n->key, "image\n") != NULL) {
        TRY(db_exec(t, e, "DELETE FROM image WHERE ns=? AND name=?", "ss", n->ns, n->id));
    } else if (after(n->key, "ingest\n") != NULL && n->row != 0) {
        auto_free char *ref = mem_printf("%s/%s", n->ns, n->id);
        pthread_mutex_lock(&s->lock);
        bool busy = map_has(&s->open_refs, ref);
        pthread_mutex_unlock(&s->lock);
        if (busy)
            return 0;
        TRY(db_exec(t, e, "DELETE FROM ingest WHERE id=?", "i", n->row));
        vec_push_in(g->a, &out->ingests, n->row);
    }
    return 0;
}

static int collect(struct store *s, struct graph *g, const struct strv *dead, bool spare,
                   struct garbage *out, struct err *e)
{
    auto_tx struct tx t = {0};
    int64_t now = time_now_ns();
    TRY(tx_begin(&t, &s->db, TX_DURABLE, e));
    TRY(read_content(g, &t, e));
    TRY(read_images(g, &t, now, e));
    TRY(read_snapshots(g, &t, e));
    TRY(read_containers(g, &t, e));
    TRY(read_ingests(g, &t, now, e));
    TRY(read_leases(g, &t, dead, now, e));
    if (spare)
        mark_fresh(s, g);
    propagate(g);
    map_each(ent, &g->nodes) {
        struct node *n = ent->val;
        if (!n->marked && !n->flat_marked)
            TRY(delete_one(s, &t, g, n, out, e));
    }
    return tx_commit(&t, e);
}

static void tell(struct store *s, const struct garbage *gone)
{
    for (size_t i = 0; i < gone->gone.n; i++) {
        const struct node *n = gone->gone.v[i];
        bool blob = after(n->key, "content\n") != NULL;
        store_emit(s, &(struct store_event){.ns = n->ns,
                                            .topic = blob ? "/content/delete" : "/snapshot/remove",
                                            .name = n->id,
                                            .snapshotter = blob ? NULL : SNAPSHOTTER});
    }
}

/* Those that the database could not be told about; what was not done goes back. */
static struct strv take_dead(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    struct strv dead = s->dead_leases;
    s->dead_leases = (struct strv){0};
    pthread_mutex_unlock(&s->lock);
    return dead;
}

static void give_back(struct store *s, struct strv *dead)
{
    pthread_mutex_lock(&s->lock);
    vec_each(id, dead)
        vec_push(&s->dead_leases, mem_strdup(*id));
    pthread_mutex_unlock(&s->lock);
}

static int gc(struct store *s, bool spare, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    struct graph g = {.a = a};
    struct garbage gone = {0};
    auto_strv struct strv dead = take_dead(s);
    int r = collect(s, &g, &dead, spare, &gone, e);
    map_done(&g.nodes);
    if (r < 0) {
        give_back(s, &dead);
        return err_wrap(e, "collect garbage");
    }
    blob_discard_orphans(s, &gone.digests);
    snapshot_discard(s, gone.snapshots.v, gone.snapshots.n);
    for (size_t i = 0; i < gone.ingests.n; i++) {
        char name[24];
        (void)snprintf(name, sizeof(name), "%lld", (long long)gone.ingests.v[i]);
        trash_put(s, s->ingest_fd, name);
    }
    tell(s, &gone);
    return trash_empty(s, e);
}

int store_gc(struct store *s, struct err *e)
{
    return gc(s, false, e);
}

void store_gc_soon(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->gc_wanted = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* Wait on the condition for ms, or until it is signalled. Called with the lock held. */
static void doze(struct store *s, int64_t ms)
{
    int64_t at = time_now_ns() + ms * NS_PER_MS;
    struct timespec ts = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
    (void)pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

void *gc_main(void *store)
{
    struct store *s = store;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        bool wanted = s->gc_wanted;
        if (!wanted)
            doze(s,
                 (s->dead_leases.n > 0 ? RETRY_S : IDLE_S) * 1000); /* leases end by themselves */
        int64_t settled = time_mono_ns() + SETTLE_MS * NS_PER_MS;
        while (!s->stopping && time_mono_ns() < settled)
            doze(s, (settled - time_mono_ns()) / NS_PER_MS + 1);
        if (s->stopping)
            break;
        s->gc_wanted = false;
        pthread_mutex_unlock(&s->lock);
        struct err e = {0};
        if (gc(s, true, &e) < 0)
            log_warn("garbage collection failed", "error", e.msg, NULL);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
