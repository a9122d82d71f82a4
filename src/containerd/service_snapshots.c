/* Snapshots: overlayfs directories, as mounts that others perform. */
#include "containerd/convert.h"
#include "containerd/ctd.h"
#include "proto/snapshots.pb-c.h"
#include "store/trash.h"

#define LIST_BATCH 100

static struct store *store_of(struct grpc_call *c)
{
    return ((struct ctd *)grpc_call_ctx(c))->store;
}

static int begin(struct grpc_call *c, const char *snapshotter, struct scope *sc, struct err *e)
{
    TRY(call_scope(c, sc, e));
    return snapshotter_check(snapshotter, e);
}

static Snapshots__Info *to_pb(const struct snapshot_info *i, struct arena *a)
{
    Snapshots__Info *p = ARENA_NEW(a, Snapshots__Info);
    snapshots__info__init(p);
    p->name = pb_str(i->name);
    p->parent = pb_str(i->parent);
    p->kind = (Snapshots__Kind)i->kind; /* numbered alike */
    p->created_at = pb_time_new(i->created_ns, a);
    p->updated_at = pb_time_new(i->updated_ns, a);
    map_to_pb(&i->labels, &snapshots__info__labels_entry__descriptor, &p->n_labels, &p->labels, a);
    return p;
}

static int prepare(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__PrepareSnapshotRequest *q = req;
    Snapshots__PrepareSnapshotResponse r = SNAPSHOTS__PREPARE_SNAPSHOT_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strmap labels = map_from_pb(q->n_labels, q->labels, a);
    struct scope sc;
    struct mount_spec m;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_prepare(store_of(c), &sc, SNAPSHOT_ACTIVE, q->key, q->parent, &labels, a, &m, e));
    r.mounts = mounts_to_pb(&m, a);
    r.n_mounts = 1;
    return grpc_call_reply(c, &r.base, e);
}

static int view(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__ViewSnapshotRequest *q = req;
    Snapshots__ViewSnapshotResponse r = SNAPSHOTS__VIEW_SNAPSHOT_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strmap labels = map_from_pb(q->n_labels, q->labels, a);
    struct scope sc;
    struct mount_spec m;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_prepare(store_of(c), &sc, SNAPSHOT_VIEW, q->key, q->parent, &labels, a, &m, e));
    r.mounts = mounts_to_pb(&m, a);
    r.n_mounts = 1;
    return grpc_call_reply(c, &r.base, e);
}

static int mounts(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__MountsRequest *q = req;
    Snapshots__MountsResponse r = SNAPSHOTS__MOUNTS_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct scope sc;
    struct mount_spec m;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_mounts(store_of(c), &sc, q->key, a, &m, e));
    r.mounts = mounts_to_pb(&m, a);
    r.n_mounts = 1;
    return grpc_call_reply(c, &r.base, e);
}

static int commit(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__CommitSnapshotRequest *q = req;
    struct strmap labels = map_from_pb(q->n_labels, q->labels, grpc_call_arena(c));
    struct scope sc;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_commit(store_of(c), &sc, q->name, q->key, q->parent, &labels, e));
    return grpc_call_reply_empty(c, e);
}

static int remove_snapshot(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__RemoveSnapshotRequest *q = req;
    struct scope sc;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_remove(store_of(c), &sc, q->key, e));
    return grpc_call_reply_empty(c, e);
}

static int stat_snapshot(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__StatSnapshotRequest *q = req;
    Snapshots__StatSnapshotResponse r = SNAPSHOTS__STAT_SNAPSHOT_RESPONSE__INIT;
    struct scope sc;
    struct snapshot_info i;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_stat(store_of(c), &sc, q->key, grpc_call_arena(c), &i, e));
    r.info = to_pb(&i, grpc_call_arena(c));
    return grpc_call_reply(c, &r.base, e);
}

