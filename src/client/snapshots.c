/* Snapshots: what we prepare carries a root label, so that it lives until it is removed by name. */
#include "client/snapshots.h"

#include "base/time.h"
#include "client/wire.h"
#include "proto/snapshots.pb-c.h"

#define SNAPSHOTS "/containerd.services.snapshots.v1.Snapshots/"

struct strmap wire_labels(size_t n, const void *entries, struct arena *a)
{
    struct pb_entry *const *v = entries;
    struct strmap m = {0};

    for (size_t i = 0; i < n; i++)
        strmap_set(&m, a, v[i]->key, v[i]->value);
    return m;
}

/* Prepare with what the caller filled in. */
static int prepare(struct ctd *c, Snapshots__PrepareSnapshotRequest *req,
                   const struct ctd_opts *opts, struct arena *a, struct ctd_mounts *out,
                   struct err *e)
{
    Snapshots__PrepareSnapshotResponse *r;

    TRY(ctd_call(c, SNAPSHOTS "Prepare", &req->base, opts,
                 &snapshots__prepare_snapshot_response__descriptor, a, &r, e));
    if (out != NULL)
        *out = (struct ctd_mounts){r->mounts, r->n_mounts};
    return 0;
}

int ctd_snapshot_prepare(struct ctd *c, const char *snapshotter, const char *key,
                         const char *parent, const struct strmap *labels, struct arena *a,
                         struct ctd_mounts *out, struct err *e)
{
    Snapshots__PrepareSnapshotRequest req = SNAPSHOTS__PREPARE_SNAPSHOT_REQUEST__INIT;
    char now[TIME_TEXT_MAX];

    time_format(time_now_ns(), now);
    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    req.parent = (char *)parent;
    pb_map_add(&snapshots__prepare_snapshot_request__labels_entry__descriptor, &req.n_labels,
               &req.labels, "containerd.io/gc.root", now, a);
    if (labels != NULL)
        vec_each(l, labels)
            pb_map_add(&snapshots__prepare_snapshot_request__labels_entry__descriptor,
                       &req.n_labels, &req.labels, l->key, l->val, a);
    return prepare(c, &req, NULL, a, out, e);
}

int ctd_snapshot_prepare_leased(struct ctd *c, const char *snapshotter, const char *key,
                                const char *parent, const char *lease, struct arena *a,
                                struct ctd_mounts *out, struct err *e)
{
    Snapshots__PrepareSnapshotRequest req = SNAPSHOTS__PREPARE_SNAPSHOT_REQUEST__INIT;
    const struct ctd_opts opts = CTD_OPTS(.lease = lease);

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    req.parent = (char *)parent;
    return prepare(c, &req, &opts, a, out, e);
}

int ctd_snapshot_view(struct ctd *c, const char *snapshotter, const char *key, const char *parent,
                      const char *lease, struct arena *a, struct ctd_mounts *out, struct err *e)
{
    Snapshots__ViewSnapshotRequest req = SNAPSHOTS__VIEW_SNAPSHOT_REQUEST__INIT;
    const struct ctd_opts opts = CTD_OPTS(.lease = lease);
    Snapshots__ViewSnapshotResponse *r;

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    req.parent = (char *)parent;
    TRY(ctd_call(c, SNAPSHOTS "View", &req.base, &opts,
                 &snapshots__view_snapshot_response__descriptor, a, &r, e));
    *out = (struct ctd_mounts){r->mounts, r->n_mounts};
    return 0;
}

int ctd_snapshot_commit(struct ctd *c, const char *snapshotter, const char *name, const char *key,
                        const char *lease, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Snapshots__CommitSnapshotRequest req = SNAPSHOTS__COMMIT_SNAPSHOT_REQUEST__INIT;
    const struct ctd_opts opts = CTD_OPTS(.lease = lease);
    Pb__Empty *r;

    req.snapshotter = (char *)snapshotter;
    req.name = (char *)name;
    req.key = (char *)key;
    return ctd_call(c, SNAPSHOTS "Commit", &req.base, &opts, &pb__empty__descriptor, a, &r, e);
}

int ctd_snapshot_mounts(struct ctd *c, const char *snapshotter, const char *key, struct arena *a,
                        struct ctd_mounts *out, struct err *e)
{
    Snapshots__MountsRequest req = SNAPSHOTS__MOUNTS_REQUEST__INIT;
    Snapshots__MountsResponse *r;

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    TRY(ctd_call(c, SNAPSHOTS "Mounts", &req.base, NULL, &snapshots__mounts_response__descriptor, a,
                 &r, e));
    *out = (struct ctd_mounts){r->mounts, r->n_mounts};
    return 0;
}

int ctd_snapshot_remove(struct ctd *c, const char *snapshotter, const char *key, struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Snapshots__RemoveSnapshotRequest req = SNAPSHOTS__REMOVE_SNAPSHOT_REQUEST__INIT;
    Pb__Empty *r;

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    return ctd_call(c, SNAPSHOTS "Remove", &req.base, NULL, &pb__empty__descriptor, a, &r, e);
}

int ctd_snapshot_stat(struct ctd *c, const char *snapshotter, const char *key, struct arena *a,
                      const char **out_parent, struct err *e)
{
    Snapshots__StatSnapshotRequest req = SNAPSHOTS__STAT_SNAPSHOT_REQUEST__INIT;
    Snapshots__StatSnapshotResponse *r;

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    if (ctd_call(c, SNAPSHOTS "Stat", &req.base, NULL,
                 &snapshots__stat_snapshot_response__descriptor, a, &r, e) < 0)
        return e->kind == ERR_NOT_FOUND ? 0 : -1;
    if (out_parent != NULL)
        *out_parent = r->info != NULL ? r->info->parent : "";
    return 1;
}

int ctd_snapshot_usage(struct ctd *c, const char *snapshotter, const char *key, int64_t *out_bytes,
                       struct err *e)
{
    auto_arena struct arena *a = arena_new();
    Snapshots__UsageRequest req = SNAPSHOTS__USAGE_REQUEST__INIT;
    Snapshots__UsageResponse *r;

    req.snapshotter = (char *)snapshotter;
    req.key = (char *)key;
    TRY(ctd_call(c, SNAPSHOTS "Usage", &req.base, NULL, &snapshots__usage_response__descriptor, a,
                 &r, e));
    *out_bytes = r->size;
    return 0;
}

int ctd_snapshot_list(struct ctd *c, const char *snapshotter, struct arena *a,
                      struct ctd_snapshot **out, size_t *out_n, struct err *e)
{
    VEC(struct ctd_snapshot) list = {0};
    Snapshots__ListSnapshotsRequest req = SNAPSHOTS__LIST_SNAPSHOTS_REQUEST__INIT;
    struct grpc_stream *s = NULL;
    int r;

    req.snapshotter = (char *)snapshotter;
    TRY(ctd_stream(c, SNAPSHOTS "List", NULL, &s, e));
    r = grpc_stream_send(s, &req.base, e);
    grpc_stream_close_send(s);
    while (r >= 0) {
        Snapshots__ListSnapshotsResponse *m;

        r = grpc_stream_recv(s, &snapshots__list_snapshots_response__descriptor, a, &m, e);
        if (r <= 0)
            break;
        for (size_t i = 0; i < m->n_info; i++) {
            Snapshots__Info *info = m->info[i];
            struct ctd_snapshot *snap = vec_add_in(a, &list);

            *snap = (struct ctd_snapshot){
                .key = info->name,
                .parent = info->parent,
                .active = info->kind == SNAPSHOTS__KIND__ACTIVE,
                .labels = wire_labels(info->n_labels, info->labels, a),
            };
        }
    }
    grpc_stream_free(s);
    *out = list.v;
    *out_n = list.n;
    return r;
}