static int update(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__UpdateSnapshotRequest *q = req;
    Snapshots__UpdateSnapshotResponse r = SNAPSHOTS__UPDATE_SNAPSHOT_RESPONSE__INIT;
    struct arena *a = grpc_call_arena(c);
    struct strv mask = mask_from_pb(q->update_mask);
    struct scope sc;
    struct snapshot_info i;
    TRY(begin(c, q->snapshotter, &sc, e));
    if (q->info == NULL)
        return err_set(e, ERR_INVALID, "info is required: invalid argument");
    struct strmap labels = map_from_pb(q->info->n_labels, q->info->labels, a);
    TRY(snapshot_update(store_of(c), &sc, q->info->name, &labels, &mask, a, &i, e));
    r.info = to_pb(&i, a);
    return grpc_call_reply(c, &r.base, e);
}

static int list(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__ListSnapshotsRequest *q = req;
    struct arena *a = grpc_call_arena(c);
    struct strv filters = strv_from_pb(q->n_filters, q->filters);
    struct scope sc;
    struct snapshot_info *v;
    size_t n;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_list(store_of(c), &sc, &filters, a, &v, &n, e));
    for (size_t at = 0; at < n;) {
        Snapshots__ListSnapshotsResponse r = SNAPSHOTS__LIST_SNAPSHOTS_RESPONSE__INIT;
        Snapshots__Info *batch[LIST_BATCH];
        r.info = batch;
        while (r.n_info < LIST_BATCH && at < n)
            batch[r.n_info++] = to_pb(&v[at++], a);
        TRY(grpc_call_send(c, &r.base, e));
    }
    grpc_call_finish(c, NULL);
    return 0;
}

static int usage(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__UsageRequest *q = req;
    Snapshots__UsageResponse r = SNAPSHOTS__USAGE_RESPONSE__INIT;
    struct scope sc;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(snapshot_usage(store_of(c), &sc, q->key, &r.size, &r.inodes, e));
    return grpc_call_reply(c, &r.base, e);
}

static int cleanup(struct grpc_call *c, const void *req, struct err *e)
{
    const Snapshots__CleanupRequest *q = req;
    struct scope sc;
    TRY(begin(c, q->snapshotter, &sc, e));
    TRY(trash_empty(store_of(c), e));
    return grpc_call_reply_empty(c, e);
}

#define SNAPSHOTS "containerd.services.snapshots.v1.Snapshots"

static const struct grpc_method methods[] = {
    {SNAPSHOTS, "Prepare", &snapshots__prepare_snapshot_request__descriptor,
     &snapshots__prepare_snapshot_response__descriptor, GRPC_UNARY, 0, prepare},
    {SNAPSHOTS, "View", &snapshots__view_snapshot_request__descriptor,
     &snapshots__view_snapshot_response__descriptor, GRPC_UNARY, 0, view},
    {SNAPSHOTS, "Mounts", &snapshots__mounts_request__descriptor,
     &snapshots__mounts_response__descriptor, GRPC_UNARY, 0, mounts},
    /* syncs and measures the snapshot's files */
    {SNAPSHOTS, "Commit", &snapshots__commit_snapshot_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, GRPC_SLOW, commit},
    {SNAPSHOTS, "Remove", &snapshots__remove_snapshot_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, 0, remove_snapshot},
    {SNAPSHOTS, "Stat", &snapshots__stat_snapshot_request__descriptor,
     &snapshots__stat_snapshot_response__descriptor, GRPC_UNARY, 0, stat_snapshot},
    {SNAPSHOTS, "Update", &snapshots__update_snapshot_request__descriptor,
     &snapshots__update_snapshot_response__descriptor, GRPC_UNARY, 0, update},
    {SNAPSHOTS, "List", &snapshots__list_snapshots_request__descriptor,
     &snapshots__list_snapshots_response__descriptor, GRPC_SERVER_STREAM, 0, list},
    /* walks an active snapshot's files */
    {SNAPSHOTS, "Usage", &snapshots__usage_request__descriptor,
     &snapshots__usage_response__descriptor, GRPC_UNARY, GRPC_SLOW, usage},
    {SNAPSHOTS, "Cleanup", &snapshots__cleanup_request__descriptor, &pb__empty__descriptor,
     GRPC_UNARY, GRPC_SLOW, cleanup},
};

void service_snapshots_add(struct grpc_server *s)
{
    grpc_server_add(s, methods, ARRAY_LEN(methods));
}
